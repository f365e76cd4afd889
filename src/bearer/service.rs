use std::fmt;
use std::sync::Arc;

#[cfg(feature = "outbound")]
use http::HeaderMap;
use http::Response;
use http::request::Parts;

use crate::bearer::refusal_log::RefusalLog;
use crate::error::VerifyError;
use crate::gate::answer::{EmptyBody, OnRefusal, Rejection, RejectionKind};
use crate::gate::challenge::Challenges;
use crate::gate::{Anonymous, Gate, Gated, Verdict};
use crate::principal::Principal;
#[cfg(feature = "outbound")]
use crate::token::AccessToken;
use crate::token::credentials;
#[cfg(feature = "outbound")]
use crate::token::live::LiveToken;
use crate::verify::{Decision, Verifier};

/// A service behind a check of bearer tokens. Made by [`BearerLayer`](crate::BearerLayer).
pub type Bearer<S, R = EmptyBody> = Gated<S, BearerGate<R>>;

/// What every service of one layer shares.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) verifier: Verifier,
    pub(super) anonymous: bool,
    pub(super) challenges: Arc<Challenges>,
    pub(super) log: Arc<RefusalLog>,
    /// The most frequent refusal, made once.
    pub(super) no_token: Rejection,
    #[cfg(feature = "outbound")]
    pub(super) relays: bool,
}

/// The decision of [`BearerLayer`](crate::BearerLayer).
#[derive(Clone)]
pub struct BearerGate<R> {
    settings: Arc<Settings>,
    on_refusal: R,
}

impl<R> BearerGate<R> {
    pub(super) fn new(settings: Settings, on_refusal: R) -> Self {
        Self {
            settings: Arc::new(settings),
            on_refusal,
        }
    }
}

impl<R> fmt::Debug for BearerGate<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BearerGate")
            .field("verifier", &self.settings.verifier)
            .finish_non_exhaustive()
    }
}

/// The verifier's judgement of a token.
type Judged = Result<Principal, VerifyError>;

type Decided = Verdict<Rejection, (), Judged>;

impl<B, R: OnRefusal<B> + Clone> Gate<B> for BearerGate<R> {
    type Answer = Rejection;
    type Kept = ();
    type Found = Judged;

    fn check(&self, head: &mut Parts) -> Decided {
        self.settings.check(head)
    }

    fn check_found(&self, judged: Judged, head: &mut Parts) -> Decided {
        self.settings.judged(judged, head)
    }

    fn answer(&self, rejection: Rejection) -> Response<B> {
        rejection
            .with_final_challenge()
            .into_response(&self.settings.challenges, &self.on_refusal)
    }

    fn finish(&self, (): (), response: &mut Response<B>) {
        // An inner requirement knows which scope is missing. This layer knows the realm and the resource,
        // unless an inner layer of its kind guards a resource of its own.
        if response.status().is_client_error()
            && let Some(rejection) = response.extensions().get::<Rejection>()
            && rejection.lacks_challenge()
        {
            let rejection = rejection.clone().with_final_challenge();
            rejection.set_challenge(response, &self.settings.challenges);
            response.extensions_mut().insert(rejection);
        }
    }
}

impl Settings {
    fn check(&self, head: &mut Parts) -> Decided {
        let token = match credentials(&head.headers) {
            Ok(Some(token)) => token,
            Ok(None) => return self.without_token(head),
            Err(_) => {
                self.log.tell_malformed(head);
                return Verdict::Answer(Rejection::new(RejectionKind::Malformed));
            }
        };
        match self.verifier.decide(token) {
            Decision::Accept(principal) => self.admit(principal, head),
            Decision::Refuse(error) => self.refuse(error, head),
            Decision::Wait(pending) => {
                let (verifier, token) = (self.verifier.clone(), token.to_owned());
                Verdict::Wait(Box::pin(async move {
                    verifier.decide_after(&token, pending).await
                }))
            }
        }
    }

    fn judged(&self, judged: Judged, head: &mut Parts) -> Decided {
        match judged {
            Ok(principal) => self.admit(principal, head),
            Err(error) => self.refuse(error, head),
        }
    }

    #[cfg_attr(
        not(feature = "outbound"),
        expect(clippy::unused_self, reason = "only relaying is a choice")
    )]
    fn admit(&self, principal: Principal, head: &mut Parts) -> Decided {
        #[cfg(feature = "outbound")]
        let principal = if self.relays {
            relayable(principal, &head.headers)
        } else {
            principal
        };
        head.extensions.insert(principal);
        Verdict::Pass(())
    }

    fn refuse(&self, error: VerifyError, head: &Parts) -> Decided {
        self.log.tell(&error, head);
        Verdict::Answer(error.into())
    }

    fn without_token(&self, head: &mut Parts) -> Decided {
        if !self.anonymous {
            return Verdict::Answer(self.no_token.clone());
        }
        head.extensions.remove::<Principal>();
        head.extensions.insert(Anonymous);
        Verdict::Pass(())
    }
}

/// The principal with its token, which may then be sent on.
#[cfg(feature = "outbound")]
fn relayable(principal: Principal, headers: &HeaderMap) -> Principal {
    let token = AccessToken::from_authorization(headers).ok().flatten();
    match token.map(|token| LiveToken::new(token.as_str())) {
        Some(Ok(token)) => {
            let token = token.with_expiry(principal.expires_at());
            principal.with_source(Arc::new(token))
        }
        _ => principal,
    }
}
