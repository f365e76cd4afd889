//! What browsers and the provider see of a site: addresses, cookies, and the proxy in front.

use std::collections::HashSet;

use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::claims::is_loopback;
use crate::doctor::finding::Finding;
use crate::doctor::subject::Subject;
use crate::error::Chain;
use crate::login::LoginLayer;
use crate::settings::{
    DOMAIN_SERVER, OPENID_CLIENT_SECRET, OPENID_POST_LOGOUT_REDIRECT_URI, OPENID_SESSION_SECRET,
};

/// Fewer different characters are a pattern, and not chance.
const FEWEST_CHARACTERS: usize = 10;

/// What can be told from the settings alone.
pub(super) fn settings(subject: &Subject<'_>, login: &LoginLayer) -> Vec<Finding> {
    let callback = login.redirect_uri();
    let mut found = vec![
        Finding::note(
            "callback_address",
            format!("register {callback} as the redirect URI of the client at the provider"),
        ),
        secrets(subject),
        address(&callback, login),
    ];
    if !subject.pairs.has_secret() {
        found.push(
            Finding::note(
                "public_client",
                "the client has no secret, so that anyone can pose as it at the token endpoint",
            )
            .at(OPENID_CLIENT_SECRET)
            .cured_by("register it as confidential, and set OPENID_CLIENT_SECRET"),
        );
    }
    let own = Url::parse(&callback).ok();
    let end = subject
        .pairs
        .text(OPENID_POST_LOGOUT_REDIRECT_URI)
        .and_then(|text| Url::parse(text).ok());
    if let (Some(own), Some(end)) = (&own, end)
        && own.origin() != end.origin()
    {
        found.push(
            Finding::note(
                "signed_out_elsewhere",
                format!("people who sign out end at {end}, on another origin than the site"),
            )
            .at(OPENID_POST_LOGOUT_REDIRECT_URI),
        );
    }
    found.extend(own.map(|own| backchannel(subject, login, &own)));
    found
}

fn secrets(subject: &Subject<'_>) -> Finding {
    let is_patterned =
        |secret: &str| secret.chars().collect::<HashSet<_>>().len() < FEWEST_CHARACTERS;
    if subject.pairs.session_secrets().any(is_patterned) {
        return Finding::wrong("session_secret_guessable", "a session secret has fewer than ten different characters")
            .at(OPENID_SESSION_SECRET)
            .cured_by("make one by `openssl rand -base64 48`; put it first, and the old one behind it until its sessions have ended");
    }
    Finding::right(
        "session_secret_right",
        "the session secrets are long enough",
    )
}

fn address(callback: &str, login: &LoginLayer) -> Finding {
    if callback.starts_with("https://") {
        return Finding::right(
            "cookies_right",
            format!(
                "cookies have the prefix __Host-, Secure and HttpOnly; a sign-in starts at {}",
                login.sign_in_path()
            ),
        );
    }
    Finding::note(
        "plain_http_site",
        "the site is on plain http, so that its cookies have neither Secure nor the prefix __Host-: for development only",
    )
    .at(DOMAIN_SERVER)
    .cured_by("set DOMAIN_SERVER to the https address that browsers see, also where a proxy ends TLS")
}

fn backchannel(subject: &Subject<'_>, login: &LoginLayer, own: &Url) -> Finding {
    let path = login.sign_in_path();
    let mut address = own.clone();
    address.set_path(&format!("{path}/backchannel-logout"));
    let provider = Url::parse(subject.issuer()).ok();
    if is_loopback(own) && provider.is_some_and(|url| !is_loopback(&url)) {
        return Finding::note(
            "backchannel_unreachable",
            "the provider cannot call this site for back-channel logout, because it is on a loopback address",
        )
        .at(DOMAIN_SERVER);
    }
    Finding::note(
        "backchannel_address",
        format!("register {address} as the back-channel logout URI, if the provider has this"),
    )
}

/// Asks the running site for its start of a sign-in, as a browser does. Nothing is signed in.
pub(super) async fn probe(subject: &Subject<'_>, login: &LoginLayer) -> Vec<Finding> {
    let callback = login.redirect_uri();
    let Ok(mut url) = Url::parse(&callback) else {
        return Vec::new();
    };
    url.set_path(login.sign_in_path());
    let inspection = subject.loaded.provider().inspection();
    match inspection.navigate(&url).await {
        Err(error) => vec![
            Finding::note(
                "site_not_running",
                format!(
                    "the site was not asked, because it does not answer: {}",
                    Chain(&error)
                ),
            )
            .at(DOMAIN_SERVER)
            .cured_by("start it, and run this again for a look at its cookies and its proxy"),
        ],
        Ok((status, headers)) => vec![started(&url, status, &headers, &callback)],
    }
}

/// What the answer of the start says about what is in front of the site.
fn started(url: &Url, status: StatusCode, headers: &HeaderMap, callback: &str) -> Finding {
    let at = |finding: Finding| finding.at(DOMAIN_SERVER);
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(to) = location
        .and_then(|text| url.join(text).ok())
        .filter(|_| status.is_redirection())
    else {
        let text = format!("GET {url} answered {status}");
        return at(match status.as_u16() {
            404 | 405 => Finding::wrong("site_path_missing", format!("{text}: a sign-in starts there, and the request did not come to it")).cured_by(
                "the proxy must pass this path on unchanged; if it takes a path off, write that path into DOMAIN_SERVER; \
                 else the program is without the layer",
            ),
            502 | 504 => Finding::wrong("site_behind_broken_proxy", text).cured_by(
                "the proxy does not reach the program, or its buffer for header fields is too small (nginx: \
                 proxy_buffer_size 8k)",
            ),
            _ => Finding::wrong("site_start_failed", text)
                .cured_by("the log of the site names the cause of the refusal at this time"),
        });
    };
    let sent = to.query_pairs().find(|(name, _)| name == "redirect_uri");
    let is_pushed = to.query_pairs().any(|(name, _)| name == "request_uri");
    if sent.is_none() && !is_pushed {
        return at(Finding::wrong("site_redirected_elsewhere", format!("GET {url} redirects to {}, which is no sign-in", shown(&to)))
            .cured_by("set DOMAIN_SERVER to the final address that browsers see (https, host and port), or correct the proxy"));
    }
    if let Some((_, sent)) = sent
        && sent != callback
    {
        return at(Finding::wrong(
            "site_has_other_callback",
            format!("the running site asks for {sent:?}, and these settings make {callback:?}"),
        )
        .cured_by("start the site with these settings"));
    }
    cookies(url, headers)
}

/// The address without its query.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn cookies(url: &Url, headers: &HeaderMap) -> Finding {
    let fields = headers.get_all(SET_COOKIE).iter();
    let fields: Vec<_> = fields.filter_map(|field| field.to_str().ok()).collect();
    let at = |finding: Finding| finding.at(DOMAIN_SERVER);
    if fields.is_empty() {
        return at(Finding::wrong(
            "site_cookie_lost",
            "the redirect has no Set-Cookie, so that the callback cannot know the browser again",
        )
        .cured_by(
            "the proxy must pass Set-Cookie on (no caching of /oauth/, no proxy_hide_header)",
        ));
    }
    let is_secure = url.scheme() == "https";
    let has = |field: &str, attribute: &str| {
        field
            .split(';')
            .skip(1)
            .any(|part| part.trim().eq_ignore_ascii_case(attribute))
    };
    let is_whole = |field: &&str| {
        !is_secure
            || (field.starts_with("__Host-")
                && has(field, "Secure")
                && has(field, "HttpOnly")
                && has(field, "Path=/"))
    };
    if !fields.iter().any(is_whole) {
        return at(Finding::wrong(
            "site_cookie_changed",
            "the cookie of the sign-in arrives without __Host-, Secure, HttpOnly or Path=/, so that browsers refuse it or others \
             may set it",
        )
        .cured_by("the proxy must not rewrite cookies (nginx: no proxy_cookie_path or proxy_cookie_domain)"));
    }
    Finding::right(
        "site_right",
        "the running site starts a sign-in, and its cookie arrives as it was set",
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn code(address: &str, fields: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(SET_COOKIE, HeaderValue::from_static(field));
        }
        cookies(&Url::parse(address).unwrap(), &headers)
            .code()
            .to_owned()
    }

    #[test]
    fn a_cookie_that_a_proxy_rewrote_is_found() {
        const SITE: &str = "https://app.example.com/oauth/openid";
        let whole = "__Host-sign-in-1=a; Path=/; HttpOnly; Secure; SameSite=Lax";
        let changed = [
            "sign-in-1=a; Path=/; HttpOnly; Secure",
            "__Host-sign-in-1=a; Path=/; HttpOnly",
            "__Host-sign-in-1=a; Path=/; Secure",
            "__Host-sign-in-1=a; Path=/app; HttpOnly; Secure",
            "__Host-sign-in-1=Secure; Path=/; HttpOnly",
        ];
        for field in changed {
            assert_eq!(code(SITE, &[field]), "site_cookie_changed", "{field}");
            assert_eq!(code(SITE, &[field, whole]), "site_right", "{field}");
        }
        assert_eq!(code(SITE, &[]), "site_cookie_lost");
        // On the developer's own machine there is no https.
        let local = "http://127.0.0.1:3080/oauth/openid";
        assert_eq!(code(local, &[changed[0]]), "site_right");
    }
}
