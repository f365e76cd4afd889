//! The token endpoint: one grant at a time, and what its answer means
//! ([RFC 6749 §5](https://www.rfc-editor.org/rfc/rfc6749#section-5)).

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::Value;

use crate::error::{ProviderError, ProviderErrorKind};
use crate::http_client::{Limits, is_json};
use crate::provider::Provider;
use crate::provider::client::Client;
use crate::secret::Secret;

/// What a grant brings.
#[derive(Debug)]
#[cfg_attr(
    not(all(feature = "login", feature = "outbound")),
    allow(
        dead_code,
        reason = "a grant for a browser brings other things than one for a service"
    )
)]
pub(crate) struct TokenAnswer {
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Option<Secret>,
    pub(crate) id_token: Option<Secret>,
    /// What an exchange made
    /// ([RFC 8693 §2.2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.2.1)).
    pub(crate) issued_token_type: Option<String>,
    /// As the provider wrote it, whatever the sign; `None` where it wrote nothing usable.
    pub(crate) expires_in: Option<i64>,
    pub(crate) refresh_expires_in: Option<Duration>,
    pub(crate) scope: Option<String>,
}

/// Why a grant brought nothing. What matters about it is what became of the code or refresh token
/// that was to be spent.
#[derive(Debug)]
pub(crate) enum GrantFailure {
    /// It is not worth anything any more.
    Rejected(ProviderError),
    /// It was not looked at: this client or its request is not what the provider expects. Waiting
    /// mends nothing.
    Misconfigured(ProviderError),
    /// It was not spent; the provider may ask to wait.
    Unspent(ProviderError, Option<Duration>),
    /// Nobody knows whether it was spent.
    Uncertain(ProviderError),
}

impl GrantFailure {
    #[cfg(feature = "login")]
    pub(crate) fn error(&self) -> &ProviderError {
        match self {
            Self::Rejected(error)
            | Self::Misconfigured(error)
            | Self::Unspent(error, _)
            | Self::Uncertain(error) => error,
        }
    }
}

const LIMITS: Limits = Limits {
    time: TOKEN_CALL,
    size: 1024 * 1024,
};

/// The time limit of one call to the token endpoint.
pub(crate) const TOKEN_CALL: Duration = Duration::from_secs(10);

/// The longest pause a provider can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl Provider {
    /// Makes one grant. Never repeated here: what may be spent once is sent once.
    pub(crate) async fn grant(
        &self,
        client: &Client,
        parameters: &[(&str, &str)],
    ) -> Result<TokenAnswer, GrantFailure> {
        let unspent = |error| GrantFailure::Unspent(error, None);
        let metadata = self
            .metadata()
            .await
            .map_err(|refusal| GrantFailure::Unspent(refusal.error, Some(refusal.retry_after)))?;
        let endpoints = &metadata.value.endpoints;
        let url = endpoints.token().map_err(unspent)?;
        let issuer = metadata.value.issuer.as_str();
        let call = client
            .call(endpoints, issuer, self.clock().now(), parameters)
            .map_err(unspent)?;
        match self.http_client().send(url, call, LIMITS).await {
            Ok(answer) => read(&answer),
            Err(error) if error.kind() == ProviderErrorKind::Unreachable => Err(unspent(error)),
            Err(error) => Err(GrantFailure::Uncertain(error)),
        }
    }
}

fn read(answer: &Response<Bytes>) -> Result<TokenAnswer, GrantFailure> {
    let status = answer.status();
    let is_json = answer
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(is_json);
    let document: Option<Value> = is_json
        .then(|| serde_json::from_slice(answer.body()).ok())
        .flatten();
    if status == StatusCode::OK {
        return document
            .as_ref()
            .and_then(Value::as_object)
            .ok_or("the token endpoint did not answer with a JSON object")
            .and_then(read_tokens)
            .map_err(|problem| {
                GrantFailure::Uncertain(ProviderError::new(
                    ProviderErrorKind::InvalidAnswer,
                    problem,
                ))
            });
    }
    let code = document
        .as_ref()
        .and_then(|document| document.get("error")?.as_str())
        .and_then(known);
    let claims = document.as_ref().and_then(demanded_claims);
    // Who demands claims wants the user, by whatever code.
    let code = match (code, claims) {
        (Some("invalid_grant"), Some(_)) => Some("interaction_required"),
        (code, _) => code,
    };
    Err(
        match (classify(status, code, retry_after(answer)), claims) {
            (GrantFailure::Rejected(error), Some(claims)) => {
                GrantFailure::Rejected(error.with_claims(claims))
            }
            (failure, _) => failure,
        },
    )
}

/// The claims that the user has to bring first, as a claims request of
/// [OpenID Connect Core §5.5](https://openid.net/specs/openid-connect-core-1_0.html#ClaimsParameter):
/// an object in JSON, of a size fit for a header.
fn demanded_claims(document: &Value) -> Option<&str> {
    const LONGEST: usize = 4096;
    let claims = document.get("claims")?.as_str()?;
    let is_object = claims.len() <= LONGEST
        && serde_json::from_str::<Value>(claims).is_ok_and(|claims| claims.is_object());
    is_object.then_some(claims)
}

/// The codes of RFC 6749 §5.2, RFC 8707 §2 and OpenID Connect that may stand in a message. Any other
/// text is the provider's own and is not repeated.
const CODES: [&str; 14] = [
    "invalid_grant",
    "invalid_client",
    "invalid_request",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "invalid_dpop_proof",
    "access_denied",
    "interaction_required",
    "login_required",
    "consent_required",
    "temporarily_unavailable",
    "server_error",
];

fn known(code: &str) -> Option<&'static str> {
    CODES.into_iter().find(|known| *known == code)
}

fn classify(
    status: StatusCode,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
) -> GrantFailure {
    let error = |kind, remedy: &str| {
        let code = code.unwrap_or("without a known error code");
        ProviderError::new(
            kind,
            format!("the token endpoint answered {status}, {code}{remedy}"),
        )
    };
    let is_transient = status.is_server_error()
        || matches!(status.as_u16(), 408 | 425 | 429)
        || matches!(code, Some("temporarily_unavailable" | "server_error"));
    if is_transient {
        return GrantFailure::Unspent(error(ProviderErrorKind::Status, ""), retry_after);
    }
    match (status, code) {
        // Some providers answer a spent refresh token with 400 and nothing else.
        (StatusCode::BAD_REQUEST, None) | (_, Some("invalid_grant")) => {
            GrantFailure::Rejected(error(ProviderErrorKind::GrantRejected, ""))
        }
        (_, Some("interaction_required" | "login_required" | "consent_required")) => {
            GrantFailure::Rejected(error(
                ProviderErrorKind::InteractionRequired,
                "; the user must do something at the provider first: send them through the sign-in",
            ))
        }
        (_, Some("invalid_client" | "unauthorized_client")) | (StatusCode::UNAUTHORIZED, None) => {
            GrantFailure::Misconfigured(error(
                ProviderErrorKind::RequestRefused,
                "; compare client id and secret (OPENID_CLIENT_ID, OPENID_CLIENT_SECRET) and the \
                 client's way to authenticate with what the provider has registered",
            ))
        }
        (_, Some("invalid_target")) => GrantFailure::Misconfigured(error(
            ProviderErrorKind::RequestRefused,
            "; the provider knows no such audience or resource (OPENID_AUDIENCE, OPENID_RESOURCE, \
             OPENID_REFRESH_AUDIENCE)",
        )),
        (_, Some("invalid_scope")) => GrantFailure::Misconfigured(error(
            ProviderErrorKind::RequestRefused,
            "; the provider does not grant these scopes to this client (OPENID_SCOPE)",
        )),
        (_, Some(_)) => GrantFailure::Misconfigured(error(ProviderErrorKind::RequestRefused, "")),
        // A page of a gateway or a wall, not the provider's word.
        (_, None) => GrantFailure::Unspent(error(ProviderErrorKind::Status, ""), retry_after),
    }
}

/// The pause that an answer asks for, bounded.
pub(super) fn retry_after(answer: &Response<Bytes>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let pause = Duration::from_secs(seconds.trim().parse().ok()?);
    Some(pause.min(LONGEST_PAUSE))
}

fn read_tokens(document: &serde_json::Map<String, Value>) -> Result<TokenAnswer, &'static str> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let secret = |name: &str| text(name).filter(|text| !text.is_empty()).map(Secret::new);
    let is_bearer = text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !is_bearer {
        // `N_A` of an exchange, among others: nothing that could be attached (RFC 8693 §2.2.1).
        return Err("the token endpoint answered with a token_type other than Bearer");
    }
    Ok(TokenAnswer {
        access_token: secret("access_token")
            .ok_or("the token endpoint answered without an access_token")?,
        refresh_token: secret("refresh_token"),
        id_token: secret("id_token"),
        issued_token_type: text("issued_token_type").map(str::to_owned),
        expires_in: seconds(document.get("expires_in")),
        // Keycloak's zero means that it does not expire.
        refresh_expires_in: seconds(document.get("refresh_expires_in"))
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        scope: text("scope").map(str::to_owned),
    })
}

/// A number of seconds, also as text or with a fraction, as some providers write it.
fn seconds(value: Option<&Value>) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and a fraction of a second is dropped on purpose"
    )]
    let whole = |number: f64| number as i64;
    match value? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(whole)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONTENT_TYPE;

    fn answer(status: u16, kind: &str, body: &str) -> Result<TokenAnswer, GrantFailure> {
        let answer = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, kind)
            .header(RETRY_AFTER, "7")
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        read(&answer)
    }

    #[test]
    fn d9_what_became_of_the_refresh_token() {
        const JSON: &str = "application/json";
        let error = |code: &str| format!(r#"{{"error":"{code}","error_description":"hunter2"}}"#);
        let cases = [
            (400, JSON, error("invalid_grant"), "rejected"),
            (401, JSON, error("invalid_grant"), "rejected"),
            (400, "text/plain", String::new(), "rejected"),
            (400, JSON, error("interaction_required"), "rejected"),
            (400, JSON, "{}".to_owned(), "rejected"),
            (401, JSON, error("invalid_client"), "misconfigured"),
            (400, JSON, error("invalid_client"), "misconfigured"),
            (400, JSON, error("unauthorized_client"), "misconfigured"),
            (400, JSON, error("invalid_target"), "misconfigured"),
            (400, JSON, error("invalid_scope"), "misconfigured"),
            (400, JSON, error("invalid_request"), "misconfigured"),
            (401, "text/html", "<h1>".to_owned(), "misconfigured"),
            (400, JSON, error("temporarily_unavailable"), "unspent"),
            (403, "text/html", "<h1>blocked</h1>".to_owned(), "unspent"),
            (302, "text/html", String::new(), "unspent"),
            (404, "text/html", String::new(), "unspent"),
            (408, JSON, "{}".to_owned(), "unspent"),
            (425, JSON, "{}".to_owned(), "unspent"),
            (429, JSON, error("invalid_grant"), "unspent"),
            (500, JSON, error("invalid_grant"), "unspent"),
            (503, "text/html", String::new(), "unspent"),
            (200, "text/html", "<h1>".to_owned(), "uncertain"),
            (200, JSON, "[]".to_owned(), "uncertain"),
            (200, JSON, "{".to_owned(), "uncertain"),
            (
                200,
                JSON,
                r#"{"token_type":"Bearer"}"#.to_owned(),
                "uncertain",
            ),
        ];
        for (status, kind, body, expected) in cases {
            let failure = answer(status, kind, &body).unwrap_err();
            let found = match &failure {
                GrantFailure::Rejected(_) => "rejected",
                GrantFailure::Misconfigured(_) => "misconfigured",
                GrantFailure::Unspent(..) => "unspent",
                GrantFailure::Uncertain(_) => "uncertain",
            };
            assert_eq!(found, expected, "{status} {kind} {body}");
            assert!(!failure.error().to_string().contains("hunter2"));
        }
        let Err(GrantFailure::Unspent(_, pause)) = answer(429, JSON, "{}") else {
            panic!("not unspent");
        };
        assert_eq!(pause, Some(Duration::from_secs(7)));
    }

    #[test]
    fn lg_19_only_bearer_tokens_are_taken_in_any_case() {
        let with = |kind: &str| {
            let body = format!(r#"{{"access_token":"a","token_type":{kind}}}"#);
            answer(200, "application/json; charset=utf-8", &body).is_ok()
        };
        assert!(with("\"Bearer\"") && with("\"bearer\"") && with("\"BEARER\""));
        assert!(!with("\"mac\"") && !with("\"DPoP\"") && !with("7") && !with("null"));
    }

    #[test]
    fn rt_09_lifetimes_of_every_shape() {
        let cases = [
            ("60", Some(60)),
            ("\"60\"", Some(60)),
            ("60.9", Some(60)),
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("1e300", Some(i64::MAX)),
            ("null", None),
            ("\"soon\"", None),
            ("[60]", None),
        ];
        for (text, expected) in cases {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(seconds(Some(&value)), expected, "{text}");
        }
        assert_eq!(seconds(None), None);
    }
}
