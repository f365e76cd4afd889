//! This site as its visitors see it: its origin and its own addresses, all from the configuration and
//! none from a request.

use std::borrow::Cow;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method};
use url::Url;

use crate::claims::{Transport, is_loopback, parse_url};
use crate::error::ConfigError;
use crate::gate::challenge::{ChallengeParameters, Challenges};
use crate::gate::same_origin::{SameOrigin, parse_address};
use crate::login::browser::base_path::{BasePath, EXAMPLE, check_path};
use crate::login::browser::language::Languages;
use crate::login::browser::return_path::ReturnPath;
use crate::settings::{LOGIN_PAGE, PATH, START_PATH};

/// The longest text of a stranger that is logged, in characters.
const LONGEST_SHOWN: usize = 200;

#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) origin: String,
    pub(crate) is_secure: bool,
    /// Whether the configured address is on this machine, so that every visitor is the developer.
    pub(crate) is_loopback: bool,
    /// As requests have them.
    pub(crate) paths: Paths,
    /// Where the application lets people choose how to sign in.
    login_page: Option<String>,
    /// The paths of other layers around the same application.
    other_paths: Vec<Paths>,
    /// The languages of its pages.
    pub(crate) languages: Languages,
    /// What browsers put before a path.
    pub(crate) base: BasePath,
    /// As browsers see them.
    pub(crate) public: Paths,
    /// What requests that may change something have to prove.
    pub(crate) same_origin: SameOrigin,
    /// For requests without a session.
    pub(crate) challenges: Challenges,
}

/// The addresses that the layer answers itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) start: String,
    pub(crate) callback: String,
    pub(crate) logout: String,
    pub(crate) backchannel: String,
    pub(crate) frontchannel: String,
    pub(crate) session: String,
    pub(crate) initiate: String,
}

/// What a path of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnPath {
    Start,
    Callback,
    Logout,
    Backchannel,
    Frontchannel,
    /// Where scripts ask how their session stands.
    Session,
    /// Where another site, most often the provider, has a sign-in begun.
    Initiate,
}

impl Paths {
    pub(crate) fn below(start: &str) -> Self {
        let below = |name: &str| format!("{start}/{name}");
        Self {
            start: start.to_owned(),
            callback: below("callback"),
            logout: below("logout"),
            backchannel: below("backchannel-logout"),
            frontchannel: below("frontchannel-logout"),
            session: below("session"),
            initiate: below("initiate"),
        }
    }

    fn at(&self, base: &BasePath) -> Self {
        Self {
            start: base.join(&self.start),
            callback: base.join(&self.callback),
            logout: base.join(&self.logout),
            backchannel: base.join(&self.backchannel),
            frontchannel: base.join(&self.frontchannel),
            session: base.join(&self.session),
            initiate: base.join(&self.initiate),
        }
    }

    pub(crate) fn own(&self, path: &str) -> Option<OwnPath> {
        self.all()
            .into_iter()
            .find_map(|(own, what)| (own == path).then_some(what))
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = &str> {
        self.all().into_iter().map(|(path, _)| path)
    }

    fn all(&self) -> [(&str, OwnPath); 7] {
        [
            (&self.start, OwnPath::Start),
            (&self.callback, OwnPath::Callback),
            (&self.logout, OwnPath::Logout),
            (&self.backchannel, OwnPath::Backchannel),
            (&self.frontchannel, OwnPath::Frontchannel),
            (&self.session, OwnPath::Session),
            (&self.initiate, OwnPath::Initiate),
        ]
    }

    /// Whether each can be told from the others, and be reached by a browser.
    fn check(&self) -> Result<(), ConfigError> {
        self.check_mount()?;
        let all = self.all();
        for (at, (path, what)) in all.iter().enumerate() {
            check_path(PATH, path, EXAMPLE)?;
            let Some((_, other)) = all[..at].iter().find(|(known, _)| known == path) else {
                continue;
            };
            return Err(ConfigError::invalid(
                PATH,
                *path,
                format!(
                    "it is the path of two things: {} and {}",
                    other.description(),
                    what.description()
                ),
                format!(
                    "write a path that the sign-in does not use otherwise, such as {}/callback",
                    self.start
                ),
            ));
        }
        Ok(())
    }
}

impl Paths {
    /// A callback below a prefix that the start path lacks shows that a proxy or router is in front, and it depends
    /// on this one which of both is wrong.
    fn check_mount(&self) -> Result<(), ConfigError> {
        let usual = Self::below(&self.start).callback;
        match self.callback.strip_suffix(usual.as_str()) {
            Some(prefix) if prefix.starts_with('/') => Err(ConfigError::Contradiction {
                setting: PATH.into(),
                other: START_PATH.into(),
                remedy: format!(
                    "the callback is below {prefix}, and the sign-in is at {start}; where a proxy takes {prefix} off \
                     the paths of requests, add {prefix} to the address of the site (DOMAIN_SERVER) and write the \
                     callback as {usual}; where requests arrive with {prefix}, choose {prefix}{start} as the path \
                     of the sign-in (OPENID_PATH)",
                    start = self.start,
                )
                .into(),
            }),
            _ => Ok(()),
        }
    }

    /// Below a base path that a proxy takes off, no request arrives that begins with it.
    fn check_base(&self, base: &BasePath) -> Result<(), ConfigError> {
        self.all()
            .into_iter()
            .try_for_each(|(path, what)| match what {
                OwnPath::Callback => base.check_absent(PATH, path),
                _ => base.check_absent(START_PATH, path),
            })
    }
}

impl OwnPath {
    fn description(self) -> &'static str {
        match self {
            Self::Start => "the start of a sign-in",
            Self::Callback => "the callback, where the provider sends browsers back",
            Self::Logout => "signing out",
            Self::Backchannel => "back-channel logout",
            Self::Frontchannel => "front-channel logout",
            Self::Session => "information about the session",
            Self::Initiate => "a sign-in that another site initiates",
        }
    }
}

impl Site {
    /// The site at this address. If that has a path, it is what a proxy takes off.
    pub(crate) fn new(
        address: &str,
        paths: Paths,
        trusted_origins: &[String],
    ) -> Result<Self, ConfigError> {
        let url = parse_address(address)?;
        let base = BasePath::of(&url)?;
        paths.check_base(&base)?;
        paths.check()?;
        let is_secure = url.scheme() == "https";
        if !is_secure {
            tracing::warn!(
                address,
                "this site is reached by plain http on a loopback address: its cookies go without \
                 __Host- and Secure, for development only"
            );
        }
        let origin = url.origin().ascii_serialization();
        let mut same_origin = SameOrigin::of_origin(origin.clone());
        for origin in trusted_origins {
            same_origin = same_origin.add_trusted_origin(origin)?;
        }
        Ok(Self {
            challenges: Challenges::new(ChallengeParameters::of_cookies(&origin)),
            origin,
            is_secure,
            is_loopback: is_loopback(&url),
            public: paths.at(&base),
            paths,
            base,
            login_page: None,
            other_paths: Vec::new(),
            languages: Languages::default(),
            same_origin,
        })
    }

    /// The same, where people choose on a page of the application how to sign in.
    pub(crate) fn with_login_page(mut self, page: Option<String>) -> Result<Self, ConfigError> {
        if let Some(page) = &page {
            check_path(LOGIN_PAGE, page, "/login")?;
            self.base.check_absent(LOGIN_PAGE, page)?;
            if self.is_layers_own(page) {
                return Err(ConfigError::invalid(
                    LOGIN_PAGE,
                    page,
                    "it is a path that the sign-in answers itself",
                    "write the path of a page of the application, such as /login",
                ));
            }
        }
        self.login_page = page;
        Ok(self)
    }

    /// The same, around an application that has other layers too.
    pub(crate) fn beside(mut self, other_paths: Vec<Paths>) -> Self {
        self.other_paths = other_paths;
        self
    }

    /// The same, with pages in these languages.
    pub(crate) fn in_languages(mut self, languages: Languages) -> Result<Self, ConfigError> {
        languages.check()?;
        self.languages = languages;
        Ok(self)
    }

    /// Whether a layer answers requests for this path itself, so that no page is there.
    pub(crate) fn is_layers_own(&self, path: &str) -> bool {
        let mut all = std::iter::once(&self.paths).chain(&self.other_paths);
        all.any(|paths| paths.own(path).is_some())
    }

    /// A path that another layer answers too.
    pub(crate) fn shared_path(&self, other: &Self) -> Option<&str> {
        let mut all = self.paths.all().into_iter().map(|(path, _)| path);
        all.find(|path| other.paths.own(path).is_some())
    }

    /// Whether a sign-in may end there: not where another would begin, and not where people choose one. As requests
    /// have it.
    pub(crate) fn is_page(&self, path: &str) -> bool {
        !self.is_layers_own(path) && !self.is_login_page(path)
    }

    /// Whether this is the page where people choose how to sign in.
    pub(crate) fn is_login_page(&self, path: &str) -> bool {
        self.login_page.as_deref() == Some(path)
    }

    /// Where a browser is sent that has to sign in.
    pub(crate) fn sign_in_page(&self) -> Cow<'_, str> {
        match &self.login_page {
            Some(page) => self.base.join(page).into(),
            None => self.public.start.as_str().into(),
        }
    }

    /// Whether a browser that has to sign in is sent to the start of the sign-in at once.
    pub(crate) fn sends_to_start(&self) -> bool {
        self.login_page.is_none()
    }

    /// The address of the site, without a final slash.
    pub(crate) fn address(&self) -> String {
        format!("{}{}", self.origin, self.base.as_str())
    }

    /// The callback, byte for byte the same in both requests
    /// ([RFC 9700 §4.1.3](https://www.rfc-editor.org/rfc/rfc9700#section-4.1.3)).
    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}{}", self.origin, self.public.callback)
    }

    /// The root of the site, as browsers see it.
    pub(crate) fn home(&self) -> ReturnPath {
        ReturnPath::parse(&self.base.join("/")).unwrap_or_default()
    }

    /// A path of this site to return to, as browsers see it. `None` for any other text, and for paths that a layer
    /// answers itself.
    pub(crate) fn return_path(&self, text: &str) -> Option<ReturnPath> {
        self.path_where(text, |seen| !self.is_layers_own(seen))
    }

    /// The same, where a sign-in may end.
    pub(crate) fn page_path(&self, text: &str) -> Option<ReturnPath> {
        self.path_where(text, |seen| self.is_page(seen))
    }

    fn path_where(&self, text: &str, is_right: impl FnOnce(&str) -> bool) -> Option<ReturnPath> {
        let path = ReturnPath::parse(text)?;
        let seen = self.base.strip(path.path())?;
        is_right(seen).then_some(path)
    }

    /// This path, or the root of the site where it leads out of it.
    pub(crate) fn within<'a>(&self, path: &'a ReturnPath) -> Cow<'a, ReturnPath> {
        match self.base.strip(path.path()) {
            Some(_) => Cow::Borrowed(path),
            None => Cow::Owned(self.home()),
        }
    }

    /// The address that a request asks for, as the browser sees it.
    pub(crate) fn here(&self, head: &Parts) -> ReturnPath {
        let asked = head
            .uri
            .path_and_query()
            .map(http::uri::PathAndQuery::as_str);
        let asked = asked.filter(|path| ReturnPath::parse(path).is_some());
        let public = asked.and_then(|path| ReturnPath::parse(&self.base.join(path)));
        public.unwrap_or_else(|| self.home())
    }

    /// The host that a request was sent to, if it is another than that of the configured address. It is a
    /// stranger's text, and cut off.
    pub(crate) fn other_host(&self, parts: &Parts) -> Option<String> {
        let asked = match parts.uri.authority() {
            Some(authority) => authority.as_str(),
            None => parts.headers.get(HOST)?.to_str().ok()?,
        };
        let (_, own) = self.origin.split_once("://")?;
        (!asked.eq_ignore_ascii_case(own)).then(|| asked.chars().take(LONGEST_SHOWN).collect())
    }
}

/// Whether a request is the browser's main page going somewhere, which alone can be sent to the
/// provider and back.
pub(crate) fn is_navigation(parts: &Parts) -> bool {
    let header = |name| parts.headers.get(name).map(http::HeaderValue::as_bytes);
    // A WebView of Android sends the name of its application in this field.
    let is_script =
        header("x-requested-with").is_some_and(|by| by.eq_ignore_ascii_case(b"XMLHttpRequest"));
    if parts.method != Method::GET || is_script {
        return false;
    }
    match (header("sec-fetch-mode"), header("sec-fetch-dest")) {
        // The destination is empty where a service worker sends the navigation on.
        (Some(mode), destination) => {
            mode == b"navigate" && matches!(destination, None | Some(b"document" | b"empty"))
        }
        (None, _) => wants_html(&parts.headers),
    }
}

pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    accepts(headers, "text/html")
}

/// Whether a script asks, which reads JSON and no page.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    accepts(headers, "application/json") && !wants_html(headers)
}

fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(http::header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(media_type))
}

/// An address of this or another origin that a browser is sent to, from the configuration.
pub(crate) fn parse_target(setting: &'static str, text: &str) -> Result<Url, ConfigError> {
    parse_url(setting, text, &Transport::HttpsOrLoopback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(method: &str, fields: &[(&'static str, &str)]) -> Parts {
        let mut request = Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    // LG-16
    #[test]
    fn only_top_level_navigations_are_navigations() {
        type Fields = &'static [(&'static str, &'static str)];
        let navigate = |destination| -> Fields {
            match destination {
                "document" => &[
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                "empty" => &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "empty")],
                "iframe" => &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
                "frame" => &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "frame")],
                "embed" => &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "embed")],
                "object" => &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "object")],
                _ => &[("sec-fetch-mode", "navigate")],
            }
        };
        let cases: [(&str, Fields, bool); 17] = [
            ("GET", navigate("document"), true),
            // A service worker that sends a navigation on.
            ("GET", navigate("empty"), true),
            ("GET", navigate(""), true),
            ("GET", navigate("iframe"), false),
            ("GET", navigate("frame"), false),
            ("GET", navigate("embed"), false),
            ("GET", navigate("object"), false),
            (
                "GET",
                &[
                    ("sec-fetch-mode", "same-origin"),
                    ("sec-fetch-dest", "empty"),
                    ("accept", "text/html"),
                ],
                false,
            ),
            // A WebView of Android.
            (
                "GET",
                &[
                    ("accept", "text/html"),
                    ("x-requested-with", "com.example.app"),
                ],
                true,
            ),
            (
                "GET",
                &[
                    ("accept", "text/html"),
                    ("x-requested-with", "xmlhttprequest"),
                ],
                false,
            ),
            (
                "GET",
                &[("sec-fetch-mode", "cors"), ("accept", "text/html")],
                false,
            ),
            ("GET", &[("accept", "text/html,*/*;q=0.8")], true),
            ("GET", &[("accept", "application/json")], false),
            (
                "GET",
                &[
                    ("accept", "text/html"),
                    ("x-requested-with", "XMLHttpRequest"),
                ],
                false,
            ),
            ("GET", &[], false),
            (
                "POST",
                &[("sec-fetch-mode", "navigate"), ("accept", "text/html")],
                false,
            ),
            ("HEAD", &[("accept", "text/html")], false),
        ];
        for (method, fields, expected) in cases {
            assert_eq!(
                is_navigation(&parts(method, fields)),
                expected,
                "{method} {fields:?}"
            );
        }
    }

    #[test]
    fn another_host_than_the_configured_one_is_told() {
        let site = |address| Site::new(address, Paths::below("/login"), &[]).unwrap();
        let long = "a".repeat(300);
        for (address, host, other) in [
            ("http://localhost:3080", "localhost:3080", None),
            ("http://localhost:3080", "LOCALHOST:3080", None),
            (
                "http://localhost:3080",
                "127.0.0.1:3080",
                Some("127.0.0.1:3080"),
            ),
            ("http://127.0.0.1:3080", "127.0.0.1", Some("127.0.0.1")),
            ("https://app.example.com", "app.example.com", None),
            ("https://app.example.com:443", "app.example.com", None),
            ("https://app.example.com", &long, Some(&long[..200])),
        ] {
            let told = site(address).other_host(&parts("GET", &[("host", host)]));
            assert_eq!(told.as_deref(), other, "{address} {host}");
        }
        let absolute = Request::get("http://127.0.0.1:3080/a").body(()).unwrap();
        let told = site("http://localhost:3080").other_host(&absolute.into_parts().0);
        assert_eq!(told.as_deref(), Some("127.0.0.1:3080"));
    }

    // SC-02
    #[test]
    fn a_site_has_https_or_is_on_loopback() {
        let site = |address| Site::new(address, Paths::below("/login"), &[]);
        assert!(site("https://app.example.com/").unwrap().is_secure);
        assert!(!site("http://127.0.0.1:3080").unwrap().is_secure);
        assert!(!site("http://localhost:3080").unwrap().is_secure);
        for bad in [
            "http://app.example.com",
            "app.example.com",
            "https://a.example/x//y",
            "https://a.example/x%2fy",
            "https://a.example/?b",
            "https://a.example/x?b",
        ] {
            let error = site(bad).unwrap_err();
            assert_eq!(error.setting(), "address", "{bad}");
        }
        for bad in [
            "login", "/", "/a/", "//a", "/a?b", "/a#b", "/{a}", "/./a", "/a/..", "/a/../b",
        ] {
            assert!(
                Site::new("https://a.example", Paths::below(bad), &[]).is_err(),
                "{bad}"
            );
        }
    }

    // SC-21
    #[test]
    fn addresses_of_browsers_have_the_base_path_and_requests_have_not() {
        let site = Site::new("https://a.example/app/", Paths::below("/login"), &[]).unwrap();
        assert_eq!(site.origin, "https://a.example");
        assert_eq!(site.redirect_uri(), "https://a.example/app/login/callback");
        assert_eq!(site.home().as_str(), "/app/");
        assert_eq!(
            site.sign_in_path(&site.home()),
            "/app/login?return_to=%2Fapp%2F"
        );
        assert_eq!(site.paths.own("/login"), Some(OwnPath::Start));
        assert_eq!(site.paths.own("/app/login"), None);
        for (text, kept) in [
            ("/app/orders?a=b", true),
            ("/app/", true),
            ("/app", true),
            ("/app/app/login", true),
            ("/app/login", false),
            ("/app/login/logout?a", false),
            ("/", false),
            ("/orders", false),
            ("/apple", false),
            ("/%61pp/orders", false),
            ("/app/../orders", false),
            ("//app/orders", false),
            ("https://a.example/app/orders", false),
        ] {
            let path = site.return_path(text);
            assert_eq!(path.is_some(), kept, "{text}");
            assert!(path.is_none_or(|path| path.as_str() == text), "{text}");
        }
        for (asked, here) in [
            ("/orders?a=b", "/app/orders?a=b"),
            ("/", "/app/"),
            ("/app/x", "/app/app/x"),
            ("/..//evil.example", "/app/"),
            ("//evil.example", "/app/"),
        ] {
            let mut head = parts("GET", &[]);
            head.uri = http::Uri::builder().path_and_query(asked).build().unwrap();
            assert_eq!(site.here(&head).as_str(), here, "{asked}");
        }
    }

    // SC-21
    #[test]
    fn a_base_path_and_a_mount_that_disagree_are_named_with_the_cure() {
        let site = |address: &str, start: &str, callback: Option<&str>| {
            let mut paths = Paths::below(start);
            if let Some(callback) = callback {
                callback.clone_into(&mut paths.callback);
            }
            Site::new(address, paths, &[]).map_err(|error| error.to_string())
        };
        let (here, below) = ("https://a.example", "https://a.example/app");
        for (address, start, callback) in [
            (here, "/app/login", None),
            (below, "/login", None),
            (below, "/login", Some("/done")),
            (here, "/login", Some("/app/done")),
            (here, "/app/login", Some("/app/login/callback")),
        ] {
            let built = site(address, start, callback);
            assert!(built.is_ok(), "{address} {start} {callback:?}: {built:?}");
        }
        for (address, start, callback, told) in [
            (
                below,
                "/app/login",
                None,
                [
                    "start path contradicts address",
                    "write /login;",
                    "the address without one",
                ],
            ),
            (
                below,
                "/login",
                Some("/app/login/callback"),
                [
                    "path contradicts address",
                    "write /login/callback;",
                    "the address without one",
                ],
            ),
            (
                here,
                "/login",
                Some("/app/login/callback"),
                [
                    "path contradicts start path",
                    "add /app to the address of the site (DOMAIN_SERVER)",
                    "choose /app/login as the path of the sign-in (OPENID_PATH)",
                ],
            ),
        ] {
            let text = site(address, start, callback).unwrap_err();
            for part in told {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    // LG-11
    #[test]
    fn each_path_of_the_layer_is_its_own() {
        let with_callback = |callback: &str| {
            let mut paths = Paths::below("/login");
            callback.clone_into(&mut paths.callback);
            Site::new("https://a.example", paths, &[])
        };
        for good in ["/login/callback", "/callback", "/login/done"] {
            assert!(with_callback(good).is_ok(), "{good}");
        }
        for (taken, what) in [
            ("/login", "the start of a sign-in"),
            ("/login/logout", "signing out"),
            ("/login/backchannel-logout", "back-channel logout"),
            ("/login/frontchannel-logout", "front-channel logout"),
        ] {
            let error = with_callback(taken).unwrap_err();
            assert_eq!(error.setting(), "path");
            let text = error.to_string();
            assert!(text.contains(what) && text.contains(taken), "{text}");
        }
        for bad in ["/login/callback?x=1", "/login/callback#x"] {
            let text = with_callback(bad).unwrap_err().to_string();
            assert!(text.contains("query or a fragment"), "{text}");
        }
    }
}
