//! A site behind a login layer with a provider in memory, and a browser that is signed in.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, Service};
use tower_oidc::login::{Login, LoginBuilder};
use tower_oidc::testing::{OfflineProvider, SigningKey};
use tower_oidc::{Algorithm, Client, Clock, KeyRing, LoginLayer, Principal, SystemClock};

use crate::support::{AUDIENCE, ISSUER, call};

/// Answers at once, with 200 if a principal is there.
#[derive(Clone)]
pub(crate) struct Page;

impl Service<Request<String>> for Page {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let is_known = request.extensions().get::<Principal>().is_some();
        let mut response = Response::new(String::new());
        if !is_known {
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
        }
        ready(Ok(response))
    }
}

pub(crate) struct Site {
    pub(crate) layer: LoginLayer,
    key: Arc<SigningKey>,
    answer: Arc<Mutex<String>>,
    runtime: tokio::runtime::Runtime,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(|login| login)
    }

    /// With further choices, which are made within the runtime.
    pub(crate) fn with(choose: impl FnOnce(LoginBuilder) -> LoginBuilder) -> Self {
        let key = Arc::new(SigningKey::generate("RS256", Algorithm::Rs256));
        let idp = OfflineProvider::builder(ISSUER)
            .with_keys([Arc::clone(&key)])
            .build();
        // Without `authorization_response_iss_parameter_supported`, as of many providers.
        let metadata = json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{ISSUER}jwks"),
            "authorization_endpoint": format!("{ISSUER}authorize"),
            "token_endpoint": format!("{ISSUER}token"),
        });
        idp.set_discovery(metadata.to_string());
        let answer = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&answer);
        idp.set_token_answer(move |_| told.lock().expect("no panic").clone());
        let provider = idp.provider().expect("a provider");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(provider.ready()).expect("keys");
        let layer = LoginLayer::builder(
            provider.verifier(AUDIENCE).expect("a verifier"),
            Client::with_secret("site", "a secret").expect("a client"),
            "https://app.example.com",
            KeyRing::new(["a session secret of more than 32 characters"]).expect("a ring"),
        );
        let layer = {
            let _within = runtime.enter();
            choose(layer).build().expect("a layer")
        };
        Self {
            layer,
            key,
            answer,
            runtime,
        }
    }

    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    pub(crate) fn run<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    pub(crate) fn service(&self) -> Login<Page> {
        self.layer.layer(Page)
    }

    /// A callback. The answer of the token endpoint to its code is prepared.
    pub(crate) fn callback(&self) -> Request<String> {
        let start = call(&mut self.service(), get("/oauth/openid", ""));
        let location = start.headers()[LOCATION].to_str().expect("text");
        let asked = url::Url::parse(location).expect("a URL");
        let value = |name: &str| {
            let found = asked.query_pairs().find(|(known, _)| known == name);
            found.expect("a parameter").1.into_owned()
        };
        *self.answer.lock().expect("no panic") = self.tokens(&value("nonce"));
        let path = format!("/oauth/openid/callback?code=c&state={}", value("state"));
        get(&path, &cookies(&start))
    }

    /// A request of a browser that is signed in and has nothing due.
    pub(crate) fn signed_in(&self) -> Request<String> {
        // A store may answer later.
        let answer = self.run(self.service().call(self.callback()));
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
        get("/", &cookies(&answer))
    }

    /// An answer of the token endpoint. Its access token has 929 bytes.
    fn tokens(&self, nonce: &str) -> String {
        let now = SystemClock::new().now().as_seconds();
        let common = json!({"iss": ISSUER, "sub": "auth0|66f3c1d2e4b5a60789abcdef", "iat": now});
        let with = |more: Value| {
            let mut claims = common.clone();
            for (name, value) in more.as_object().expect("an object") {
                claims[name] = value.clone();
            }
            self.sign(&claims)
        };
        let access_token = with(json!({
            "aud": [AUDIENCE, format!("{ISSUER}userinfo")],
            "exp": 4_102_444_800_u64,
            "scope": "openid profile email offline_access read:messages",
            "azp": "site",
            "permissions": ["read:messages"],
        }));
        let id_token = with(json!({
            "aud": "site",
            "exp": now + 36_000,
            "nonce": nonce,
            "sid": "a-session-of-the-provider",
            "name": "Somebody",
            "email": "somebody@example.com",
        }));
        json!({
            "access_token": access_token,
            "id_token": id_token,
            "refresh_token": "v1.MZ0CJPPGFAKE-refresh-token-of-forty-characters",
            "token_type": "Bearer",
            "expires_in": 3600,
        })
        .to_string()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "RS256"});
        self.key
            .sign_compact(header.to_string(), claims.to_string())
    }
}

/// A copy of the request.
pub(crate) fn again(request: &Request<String>) -> Request<String> {
    let mut copy = Request::new(String::new());
    request.uri().clone_into(copy.uri_mut());
    request.headers().clone_into(copy.headers_mut());
    copy
}

fn get(path: &str, cookies: &str) -> Request<String> {
    let mut request = Request::new(String::new());
    *request.uri_mut() = path.parse().expect("a path");
    let value = HeaderValue::try_from(cookies).expect("a header value");
    request.headers_mut().insert(COOKIE, value);
    request
}

fn cookies(answer: &Response<String>) -> String {
    let fields = answer.headers().get_all(SET_COOKIE).iter();
    let pairs: Vec<_> = fields
        .map(|field| field.to_str().expect("text"))
        .filter(|field| !field.contains("Max-Age=0"))
        .map(|field| field.split(';').next().unwrap_or_default())
        .collect();
    pairs.join("; ")
}
