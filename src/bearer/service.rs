use std::fmt;
use std::sync::Arc;

use http::Response;
use http::request::Parts;

use crate::bearer::place::Place;
use crate::bearer::places::{Flaw, Places};
use crate::bearer::refusal_log::RefusalLog;
use crate::error::VerifyError;
use crate::gate::answer::{EmptyBody, OnRefusal, Rejection, RejectionKind};
use crate::gate::challenge::Challenges;
use crate::gate::private::set_private;
use crate::gate::{Anonymous, Gate, Gated, Verdict};
use crate::principal::Principal;
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
    /// `None`: the `Authorization` field alone.
    pub(super) places: Option<Arc<Places>>,
    pub(super) challenges: Arc<Challenges>,
    pub(super) log: Arc<RefusalLog>,
    /// Whether the token is kept for others or hidden from them: one question for what is seldom asked for.
    pub(super) adapts: bool,
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
        let mut response = rejection
            .with_final_challenge()
            .into_response(&self.settings.challenges, &self.on_refusal);
        self.settings.keep_private(&mut response);
        response
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
        self.settings.keep_private(response);
    }
}

impl Settings {
    fn check(&self, head: &mut Parts) -> Decided {
        let token = match &self.places {
            None => match credentials(&head.headers) {
                Ok(Some(token)) => token,
                Ok(None) => return self.without_token(head),
                Err(_) => {
                    let flaw = Flaw::NotOneToken(&Place::Authorization);
                    return self.without_one_token(&flaw, head);
                }
            },
            Some(places) => match places.find(head) {
                Ok(Some((_, token))) => token,
                Ok(None) => return self.without_token(head),
                Err(flaw) => return self.without_one_token(&flaw, head),
            },
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

    #[inline]
    fn admit(&self, principal: Principal, head: &mut Parts) -> Decided {
        let principal = if self.adapts {
            self.adapt(principal, head)
        } else {
            principal
        };
        head.extensions.insert(principal);
        Verdict::Pass(())
    }

    /// What few layers do with a request that passes.
    #[cold]
    fn adapt(&self, principal: Principal, head: &mut Parts) -> Principal {
        #[cfg(feature = "outbound")]
        let principal = if self.relays {
            self.relayable(principal, head)
        } else {
            principal
        };
        if let Some(places) = &self.places {
            places.hide(head);
        }
        principal
    }

    /// The principal with its token, which may then be sent on.
    #[cfg(feature = "outbound")]
    fn relayable(&self, principal: Principal, head: &Parts) -> Principal {
        let token = match &self.places {
            None => credentials(&head.headers).ok().flatten(),
            Some(places) => places.find(head).ok().flatten().map(|(_, token)| token),
        };
        let token = token.and_then(|token| std::str::from_utf8(token).ok());
        match token.map(LiveToken::new) {
            Some(Ok(token)) => {
                let token = token.with_expiry(principal.expires_at());
                principal.with_origin(Arc::new(token))
            }
            _ => principal,
        }
    }

    fn refuse(&self, error: VerifyError, head: &Parts) -> Decided {
        let places = self.places.as_ref();
        let found = places.and_then(|places| places.find(head).ok().flatten());
        self.log.tell(&error, found.map(|(place, _)| place), head);
        Verdict::Answer(error.into())
    }

    fn without_one_token(&self, flaw: &Flaw<'_>, head: &Parts) -> Decided {
        self.log.tell_flaw(flaw, head);
        Verdict::Answer(Rejection::new(match flaw {
            Flaw::NotOneToken(_) | Flaw::Different(..) => RejectionKind::Malformed,
            Flaw::CrossOrigin(..) => RejectionKind::CrossOrigin,
        }))
    }

    /// Tells caches what an answer depends on.
    fn keep_private<B>(&self, response: &mut Response<B>) {
        if let Some(places) = &self.places
            && let Some(vary) = places.vary()
        {
            set_private(response.headers_mut(), vary.clone());
        }
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
