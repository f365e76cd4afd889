//! What a grant for a target changes about the tokens of a session.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::login::sessions::target_token::{Refusal, TargetState, TargetToken};
use crate::login::sessions::tokens::TokenSet;
use crate::provider::client::token_endpoint::TokenAnswer;
use crate::token::lifetime::stated_audiences;
use crate::token::target::Target;

/// The tokens of all targets together, in bytes.
const LARGEST: usize = 32 * 1024;

/// A refused target is not asked for again for this long.
const REFUSED: Duration = Duration::from_secs(60);

impl TokenSet {
    /// What came of asking for this target.
    pub(crate) fn target(&self, target: &str) -> Option<(usize, &TargetState)> {
        let place = self.targets.iter().position(|one| one.target == target)?;
        Some((place, &self.targets.get(place)?.state))
    }

    /// The set that comes of a grant for a target. Of the answer it takes the token, and the refresh token that all
    /// targets share.
    pub(crate) fn renewed_for(
        &self,
        target: &Target,
        answer: &TokenAnswer,
        now: UnixTime,
        lifetime: Duration,
    ) -> Self {
        let mut next = self.with_current_targets(now);
        if let Some(refresh_token) = &answer.refresh_token {
            next.refresh_token = Some(refresh_token.clone());
        }
        let text = target.text();
        let token = answer.access_token.expose();
        let others = next.targets.iter().filter(|one| one.target != text);
        let size = others.map(TargetToken::size).sum::<usize>() + token.len();
        if target.is_missed_by(&stated_audiences(token)) {
            next.refuse(text, Refusal::OtherAudience, now);
        } else if size > LARGEST {
            next.refuse(text, Refusal::TooLarge, now);
        } else {
            let state = TargetState::Token {
                token: answer.access_token.clone(),
                obtained_at: now.as_seconds(),
                expires_at: now.saturating_add(lifetime).as_seconds(),
                not_before: i64::MIN,
            };
            next.set_target(text, state);
        }
        next
    }

    /// The same after the provider refused a target.
    pub(crate) fn refused_for(&self, target: &Target, now: UnixTime) -> Self {
        let mut next = self.with_current_targets(now);
        next.refuse(target.text(), Refusal::ByProvider, now);
        next
    }

    /// Remembers for a while that there is no newer token for a target. One that still lives stays.
    fn refuse(&mut self, target: String, why: Refusal, now: UnixTime) {
        let until = now.saturating_add(REFUSED).as_seconds();
        let known = self.targets.iter_mut().find(|one| one.target == target);
        match known.map(|known| &mut known.state) {
            Some(TargetState::Token { not_before, .. }) => *not_before = until,
            Some(state) => *state = TargetState::Refused { why, until },
            None => self.set_target(target, TargetState::Refused { why, until }),
        }
    }

    /// The same without what has ended.
    fn with_current_targets(&self, now: UnixTime) -> Self {
        let mut next = self.clone();
        next.targets.retain(|one| one.counts(now));
        next
    }

    fn set_target(&mut self, target: String, state: TargetState) {
        match self.targets.iter_mut().find(|one| one.target == target) {
            Some(known) => known.state = state,
            None => self.targets.push(TargetToken { target, state }),
        }
    }
}
