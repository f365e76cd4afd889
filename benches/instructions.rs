//! Instruction counts by callgrind, which repeat, so that a change shows. Each is compared with the bare inner
//! service, and the accepted ones with the raw signature as well.
//!
//! `cargo bench --bench instructions --features introspection,login,outbound,testing` needs valgrind and `gungraun-runner`.

#![expect(missing_docs, reason = "made by the macros of gungraun")]

mod support;

use std::hint::black_box;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use gungraun::{library_benchmark, library_benchmark_group, main};
use http::{Request, Response};
use http_body_util::Empty;
use support::outbound::{Caller, Upstream, request as leaving_request};
use support::routes::{AxumInner, Routes, Stack, routes};
use support::session::{Page, Site, again};
use support::{Fixture, Inner, call, request};
use tower::Layer;
use tower_oidc::bearer::Bearer;
use tower_oidc::login::Login;
use tower_oidc::outbound::Outbound;
use tower_oidc::require::Require;
use tower_oidc::{Algorithm, BearerLayer, RequireLayer};

struct Warm {
    service: Bearer<Inner>,
    request: Request<()>,
    // Kept, so that it is not dropped within the measurement.
    fixture: Fixture,
}

/// A service that has judged one token before, because some work is done once, such as the first use of a key.
fn warm(
    make: impl FnOnce(&Fixture) -> Option<String>,
    first: impl FnOnce(&Fixture, Option<&str>) -> Option<String>,
) -> Warm {
    warm_in(Fixture::new(), make, first)
}

fn warm_in(
    fixture: Fixture,
    make: impl FnOnce(&Fixture) -> Option<String>,
    first: impl FnOnce(&Fixture, Option<&str>) -> Option<String>,
) -> Warm {
    let token = make(&fixture);
    let mut service = fixture.service();
    {
        let _runtime = fixture.enter();
        let first = first(&fixture, token.as_deref());
        let _ = call(&mut service, request(first.as_deref()));
    }
    Warm {
        request: request(token.as_deref()),
        service,
        fixture,
    }
}

fn same(_: &Fixture, token: Option<&str>) -> Option<String> {
    token.map(str::to_owned)
}

fn accepted(algorithm: Algorithm) -> Warm {
    accepted_in(Fixture::new(), algorithm)
}

fn accepted_in(fixture: Fixture, algorithm: Algorithm) -> Warm {
    let another = |fixture: &Fixture, _: Option<&str>| {
        Some(fixture.token(algorithm, &[("2wXk9QpL", "another")]))
    };
    warm_in(
        fixture,
        |fixture| Some(fixture.token(algorithm, &[])),
        another,
    )
}

fn accepted_among(keys: usize, issuers: usize) -> Warm {
    accepted_in(Fixture::among(keys, issuers), Algorithm::Rs256)
}

/// With this many other tokens in the cache.
fn seen_before_among(others: usize) -> Warm {
    let mut warm = seen_before();
    let runtime = warm.fixture.enter();
    for n in 0..others {
        let changed = format!("other-{n}");
        let token = warm
            .fixture
            .token(Algorithm::EdDsa, &[("2wXk9QpL", &changed)]);
        let _ = call(&mut warm.service, request(Some(&token)));
    }
    drop(runtime);
    warm
}

fn seen_before() -> Warm {
    warm(|fixture| Some(fixture.token(Algorithm::Rs256, &[])), same)
}

/// With a claim that is longer by this many characters.
fn seen_before_of(more: usize) -> Warm {
    let padded = format!("2wXk9QpL{}", "x".repeat(more));
    let token = |fixture: &Fixture| Some(fixture.token(Algorithm::Rs256, &[("2wXk9QpL", &padded)]));
    warm(token, same)
}

fn changed(old: &'static str, new: &'static str) -> Warm {
    warm(
        |fixture| Some(fixture.token(Algorithm::Rs256, &[(old, new)])),
        same,
    )
}

fn bad_signature() -> Warm {
    let forged = |fixture: &Fixture| {
        let good = fixture.token(Algorithm::Rs256, &[]);
        let other = fixture.token(Algorithm::Rs256, &[("2wXk9QpL", "2wXk9QpM")]);
        let (input, _) = good.rsplit_once('.')?;
        let (_, signature) = other.rsplit_once('.')?;
        Some(format!("{input}.{signature}"))
    };
    warm(forged, same)
}

#[library_benchmark(setup = accepted)]
#[bench::rs256(Algorithm::Rs256)]
#[bench::es256(Algorithm::Es256)]
#[bench::eddsa(Algorithm::EdDsa)]
fn accept(mut warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

#[library_benchmark(setup = seen_before)]
#[bench::rs256()]
fn accept_again(mut warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

#[library_benchmark(setup = seen_before_among)]
#[bench::tokens_1000(1_000)]
fn accept_again_among(mut warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

#[library_benchmark(setup = accepted_among)]
#[bench::keys_90(90, 0)]
#[bench::issuers_50(0, 49)]
fn accept_among(mut warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

#[library_benchmark(setup = seen_before_of)]
#[bench::kib_4(2_350)]
#[bench::kib_16(11_500)]
fn accept_again_large(mut warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

#[library_benchmark(setup = changed)]
#[bench::expired("4102444800", "1700000001")]
#[bench::wrong_audience("https://api.example.com", "https://xyz.example.com")]
#[bench::wrong_issuer("tenant.us.auth0.com", "strange.us.auth0.com")]
fn refuse(mut warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

#[library_benchmark(setup = bad_signature)]
#[bench::rs256()]
fn refuse_signature(mut warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

struct Restricted {
    service: Bearer<Require<Inner>>,
    request: Request<()>,
    fixture: Fixture,
}

/// Behind this requirement, which the token was asked before.
fn restricted(layer: &RequireLayer) -> Restricted {
    let fixture = Fixture::new();
    let token = fixture.token(Algorithm::Rs256, &[]);
    let mut service = BearerLayer::new(fixture.verifier.clone()).layer(layer.layer(Inner));
    {
        let _runtime = fixture.enter();
        let _ = call(&mut service, request(Some(&token)));
    }
    Restricted {
        request: request(Some(&token)),
        service,
        fixture,
    }
}

fn by_scope() -> Restricted {
    restricted(&RequireLayer::scope("read:messages").expect("a scope"))
}

fn by_claim() -> Restricted {
    restricted(&RequireLayer::claim("permissions", "read:messages").expect("a path"))
}

#[library_benchmark]
#[bench::scope(by_scope())]
#[bench::claim(by_claim())]
fn require(mut warm: Restricted) -> (Response<()>, Bearer<Require<Inner>>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

fn unread(token: Option<&str>) -> Warm {
    warm(|_| token.map(str::to_owned), same)
}

#[library_benchmark(setup = unread)]
#[bench::garbage(Some("garbage"))]
#[bench::none(None)]
fn refuse_unread(mut warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

/// An opaque token that the provider was asked about before.
fn introspected() -> Warm {
    const OPAQUE: &str = "q1hZ8vXo3TnC5bWkP0sRfJ7mYdLgUa2eE9iNtVxBcAo";
    warm_in(
        Fixture::introspecting(OPAQUE),
        |_| Some(OPAQUE.to_owned()),
        same,
    )
}

#[library_benchmark]
#[bench::opaque(introspected())]
fn introspected_again(mut warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

struct AxumWarm {
    service: Bearer<AxumInner>,
    request: Request<axum::body::Body>,
    fixture: Fixture,
}

fn axum_unread(token: Option<&str>) -> AxumWarm {
    let fixture = Fixture::new();
    let mut service = BearerLayer::new(fixture.verifier.clone()).layer(AxumInner);
    let make = || request(token).map(|()| axum::body::Body::empty());
    let measured = make();
    {
        let _runtime = fixture.enter();
        let _ = call(&mut service, make());
    }
    AxumWarm {
        service,
        request: measured,
        fixture,
    }
}

#[library_benchmark(setup = axum_unread)]
#[bench::garbage(Some("garbage"))]
#[bench::none(None)]
fn refuse_unread_in_axum(
    mut warm: AxumWarm,
) -> (Response<axum::body::Body>, Bearer<AxumInner>, Fixture) {
    (
        black_box(call(&mut warm.service, warm.request)),
        warm.service,
        warm.fixture,
    )
}

/// A request with a token, as in the other bare service.
fn axum_read() -> AxumWarm {
    let token = Fixture::new().token(Algorithm::Rs256, &[]);
    axum_unread(Some(&token))
}

#[library_benchmark]
#[bench::inner(axum_read())]
fn bare_in_axum(warm: AxumWarm) -> (Response<axum::body::Body>, Bearer<AxumInner>, Fixture) {
    (
        black_box(call(&mut AxumInner, warm.request)),
        warm.service,
        warm.fixture,
    )
}

#[library_benchmark(setup = accepted)]
#[bench::inner(Algorithm::Rs256)]
fn bare(warm: Warm) -> (Response<()>, Bearer<Inner>, Fixture) {
    (
        black_box(call(&mut Inner, warm.request)),
        warm.service,
        warm.fixture,
    )
}

struct Raw {
    key: ParsedPublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
    _fixture: Fixture,
}

fn raw(algorithm: Algorithm) -> Raw {
    let fixture = Fixture::new();
    let token = fixture.token(algorithm, &[]);
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let jwk: serde_json::Value =
        serde_json::from_str(&fixture.key(algorithm).public_jwk()).expect("a JWK");
    let number = |name: &str| {
        let text = jwk[name].as_str().expect("a number");
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    };
    let key = match algorithm {
        Algorithm::Rs256 => RsaPublicKeyComponents {
            n: number("n"),
            e: number("e"),
        }
        .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Es256 => ParsedPublicKey::new(
            &signature::ECDSA_P256_SHA256_FIXED,
            [&[4][..], &number("x"), &number("y")].concat(),
        ),
        _ => ParsedPublicKey::new(&signature::ED25519, number("x")),
    }
    .expect("a key");
    let raw = Raw {
        key,
        message: message.as_bytes().to_vec(),
        signature: URL_SAFE_NO_PAD.decode(signature).expect("base64url"),
        _fixture: fixture,
    };
    raw.key
        .verify_sig(&raw.message, &raw.signature)
        .expect("a good signature");
    raw
}

#[library_benchmark(setup = raw)]
#[bench::rs256(Algorithm::Rs256)]
#[bench::es256(Algorithm::Es256)]
#[bench::eddsa(Algorithm::EdDsa)]
fn signature_alone(raw: Raw) -> Raw {
    let _ = black_box(raw.key.verify_sig(&raw.message, &raw.signature));
    raw
}

struct Visit {
    service: Login<Page>,
    request: Request<String>,
    site: Site,
}

fn visit(make: impl Fn(&Site) -> Request<String>) -> Visit {
    let site = Site::new();
    let (service, request) = {
        let _runtime = site.enter();
        // Work that is done once is done here: a session is decrypted, a key used for the first time.
        let mut service = site.service();
        let _ = call(&mut service, make(&site));
        let request = make(&site);
        if request.uri().path() == "/" {
            // Several times, so that the housekeeping of the store, due three times a second, does not fall
            // into the measurement.
            for _ in 0..3 {
                let _ = call(&mut service, again(&request));
            }
        }
        (service, request)
    };
    Visit {
        service,
        request,
        site,
    }
}

fn signed_in() -> Visit {
    visit(Site::signed_in)
}

fn callback() -> Visit {
    visit(Site::callback)
}

#[library_benchmark(setup = signed_in)]
#[bench::nothing_due()]
fn session(mut visit: Visit) -> (Response<String>, Login<Page>, Site) {
    let response = black_box(call(&mut visit.service, visit.request));
    (response, visit.service, visit.site)
}

#[library_benchmark(setup = signed_in)]
#[bench::inner()]
fn bare_page(visit: Visit) -> (Response<String>, Login<Page>, Site) {
    let response = black_box(call(&mut Page, visit.request));
    (response, visit.service, visit.site)
}

#[library_benchmark(setup = callback)]
#[bench::callback()]
fn sign_in(mut visit: Visit) -> (Response<String>, Login<Page>, Site) {
    let runtime = visit.site.enter();
    let response = black_box(call(&mut visit.service, visit.request));
    drop(runtime);
    (response, visit.service, visit.site)
}

struct Leaving {
    service: Outbound<Upstream>,
    request: Request<Empty<Bytes>>,
    caller: Caller,
}

fn leaving() -> Leaving {
    let caller = Caller::new();
    let mut service = caller.service();
    let _ = call(&mut service, leaving_request());
    Leaving {
        service,
        request: leaving_request(),
        caller,
    }
}

type Left = (Response<Empty<Bytes>>, Outbound<Upstream>, Caller);

#[library_benchmark(setup = leaving)]
#[bench::fresh_token()]
fn leave(mut leaving: Leaving) -> Left {
    let response = black_box(call(&mut leaving.service, leaving.request));
    (response, leaving.service, leaving.caller)
}

#[library_benchmark(setup = leaving)]
#[bench::inner()]
fn bare_client(leaving: Leaving) -> Left {
    let response = black_box(call(&mut Upstream, leaving.request));
    (response, leaving.service, leaving.caller)
}

type Routed = (axum::response::Response, Routes, Fixture);

#[library_benchmark(setup = routes)]
#[bench::bare(Stack::Bare)]
#[bench::idle(Stack::Idle)]
#[bench::within(Stack::Within)]
#[bench::around(Stack::Around)]
fn route((mut routes, request, fixture): (Routes, axum::extract::Request, Fixture)) -> Routed {
    (black_box(call(&mut routes, request)), routes, fixture)
}

library_benchmark_group!(name = axum_routes, benchmarks = [route]);

library_benchmark_group!(name = outbound, benchmarks = [bare_client, leave]);

library_benchmark_group!(name = login, benchmarks = [bare_page, session, sign_in]);

library_benchmark_group!(
    name = bearer,
    benchmarks = [
        bare,
        signature_alone,
        accept,
        accept_again,
        introspected_again,
        require,
        refuse,
        refuse_signature,
        refuse_unread,
        bare_in_axum,
        refuse_unread_in_axum
    ]
);

library_benchmark_group!(
    name = growth,
    benchmarks = [accept_again_large, accept_again_among, accept_among]
);

main!(
    library_benchmark_groups = bearer,
    growth,
    axum_routes,
    login,
    outbound
);
