//! The state of a provider: its keys, what it issued, and how its answers are changed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::clock::{SharedClock, UnixTime};
use crate::jwt::Algorithm;
use crate::testing::devices::Devices;
use crate::testing::fault::{self, Endpoint, Fault, Hits};
use crate::testing::form::Parameters;
use crate::testing::grants::Grants;
use crate::testing::introspected::Introspected;
use crate::testing::manner::Manner;
use crate::testing::signing_key::SigningKey;
use crate::testing::token::TokenBuilder;
use crate::testing::trust::Trust;

/// The state as a handler takes it.
pub(super) type Served = axum::extract::State<Arc<State>>;

#[derive(Debug)]
pub(super) struct State {
    /// Where the endpoints are: an origin without a final slash.
    pub(super) address: String,
    pub(super) issuer: String,
    clock: SharedClock,
    changing: Mutex<Changing>,
}

#[derive(Debug)]
pub(super) struct Changing {
    pub(super) keys: Vec<Arc<SigningKey>>,
    pub(super) retired: Vec<Arc<SigningKey>>,
    generation: u32,
    pub(super) faults: Vec<(Endpoint, Fault)>,
    pub(super) hits: Hits,
    pub(super) discovery: Option<String>,
    pub(super) jwks: Option<String>,
    pub(super) grants: Grants,
    pub(super) devices: Devices,
    pub(super) user: Option<String>,
    pub(super) manner: Manner,
    /// The pushed authorization requests.
    pub(super) pushed: Vec<(String, Parameters)>,
    /// Whether requests have to be pushed.
    pub(super) must_push: bool,
    pub(super) seen: Vec<(Endpoint, Parameters)>,
    pub(super) edits: Edits,
    pub(super) introspected: Introspected,
    pub(super) trust: Trust,
}

impl State {
    pub(super) fn new(
        address: String,
        issuer: String,
        clock: SharedClock,
        keys: Vec<Arc<SigningKey>>,
        user: Option<String>,
    ) -> Self {
        Self {
            address,
            issuer,
            clock,
            changing: Mutex::new(Changing {
                keys,
                retired: Vec::new(),
                generation: 1,
                faults: Vec::new(),
                hits: Hits::default(),
                discovery: None,
                jwks: None,
                grants: Grants::default(),
                devices: Devices::default(),
                user,
                manner: Manner::default(),
                pushed: Vec::new(),
                must_push: false,
                seen: Vec::new(),
                edits: Edits::default(),
                introspected: Introspected::default(),
                trust: Trust::default(),
            }),
        }
    }

    pub(super) fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(super) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Counts the call, and answers with the document or with the fault that is set.
    pub(super) async fn answer(
        &self,
        endpoint: Endpoint,
        document: impl FnOnce() -> (StatusCode, String),
    ) -> Response {
        let fault = {
            let mut changing = self.changing();
            changing.hits.count(endpoint);
            let mut faults = changing.faults.iter();
            let fault = faults.find(|(faulty, _)| *faulty == endpoint);
            fault.map(|(_, fault)| fault.clone())
        };
        fault::answer(fault, document).await
    }

    pub(super) fn set_fault(&self, endpoint: Endpoint, fault: Option<Fault>) {
        let mut changing = self.changing();
        changing.faults.retain(|(faulty, _)| *faulty != endpoint);
        changing.faults.extend(fault.map(|fault| (endpoint, fault)));
    }

    /// Remembers the parameters of a request.
    pub(super) fn saw(&self, endpoint: Endpoint, parameters: Parameters) {
        const MOST: usize = 100;
        let seen = &mut self.changing().seen;
        seen.push((endpoint, parameters));
        let same = seen.iter().filter(|(at, _)| *at == endpoint).count();
        if same > MOST
            && let Some(oldest) = seen.iter().position(|(at, _)| *at == endpoint)
        {
            seen.remove(oldest);
        }
    }

    pub(super) fn signing_key(&self, algorithm: Algorithm) -> Arc<SigningKey> {
        self.changing()
            .keys
            .iter()
            .find(|key| key.algorithm() == algorithm)
            .map(Arc::clone)
            .expect("a key for this algorithm")
    }

    pub(super) fn rotate_keys(&self) {
        let generation = self.changing().generation + 1;
        let keys = generate_keys(generation);
        let mut changing = self.changing();
        changing.generation = generation;
        let old = std::mem::replace(&mut changing.keys, keys);
        changing.retired.extend(old);
    }

    /// The key set, unless another is set.
    pub(super) fn jwks(&self) -> String {
        let changing = self.changing();
        let all = changing.keys.iter().chain(&changing.retired);
        let own = || json!({ "keys": all.map(|key| key.jwk()).collect::<Vec<_>>() }).to_string();
        changing.jwks.clone().unwrap_or_else(own)
    }

    /// The changes to tokens and answers, and the lifetime of tokens.
    pub(super) fn issuing(&self) -> (Edits, Duration) {
        let changing = self.changing();
        (changing.edits.clone(), changing.grants.lifetime)
    }

    /// A logout token for this client
    /// ([Back-Channel Logout §2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)).
    pub(super) fn logout_token(&self, client_id: &str) -> TokenBuilder {
        self.token(Algorithm::Rs256, client_id)
            .header("typ", "logout+jwt")
            .without_claim("client_id")
            .without_claim("sub")
            .expires_in(Duration::from_secs(120))
            .claim(
                "events",
                json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
            )
    }

    pub(super) fn token(&self, algorithm: Algorithm, audience: &str) -> TokenBuilder {
        let key = self.signing_key(algorithm);
        TokenBuilder::new(&self.issuer, audience, key, self.now())
    }
}

/// Changes to tokens and answers before they are sent.
#[derive(Default, Clone)]
pub(super) struct Edits {
    /// Replaces the token endpoint.
    pub(super) token_endpoint: Option<Arc<TokenEndpoint>>,
    pub(super) authorization: Option<Arc<EditParameters>>,
    pub(super) answer: Option<Arc<EditAnswer>>,
    pub(super) id_token: Option<Arc<EditToken>>,
    pub(super) access_token: Option<Arc<EditToken>>,
    pub(super) introspection: Option<Arc<EditDocument>>,
    pub(super) signed_introspection: Option<Arc<EditToken>>,
}

type TokenEndpoint = dyn Fn(&[(String, String)]) -> String + Send + Sync;
type EditParameters = dyn Fn(&mut Parameters) + Send + Sync;
type EditAnswer = dyn Fn(&str, &mut Value) + Send + Sync;
type EditDocument = dyn Fn(&mut Value) + Send + Sync;
type EditToken = dyn Fn(TokenBuilder) -> TokenBuilder + Send + Sync;

impl Edits {
    /// An access token as it is issued.
    pub(super) fn access_token(&self, token: TokenBuilder) -> String {
        edited(self.access_token.as_deref(), token)
    }

    /// A signed answer of the introspection endpoint as it is sent.
    pub(super) fn signed_introspection(&self, token: TokenBuilder) -> String {
        edited(self.signed_introspection.as_deref(), token)
    }

    /// An ID token as it is issued.
    pub(super) fn id_token(&self, token: TokenBuilder) -> String {
        edited(self.id_token.as_deref(), token)
    }

    /// An answer of the token endpoint as it is sent.
    pub(super) fn answer(&self, grant_type: &str, mut answer: Value) -> String {
        if let Some(edit) = &self.answer {
            edit(grant_type, &mut answer);
        }
        answer.to_string()
    }
}

fn edited(edit: Option<&EditToken>, token: TokenBuilder) -> String {
    match edit {
        Some(edit) => edit(token),
        None => token,
    }
    .build()
}

impl fmt::Debug for Edits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Edits")
    }
}

/// A key for each algorithm that the provider signs with.
pub(super) fn generate_keys(generation: u32) -> Vec<Arc<SigningKey>> {
    let kid =
        |algorithm: Algorithm| format!("{}-{generation}", algorithm.name().to_ascii_lowercase());
    let generate = |algorithm| SigningKey::generate(kid(algorithm), algorithm);
    let rsa = generate(Algorithm::Rs256);
    let pss = rsa.for_algorithm(kid(Algorithm::Ps256), Algorithm::Ps256);
    [
        rsa,
        pss,
        generate(Algorithm::Es256),
        generate(Algorithm::Es384),
        generate(Algorithm::EdDsa),
    ]
    .map(Arc::new)
    .into()
}
