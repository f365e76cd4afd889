//! Times for people, compared with the bare inner service. `benches/instructions.rs` guards against changes.
//!
//! `cargo bench --bench bearer --features introspection,login,outbound,testing`

mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use support::{Fixture, Inner, call, request};
use tower_oidc::Algorithm;

fn bearer(criterion: &mut Criterion) {
    let fixture = Fixture::new();
    let _runtime = fixture.enter();
    let good = |algorithm| Some(fixture.token(algorithm, &[]));
    let changed = |old, new| Some(fixture.token(Algorithm::Rs256, &[(old, new)]));
    let rows = [
        ("accepted, RS256", good(Algorithm::Rs256)),
        ("accepted, ES256", good(Algorithm::Es256)),
        ("accepted, EdDSA", good(Algorithm::EdDsa)),
        ("expired", changed("4102444800", "1700000001")),
        (
            "wrong audience",
            changed("https://api.example.com", "https://xyz.example.com"),
        ),
        ("garbage", Some("garbage".to_owned())),
        ("no header", None),
    ];
    let mut group = criterion.benchmark_group("bearer");
    group.bench_function("bare inner service", |bencher| {
        let setup = || request(rows[0].1.as_deref());
        bencher.iter_batched(
            setup,
            |request| call(&mut Inner, request),
            BatchSize::SmallInput,
        );
    });
    for (name, token) in &rows {
        let mut service = fixture.service();
        group.bench_function(*name, |bencher| {
            let setup = || request(token.as_deref());
            bencher.iter_batched(
                setup,
                |request| call(&mut service, request),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bearer);
criterion_main!(benches);
