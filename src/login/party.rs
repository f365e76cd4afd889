//! Decides each request to a site: answers the layer's own paths, admits sessions, and refuses the rest.

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::error::LoginErrorKind as Kind;
use crate::gate::answer::{Rejection, RejectionKind};
use crate::gate::challenge::lacks_realm;
use crate::gate::empty::CanBeEmpty;
use crate::gate::private::set_private;
use crate::gate::same_origin::may_change_state;
use crate::gate::{Anonymous, Verdict};
use crate::login::browser::cookie::{CookieNames, CookieValue, sent};
use crate::login::browser::mount::{Sender, SentToStart, nested_below};
use crate::login::browser::open_paths::OpenPaths;
use crate::login::browser::page::OnPage;
use crate::login::browser::reply::Reply;
use crate::login::browser::session_cookie;
use crate::login::browser::site::{OwnPath, Site, is_navigation};
use crate::login::sessions::handle::Session;
use crate::login::sessions::id::SessionId;
use crate::login::sessions::information::SessionInformation;
use crate::login::sessions::{Need, Sessions, Standing};
use crate::login::sign_in::SignIn;
use crate::login::sign_out::SignOut;
use crate::login::store::StoreKey;
use crate::principal::Principal;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
    /// Whether another site may have a sign-in begun.
    pub(super) allows_initiated: bool,
    pub(super) sent_to_start: SentToStart,
    /// Whether requests without a session pass.
    pub(super) allows_anonymous: bool,
}

/// What is kept of a request until its response comes.
#[expect(unnameable_types, reason = "seals the gate's trait")]
#[derive(Debug, Default)]
pub struct Pending {
    /// Cookies that are of no use.
    clear: Vec<HeaderValue>,
    /// Where to send a browser that turns out to have to sign in.
    sign_in: Option<(String, Sender)>,
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

impl Found {
    pub(super) fn reply(reply: Reply) -> Self {
        Self(Finding::Reply(reply))
    }
}

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

pub(super) type Decided = Verdict<Reply, Pending, Found>;

/// A request comes without a session of this layer.
pub(super) struct Absent {
    /// A cookie that is of no use.
    clear: Option<HeaderValue>,
    kind: Kind,
}

impl Party {
    /// Whether the request has a session.
    pub(super) fn check_session(self: &Arc<Self>, head: &mut Parts) -> Result<Decided, Absent> {
        if head.extensions.get::<Principal>().is_some() {
            // A layer further out has verified who calls, by a token of their own.
            return Ok(Verdict::Pass(Pending::default()));
        }
        let absent = |clear| Absent {
            clear,
            kind: Kind::NotSignedIn,
        };
        let names = &self.cookies;
        let id = match sent(&head.headers, &names.session) {
            CookieValue::Nothing => return Err(absent(None)),
            CookieValue::One(value) => SessionId::parse(value),
            CookieValue::Several => None,
        };
        let Some(id) = id else {
            return Err(absent(self.clear_own_cookie(head)));
        };
        if may_change_state(head) && !self.site.same_origin.is_proven_by(&head.headers) {
            let reply = self
                .site
                .tell(head, Kind::CrossOrigin.into(), &self.site.home());
            return Ok(Verdict::Answer(reply));
        }
        let session = match self.sessions.opener.cache.known_key(&id) {
            Some(key) => Named { key, id: None },
            None => Named {
                key: id.store_key(),
                id: Some(id),
            },
        };
        if let Some(standing) = self.sessions.standing_now(session.key) {
            return self.admit(session, standing, head);
        }
        let party = Arc::clone(self);
        Ok(Verdict::Wait(Box::pin(async move {
            let standing = party.sessions.standing(session.key, Need::Caller).await;
            Found(Finding::Session(session, standing))
        })))
    }

    /// What the layer answers itself, if the request is for a path of its own.
    pub(super) fn check_path(self: &Arc<Self>, head: &mut Parts) -> Option<Decided> {
        let Some(own) = self.site.paths.own(head.uri.path()) else {
            let is_own = |path: &str| self.site.paths.own(path).is_some();
            return self.base_path_kept(head, is_own).map(Verdict::Answer);
        };
        let is_off = match own {
            OwnPath::Frontchannel => !self.sign_out.settings.frontchannel,
            OwnPath::Session => self.information.is_none(),
            OwnPath::Initiate => !self.allows_initiated,
            _ => false,
        };
        (!is_off).then(|| self.check_own(own, head))
    }

    fn check_own(self: &Arc<Self>, own: OwnPath, head: &mut Parts) -> Decided {
        let allowed = match own {
            OwnPath::Callback if self.sign_in.request.form_post => "POST",
            OwnPath::Start | OwnPath::Callback | OwnPath::Frontchannel | OwnPath::Session => "GET",
            OwnPath::Logout | OwnPath::Backchannel => "POST",
            OwnPath::Initiate => "GET, POST",
        };
        let party = Arc::clone(self);
        if !allowed
            .split(", ")
            .any(|method| head.method.as_str() == method)
        {
            let error = Kind::MethodNotAllowed.into();
            let reply = party.site.tell(head, error, &party.site.home());
            return Verdict::Answer(reply.allowing(allowed));
        }
        if own == OwnPath::Logout && !party.site.same_origin.is_proven_by(&head.headers) {
            let reply = party
                .site
                .tell(head, Kind::CrossOrigin.into(), &party.site.home());
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
                OwnPath::Initiate => party.sign_in.initiated(&head).await,
                // Its body is read where it is called.
                OwnPath::Backchannel => Reply::empty(StatusCode::BAD_REQUEST),
            }))
        }))
    }

    /// What was found out about a request that waited.
    pub(super) fn check_found(
        self: &Arc<Self>,
        found: Found,
        head: &mut Parts,
    ) -> Result<Decided, Absent> {
        match found.0 {
            Finding::Session(named, standing) => self.admit(named, standing, head),
            Finding::Reply(reply) => Ok(Verdict::Answer(reply)),
        }
    }

    fn admit(
        self: &Arc<Self>,
        named: Named,
        standing: Standing,
        head: &mut Parts,
    ) -> Result<Decided, Absent> {
        let Named { key, id } = named;
        match standing {
            Standing::Live(opened) => {
                if let Some(id) = id {
                    self.sessions.opener.cache.remember(id, key);
                }
                head.extensions.insert(opened.principal.clone());
                let session = Session::new(Arc::clone(&self.sessions), key, opened);
                head.extensions.insert(session);
                Ok(Verdict::Pass(Pending::default()))
            }
            Standing::Over(reason) => {
                tracing::debug!(?reason, "a session is over");
                let clear = match reason {
                    Some(_) => Some(self.cookies.clear(&self.cookies.session)),
                    // The store does not know it: perhaps it is another application's.
                    None => self.clear_own_cookie(head),
                };
                Err(Absent {
                    clear,
                    kind: Kind::SessionEnded,
                })
            }
            // The cookie stays: the session may well live.
            Standing::NeedsSignIn => Err(Absent {
                clear: None,
                kind: Kind::NotSignedIn,
            }),
            Standing::Failed(error) => {
                let back_to = self.site.here(head);
                Ok(Verdict::Answer(self.site.tell(head, error, &back_to)))
            }
        }
    }

    /// The answer where a router around the layer has taken a prefix off the path: the layer's own paths then lie
    /// where no request for them reaches it.
    pub(super) fn misplaced(&self, head: &Parts) -> Option<Reply> {
        // A router below the path of the address does what a proxy does.
        let prefix = nested_below(head).filter(|prefix| *prefix != self.site.base.as_str())?;
        let path = &self.site.paths.start;
        tracing::error!(prefix, path, "the sign-in layer is nested below a prefix");
        let error = Kind::Misplaced.into();
        Some(self.site.tell(head, error, &self.site.home()))
    }

    /// The answer where a request for a path of the layer comes with the base path, which a proxy was to take off.
    /// Browsers would be sent to paths that do not exist.
    pub(super) fn base_path_kept(
        &self,
        head: &Parts,
        is_own: impl FnOnce(&str) -> bool,
    ) -> Option<Reply> {
        let (path, base) = (head.uri.path(), &self.site.base);
        let kept = Some(path).filter(|path| base.was_kept(path))?;
        base.strip(kept).filter(|path| is_own(path))?;
        tracing::error!(
            path,
            base = base.as_str(),
            "a request of the sign-in arrives with the path of the site's address"
        );
        let error = Kind::BasePathKept.into();
        Some(self.site.tell(head, error, &self.site.home()))
    }

    fn count_sent_to_start(&self, sender: Sender) {
        // From a page where they choose, people may go elsewhere.
        if self.site.sends_to_start() {
            let now = self.sign_in.provider.clock().monotonic();
            self.sent_to_start.add(&self.site.public.start, sender, now);
        }
    }

    /// Clears the session's cookie, if this application made it.
    pub(super) fn clear_own_cookie(&self, head: &Parts) -> Option<HeaderValue> {
        let sealing = &self.sessions.opener.sealing;
        session_cookie::clear_own(&head.headers, &self.cookies, sealing)
    }

    /// No session: on without a principal where that is allowed, else to the sign-in.
    pub(super) fn anonymous(&self, head: &mut Parts, absent: Absent) -> Decided {
        let Absent { clear, kind } = absent;
        if let Some(reply) = self.misplaced(head) {
            return Verdict::Answer(reply);
        }
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        if is_read && self.site.is_login_page(head.uri.path()) {
            head.extensions.insert(Anonymous);
            return Verdict::Pass(Pending {
                clear: clear.into_iter().collect(),
                ..Pending::default()
            });
        }
        let sign_in = is_navigation(head).then(|| {
            let path = self.site.sign_in_path(&self.site.here(head));
            (path, Sender::of(head))
        });
        if self.allows_anonymous {
            if sign_in.is_some()
                && let Some(reply) = self.sign_in.ask_silently(head, &self.site.here(head))
            {
                return Verdict::Answer(reply.with_cookies(clear));
            }
            head.extensions.insert(Anonymous);
            return Verdict::Pass(Pending {
                clear: clear.into_iter().collect(),
                sign_in,
                is_open: false,
            });
        }
        let reply = match sign_in {
            Some((sign_in, sender)) => {
                self.count_sent_to_start(sender);
                Reply::see_other(&sign_in)
            }
            None => self.site.tell(head, kind.into(), &self.site.home()),
        };
        Verdict::Answer(reply.with_cookies(clear))
    }
}

/// A request for an open path has no caller, even if an outer layer has verified one.
pub(super) fn open(head: &mut Parts) -> Pending {
    head.extensions.remove::<Principal>();
    head.extensions.remove::<Session>();
    head.extensions.insert(Anonymous);
    Pending {
        is_open: true,
        ..Pending::default()
    }
}

impl Party {
    /// Changes the inner service's response.
    pub(super) fn finish<B: CanBeEmpty>(
        &self,
        pages: &impl OnPage<B>,
        kept: Pending,
        response: &mut Response<B>,
    ) {
        // An inner requirement knows what is missing. This layer knows whose session it is.
        if response.status().is_client_error()
            && lacks_realm(response.headers())
            && let Some(rejection) = response.extensions().get::<Rejection>().cloned()
        {
            rejection.set_challenge(response, &self.site.challenges);
        }
        if kept.is_open {
            return;
        }
        let wants_sign_in = response.status() == StatusCode::UNAUTHORIZED
            && response
                .extensions()
                .get::<Rejection>()
                .is_some_and(|rejection| rejection.kind() == RejectionKind::NoToken);
        if let Some((sign_in, sender)) = kept.sign_in.filter(|_| wants_sign_in) {
            self.count_sent_to_start(sender);
            let reply = Reply::see_other(&sign_in).with_cookies(kept.clear);
            *response = reply.into_response(pages, &self.site.challenges);
            return;
        }
        set_private(response.headers_mut(), HeaderValue::from_static("Cookie"));
        for clear in kept.clear {
            // The application may have signed the browser in meanwhile (`LoginLayer::adopt`).
            if !sets_same_cookie(response.headers(), &clear) {
                response.headers_mut().append(SET_COOKIE, clear);
            }
        }
    }
}

/// Whether a cookie of the same name is set already.
fn sets_same_cookie(headers: &HeaderMap, field: &HeaderValue) -> bool {
    let name = |field: &HeaderValue| {
        let end = field.as_bytes().iter().position(|byte| *byte == b'=');
        end.map(|end| field.as_bytes()[..end].to_vec())
    };
    let mut set = headers.get_all(SET_COOKIE).iter();
    set.any(|other| name(other) == name(field))
}

impl Pending {
    /// The same with further cookies to clear.
    pub(super) fn clearing(mut self, cookies: Vec<HeaderValue>) -> Self {
        self.clear.extend(cookies);
        self
    }
}

impl Absent {
    /// The cookie that is of no use.
    pub(super) fn take_cookie(&mut self) -> Option<HeaderValue> {
        self.clear.take()
    }

    /// Whether there was a session, and it is over.
    pub(super) fn has_ended(&self) -> bool {
        self.kind == Kind::SessionEnded
    }
}
