//! What can go wrong, told to whoever can mend it: [`ConfigError`] to the one who starts the
//! service, [`VerifyError`] and [`ProviderError`] to its log. A client never sees these texts.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A setting the crate refuses to start with. The message names the setting and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting that has no safe default was left out or left empty.
    #[error("{setting} is not set: {remedy}")]
    #[non_exhaustive]
    Missing {
        /// The setting's name.
        setting: Cow<'static, str>,
        /// What to do about it.
        remedy: Cow<'static, str>,
    },
    /// A setting has a value that cannot be used.
    #[error("{setting} = {value:?} cannot be used: {problem}; {remedy}")]
    #[non_exhaustive]
    Invalid {
        /// The setting's name.
        setting: Cow<'static, str>,
        /// The value as it was given. Never that of a secret.
        value: String,
        /// What is wrong with it.
        problem: Cow<'static, str>,
        /// What to do about it.
        remedy: Cow<'static, str>,
    },
    /// A setting nobody reads, most often a misspelt one.
    #[error("{setting} is not a setting of this crate{}", did_you_mean(.suggestion.as_deref()))]
    #[non_exhaustive]
    Unknown {
        /// The name that was found.
        setting: String,
        /// The known name that comes closest, if one does.
        suggestion: Option<String>,
    },
    /// Two settings that cannot both hold.
    #[error("{setting} contradicts {other}: {remedy}")]
    #[non_exhaustive]
    Contradiction {
        /// The one setting.
        setting: Cow<'static, str>,
        /// The other.
        other: Cow<'static, str>,
        /// What to do about it.
        remedy: Cow<'static, str>,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(
        || "; remove it, or see the documentation for the names it reads".to_owned(),
        |name| format!("; did you mean {name}?"),
    )
}

impl ConfigError {
    pub(crate) fn missing(
        setting: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Missing {
            setting: setting.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn invalid(
        setting: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
        problem: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Invalid {
            setting: setting.into(),
            value: value.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// The setting this error is about.
    #[must_use]
    pub fn setting(&self) -> &str {
        match self {
            Self::Missing { setting, .. }
            | Self::Invalid { setting, .. }
            | Self::Contradiction { setting, .. } => setting,
            Self::Unknown { setting, .. } => setting,
        }
    }

    /// The same error under the name by which the operator knows the setting.
    #[must_use]
    pub(crate) fn renamed(mut self, name: &'static str) -> Self {
        match &mut self {
            Self::Missing { setting, .. }
            | Self::Invalid { setting, .. }
            | Self::Contradiction { setting, .. } => *setting = Cow::Borrowed(name),
            Self::Unknown { setting, .. } => name.clone_into(setting),
        }
        self
    }
}

/// Why a token was refused. For logs and metrics; it holds no part of the token.
#[derive(Clone)]
pub struct VerifyError {
    kind: VerifyErrorKind,
    claim: Option<&'static str>,
    retry_after: Option<Duration>,
    provider: Option<ProviderError>,
}

/// The causes of a [`VerifyError`], a closed set of words fit for a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifyErrorKind {
    /// The credentials hold characters no bearer token may hold (RFC 6750 §2.1).
    Malformed,
    /// Longer than the size limit.
    TooLarge,
    /// Not a JWT at all: a reference only its issuer can resolve.
    Opaque,
    /// A JWE: encrypted for somebody who has the key, which is not this service.
    Encrypted,
    /// Three segments that do not hold what RFC 7515 and RFC 7519 demand.
    NotAJwt,
    /// A `crit` header: an extension that must be understood, and is not (RFC 7515 §4.1.11).
    CriticalHeader,
    /// The algorithm is not on the allow-list, or is not the key's.
    Algorithm,
    /// `typ` or `cty` names another kind of token.
    TokenType,
    /// An ID token, logout token, DPoP proof or introspection answer sent as an access token.
    TokenKind,
    /// A claim that must be there is not.
    MissingClaim,
    /// A claim has a value of the wrong type, or stands there twice.
    InvalidClaim,
    /// The issuer is not one of the configured ones.
    WrongIssuer,
    /// The token is meant for another audience.
    WrongAudience,
    /// The tenant is not on the allow-list.
    WrongTenant,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// `iat` is older than the configured maximum age.
    TooOld,
    /// Bound to a key or certificate (`cnf`) that a bearer layer cannot check.
    SenderConstrained,
    /// No published key fits, even after asking again.
    UnknownKey,
    /// Several different keys claim the same name and algorithm, or too many could fit.
    AmbiguousKey,
    /// The signature does not fit the key.
    BadSignature,
    /// The provider's keys cannot be had: the token may be good, nobody can tell.
    Unavailable,
}

impl VerifyErrorKind {
    /// The kind as one word with underscores, the label used in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Opaque => "opaque",
            Self::Encrypted => "encrypted",
            Self::NotAJwt => "not_a_jwt",
            Self::CriticalHeader => "critical_header",
            Self::Algorithm => "algorithm",
            Self::TokenType => "token_type",
            Self::TokenKind => "token_kind",
            Self::MissingClaim => "missing_claim",
            Self::InvalidClaim => "invalid_claim",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::WrongTenant => "wrong_tenant",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooOld => "too_old",
            Self::SenderConstrained => "sender_constrained",
            Self::UnknownKey => "unknown_key",
            Self::AmbiguousKey => "ambiguous_key",
            Self::BadSignature => "bad_signature",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether a fresh token of the same making would fare no better: the configuration here or
    /// at the provider must change first. Such a refusal never starts a refresh.
    #[must_use]
    pub fn is_structural(self) -> bool {
        matches!(
            self,
            Self::Opaque
                | Self::Encrypted
                | Self::NotAJwt
                | Self::CriticalHeader
                | Self::Algorithm
                | Self::TokenType
                | Self::TokenKind
                | Self::MissingClaim
                | Self::InvalidClaim
                | Self::WrongIssuer
                | Self::WrongAudience
                | Self::WrongTenant
                | Self::SenderConstrained
                | Self::TooLarge
        )
    }

    fn message(self) -> &'static str {
        match self {
            Self::Malformed => "the credentials are not a bearer token",
            Self::TooLarge => "the token is longer than allowed",
            Self::Opaque => "the access token is opaque, not a JWT",
            Self::Encrypted => "the access token is encrypted (a JWE)",
            Self::NotAJwt => "the token is not a well-formed JWT",
            Self::CriticalHeader => "the token demands an extension by crit",
            Self::Algorithm => "the token's algorithm is not accepted for this issuer and key",
            Self::TokenType => "the token's typ is not that of an access token",
            Self::TokenKind => "the token is of another kind, such as an ID token",
            Self::MissingClaim => "a required claim is missing",
            Self::InvalidClaim => "a claim is malformed",
            Self::WrongIssuer => "the token comes from an issuer that is not configured",
            Self::WrongAudience => "the token is meant for another audience",
            Self::WrongTenant => "the token's tenant is not on the allow-list",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::TooOld => "the token was issued too long ago",
            Self::SenderConstrained => "the token is bound to a key this layer cannot check",
            Self::UnknownKey => "the provider publishes no key that fits the token",
            Self::AmbiguousKey => "more than one published key fits the token",
            Self::BadSignature => "the signature is wrong",
            Self::Unavailable => "the provider's keys are not available",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Opaque | Self::Encrypted => {
                "nobody but the provider can read it, so it cannot be verified here and \
                 a refresh brings the same kind again; ask the provider for a JWT: name this API \
                 in the token request (Auth0: set OPENID_AUDIENCE to the API identifier and send it \
                 as audience; Entra ID: ask for a scope api://<application id>/.default; \
                 others: send resource)"
            }
            Self::WrongAudience => {
                "the client must ask for a token for this API (Auth0: audience, Entra ID: a scope \
                 of this application, others: resource), or the accepted audience \
                 (OPENID_AUDIENCE) must be corrected to the very text of the aud claim"
            }
            Self::WrongIssuer => {
                "compare the token's iss with the configured issuer (OPENID_ISSUER) character by \
                 character, the final slash included"
            }
            Self::WrongTenant => "add the tenant to the allow-list if it may use this service",
            Self::TokenKind => {
                "send the access token of the token response, not the id_token or another JWT"
            }
            Self::TokenType => {
                "send an access token; typ must be at+jwt, or JWT or absent in the lenient profile \
                 (OPENID_TOKEN_PROFILE)"
            }
            Self::Algorithm => {
                "let the provider sign with an accepted algorithm, or name the provider's in \
                 OPENID_ALGORITHMS"
            }
            Self::MissingClaim | Self::InvalidClaim => {
                "let the provider issue the claim, or choose the lenient profile \
                 (OPENID_TOKEN_PROFILE)"
            }
            Self::Expired => {
                "the client must fetch a fresh token; if tokens expire at once, compare this \
                 machine's clock with the provider's (OPENID_CLOCK_TOLERANCE)"
            }
            Self::NotYetValid => {
                "the clocks differ: synchronise this machine's clock with the provider's, or raise \
                 the leeway (OPENID_CLOCK_TOLERANCE)"
            }
            Self::TooOld => "the client must fetch a fresh token",
            Self::SenderConstrained => {
                "send an unbound token, or allow bound ones to be used as bearer tokens"
            }
            Self::UnknownKey => {
                "the signing key is not in the provider's key set; if this lasts, check that \
                 OPENID_ISSUER and OPENID_JWKS_URL belong to the provider that signed"
            }
            Self::AmbiguousKey => {
                "the provider must give each key its own kid, and tokens must carry it"
            }
            Self::Unavailable => {
                "check that the provider can be reached from here; it heals without a restart"
            }
            Self::TooLarge => "let the provider put less into the token, or raise the size limit",
            Self::Malformed | Self::NotAJwt | Self::CriticalHeader | Self::BadSignature => {
                "the client must send the token exactly as the provider issued it"
            }
        }
    }
}

impl VerifyError {
    pub(crate) fn new(kind: VerifyErrorKind) -> Self {
        Self {
            kind,
            claim: None,
            retry_after: None,
            provider: None,
        }
    }

    pub(crate) fn claim(kind: VerifyErrorKind, claim: &'static str) -> Self {
        Self {
            claim: Some(claim),
            ..Self::new(kind)
        }
    }

    pub(crate) fn unavailable(provider: ProviderError, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            provider: Some(provider),
            ..Self::new(VerifyErrorKind::Unavailable)
        }
    }

    /// The cause.
    #[must_use]
    pub fn kind(&self) -> VerifyErrorKind {
        self.kind
    }

    /// The claim or header member the refusal is about, where it is about one.
    #[must_use]
    pub fn claim_name(&self) -> Option<&'static str> {
        self.claim
    }

    /// What whoever runs the service or its client can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        self.kind.remedy()
    }

    /// When it is worth trying again, for [`VerifyErrorKind::Unavailable`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Debug for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VerifyError")
            .field("kind", &self.kind)
            .field("claim", &self.claim)
            .field("provider", &self.provider)
            .finish()
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.message())?;
        match self.claim {
            Some(claim) => write!(formatter, ": {claim}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.provider.as_ref().map(|error| error as _)
    }
}

impl From<VerifyErrorKind> for VerifyError {
    fn from(kind: VerifyErrorKind) -> Self {
        Self::new(kind)
    }
}

/// The provider did not answer, or not as the standards say. Cheap to clone: everyone who waited
/// for the same call gets the same error.
#[derive(Clone)]
pub struct ProviderError(Arc<ProviderFailure>);

struct ProviderFailure {
    kind: ProviderErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The causes of a [`ProviderError`], a closed set of words fit for a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// No connection, or it broke.
    Unreachable,
    /// The time limit passed.
    TimedOut,
    /// A status other than the one the standard demands; redirects are not followed.
    Status,
    /// The answer is not JSON, or not the document the standard describes.
    InvalidAnswer,
    /// The answer is larger than allowed.
    TooLarge,
    /// The discovery document speaks for another issuer than the configured one.
    IssuerMismatch,
    /// An endpoint is not an https URL, or carries user information or a fragment.
    InsecureEndpoint,
    /// The key set holds no key that can verify a signature.
    NoUsableKeys,
    /// There is no asynchronous runtime to make the call on.
    NoRuntime,
}

impl ProviderErrorKind {
    /// The kind as words with underscores, the label used in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Status => "status",
            Self::InvalidAnswer => "invalid_answer",
            Self::TooLarge => "too_large",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::InsecureEndpoint => "insecure_endpoint",
            Self::NoUsableKeys => "no_usable_keys",
            Self::NoRuntime => "no_runtime",
        }
    }

    /// Whether waiting cannot mend it: a setting here or at the provider must change.
    #[must_use]
    pub fn is_configuration(self) -> bool {
        matches!(self, Self::IssuerMismatch | Self::InsecureEndpoint)
    }
}

impl ProviderError {
    pub(crate) fn new(kind: ProviderErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(ProviderFailure {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn caused(
        kind: ProviderErrorKind,
        message: impl Into<String>,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self(Arc::new(ProviderFailure {
            kind,
            message: message.into(),
            source: Some(source),
        }))
    }

    /// The cause.
    #[must_use]
    pub fn kind(&self) -> ProviderErrorKind {
        self.0.kind
    }
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProviderError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl std::error::Error for ProviderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|error| &**error as _)
    }
}

/// An error with all its causes, on one line, for the log.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
