//! Explains a token without showing it: of its claims, `iss` and `aud` alone.

use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::doctor::finding::{Finding, Level};
use crate::doctor::pairs::Pairs;
use crate::doctor::shape::{Loaded, Shape};
use crate::error::{Chain, VerifyError, VerifyErrorKind as Kind};
use crate::jwt::CompactJws;
use crate::lenient_json;
use crate::settings::{
    OPENID_ALGORITHMS, OPENID_ALLOWED_CLIENTS, OPENID_AUDIENCE, OPENID_CLOCK_TOLERANCE,
    OPENID_ISSUER, OPENID_TENANTS, OPENID_TOKEN_MAX_AGE, OPENID_TOKEN_PROFILE,
    OPENID_TOKEN_SIZE_LIMIT,
};

/// The longest `iss` or `aud` that is shown.
const LONGEST: usize = 200;

/// The header and the claims of a token, not verified.
struct Parts {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Parts {
    fn read(token: &str) -> Result<Self, Kind> {
        let jws = CompactJws::split(token.as_bytes())?.decode()?;
        let object = |text: &str| lenient_json::object(text).ok_or(Kind::NotAJwt);
        Ok(Self {
            header: object(jws.header())?,
            claims: object(jws.payload())?,
        })
    }

    fn has(&self, claim: &str) -> bool {
        self.claims.contains_key(claim)
    }

    /// What it looks like. Nothing of it is verified.
    fn kind(&self) -> &'static str {
        let typ = self
            .header
            .get("typ")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let typ = typ.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        let payload_typ = self.claims.get("typ").and_then(Value::as_str);
        match typ {
            "at+jwt" => return "an access token by RFC 9068",
            "logout+jwt" => return "a logout token",
            "dpop+jwt" => return "a DPoP proof",
            "token-introspection+jwt" => return "an introspection answer",
            _ => {}
        }
        match payload_typ {
            Some("Bearer") => "an access token of Keycloak",
            Some("ID") => "an ID token of Keycloak",
            Some("Refresh" | "Offline") => {
                "a refresh token of Keycloak, which is for the provider alone"
            }
            _ if self.has("events") => "a logout token",
            _ if self.has("at_hash") || self.has("nonce") || self.has("c_hash") => "an ID token",
            _ if self.has("scope") || self.has("scp") => "an access token",
            _ => "an access token or an ID token: no claim tells",
        }
    }

    fn shown(&self, claim: &str) -> String {
        match self.claims.get(claim) {
            None => "absent".to_owned(),
            Some(Value::String(text)) => quoted(text),
            Some(Value::Array(items)) => {
                let items = items.iter().take(10).map(|item| match item {
                    Value::String(text) => quoted(text),
                    _ => "not a text".to_owned(),
                });
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            Some(_) => "not a text".to_owned(),
        }
    }

    /// A time, told by its distance from now.
    fn time(&self, claim: &str, now: UnixTime) -> String {
        let Some(value) = self.claims.get(claim) else {
            return format!("no {claim}");
        };
        let Some(time) = value.as_f64().filter(|time| time.abs() < 1e12) else {
            return format!("{claim} is not a time");
        };
        #[expect(clippy::cast_possible_truncation, reason = "it is bounded")]
        let seconds = (time as i64).saturating_sub(now.as_seconds());
        let far = std::time::Duration::from_secs(seconds.unsigned_abs());
        let far = humantime::format_duration(far);
        if seconds < 0 {
            format!("{claim} {far} ago")
        } else {
            format!("{claim} in {far}")
        }
    }
}

fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(LONGEST).collect();
    format!("{cut:?}")
}

/// The form of a token in a few words.
pub(super) fn shape_of(token: &str) -> String {
    match Parts::read(token) {
        Ok(parts) => format!("a JWT for {}", parts.shown("aud")),
        Err(Kind::Encrypted) => "an encrypted token".to_owned(),
        Err(_) => "an opaque token".to_owned(),
    }
}

/// The audiences that a JWT names. `None` for any other token, and for one without an audience.
pub(super) fn audiences_of(token: &str) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match Parts::read(token).ok()?.claims.get("aud")? {
        Value::Array(items) => items.iter().map(text).collect(),
        one => Some(vec![text(one)?]),
    }
}

/// A refusal with the setting and the cure.
pub(super) fn of_refusal(error: &VerifyError, level: Level) -> Finding {
    let code = format!("token_{}", error.kind().as_str());
    let setting = match error.kind() {
        Kind::Opaque | Kind::Encrypted | Kind::WrongAudience => Some(OPENID_AUDIENCE),
        Kind::MissingClaim if error.claim_name() == Some("aud") => Some(OPENID_AUDIENCE),
        Kind::MissingClaim | Kind::TokenType | Kind::TokenKind => Some(OPENID_TOKEN_PROFILE),
        Kind::Algorithm => Some(OPENID_ALGORITHMS),
        Kind::WrongIssuer | Kind::UnknownKey => Some(OPENID_ISSUER),
        Kind::WrongTenant => Some(OPENID_TENANTS),
        Kind::ClientNotAllowed => Some(OPENID_ALLOWED_CLIENTS),
        Kind::Expired | Kind::NotYetValid => Some(OPENID_CLOCK_TOLERANCE),
        Kind::TooOld => Some(OPENID_TOKEN_MAX_AGE),
        Kind::TooLarge => Some(OPENID_TOKEN_SIZE_LIMIT),
        _ => None,
    };
    let finding = Finding::new(level, code, Chain(error).to_string()).cured_by(error.remedy());
    match setting {
        Some(setting) => finding.at(setting),
        None => finding,
    }
}

/// Everything that can be said without a key.
pub(super) fn explain(
    shape: Shape,
    pairs: &Pairs,
    loaded: Option<&Loaded>,
    token: &str,
    now: UnixTime,
) -> Vec<Finding> {
    let mut found = vec![described(token, now)];
    let Some(loaded) = loaded else {
        return found;
    };
    match loaded.verifier().screen(token.as_bytes()) {
        Ok(()) => found.push(Finding::right(
            "token_passes",
            "it passes every check that needs no key",
        )),
        Err(error) => {
            found.push(of_refusal(&error, Level::Wrong));
            found.extend(accepted_under(shape, pairs, token));
        }
    }
    found
}

fn described(token: &str, now: UnixTime) -> Finding {
    let parts = match Parts::read(token) {
        Ok(parts) => parts,
        Err(Kind::Encrypted) => {
            return Finding::note(
                "token_described",
                "it is encrypted (a JWE), so that only the provider can read it",
            );
        }
        Err(Kind::Opaque) => {
            return Finding::note(
                "token_described",
                "it is opaque, so that only the provider knows what it means",
            );
        }
        Err(_) => {
            return Finding::note(
                "token_described",
                "it looks like a JWT, and is not well-formed: it may be cut off",
            );
        }
    };
    let word = |member: &str| match parts.header.get(member).and_then(Value::as_str) {
        // The names of the standards are short, and none of them is a secret.
        Some(text) if text.len() <= 32 => text.to_owned(),
        Some(_) => "a long text".to_owned(),
        None => "absent".to_owned(),
    };
    let kid = if parts.header.contains_key("kid") {
        "present"
    } else {
        "absent"
    };
    let times = ["exp", "nbf", "iat"].map(|claim| parts.time(claim, now));
    Finding::note(
        "token_described",
        format!(
            "it looks like {}: typ {}, alg {}, kid {kid}, iss {}, aud {}, {}",
            parts.kind(),
            word("typ"),
            word("alg"),
            parts.shown("iss"),
            parts.shown("aud"),
            times.join(", "),
        ),
    )
}

/// Which one change of a setting would let a refused token pass, and what that change means.
fn accepted_under(shape: Shape, pairs: &Pairs, token: &str) -> Option<Finding> {
    // The settings of a service are not for tokens that come in.
    let shape = if shape == Shape::Service {
        Shape::Api
    } else {
        shape
    };
    let parts = Parts::read(token).ok()?;
    let mut changes: Vec<(&'static str, String)> = ["lenient", "strict", "id"]
        .map(|profile| (OPENID_TOKEN_PROFILE, profile.to_owned()))
        .into();
    let audience = match parts.claims.get("aud") {
        Some(Value::String(text)) => Some(text.as_str()),
        Some(Value::Array(items)) => items.first().and_then(Value::as_str),
        _ => None,
    };
    changes.extend(audience.map(|text| (OPENID_AUDIENCE, text.to_owned())));
    let issuer = parts.claims.get("iss").and_then(Value::as_str);
    changes.extend(issuer.map(|text| (OPENID_ISSUER, text.to_owned())));
    let algorithm = parts.header.get("alg").and_then(Value::as_str);
    let algorithm = algorithm.and_then(crate::jwt::Algorithm::from_name);
    changes.extend(algorithm.map(|one| (OPENID_ALGORITHMS, one.name().to_owned())));
    let passes = |(setting, value): &(&'static str, String)| {
        let with_it = pairs.with(setting, value);
        let is_right = |loaded: Loaded| loaded.verifier().screen(token.as_bytes()).is_ok();
        value.len() <= LONGEST && Loaded::read_all(shape, &with_it).is_ok_and(is_right)
    };
    let (setting, value) = changes.into_iter().find(passes)?;
    let meaning = match setting {
        OPENID_AUDIENCE => "only if that name is this service: else the token is for another one",
        OPENID_ISSUER => "only if that is your provider: it can then sign in anyone",
        OPENID_TOKEN_PROFILE => "only if callers are to send this kind of token",
        _ => "only if the provider is to sign so",
    };
    Some(
        Finding::note(
            "token_passes_under",
            format!("with {setting}={value:?} it would pass, as far as no key is needed"),
        )
        .at(setting)
        .cured_by(meaning),
    )
}
