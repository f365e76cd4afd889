//! The checks of a token that need no key, for a program that explains tokens.

use crate::error::VerifyError;
use crate::jwt::{CallerClaims, JoseHeader, UnverifiedClaims};
use crate::verify::expectation::{says_access_token, screen_header};
use crate::verify::judge::{Judge, key_id};
use crate::verify::trust::Named;

impl Judge {
    /// Makes every check but those of signature and revocation, in the order of the judgement. What passes is not
    /// verified.
    pub(super) fn screen(&self, token: &[u8]) -> Result<(), VerifyError> {
        self.check_without_keys(token)
            .map_err(|error| error.judged_by(&self.setup))
    }

    fn check_without_keys(&self, token: &[u8]) -> Result<(), VerifyError> {
        let jws = self.take_apart(token)?;
        let header = JoseHeader::parse(jws.header())?;
        screen_header(&header, self.expectation.kind)?;
        self.algorithm(&header)?;
        let says_access_token = says_access_token(&header);
        key_id(header)?;
        let claims = UnverifiedClaims::parse(jws.payload())?;
        let clock = match self.issuers.named_by(&claims, None)? {
            Named::Configured(issuer) => issuer.provider.clock().clone(),
            Named::Found(found) => found.value.provider.clock().clone(),
            Named::Elsewhere(source) => source.clock().clone(),
        };
        self.expectation
            .screen(&claims, says_access_token, clock.now())?;
        jws.signature()?;
        let caller = CallerClaims::parse(jws.payload())?;
        match &self.clients {
            Some(clients) => clients.check(&caller),
            None => Ok(()),
        }
    }
}
