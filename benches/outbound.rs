//! Times for people: an outgoing request with a fresh token, compared with the bare client.
//!
//! `cargo bench --bench outbound --features introspection,login,outbound,testing`

mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use support::call;
use support::outbound::{Caller, Upstream, request};
use tower::Layer;
use tower_oidc::outbound::Never;

fn outbound(criterion: &mut Criterion) {
    let caller = Caller::new();
    let _runtime = caller.enter();
    let mut group = criterion.benchmark_group("outbound");
    group.bench_function("bare client", |bencher| {
        bencher.iter_batched(
            request,
            |request| call(&mut Upstream, request),
            BatchSize::SmallInput,
        );
    });
    let mut service = caller.service();
    group.bench_function("a fresh token", |bencher| {
        bencher.iter_batched(
            request,
            |request| call(&mut service, request),
            BatchSize::SmallInput,
        );
    });
    let mut service = caller.layer.clone().with_repeat(Never).layer(Upstream);
    group.bench_function("a fresh token, never repeated", |bencher| {
        bencher.iter_batched(
            request,
            |request| call(&mut service, request),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, outbound);
criterion_main!(benches);
