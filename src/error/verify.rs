use std::fmt;
use std::time::Duration;

use crate::error::provider::ProviderError;

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
    /// An ID token that is not the one asked for: its `nonce`, `azp`, `at_hash`, `acr` or
    /// `auth_time`.
    NotAskedFor,
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
            Self::NotAskedFor => "not_asked_for",
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
            Self::NotAskedFor => "the ID token is not the one that was asked for",
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
            Self::NotAskedFor => {
                "sign in again; if it lasts, the provider does not return what was asked for"
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
            .finish_non_exhaustive()
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
