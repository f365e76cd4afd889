//! The bare inner service, and the same behind a bearer layer whose keys are in memory.
#![allow(dead_code, reason = "no program uses all of it")]

pub(crate) mod outbound;
pub(crate) mod routes;
pub(crate) mod session;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use tower::{Layer, Service};
use tower_oidc::bearer::Bearer;
use tower_oidc::testing::{Endpoint, Fault, OfflineProvider, SigningKey};
use tower_oidc::{Algorithm, BearerLayer, Client, Verifier};

pub(crate) const AUDIENCE: &str = "https://api.example.com";
pub(crate) const ISSUER: &str = "https://tenant.us.auth0.com/";

/// Does nothing, at once.
#[derive(Clone)]
pub(crate) struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

/// A provider in memory whose keys have been fetched, and the keys it signs with.
pub(crate) struct Fixture {
    pub(crate) verifier: Verifier,
    idp: OfflineProvider,
    runtime: tokio::runtime::Runtime,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::among(0, 0)
    }

    /// With this many more keys in the set, and this many more trusted issuers.
    pub(crate) fn among(more_keys: usize, more_issuers: usize) -> Self {
        let signing = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]
            .map(|algorithm| SigningKey::generate(algorithm.name(), algorithm));
        let others =
            (0..more_keys).map(|n| SigningKey::generate(format!("other-{n}"), Algorithm::EdDsa));
        // The signing keys come last, so that a search of the set meets all others first.
        let keys: Vec<_> = others.chain(signing).map(Arc::new).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let idp = |issuer: &str| {
            let builder = OfflineProvider::builder(issuer).with_keys(keys.iter().cloned());
            builder.build()
        };
        let own = idp(ISSUER);
        let providers: Vec<_> = (0..more_issuers)
            .map(|n| idp(&format!("https://tenant-{n}.example/")).provider())
            .chain([own.provider()])
            .map(|provider| provider.expect("a provider"))
            .collect();
        for provider in &providers {
            runtime.block_on(provider.ready()).expect("keys");
        }
        let (first, rest) = providers.split_first().expect("at least one");
        let verifier = rest
            .iter()
            .fold(Verifier::builder(first, AUDIENCE), |builder, provider| {
                builder.add_provider(provider)
            });
        Self {
            verifier: verifier.build().expect("a verifier"),
            idp: own,
            runtime,
        }
    }

    /// With a provider that says of every token that it is active, and was asked about this one. Its claims are those
    /// of [`token`](Self::token).
    pub(crate) fn introspecting(token: &str) -> Self {
        let fixture = Self::new();
        let claims = Self::claims(&[]);
        let answer = claims.replacen('{', "{\"active\":true,\"token_type\":\"Bearer\",", 1);
        let endpoint = Endpoint::Introspection;
        fixture.idp.set_fault(endpoint, Fault::json(answer));
        let client = Client::with_secret("api", "api-secret").expect("a client");
        let provider = fixture.idp.provider().expect("a provider");
        let verifier = Verifier::builder(&provider, AUDIENCE)
            .with_introspection(client)
            .build()
            .expect("a verifier");
        let asking = verifier.verify(token);
        fixture.runtime.block_on(asking).expect("an active token");
        Self {
            verifier,
            ..fixture
        }
    }

    pub(crate) fn service(&self) -> Bearer<Inner> {
        BearerLayer::new(self.verifier.clone()).layer(Inner)
    }

    pub(crate) fn key(&self, algorithm: Algorithm) -> Arc<SigningKey> {
        self.idp.signing_key(algorithm)
    }

    /// A token as Auth0 makes them: 929 bytes with RS256.
    pub(crate) fn token(&self, algorithm: Algorithm, change: &[(&str, &str)]) -> String {
        let key = self.key(algorithm);
        let header = format!(
            r#"{{"alg":"{}","typ":"JWT","kid":"{}"}}"#,
            algorithm.name(),
            key.kid()
        );
        key.sign_compact(header, Self::claims(change))
    }

    fn claims(change: &[(&str, &str)]) -> String {
        let mut claims = format!(
            r#"{{"iss":"{ISSUER}","sub":"auth0|66f3c1d2e4b5a60789abcdef","aud":["{AUDIENCE}","{ISSUER}userinfo"],"iat":1700000000,"exp":4102444800,"scope":"openid profile email offline_access read:messages","azp":"kT9vJ2mQ8rLw4XyZ7bN1cD5fG6hS3pAe","permissions":["read:messages"],"jti":"2wXk9QpL"}}"#
        );
        for (old, new) in change {
            assert!(claims.contains(old), "{old} is not in {claims}");
            claims = claims.replace(old, new);
        }
        claims
    }

    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }
}

pub(crate) fn request(token: Option<&str>) -> Request<()> {
    let mut request = Request::new(());
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {token}")).expect("a header value");
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}

/// Calls a service that answers at the first poll.
pub(crate) fn call<S, B>(service: &mut S, request: Request<B>) -> Response<B>
where
    S: Service<Request<B>, Response = Response<B>, Error: std::fmt::Debug>,
{
    let mut context = Context::from_waker(Waker::noop());
    let _ = service.poll_ready(&mut context);
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(response) => response.expect("an answer"),
        Poll::Pending => panic!("it waited"),
    }
}
