//! Silent sign-ins: whether a visitor is signed in at the provider, asked without a page
//! ([OpenID Connect Core §3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest), `prompt=none`).
//! Whatever comes of it, the visitor is back at the page, and is not asked about again for a while.

use std::time::Duration;

use http::HeaderValue;
use http::request::Parts;

use crate::login::browser::cookie::{CookieNames, CookieValue, sent};
use crate::login::browser::query::single;
use crate::login::browser::reply::{Reply, with_return_path};
use crate::login::browser::return_path::ReturnPath;
use crate::login::sign_in::SignIn;

/// The parameter of the start path that asks silently.
const SILENT: &str = "silent";

/// For how long a visitor is not asked about again.
const PAUSE: Duration = Duration::from_secs(300);

impl SignIn {
    /// Whether this request for the start path asks silently.
    pub(super) fn is_silent(&self, parts: &Parts) -> bool {
        self.request.silent && single(parts, SILENT).is_some()
    }

    /// Sends a visitor without a session to be asked about, unless that was done a while ago. Only a browser that
    /// says so is navigating: programs that read pages without cookies would not come back.
    pub(crate) fn ask_silently(&self, parts: &Parts, here: &ReturnPath) -> Option<Reply> {
        let is_browser = parts.headers.contains_key("sec-fetch-mode");
        if !self.request.silent || !is_browser || self.was_asked(parts) {
            return None;
        }
        let address = with_return_path(&self.site.public.start, here);
        Some(Reply::see_other(&format!("{address}&{SILENT}=true")))
    }

    /// Sends the browser to the provider, or back where the answer is known.
    pub(super) async fn start_silently(&self, parts: &Parts, return_path: &ReturnPath) -> Reply {
        if self.was_asked(parts) || self.is_signed_in(parts).await {
            return Reply::see_other(return_path.as_str());
        }
        match self.try_start(parts, return_path, None, true).await {
            Ok(reply) => reply,
            Err(error) => {
                // For the log alone.
                self.site.tell(parts, error, return_path);
                self.back_anonymous(return_path)
            }
        }
    }

    /// Back to the page, without a session.
    pub(super) fn back_anonymous(&self, return_path: &ReturnPath) -> Reply {
        Reply::see_other(return_path.as_str()).with_cookie(was_asked(&self.cookies))
    }

    fn was_asked(&self, parts: &Parts) -> bool {
        sent(&parts.headers, &self.cookies.silent) != CookieValue::Nothing
    }
}

/// The field by which a browser remembers that its visitor was asked about. It needs no
/// seal: a forged one only keeps a visitor from being asked about.
pub(crate) fn was_asked(cookies: &CookieNames) -> HeaderValue {
    cookies.set(&cookies.silent, "1", PAUSE)
}
