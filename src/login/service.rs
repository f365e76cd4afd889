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
use crate::gate::challenge::lacks_realm;
use crate::gate::{Anonymous, Gate, Gated, ResponseFuture, Verdict};
use crate::login::browser::cookie::{CookieNames, CookieValue, sent};
use crate::login::browser::mount::{SentToStart, nested_below};
use crate::login::browser::open_paths::OpenPaths;
use crate::login::browser::page::{OnPage, PlainPages};
use crate::login::browser::reply::{Reply, set_private};
use crate::login::browser::return_path::ReturnPath;
use crate::login::browser::session_cookie;
use crate::login::browser::site::{OwnPath, Site, is_navigation, may_change_state};
use crate::login::sessions::handle::Session;
use crate::login::sessions::id::SessionId;
use crate::login::sessions::information::SessionInformation;
use crate::login::sessions::{Sessions, Standing};
use crate::login::sign_in::SignIn;
use crate::login::sign_out::SignOut;
use crate::login::sign_out::backchannel::LONGEST_FORM;
use crate::login::store::StoreKey;
use crate::principal::Principal;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service whose browsers are signed in. Made by [`LoginLayer`](crate::LoginLayer).
#[derive(Debug, Clone)]
pub struct Login<S, P = PlainPages>(Gated<S, LoginGate<P>>);

/// The decision of [`LoginLayer`](crate::LoginLayer).
#[derive(Clone)]
pub struct LoginGate<P> {
    party: Arc<Party>,
    pages: P,
}

/// What every service of one layer shares: our role as a relying party
/// ([OpenID Connect Core §1.2](https://openid.net/specs/openid-connect-core-1_0.html#Terminology)).
pub(super) struct Party {
    pub(super) sessions: Arc<Sessions>,
    pub(super) sign_in: SignIn,
    pub(super) sign_out: SignOut,
    pub(super) site: Arc<Site>,
    pub(super) cookies: Arc<CookieNames>,
    /// What the layer lets through as if it were not there.
    pub(super) open_paths: OpenPaths,
    /// What scripts may ask about their session.
    pub(super) information: Option<SessionInformation>,
    pub(super) sent_to_start: SentToStart,
    /// Whether requests without a session pass.
    pub(super) allows_anonymous: bool,
}

/// What is kept of a request until its response comes.
#[expect(unnameable_types, reason = "seals the gate's trait")]
#[derive(Debug, Default)]
pub struct Pending {
    /// A cookie that is of no use.
    clear: Option<HeaderValue>,
    /// Where to send a browser that turns out to have to sign in.
    sign_in: Option<String>,
    /// Whether the path is open: the response depends on no cookie, and stays as it is.
    is_open: bool,
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
    Session(Named, Standing),
    /// What the layer says itself.
    Reply(Reply),
}

/// A session as the browser named it.
struct Named {
    key: StoreKey,
    /// Where its key is not remembered yet.
    id: Option<SessionId>,
}

type Decided = Verdict<Reply, Pending, Found>;

/// How long the body of a back-channel logout may take.
const FORM_TIME: Duration = Duration::from_secs(10);

impl<S, P> Login<S, P> {
    pub(super) fn new(inner: S, party: Arc<Party>, pages: P) -> Self {
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
            && gate.party.site.paths.own(request.uri().path()) == Some(OwnPath::Backchannel);
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
                Ok(Ok(form)) => {
                    let content_type = content_type.to_owned();
                    let tasks = party.sessions.tasks.clone();
                    // In a task of its own: a provider that hangs up early does not stop it halfway.
                    let logout = tasks.spawn(async move {
                        let form = form.to_bytes();
                        party.sign_out.backchannel(&content_type, &form).await
                    });
                    let unknown = |_| Reply::empty(StatusCode::SERVICE_UNAVAILABLE);
                    logout.await.unwrap_or_else(unknown)
                }
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
            return Verdict::Pass(Pending::default());
        }
        let names = &party.cookies;
        let id = match sent(&head.headers, &names.session) {
            CookieValue::Nothing => return party.anonymous(head, None, Kind::NotSignedIn),
            CookieValue::One(value) => SessionId::parse(value),
            CookieValue::Several => None,
        };
        let Some(id) = id else {
            let clear = party.clear_own_cookie(head);
            return party.anonymous(head, clear, Kind::NotSignedIn);
        };
        if may_change_state(head) && !party.site.is_same_origin(&head.headers) {
            let reply = party
                .site
                .tell(head, Kind::CrossOrigin.into(), &ReturnPath::default());
            return Verdict::Answer(reply);
        }
        let session = match party.sessions.opener.cache.known_key(&id) {
            Some(key) => Named { key, id: None },
            None => Named {
                key: id.store_key(),
                id: Some(id),
            },
        };
        if let Some(standing) = party.sessions.standing_now(session.key) {
            return party.admit(session, standing, head);
        }
        let party = Arc::clone(party);
        Verdict::Wait(Box::pin(async move {
            let standing = party.sessions.standing(session.key, None).await;
            Found(Finding::Session(session, standing))
        }))
    }

    /// What the layer answers itself.
    fn check_own(&self, own: OwnPath, head: &mut Parts) -> Decided {
        let allowed = match own {
            OwnPath::Start | OwnPath::Callback | OwnPath::Frontchannel | OwnPath::Session => "GET",
            OwnPath::Logout | OwnPath::Backchannel => "POST",
        };
        let party = Arc::clone(&self.party);
        if head.method.as_str() != allowed {
            let error = Kind::MethodNotAllowed.into();
            let reply = party.site.tell(head, error, &ReturnPath::default());
            return Verdict::Answer(reply.allowing(allowed));
        }
        if own == OwnPath::Logout && !party.site.is_same_origin(&head.headers) {
            let reply = party
                .site
                .tell(head, Kind::CrossOrigin.into(), &ReturnPath::default());
            return Verdict::Answer(reply);
        }
        if let Some(reply) = party.misplaced(head) {
            return Verdict::Answer(reply);
        }
        if own == OwnPath::Start {
            party.sent_to_start.has_come();
        }
        // The request goes no further.
        let head = std::mem::replace(head, Request::new(()).into_parts().0);
        Verdict::Wait(Box::pin(async move {
            Found(Finding::Reply(match own {
                OwnPath::Start => party.sign_in.start(&head).await,
                OwnPath::Callback => party.sign_in.callback(&head).await,
                OwnPath::Logout => party.sign_out.sign_out(&head).await,
                OwnPath::Frontchannel => party.sign_out.frontchannel(&head).await,
                OwnPath::Session => party.session_information(&head).await,
                // Its body is read where it is called.
                OwnPath::Backchannel => Reply::empty(StatusCode::BAD_REQUEST),
            }))
        }))
    }
}

impl Party {
    fn admit(&self, named: Named, standing: Standing, head: &mut Parts) -> Decided {
        let Named { key, id } = named;
        match standing {
            Standing::Live(opened) => {
                if let Some(id) = id {
                    self.sessions.opener.cache.remember(id, key);
                }
                head.extensions.insert(opened.principal.clone());
                let session = Session::new(Arc::clone(&self.sessions), key, opened);
                head.extensions.insert(session);
                Verdict::Pass(Pending::default())
            }
            Standing::Over(reason) => {
                tracing::debug!(?reason, "a session is over");
                let clear = match reason {
                    Some(_) => Some(self.cookies.clear(&self.cookies.session)),
                    // The store does not know it: perhaps it is another application's.
                    None => self.clear_own_cookie(head),
                };
                self.anonymous(head, clear, Kind::SessionEnded)
            }
            // The cookie stays: the session may well live.
            Standing::NeedsSignIn => self.anonymous(head, None, Kind::NotSignedIn),
            Standing::Failed(error) => {
                let back_to = here(head);
                Verdict::Answer(self.site.tell(head, error, &back_to))
            }
        }
    }

    /// The answer where a router around the layer has taken a prefix off the path: the layer's own paths then lie
    /// where no request for them reaches it.
    fn misplaced(&self, head: &Parts) -> Option<Reply> {
        let prefix = nested_below(head)?;
        let path = &self.site.paths.start;
        tracing::error!(prefix, path, "the sign-in layer is nested below a prefix");
        let error = Kind::Misplaced.into();
        Some(self.site.tell(head, error, &ReturnPath::default()))
    }

    /// Clears the session's cookie, if this application made it.
    pub(super) fn clear_own_cookie(&self, head: &Parts) -> Option<HeaderValue> {
        let sealing = &self.sessions.opener.sealing;
        session_cookie::clear_own(&head.headers, &self.cookies, sealing)
    }

    /// No session: on without a principal where that is allowed, else to the sign-in.
    fn anonymous(&self, head: &mut Parts, clear: Option<HeaderValue>, kind: Kind) -> Decided {
        if let Some(reply) = self.misplaced(head) {
            return Verdict::Answer(reply);
        }
        let sign_in = is_navigation(head).then(|| self.site.sign_in_path(&here(head)));
        if self.allows_anonymous {
            head.extensions.insert(Anonymous);
            return Verdict::Pass(Pending {
                clear,
                sign_in,
                is_open: false,
            });
        }
        let reply = match sign_in {
            Some(sign_in) => {
                self.sent_to_start.add(&self.site.paths.start);
                Reply::see_other(&sign_in)
            }
            None => self.site.tell(head, kind.into(), &ReturnPath::default()),
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

/// A request for an open path has no caller, even if an outer layer has verified one.
fn open(head: &mut Parts) -> Pending {
    head.extensions.remove::<Principal>();
    head.extensions.remove::<Session>();
    head.extensions.insert(Anonymous);
    Pending {
        is_open: true,
        ..Pending::default()
    }
}

impl<B: Default, P: OnPage<B> + Clone> Gate<B> for LoginGate<P> {
    type Answer = Reply;
    type Kept = Pending;
    type Found = Found;

    fn check(&self, head: &mut Parts) -> Decided {
        match self.party.site.paths.own(head.uri.path()) {
            Some(OwnPath::Frontchannel) if !self.party.sign_out.settings.frontchannel => {}
            Some(OwnPath::Session) if self.party.information.is_none() => {}
            Some(own) => return self.check_own(own, head),
            None => {}
        }
        match self.party.sign_out.back_from_sign_out(head) {
            Some(reply) => Verdict::Answer(reply),
            None if self.party.open_paths.contains(head) => Verdict::Pass(open(head)),
            None => self.check_session(head),
        }
    }

    fn check_found(&self, found: Found, head: &mut Parts) -> Decided {
        match found.0 {
            Finding::Session(named, standing) => self.party.admit(named, standing, head),
            Finding::Reply(reply) => Verdict::Answer(reply),
        }
    }

    fn answer(&self, reply: Reply) -> Response<B> {
        reply.into_response(&self.pages, &self.party.site.challenges)
    }

    fn finish(&self, kept: Pending, response: &mut Response<B>) {
        // An inner requirement knows what is missing. This layer knows whose session it is.
        if response.status().is_client_error()
            && lacks_realm(response.headers())
            && let Some(rejection) = response.extensions().get::<Rejection>().cloned()
        {
            rejection.set_challenge(response, &self.party.site.challenges);
        }
        if kept.is_open {
            return;
        }
        let wants_sign_in = response.status() == StatusCode::UNAUTHORIZED
            && response
                .extensions()
                .get::<Rejection>()
                .is_some_and(|rejection| rejection.kind() == RejectionKind::NoToken);
        if let Some(sign_in) = kept.sign_in.filter(|_| wants_sign_in) {
            let party = &self.party;
            party.sent_to_start.add(&party.site.paths.start);
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
            .field("client", &self.party.sign_in.client)
            .field("origin", &self.party.site.origin)
            .finish_non_exhaustive()
    }
}
