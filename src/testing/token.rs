use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::testing::signing_key::SigningKey;

/// Builds an access token, valid unless a method below breaks it. `Debug` does not show the token.
#[must_use]
pub struct TokenBuilder {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    header_text: Option<String>,
    claims_text: Option<String>,
    key: Arc<SigningKey>,
    now: UnixTime,
    signature: Option<Change>,
}

/// A change to a signature.
type Change = Box<dyn FnOnce(Vec<u8>) -> Vec<u8>>;

impl TokenBuilder {
    pub(super) fn new(issuer: &str, audience: &str, key: Arc<SigningKey>, now: UnixTime) -> Self {
        let builder = Self {
            header: Map::new(),
            claims: Map::new(),
            header_text: None,
            claims_text: None,
            now,
            signature: None,
            key: Arc::clone(&key),
        };
        let serial = now.as_seconds().unsigned_abs();
        builder
            .signed_by(key)
            .header("typ", "at+jwt")
            .claim("iss", issuer)
            .claim("aud", audience)
            .claim("sub", "user-1")
            .claim("client_id", "development")
            .claim("jti", format!("{serial:x}-{}", unique()))
            .claim("iat", now.as_seconds())
            .expires_in(Duration::from_secs(3600))
    }

    /// The subject of the token. Default: `user-1`.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// The scopes, delimited by spaces. Default: none.
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// The lifetime of the token, counted from now. Default: one hour.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let at = self.now.saturating_add(lifetime).as_seconds();
        self.claim("exp", at)
    }

    /// A token that was valid for one hour and expired one hour ago.
    pub fn expired(self) -> Self {
        let hour = Duration::from_secs(3600);
        let ended = self.now.saturating_sub(hour);
        let began = ended.saturating_sub(hour);
        self.claim("iat", began.as_seconds())
            .claim("exp", ended.as_seconds())
    }

    /// Sets a claim.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("a JSON value");
        self.claims.insert(name.to_owned(), value);
        self
    }

    /// Removes a claim.
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Uses this text as the claims, even if it is no JSON.
    pub fn claims_text(mut self, text: &str) -> Self {
        self.claims_text = Some(text.to_owned());
        self
    }

    /// Sets a member of the header.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    pub fn header(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("a JSON value");
        self.header.insert(name.to_owned(), value);
        self
    }

    /// Removes a member of the header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Uses this text as the header, even if it is no JSON.
    pub fn header_text(mut self, text: &str) -> Self {
        self.header_text = Some(text.to_owned());
        self
    }

    /// Signs with this key, and names it and its algorithm in the header.
    pub fn signed_by(self, key: Arc<SigningKey>) -> Self {
        let (kid, algorithm) = (key.kid().to_owned(), key.algorithm().name());
        Self { key, ..self }
            .header("kid", kid)
            .header("alg", algorithm)
    }

    /// Changes the signature before it is encoded.
    pub fn signature(mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.signature = Some(Box::new(change));
        self
    }

    /// The claims as JSON text.
    #[must_use]
    pub fn claims_json(&self) -> String {
        Value::Object(self.claims.clone()).to_string()
    }

    /// The token in its compact form.
    #[must_use]
    pub fn build(self) -> String {
        let header = self
            .header_text
            .unwrap_or_else(|| Value::Object(self.header).to_string());
        let claims = self
            .claims_text
            .unwrap_or_else(|| Value::Object(self.claims).to_string());
        let change = self
            .signature
            .unwrap_or_else(|| Box::new(|signature| signature));
        self.key
            .sign_compact_changed(header.as_bytes(), claims.as_bytes(), change)
    }
}

/// The form of a JWE, as Auth0 issues if no audience is requested. Its content is random.
pub(super) fn encrypted_token(issuer: &str) -> String {
    let header = serde_json::json!({"alg": "dir", "enc": "A256GCM", "iss": issuer}).to_string();
    format!(
        "{}..{}.{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(random::<12>()),
        URL_SAFE_NO_PAD.encode(random::<96>()),
        URL_SAFE_NO_PAD.encode(random::<16>()),
    )
}

/// A random reference, as providers issue that keep tokens to themselves.
pub(super) fn opaque_token() -> String {
    URL_SAFE_NO_PAD.encode(random::<24>())
}

fn unique() -> String {
    URL_SAFE_NO_PAD.encode(random::<9>())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system offers randomness");
    bytes
}

impl fmt::Debug for TokenBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenBuilder")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
