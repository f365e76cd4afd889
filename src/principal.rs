//! The waist of the crate: a [`Principal`] is the proof that a caller was verified.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::claim_test::{ClaimAnswers, ClaimTest};
use crate::claims::{Issuer, ScopeSet};
use crate::claims_error::{ClaimsError, fit, fit_claim};
use crate::clock::{SharedClock, UnixTime};
#[cfg(feature = "login")]
use crate::expiry::Ended;
use crate::expiry::expired;
use crate::jwt::DecodedText;
use crate::log_pace::LogPace;
use crate::revocations::Revocable;
#[cfg(feature = "outbound")]
use crate::token::live::LiveToken;
#[cfg(feature = "outbound")]
use crate::token::source::TokenSource;

/// A caller whose token was verified. Only verification makes one.
///
/// Cloning is cheap. `Debug` shows issuer and subject, never the token. A principal does not expose the
/// token. Only `outbound` can send it on: the token of a session, and that of a request with
/// `BearerLayer::allow_relay`.
///
/// The identity is [`issuer`](Self::issuer) **and** [`subject`](Self::subject) together, because a subject
/// is unique only within its issuer.
///
/// ```
/// use tower_oidc::{ClaimsError, Principal};
///
/// /// With the feature `axum` a handler takes it as an argument; elsewhere it stands in the extensions of the request.
/// fn greet(caller: &Principal) -> Result<String, ClaimsError> {
///     let name: Option<String> = caller.claim("profile.name")?;
///     let subject = caller.subject().unwrap_or("a program");
///     let may_write = caller.has_scope("orders:write");
///     Ok(format!("{}: {may_write}", name.as_deref().unwrap_or(subject)))
/// }
/// ```
#[doc(alias("claims", "identity", "user"))]
#[derive(Clone)]
pub struct Principal {
    verified: Arc<Verified>,
    #[cfg(any(feature = "login", feature = "outbound"))]
    origin: Option<Arc<dyn Origin>>,
}

/// What stands behind a principal beside its token: the session that it is of, or the token that may be sent on.
#[cfg(any(feature = "login", feature = "outbound"))]
pub(crate) trait Origin: Send + Sync {
    /// Completes when the session is over. `None` where there is no session.
    #[cfg(feature = "login")]
    fn ended(&self) -> Option<Ended>;

    /// The tokens that may be sent on.
    #[cfg(feature = "outbound")]
    fn source(&self) -> &dyn TokenSource;
}

/// The token of a request.
#[cfg(feature = "outbound")]
impl Origin for LiveToken {
    #[cfg(feature = "login")]
    fn ended(&self) -> Option<Ended> {
        None
    }

    fn source(&self) -> &dyn TokenSource {
        self
    }
}

/// What a [`Principal`] was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// An access token for this service. It has an audience of this service, and scopes.
    AccessToken,
    /// The ID token of a sign-in ([`LoginLayer::identity`](crate::LoginLayer::identity)), or one that a client
    /// presents ([`TokenProfile::IdToken`](crate::TokenProfile::IdToken)): who the caller is, and nothing about what
    /// they may do here. It has no scopes.
    IdToken,
}

/// The findings of the verification.
pub(crate) struct Verified {
    pub(crate) kind: PrincipalKind,
    pub(crate) issuer: Issuer,
    pub(crate) subject: Option<Box<str>>,
    pub(crate) audience: Box<[Box<str>]>,
    pub(crate) scopes: ScopeSet,
    pub(crate) expires_at: UnixTime,
    /// The first second at which its verifier accepts it no longer: with the leeway, and never too old.
    pub(crate) valid_until: UnixTime,
    pub(crate) issued_at: Option<UnixTime>,
    pub(crate) client_id: Option<Box<str>>,
    pub(crate) is_client: bool,
    pub(crate) text: DecodedText,
    /// What it can be revoked by, where the verifier asks.
    pub(crate) revocable: Option<Box<Revocable>>,
    /// What policies asked of the claims.
    pub(crate) answers: ClaimAnswers,
    pub(crate) common: Arc<Common>,
}

/// What the principals of one verifier share.
pub(crate) struct Common {
    /// When the log was last told that claims do not fit a type of the application.
    #[cfg_attr(
        not(feature = "axum"),
        allow(dead_code, reason = "only an extractor logs for the application")
    )]
    misfits: LogPace<MISFITS>,
    /// The clock by which their tokens expire.
    clock: SharedClock,
}

impl Common {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            misfits: LogPace::new(clock.clone()),
            clock,
        }
    }
}

/// Types of an application whose misfits are told apart.
const MISFITS: usize = 16;

impl Principal {
    /// Called in `verify` only.
    pub(crate) fn verified(verified: Verified) -> Self {
        Self {
            verified: Arc::new(verified),
            #[cfg(any(feature = "login", feature = "outbound"))]
            origin: None,
        }
    }

    /// The same with its session, or with the token that may be sent on.
    #[cfg(any(feature = "login", feature = "outbound"))]
    #[must_use]
    pub(crate) fn with_origin(self, origin: Arc<dyn Origin>) -> Self {
        Self {
            origin: Some(origin),
            ..self
        }
    }

    #[cfg(feature = "outbound")]
    pub(crate) fn source(&self) -> Option<&dyn TokenSource> {
        self.origin.as_deref().map(Origin::source)
    }

    /// The approximate length of its text, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.verified.text.len() + self.verified.scopes.len()
    }

    /// Whether a line in the log is due that claims do not fit this type.
    #[cfg(feature = "axum")]
    pub(crate) fn is_misfit_due(&self, type_name: &str) -> bool {
        self.verified.common.misfits.is_due_for(type_name)
    }

    /// Whether an access token or an ID token says who this is.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.verified.kind
    }

    /// The issuer of the token.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.verified.issuer
    }

    /// The caller, as that issuer identifies it. `None` if the token has no subject, which the lenient
    /// profile allows and the strict one does not.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.verified.subject.as_deref()
    }

    /// The audiences of the token. At least one of them is this service, or its client if this is the
    /// [ID token](PrincipalKind::IdToken) of a sign-in. There is none where the token was accepted for
    /// [its client](crate::VerifierBuilder::add_client_audience).
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.verified.audience.iter().map(|audience| &**audience)
    }

    /// Whether this is exactly one of the token's audiences.
    #[must_use]
    pub fn has_audience(&self, audience: &str) -> bool {
        self.audiences().any(|named| named == audience)
    }

    /// The scopes of the token. An [ID token](PrincipalKind::IdToken) has none.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.verified.scopes
    }

    /// Whether exactly this scope is granted.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.verified.scopes.contains(scope)
    }

    /// When the token expires (`exp`), without the leeway. An [ID token](PrincipalKind::IdToken) says who signed
    /// in and need not last: here it counts until the end of its session at the latest.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.verified.expires_at
    }

    /// When the token was issued (`iat`).
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.verified.issued_at
    }

    /// The client the token was issued to: `client_id`
    /// ([RFC 9068 §2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2)), else `azp`, `cid` (Okta) or
    /// `appid` (Entra ID v1).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.verified.client_id.as_deref()
    }

    /// Completes when the caller may do nothing more here: for sockets, jobs and streams, which would otherwise outlive
    /// the token or the session they began with. [`StreamExpiryLayer`](crate::StreamExpiryLayer) does this for the
    /// bodies of responses; see [`streams`](crate::streams) for a WebSocket.
    ///
    /// - The caller of a bearer token: when its verifier accepts the token no longer, which is at `exp` and the
    ///   [leeway](crate::VerifierBuilder::with_leeway), or when it was [revoked](crate::Revocations).
    /// - The caller of a session (`LoginLayer`): when the session is over, as `Session::ended` tells. A session lives
    ///   on with newer tokens, and so does what it began.
    ///
    /// The first is noticed within a second, the second as `Session::ended` says. It needs tokio's timer.
    ///
    /// ```
    /// # use tower_oidc::Principal;
    /// async fn talk(caller: Principal, conversation: impl Future<Output = ()>) {
    ///     tokio::select! {
    ///         () = conversation => {}
    ///         () = caller.ended() => {}
    ///     }
    /// }
    /// ```
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        self.ended_after(Duration::ZERO)
    }

    /// The same, where a token counts for so long after its end. A session that is over and a revoked token get no
    /// grace.
    pub(crate) fn ended_after(&self, grace: Duration) -> impl Future<Output = ()> + Send + use<> {
        let principal = self.clone();
        async move {
            #[cfg(feature = "login")]
            if let Some(ended) = principal.origin.as_deref().and_then(Origin::ended) {
                return ended.await;
            }
            let verified = &principal.verified;
            let end = verified.valid_until.saturating_add(grace);
            expired(&verified.common.clock, end, || principal.is_revoked()).await;
        }
    }

    /// Whether the token was [revoked](crate::Revocations) since it was accepted: for connections that stay open after
    /// their request. It is cheap enough to be asked at each message. `false` where the verifier has no
    /// [revocations](crate::VerifierBuilder::with_revocations), and for the principal of a session.
    /// [`ended`](Self::ended) tells of the end of both.
    #[must_use]
    #[inline]
    pub fn is_revoked(&self) -> bool {
        let revocable = self.verified.revocable.as_ref();
        revocable.is_some_and(|revocable| revocable.is_revoked())
    }

    /// Whether the token says that its subject is the client itself, as with client credentials: a program
    /// and not a user ([RFC 9068 §5](https://www.rfc-editor.org/rfc/rfc9068#section-5)).
    ///
    /// That is so if `sub` is the client's id (RFC 9068, Okta, Cognito) or that id with `@clients` (Auth0);
    /// if `gty` is `client-credentials` (Auth0); if `idtyp` is `app`, or `oid` equals `sub` and there is no
    /// `scp` (Entra ID); if `preferred_username` is `service-account-` and the client's id (Keycloak); or if
    /// the token names a client and no subject (Duende `IdentityServer`).
    ///
    /// # Security
    /// `false` does not prove that the caller is a user. Some programs cannot be told from users by their
    /// token: Keycloak's service accounts where `preferred_username` is not mapped, service users of Zitadel
    /// and authentik, and programs that sign in with a user's password or refresh token. To keep programs
    /// out, require something that only users get, such as a scope or role, with
    /// [`RequireLayer`](crate::RequireLayer).
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.verified.is_client
    }

    /// The claims as the provider wrote them: JSON text with every digit.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        self.verified.text.payload()
    }

    /// The JOSE header of the token.
    #[cfg(feature = "login")]
    pub(crate) fn header_json(&self) -> &str {
        self.verified.text.header()
    }

    /// Whether the claims meet this test. They are read once for each test.
    #[inline]
    pub(crate) fn meets(&self, test: &Arc<ClaimTest>) -> bool {
        self.verified.answers.to(test, self.claims_json())
    }

    /// The claim at this path as your own type, such as `realm_access.roles` or `['https://example.com/roles']`: see
    /// [`ClaimPath`](crate::ClaimPath). `None` if it is not there, or null.
    /// Each call reads the claims; a [`Policy`](crate::Policy) reads those of a token once.
    ///
    /// ```
    /// # fn of(principal: &tower_oidc::Principal) -> Result<(), tower_oidc::ClaimsError> {
    /// let roles: Vec<String> = principal.claim("realm_access.roles")?.unwrap_or_default();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClaimsError`] with the claim and the reason if the text is no path, or the claim does not fit the type. It
    /// does not repeat its value.
    pub fn claim<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ClaimsError> {
        fit_claim(self.claims_json(), path)
    }

    /// The claims as your own type. It may have registered claims too.
    ///
    /// # Errors
    /// [`ClaimsError`] with the claim and the reason if they do not fit the type. It does not repeat their
    /// values.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        fit(self.claims_json())
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Principal")
            .field("issuer", &self.verified.issuer.as_str())
            .field("subject", &self.verified.subject)
            .field("expires_at", &self.verified.expires_at)
            .finish_non_exhaustive()
    }
}
