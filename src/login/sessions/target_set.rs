//! What a grant for a target changes about the tokens of a session.

use std::fmt;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::error::LoginErrorKind as Kind;
use crate::error::setup::Found;
use crate::login::sessions::target_token::{GrantedToken, Refusal, Refused, TargetToken};
use crate::login::sessions::tokens::TokenSet;
use crate::provider::client::token_endpoint::TokenAnswer;
use crate::token::lifetime::stated_audiences;
use crate::token::target::Target;

/// The tokens of all targets together, in bytes.
const LARGEST: usize = 32 * 1024;

/// A refused target is not asked for again for this long.
const REFUSED: Duration = Duration::from_secs(60);

/// A target that the layer was told of.
pub(crate) struct KnownTarget {
    pub(crate) target: Target,
    /// Its parameters, by which a token set knows it.
    pub(crate) text: String,
}

impl From<Target> for KnownTarget {
    fn from(target: Target) -> Self {
        let text = target.text();
        Self { target, text }
    }
}

impl TokenSet {
    /// What came of asking for this target, and its place.
    pub(crate) fn target(&self, target: &str) -> Option<(usize, &TargetToken)> {
        let mut targets = self.targets.iter().enumerate();
        targets.find(|(_, one)| one.target == target)
    }

    /// The set that comes of a grant for a target. Of the answer it takes the token, and the refresh token that all
    /// targets share.
    pub(crate) fn renewed_for(
        &self,
        KnownTarget { target, text }: &KnownTarget,
        answer: &TokenAnswer,
        now: UnixTime,
        lifetime: Duration,
    ) -> Self {
        let mut next = self.with_current_targets(now);
        if let Some(refresh_token) = &answer.refresh_token {
            next.refresh_token = Some(refresh_token.clone());
        }
        let token = answer.access_token.expose();
        let others = next.targets.iter().filter(|one| one.target != *text);
        let size = others.map(TargetToken::size).sum::<usize>() + token.len();
        let audiences = stated_audiences(token);
        if target.is_missed_by(&audiences) {
            let found = audiences.iter().map(String::as_str);
            let aud = OtherAudience {
                found: Found::new(found),
                wanted: target
                    .wanted_audiences()
                    .map(|one| (**one).into())
                    .collect(),
            };
            tracing::warn!(
                "the provider answered with a token for another target, which is not used: {aud}"
            );
            next.refuse(text, Refusal::OtherAudience, now);
        } else if size > LARGEST {
            next.refuse(text, Refusal::TooLarge, now);
        } else {
            let granted = GrantedToken {
                token: answer.access_token.clone(),
                obtained_at: now.as_seconds(),
                expires_at: now.saturating_add(lifetime).as_seconds(),
            };
            let entry = next.entry(text);
            (entry.token, entry.refused) = (Some(granted), None);
        }
        next
    }

    /// The same after the provider refused a target.
    pub(crate) fn refused_for(&self, target: &KnownTarget, now: UnixTime) -> Self {
        let mut next = self.with_current_targets(now);
        next.refuse(&target.text, Refusal::ByProvider, now);
        next
    }

    /// Why the target is not to be asked for now, if it was refused a moment ago.
    pub(crate) fn put_off(&self, target: &str, now: UnixTime) -> Option<Kind> {
        let (_, known) = self.target(target)?;
        known.put_off(now).map(Refusal::kind)
    }

    /// Remembers for a while that there is no newer token for a target. One that still lives stays.
    fn refuse(&mut self, target: &str, why: Refusal, now: UnixTime) {
        let until = now.saturating_add(REFUSED).as_seconds();
        self.entry(target).refused = Some(Refused { why, until });
    }

    /// The same without what has ended.
    fn with_current_targets(&self, now: UnixTime) -> Self {
        let mut next = self.clone();
        let targets = std::mem::take(&mut next.targets);
        let targets = targets.into_iter().filter_map(|one| one.current(now));
        next.targets = targets.collect();
        next
    }

    fn entry(&mut self, target: &str) -> &mut TargetToken {
        let place = self.target(target).map(|(place, _)| place);
        let place = place.unwrap_or(self.targets.len());
        if place == self.targets.len() {
            self.targets.push(TargetToken {
                target: target.to_owned(),
                token: None,
                refused: None,
            });
        }
        &mut self.targets[place]
    }
}

/// What the log says of a token for another audience: public identifiers, cut and escaped.
struct OtherAudience {
    found: Found,
    wanted: Vec<Box<str>>,
}

impl fmt::Display for OtherAudience {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("its aud")?;
        self.found.explain(&self.wanted, None, formatter)
    }
}
