//! Several ways to sign in to one site.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::{ConfigError, LoginErrorKind as Kind};
use crate::gate::empty::CanBeEmpty;
use crate::gate::{Gate, Gated, ResponseFuture, Verdict};
use crate::login::browser::base_path::check_path;
use crate::login::browser::cookie::{CookieValue, sent};
use crate::login::browser::page::{OnPage, Page, PlainPages};
use crate::login::browser::reply::Reply;
use crate::login::builder::LoginBuilder;
use crate::login::layer::LoginLayer;
use crate::login::party::{Absent, BoxError, Decided, Found, Party, Pending, open};
use crate::login::sessions::background::Background;
use crate::principal::Principal;
use crate::settings::{ADDRESS, COOKIE_NAME, LOGIN_PAGE, PATH};

/// Several providers at which the browsers of one site sign in: one layer made of those of each.
///
/// People choose on a page of the application, the login page. Whichever provider they choose, handlers find the same
/// [`Principal`] and [`Session`](crate::Session), and [`Session::issuer`](crate::Session::issuer) says which it was.
/// One path signs out. Each provider has paths, cookies and sessions of its own, so that a session of one is never
/// taken for one of another, even in the same store and with the same secrets.
///
/// ```
/// use tower_oidc::login::{LoginSet, ReturnPath};
/// use tower_oidc::{Client, KeyRing, LoginLayer, Provider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # async fn inbox() {}
/// let builder = |issuer: &str, name: &str| {
///     let verifier = Provider::discover(issuer)?.verifier("https://api.example.com")?;
///     let client = Client::with_secret("a-client", "its secret")?;
///     let keys = KeyRing::new(["thirty-two characters or more of secret"])?;
///     let login = LoginLayer::builder(verifier, client, "https://app.example.com", keys);
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
///         login.with_path(&format!("/oauth/{name}")).with_cookie_name(name),
///     )
/// };
/// let staff = builder("https://staff.example", "staff")?;
/// let guests = builder("https://guests.example", "guests")?;
/// let logins = LoginSet::new("/login", [staff, guests])?;
///
/// // The login page: a link for each.
/// let links = logins.clone();
/// let login_page = move |uri: http::Uri| {
///     let back_to = ReturnPath::of_query(uri.query().unwrap_or_default());
///     let links = links.layers().iter().map(|login| {
///         let href = login.sign_in_link(&back_to);
///         format!("<p><a href=\"{href}\">Sign in by {}</a></p>", login.sign_in_path())
///     });
///     let page: String = links.collect();
///     async move { axum::response::Html(page) }
/// };
/// let app: axum::Router = axum::Router::new()
///     .route("/inbox", axum::routing::get(inbox))
///     .route("/login", axum::routing::get(login_page))
///     .layer(logins);
/// # Ok(())
/// # }
/// ```
///
/// # Rules
/// 1. The paths of each layer are its own. The login page is open to everyone.
/// 2. A request with a session of one of them passes. Where a browser has several, that of the first layer counts.
/// 3. Without any, a navigation is sent to the login page with `return_to`, and anything else is answered 401; where the
///    first layer [allows anonymous requests](LoginBuilder::allow_anonymous), it passes.
/// 4. A path that one layer opens is open.
/// 5. A POST to the [sign-out path](Self::sign_out_path) from a page of the site ends the browser's sessions of all of
///    them, and sends it on to the sign-out of the first one's provider that has one.
#[must_use]
#[derive(Clone)]
pub struct LoginSet<P = PlainPages> {
    layers: Arc<[LoginLayer]>,
    pub(super) set: Arc<Set>,
    pages: P,
}

/// What every service of one set shares.
pub(super) struct Set {
    parties: Vec<Arc<Party>>,
    /// As requests have it.
    sign_out: String,
    /// As browsers see it.
    public_sign_out: String,
}

const SIGN_OUT: &str = "/oauth/sign-out";

impl LoginSet {
    /// The layers that these builders make, with this login page in place of the ones that they chose. Each needs a
    /// [path](LoginBuilder::with_path) and a [cookie name](LoginBuilder::with_cookie_name) of its own.
    ///
    /// # Errors
    /// [`ConfigError`] naming the setting of a builder that cannot be used, or that two of them share.
    pub fn new(
        login_page: &str,
        builders: impl IntoIterator<Item = LoginBuilder>,
    ) -> Result<Self, ConfigError> {
        let builders: Vec<_> = builders.into_iter().collect();
        let paths: Vec<_> = builders.iter().map(LoginBuilder::paths).collect();
        let layers = builders.into_iter().enumerate().map(|(at, mut builder)| {
            let others = paths.iter().enumerate().filter(|(other, _)| *other != at);
            builder.other_paths = others.map(|(_, paths)| paths.clone()).collect();
            builder.with_login_page(login_page).build()
        });
        let layers: Arc<[LoginLayer]> = layers.collect::<Result<_, _>>()?;
        let parties: Vec<_> = layers
            .iter()
            .map(|layer| Arc::clone(&layer.party))
            .collect();
        check(&parties)?;
        let set = Set::new(parties, SIGN_OUT)?;
        Ok(Self {
            layers,
            set: Arc::new(set),
            pages: PlainPages,
        })
    }
}

impl<P> LoginSet<P> {
    /// The path that signs out when a page of this site posts to it. Default: `/oauth/sign-out`.
    ///
    /// # Errors
    /// [`ConfigError`] if it is no plain path, or one that a layer answers.
    pub fn with_sign_out_path(mut self, path: &str) -> Result<Self, ConfigError> {
        let set = Set::new(self.set.parties.clone(), path)?;
        self.set = Arc::new(set);
        Ok(self)
    }

    /// Chooses what is read when a sign-in fails or a session is over, as [`LoginLayer::on_page`] does.
    pub fn on_page<F: Fn(&Page) -> Response<B>, B>(self, pages: F) -> LoginSet<F> {
        self.with_pages(pages)
    }

    /// The same with a type of your own that implements [`OnPage`](crate::login::OnPage), which can answer JSON too.
    pub fn with_pages<T>(self, pages: T) -> LoginSet<T> {
        LoginSet {
            layers: self.layers,
            set: self.set,
            pages,
        }
    }

    /// The layers, in the order of the builders: for the links of the login page, their sessions and their readiness.
    pub fn layers(&self) -> &[LoginLayer] {
        &self.layers
    }

    /// The local path that signs out when a page of this site posts to it. A script is answered as by
    /// [`LoginLayer::sign_out_path`].
    #[must_use]
    pub fn sign_out_path(&self) -> &str {
        &self.set.public_sign_out
    }

    /// Ends the background work of all layers before the process does: see [`LoginLayer::drain`].
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = bool> + Send + use<P> {
        let parties = self.set.parties.iter();
        let all: Vec<_> = parties.map(|party| party.sessions.background()).collect();
        all.iter().for_each(Background::stop);
        Background::all_ended(all, deadline)
    }
}

/// Whether requests and cookies of each layer can be told from those of the others.
fn check(parties: &[Arc<Party>]) -> Result<(), ConfigError> {
    let Some(first) = parties.first() else {
        return Err(ConfigError::invalid(
            LOGIN_PAGE,
            "no layers",
            "there is no provider to choose",
            "add the builder of a layer for each provider",
        ));
    };
    for (at, party) in parties.iter().enumerate() {
        let (address, other) = (party.site.address(), first.site.address());
        if address != other {
            return Err(ConfigError::invalid(
                ADDRESS,
                address,
                format!("another layer of the set has {other}"),
                "build all layers of a set with the address of the one site",
            ));
        }
        for other in &parties[..at] {
            if let Some(path) = party.site.shared_path(&other.site) {
                return Err(ConfigError::invalid(
                    PATH,
                    path,
                    "two layers of the set answer it",
                    "choose a path for each layer, such as /oauth/staff and /oauth/guests",
                ));
            }
            if party.cookies.collide_with(&other.cookies) {
                return Err(ConfigError::invalid(
                    COOKIE_NAME,
                    &party.cookies.session,
                    format!(
                        "its cookies cannot be told from those called {}",
                        other.cookies.session
                    ),
                    "choose a cookie name for each layer of the set, such as staff and guests",
                ));
            }
        }
    }
    Ok(())
}

impl Set {
    fn new(parties: Vec<Arc<Party>>, sign_out: &str) -> Result<Self, ConfigError> {
        let base = parties.first().map(|party| &party.site.base);
        let set = Self {
            public_sign_out: base.map_or_else(String::new, |base| base.join(sign_out)),
            sign_out: sign_out.to_owned(),
            parties,
        };
        set.check_sign_out()?;
        Ok(set)
    }

    fn check_sign_out(&self) -> Result<(), ConfigError> {
        check_path(PATH, &self.sign_out, SIGN_OUT)?;
        if let Some(party) = self.parties.first() {
            party.site.base.check_absent(PATH, &self.sign_out)?;
        }
        let is_taken = |party: &Arc<Party>| !party.site.is_page(&self.sign_out);
        if self.parties.iter().any(is_taken) {
            return Err(ConfigError::invalid(
                PATH,
                &self.sign_out,
                "it is to sign out of all layers, and one of them answers it",
                format!("choose another path, such as {SIGN_OUT}"),
            ));
        }
        Ok(())
    }

    /// The path that signs out, as requests have it.
    pub(super) fn sign_out(&self) -> &str {
        &self.sign_out
    }

    /// The layer that an answer is made by where it does not matter which: they share the site.
    pub(super) fn first(&self) -> &Arc<Party> {
        &self.parties[0]
    }

    pub(super) fn check(self: &Arc<Self>, head: &mut Parts) -> Verdict<Reply, Pending, FoundOfSet> {
        let parties = &self.parties;
        if head.uri.path() == self.sign_out {
            return self.sign_out_by(head);
        }
        let is_sign_out = |path: &str| path == self.sign_out;
        if let Some(reply) = self.first().base_path_kept(head, is_sign_out) {
            return Verdict::Answer(reply);
        }
        for (at, party) in parties.iter().enumerate() {
            if let Some(decided) = party.check_path(head) {
                return SoFar::default().with(at, decided);
            }
        }
        for party in parties {
            if let Some(reply) = party.sign_out.back_from_sign_out(head) {
                return Verdict::Answer(reply);
            }
        }
        if parties.iter().any(|party| party.open_paths.contains(head)) {
            return Verdict::Pass(open(head));
        }
        if head.extensions.get::<Principal>().is_some() {
            return Verdict::Pass(Pending::default());
        }
        self.check_sessions(0, SoFar::default(), head)
    }

    pub(super) fn check_found(
        self: &Arc<Self>,
        found: FoundOfSet,
        head: &mut Parts,
    ) -> Verdict<Reply, Pending, FoundOfSet> {
        let FoundOfSet {
            at,
            mut so_far,
            found,
        } = found;
        match self.parties[at].check_found(found, head) {
            Ok(decided) => so_far.with(at, decided),
            Err(absent) => {
                so_far.add(absent);
                self.check_sessions(at + 1, so_far, head)
            }
        }
    }

    fn sign_out_by(self: &Arc<Self>, head: &mut Parts) -> Verdict<Reply, Pending, FoundOfSet> {
        let site = &self.first().site;
        let refuse = |kind: Kind| site.tell(head, kind.into(), &site.home());
        if head.method != Method::POST {
            return Verdict::Answer(refuse(Kind::MethodNotAllowed).allowing("POST"));
        }
        if !site.same_origin.is_proven_by(&head.headers) {
            return Verdict::Answer(refuse(Kind::CrossOrigin));
        }
        // The request goes no further.
        let head = std::mem::replace(head, Request::new(()).into_parts().0);
        let set = Arc::clone(self);
        Verdict::Wait(Box::pin(async move {
            FoundOfSet {
                at: 0,
                so_far: SoFar::default(),
                found: Found::reply(set.end_sessions(&head).await),
            }
        }))
    }

    /// Looks for a session from this layer on.
    fn check_sessions(
        self: &Arc<Self>,
        from: usize,
        mut so_far: SoFar,
        head: &mut Parts,
    ) -> Verdict<Reply, Pending, FoundOfSet> {
        for (at, party) in self.parties.iter().enumerate().skip(from) {
            match party.check_session(head) {
                Ok(decided) => return so_far.with(at, decided),
                Err(absent) => so_far.add(absent),
            }
        }
        self.without_session(so_far, head)
    }

    fn without_session(
        &self,
        so_far: SoFar,
        head: &mut Parts,
    ) -> Verdict<Reply, Pending, FoundOfSet> {
        let SoFar { clear, absent } = so_far;
        let Some((party, absent)) = self.parties.first().zip(absent) else {
            return Verdict::Answer(Reply::empty(http::StatusCode::INTERNAL_SERVER_ERROR));
        };
        let so_far = SoFar {
            clear,
            absent: None,
        };
        so_far.with(0, party.anonymous(head, absent))
    }

    /// Ends the sessions that this browser has, at whichever provider.
    async fn end_sessions(&self, head: &Parts) -> Reply {
        let mut reply: Option<Reply> = None;
        for party in &self.parties {
            let cookie = sent(&head.headers, &party.cookies.session);
            // Without any session one of them says so.
            if cookie == CookieValue::Nothing && reply.is_some() {
                continue;
            }
            let next = party.sign_out.sign_out(head).await;
            reply = Some(match reply {
                None => next,
                Some(former) if prevails(&next, &former) => next.with_cookies_of(&former),
                Some(former) => former.with_cookies_of(&next),
            });
        }
        reply.unwrap_or_else(|| Reply::empty(http::StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// Whether this answer says more than the former: a session that could not be ended, then a provider's sign-out.
fn prevails(next: &Reply, former: &Reply) -> bool {
    let weight = |reply: &Reply| (reply.error().is_some(), reply.leads_away());
    weight(next) > weight(former)
}

/// What the layers that were asked said.
#[derive(Default)]
struct SoFar {
    clear: Vec<http::HeaderValue>,
    /// Why there is no session, in the word that says most.
    absent: Option<Absent>,
}

impl SoFar {
    fn add(&mut self, mut absent: Absent) {
        self.clear.extend(absent.take_cookie());
        let is_known = self.absent.as_ref().is_some_and(Absent::has_ended);
        if !is_known {
            self.absent = Some(absent);
        }
    }

    /// The decision of the layer in this place, with the cookies that others clear.
    fn with(self, at: usize, decided: Decided) -> Verdict<Reply, Pending, FoundOfSet> {
        match decided {
            Verdict::Pass(pending) => Verdict::Pass(pending.clearing(self.clear)),
            Verdict::Answer(reply) => Verdict::Answer(reply.with_cookies(self.clear)),
            Verdict::Wait(found) => Verdict::Wait(Box::pin(async move {
                FoundOfSet {
                    at,
                    so_far: self,
                    found: found.await,
                }
            })),
        }
    }
}

/// What a layer of the set found out while a request waited.
#[expect(
    unnameable_types,
    missing_debug_implementations,
    reason = "seals the gate's trait"
)]
pub struct FoundOfSet {
    at: usize,
    so_far: SoFar,
    found: Found,
}

/// The decision of [`LoginSet`].
#[derive(Clone)]
pub struct LoginSetGate<P> {
    set: Arc<Set>,
    pages: P,
}

impl<B: CanBeEmpty, P: OnPage<B> + Clone> Gate<B> for LoginSetGate<P> {
    type Answer = Reply;
    type Kept = Pending;
    type Found = FoundOfSet;

    fn check(&self, head: &mut Parts) -> Verdict<Reply, Pending, FoundOfSet> {
        self.set.check(head)
    }

    fn check_found(
        &self,
        found: FoundOfSet,
        head: &mut Parts,
    ) -> Verdict<Reply, Pending, FoundOfSet> {
        self.set.check_found(found, head)
    }

    fn answer(&self, reply: Reply) -> Response<B> {
        reply.into_response(&self.pages, &self.set.first().site.challenges)
    }

    fn finish(&self, kept: Pending, response: &mut Response<B>) {
        self.set.first().finish(&self.pages, kept, response);
    }
}

/// A service whose browsers are signed in at one of several providers. Made by [`LoginSet`].
#[derive(Debug, Clone)]
pub struct LoginOfSet<S, P = PlainPages>(Gated<S, LoginSetGate<P>>);

impl<S, P: Clone> Layer<S> for LoginSet<P> {
    type Service = LoginOfSet<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let gate = LoginSetGate {
            set: Arc::clone(&self.set),
            pages: self.pages.clone(),
        };
        LoginOfSet(Gated::new(inner, gate))
    }
}

impl<S, P, ReqBody, ResBody> Service<Request<ReqBody>> for LoginOfSet<S, P>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Body + Send + 'static,
    ReqBody::Data: Send,
    ReqBody::Error: Into<BoxError>,
    ResBody: CanBeEmpty,
    P: OnPage<ResBody> + Clone,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, LoginSetGate<P>, ReqBody, ResBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let gate = self.0.gate();
        let mut parties = gate.set.parties.iter();
        let taken = parties.find_map(|party| Some((party, party.takes_form(&request)?)));
        let Some((party, own)) = taken else {
            return self.0.call(request);
        };
        let answer = Arc::clone(party).take_form(own, request);
        ResponseFuture::answering(gate.clone(), Box::pin(answer))
    }
}

impl<P> fmt::Debug for LoginSet<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginSet")
            .field("layers", &self.layers)
            .finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for LoginSetGate<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginSetGate")
            .field("origin", &self.set.first().site.origin)
            .finish_non_exhaustive()
    }
}
