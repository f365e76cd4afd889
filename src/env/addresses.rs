//! The addresses of a site that signs browsers in.

use url::Url;

use crate::claims::{Transport, parse_url};
use crate::env::read::Variables;
use crate::env::sign_in::DEFAULT_PATH;
use crate::error::ConfigError;
use crate::gate::same_origin::parse_address;
use crate::login::browser::base_path::BasePath;
use crate::settings::{
    DOMAIN_CLIENT, DOMAIN_SERVER, OPENID_CALLBACK_URL, OPENID_PATH, OPENID_POST_LOGOUT_REDIRECT_URI,
};

/// The address of the site, if a variable names it, and the path of the callback.
pub(super) fn address_and_callback(
    variables: &Variables,
) -> Result<(Option<String>, String), ConfigError> {
    let address = |name| -> Result<Option<(&'static str, Url)>, ConfigError> {
        let Some(text) = variables.text(name) else {
            return Ok(None);
        };
        let url = parse_address(&text).map_err(|error| error.renamed(name))?;
        Ok(Some((name, url)))
    };
    let configured = match address(DOMAIN_SERVER)? {
        Some(configured) => Some(configured),
        None => address(DOMAIN_CLIENT)?,
    };
    let text = |url: &Url| {
        let origin = url.origin().ascii_serialization();
        format!("{origin}{}", url.path().trim_end_matches('/'))
    };
    let callback = variables.text(OPENID_CALLBACK_URL).unwrap_or_else(|| {
        let start = variables.text(OPENID_PATH);
        format!("{}/callback", start.as_deref().unwrap_or(DEFAULT_PATH))
    });
    if !callback.contains("://") {
        return Ok((configured.as_ref().map(|(_, url)| text(url)), callback));
    }
    let url = parse_url(OPENID_CALLBACK_URL, &callback, &Transport::HttpsOrLoopback)?;
    if url.query().is_some() {
        return Err(ConfigError::invalid(
            OPENID_CALLBACK_URL,
            callback,
            "it has a query",
            "remove everything from the question mark on",
        ));
    }
    let Some((other, configured)) = configured else {
        let origin = url.origin().ascii_serialization();
        return Ok((Some(origin), url.path().to_owned()));
    };
    let base = BasePath::of(&configured).map_err(|error| error.renamed(other))?;
    let is_here = configured.origin() == url.origin();
    let Some(path) = base.strip(url.path()).filter(|_| is_here) else {
        let address = text(&configured);
        return Err(ConfigError::Contradiction {
            setting: OPENID_CALLBACK_URL.into(),
            other: other.into(),
            remedy: format!(
                "the callback must be on the site, below {address}: write a path, such as /oauth/openid/callback; \
                 a path in the address is one that a proxy takes off the paths of requests"
            )
            .into(),
        });
    };
    Ok((Some(text(&configured)), path.to_owned()))
}

/// Where the provider sends browsers after signing out.
pub(super) fn post_logout_redirect(variables: &Variables) -> Result<Option<String>, ConfigError> {
    for name in [OPENID_POST_LOGOUT_REDIRECT_URI, DOMAIN_CLIENT] {
        if let Some(url) = variables.text(name) {
            parse_url(name, &url, &Transport::HttpsOrLoopback)?;
            return Ok(Some(url));
        }
    }
    Ok(None)
}
