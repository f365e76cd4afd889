//! What the ID token of a refresh changes about a session.

use crate::clock::UnixTime;
use crate::error::{Chain, VerifyError, VerifyErrorKind};
use crate::login::sessions::identity::{Refreshed, compare};
use crate::login::sessions::ledger::Seen;
use crate::login::sessions::renewals::{COMMIT_PATIENCE, Renewals};
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::StoreKey;
use crate::provider::client::token_endpoint::TokenAnswer;
use crate::secret::Secret;
use crate::verify::id_token::{Expected, IdToken};

/// What the ID token of a refresh comes to.
pub(super) enum Told {
    /// There is none, or it was put aside. The former one stays.
    Nothing,
    /// It is about the person who signed in.
    Same(Box<IdToken>),
    SomebodyElse,
}

impl Told {
    /// When the session ends at the latest, where a verified ID token says so.
    pub(super) fn session_expiry(&self) -> Option<UnixTime> {
        match self {
            Self::Same(claims) => claims.session_expiry(),
            Self::Nothing | Self::SomebodyElse => None,
        }
    }
}

fn is_about_issuer(error: &VerifyError) -> bool {
    matches!(
        error.kind(),
        VerifyErrorKind::WrongIssuer | VerifyErrorKind::WrongTenant
    )
}

impl Renewals {
    /// Brings the end of a session forward to where the ID token has it.
    pub(super) async fn ended_by(&self, key: StoreKey, latest: UnixTime, seen: Seen) -> Seen {
        if latest >= seen.record.ends_at {
            return seen;
        }
        let ended = self
            .ledger
            .apply_until_stored(key, &seen, COMMIT_PATIENCE, move |record, _| {
                record.end_by(latest);
            })
            .await;
        match ended {
            Ok(ended) => ended.map_or(seen, |((), ended)| ended),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the earlier end of a session could not be stored");
                seen
            }
        }
    }

    /// What the ID token of a refresh says, with the keys at hand. `None` where keys must be waited for.
    pub(super) fn told_now(&self, signed_in: &TokenSet, answer: &TokenAnswer) -> Option<Told> {
        let Some(id_token) = &answer.id_token else {
            return Some(Told::Nothing);
        };
        let (now, expected) = self.expected(answer);
        let verified = self
            .id_tokens
            .verify_now(id_token.expose(), now, &expected)?;
        Some(self.held_against(signed_in, id_token, verified))
    }

    pub(super) async fn told(&self, signed_in: &TokenSet, answer: &TokenAnswer) -> Told {
        let Some(id_token) = &answer.id_token else {
            return Told::Nothing;
        };
        let (now, expected) = self.expected(answer);
        let verified = self.id_tokens.verify(id_token.expose(), now, &expected);
        self.held_against(signed_in, id_token, verified.await)
    }

    fn held_against(
        &self,
        signed_in: &TokenSet,
        id_token: &Secret,
        verified: Result<IdToken, VerifyError>,
    ) -> Told {
        // An issuer that is not trusted is refused before the signature is looked at, so that the refusal alone is no
        // evidence.
        let names_another = || {
            let issuer = &signed_in.issuer;
            self.id_tokens.is_signed_for_another(id_token, issuer)
        };
        let error = match verified {
            Ok(id_token) => match compare(signed_in, &id_token) {
                Refreshed::Taken => return Told::Same(Box::new(id_token)),
                Refreshed::SomebodyElse => return Told::SomebodyElse,
                Refreshed::PutAside(claim) => {
                    VerifyError::claim(VerifyErrorKind::NotAskedFor, claim)
                }
            },
            Err(error) if is_about_issuer(&error) && names_another() => return Told::SomebodyElse,
            Err(error) => error,
        };
        // No evidence either way.
        tracing::warn!(
            kind = error.kind().as_str(),
            error = %Chain(&error),
            is_for_now = error.kind() == VerifyErrorKind::Unavailable,
            "the ID token of a refresh was put aside; the former one stays"
        );
        Told::Nothing
    }

    fn expected<'a>(&self, answer: &'a TokenAnswer) -> (UnixTime, Expected<'a>) {
        let expected = Expected {
            access_token: Some(answer.access_token.expose()),
            ..Expected::default()
        };
        (self.provider.clock().now(), expected)
    }

    /// Puts the ID token of a refresh into its record, where its keys came after the tokens were stored. Where that
    /// fails, the former one stays.
    pub(super) async fn take_id_token(
        &self,
        key: StoreKey,
        answer: &TokenAnswer,
        claims: &IdToken,
        seen: Seen,
    ) -> Seen {
        let generation = seen.record.generation;
        let tokens = self.opener.tokens(key, &seen.record);
        let Some((tokens, id_token)) = tokens.zip(answer.id_token.as_ref()) else {
            return seen;
        };
        let next = tokens.with_id_token(id_token, claims);
        let Ok(sealed) = next.seal(&self.opener.sealing, key, generation) else {
            return seen;
        };
        let taken = self.ledger.apply(key, seen.clone(), |record, _| {
            record.reseal(generation, &sealed);
        });
        match taken.await {
            Ok(Some(((), now_seen))) => now_seen,
            _ => seen,
        }
    }
}
