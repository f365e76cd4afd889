//! The table from refusals to answers.

use std::fmt;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::claims::Scope;
use crate::error::{VerifyError, VerifyErrorKind};
use crate::gate::challenge::{Challenges, refusal_headers};

/// Why a request was refused. It is in the extensions of the response, so that outer layers can count
/// and log it. The client learns only the status and a standard code.
///
/// ```
/// use http::Response;
/// use tower_oidc::{BearerLayer, Provider, Rejection, RejectionKind};
///
/// /// A body of the application. Status and challenge are set already when it is sent.
/// fn refusal(rejection: &Rejection) -> Response<String> {
///     Response::new(match rejection.kind() {
///         RejectionKind::NoToken => "sign in first".to_owned(),
///         RejectionKind::InsufficientScope => {
///             let scopes: Vec<_> = rejection.scopes().iter().map(|scope| scope.as_str()).collect();
///             format!("this needs {}", scopes.join(" "))
///         }
///         _ => "refused".to_owned(),
///     })
/// }
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
/// let layer = BearerLayer::new(verifier).on_refusal(refusal);
/// # drop(layer);
/// # Ok(())
/// # }
/// ```
#[doc(alias("401", "403", "forbidden", "unauthorized"))]
#[derive(Clone)]
pub struct Rejection {
    refused: Arc<Refused>,
    challenge: Challenge,
}

/// Whether the challenge is that of a layer that knows the realm and the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Challenge {
    Provisional,
    Final,
}

#[derive(Clone)]
struct Refused {
    kind: RejectionKind,
    error: Option<VerifyError>,
    scopes: Vec<Scope>,
}

/// The kinds of refusal, each with its status
/// ([RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// 401 without an error code: the request has no bearer credentials.
    NoToken,
    /// 400 `invalid_request`: the credentials are not one well-formed bearer token.
    Malformed,
    /// 401 `invalid_token`: the token was judged and refused.
    InvalidToken,
    /// 403: the request may change something, its token is one that browsers or proxies add by themselves, and it
    /// does not prove that it comes from a page of this site
    /// ([`TokenPlace::cookie`](crate::TokenPlace::cookie)).
    CrossOrigin,
    /// 403 `insufficient_scope`: the token is valid and does not grant enough.
    InsufficientScope,
    /// 503 with `Retry-After`: the token cannot be judged, because the provider cannot be asked at present, or
    /// its key may be new and cannot be looked for yet.
    Unavailable,
    /// 500: the layer with this name is not around this one or this handler. It is missing, or stands in
    /// the wrong order.
    MissingLayer(&'static str),
    /// 500: the verified claims do not fit the type that the handler asks for.
    UnexpectedClaims,
}

impl RejectionKind {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::InsufficientScope | Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::MissingLayer(_) | Self::UnexpectedClaims => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Rejection {
    pub(crate) fn new(kind: RejectionKind) -> Self {
        Self::because(kind, None, Vec::new())
    }

    fn because(kind: RejectionKind, error: Option<VerifyError>, scopes: Vec<Scope>) -> Self {
        let refused = Refused {
            kind,
            error,
            scopes,
        };
        Self {
            refused: Arc::new(refused),
            challenge: Challenge::Provisional,
        }
    }

    pub(crate) fn insufficient_scope(scopes: &[Scope]) -> Self {
        Self::because(RejectionKind::InsufficientScope, None, scopes.to_vec())
    }

    /// Logs which layer is not around a route, and how to put it there.
    pub(crate) fn tell_missing_layer(&self, needed_by: &str, route: &dyn fmt::Display) {
        if let RejectionKind::MissingLayer(layer) = self.kind() {
            tracing::error!(
                layer,
                needed_by,
                %route,
                remedy = order_of(layer),
                "a layer is not around this route: it is missing, or it is inside of what needs it"
            );
        }
    }

    /// The kind of refusal.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.refused.kind
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.refused.kind.status()
    }

    /// Why the token was refused, if one was judged. Not for the client.
    #[must_use]
    pub fn verify_error(&self) -> Option<&VerifyError> {
        self.refused.error.as_ref()
    }

    /// The scopes the request needs, if the token lacks some of them.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.refused.scopes
    }

    /// Puts the scopes of an outer requirement before those of the inner one.
    pub(crate) fn also_needs(&mut self, outer: &[Scope]) {
        let scopes = &mut Arc::make_mut(&mut self.refused).scopes;
        let inner = std::mem::replace(scopes, outer.to_vec());
        for scope in inner {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
    }

    /// The same with a challenge that no outer layer replaces.
    #[must_use]
    pub(crate) fn with_final_challenge(self) -> Self {
        Self {
            challenge: Challenge::Final,
            ..self
        }
    }

    /// Whether an outer layer may replace the challenge.
    pub(crate) fn lacks_challenge(&self) -> bool {
        self.challenge == Challenge::Provisional
    }

    /// Its header fields: a challenge for every 401 and for every other status with a code of RFC 6750.
    fn headers(&self, challenges: &Challenges) -> HeaderMap {
        let kind = self.verify_error().map(VerifyError::kind);
        match self.kind() {
            RejectionKind::NoToken => challenges.no_token.clone(),
            RejectionKind::Malformed => challenges.malformed.clone(),
            RejectionKind::InvalidToken if kind == Some(VerifyErrorKind::Expired) => {
                challenges.expired.clone()
            }
            RejectionKind::InvalidToken => challenges.invalid.clone(),
            RejectionKind::InsufficientScope => challenges.insufficient_scope(self.scopes()),
            RejectionKind::CrossOrigin
            | RejectionKind::Unavailable
            | RejectionKind::MissingLayer(_)
            | RejectionKind::UnexpectedClaims => refusal_headers(None),
        }
    }

    pub(crate) fn set_challenge<B>(&self, response: &mut Response<B>, challenges: &Challenges) {
        if let Some(challenge) = self.headers(challenges).remove(WWW_AUTHENTICATE) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
    }

    /// The response. `on_refusal` chooses the body; what the standards fix comes from this table.
    pub(crate) fn into_response<B>(
        self,
        challenges: &Challenges,
        on_refusal: &impl OnRefusal<B>,
    ) -> Response<B> {
        let mut response = on_refusal.response(&self);
        *response.status_mut() = self.status();
        let mut headers = self.headers(challenges);
        if let Some(after) = self.verify_error().and_then(VerifyError::retry_after) {
            // Whole seconds, rounded up, and at least one.
            let seconds = after.as_secs().saturating_add(1);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let own = std::mem::replace(response.headers_mut(), headers);
        if own.capacity() == 0 {
            // Leaks nothing, because nothing was allocated. A drop would walk through it all the same.
            std::mem::forget(own);
        } else {
            keep_others(response.headers_mut(), own);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Adds the fields of an application's own response, except those that the standards fix.
fn keep_others(headers: &mut HeaderMap, own: HeaderMap) {
    let mut name = None;
    for (next, value) in own {
        name = next.or(name);
        match &name {
            Some(name) if !FIXED.contains(name) => {
                headers.append(name, value);
            }
            _ => {}
        }
    }
}

macro_rules! order {
    ($layer:literal) => {
        concat!(
            "put ",
            $layer,
            " outside of what needs a caller: with ServiceBuilder before it, as in .layer(",
            $layer,
            ").layer(RequireLayer).service(handler); with axum, where the layer that is added last is \
             outermost, after it and after the routes, as in Router::new().route(path, \
             get(handler).route_layer(RequireLayer)).layer(",
            $layer,
            ")"
        )
    };
}

/// How this layer is put around others.
fn order_of(layer: &str) -> &'static str {
    match layer {
        "BearerLayer" => order!("BearerLayer"),
        "LoginLayer" => order!("LoginLayer"),
        _ => order!(
            "the layer that verifies callers (BearerLayer for an API, LoginLayer for a site)"
        ),
    }
}

const FIXED: [HeaderName; 3] = [CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE];

impl From<VerifyError> for Rejection {
    fn from(error: VerifyError) -> Self {
        let kind = match error.kind() {
            VerifyErrorKind::Malformed => RejectionKind::Malformed,
            VerifyErrorKind::Unavailable => RejectionKind::Unavailable,
            _ => RejectionKind::InvalidToken,
        };
        Self::because(kind, Some(error), Vec::new())
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rejection")
            .field("kind", &self.refused.kind)
            .field("error", &self.refused.error)
            .field("scopes", &self.refused.scopes)
            .field("challenge", &self.challenge)
            .finish()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.refused.kind, &self.refused.error) {
            (_, Some(error)) => error.fmt(formatter),
            (RejectionKind::NoToken, _) => formatter.write_str("no bearer token was sent"),
            (RejectionKind::Malformed, _) => {
                formatter.write_str("the credentials are not one bearer token")
            }
            (RejectionKind::CrossOrigin, _) => {
                formatter.write_str("the request does not prove that it comes from this site")
            }
            (RejectionKind::InsufficientScope, _) => {
                formatter.write_str("the token does not grant enough")
            }
            (RejectionKind::MissingLayer(layer), _) => {
                write!(
                    formatter,
                    "{layer} is not around this route: it is missing, or stands in the wrong order"
                )
            }
            (RejectionKind::UnexpectedClaims, _) => {
                formatter.write_str("the verified claims do not fit the handler's type")
            }
            (RejectionKind::InvalidToken, _) => {
                formatter.write_str("the token is not meant for this route")
            }
            (RejectionKind::Unavailable, _) => {
                formatter.write_str("the provider cannot be asked at present, so it is unknown whether the token is good")
            }
        }
    }
}

/// Makes the body of a refusal.
///
/// Implemented by [`EmptyBody`], the default, and by every
/// `Fn(&Rejection) -> Response<B> + Clone`. It cannot change the status, the challenge, `Cache-Control` and
/// `Retry-After`, because they are set afterwards.
///
/// ```
/// use http::{HeaderValue, Response};
/// use tower_oidc::{Rejection, RequireLayer};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let layer = RequireLayer::scope("orders:read")?.on_refusal(|rejection: &Rejection| {
///     let mut response = Response::new(format!("{{\"status\": {}}}", rejection.status().as_u16()));
///     let kind = HeaderValue::from_static("application/problem+json");
///     response.headers_mut().insert("content-type", kind);
///     response
/// });
/// # drop(layer);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make the refusals of a service whose response body is `{B}`",
    note = "by default a refusal has an empty body, which needs `{B}: Default`",
    note = "where the body has no `Default`, or refusals shall have a text, hand a closure \
            `Fn(&Rejection) -> Response<{B}> + Clone` to `on_refusal`"
)]
pub trait OnRefusal<B> {
    /// A response whose body is sent, and whose headers are sent except those that the standards fix.
    fn response(&self, rejection: &Rejection) -> Response<B>;
}

/// An empty body.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct EmptyBody;

#[diagnostic::do_not_recommend]
impl<B: Default> OnRefusal<B> for EmptyBody {
    fn response(&self, _: &Rejection) -> Response<B> {
        Response::new(B::default())
    }
}

impl<F, B> OnRefusal<B> for F
where
    F: Fn(&Rejection) -> Response<B>,
{
    fn response(&self, rejection: &Rejection) -> Response<B> {
        self(rejection)
    }
}
