//! A provider that rotates refresh tokens and revokes the whole family when one comes twice
//! (RFC 9700 §4.14.2), behind wires.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::service_fn;
use tower_oidc::HttpClient;
use tower_oidc::testing::SigningKey;

use crate::world::{Shared, World};

pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const API: &str = "https://api.example.com";
pub(crate) const CLIENT: &str = "web";
/// For which tokens are asked beside the session's own.
pub(crate) const TARGETS: [&str; 2] = ["https://orders.example.com", "https://stock.example.com"];

pub(crate) struct ProviderState {
    key: Arc<SigningKey>,
    salt: u64,
    serial: u64,
    /// What each code was given out for.
    nonces: BTreeMap<String, String>,
    families: Vec<Family>,
    pub(crate) grants: u64,
    pub(crate) reuses: u64,
    /// Grants of tokens for targets, and refusals of them.
    pub(crate) target_grants: u64,
    pub(crate) refusals: u64,
}

/// The refresh tokens of one sign-in, the last one live.
#[derive(Default)]
struct Family {
    tokens: Vec<String>,
    /// When each token was first spent.
    spent_at: BTreeMap<usize, Duration>,
    is_revoked: bool,
    /// Whether the provider has answered `invalid_grant` to a token of it.
    has_rejected: bool,
    /// The session's generation of each token but the first.
    generations: BTreeMap<usize, u64>,
    /// How often each token came after it was spent.
    reused: BTreeMap<usize, u64>,
    /// Until when the last access token is young, for each audience.
    young_until: BTreeMap<String, Duration>,
    /// When a target was last refused, for each.
    refused_at: BTreeMap<String, Duration>,
}

/// A token call is not given longer; what arrives later than a lease lasts is another story.
const LONGEST_DELAY: u64 = 9_000;

impl ProviderState {
    pub(crate) fn new(salt: u64, key: Arc<SigningKey>) -> Self {
        Self {
            key,
            salt,
            serial: 0,
            nonces: BTreeMap::new(),
            families: Vec::new(),
            grants: 0,
            reuses: 0,
            target_grants: 0,
            refusals: 0,
        }
    }

    /// Whether a target was refused to the session of this sign-in, the first of which is 0.
    pub(crate) fn has_refused_one(&self, sign_in: usize) -> bool {
        let family = self.families.get(sign_in);
        family.is_some_and(|family| !family.refused_at.is_empty())
    }

    /// When this target was last refused to the session of this sign-in.
    pub(crate) fn refused_at(&self, sign_in: usize, target: &str) -> Option<Duration> {
        self.families.get(sign_in)?.refused_at.get(target).copied()
    }

    /// Whether a token of this sign-in, the first of which is 0, was rejected.
    pub(crate) fn has_rejected(&self, sign_in: usize) -> bool {
        let family = self.families.get(sign_in);
        family.is_some_and(|family| family.has_rejected)
    }

    /// Forgets the sign-ins after this number of them, which made no session.
    pub(crate) fn forget_families_beyond(&mut self, sessions: usize) {
        self.families.truncate(sessions);
    }

    pub(crate) fn code(&mut self, nonce: &str) -> String {
        let code = self.random("code");
        self.nonces.insert(code.clone(), nonce.to_owned());
        code
    }

    fn random(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}-{:x}-{}", self.salt, self.serial)
    }

    fn signed(&self, typ: &str, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "typ": typ, "kid": self.key.kid()}).to_string();
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encoded(&header), encoded(&claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// The HTTP client of one process.
pub(crate) fn http_client(world: Shared, name: &'static str) -> HttpClient {
    HttpClient::new(service_fn(move |request: Request<Bytes>| {
        let world = world.clone();
        async move {
            let (path, form) = (request.uri().path().to_owned(), request.into_body());
            let way = {
                let mut world = world.lock();
                let trouble = world.trouble;
                world.way(
                    name,
                    trouble.provider_losses,
                    trouble.provider_losses,
                    LONGEST_DELAY,
                )
            };
            let answered = world.send(way, move |world| answer(world, name, &path, &form));
            match answered.await {
                Some((status, body)) => {
                    let response = Response::builder()
                        .status(status)
                        .header("content-type", "application/json")
                        .body(Full::new(Bytes::from(body)));
                    Ok::<_, Infallible>(response.unwrap())
                }
                None => std::future::pending().await,
            }
        }
    }))
}

fn answer(world: &mut World, name: &'static str, path: &str, form: &[u8]) -> (StatusCode, String) {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(form).into_owned().collect();
    let (status, body) = match path {
        "/.well-known/openid-configuration" => (StatusCode::OK, metadata()),
        "/jwks" => {
            let key: Value = serde_json::from_str(&world.provider.key.public_jwk()).unwrap();
            (StatusCode::OK, json!({"keys": [key]}))
        }
        "/token" => {
            let errors = world.trouble.provider_errors;
            let fails = !world.is_calm && world.dice.happens(errors);
            let status = world.dice.one_of(&[400, 403, 429, 500, 502, 503, 504]);
            // Whatever is in front of the provider loses answers as well as questions.
            let is_heard = matches!(status, 500 | 502 | 504) && world.dice.happens(500);
            if fails {
                world.note(format!("provider: {status} to {name}"));
                world.is_troubled(name);
            }
            let answered = if fails && !is_heard {
                None
            } else if form["grant_type"] == "authorization_code" {
                Some(sign_in(world, name, &form["code"]))
            } else {
                let target = form.get("audience").map(String::as_str);
                Some(refresh(world, name, &form["refresh_token"], target))
            };
            match answered {
                Some(answer) if !fails => answer,
                _ => {
                    let body = match status {
                        503 => r#"{"error":"temporarily_unavailable"}"#,
                        _ => "<h1>not now</h1>",
                    };
                    return (StatusCode::from_u16(status).unwrap(), body.to_owned());
                }
            }
        }
        "/revoke" => {
            let token = &form["token"];
            let mut families = world.provider.families.iter_mut().enumerate();
            let found = families.find(|(_, family)| family.tokens.contains(token));
            if let Some((sign_in, family)) = found {
                family.is_revoked = true;
                if world.store.lives(sign_in) {
                    world.violated(format!("{name} revokes the tokens of a living session"));
                }
            }
            world.note(format!("provider: {name} revokes"));
            (StatusCode::OK, json!({}))
        }
        other => panic!("there is no answer to {other}"),
    };
    (status, body.to_string())
}

fn metadata() -> Value {
    let at = |path| format!("{ISSUER}{path}");
    json!({
        "issuer": ISSUER,
        "jwks_uri": at("/jwks"),
        "token_endpoint": at("/token"),
        "authorization_endpoint": at("/authorize"),
        "revocation_endpoint": at("/revoke"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    })
}

fn sign_in(world: &mut World, name: &str, code: &str) -> (StatusCode, Value) {
    let nonce = world.provider.nonces.remove(code).expect("a code of ours");
    let token = world.provider.random("refresh");
    world.provider.families.push(Family {
        tokens: vec![token.clone()],
        ..Family::default()
    });
    let now = world.now().as_seconds();
    let id_token = world.provider.signed(
        "JWT",
        &json!({
            "iss": ISSUER, "aud": CLIENT, "sub": "user-1", "nonce": nonce,
            "iat": now, "exp": now + 300,
        }),
    );
    let at = world.provider.families.len() - 1;
    let mut answer = tokens(world, name, at, API, &token);
    answer["id_token"] = json!(id_token);
    (StatusCode::OK, answer)
}

/// [RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6), and what a strict provider makes of a token
/// that comes again.
fn refresh(
    world: &mut World,
    name: &str,
    token: &str,
    target: Option<&str>,
) -> (StatusCode, Value) {
    let rejected = (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    let now = world.elapsed();
    let grace = Duration::from_secs(world.trouble.grace);
    let mut families = world.provider.families.iter_mut().enumerate();
    let found = families.find_map(|(sign_in, family)| {
        let at = family.tokens.iter().position(|known| known == token)?;
        Some((sign_in, at, family))
    });
    let Some((sign_in, at, family)) = found else {
        world.violated(format!("{name} brings a token that was never issued"));
        return rejected;
    };
    let spent_at = family.spent_at.get(&at).copied();
    if let Some(spent_at) = spent_at {
        let times = family.reused.entry(at).or_default();
        *times += 1;
        let times = *times;
        let is_within_grace = now < spent_at + grace && !family.is_revoked;
        if !is_within_grace {
            family.is_revoked = true;
            family.has_rejected = true;
        }
        let is_generation = family.generation_of(at);
        world.provider.reuses += 1;
        world.note(format!("provider: {name} brings token {at} again"));
        // One probe for one doubt, and no more: the store has heard of it.
        if times > world.store.probes(sign_in, is_generation) {
            world.violated(format!("{name} sends token {at} again, and it is no probe"));
        }
        // Whether the session lives must not depend on a target.
        if target.is_some() && grace.is_zero() {
            world.violated(format!(
                "{name} asks for a target by token {at}, which is in doubt"
            ));
        }
        if !is_within_grace {
            return rejected;
        }
    } else if family.is_revoked {
        family.has_rejected = true;
        world.note(format!("provider: {name} brings a revoked token"));
        return rejected;
    }
    if let Some(target) = target
        && let Some(refused) = refuse(world, name, sign_in, target)
    {
        return refused;
    }
    world.provider.grants += 1;
    world.provider.target_grants += u64::from(target.is_some());
    let next = world.provider.random("refresh");
    let audience = target.unwrap_or(API);
    check_need(world, name, sign_in, audience);
    let family = &mut world.provider.families[sign_in];
    family.spent_at.entry(at).or_insert(now);
    let generation = family.generation_of(at) + 1;
    family.generations.insert(family.tokens.len(), generation);
    family.tokens.push(next.clone());
    world.note(format!("provider: {name} spends token {at} for {audience}"));
    (
        StatusCode::OK,
        tokens(world, name, sign_in, audience, &next),
    )
}

/// Refuses a target now and then, without a word about the refresh token, which stays unspent.
fn refuse(
    world: &mut World,
    name: &str,
    sign_in: usize,
    target: &str,
) -> Option<(StatusCode, Value)> {
    const REMEMBERED: Duration = Duration::from_secs(55);
    let now = world.elapsed();
    let last = world.provider.refused_at(sign_in, target);
    if world.is_quiet && last.is_some_and(|last| now < last + REMEMBERED) {
        world.violated(format!(
            "{name} asks for {target}, which was refused just now"
        ));
    }
    if world.is_calm || !world.dice.happens(world.refuses) {
        return None;
    }
    let errors = ["invalid_target", "invalid_grant", "interaction_required"];
    let error = world.dice.one_of(&errors);
    world.provider.refusals += 1;
    let family = &mut world.provider.families[sign_in];
    family.refused_at.insert(target.to_owned(), now);
    world.note(format!("provider: {error} to {name} for {target}"));
    Some((StatusCode::BAD_REQUEST, json!({"error": error})))
}

/// While nothing goes wrong, a token is asked for only if the last one for the same audience is near its end.
fn check_need(world: &mut World, name: &str, sign_in: usize, audience: &str) {
    let young_until = &world.provider.families[sign_in].young_until;
    let is_young = young_until
        .get(audience)
        .is_some_and(|until| world.elapsed() < *until);
    if world.is_quiet && is_young {
        world.violated(format!(
            "{name} asks for {audience}, and has a young token for it"
        ));
    }
}

impl Family {
    /// Of which generation of the session a token is. Within the grace one generation has several.
    fn generation_of(&self, at: usize) -> u64 {
        self.generations.get(&at).copied().unwrap_or_default()
    }
}

fn tokens(
    world: &mut World,
    name: &str,
    sign_in: usize,
    audience: &str,
    refresh_token: &str,
) -> Value {
    // By a clock that is ahead a token seems to end sooner, and none is taken to live less than five seconds.
    let seconds = i64::try_from(world.lifetime.as_secs()).unwrap() - world.ahead[name].max(0);
    let seems = Duration::from_secs(seconds.max(5).unsigned_abs());
    // Times are whole seconds: of the store's time, and of what is added to it, a part may be cut.
    let young = (seems / 2).saturating_sub(Duration::from_secs(2));
    let young_until = world.elapsed() + young;
    let family = &mut world.provider.families[sign_in];
    family.young_until.insert(audience.to_owned(), young_until);
    let now = world.now().as_seconds();
    let lifetime = i64::try_from(world.lifetime.as_secs()).unwrap();
    let access_token = world.provider.signed(
        "at+jwt",
        &json!({
            "iss": ISSUER, "aud": audience, "sub": "user-1", "client_id": CLIENT,
            "iat": now, "exp": now + lifetime, "jti": refresh_token,
        }),
    );
    json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": lifetime,
        "refresh_token": refresh_token,
    })
}
