//! Whether a token that was refused for its issuer comes from the provider all the same.

use crate::error::VerifyError;
use crate::jwt::{JoseHeader, UnverifiedClaims};
use crate::renew::Reading;
use crate::verify::expectation::{says_access_token, screen_header};
use crate::verify::judge::{Judge, key_id};
use crate::verify::trust::issuer_of;

impl Judge {
    /// Whether a key of `issuer` signed this token although it names another issuer. Every other check passes too. It
    /// is judged by the keys at hand: where they must be fetched first, nothing is known.
    pub(super) fn is_signed_for_another(
        &self,
        token: &[u8],
        issuer: &str,
    ) -> Result<bool, VerifyError> {
        let jws = self.take_apart(token)?;
        let header = JoseHeader::parse(jws.header())?;
        screen_header(&header, self.expectation.kind)?;
        let algorithm = self.algorithm(&header)?;
        let says_access_token = says_access_token(&header);
        let kid = key_id(header)?;
        let claims = UnverifiedClaims::parse(jws.payload())?;
        let Some(trusted) = self.issuers.find(issuer) else {
            return Ok(false);
        };
        if issuer_of(&claims)? == issuer {
            return Ok(false);
        }
        let now = trusted.provider.clock().now();
        self.expectation.screen(&claims, says_access_token, now)?;
        let Reading::Ready(snapshot) = trusted.provider.keys().read() else {
            return Ok(false);
        };
        let Some(keys) = (*snapshot).as_deref() else {
            return Ok(false);
        };
        self.check_signature(&jws, algorithm, kid.as_deref(), trusted, &keys.value)?;
        Ok(true)
    }
}
