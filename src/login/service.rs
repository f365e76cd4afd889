use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tower_service::Service;

use crate::error::LoginErrorKind as Kind;
use crate::gate::answer::{Rejection, RejectionKind};
use crate::gate::{Anonymous, Gate, Gated, ResponseFuture, Verdict};
use crate::login::browser::cookie::{Sent, sent};
use crate::login::browser::page::{OnPage, PlainPages};
use crate::login::browser::reply::{Reply, set_private};
use crate::login::browser::return_path::ReturnPath;
use crate::login::browser::site::{Own, is_navigation, may_change_state};
use crate::login::relying_party::{RelyingParty, Standing};
use crate::login::sessions::handle::Session;
use crate::login::sessions::id::{SessionId, StoreKey};
use crate::login::sign_out::LONGEST_FORM;
use crate::principal::Principal;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service whose browsers are signed in. Made by [`LoginLayer`](crate::LoginLayer).
#[derive(Debug, Clone)]
pub struct Login<S, P = PlainPages>(Gated<S, LoginGate<P>>);

/// The decision of [`LoginLayer`](crate::LoginLayer).
#[derive(Clone)]
pub struct LoginGate<P> {
    party: Arc<RelyingParty>,
    pages: P,
}

/// What is kept of a request until its response comes.
#[expect(unnameable_types, reason = "seals the gate's trait")]
#[derive(Debug, Default)]
pub struct Kept {
    /// A cookie that is of no use.
    clear: Option<HeaderValue>,
    /// Where to send a browser that turns out to have to sign in.
    sign_in: Option<String>,
}

/// What is found out while a request waits.
#[expect(
    unnameable_types,
    missing_debug_implementations,
    reason = "seals the gate's trait"
)]
pub struct Found(Finding);

enum Finding {
    /// What became of the session that the browser names.
    Session {
        id: SessionId,
        key: StoreKey,
        standing: Standing,
    },
    /// What the layer says itself.
    Reply(Reply),
}

type Decided = Verdict<Reply, Kept, Found>;

/// How long the body of a back-channel logout may take.
const FORM_TIME: Duration = Duration::from_secs(10);

impl<S, P> Login<S, P> {
    pub(super) fn new(inner: S, party: Arc<RelyingParty>, pages: P) -> Self {
        Self(Gated::new(inner, LoginGate { party, pages }))
    }
}

impl<S, P, ReqBody, ResBody> Service<Request<ReqBody>> for Login<S, P>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Body + Send + 'static,
    ReqBody::Data: Send,
    ReqBody::Error: Into<BoxError>,
    ResBody: Default,
    P: OnPage<ResBody> + Clone,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, LoginGate<P>, ReqBody, ResBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let gate = self.0.gate();
        let is_backchannel = request.method() == Method::POST
            && gate.party.site.paths.own(request.uri().path()) == Some(Own::Backchannel);
        if !is_backchannel {
            return self.0.call(request);
        }
        // The one request whose body is read: the provider's, which has no cookie and needs none.
        let party = Arc::clone(&gate.party);
        let answer = async move {
            let (head, body) = request.into_parts();
            let content_type = head
                .headers
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let form = Limited::new(body, LONGEST_FORM).collect();
            match tokio::time::timeout(FORM_TIME, form).await {
                Ok(Ok(form)) => party.backchannel(content_type, &form.to_bytes()).await,
                Ok(Err(_)) => Reply::empty(StatusCode::PAYLOAD_TOO_LARGE),
                Err(_) => Reply::empty(StatusCode::REQUEST_TIMEOUT),
            }
        };
        ResponseFuture::answering(gate.clone(), Box::pin(answer))
    }
}

impl<P> LoginGate<P> {
    fn check_session(&self, head: &mut Parts) -> Decided {
        let party = &self.party;
        if head.extensions.get::<Principal>().is_some() {
            // A layer further out has verified who calls, by a token of their own.
            return Verdict::Pass(Kept::default());
        }
        let names = &party.cookies;
        let id = match sent(&head.headers, &names.session) {
            Sent::Nothing => return party.anonymous(head, None, Kind::NotSignedIn),
            Sent::One(value) => SessionId::parse(&value),
            Sent::Several => None,
        };
        let Some(id) = id else {
            let clear = names.clear(&names.session);
            return party.anonymous(head, Some(clear), Kind::NotSignedIn);
        };
        if may_change_state(head) && !party.site.is_same_origin(&head.headers) {
            let reply = party.tell(head, Kind::CrossOrigin.into(), &ReturnPath::default());
            return Verdict::Answer(reply);
        }
        let key = party.opened.key_of(&id);
        let party = Arc::clone(party);
        Verdict::Wait(Box::pin(async move {
            let standing = party.standing(key, None).await;
            Found(Finding::Session { id, key, standing })
        }))
    }

    /// What the layer answers itself.
    fn check_own(&self, own: Own, head: &mut Parts) -> Decided {
        let allowed = match own {
            Own::Start | Own::Callback | Own::Frontchannel => "GET",
            Own::Logout | Own::Backchannel => "POST",
        };
        let party = Arc::clone(&self.party);
        if head.method.as_str() != allowed {
            let error = Kind::MethodNotAllowed.into();
            let reply = party.tell(head, error, &ReturnPath::default());
            return Verdict::Answer(reply.allowing(allowed));
        }
        if own == Own::Logout && !party.site.is_same_origin(&head.headers) {
            let reply = party.tell(head, Kind::CrossOrigin.into(), &ReturnPath::default());
            return Verdict::Answer(reply);
        }
        // The request goes no further.
        let head = std::mem::replace(head, Request::new(()).into_parts().0);
        Verdict::Wait(Box::pin(async move {
            Found(Finding::Reply(match own {
                Own::Start => party.start(&head).await,
                Own::Callback => party.callback(&head).await,
                Own::Logout => party.sign_out(&head).await,
                Own::Frontchannel => party.frontchannel(&head).await,
                // Its body is read where it is called.
                Own::Backchannel => Reply::empty(StatusCode::BAD_REQUEST),
            }))
        }))
    }
}

impl RelyingParty {
    fn admit(
        self: &Arc<Self>,
        id: &SessionId,
        key: StoreKey,
        standing: Standing,
        head: &mut Parts,
    ) -> Decided {
        match standing {
            Standing::Live(opened) => {
                self.opened.remember(id, key);
                head.extensions.insert(opened.principal.clone());
                let session = Session::new(Arc::clone(self), key, opened);
                head.extensions.insert(session);
                Verdict::Pass(Kept::default())
            }
            Standing::Over(reason) => {
                tracing::debug!(?reason, "a session is over");
                let clear = self.cookies.clear(&self.cookies.session);
                self.anonymous(head, Some(clear), Kind::SessionEnded)
            }
            Standing::Failed(error) => {
                let back_to = here(head);
                Verdict::Answer(self.tell(head, error, &back_to))
            }
        }
    }

    /// Nobody is signed in: on without a principal where that is allowed, else to the sign-in.
    fn anonymous(&self, head: &mut Parts, clear: Option<HeaderValue>, kind: Kind) -> Decided {
        let sign_in = is_navigation(head).then(|| self.sign_in_path(&here(head)));
        if self.anonymous {
            head.extensions.insert(Anonymous);
            return Verdict::Pass(Kept { clear, sign_in });
        }
        let reply = match sign_in {
            Some(sign_in) => Reply::see_other(&sign_in),
            None => self.tell(head, kind.into(), &ReturnPath::default()),
        };
        Verdict::Answer(reply.with_cookies(clear))
    }
}

/// The address that was asked for, as a path to come back to.
fn here(head: &Parts) -> ReturnPath {
    let asked = head
        .uri
        .path_and_query()
        .map(http::uri::PathAndQuery::as_str);
    asked.and_then(ReturnPath::parse).unwrap_or_default()
}

impl<B: Default, P: OnPage<B> + Clone> Gate<B> for LoginGate<P> {
    type Answer = Reply;
    type Kept = Kept;
    type Found = Found;

    fn check(&self, head: &mut Parts) -> Decided {
        match self.party.site.paths.own(head.uri.path()) {
            Some(Own::Frontchannel) if !self.party.sign_out.frontchannel => {}
            Some(own) => return self.check_own(own, head),
            None => {}
        }
        match self.party.back_from_sign_out(head) {
            Some(reply) => Verdict::Answer(reply),
            None => self.check_session(head),
        }
    }

    fn check_found(&self, found: Found, head: &mut Parts) -> Decided {
        match found.0 {
            Finding::Session { id, key, standing } => self.party.admit(&id, key, standing, head),
            Finding::Reply(reply) => Verdict::Answer(reply),
        }
    }

    fn answer(&self, reply: Reply) -> Response<B> {
        reply.into_response(&self.pages)
    }

    fn finish(&self, kept: Kept, response: &mut Response<B>) {
        let wants_sign_in = response.status() == StatusCode::UNAUTHORIZED
            && response
                .extensions()
                .get::<Rejection>()
                .is_some_and(|rejection| rejection.kind() == RejectionKind::NoToken);
        if let Some(sign_in) = kept.sign_in.filter(|_| wants_sign_in) {
            *response = self.answer(Reply::see_other(&sign_in).with_cookies(kept.clear));
            return;
        }
        set_private(response.headers_mut());
        if let Some(clear) = kept.clear {
            response.headers_mut().append(SET_COOKIE, clear);
        }
    }
}

impl<P> fmt::Debug for LoginGate<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginGate")
            .field("client", &self.party.client)
            .field("origin", &self.party.site.origin)
            .finish_non_exhaustive()
    }
}
