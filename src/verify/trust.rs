//! The issuers a verifier trusts, each with the provider whose keys count for it: those that are configured, and those
//! that a source knows.

use std::sync::Arc;

use crate::error::remedy::Cause;
use crate::error::setup::Found;
use crate::error::{ConfigError, VerifyError, VerifyErrorKind as Kind};
use crate::jwt::{Json, UnverifiedClaims};
use crate::provider::Provider;
use crate::settings::ISSUER;
use crate::verify::issuer_source::{FoundIssuer, IssuerSource, LookedUp, may_be_looked_up};
use crate::verify::trusted::Trusted;

/// Each configured issuer once, and where others are looked up.
#[derive(Clone)]
pub(super) struct TrustedIssuers {
    configured: Vec<Trusted>,
    source: Option<IssuerSource>,
}

/// The issuer that a token names. The name only chooses. Whether the token is theirs is for their keys to say.
pub(super) enum Named<'a> {
    Configured(&'a Trusted),
    Found(Arc<FoundIssuer>),
    /// One that only this source may know.
    Elsewhere(&'a IssuerSource),
}

impl TrustedIssuers {
    pub(super) fn of(providers: &[Provider]) -> Result<Self, ConfigError> {
        let mut configured: Vec<Trusted> = Vec::new();
        for provider in providers {
            for named in provider.accepted_issuers() {
                let mut known = configured.iter();
                if known.any(|known| known.named.issuer == named.issuer) {
                    return Err(ConfigError::Contradiction {
                        setting: ISSUER.into(),
                        other: ISSUER.into(),
                        remedy: format!("{} is named by two providers; keep one", named.issuer)
                            .into(),
                    });
                }
                configured.push(Trusted {
                    named: named.clone(),
                    provider: provider.clone(),
                    place: configured.len().try_into().unwrap_or(u64::MAX),
                });
            }
        }
        Ok(Self {
            configured,
            source: None,
        })
    }

    /// The same, with other issuers from this source, or without others.
    pub(super) fn and_those_of(self, source: Option<IssuerSource>) -> Self {
        Self { source, ..self }
    }

    /// The configured ones alone.
    #[cfg(feature = "login")]
    pub(super) fn without_source(&self) -> Self {
        self.clone().and_those_of(None)
    }

    /// The configured issuer at this place.
    #[inline]
    pub(super) fn at(&self, place: u64) -> Option<&Trusted> {
        self.configured.get(usize::try_from(place).ok()?)
    }

    /// The issuer of this name that was found, if it has that number still.
    #[cold]
    pub(super) fn found(&self, iss: &str, number: u64) -> Option<Arc<FoundIssuer>> {
        let found = self.source.as_ref()?.known(iss)?;
        (found.value.place == number).then_some(found)
    }

    pub(super) fn source(&self) -> Option<&IssuerSource> {
        self.source.as_ref()
    }

    /// The issuer of a provider with one tenant. `None` if each tenant has an issuer of its own.
    #[cfg(feature = "introspection")]
    pub(super) fn only(&self) -> Option<&str> {
        let first = self.configured.first()?;
        let is_only = self.configured.len() == 1 || first.named.tenant.is_none();
        is_only.then(|| first.named.issuer.as_str())
    }

    /// The configured issuers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Trusted> {
        self.configured.iter()
    }

    /// The configured issuer that a token names, if it is one.
    pub(super) fn configured(&self, claims: &UnverifiedClaims) -> Result<&Trusted, VerifyError> {
        let iss = issuer_of(claims)?;
        let trusted = self
            .find(iss)
            .ok_or_else(|| self.why_not_trusted(claims, Cause::Usual))?;
        trusted.check_tenant(claims)?;
        Ok(trusted)
    }

    /// The issuer that a token names. `looked_up` is what the source said when it was asked for this token.
    pub(super) fn named_by(
        &self,
        claims: &UnverifiedClaims,
        looked_up: Option<&LookedUp>,
    ) -> Result<Named<'_>, VerifyError> {
        let Some(source) = &self.source else {
            return self.configured(claims).map(Named::Configured);
        };
        let iss = issuer_of(claims)?;
        if let Some(trusted) = self.find(iss) {
            trusted.check_tenant(claims)?;
            return Ok(Named::Configured(trusted));
        }
        if !may_be_looked_up(iss) {
            return Err(self.why_not_trusted(claims, Cause::NotForSource));
        }
        let found = match looked_up {
            Some(LookedUp::Found(found)) if found.value.is_called(iss) => Some(Arc::clone(found)),
            _ => source.known(iss),
        };
        match found {
            Some(found) => {
                found.value.check_tenant(claims)?;
                Ok(Named::Found(found))
            }
            None => Ok(Named::Elsewhere(source)),
        }
    }

    pub(super) fn find(&self, iss: &str) -> Option<&Trusted> {
        let mut all = self.configured.iter();
        all.find(|trusted| trusted.named.issuer.as_str() == iss)
    }

    pub(super) fn why_not_trusted(&self, claims: &UnverifiedClaims, cause: Cause) -> VerifyError {
        let iss = claims.iss.text().unwrap_or_default();
        let is_other_tenant = claims.tid.text().is_some_and(|tenant| {
            self.iter()
                .any(|trusted| trusted.provider.issuer_of_tenant(tenant).as_deref() == Some(iss))
        });
        if is_other_tenant {
            VerifyError::claim(Kind::WrongTenant, "tid")
        } else {
            let error = VerifyError::claim(Kind::WrongIssuer, "iss").because(cause);
            error.having(|| Found::new([iss]))
        }
    }
}

pub(super) fn issuer_of<'a>(claims: &'a UnverifiedClaims) -> Result<&'a str, VerifyError> {
    match &claims.iss {
        Json::Text(iss) => Ok(iss.as_ref()),
        Json::Absent => Err(VerifyError::claim(Kind::MissingClaim, "iss")),
        _ => Err(VerifyError::claim(Kind::InvalidClaim, "iss")),
    }
}
