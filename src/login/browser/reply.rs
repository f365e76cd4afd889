//! An answer of ours, before it is a response.

use std::time::Duration;

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use url::form_urlencoded;

use crate::error::{Chain, LoginError, LoginErrorKind as Kind, ProviderError, ProviderErrorKind};
use crate::gate::challenge::Challenges;
use crate::gate::empty::CanBeEmpty;
use crate::gate::private::set_private;
use crate::gate::route::Route;
use crate::gate::same_origin::PROVE_ORIGIN;
use crate::login::browser::page::{OnPage, Page};
use crate::login::browser::return_path::ReturnPath;
use crate::login::browser::site::{Site, is_navigation, wants_html};

/// The longest query of a redirect to the sign-in. Percent-encoding makes a path up to three times as long, and
/// nginx by default takes 4 KiB for the head of an answer.
const LONGEST_QUERY: usize = 3 * 1024;

/// What the layer answers itself.
#[expect(unnameable_types, reason = "seals the gate's trait")]
#[derive(Debug)]
pub struct Reply {
    content: Content,
    location: Option<HeaderValue>,
    cookies: Vec<HeaderValue>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
enum Content {
    Empty(StatusCode),
    Page(Box<Page>),
    Json(String),
}

impl Reply {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            content: Content::Empty(status),
            location: None,
            cookies: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn page(page: Page) -> Self {
        let mut reply = Self::empty(page.error().kind().status());
        if let Some(after) = page.error().retry_after() {
            reply = reply.with_retry_after(after);
        }
        reply.content = Content::Page(Box::new(page));
        reply
    }

    /// A JSON document for a script.
    pub(crate) fn json(document: &serde_json::Value) -> Self {
        let mut reply = Self::empty(StatusCode::OK);
        reply.content = Content::Json(document.to_string());
        reply
    }

    /// Sends the browser on by GET, whatever it came with (RFC 9110 §15.4.4).
    pub(crate) fn see_other(location: &str) -> Self {
        let mut reply = Self::empty(StatusCode::SEE_OTHER);
        // Every address is a parsed URL or a checked path; this is never used.
        reply.location =
            Some(HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static("/")));
        reply
    }

    /// The same address in an answer that `fetch` does not follow: a script cannot read a page of the provider.
    #[must_use]
    pub(crate) fn not_followed(mut self) -> Self {
        if let Content::Empty(status @ StatusCode::SEE_OTHER) = &mut self.content {
            *status = StatusCode::NO_CONTENT;
        }
        self
    }

    #[must_use]
    pub(crate) fn with_cookie(mut self, cookie: HeaderValue) -> Self {
        self.cookies.push(cookie);
        self
    }

    #[must_use]
    pub(crate) fn with_cookies(mut self, cookies: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    #[must_use]
    pub(crate) fn allowing(self, methods: &'static str) -> Self {
        self.with_header(ALLOW, HeaderValue::from_static(methods))
    }

    /// Lets pages of this origin, and none else, show the answer in a frame.
    #[must_use]
    pub(crate) fn framed_by(self, origin: &str) -> Self {
        let policy = format!("default-src 'none'; frame-ancestors {origin}");
        match HeaderValue::try_from(policy) {
            Ok(policy) => self.with_header(CONTENT_SECURITY_POLICY, policy),
            Err(_) => self,
        }
    }

    fn with_retry_after(self, after: Duration) -> Self {
        // Whole seconds, and never "at once".
        let seconds = after.as_secs().max(1);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The cookies of another answer beside its own.
    #[must_use]
    pub(crate) fn with_cookies_of(mut self, other: &Self) -> Self {
        self.cookies.extend_from_slice(&other.cookies);
        self
    }

    /// Whether it sends the browser to another site.
    pub(crate) fn leads_away(&self) -> bool {
        let location = self.location.as_ref().map(HeaderValue::as_bytes);
        location.is_some_and(|location| !location.starts_with(b"/"))
    }

    pub(crate) fn error(&self) -> Option<&LoginError> {
        match &self.content {
            Content::Page(page) => Some(page.error()),
            Content::Empty(_) | Content::Json(_) => None,
        }
    }

    /// The response. All that the standards fix is set last.
    pub(crate) fn into_response<B: CanBeEmpty>(
        self,
        pages: &impl OnPage<B>,
        challenges: &Challenges,
    ) -> Response<B> {
        let (status, mut response) = match &self.content {
            Content::Empty(status) => (*status, Response::new(B::default())),
            Content::Page(page) => (page.error().kind().status(), pages.response(page)),
            Content::Json(document) => document_response(pages, document),
        };
        let error = self.error().cloned();
        *response.status_mut() = status;
        let headers = response.headers_mut();
        set_private(headers, HeaderValue::from_static("Cookie"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if status == StatusCode::UNAUTHORIZED
            && let Some(challenge) = challenges.no_token.get(WWW_AUTHENTICATE)
        {
            // RFC 9110 §11.6.1 wants one.
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        if let Some(location) = self.location {
            headers.insert(LOCATION, location);
        }
        for cookie in self.cookies {
            headers.append(SET_COOKIE, cookie);
        }
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        if let Some(error) = error {
            response.extensions_mut().insert(error);
        }
        response
    }
}

fn document_response<B: CanBeEmpty>(
    pages: &impl OnPage<B>,
    document: &str,
) -> (StatusCode, Response<B>) {
    if let Some(response) = pages.json(document) {
        return (StatusCode::OK, response);
    }
    tracing::error!(
        "the pages of this application cannot hold JSON: implement OnPage::json for a type of your own, in place \
         of the closure"
    );
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    (status, Response::new(B::default()))
}

impl Site {
    /// An answer that says what went wrong, with a way to sign in and come back where that may help.
    pub(crate) fn tell(&self, parts: &Parts, error: LoginError, back_to: &ReturnPath) -> Reply {
        self.tell_log(parts, &error);
        self.page(parts, error, back_to)
    }

    /// Loud where a setting must change; what strangers can cause is told now and then, or at `debug`.
    fn tell_log(&self, parts: &Parts, error: &LoginError) {
        let (kind, remedy, route) = (error.kind().as_str(), error.remedy(), Route(parts));
        let error_chain = Chain(error);
        match error.kind() {
            Kind::UnusableToken
            | Kind::TokenRefused
            | Kind::NoRefreshToken
            | Kind::Misconfigured
            | Kind::Misplaced
            | Kind::BasePathKept
            | Kind::IdTokenRefused
            | Kind::UserInfoRefused => {
                tracing::warn!(kind, error = %error_chain, remedy, "a sign-in or session failed");
            }
            Kind::ProviderUnavailable | Kind::StoreUnavailable => {
                tracing::warn!(kind, error = %error_chain, "a sign-in or session has to wait");
            }
            Kind::CrossOrigin if self.same_origin.tell_if_due(parts, &PROVE_ORIGIN) => {}
            _ => {
                tracing::debug!(kind, error = %error_chain, remedy, %route, "a browser was refused");
            }
        }
    }

    /// The same, without a word in the log.
    pub(crate) fn page(&self, parts: &Parts, error: LoginError, back_to: &ReturnPath) -> Reply {
        let is_html = is_navigation(parts) || wants_html(&parts.headers);
        Reply::page(self.new_page(parts, error, back_to, is_html))
    }

    /// The same for a program, whatever it accepts.
    pub(crate) fn document(&self, parts: &Parts, error: LoginError) -> Reply {
        Reply::page(self.new_page(parts, error, &self.home(), false))
    }

    fn new_page(
        &self,
        parts: &Parts,
        error: LoginError,
        back_to: &ReturnPath,
        is_html: bool,
    ) -> Page {
        let wording = self.languages.wording(&parts.headers, error.kind());
        let sign_in = self.sign_in_path(back_to);
        Page::new(error, is_html, Some(sign_in))
            .for_operators(self.is_loopback)
            .worded(wording)
    }

    /// The local address where a browser signs in and comes back here: of the provider, or of the page where
    /// people choose.
    pub(crate) fn sign_in_path(&self, back_to: &ReturnPath) -> String {
        with_return_path(&self.sign_in_page(), back_to)
    }
}

/// An address of this site with a path to return to.
pub(crate) fn with_return_path(address: &str, back_to: &ReturnPath) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", back_to.as_str());
    let query = query.finish();
    match back_to.shortened() {
        Some(shorter) if query.len() > LONGEST_QUERY => with_return_path(address, &shorter),
        _ => format!("{address}?{query}"),
    }
}

pub(crate) fn provider_failed(error: ProviderError) -> LoginError {
    let kind = match error.kind() {
        ProviderErrorKind::InvalidAnswer => Kind::TokenRefused,
        kind if kind.is_configuration() => Kind::Misconfigured,
        _ => Kind::ProviderUnavailable,
    };
    LoginError::provider(kind, error)
}

pub(crate) fn no_randomness(_: crate::secret::NoRandomness) -> LoginError {
    Kind::StoreUnavailable.into()
}
