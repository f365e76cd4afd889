//! The issuers a verifier trusts, each with the provider whose keys count for it.

use crate::error::setup::Found;
use crate::error::{ConfigError, VerifyError, VerifyErrorKind as Kind};
use crate::jwt::{Json, UnverifiedClaims};
use crate::provider::{AcceptedIssuer, Provider};
use crate::settings::ISSUER;

/// At least one issuer, each once.
#[derive(Clone)]
pub(super) struct TrustedIssuers(Vec<Trusted>);

#[derive(Clone)]
pub(super) struct Trusted {
    pub(super) named: AcceptedIssuer,
    pub(super) provider: Provider,
    /// Its place in the list.
    pub(super) place: usize,
}

impl TrustedIssuers {
    pub(super) fn of(providers: &[Provider]) -> Result<Self, ConfigError> {
        let mut trusted: Vec<Trusted> = Vec::new();
        for provider in providers {
            for named in provider.accepted_issuers() {
                let mut known = trusted.iter();
                if known.any(|known| known.named.issuer == named.issuer) {
                    return Err(ConfigError::Contradiction {
                        setting: ISSUER.into(),
                        other: ISSUER.into(),
                        remedy: format!("{} is named by two providers; keep one", named.issuer)
                            .into(),
                    });
                }
                trusted.push(Trusted {
                    named: named.clone(),
                    provider: provider.clone(),
                    place: trusted.len(),
                });
            }
        }
        Ok(Self(trusted))
    }

    #[inline]
    pub(super) fn at(&self, place: usize) -> Option<&Trusted> {
        self.0.get(place)
    }

    /// The issuer of a provider with one tenant. `None` if each tenant has an issuer of its own.
    #[cfg(feature = "introspection")]
    pub(super) fn only(&self) -> Option<&str> {
        let first = self.0.first()?;
        let is_only = self.0.len() == 1 || first.named.tenant.is_none();
        is_only.then(|| first.named.issuer.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Trusted> {
        self.0.iter()
    }

    /// The issuer that a token names, if it is one of these. The name only chooses among them. Whether
    /// the token is theirs is for their keys to say.
    pub(super) fn named_by(&self, claims: &UnverifiedClaims) -> Result<&Trusted, VerifyError> {
        let iss = match &claims.iss {
            Json::Text(iss) => iss.as_ref(),
            Json::Absent => return Err(VerifyError::claim(Kind::MissingClaim, "iss")),
            _ => return Err(VerifyError::claim(Kind::InvalidClaim, "iss")),
        };
        let trusted = self
            .iter()
            .find(|trusted| trusted.named.issuer.as_str() == iss)
            .ok_or_else(|| self.why_not_trusted(iss, claims))?;
        match &trusted.named.tenant {
            Some(tenant) if claims.tid.text() != Some(tenant) => {
                Err(VerifyError::claim(Kind::WrongTenant, "tid"))
            }
            _ => Ok(trusted),
        }
    }

    fn why_not_trusted(&self, iss: &str, claims: &UnverifiedClaims) -> VerifyError {
        let is_other_tenant = claims.tid.text().is_some_and(|tenant| {
            self.iter()
                .any(|trusted| trusted.provider.issuer_of_tenant(tenant).as_deref() == Some(iss))
        });
        if is_other_tenant {
            VerifyError::claim(Kind::WrongTenant, "tid")
        } else {
            VerifyError::claim(Kind::WrongIssuer, "iss").having(|| Found::new([iss]))
        }
    }
}
