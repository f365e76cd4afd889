//! The path below which browsers see a site, where a proxy takes it off before the service sees a request.

use url::Url;

use crate::error::ConfigError;
use crate::settings::ADDRESS;

/// The path of the site's address without its final slash: `/app` for `https://host.example/app`, and nothing
/// for an origin. Paths of browsers begin with it, paths of requests do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BasePath(String);

impl BasePath {
    /// # Errors
    /// [`ConfigError`] if the path of the address is not plain.
    pub(crate) fn of(address: &Url) -> Result<Self, ConfigError> {
        let path = address.path();
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() {
            check_path(ADDRESS, path, "/app")?;
        }
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path that browsers ask for to reach this one.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The path that the service sees when a browser asks for this one. `None` if it is not of this site.
    pub(crate) fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(self.0.as_str())? {
            "" => Some("/"),
            rest if rest.starts_with('/') => Some(rest),
            _ => None,
        }
    }

    /// Below a base path that a proxy takes off, no request arrives for a path that begins with it.
    ///
    /// # Errors
    /// [`ConfigError`] if this path, as it is configured, begins with it.
    pub(crate) fn check_absent(
        &self,
        setting: &'static str,
        path: &str,
    ) -> Result<(), ConfigError> {
        if !self.was_kept(path) {
            return Ok(());
        }
        let (base, rest) = (self.as_str(), self.strip(path).unwrap_or("/"));
        Err(ConfigError::Contradiction {
            setting: setting.into(),
            other: ADDRESS.into(),
            remedy: format!(
                "the path {path} begins with {base}, the path of the address, so browsers would have to ask for \
                 {base}{path}; where a proxy takes {base} off the paths of requests, write {rest}; where requests \
                 arrive with {base}, keep the path and write the address without one"
            )
            .into(),
        })
    }

    /// Whether the path of a request still begins with it, so that no proxy took it off. Never without one.
    pub(crate) fn was_kept(&self, path: &str) -> bool {
        !self.0.is_empty() && self.strip(path).is_some()
    }
}

/// What a path of the sign-in looks like.
pub(crate) const EXAMPLE: &str = "/oauth/openid/callback";

/// Whether browsers ask for the path as it is written.
pub(crate) fn check_path(
    setting: &'static str,
    path: &str,
    example: &str,
) -> Result<(), ConfigError> {
    let from_the_root = || format!("write it from the root, such as {example}");
    let refuse = |problem: &'static str, remedy: String| {
        Err(ConfigError::invalid(setting, path, problem, remedy))
    };
    if path.contains(['?', '#']) {
        return refuse(
            "it has a query or a fragment",
            "write the path alone, without the question mark or number sign and what follows it"
                .to_owned(),
        );
    }
    // Browsers resolve them, and then ask for another path.
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return refuse("it holds a dot segment", from_the_root());
    }
    let is_path = path.starts_with('/')
        && path.len() > 1
        && !path.ends_with('/')
        && !path.contains("//")
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    if is_path {
        return Ok(());
    }
    refuse("it is not a plain path", from_the_root())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(address: &str) -> BasePath {
        BasePath::of(&Url::parse(address).unwrap()).unwrap()
    }

    // SC-21
    #[test]
    fn a_path_of_browsers_and_the_one_that_the_service_sees() {
        for (address, public, seen) in [
            ("https://a.example", "/x", Some("/x")),
            ("https://a.example/", "/", Some("/")),
            ("https://a.example/app", "/app/x", Some("/x")),
            ("https://a.example/app/", "/app/", Some("/")),
            ("https://a.example/app", "/app", Some("/")),
            ("https://a.example/a/b", "/a/b/app", Some("/app")),
            ("https://a.example/app", "/app/app/x", Some("/app/x")),
            ("https://a.example/app", "/", None),
            ("https://a.example/app", "/apple/x", None),
            ("https://a.example/app", "/APP/x", None),
            ("https://a.example/app", "/%61pp/x", None),
        ] {
            assert_eq!(base(address).strip(public), seen, "{address} {public}");
        }
        assert_eq!(base("https://a.example/app/").join("/x"), "/app/x");
        assert_eq!(base("https://a.example/").join("/x"), "/x");
        assert!(base("https://a.example/app").was_kept("/app/x"));
        assert!(!base("https://a.example/app").was_kept("/x"));
        assert!(!base("https://a.example").was_kept("/x"));
    }
}
