//! Principals made of claims, for the unit tests of handlers.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::clock::{Clock as _, SystemClock, UnixTime};
use crate::error::ConfigError;
use crate::http_client::HttpClient;
use crate::jwt::Algorithm;
use crate::principal::Principal;
use crate::provider::Provider;
use crate::settings::HTTP_CLIENT;
use crate::testing::clock::ManualClock;
use crate::testing::signing_key::SigningKey;
use crate::verify::{Decision, TokenProfile, Verifier};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example.com";
const CLIENT: &str = "development";
const LIFETIME: Duration = Duration::from_secs(3600);

/// The principal of an access token with these claims, so that a test can call a handler itself. It needs neither
/// provider nor runtime.
///
/// ```
/// use serde_json::json;
/// use tower_oidc::{Principal, testing};
///
/// async fn greet(principal: Principal) -> Result<String, &'static str> {
///     if !principal.has_scope("read:messages") {
///         return Err("not yours to read");
///     }
///     Ok(format!("hello, {}", principal.subject().unwrap_or("nobody")))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let ada = testing::principal(json!({"sub": "ada", "scope": "read:messages"}));
/// assert_eq!(greet(ada).await.as_deref(), Ok("hello, ada"));
/// let other = testing::principal(json!({"sub": "ben"}));
/// assert!(greet(other).await.is_err());
/// # }
/// ```
///
/// What is left out is
///
/// | claim | default |
/// |---|---|
/// | `iss` | `https://id.example` |
/// | `sub` | `user-1` |
/// | `aud` | `https://api.example.com` |
/// | `iat` | an hour before `exp` if that is given, else now |
/// | `exp` | an hour after `iat` |
///
/// and a default that is given as null is absent. The claims are signed with a key made for them, and judged as any
/// token is: by the issuer that they name, for the first audience that they name, at the time of `iat`, by the lenient
/// profile. So the principal is one that a request can bring. For tokens that are to be refused, or are judged by other
/// settings, see [`OfflineProvider::token`](super::OfflineProvider::token).
///
/// # Panics
/// If the claims are no JSON object, or no token with them is accepted. The message says why.
#[must_use]
#[track_caller]
pub fn principal(claims: impl Serialize) -> Principal {
    made(claims, TokenProfile::Lenient).unwrap_or_else(|reason| refuse("principal", &reason))
}

/// The principal of an ID token with these claims, as [`LoginLayer::identity`](crate::LoginLayer::identity) and
/// [`TokenProfile::IdToken`] have it: the same as [`principal`], but that it has no scopes, and that `aud`, the client,
/// is `development` by default.
///
/// ```
/// use serde_json::json;
/// use tower_oidc::{PrincipalKind, testing};
///
/// let ada = testing::id_token_principal(json!({"sub": "ada", "email": "ada@example.com"}));
/// assert_eq!(ada.kind(), PrincipalKind::IdToken);
/// assert_eq!(ada.claim::<String>("email").unwrap().as_deref(), Some("ada@example.com"));
/// ```
///
/// # Panics
/// As [`principal`].
#[must_use]
#[track_caller]
pub fn id_token_principal(claims: impl Serialize) -> Principal {
    made(claims, TokenProfile::IdToken)
        .unwrap_or_else(|reason| refuse("id_token_principal", &reason))
}

#[track_caller]
fn refuse(function: &str, reason: &str) -> ! {
    panic!("testing::{function}: no request can bring this principal: {reason}")
}

fn made(claims: impl Serialize, profile: TokenProfile) -> Result<Principal, String> {
    let Ok(Value::Object(mut claims)) = serde_json::to_value(claims) else {
        return Err("the claims are no JSON object".to_owned());
    };
    let (token_type, audience) = match profile {
        TokenProfile::IdToken => ("JWT", CLIENT),
        TokenProfile::Lenient | TokenProfile::Strict => ("at+jwt", AUDIENCE),
    };
    let issued_at = complete(&mut claims, audience);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let audience = match claims.get("aud") {
        Some(Value::Array(several)) => text(several.first()),
        one => text(one),
    };
    let issuer = text(claims.get("iss")).unwrap_or_else(|| ISSUER.to_owned());
    let key = SigningKey::generate("testing", Algorithm::EdDsa);
    let no_client = ConfigError::missing(HTTP_CLIENT, "a principal for tests needs none");
    let provider = Provider::builder(&issuer)
        .with_jwks(&json!({"keys": [key.jwk()]}).to_string())
        .with_clock(ManualClock::at(issued_at))
        .with_http_client(HttpClient::none(no_client))
        .danger()
        .allow_http_on_loopback()
        .build()
        .map_err(|error| error.to_string())?;
    let mut verifier = Verifier::builder(&provider, audience.as_deref().unwrap_or(AUDIENCE))
        .with_profile(profile)
        .without_cache();
    if let (None, Some(client)) = (claims.get("aud"), text(claims.get("client_id"))) {
        verifier = verifier.add_client_audience(client);
    }
    let verifier = verifier.build().map_err(|error| error.to_string())?;
    let header = json!({"alg": "EdDSA", "kid": key.kid(), "typ": token_type}).to_string();
    let token = key.sign_compact(header, Value::Object(claims).to_string());
    match verifier.decide(token.as_bytes()) {
        Decision::Accept(principal) => Ok(principal),
        Decision::Refuse(error) => Err(format!("{error}; {}", error.remedy())),
        Decision::Wait(_) => Err("its key is not at hand".to_owned()),
    }
}

/// Fills in what is left out, and returns when the token was issued.
fn complete(claims: &mut Map<String, Value>, audience: &str) -> UnixTime {
    let time = |claims: &Map<String, Value>, name: &str| {
        let seconds = claims.get(name).and_then(Value::as_i64);
        seconds.map(UnixTime::from_seconds)
    };
    let issued_at = time(claims, "iat")
        .or_else(|| Some(time(claims, "exp")?.saturating_sub(LIFETIME)))
        .unwrap_or_else(|| SystemClock::new().now());
    let expires_at = issued_at.saturating_add(LIFETIME);
    for (name, default) in [
        ("iss", json!(ISSUER)),
        ("sub", json!("user-1")),
        ("aud", json!(audience)),
        ("iat", json!(issued_at.as_seconds())),
        ("exp", json!(expires_at.as_seconds())),
    ] {
        if claims.entry(name).or_insert(default).is_null() {
            claims.remove(name);
        }
    }
    issued_at
}
