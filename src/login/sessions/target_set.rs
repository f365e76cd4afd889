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
        let mut next = self.clone();
        if let Some(refresh_token) = &answer.refresh_token {
            next.refresh_token = Some(refresh_token.clone());
        }
        let text = target.text();
        let token = answer.access_token.expose();
        let others = self.targets.iter().filter(|one| one.target != text);
        let size = others.map(TargetToken::size).sum::<usize>() + token.len();
        let state = if target.is_missed_by(&stated_audiences(token)) {
            Refusal::OtherAudience.since(now)
        } else if size > LARGEST {
            Refusal::TooLarge.since(now)
        } else {
            TargetState::Token {
                token: answer.access_token.clone(),
                obtained_at: now.as_seconds(),
                expires_at: now.saturating_add(lifetime).as_seconds(),
                not_before: i64::MIN,
            }
        };
        next.set_target(text, state);
        next
    }

    /// The same after the provider refused a target. A token that still lives stays.
    pub(crate) fn refused_for(&self, target: &Target, now: UnixTime) -> Self {
        let mut next = self.clone();
        let text = target.text();
        let refused = Refusal::ByProvider.since(now);
        let state = match (self.target(&text), refused) {
            (
                Some((
                    _,
                    TargetState::Token {
                        token,
                        obtained_at,
                        expires_at,
                        ..
                    },
                )),
                TargetState::Refused { until, .. },
            ) if now.as_seconds() < *expires_at => TargetState::Token {
                token: token.clone(),
                obtained_at: *obtained_at,
                expires_at: *expires_at,
                not_before: until,
            },
            (_, refused) => refused,
        };
        next.set_target(text, state);
        next
    }

    fn set_target(&mut self, target: String, state: TargetState) {
        match self.targets.iter_mut().find(|one| one.target == target) {
            Some(known) => known.state = state,
            None => self.targets.push(TargetToken { target, state }),
        }
    }
}
