//! A browser without a window: it sends requests through a service, and keeps cookies.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;

use cookie::Cookie;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, request};
use http_body::Body;
use http_body_util::BodyExt;
use tower_service::Service;
use url::{Url, form_urlencoded};

use crate::clock::{Clock as _, SystemClock};
use crate::error::LoginError;
use crate::testing::form::Parameters;
use crate::testing::sign_in::{self, Answer};
use crate::testing::state::State;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a browser does for the tests of a site: it sends requests through a service, such as an axum `Router`,
/// without a socket. It keeps the cookies that it is given, and says of each request what browsers say (`Sec-Fetch-*`,
/// `Origin`), so that a form which it posts has the same-origin proof that a session needs. It follows no redirects,
/// and does not heed the attributes of cookies, except that it drops those that have expired.
///
/// [`DevelopmentProvider::sign_in`](super::DevelopmentProvider::sign_in) makes one that is signed in.
///
/// The service takes a `Request<String>`, as a `Router` and the layers of this crate around one do. Where it wants
/// another body, [`prepare`](Self::prepare) and [`keep_cookies`](Self::keep_cookies) are the two halves of a request.
#[derive(Clone, Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
    /// Any URL of the site, once it is known.
    site: Option<Url>,
}

impl Browser {
    /// A browser without cookies.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Visits a page, as a person does who types its address.
    ///
    /// # Panics
    /// If the service fails, which a `Router` never does, or the path is none.
    pub async fn get<S, R>(&mut self, app: &mut S, path: &str) -> Response<String>
    where
        S: Service<Request<String>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body,
        R::Error: Into<BoxError>,
    {
        let visit = navigation(Method::GET, path, "none");
        self.send(app, built(visit, String::new())).await
    }

    /// Posts a form of a page of the site.
    ///
    /// # Panics
    /// If the service fails, which a `Router` never does, or the path is none.
    pub async fn post_form<S, R>(
        &mut self,
        app: &mut S,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Response<String>
    where
        S: Service<Request<String>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body,
        R::Error: Into<BoxError>,
    {
        let post = navigation(Method::POST, path, "same-origin");
        self.send(app, form(post, fields)).await
    }

    /// Sends a request as a script of the site does. With a `Sec-Fetch-Site` or an `Origin` of its own it is one of
    /// another site.
    ///
    /// # Panics
    /// If the service fails, which a `Router` never does.
    pub async fn send<S, R>(&mut self, app: &mut S, request: Request<String>) -> Response<String>
    where
        S: Service<Request<String>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body,
        R::Error: Into<BoxError>,
    {
        let about = format!("{} {}", request.method(), request.uri().path());
        let fail = |error: BoxError| -> ! { panic!("{about}: the service failed: {error}") };
        let request = self.prepare(request);
        if let Err(error) = poll_fn(|context| app.poll_ready(context)).await {
            fail(error.into());
        }
        let (head, body) = match app.call(request).await {
            Ok(answer) => answer.into_parts(),
            Err(error) => fail(error.into()),
        };
        self.keep_cookies(&head.headers);
        match body.collect().await {
            Ok(body) => {
                let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
                Response::from_parts(head, text)
            }
            Err(error) => fail(error.into()),
        }
    }

    /// The same request with the cookies, and what browsers add to it. Of that nothing is changed which is there.
    #[must_use]
    pub fn prepare<B>(&self, mut request: Request<B>) -> Request<B> {
        let is_safe = request.method().is_safe();
        let own_origin = self
            .site
            .as_ref()
            .map(|site| site.origin().ascii_serialization());
        let headers = request.headers_mut();
        let is_foreign = headers
            .get(ORIGIN)
            .is_some_and(|origin| own_origin.as_ref().is_none_or(|own| origin != own.as_str()));
        let mut add = |name: &'static str, text: &str| {
            if !headers.contains_key(name)
                && let Ok(value) = HeaderValue::from_str(text)
            {
                headers.insert(name, value);
            }
        };
        let site = if is_foreign {
            "cross-site"
        } else {
            "same-origin"
        };
        add("sec-fetch-site", site);
        add("sec-fetch-mode", "cors");
        add("sec-fetch-dest", "empty");
        add(ACCEPT.as_str(), "*/*");
        if !self.cookies.is_empty() {
            let pairs = self
                .cookies()
                .map(|(name, value)| format!("{name}={value}"));
            add(COOKIE.as_str(), &pairs.collect::<Vec<_>>().join("; "));
        }
        if let (Some(site), Some(origin)) = (&self.site, own_origin) {
            add(HOST.as_str(), site.authority());
            let is_own = headers["sec-fetch-site"] == "same-origin";
            if is_own && !is_safe && !headers.contains_key(ORIGIN) {
                headers.extend(HeaderValue::try_from(origin).map(|value| (ORIGIN, value)));
            }
        }
        request
    }

    /// Keeps the cookies that an answer sets, and drops those that it ends.
    pub fn keep_cookies(&mut self, answer: &HeaderMap) {
        let now = SystemClock::new().now().as_seconds();
        for field in answer.get_all(SET_COOKIE) {
            let Some(cookie) = field
                .to_str()
                .ok()
                .and_then(|text| Cookie::parse(text).ok())
            else {
                continue;
            };
            let has_ended = match (cookie.max_age(), cookie.expires_datetime()) {
                (Some(age), _) => !age.is_positive(),
                (None, Some(end)) => end.unix_timestamp() <= now,
                (None, None) => false,
            };
            if has_ended {
                self.cookies.remove(cookie.name());
            } else {
                self.set_cookie(cookie.name(), cookie.value());
            }
        }
    }

    /// The cookies, by name and value.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let cookies = self.cookies.iter();
        cookies.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a cookie.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Drops a cookie.
    pub fn remove_cookie(&mut self, name: &str) {
        self.cookies.remove(name);
    }
}

/// Signs in by the start path of a site.
pub(super) async fn sign_in<S, R>(state: &State, browser: &mut Browser, app: &mut S, start: &str)
where
    S: Service<Request<String>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    let answer = browser.get(app, start).await;
    let location = answer.headers().get(LOCATION);
    let location = location.and_then(|url| Url::parse(url.to_str().ok()?).ok());
    let Some(authorization) = location.filter(|_| answer.status().is_redirection()) else {
        panic!(
            "{start} sends no browser to the provider, as the start of a sign-in does: {}",
            told(&answer)
        );
    };
    let (callback, is_posted) = match visit(state, &authorization) {
        Ok(answer) => answer,
        Err(problem) => panic!("the provider does not answer {authorization}: {problem}"),
    };
    let path = callback.path();
    let back = if is_posted {
        let fields: Parameters = callback.query_pairs().into_owned().collect();
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let post = navigation(Method::POST, path, "cross-site");
        form(post.header(ORIGIN, &state.address), &fields)
    } else {
        let query = callback.query().unwrap_or_default();
        let visit = navigation(Method::GET, &format!("{path}?{query}"), "cross-site");
        built(visit, String::new())
    };
    browser.site = Some(callback.clone());
    let answer = browser.send(app, back).await;
    let has_failed = answer.extensions().get::<LoginError>().is_some();
    assert!(
        answer.status().is_redirection() && !has_failed,
        "the sign-in failed at {path}: {}",
        told(&answer)
    );
}

/// The callback that the provider sends the browser to, and whether by a form that is posted.
fn visit(state: &State, authorization: &Url) -> Result<(Url, bool), String> {
    let mut query: Parameters = authorization.query_pairs().into_owned().collect();
    if state.changing().user.is_none() {
        query.push(("development_user".to_owned(), "user-1".to_owned()));
    }
    match sign_in::answer(state, query)? {
        Answer::Back(url) => {
            let url = Url::parse(&url).map_err(|error| format!("{url}: {error}"))?;
            Ok((url, false))
        }
        Answer::Posted(url) => Ok((url, true)),
        Answer::AskWho(_) => Err("it asks who signs in; choose by set_user".to_owned()),
    }
}

fn navigation(method: Method, path: &str, site: &str) -> request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
        .header("sec-fetch-site", site)
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .header("sec-fetch-user", "?1")
}

fn form(post: request::Builder, fields: &[(&str, &str)]) -> Request<String> {
    let content = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let post = post.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    built(post, content)
}

fn built(request: request::Builder, body: String) -> Request<String> {
    request
        .body(body)
        .unwrap_or_else(|error| panic!("the browser cannot ask for this: {error}"))
}

/// An answer in few words.
fn told(answer: &Response<String>) -> String {
    const MOST_SHOWN: usize = 500;
    let status = answer.status();
    if let Some(error) = answer.extensions().get::<LoginError>() {
        let cause = error.verify_error().map(|error| format!(": {error}"));
        let cause = cause.unwrap_or_default();
        return format!("{status}: {error}{cause}; {}", error.remedy());
    }
    let body: String = answer.body().chars().take(MOST_SHOWN).collect();
    format!("{status}: {body}")
}

impl fmt::Debug for Browser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.cookies.keys().collect();
        formatter
            .debug_struct("Browser")
            .field("cookies", &names)
            .finish_non_exhaustive()
    }
}
