//! Times for people: what sessions in a file of SQLite cost, with each change on the disk before it counts.
//!
//! `cargo bench --bench sqlite --features introspection,login,outbound,sqlite,testing`. `FOLDER` chooses the disk.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use support::session::{Site, again};
use tower::Service;
use tower_oidc::login::{SessionStore, SqliteStore, StoreKey, StoredRecord, Swapped, Tag};
use tower_oidc::{Clock, SystemClock};

/// Ends with the bench.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let parent = std::env::var_os("FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = parent.join(format!("tower-oidc-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn store(&self) -> SqliteStore {
        let file = self.0.join("sessions.db");
        let store = SqliteStore::new(file.to_str().expect("text")).expect("a store");
        store.with_automatic_migration()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// As large as that of a session.
fn record() -> StoredRecord {
    StoredRecord {
        bytes: Bytes::from(vec![7; 4_000]),
        tag: Tag::random().expect("randomness"),
        expires_at: SystemClock::new()
            .now()
            .saturating_add(Duration::from_secs(3_600)),
    }
}

fn operations(criterion: &mut Criterion) {
    let folder = Folder::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let store = runtime.block_on(async { folder.store() });
    let key = |number: u64| StoreKey::of(&[&number.to_string()]);
    let mut there = record();
    let created = runtime.block_on(store.create(key(0), None, there.clone()));
    created.expect("a new key");
    let mut number = 0;
    let mut group = criterion.benchmark_group("SQLite");
    group.bench_function("create", |bencher| {
        bencher.iter(|| {
            number += 1;
            let created = runtime.block_on(store.create(key(number), None, record()));
            created.expect("a new key")
        });
    });
    group.bench_function("load", |bencher| {
        bencher.iter(|| runtime.block_on(store.load(key(0))).expect("an answer"));
    });
    group.bench_function("swap", |bencher| {
        bencher.iter(|| {
            let next = record();
            let swapped = runtime.block_on(store.swap(key(0), there.tag, next.clone()));
            assert_eq!(swapped.expect("an answer"), Swapped::Done);
            there = next;
        });
    });
    group.finish();
}

fn requests(criterion: &mut Criterion) {
    let folder = Folder::new();
    let mut group = criterion.benchmark_group("SQLite, a request with a session, nothing due");
    for (name, age) in [
        ("read less than a minute ago", Duration::from_secs(60)),
        ("read from the file", Duration::ZERO),
    ] {
        let site = Site::with(|login| {
            let login = login.with_store(folder.store());
            login.with_near_cache_age(age)
        });
        let request = site.signed_in();
        let mut service = site.service();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let answer = site.run(service.call(again(&request)));
                assert_eq!(answer.expect("an answer").status(), http::StatusCode::OK);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, operations, requests);
criterion_main!(benches);
