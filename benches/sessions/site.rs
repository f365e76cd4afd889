//! A site whose provider is in memory, and browsers that sign in and make requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::login::{MemoryStore, SessionStore, StoredRecord};
use tower_oidc::testing::{OfflineProvider, SigningKey};
use tower_oidc::{Algorithm, Client, Clock, KeyRing, LoginLayer, SystemClock};

use crate::Fallible;
use crate::counted::Counted;

const ISSUER: &str = "https://tenant.us.auth0.com/";
const AUDIENCE: &str = "https://api.example.com";

/// A provider in memory that counts the refresh tokens it takes.
#[derive(Clone)]
pub(crate) struct Idp {
    key: Arc<SigningKey>,
    grants: Arc<AtomicU64>,
}

impl Idp {
    pub(crate) fn new() -> Self {
        Self {
            key: Arc::new(SigningKey::generate("key", Algorithm::EdDsa)),
            grants: Arc::default(),
        }
    }

    pub(crate) fn grants(&self) -> u64 {
        self.grants.load(Ordering::Relaxed)
    }

    /// A site whose first tokens live for some seconds, and refreshed ones for an hour.
    pub(crate) fn site(
        &self,
        store: impl SessionStore,
        near_cache_age: Duration,
    ) -> Fallible<LoginLayer> {
        let idp = OfflineProvider::builder(ISSUER)
            .with_keys([Arc::clone(&self.key)])
            .build();
        let metadata = json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{ISSUER}jwks"),
            "authorization_endpoint": format!("{ISSUER}authorize"),
            "token_endpoint": format!("{ISSUER}token"),
            "id_token_signing_alg_values_supported": ["EdDSA"],
        });
        idp.set_discovery(metadata.to_string());
        let answering = self.clone();
        idp.set_token_answer(move |form| answering.tokens(form).to_string());
        let provider = idp.provider()?;
        Ok(LoginLayer::builder(
            provider.verifier(AUDIENCE)?,
            Client::with_secret("site", "a secret")?,
            "https://app.example.com",
            KeyRing::new(["a session secret of more than 32 characters"])?,
        )
        .with_store(store)
        .with_near_cache_age(near_cache_age)
        .build()?)
    }

    /// The record of a session that has just begun.
    pub(crate) async fn record(&self) -> Fallible<StoredRecord> {
        let store = Arc::new(Counted::new(Arc::new(MemoryStore::new())));
        sign_in(self.site(Arc::clone(&store), Duration::ZERO)?).await?;
        let record = store.session().ok_or("no session was created")?;
        Ok(record)
    }

    /// The code is the nonce, and each nonce is a user of its own. The access token is as long as one signed with
    /// RS256, whose signature is longer.
    fn tokens(&self, form: &[(String, String)]) -> Value {
        let value = |of: &str| form.iter().find(|(name, _)| name == of);
        let code = value("code").map(|(_, code)| code.as_str());
        let refresh_token = value("refresh_token").map(|(_, token)| token.as_str());
        let nonce = code
            .or_else(|| refresh_token?.strip_prefix("v1."))
            .unwrap_or_default();
        let now = SystemClock::new().now().as_seconds();
        let subject = format!("auth0|{}", nonce.get(..24).unwrap_or(nonce));
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "key"}).to_string();
        let signed = |claims: Value| self.key.sign_compact(&header, claims.to_string());
        let access_token = signed(json!({
            "iss": ISSUER,
            "sub": subject,
            "aud": [AUDIENCE, format!("{ISSUER}userinfo")],
            "iat": now,
            "exp": now + 86_400,
            "scope": "openid profile email offline_access read:messages",
            "azp": "site",
            "permissions": ["read:messages"],
            "padding": "x".repeat(192),
        }));
        let mut answer = json!({
            "access_token": access_token,
            "refresh_token": format!("v1.{nonce}"),
            "token_type": "Bearer",
            "expires_in": 3600,
        });
        if code.is_some() {
            answer["expires_in"] = json!(1);
            answer["id_token"] = json!(signed(json!({
                "iss": ISSUER,
                "sub": subject,
                "aud": "site",
                "iat": now,
                "exp": now + 36_000,
                "nonce": nonce,
                "sid": nonce,
                "name": "Somebody",
                "email": "somebody@example.com",
                "padding": "x".repeat(192),
            })));
        } else {
            self.grants.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

async fn ask(layer: LoginLayer, path: &str, cookies: &str) -> Fallible<Response<String>> {
    let page = service_fn(|_: Request<String>| async {
        Ok::<_, Infallible>(Response::new("known".to_owned()))
    });
    let request = Request::builder()
        .uri(path)
        .header(COOKIE, cookies)
        .body(String::new())?;
    Ok(layer.layer(page).oneshot(request).await?)
}

/// The cookies that the browser then holds.
pub(crate) async fn sign_in(layer: LoginLayer) -> Fallible<String> {
    let start = ask(layer.clone(), "/oauth/openid", "").await?;
    let location = start.headers()[LOCATION].to_str()?;
    let asked = url::Url::parse(location)?;
    let value = |name: &str| {
        let found = asked.query_pairs().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let path = format!(
        "/oauth/openid/callback?code={}&state={}",
        value("nonce"),
        value("state")
    );
    let answer = ask(layer, &path, &cookies(&start)).await?;
    if answer.status() != StatusCode::SEE_OTHER {
        return Err(answer.into_body().into());
    }
    Ok(cookies(&answer))
}

/// So many requests in a row.
pub(crate) async fn visit(layer: LoginLayer, cookie: String, times: u32) -> Fallible<()> {
    for _ in 0..times {
        let answer = ask(layer.clone(), "/", &cookie).await?;
        if answer.body() != "known" {
            return Err(answer.into_body().into());
        }
    }
    Ok(())
}

fn cookies(answer: &Response<String>) -> String {
    let fields = answer.headers().get_all(SET_COOKIE).iter();
    let pairs: Vec<_> = fields
        .filter_map(|field| field.to_str().ok())
        .filter(|field| !field.contains("Max-Age=0"))
        .map(|field| field.split(';').next().unwrap_or_default())
        .collect();
    pairs.join("; ")
}
