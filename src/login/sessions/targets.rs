//! Tokens for several services from one sign-in: the session's refresh token is spent for another target, under the
//! same lease as a refresh of its own tokens.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::error::{LoginError, LoginErrorKind as Kind};
use crate::login::sessions::due::{Due, due};
use crate::login::sessions::ledger::Seen;
use crate::login::sessions::opened::Opened;
use crate::login::sessions::renewals::{LONGEST_WAIT, Outcome, Purpose, waited_in_vain};
use crate::login::sessions::target_token::TargetState;
use crate::login::sessions::{Need, Sessions, Standing};
use crate::login::store::{Peeked, StoreKey};
use crate::token::live::LiveToken;
use crate::token::target::Target;

/// How the token for a target stands.
enum Stands {
    Live(LiveToken),
    /// It is used, and a newer one asked for behind the request.
    Ageing(LiveToken),
    /// One is to be asked for first. A live one is used if that fails.
    Due(Option<LiveToken>),
    Refused(Kind),
}

impl Sessions {
    /// A token for this target that lives now.
    pub(crate) async fn token_for(
        self: &Arc<Self>,
        key: StoreKey,
        target: &Target,
    ) -> Result<LiveToken, LoginError> {
        let targets = &self.renewals.targets;
        let Some(place) = targets.iter().position(|known| known == target) else {
            return Err(Kind::UnknownTarget.into());
        };
        let text = target.text();
        let found = self.token_in_time(key, place, &text);
        tokio::time::timeout(LONGEST_WAIT, found)
            .await
            .unwrap_or_else(|_| Err(waited_in_vain()))
    }

    async fn token_in_time(
        self: &Arc<Self>,
        key: StoreKey,
        place: usize,
        text: &str,
    ) -> Result<LiveToken, LoginError> {
        let purpose = Purpose::Target(place);
        // Other targets, and the session's own tokens, may come first.
        for _ in 0..self.renewals.targets.len() + 3 {
            let opened = match self.standing(key, Need::Caller).await {
                Standing::Live(opened) => opened,
                Standing::Over(_) | Standing::NeedsSignIn => return Err(Kind::SessionEnded.into()),
                Standing::Failed(error) => return Err(error),
            };
            let asked_at = self.ledger.mark();
            let Some(loaded) = self.ledger.load(key).await.map_err(LoginError::store)? else {
                return Err(Kind::SessionEnded.into());
            };
            let now = loaded.now;
            let tag = opened.tag;
            let seen = Seen::new(opened.record.clone(), Peeked { tag, now }, asked_at);
            let fallback = match self.stands(key, &opened, text, now) {
                Stands::Live(token) => return Ok(token),
                Stands::Refused(kind) => return Err(kind.into()),
                Stands::Ageing(token) => {
                    let _ = self.renewals.start(key, seen, purpose);
                    return Ok(token);
                }
                Stands::Due(fallback) => fallback,
            };
            let failed = match self.renewals.renew(key, seen, purpose).await {
                Outcome::Renewed(_) => continue,
                Outcome::Over(_) => return Err(Kind::SessionEnded.into()),
                Outcome::Kept(error) => error,
                Outcome::Misconfigured(error) => LoginError::provider(Kind::Misconfigured, error),
                Outcome::WantsUser => Kind::TargetRefused.into(),
            };
            return fallback.ok_or(failed);
        }
        Err(waited_in_vain())
    }

    fn stands(&self, key: StoreKey, opened: &Opened, text: &str, now: UnixTime) -> Stands {
        let record = &opened.record;
        let may_ask = opened.tokens.refresh_token.is_some() && now >= record.refresh_not_before;
        let wanted = |fallback: Option<LiveToken>| match fallback {
            Some(token) if !may_ask => Stands::Live(token),
            None if opened.tokens.refresh_token.is_none() => Stands::Refused(Kind::NoAccessToken),
            fallback => Stands::Due(fallback),
        };
        let Some((place, state)) = opened.tokens.target(text) else {
            return wanted(None);
        };
        match state {
            TargetState::Refused { why, until } if now.as_seconds() < *until => {
                Stands::Refused(why.kind())
            }
            TargetState::Refused { .. } => wanted(None),
            TargetState::Token {
                obtained_at,
                expires_at,
                not_before,
                ..
            } => {
                let Some(token) = opened.target_token(place) else {
                    return Stands::Refused(Kind::UnusableToken);
                };
                let time = UnixTime::from_seconds;
                if now >= time(*expires_at) {
                    return wanted(None);
                }
                if now < time(*not_before) {
                    return Stands::Live(token);
                }
                if token.is_refused() && may_ask && self.may_force(key, opened) {
                    return wanted(Some(token));
                }
                let (obtained_at, expires_at) = (time(*obtained_at), time(*expires_at));
                let jitter = key.as_bytes()[0];
                match due(
                    now,
                    obtained_at,
                    expires_at,
                    record.refresh_expires_at,
                    jitter,
                ) {
                    Due::Behind if may_ask => Stands::Ageing(token),
                    Due::First => wanted(Some(token)),
                    Due::No | Due::Behind => Stands::Live(token),
                }
            }
        }
    }

    /// Nothing is sent in a session's name, so that no service refuses its tokens.
    #[cfg(not(feature = "outbound"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn may_force(&self, _: StoreKey, _: &Opened) -> bool {
        false
    }
}
