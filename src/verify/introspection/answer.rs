//! What an answer of the introspection endpoint is worth
//! ([RFC 7662 §2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)).
//!
//! An answer is no token, but it says what a token of this kind would say, and is held against the same
//! expectations. What it leaves out is not assumed, but for the issuer: the provider is asked about its own tokens.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{ProviderError, ProviderErrorKind, VerifyError, VerifyErrorKind as Kind};
use crate::jwt::{CallerClaims, DecodedText, Json, UnverifiedClaims};
use crate::principal::Principal;
use crate::verify::judge::{Genuine, Judge};

/// Why there is no principal.
pub(super) enum Denied {
    /// The provider says that the token is not active, or it is not for this service.
    Refused(VerifyError),
    /// The provider gave no answer, and would give none about another token either.
    Unanswered(ProviderError),
    /// The answer cannot be used, which may be because of this token.
    Unusable(ProviderError),
    /// The keys for the signature of the answer are not at hand.
    Unavailable(VerifyError),
}

/// The members of an answer that are no claims.
#[derive(Deserialize)]
struct Statement {
    #[serde(default)]
    active: Value,
    #[serde(default)]
    token_type: Value,
    /// What Hydra calls access tokens and refresh tokens.
    #[serde(default)]
    token_use: Value,
}

/// The claims of a signed answer ([RFC 9701 §5](https://www.rfc-editor.org/rfc/rfc9701#section-5)).
#[derive(Deserialize)]
struct SignedStatement<'a> {
    #[serde(borrow)]
    token_introspection: &'a RawValue,
}

/// What a signed answer tells of the token, if it tells anything.
pub(super) fn told_of(stated: &Principal) -> Option<String> {
    let stated: SignedStatement = serde_json::from_str(stated.claims_json()).ok()?;
    Some(stated.token_introspection.get().to_owned())
}

impl Judge {
    /// The principal of a token of which the provider says this. `verified` is what a verification of the token itself
    /// brought: an answer may leave out what the token says, and must not name another issuer, subject or client.
    pub(super) fn judge_answer(
        &self,
        text: String,
        verified: Option<&Principal>,
    ) -> Result<Genuine, Denied> {
        let statement: Statement = serde_json::from_str(&text).map_err(|_| unreadable())?;
        let mut claims = UnverifiedClaims::parse(&text).map_err(|_| unreadable())?;
        let caller = CallerClaims::parse(&text).map_err(|_| unreadable())?;
        let refused = |error: VerifyError| Denied::Refused(error.judged_by(&self.setup));
        if statement.active != Value::Bool(true) {
            return Err(refused(Kind::NotActive.into()));
        }
        self.screen_type(&statement).map_err(refused)?;
        let tenant = verified.and_then(|verified| verified.claim::<String>("tid").ok().flatten());
        self.complete(&mut claims, verified, tenant.as_deref());
        let issuer = self.issuers.configured(&claims).map_err(refused)?;
        let now = issuer.provider.clock().now();
        let times = self
            .expectation
            .screen(&claims, true, now)
            .map_err(refused)?;
        match verified {
            // Its own claims were held against the list of clients.
            Some(verified) => same_caller(&claims, verified).map_err(refused)?,
            None => {
                if let Some(clients) = &self.clients {
                    clients.check(&caller).map_err(refused)?;
                }
            }
        }
        let made = self.principal(&claims, &caller, &text, issuer);
        let place = issuer.place;
        drop((claims, caller));
        let principal = made(DecodedText::of_claims(text), &times);
        if principal.is_revoked() {
            return Err(refused(Kind::Revoked.into()));
        }
        Ok(Genuine {
            principal,
            issuer: place,
            keys: 0,
            now,
            window: times.valid_from..times.valid_until,
        })
    }

    /// Refuses other tokens than access tokens: some endpoints call a refresh token active too.
    fn screen_type(&self, statement: &Statement) -> Result<(), VerifyError> {
        let is =
            |text: &str, names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
        match &statement.token_type {
            Value::Null => {}
            Value::String(named) if is(named, &["Bearer", "access_token"]) => {}
            Value::String(named)
                if is(named, &["DPoP"]) && self.expectation.allow_sender_constrained => {}
            Value::String(named) if is(named, &["DPoP"]) => {
                return Err(VerifyError::claim(Kind::SenderConstrained, "token_type"));
            }
            _ => return Err(VerifyError::claim(Kind::TokenKind, "token_type")),
        }
        match &statement.token_use {
            Value::Null => Ok(()),
            Value::String(named) if is(named, &["access_token", "access"]) => Ok(()),
            _ => Err(VerifyError::claim(Kind::TokenKind, "token_use")),
        }
    }

    /// Adds what goes without saying.
    fn complete<'a>(
        &'a self,
        claims: &mut UnverifiedClaims<'a>,
        verified: Option<&'a Principal>,
        tenant: Option<&'a str>,
    ) {
        let is_missing = |claim: &Json| *claim == Json::Absent;
        if let Some(verified) = verified {
            let text = |text: &'a str| Json::Text(text.into());
            if is_missing(&claims.iss) {
                claims.iss = text(verified.issuer().as_str());
            }
            if is_missing(&claims.aud) && verified.audiences().next().is_some() {
                claims.aud = Json::Texts(verified.audiences().map(Into::into).collect());
            }
            if is_missing(&claims.iat)
                && let Some(issued_at) = verified.issued_at()
            {
                let seconds = u64::try_from(issued_at.as_seconds());
                claims.iat = seconds.map_or(Json::Absent, Json::Unsigned);
            }
            if is_missing(&claims.tid)
                && let Some(tenant) = tenant
            {
                claims.tid = text(tenant);
            }
            if is_missing(&claims.client_id)
                && let Some(client) = verified.client_id()
            {
                claims.client_id = text(client);
            }
        } else if is_missing(&claims.iss)
            && let Some(issuer) = self.issuers.only()
        {
            claims.iss = Json::Text(issuer.into());
        }
    }
}

/// Whether an answer names the caller of the token, as far as it names one.
fn same_caller(claims: &UnverifiedClaims, verified: &Principal) -> Result<(), VerifyError> {
    for (name, named, own) in [
        ("sub", claims.sub.text(), verified.subject()),
        ("client_id", claims.client_id.text(), verified.client_id()),
    ] {
        if named.is_some_and(|named| own.is_some_and(|own| own != named)) {
            return Err(VerifyError::claim(Kind::InvalidClaim, name));
        }
    }
    Ok(())
}

fn unreadable() -> Denied {
    Denied::Unusable(ProviderError::new(
        ProviderErrorKind::InvalidAnswer,
        "the introspection endpoint did not answer with a JSON object whose members can be told apart",
    ))
}
