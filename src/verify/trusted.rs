//! An issuer, with the provider whose keys count for it.

use crate::error::{VerifyError, VerifyErrorKind as Kind};
use crate::jwt::UnverifiedClaims;
use crate::provider::{AcceptedIssuer, Provider};

#[derive(Clone)]
pub(super) struct Trusted {
    pub(super) named: AcceptedIssuer,
    pub(super) provider: Provider,
    /// Its place in the list of configured issuers, or the number of one that was found ([`found`]).
    ///
    /// [`found`]: crate::verify::issuer_source
    pub(super) place: u64,
}

impl Trusted {
    pub(super) fn is_called(&self, iss: &str) -> bool {
        self.named.issuer.as_str() == iss
    }

    /// Where each tenant has an issuer of its own, the token has to name that tenant too.
    pub(super) fn check_tenant(&self, claims: &UnverifiedClaims) -> Result<(), VerifyError> {
        match &self.named.tenant {
            Some(tenant) if claims.tid.text() != Some(tenant) => {
                Err(VerifyError::claim(Kind::WrongTenant, "tid"))
            }
            _ => Ok(()),
        }
    }
}
