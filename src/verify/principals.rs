//! From the claims of a genuine token to its [`Principal`].

use std::sync::Arc;

use crate::claim_test::ClaimAnswers;
use crate::claims::ScopeSet;
use crate::jwt::{CallerClaims, DecodedText, Json, UnverifiedClaims};
use crate::principal::{Principal, PrincipalKind, Verified};
use crate::revocations::{Revocable, Told};
use crate::verify::caller::{client_id, is_client};
use crate::verify::expectation::Times;
use crate::verify::judge::Judge;
use crate::verify::trusted::Trusted;

impl Judge {
    /// Makes the principal of these claims, once their text can be taken out of the token that they were read of.
    pub(super) fn principal(
        &self,
        claims: &UnverifiedClaims,
        caller: &CallerClaims,
        payload: &str,
        issuer: &Trusted,
    ) -> impl FnOnce(DecodedText, &Times) -> Principal + use<> {
        let kind = self.expectation.kind.principal();
        let issuer = issuer.named.issuer.clone();
        let scopes = self.scopes_of(claims, payload);
        let audience = match &claims.aud {
            Json::Texts(named) => named.iter().map(|named| boxed(named)).collect(),
            other => other.text().map(boxed).into_iter().collect(),
        };
        let subject = claims.sub.text().map(boxed);
        let client_id = client_id(caller).map(boxed);
        let is_client = is_client(caller);
        let revocable = self.revocations.as_ref().map(|revocations| {
            let told = Told {
                issuer: issuer.as_str(),
                jti: claims.jti.text(),
                sid: caller.sid.text(),
                subject: subject.as_deref(),
            };
            Revocable::token(revocations, &told)
        });
        let common = Arc::clone(&self.common);
        move |text, times| {
            let (issued_at, expires_at) = (times.issued_at, times.expires_at);
            Principal::verified(Verified {
                kind,
                issuer,
                subject,
                audience,
                scopes,
                expires_at,
                valid_until: times.valid_until,
                issued_at,
                client_id,
                is_client,
                revocable: revocable
                    .map(|revocable| Box::new(revocable.with_times(issued_at, expires_at))),
                text,
                answers: ClaimAnswers::default(),
                common,
            })
        }
    }

    /// Scopes are what an access token grants. A claim of that name in another token grants nothing here.
    fn scopes_of(&self, claims: &UnverifiedClaims, payload: &str) -> ScopeSet {
        match self.expectation.kind.principal() {
            PrincipalKind::AccessToken => self.scopes.of(claims, payload),
            PrincipalKind::IdToken => ScopeSet::default(),
        }
    }
}

fn boxed(text: &str) -> Box<str> {
    text.into()
}
