//! Tokens for several services from one sign-in: the session's refresh token is spent for another target, under the
//! same lease as a refresh of its own tokens.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::error::{LoginError, LoginErrorKind as Kind};
use crate::login::sessions::due::{Due, due};
use crate::login::sessions::ledger::Seen;
use crate::login::sessions::opened::Opened;
use crate::login::sessions::renewals::{LONGEST_WAIT, Outcome, Purpose, waited_in_vain};
use crate::login::sessions::target_set::KnownTarget;
use crate::login::sessions::{Asked, Judged, Need, Sessions, Standing};
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
        if let Some(token) = self.target_at_hand(key, target) {
            return Ok(token);
        }
        let Some((place, known)) = self.known(target) else {
            return Err(Kind::UnknownTarget.into());
        };
        let found = self.token_in_time(key, place, &known.text);
        tokio::time::timeout(LONGEST_WAIT, found)
            .await
            .unwrap_or_else(|_| Err(waited_in_vain()))
    }

    /// The same where nothing is to be waited for, as with nearly every call.
    pub(crate) fn target_at_hand(&self, key: StoreKey, target: &Target) -> Option<LiveToken> {
        let (_, known) = self.known(target)?;
        let asked = Asked::now(&self.clock);
        let peeked = self.ledger.peek(key)?;
        let opened = self.opener.cache.find(key, peeked.tag, asked.asked_at)?;
        // Where a service refused it, the caller that asks for another uses up the allowance.
        let stands = stands(key, &opened, &known.text, peeked.now, || true);
        let Stands::Live(token) = stands else {
            return None;
        };
        let judged = self.weigh(key, opened, peeked.now, asked, Need::Caller);
        matches!(judged, Judged::Stands(Standing::Live(_))).then_some(token)
    }

    fn known(&self, target: &Target) -> Option<(usize, &KnownTarget)> {
        let mut targets = self.renewals.targets.iter().enumerate();
        targets.find(|(_, known)| known.target == *target)
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
            let asked = Asked::now(&self.clock);
            let Some(loaded) = self.ledger.load(key).await.map_err(LoginError::store)? else {
                return Err(Kind::SessionEnded.into());
            };
            let opened = match self.standing_of(key, &loaded, asked, Need::Caller).await {
                Standing::Live(opened) => opened,
                Standing::Over(_) | Standing::NeedsSignIn => return Err(Kind::SessionEnded.into()),
                Standing::Failed(error) => return Err(error),
            };
            // The session's own tokens may have been waited for.
            let asked_at = self.ledger.mark();
            let passed = asked_at.saturating_sub(asked.asked_at);
            let now = loaded.now.saturating_add(passed);
            let tag = opened.tag;
            let seen = Seen::new(opened.record.clone(), Peeked { tag, now }, asked_at);
            let may_force = || self.may_force(key, &opened);
            let fallback = match stands(key, &opened, text, now, may_force) {
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
                Outcome::WantsUser => Kind::InteractionRequired.into(),
            };
            return fallback.ok_or(failed);
        }
        Err(waited_in_vain())
    }

    /// Nothing is sent in a session's name, so that no service refuses its tokens.
    #[cfg(not(feature = "outbound"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn may_force(&self, _: StoreKey, _: &Opened) -> bool {
        false
    }
}

/// `may_force` is asked whether another may come in the place of one that a service refused.
fn stands(
    key: StoreKey,
    opened: &Opened,
    text: &str,
    now: UnixTime,
    may_force: impl FnOnce() -> bool,
) -> Stands {
    let record = &opened.record;
    let may_ask = opened.tokens.refresh_token.is_some() && now >= record.refresh_not_before;
    let wanted = |fallback: Option<LiveToken>| match fallback {
        Some(token) if !may_ask => Stands::Live(token),
        None if opened.tokens.refresh_token.is_none() => Stands::Refused(Kind::NoAccessToken),
        fallback => Stands::Due(fallback),
    };
    let Some((place, known)) = opened.tokens.target(text) else {
        return wanted(None);
    };
    let put_off = known.put_off(now);
    let Some(granted) = known.live(now) else {
        return put_off.map_or_else(|| wanted(None), |why| Stands::Refused(why.kind()));
    };
    let Some(token) = opened.target_token(place) else {
        return Stands::Refused(Kind::UnusableToken);
    };
    if put_off.is_some() {
        return Stands::Live(token);
    }
    if token.is_refused() && may_ask && may_force() {
        return wanted(Some(token));
    }
    let time = UnixTime::from_seconds;
    match due(
        now,
        time(granted.obtained_at),
        time(granted.expires_at),
        record.refresh_expires_at,
        key.as_bytes()[0],
    ) {
        Due::Behind if may_ask => Stands::Ageing(token),
        Due::First => wanted(Some(token)),
        Due::No | Due::Behind => Stands::Live(token),
    }
}
