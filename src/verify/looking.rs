//! The span and the time of judging a token that is not remembered. A token that is found in the cache has neither.

use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;

use crate::clock::{Began, SharedClock};
use crate::error::VerifyError;
use crate::observe;
use crate::principal::Principal;
use crate::verify::awaited_keys::Keys;
use crate::verify::judge::{Judge, Judgement};

/// A look at a token that is under way.
pub(super) struct Looking {
    pub(super) span: Span,
    waited: bool,
    began: Began,
    clock: SharedClock,
}

impl Looking {
    /// `waited`: whether the provider is waited for.
    pub(super) fn begin(clock: SharedClock, waited: bool) -> Self {
        Self {
            span: tracing::info_span!("verify", waited, issuer = Empty, result = Empty),
            waited,
            began: clock.begin(),
            clock,
        }
    }

    /// The token is judged. Only of one that is accepted is it known whose it is.
    pub(super) fn end(self, verdict: Result<&Principal, &VerifyError>) {
        match verdict {
            Ok(principal) => {
                self.span.record("issuer", principal.issuer().as_str());
                self.span.record("result", "accepted");
            }
            Err(error) => {
                self.span.record("result", error.kind().as_str());
            }
        }
        let took = self.clock.since(self.began);
        observe::verified(verdict.map(|_| ()), self.waited, took);
    }

    /// Nothing at hand tells: another look follows, once the provider was asked.
    pub(super) fn waits(self) {
        self.span.record("result", "waits");
    }
}

/// Judges a token that is not remembered, with what is at hand.
#[inline]
pub(super) fn judge_at_hand(
    judge: &Judge,
    clock: impl FnOnce() -> SharedClock,
    token: &[u8],
) -> Result<Judgement, VerifyError> {
    if is_watched() {
        judge_watched(judge, clock(), token)
    } else {
        judge.judge(token, Keys::AtHand)
    }
}

/// Whether spans or metrics can be seen by anything.
#[inline]
fn is_watched() -> bool {
    cfg!(feature = "metrics") || LevelFilter::current() >= LevelFilter::INFO
}

#[inline(never)]
fn judge_watched(
    judge: &Judge,
    clock: SharedClock,
    token: &[u8],
) -> Result<Judgement, VerifyError> {
    let looking = Looking::begin(clock, false);
    let judged = looking.span.in_scope(|| judge.judge(token, Keys::AtHand));
    match &judged {
        Ok(Judgement::Genuine(genuine)) => looking.end(Ok(&genuine.principal)),
        Ok(Judgement::Wait(_) | Judgement::LookUp(_)) => looking.waits(),
        Err(error) => looking.end(Err(error)),
    }
    judged
}
