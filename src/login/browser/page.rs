//! What a browser reads when there is something to be told: a plain page under a policy that lets
//! nothing run, or a problem document for programs.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde_json::json;

use crate::error::{Chain, LoginError, LoginErrorKind as Kind};
use crate::login::browser::language::{ENGLISH, Wording};

/// Something a browser or program is told.
#[derive(Debug, Clone)]
pub struct Page {
    error: LoginError,
    is_html: bool,
    sign_in: Option<String>,
    for_operators: bool,
    /// The words of the application. `None` for ours.
    wording: Option<Wording>,
}

/// Chooses what is read when a sign-in fails or a session is over.
///
/// Implemented by [`PlainPages`], the default, and by every `Fn(&Page) -> Response<B> + Clone`. The
/// status and the fields that the standards fix are set afterwards and cannot be changed by it.
///
/// ```
/// use http::Response;
/// use tower_oidc::LoginLayer;
/// use tower_oidc::login::Page;
///
/// /// The layer with pages of the application.
/// fn with_pages(login: LoginLayer) -> LoginLayer<impl Fn(&Page) -> Response<String> + Clone> {
///     login.on_page(|page: &Page| Response::new(format!("<h1>{}</h1>{}", page.title(), page.text())))
/// }
/// ```
#[doc(alias = "error page")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make the pages of a service whose response body is `{B}`",
    note = "the default, `PlainPages`, needs `{B}: From<String>`",
    note = "for another body, hand a closure `Fn(&Page) -> Response<{B}> + Clone` to `LoginLayer::on_page`"
)]
pub trait OnPage<B> {
    /// A response whose body, and whose headers but those of the standards, are sent.
    fn response(&self, page: &Page) -> Response<B>;

    /// A response whose body is this JSON document, for
    /// [session information](crate::login::LoginBuilder::with_session_information). Default: `None`, and with it a
    /// closure, since it can make a body of a [`Page`] only; the answer is then 500.
    ///
    /// ```
    /// use http::Response;
    /// use tower_oidc::login::{OnPage, Page, PlainPages};
    ///
    /// // Handed to `LoginLayer::with_pages`.
    /// #[derive(Clone)]
    /// struct MyPages;
    ///
    /// impl OnPage<String> for MyPages {
    ///     fn response(&self, page: &Page) -> Response<String> {
    ///         Response::new(format!("{}: {}", page.title(), page.text()))
    ///     }
    ///
    ///     fn json(&self, document: &str) -> Option<Response<String>> {
    ///         PlainPages::default().json(document)
    ///     }
    /// }
    /// ```
    fn json(&self, document: &str) -> Option<Response<B>> {
        let _ = document;
        None
    }
}

/// Plain words and the code of the error: a page without scripts for browsers, `application/problem+json`
/// (RFC 9457) for programs. The cause and the settings are in the log. Where the address of the site is a loopback
/// address, they are on the page too.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct PlainPages;

impl Page {
    pub(crate) fn new(error: LoginError, is_html: bool, sign_in: Option<String>) -> Self {
        Self {
            sign_in: sign_in.filter(|_| error.kind().can_sign_in_again()),
            error,
            is_html,
            for_operators: false,
            wording: None,
        }
    }

    /// Shows what operators read in the log too.
    pub(crate) fn for_operators(mut self, shows: bool) -> Self {
        self.for_operators = shows;
        self
    }

    /// The same in the words of the application, if it has some.
    pub(crate) fn worded(mut self, wording: Option<Wording>) -> Self {
        self.wording = wording;
        self
    }

    /// The error, with its cause and a remedy for operators. Do not show these to visitors.
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

    /// The language of its texts: `en` unless the application
    /// [has others](crate::login::LoginBuilder::add_language).
    #[must_use]
    pub fn language(&self) -> &str {
        self.wording
            .as_ref()
            .map_or(ENGLISH, |wording| &wording.language)
    }

    /// The label of the link that signs in.
    #[must_use]
    pub fn sign_in_label(&self) -> &str {
        self.wording
            .as_ref()
            .map_or("Sign in", |wording| &wording.text.sign_in)
    }

    /// What it is about, in a few words.
    #[must_use]
    pub fn title(&self) -> &str {
        if let Some(wording) = &self.wording {
            return &wording.text.title;
        }
        match self.error.kind() {
            Kind::NotSignedIn | Kind::InteractionRequired => "Please sign in",
            Kind::SessionEnded => "Your session is over",
            Kind::Denied => "Sign-in was declined",
            Kind::SignInRefused => "You may not sign in here",
            Kind::CrossOrigin => "This request was not let through",
            Kind::ProviderUnavailable
            | Kind::StoreUnavailable
            | Kind::SignInUndecided
            | Kind::SiteUnavailable
            | Kind::TooManySignIns => "Not available at the moment",
            Kind::UnknownHost => "No site is at this address",
            Kind::SignInLoop => "Signing in does not help",
            Kind::UnusableToken
            | Kind::NoRefreshToken
            | Kind::Misconfigured
            | Kind::Misplaced
            | Kind::BasePathKept => "This service is not set up correctly",
            _ => "Sign-in did not work",
        }
    }

    /// What happened, in words for a visitor: those of the application where it
    /// [refused](crate::login::SignInRefusal) a sign-in. It is plain text, to be escaped in HTML.
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(text) = self.error.told_by_application() {
            return text.to_owned();
        }
        if let Some(wording) = &self.wording {
            return wording.text.text.clone();
        }
        format!("{}.", capital(self.error.told()))
    }

    /// What a visitor can do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        if let Some(wording) = &self.wording {
            return wording.text.remedy.clone();
        }
        format!("{}.", capital(self.error.advice()))
    }

    /// The cause, and what an operator can do about it, with the names of settings. `None` unless the configured
    /// address of the site is a loopback address, where every visitor is its developer.
    #[must_use]
    pub fn operator_text(&self) -> Option<String> {
        self.for_operators.then(|| {
            let cause = capital(&Chain(&self.error).to_string());
            format!("{cause}. {}.", capital(self.error.remedy()))
        })
    }

    fn html(&self) -> String {
        let mut page = format!(
            "<!DOCTYPE html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{}</title>\
             <style>{STYLE}</style></head><body><main dir=\"auto\"><h1>{}</h1><p>{}</p><p>{}</p>",
            escape(self.language()),
            escape(self.title()),
            escape(self.title()),
            escape(&self.text()),
            escape(&self.remedy()),
        );
        if let Some(sign_in) = &self.sign_in {
            let _ = write!(
                page,
                "<p><a href=\"{}\">{}</a></p>",
                escape(sign_in),
                escape(self.sign_in_label())
            );
        }
        let _ = write!(
            page,
            "<p><small>Code: {} ({})</small></p>",
            self.error.kind().as_str(),
            self.error.kind().status().as_u16(),
        );
        if let Some(text) = self.operator_text() {
            let _ = write!(
                page,
                "<hr><div lang=\"en\" dir=\"ltr\"><p><strong>For the developer of this site</strong></p><p>{}</p><p><small>Shown \
                 because the address of this site is on this machine. Other sites write it to their log \
                 only.</small></p></div>",
                escape(&text)
            );
        }
        page.push_str("</main></body></html>");
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
        if let Some(text) = self.operator_text() {
            problem["operator"] = json!(text);
        }
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

const STYLE: &str = ":root{color-scheme:light dark}\
    body{margin:0;min-height:100vh;display:grid;place-items:center;\
    background:#eef1f6;color:#1c2430;font:1rem/1.6 system-ui,sans-serif}\
    main{box-sizing:border-box;width:min(36rem,calc(100vw - 2rem));margin:1rem;padding:min(2rem,6vw);\
    background:#fff;border-radius:.75rem;box-shadow:0 1px 3px #0002;overflow-wrap:break-word}\
    h1{margin:0 0 .5rem;font-size:1.4rem;line-height:1.25}\
    a{display:inline-block;padding:.6rem 1.2rem;border-radius:.4rem;background:#1f5fd0;color:#fff;\
    text-decoration:none}small{color:#5b6675}hr{border:0;border-top:1px solid #8884;margin:1.5rem 0}\
    @media(prefers-color-scheme:dark){body{background:#14181f;color:#e8ebf0}main{background:#20262f}\
    a{background:#2f6fe0}small{color:#a3adba}}";

/// Nothing may be loaded, run, framed or sent anywhere; the one style is known by its hash.
fn policy() -> HeaderValue {
    let hash = STANDARD.encode(crate::secret::sha256(STYLE));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    ))
    .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

#[diagnostic::do_not_recommend]
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
        if let Ok(language) = HeaderValue::from_str(page.language()) {
            headers.insert(CONTENT_LANGUAGE, language);
        }
        if page.is_html {
            headers.insert(CONTENT_SECURITY_POLICY, policy());
        }
        response
    }

    fn json(&self, document: &str) -> Option<Response<B>> {
        let mut response = Response::new(B::from(document.to_owned()));
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Some(response)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ProviderError, ProviderErrorKind};

    /// A name such as `OPENID_ISSUER`.
    fn names_a_setting(text: &str) -> bool {
        text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
            .any(|word| word.contains('_') && word.chars().any(|each| each.is_ascii_uppercase()))
    }

    #[test]
    fn visitors_read_plain_words_and_a_code_and_operators_the_setting() {
        let cause = ProviderErrorKind::IssuerMismatch;
        let told = "set the issuer (OPENID_ISSUER) as the provider names it";
        let caused = |kind| LoginError::provider(kind, ProviderError::new(cause, told));
        for &kind in Kind::ALL {
            for (error, is_html) in [
                (kind.into(), true),
                (kind.into(), false),
                (caused(kind), true),
                (caused(kind), false),
            ] {
                let code = kind.as_str();
                let page = Page::new(error, is_html, Some("/login".to_owned()));
                let shown = |page: &Page| {
                    let response: Response<String> = PlainPages.response(page);
                    response.into_body()
                };
                let visitors = shown(&page);
                assert!(!names_a_setting(&visitors), "{visitors}");
                assert!(visitors.contains(code), "{visitors}");
                assert!(!names_a_setting(&format!(
                    "{}{}{}",
                    page.title(),
                    page.text(),
                    page.remedy()
                )));
                assert_eq!(page.operator_text(), None);

                let page = page.for_operators(true);
                let (operators, text) = (shown(&page), page.operator_text().unwrap());
                assert!(text.contains(&capital(page.error().remedy())), "{text}");
                assert!(operators.contains(code), "{operators}");
                let has_cause = std::error::Error::source(page.error()).is_some();
                assert_eq!(
                    operators.contains("OPENID_ISSUER"),
                    text.contains("OPENID_ISSUER")
                );
                assert!(
                    !has_cause || operators.contains("OPENID_ISSUER"),
                    "{operators}"
                );
            }
        }
    }
}
