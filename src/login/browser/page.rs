//! What a browser reads when there is something to be told: a plain page under a policy that lets
//! nothing run, or a problem document for programs.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde_json::json;

use crate::error::{LoginError, LoginErrorKind as Kind};

/// Something a browser or program is told.
#[derive(Debug, Clone)]
pub struct Page {
    error: LoginError,
    is_html: bool,
    sign_in: Option<String>,
}

/// Chooses what is read when a sign-in fails or a session is over.
///
/// Implemented by [`PlainPages`], the default, and by every `Fn(&Page) -> Response<B> + Clone`. The
/// status and the fields that the standards fix are set afterwards and cannot be changed by it.
pub trait OnPage<B> {
    /// A response whose body, and whose headers but those of the standards, are sent.
    fn response(&self, page: &Page) -> Response<B>;
}

/// Plain words: a page without scripts for browsers, `application/problem+json` (RFC 9457) for
/// programs.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct PlainPages;

impl Page {
    pub(crate) fn new(error: LoginError, is_html: bool, sign_in: Option<String>) -> Self {
        Self {
            sign_in: sign_in.filter(|_| error.kind().can_sign_in_again()),
            error,
            is_html,
        }
    }

    /// What is told.
    #[must_use]
    pub fn error(&self) -> &LoginError {
        &self.error
    }

    /// Whether a person reads it.
    #[must_use]
    pub fn is_html(&self) -> bool {
        self.is_html
    }

    /// The local address that signs in again, where that may help.
    #[must_use]
    pub fn sign_in(&self) -> Option<&str> {
        self.sign_in.as_deref()
    }

    /// What it is about, in a few words.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self.error.kind() {
            Kind::NotSignedIn => "Please sign in",
            Kind::SessionEnded => "Your session is over",
            Kind::Denied => "Sign-in was declined",
            Kind::CrossOrigin => "This request was not let through",
            Kind::ProviderUnavailable | Kind::StoreUnavailable | Kind::TooManySignIns => {
                "Not available at the moment"
            }
            Kind::SignInLoop => "Signing in does not help",
            Kind::UnusableToken | Kind::NoRefreshToken | Kind::Misconfigured | Kind::Misplaced => {
                "This service is not set up correctly"
            }
            _ => "Sign-in did not work",
        }
    }

    /// What happened, in a sentence or two: the kind of token that came, where one did.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = capital(&self.error.to_string());
        if let Some(error) = self.error.verify_error() {
            let _ = write!(text, ": {error}");
        }
        text.push('.');
        text
    }

    /// What can be done about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        format!("{}.", capital(self.error.remedy()))
    }

    fn html(&self) -> String {
        let mut page = format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{}</title>\
             <style>{STYLE}</style></head><body><main><h1>{}</h1><p>{}</p><p>{}</p>",
            escape(self.title()),
            escape(self.title()),
            escape(&self.text()),
            escape(&self.remedy()),
        );
        if let Some(sign_in) = &self.sign_in {
            let _ = write!(page, "<p><a href=\"{}\">Sign in</a></p>", escape(sign_in));
        }
        let _ = write!(
            page,
            "<p><small>{} · {}</small></p></main></body></html>",
            self.error.kind().status().as_u16(),
            self.error.kind().as_str()
        );
        page
    }

    fn problem(&self) -> String {
        let mut problem = json!({
            "title": self.title(),
            "status": self.error.kind().status().as_u16(),
            "detail": self.text(),
            "remedy": self.remedy(),
            "kind": self.error.kind().as_str(),
        });
        if self.error.kind() == Kind::LogoutTokenRefused {
            // OpenID Connect Back-Channel Logout §2.8.
            problem["error"] = json!("invalid_request");
        }
        if let Some(sign_in) = &self.sign_in {
            problem["sign_in"] = json!(sign_in);
        }
        problem.to_string()
    }
}

const STYLE: &str = "body{margin:0;min-height:100vh;display:grid;place-items:center;\
    background:#f4f5f7;color:#1c2430;font:1rem/1.6 system-ui,sans-serif}\
    main{max-width:34rem;margin:1rem;padding:2rem;background:#fff;border-radius:.75rem;\
    box-shadow:0 1px 3px #0002}h1{margin:0 0 .5rem;font-size:1.4rem}\
    a{display:inline-block;padding:.6rem 1.2rem;border-radius:.4rem;background:#1f5fd0;color:#fff;\
    text-decoration:none}small{color:#5b6675}";

/// Nothing may be loaded, run, framed or sent anywhere; the one style is known by its hash.
fn policy() -> HeaderValue {
    let hash = STANDARD.encode(crate::secret::sha256(STYLE));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    ))
    .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

impl<B: From<String>> OnPage<B> for PlainPages {
    fn response(&self, page: &Page) -> Response<B> {
        let (content_type, body) = if page.is_html {
            ("text/html; charset=utf-8", page.html())
        } else {
            ("application/problem+json", page.problem())
        };
        let mut response = Response::new(B::from(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if page.is_html {
            headers.insert(CONTENT_SECURITY_POLICY, policy());
        }
        response
    }
}

impl<F, B> OnPage<B> for F
where
    F: Fn(&Page) -> Response<B>,
{
    fn response(&self, page: &Page) -> Response<B> {
        self(page)
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Text for HTML, attributes included.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
