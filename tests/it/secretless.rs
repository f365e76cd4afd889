//! Clients without a secret: assertions of the platform, private keys, certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_oidc::env::{LoginSettings, ServiceSettings};
use tower_oidc::error::OutboundErrorKind as Kind;
use tower_oidc::outbound::{ClientCredentials, OnBehalfOf, Target, TokenExchange, TokenSource};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault, ManualClock, SigningKey};
use tower_oidc::{
    Algorithm, AssertionAudience, BearerLayer, Client, ClientAssertion, ClientKeys, Clock as _,
    Introspection, KeyId, KeyRing, LoginLayer, OutboundLayer,
};

use crate::browser::{App, Browser, SECRET, SITE};
use crate::exchange::{from, principal};
use crate::log::Log;
use crate::support::{API, judging, judging_as, seconds, until, verdict};
use crate::upstream::{AUDIENCE, ORDERS, Upstream, call, development, get, kind};

/// A folder that ends with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("secretless-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PLATFORM: &str = "https://kubernetes.default.svc";
const WORKLOAD: &str = "system:serviceaccount:shop:orders";

/// A platform that makes assertions, which the provider trusts.
struct Platform {
    key: SigningKey,
    clock: ManualClock,
}

impl Platform {
    fn trusted_by(idp: &DevelopmentProvider, clock: &ManualClock) -> Self {
        let key = SigningKey::generate("platform", Algorithm::Es256);
        let jwks = format!("{{\"keys\":[{}]}}", key.public_jwk());
        idp.trust_platform(PLATFORM, WORKLOAD, idp.issuer(), &jwks);
        Self {
            key,
            clock: clock.clone(),
        }
    }

    /// An assertion that lives for so many seconds.
    fn assertion(&self, idp: &DevelopmentProvider, lifetime: i64) -> String {
        let header = json!({"alg": "ES256", "kid": "platform"});
        let claims = json!({
            "iss": PLATFORM,
            "sub": WORKLOAD,
            "aud": [idp.issuer()],
            "exp": self.clock.now().as_seconds() + lifetime,
        });
        self.key
            .sign_compact(header.to_string(), claims.to_string())
    }
}

const DAY: i64 = 86_400;

fn pem() -> String {
    rcgen::KeyPair::generate().unwrap().serialize_pem()
}

fn value<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = form.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn calling(source: impl TokenSource) -> tower_oidc::outbound::Outbound<crate::upstream::Client> {
    Upstream::new().behind(&OutboundLayer::new(ORDERS, source).unwrap())
}

fn credentials(idp: &DevelopmentProvider, client: Client) -> ClientCredentials {
    let target = Target::audience(AUDIENCE).unwrap();
    ClientCredentials::new(&idp.provider().unwrap(), client, target)
}

/// Signs in with a pushed request, refreshes and signs out.
async fn sign_in_refresh_and_sign_out(app: &mut App, client: &Client) {
    let keys = KeyRing::new([SECRET]).unwrap();
    app.layer = LoginLayer::builder(app.verifier.clone(), client.clone(), SITE, keys)
        .with_requested_audience(Some(API))
        .with_pushed_authorization_requests()
        .build()
        .unwrap();
    let mut browser = Browser::default();
    browser.sign_in(app).await;
    app.hour_passes();
    assert_eq!(browser.visit(app, "/").await.body(), "user-1");
    browser.post(app, "/oauth/openid/logout").await;
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
}

/// Gets tokens of its own and for a caller, and asks about one.
async fn get_exchange_and_ask(idp: &DevelopmentProvider, client: &Client) {
    let provider = idp.provider().unwrap();
    let own = calling(credentials(idp, client.clone()));
    call(&own, get(ORDERS)).await.unwrap();
    let layer = BearerLayer::new(judging(&provider, API)).allow_relay();
    let caller = principal(&layer, &idp.token(API).build()).await;
    let target = Target::audience(AUDIENCE).unwrap();
    let exchange = TokenExchange::new(&provider, client.clone(), target);
    call(&calling(exchange), from(&caller)).await.unwrap();
    let scope = format!("{AUDIENCE}/.default");
    let on_behalf = OnBehalfOf::new(&provider, client.clone(), &scope).unwrap();
    call(&calling(on_behalf), from(&caller)).await.unwrap();
    let asking = judging_as(&provider, API).with_introspection(Introspection::new(client.clone()));
    let opaque = idp.opaque_token_for(&idp.token(API));
    assert_eq!(verdict(&asking.build().unwrap(), &opaque).await, "accepted");
}

// CA-01, CA-02, CA-03
#[tokio::test]
async fn every_call_is_authenticated_by_what_the_client_has() {
    let folder = Folder::new();
    for way in ["key", "key file", "older key", "assertion file", "function"] {
        let mut app = App::start().await;
        let own = pem();
        let platform = Platform::trusted_by(&app.idp, &app.clock);
        let assertion = platform.assertion(&app.idp, DAY);
        let key_file = folder.file("key.pem", &own);
        let assertion_file = folder.file("assertion", &format!("{assertion}\n"));
        let id = "development";
        let client = match way {
            "key" => Client::with_private_key(id, None, KeyId::None, &own),
            "older key" => Client::with_private_key(id, None, "named", &own)
                .map(|client| client.with_assertion_audience(AssertionAudience::TokenEndpoint)),
            "key file" => Client::with_private_key_file(id, None, KeyId::Thumbprint, key_file),
            "assertion file" => Client::with_assertion_file(id, assertion_file),
            _ => {
                let assertion = assertion.clone();
                Client::with_assertion(id, move || {
                    let assertion = ClientAssertion::new(assertion.clone());
                    async { Ok::<_, std::io::Error>(assertion) }
                })
            }
        }
        .unwrap();
        if way.contains("key") {
            let jwks = ClientKeys::of(&client).unwrap().jwks().await.unwrap();
            app.idp.trust_client_keys(&jwks);
        }
        sign_in_refresh_and_sign_out(&mut app, &client).await;
        get_exchange_and_ask(&app.idp, &client).await;

        let grants = app.idp.seen(Endpoint::Token);
        let types: Vec<_> = grants
            .iter()
            .map(|form| value(form, "grant_type").unwrap())
            .collect();
        assert_eq!(
            types,
            [
                "authorization_code",
                "refresh_token",
                "client_credentials",
                "urn:ietf:params:oauth:grant-type:token-exchange",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
            ],
            "{way}"
        );
        let asked = app.idp.seen(Endpoint::Introspection);
        let revoked = app.idp.seen(Endpoint::Revocation);
        assert_eq!((asked.len(), revoked.len()), (1, 1), "{way}");
        for form in grants.iter().chain(&asked).chain(&revoked) {
            assert!(value(form, "client_assertion").is_some(), "{way}: {form:?}");
            assert_eq!(value(form, "client_id"), Some(id), "{way}");
            assert_eq!(value(form, "client_secret"), None, "{way}");
        }
        let pushed = &app.idp.seen(Endpoint::Authorization)[0];
        assert!(value(pushed, "request_uri").is_some(), "{way}: {pushed:?}");
    }
}

/// What may become of the file of an assertion, and what the log says of it.
const BAD: [(&str, &str); 7] = [
    ("missing", "it does not exist"),
    ("empty", "it is empty"),
    ("half", "it is not a JWT of three parts"),
    ("page", "it is not a JWT of three parts"),
    ("expired", "it has expired"),
    ("folder", "it is not a file"),
    ("large", "it is larger than"),
];

/// Makes the file bad, or good again.
fn put(path: &Path, what: &str, good: &str, expired: &str) {
    let _ = fs::remove_dir(path);
    let _ = fs::remove_file(path);
    match what {
        "missing" => {}
        "folder" => fs::create_dir(path).unwrap(),
        "empty" => fs::write(path, "\n").unwrap(),
        "half" => fs::write(path, &good[..good.rfind('.').unwrap()]).unwrap(),
        "page" => fs::write(path, "<h1>not found</h1>").unwrap(),
        "expired" => fs::write(path, expired).unwrap(),
        "large" => fs::write(path, "x".repeat(100_000)).unwrap(),
        _ => fs::write(path, good).unwrap(),
    }
}

// CA-01
#[tokio::test]
async fn a_bad_assertion_file_costs_nothing_while_the_former_one_lives() {
    let folder = Folder::new();
    let (idp, clock) = development().await;
    let platform = Platform::trusted_by(&idp, &clock);
    let expired = platform.assertion(&idp, -1);
    for (bad, problem) in BAD {
        let good = platform.assertion(&idp, DAY / 2);
        let path = folder.file(&format!("of-{bad}"), &good);
        let client = Client::with_assertion_file("development", &path).unwrap();
        let service = calling(credentials(&idp, client));
        call(&service, get(ORDERS)).await.unwrap();
        put(&path, bad, &good, &expired);
        clock.advance(seconds(7_200));
        let log = Log::default();
        let capturing = log.capture();
        call(&service, get(ORDERS)).await.unwrap();
        let told = log.at(tracing::Level::WARN).join("\n");
        for part in ["client assertion file", path.to_str().unwrap(), problem] {
            assert!(told.contains(part), "{bad}: {told}");
        }
        assert!(!log.text().contains(&good[..40]), "{bad}");

        // Once the former one has expired, no call is made, and a good file is enough to go on.
        clock.advance(seconds(43_200));
        let granted = idp.hits().token;
        assert_eq!(
            kind(&service, get(ORDERS)).await,
            Kind::Unavailable,
            "{bad}"
        );
        assert_eq!(idp.hits().token, granted, "{bad}: no call");
        let told = log.at(tracing::Level::ERROR).join("\n");
        assert!(told.contains("cannot authenticate"), "{bad}: {told}");
        drop(capturing);
        put(&path, "good", &platform.assertion(&idp, DAY), &expired);
        clock.advance(seconds(60));
        call(&service, get(ORDERS)).await.unwrap();
    }
}

// CA-01
#[tokio::test]
async fn at_the_start_an_assertion_may_be_yet_to_come() {
    let folder = Folder::new();
    let (idp, clock) = development().await;
    let platform = Platform::trusted_by(&idp, &clock);
    // Expiry is not known at the start, because the clock comes with the call.
    for (bad, problem) in BAD {
        let path = folder.0.join(format!("later-{bad}"));
        let good = platform.assertion(&idp, DAY);
        put(&path, bad, &good, &platform.assertion(&idp, -1));
        let client = Client::with_assertion_file("development", &path);
        if ["folder", "large"].contains(&bad) {
            let error = client.unwrap_err();
            assert_eq!(error.setting(), "client assertion file");
            assert!(error.to_string().contains(problem), "{error}");
            continue;
        }
        let service = calling(credentials(&idp, client.unwrap()));
        assert_eq!(
            kind(&service, get(ORDERS)).await,
            Kind::Unavailable,
            "{bad}"
        );
        put(&path, "good", &good, "");
        clock.advance(seconds(60));
        call(&service, get(ORDERS)).await.unwrap();
    }
    let nowhere = Client::with_assertion_file("development", "/nowhere/at/all/token");
    let error = nowhere.unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all/token"), "{error}");
}

// CA-01, RT-06
#[tokio::test]
async fn a_session_outlives_the_lack_of_an_assertion() {
    let folder = Folder::new();
    let mut app = App::start().await;
    let platform = Platform::trusted_by(&app.idp, &app.clock);
    let path = folder.file("token", &platform.assertion(&app.idp, 5_000));
    let client = Client::with_assertion_file("development", &path).unwrap();
    let keys = KeyRing::new([SECRET]).unwrap();
    app.layer = LoginLayer::builder(app.verifier.clone(), client, SITE, keys)
        .with_requested_audience(Some(API))
        .build()
        .unwrap();
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    fs::remove_file(&path).unwrap();
    app.clock.advance(seconds(6_000));
    for _ in 0..3 {
        let answer = browser.fetch(&app, "/").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        app.clock.advance(seconds(60));
    }
    assert_eq!(app.idp.hits().token, 1, "nothing was spent");
    fs::write(&path, platform.assertion(&app.idp, DAY)).unwrap();
    assert_eq!(browser.fetch(&app, "/").await.body(), "user-1");
    assert_eq!(app.idp.hits().reused, 0);
}

// CA-01
#[tokio::test]
async fn an_assertion_refused_and_replaced_meanwhile_is_sent_again() {
    let folder = Folder::new();
    let (idp, clock) = development().await;
    let platform = Platform::trusted_by(&idp, &clock);
    let good = platform.assertion(&idp, DAY);
    let stranger = SigningKey::generate("platform", Algorithm::Es256);
    let (head, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", {
        let whole = stranger.sign_compact("{}", "{}");
        whole.rsplit_once('.').unwrap().1.to_owned()
    });
    let path = folder.file("token", &forged);
    let client = Client::with_assertion_file("development", &path).unwrap();
    let service = calling(credentials(&idp, client));
    let log = Log::default();
    let capturing = log.capture();
    assert_eq!(kind(&service, get(ORDERS)).await, Kind::Misconfigured);
    assert_eq!(idp.hits().token, 1, "the file has the same");
    let told = log.at(tracing::Level::WARN).join("\n");
    for part in [
        "the provider refused this client",
        "development",
        "private_key_jwt",
    ] {
        assert!(told.contains(part), "{told}");
    }
    drop(capturing);
    // The platform replaces it while the call is under way.
    idp.set_fault(Endpoint::Token, Fault::Slow(seconds(1)));
    clock.advance(seconds(60));
    let calling = tokio::spawn(async move { call(&service, get(ORDERS)).await });
    until(|| idp.seen(Endpoint::Token).len() == 2).await;
    fs::write(&path, &good).unwrap();
    calling.await.unwrap().unwrap();
    assert_eq!(idp.hits().token, 3, "refused, then taken");
}

async fn served(keys: &ClientKeys, method: Method) -> http::Response<String> {
    let request = Request::builder()
        .method(method)
        .body(String::new())
        .unwrap();
    let response = keys.service().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap();
    let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    http::Response::from_parts(parts, body)
}

fn kids(jwks: &str) -> Vec<String> {
    let jwks: Value = serde_json::from_str(jwks).unwrap();
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

// CA-03
#[tokio::test]
async fn a_key_is_changed_without_a_restart_and_no_call_fails() {
    let folder = Folder::new();
    let (idp, clock) = development().await;
    let (old, new) = (pem(), pem());
    let (signing, next) = (folder.file("signing.pem", &old), folder.0.join("next.pem"));
    let id = "development";
    let client = Client::with_private_key_file(id, None, KeyId::Thumbprint, &signing).unwrap();
    let keys = ClientKeys::of(&client).unwrap();
    let keys = keys
        .add_private_key_file(None, KeyId::Thumbprint, &next)
        .unwrap();
    let service = calling(credentials(&idp, client));
    let signed_by = || {
        let form = idp.seen(Endpoint::Token).pop().unwrap();
        let assertion = value(&form, "client_assertion").unwrap();
        let header = decoded(assertion.split('.').next().unwrap());
        header["kid"].as_str().unwrap().to_owned()
    };
    // One key is published, and signs.
    let first = served(&keys, Method::GET).await.into_body();
    idp.trust_client_keys(&first);
    call(&service, get(ORDERS)).await.unwrap();
    assert_eq!(kids(&first), [signed_by()]);

    // The next one is published, and does not sign.
    fs::write(&next, &new).unwrap();
    let both = served(&keys, Method::GET).await.into_body();
    assert_eq!(kids(&both).len(), 2);
    idp.trust_client_keys(&both);
    clock.advance(seconds(7_200));
    call(&service, get(ORDERS)).await.unwrap();
    assert_eq!(kids(&both)[0], signed_by());

    // It signs; while both files hold it, it is one key.
    fs::write(&signing, &new).unwrap();
    clock.advance(seconds(7_200));
    call(&service, get(ORDERS)).await.unwrap();
    assert_eq!(kids(&both)[1], signed_by());
    let after = served(&keys, Method::GET).await.into_body();
    assert_eq!(kids(&after), [signed_by()]);
    fs::remove_file(&next).unwrap();
    idp.trust_client_keys(&after);

    // A file that is being written, or gone, changes nothing.
    for broken in [&new[..80], ""] {
        fs::write(&signing, broken).unwrap();
        clock.advance(seconds(7_200));
        call(&service, get(ORDERS)).await.unwrap();
    }
    assert_eq!(served(&keys, Method::GET).await.into_body(), after);
}

fn decoded(part: &str) -> Value {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    serde_json::from_slice(&engine.decode(part).unwrap()).unwrap()
}

// CA-03
#[tokio::test]
async fn only_public_members_are_served_and_only_read() {
    let own = pem();
    let client = Client::with_private_key("a", None, "k", &own).unwrap();
    let keys = ClientKeys::of(&client).unwrap();
    let answer = served(&keys, Method::GET).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "max-age=600");
    let jwks: Value = serde_json::from_str(answer.body()).unwrap();
    let members: Vec<_> = jwks["keys"][0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!(served(&keys, Method::HEAD).await.body(), "");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = served(&keys, method).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers()["allow"], "GET, HEAD");
    }
    let secret = Client::with_secret("a", "hunter2").unwrap();
    let error = ClientKeys::of(&secret).unwrap_err();
    assert_eq!(error.setting(), "client private key");
    for shown in [format!("{keys:?}"), format!("{client:?}")] {
        assert!(shown.len() < 60, "{shown}");
    }
}

/// The settings of a service, with these beside.
fn service(more: &[(&str, &str)]) -> Result<ServiceSettings, tower_oidc::ConfigError> {
    let base = [
        ("OPENID_ISSUER", "https://id.example.com"),
        ("OPENID_CLIENT_ID", "orders"),
    ];
    let base = base
        .into_iter()
        .filter(|(name, _)| !more.iter().any(|(other, _)| name == other));
    let all: Vec<_> = base.chain(more.iter().copied()).collect();
    ServiceSettings::from_pairs(all)
}

// CA-05, D17
#[test]
fn two_ways_to_authenticate_are_refused_by_both_names() {
    let ways = [
        ("OPENID_CLIENT_SECRET", "hunter2"),
        ("OPENID_CLIENT_SECRET_FILE", "/x"),
        ("OPENID_CLIENT_ASSERTION_FILE", "/x"),
        ("OPENID_CLIENT_PRIVATE_KEY_FILE", "/x"),
        ("OPENID_CLIENT_CERTIFICATE_FILE", "/x"),
    ];
    for (at, one) in ways.iter().enumerate() {
        for other in &ways[at + 1..] {
            let error = service(&[*one, *other]).unwrap_err().to_string();
            assert!(error.contains(one.0) && error.contains(other.0), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
    for name in [
        "OPENID_CLIENT_PRIVATE_KEY_ID",
        "OPENID_CLIENT_PRIVATE_KEY_ALGORITHM",
        "OPENID_CLIENT_PUBLISHED_KEY_FILE",
        "OPENID_CLIENT_ASSERTION_AUDIENCE",
    ] {
        let error = service(&[("OPENID_CLIENT_SECRET", "x"), (name, "RS256")]);
        let error = error.unwrap_err().to_string();
        let needed = "OPENID_CLIENT_PRIVATE_KEY_FILE";
        assert!(error.contains(name) && error.contains(needed), "{error}");
    }
    let key = service(&[
        ("OPENID_CLIENT_SECRET", "x"),
        ("OPENID_CLIENT_CERTIFICATE_KEY_FILE", "/x"),
    ]);
    let error = key.unwrap_err();
    assert_eq!(error.setting(), "OPENID_CLIENT_CERTIFICATE_FILE");
}

// CA-05, D17
#[test]
fn a_setting_of_a_client_without_secret_is_refused_with_its_name() {
    let folder = Folder::new();
    let key = folder.file("key.pem", &pem());
    let (key, broken) = (key.to_str().unwrap(), folder.file("broken.pem", "x"));
    let broken = broken.to_str().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    let certificate = folder.file("certificate.pem", &certificate.cert.pem());
    let certificate = certificate.to_str().unwrap();
    let private_key = ("OPENID_CLIENT_PRIVATE_KEY_FILE", key);
    for (settings, named, part) in [
        (
            &[("OPENID_CLIENT_PRIVATE_KEY_FILE", "/nowhere.pem")][..],
            "OPENID_CLIENT_PRIVATE_KEY_FILE",
            "does not exist",
        ),
        (
            &[("OPENID_CLIENT_PRIVATE_KEY_FILE", broken)],
            "OPENID_CLIENT_PRIVATE_KEY_FILE",
            "private key in PEM",
        ),
        (
            &[
                private_key,
                ("OPENID_CLIENT_PRIVATE_KEY_ALGORITHM", "RS256"),
            ],
            "OPENID_CLIENT_PRIVATE_KEY_FILE",
            "fits the algorithm",
        ),
        (
            &[
                private_key,
                ("OPENID_CLIENT_PRIVATE_KEY_ALGORITHM", "HS256"),
            ],
            "OPENID_CLIENT_PRIVATE_KEY_ALGORITHM",
            "HMAC",
        ),
        (
            &[
                private_key,
                ("OPENID_CLIENT_PRIVATE_KEY_ALGORITHM", "ES256,RS256"),
            ],
            "OPENID_CLIENT_PRIVATE_KEY_ALGORITHM",
            "write one",
        ),
        (
            &[private_key, ("OPENID_CLIENT_ASSERTION_AUDIENCE", "token")],
            "OPENID_CLIENT_ASSERTION_AUDIENCE",
            "token_endpoint",
        ),
        (
            &[private_key, ("OPENID_CLIENT_PUBLISHED_KEY_FILE", broken)],
            "OPENID_CLIENT_PUBLISHED_KEY_FILE",
            "private key in PEM",
        ),
        (
            &[
                private_key,
                ("OPENID_TOKEN_ENDPOINT_AUTH_METHOD", "client_secret_post"),
            ],
            "OPENID_TOKEN_ENDPOINT_AUTH_METHOD",
            "OPENID_CLIENT_PRIVATE_KEY_FILE",
        ),
        (
            &[("OPENID_CLIENT_ASSERTION_FILE", "/")],
            "OPENID_CLIENT_ASSERTION_FILE",
            "not a file",
        ),
        (
            &[("OPENID_CLIENT_CERTIFICATE_FILE", "/nowhere.pem")],
            "OPENID_CLIENT_CERTIFICATE_FILE",
            "cannot be read",
        ),
        (
            &[("OPENID_CLIENT_CERTIFICATE_FILE", certificate)],
            "OPENID_CLIENT_CERTIFICATE_FILE",
            "private key",
        ),
        (
            &[
                ("OPENID_CLIENT_CERTIFICATE_FILE", certificate),
                ("OPENID_CLIENT_CERTIFICATE_KEY_FILE", key),
            ],
            "OPENID_CLIENT_CERTIFICATE_FILE",
            "cannot be used",
        ),
    ] {
        let error = service(settings).unwrap_err();
        assert_eq!(error.setting(), named, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains("BEGIN"), "{error}");
    }
}

// CA-05, D17
#[test]
fn the_settings_of_a_client_without_secret_are_shown_and_its_key_is_not() {
    let folder = Folder::new();
    let key = folder.file("key.pem", &pem());
    let key = key.to_str().unwrap();
    let published = folder.0.join("next.pem");
    let settings = service(&[
        ("OPENID_CLIENT_PRIVATE_KEY_FILE", key),
        ("OPENID_CLIENT_PRIVATE_KEY_ID", "thumbprint"),
        ("OPENID_CLIENT_PRIVATE_KEY_ALGORITHM", "ES256"),
        ("OPENID_CLIENT_ASSERTION_AUDIENCE", "token_endpoint"),
        (
            "OPENID_CLIENT_PUBLISHED_KEY_FILE",
            published.to_str().unwrap(),
        ),
    ])
    .unwrap();
    let shown = settings.to_string();
    for line in [
        "OPENID_CLIENT_SECRET = (none: a private key)\n",
        &format!("OPENID_CLIENT_PRIVATE_KEY_FILE = {key}\n"),
        "OPENID_CLIENT_PRIVATE_KEY_ID = thumbprint\n",
        "OPENID_CLIENT_PRIVATE_KEY_ALGORITHM = ES256\n",
        "OPENID_CLIENT_ASSERTION_AUDIENCE = token_endpoint\n",
        "OPENID_CLIENT_CERTIFICATE_FILE = none (default)\n",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let secret = &fs::read_to_string(key).unwrap()[40..80];
    assert!(!format!("{shown}{settings:?}").contains(secret));
    assert!(settings.client_keys().is_some());
}

// CA-06
#[test]
fn the_token_of_azure_is_for_its_own_tenant_alone() {
    let folder = Folder::new();
    let token = folder.file("azure-identity-token", "to come");
    let tenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
    let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let azure = [
        ("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap()),
        ("AZURE_TENANT_ID", tenant),
        ("AZURE_CLIENT_ID", "azure-client"),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"),
    ];
    let with = |more: &[(&str, &str)]| {
        let all: Vec<_> = azure
            .into_iter()
            .filter(|(name, _)| !more.iter().any(|(other, _)| name == other))
            .chain(more.iter().copied())
            .collect();
        service(&all)
    };
    let used = "OPENID_CLIENT_SECRET = (none: assertions of the platform)\n";
    let unset = ("OPENID_CLIENT_ID", "");
    for more in [
        &[unset][..],
        &[("OPENID_CLIENT_ID", "azure-client")],
        &[unset, ("AZURE_AUTHORITY_HOST", "")],
    ] {
        let more = [more, &[("OPENID_ISSUER", &*issuer)]].concat();
        let shown = with(&more).unwrap().to_string();
        assert!(shown.contains(used), "{shown}");
        assert!(shown.contains("AZURE_FEDERATED_TOKEN_FILE = "), "{shown}");
        assert!(
            shown.contains("OPENID_CLIENT_ID = azure-client\n"),
            "{shown}"
        );
    }
    // No other issuer sees it, it is for no other client, and settings of this crate come first.
    let other = with(&[("OPENID_ISSUER", &issuer)]).unwrap_err();
    assert_eq!(other.setting(), "OPENID_CLIENT_SECRET");
    let other_tenant = issuer.replace("8eaef023", "00000000");
    for issuer in [
        "https://id.example.com",
        "https://evil.example/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0",
        &other_tenant,
    ] {
        let error = with(&[
            ("OPENID_ISSUER", issuer),
            ("OPENID_CLIENT_ID", "azure-client"),
        ])
        .unwrap_err();
        assert_eq!(error.setting(), "OPENID_CLIENT_SECRET", "{issuer}");
        assert!(with(&[("OPENID_ISSUER", issuer), ("OPENID_CLIENT_ID", "")]).is_err());
    }
    let own = [
        ("OPENID_ISSUER", &*issuer),
        ("OPENID_CLIENT_ID", "azure-client"),
        ("OPENID_CLIENT_SECRET", "x"),
    ];
    let chosen = with(&own).unwrap();
    let shown = chosen.to_string();
    assert!(
        shown.contains("OPENID_CLIENT_SECRET = (redacted)\n"),
        "{shown}"
    );
    assert!(!shown.contains("AZURE"), "{shown}");
}

// CA-05, D17
#[tokio::test]
async fn variables_alone_make_a_client_without_a_secret() {
    let folder = Folder::new();
    let idp = DevelopmentProvider::start().await.unwrap();
    let key = folder.file("key.pem", &pem());
    let settings = service(&[
        ("OPENID_ISSUER", idp.issuer()),
        ("OPENID_CLIENT_ID", "development"),
        ("OPENID_REQUEST_AUDIENCE", AUDIENCE),
        ("OPENID_CLIENT_PRIVATE_KEY_FILE", key.to_str().unwrap()),
        ("OPENID_CLIENT_PRIVATE_KEY_ID", "thumbprint"),
    ])
    .unwrap();
    let keys = settings.client_keys().unwrap().jwks().await.unwrap();
    idp.trust_client_keys(&keys);
    call(&calling(settings.tokens().clone()), get(ORDERS))
        .await
        .unwrap();
    // The provider tells two clients apart, and does not take an assertion of another key.
    idp.trust_client_keys(
        &ClientKeys::of(&Client::with_private_key("x", None, KeyId::None, &pem()).unwrap())
            .unwrap()
            .jwks()
            .await
            .unwrap(),
    );
    let other = service(&[
        ("OPENID_ISSUER", idp.issuer()),
        ("OPENID_CLIENT_ID", "development"),
        ("OPENID_CLIENT_PRIVATE_KEY_FILE", key.to_str().unwrap()),
    ])
    .unwrap();
    let refused = kind(&calling(other.tokens().clone()), get(ORDERS)).await;
    assert_eq!(refused, Kind::Misconfigured);

    let login = LoginSettings::from_pairs([
        ("OPENID_ISSUER", idp.issuer()),
        ("OPENID_CLIENT_ID", "development"),
        ("OPENID_SESSION_SECRET", SECRET),
        ("OPENID_CLIENT_PRIVATE_KEY_FILE", key.to_str().unwrap()),
        ("OPENID_CLIENT_PRIVATE_KEY_ID", "thumbprint"),
    ])
    .unwrap();
    let published = login.client_keys().unwrap().jwks().await.unwrap();
    assert_eq!(published, keys);
}
