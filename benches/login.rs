//! Times for people: a session with nothing due, for one thread and for many, and the callback of a sign-in
//! without the time of the provider. Each is compared with the bare inner service.
//!
//! `cargo bench --bench login --features introspection,login,outbound,testing`

mod support;

use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use support::call;
use support::session::{Page, Site, again};

fn login(criterion: &mut Criterion) {
    let site = Site::new();
    let _runtime = site.enter();
    let request = site.signed_in();
    let mut service = site.service();
    let mut group = criterion.benchmark_group("login");
    group.bench_function("bare inner service", |bencher| {
        let setup = || again(&request);
        bencher.iter_batched(
            setup,
            |request| call(&mut Page, request),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("session in memory, nothing due", |bencher| {
        let setup = || again(&request);
        bencher.iter_batched(
            setup,
            |request| call(&mut service, request),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("callback, without the provider", |bencher| {
        let setup = || site.callback();
        // One at a time, because the provider's answer fits the nonce of the last one only.
        bencher.iter_batched(
            setup,
            |request| call(&mut service, request),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// One session for each thread, all at once.
fn contention(criterion: &mut Criterion) {
    let site = Site::new();
    let _runtime = site.enter();
    let mut group = criterion.benchmark_group("login, requests of many threads");
    group.throughput(Throughput::Elements(1));
    for threads in [1_u32, 2, 4, 8, 16] {
        let requests: Vec<_> = (0..threads).map(|_| site.signed_in()).collect();
        let id = BenchmarkId::from_parameter(threads);
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|iterations| {
                let each = iterations.div_ceil(u64::from(threads));
                let took = run(&site, &requests, each);
                // The share of one request in the time of all threads.
                took.mul_f64(1.0 / f64::from(threads))
                    .mul_f64(iterations_ratio(iterations, each, threads))
            });
        });
    }
    group.finish();
}

fn run(site: &Site, requests: &[http::Request<String>], each: u64) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for request in requests {
            let mut service = site.service();
            scope.spawn(move || {
                for _ in 0..each {
                    std::hint::black_box(call(&mut service, again(request)));
                }
            });
        }
    });
    start.elapsed() * u32::try_from(requests.len()).unwrap_or(1)
}

/// Rounding up makes more requests than criterion asked for.
fn iterations_ratio(iterations: u64, each: u64, threads: u32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let ratio = iterations as f64 / (each * u64::from(threads)) as f64;
    ratio
}

criterion_group!(benches, login, contention);
criterion_main!(benches);
