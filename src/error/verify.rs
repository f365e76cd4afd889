use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::error::kinds::kinds;
use crate::error::remedy::{Cause, remedy};
use crate::error::setup::{Found, Setup};
use crate::error::{ProviderError, away};

/// Why a token was refused, for logs and metrics. `Display` and `Debug` contain no part of the token. This
/// crate's own log lines also tell an `iss` or `aud` that is not the expected one.
#[derive(Clone)]
pub struct VerifyError {
    kind: VerifyErrorKind,
    claim: Option<&'static str>,
    cause: Cause,
    away: Option<Box<Away>>,
    found: Option<Box<Found>>,
    setup: Option<Arc<Setup>>,
}

/// Why there are no keys, and when to ask again.
#[derive(Clone)]
struct Away {
    provider: ProviderError,
    retry_after: Duration,
}

struct Facts {
    name: &'static str,
    structural: bool,
    message: &'static str,
    remedy: &'static str,
}

kinds! {
    /// The kind of a [`VerifyError`]. The set is closed, so that a kind can be the label of a metric.
    pub enum VerifyErrorKind: Facts {
        /// The credentials contain a character that a bearer token must not contain (RFC 6750 §2.1).
        Malformed {
            name: "malformed", structural: false,
            message: "the credentials are not a bearer token",
            remedy: "the client must send the token exactly as the provider issued it",
        }
        /// The token is longer than the size limit.
        TooLarge {
            name: "too_large", structural: true,
            message: "the token is longer than allowed",
            remedy: "configure the provider to put less into the token, or raise the size limit \
                (VerifierBuilder::with_max_token_size)",
        }
        /// The token is not a JWT but a reference that only its issuer can resolve.
        Opaque {
            name: "opaque", structural: true,
            message: "the access token is opaque, not a JWT",
            remedy: "only the provider can read it, so it cannot be verified here, and a refresh brings \
                the same kind again; ask the provider for a JWT: name this API in the token request \
                (Auth0: set OPENID_AUDIENCE to the API identifier and send it as audience; Entra ID: ask \
                for a scope api://<application id>/.default; others: send resource)",
        }
        /// The token is a JWE, encrypted with a key that this service does not have.
        Encrypted {
            name: "encrypted", structural: true,
            message: "the access token is encrypted (a JWE)",
            remedy: "only the provider can read it, so it cannot be verified here, and a refresh brings \
                the same kind again; ask the provider for a JWT: name this API in the token request \
                (Auth0: set OPENID_AUDIENCE to the API identifier and send it as audience; Entra ID: ask \
                for a scope api://<application id>/.default; others: send resource)",
        }
        /// The token has three segments, but their content breaks RFC 7515 or RFC 7519.
        NotAJwt {
            name: "not_a_jwt", structural: true,
            message: "the token is not a well-formed JWT",
            remedy: "the client must send the token exactly as the provider issued it",
        }
        /// The header has `crit`, which demands an extension that is unknown here (RFC 7515 §4.1.11).
        CriticalHeader {
            name: "critical_header", structural: true,
            message: "the token demands an unknown extension in crit",
            remedy: "the client must send the token exactly as the provider issued it",
        }
        /// The algorithm is not on the allow-list, or does not fit the key.
        Algorithm {
            name: "algorithm", structural: true,
            message: "the token's algorithm is not accepted for this issuer and key",
            remedy: "configure the provider to sign with an accepted algorithm such as RS256 (HMAC algorithms \
                such as HS256 are never accepted), or add another asymmetric one to OPENID_ALGORITHMS",
        }
        /// `typ` or `cty` names another kind of token.
        TokenType {
            name: "token_type", structural: true,
            message: "the token's typ is not that of an access token",
            remedy: "send an access token, whose typ is at+jwt or JWT or absent",
        }
        /// An ID token, logout token, DPoP proof or introspection answer was sent as an access token.
        TokenKind {
            name: "token_kind", structural: true,
            message: "the token is of another kind, such as an ID token",
            remedy: "send the access token of the token response, not the id_token or another JWT",
        }
        /// A required claim is missing.
        MissingClaim {
            name: "missing_claim", structural: true,
            message: "a required claim is missing",
            remedy: "configure the provider to issue the claim as the standard has it",
        }
        /// A claim has a value of the wrong type, or occurs twice.
        InvalidClaim {
            name: "invalid_claim", structural: true,
            message: "a claim is malformed",
            remedy: "configure the provider to issue the claim as the standard has it",
        }
        /// The issuer is not a configured one.
        WrongIssuer {
            name: "wrong_issuer", structural: true,
            message: "the token comes from an issuer that is not configured",
            remedy: "compare the token's iss with the configured issuer (OPENID_ISSUER) character by \
                character, the final slash included",
        }
        /// The token is for another audience.
        WrongAudience {
            name: "wrong_audience", structural: true,
            message: "the token is for another audience",
            remedy: "the client must ask for a token for this API (Auth0: audience; Entra ID: a scope of \
                this application; Keycloak: a mapper of the type Audience; Zitadel: the scope \
                urn:zitadel:iam:org:project:id:<project id>:aud; others: resource), or the accepted \
                audience (OPENID_AUDIENCE) must be corrected to the exact text of the aud claim",
        }
        /// The tenant is not on the allow-list.
        WrongTenant {
            name: "wrong_tenant", structural: true,
            message: "the token's tenant is not on the allow-list",
            remedy: "add the tenant to the allow-list if it may use this service",
        }
        /// The client that the token was issued to is not on the allow-list.
        ClientNotAllowed {
            name: "client_not_allowed", structural: true,
            message: "the token was issued to a client that is not on the allow-list",
            remedy: "add the client to the list (OPENID_ALLOWED_CLIENTS) if it may use this service",
        }
        /// `exp` has passed.
        Expired {
            name: "expired", structural: false,
            message: "the token has expired",
            remedy: "the client must fetch a fresh token; if tokens expire at once, compare this \
                machine's clock with the provider's (OPENID_CLOCK_TOLERANCE)",
        }
        /// `nbf` or `iat` lies in the future.
        NotYetValid {
            name: "not_yet_valid", structural: false,
            message: "the token is not valid yet",
            remedy: "the clocks differ: synchronise this machine's clock with the provider's, or raise \
                the leeway (OPENID_CLOCK_TOLERANCE)",
        }
        /// `iat` is older than the configured maximum age.
        TooOld {
            name: "too_old", structural: false,
            message: "the token was issued too long ago",
            remedy: "the client must fetch a fresh token",
        }
        /// The token is bound to a key or certificate (`cnf`), and the binding cannot be checked here.
        SenderConstrained {
            name: "sender_constrained", structural: true,
            message: "the token is bound to a key, and the binding cannot be checked here",
            remedy: "configure the provider to issue this API tokens that are not bound, or allow bound \
                tokens to be used as bearer tokens (VerifierBuilder::danger)",
        }
        /// The ID token does not answer the request: its `nonce`, `azp`, `at_hash`, `acr` or
        /// `auth_time` is wrong.
        NotAskedFor {
            name: "not_asked_for", structural: false,
            message: "the ID token does not answer the request that was made",
            remedy: "sign in again; if this persists, the provider does not return what it was asked for",
        }
        /// No published key fits the token, even after the key set was fetched again.
        UnknownKey {
            name: "unknown_key", structural: false,
            message: "the provider publishes no key that fits the token",
            remedy: "the signing key is not in the provider's key set: the token comes from another \
                provider that names this issuer, or its key was withdrawn; the client must fetch a fresh \
                token",
        }
        /// Several keys have the same `kid` and algorithm, or too many could fit.
        AmbiguousKey {
            name: "ambiguous_key", structural: false,
            message: "several published keys fit the token",
            remedy: "the provider must give each key a kid of its own and name it in its tokens",
        }
        /// The signature does not fit the key.
        BadSignature {
            name: "bad_signature", structural: false,
            message: "the signature is wrong",
            remedy: "the client must send the token exactly as the provider issued it",
        }
        /// The provider says that the token is not active: it has expired, was revoked or was never issued
        /// ([RFC 7662 §2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)).
        NotActive {
            name: "not_active", structural: false,
            message: "the provider says that the token is not active",
            remedy: "the client must fetch a fresh token; if every token is refused, the provider may not tell this \
                client about tokens of others: compare OPENID_ISSUER and OPENID_CLIENT_ID with what is registered"
        }
        /// The token was [revoked](crate::Revocations) here: by itself, with the session of the provider that it belongs
        /// to, or with all that were issued to its user by then.
        Revoked {
            name: "revoked", structural: false,
            message: "the token was revoked here",
            remedy: "the client must fetch a fresh token, and the user may have to sign in again; if fresh ones are \
                refused too, compare this machine's clock with the provider's, or ask who revoked the tokens of the user",
        }
        /// The provider's keys are not available, its key could not be looked for yet, or its introspection endpoint
        /// did not answer, so it is unknown whether the token is good.
        Unavailable {
            name: "unavailable", structural: false,
            message: "the provider cannot be asked at present, so it is unknown whether the token is good",
            remedy: "check that this machine can reach the provider; no restart is needed afterwards",
        }
    }
}

impl VerifyErrorKind {
    /// Whether every token of this kind would be refused until the configuration here or at the provider
    /// changes. Such a refusal never starts a refresh.
    #[must_use]
    pub fn is_structural(self) -> bool {
        self.facts().structural
    }
}

impl VerifyError {
    pub(crate) fn new(kind: VerifyErrorKind) -> Self {
        Self {
            kind,
            claim: None,
            cause: Cause::Usual,
            away: None,
            found: None,
            setup: None,
        }
    }

    pub(crate) fn claim(kind: VerifyErrorKind, claim: &'static str) -> Self {
        Self {
            claim: Some(claim),
            ..Self::new(kind)
        }
    }

    /// The same for this cause.
    #[must_use]
    pub(crate) fn because(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self
    }

    /// The same with what the token holds instead of what is expected, where the log may be told of it.
    #[must_use]
    pub(crate) fn having(mut self, found: impl FnOnce() -> Found) -> Self {
        if LevelFilter::current() >= LevelFilter::WARN {
            self.found = Some(Box::new(found()));
        }
        self
    }

    /// The same with the configuration that the token was judged by.
    #[must_use]
    pub(crate) fn judged_by(mut self, setup: &Arc<Setup>) -> Self {
        self.setup = Some(Arc::clone(setup));
        self
    }

    pub(crate) fn unavailable(provider: ProviderError, retry_after: Duration) -> Self {
        let away = Away {
            provider,
            retry_after,
        };
        Self {
            away: Some(Box::new(away)),
            ..Self::new(VerifyErrorKind::Unavailable)
        }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> VerifyErrorKind {
        self.kind
    }

    /// The claim or header member that caused the refusal, if one did.
    #[must_use]
    pub fn claim_name(&self) -> Option<&'static str> {
        self.claim
    }

    /// What the operator of the service or of its client can do, under the configuration that the token
    /// was judged by.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        let provider = self.provider().map(ProviderError::kind);
        if let Some(remedy) = provider.and_then(away::remedy) {
            return remedy;
        }
        let setup = self.setup.as_deref();
        setup
            .and_then(|setup| remedy(self.kind, self.claim, self.cause, setup))
            .unwrap_or_else(|| self.kind.facts().remedy)
    }

    /// How long to wait before trying again. `None` unless the kind is [`VerifyErrorKind::Unavailable`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.away.as_ref().map(|away| away.retry_after)
    }

    fn provider(&self) -> Option<&ProviderError> {
        self.away.as_ref().map(|away| &away.provider)
    }

    /// The error with what the token holds in place of what was expected, for the log alone.
    pub(crate) fn explain(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")?;
        let (Some(found), Some(setup)) = (&self.found, self.setup.as_deref()) else {
            return Ok(());
        };
        let (configured, or) = match self.claim {
            Some("aud") => (&setup.audiences, None),
            _ => (&setup.issuers, setup.other_issuers),
        };
        found.explain(configured, or, formatter)
    }
}

impl fmt::Debug for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VerifyError")
            .field("kind", &self.kind)
            .field("claim", &self.claim)
            .field("provider", &self.provider())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.facts().message)?;
        match self.claim {
            Some(claim) => write!(formatter, ": {claim}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.provider().map(|error| error as _)
    }
}

impl From<VerifyErrorKind> for VerifyError {
    fn from(kind: VerifyErrorKind) -> Self {
        Self::new(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::kinds::{check_names, check_text};

    #[test]
    fn names_are_labels_and_texts_are_of_one_form() {
        check_names(VerifyErrorKind::ALL, VerifyErrorKind::as_str);
        for kind in VerifyErrorKind::ALL {
            check_text(kind.facts().message);
            check_text(kind.facts().remedy);
        }
    }
}
