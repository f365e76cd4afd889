//! The checks of a token that need no key, for a program that explains tokens.

use std::sync::Arc;

use super::{Inner, Verifier};
use crate::error::VerifyError;
use crate::jwt::{AlgorithmSet, CallerClaims, JoseHeader, UnverifiedClaims};
use crate::verify::expectation::{says_access_token, screen_header};
use crate::verify::judge::{Judge, key_id};
use crate::verify::trust::Named;

impl Verifier {
    /// Makes every check that needs no key, by a plain function call.
    pub(crate) fn screen(&self, token: &[u8]) -> Result<(), VerifyError> {
        self.0.judge.screen(token)
    }

    /// The algorithms that are accepted, as far as the provider does not narrow them.
    pub(crate) fn algorithms(&self) -> AlgorithmSet {
        self.0.judge.algorithms
    }

    /// The same where no token leaves: the provider is asked for keys alone.
    pub(crate) fn without_introspection(&self) -> Self {
        let mut inner = Inner::clone(&self.0);
        inner.introspector = None;
        inner.accepted = None;
        Self(Arc::new(inner))
    }
}

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
