use std::fmt;

/// The configuration that a token was judged by, as far as messages and remedies depend on it.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) judged_as: JudgedAs,
    pub(crate) issuers: Box<[Box<str>]>,
    /// Which other issuers are trusted, as the log says it.
    pub(crate) other_issuers: Option<&'static str>,
    pub(crate) audiences: Box<[Box<str>]>,
    pub(crate) vendor: Option<Vendor>,
    /// Whether clients present such tokens, and not the token endpoint alone.
    pub(crate) is_presented: bool,
    /// Where the keys come from.
    pub(crate) keys_from: KeysFrom,
    /// Whether the leeway could be longer.
    pub(crate) leeway_can_grow: bool,
    /// Whether larger tokens could be accepted.
    pub(crate) size_can_grow: bool,
}

/// What a token was judged as.
#[cfg_attr(
    not(feature = "login"),
    allow(dead_code, reason = "only a sign-in has ID tokens and logout tokens")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JudgedAs {
    Access {
        strict: bool,
    },
    /// An ID token that a client presents.
    PresentedId,
    Id,
    Logout,
    /// What the provider says of an access token, or the JWT that it says so with.
    #[cfg(feature = "introspection")]
    Introspected,
}

/// Where the keys of a provider come from. Only for those of the metadata is any metadata read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeysFrom {
    Metadata,
    /// A configured URL.
    Url,
    File,
    Program,
}

/// Providers whose configuration has names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    Auth0,
    Authentik,
    Cognito,
    EntraId,
    GitLab,
    Google,
    Keycloak,
    Okta,
    Zitadel,
}

impl Vendor {
    /// The vendor of an issuer at its own address, or with a path that no other has.
    pub(crate) fn of(issuer: &str) -> Option<Self> {
        let (_, rest) = issuer.split_once("://")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.to_ascii_lowercase();
        let is_under = |domains: &[&str]| domains.iter().any(|domain| host.ends_with(domain));
        let is_entra = is_under(&[".ciamlogin.com", ".b2clogin.com"])
            || host.starts_with("login.microsoftonline.")
            || host.starts_with("sts.windows.");
        if is_under(&[".auth0.com"]) {
            Some(Self::Auth0)
        } else if is_entra {
            Some(Self::EntraId)
        } else if host.starts_with("cognito-idp.") {
            Some(Self::Cognito)
        } else if host == "gitlab.com" {
            Some(Self::GitLab)
        } else if path.starts_with("application/o/") {
            Some(Self::Authentik)
        } else if host == "accounts.google.com" {
            Some(Self::Google)
        } else if is_under(&[".okta.com", ".oktapreview.com", ".okta-emea.com"]) {
            Some(Self::Okta)
        } else if is_under(&[".zitadel.cloud"]) {
            Some(Self::Zitadel)
        } else if path.starts_with("realms/") || path.contains("/realms/") {
            Some(Self::Keycloak)
        } else {
            None
        }
    }

    /// The vendor of all of these issuers, if they have the same.
    pub(crate) fn of_all<'a>(issuers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut vendors = issuers.into_iter().map(Self::of);
        let first = vendors.next()??;
        vendors.all(|vendor| vendor == Some(first)).then_some(first)
    }
}

/// The values of `iss` or `aud` in a token that was refused for them, and what was expected instead. Both
/// are public identifiers. The values are those of a stranger, so they are cut and shown escaped.
#[derive(Clone)]
pub(crate) struct Found {
    values: Box<[Box<str>]>,
    is_cut: bool,
    /// What was expected, where that is not what is configured.
    expected: Option<Box<str>>,
}

/// The most bytes that are shown.
pub(crate) const MOST_SHOWN: usize = 200;

impl Found {
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let values = values.into_iter();
        let mut left = MOST_SHOWN;
        let mut is_cut = false;
        let mut shown = Vec::with_capacity(values.size_hint().0.min(MOST_SHOWN));
        for value in values {
            if left == 0 {
                is_cut = true;
                break;
            }
            let mut end = value.len().min(left);
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            is_cut |= end < value.len();
            // An empty value takes room too, so that there are never many.
            left -= end.clamp(1, left);
            shown.push(value[..end].into());
        }
        Self {
            values: shown.into(),
            is_cut,
            expected: None,
        }
    }

    /// The same where this was expected.
    pub(crate) fn instead_of(self, expected: &str) -> Self {
        Self {
            expected: Some(expected.into()),
            ..self
        }
    }

    /// ` is "…", expected "…"`, and how they differ if that is hard to see. `or`: what else would do.
    pub(crate) fn explain(
        &self,
        configured: &[Box<str>],
        or: Option<&str>,
        formatter: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let expected = match &self.expected {
            Some(expected) => std::slice::from_ref(expected),
            None => configured,
        };
        formatter.write_str(" is ")?;
        list(&self.values, formatter)?;
        if self.is_cut {
            formatter.write_str(" …")?;
        }
        formatter.write_str(", expected ")?;
        match or {
            None => list(expected, formatter)?,
            Some(or) if expected.is_empty() => formatter.write_str(or)?,
            Some(or) => {
                list(expected, formatter)?;
                write!(formatter, " or {or}")?;
            }
        }
        let is_alike = |alike: fn(&str, &str) -> bool| {
            let found = self.values.iter();
            found
                .flat_map(|found| expected.iter().map(move |expected| (found, expected)))
                .any(|(found, expected)| found != expected && alike(found, expected))
        };
        if is_alike(|one, two| one.trim_end_matches('/') == two.trim_end_matches('/')) {
            formatter
                .write_str(" (they differ only in the final slash, and are compared exactly)")?;
        } else if is_alike(str::eq_ignore_ascii_case) {
            formatter.write_str(" (they differ only in upper and lower case)")?;
        }
        Ok(())
    }
}

/// Quoted and escaped, so that a value cannot look like a line of the log.
fn list(values: &[Box<str>], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    match values {
        [] => formatter.write_str("empty"),
        [only] => write!(formatter, "{only:?}"),
        several => write!(formatter, "{several:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown<'a>(&'a Found, Box<[Box<str>]>, Option<&'a str>);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.explain(&self.1, self.2, formatter)
        }
    }

    fn boxed(texts: &[&str]) -> Box<[Box<str>]> {
        texts.iter().map(|text| (*text).into()).collect()
    }

    fn explained(found: &Found, configured: &[&str]) -> String {
        Shown(found, boxed(configured), None).to_string()
    }

    // D26
    #[test]
    fn what_was_found_is_shown_beside_what_was_expected() {
        let cases: [(&[&str], &[&str], &str); 6] = [
            (&["a"], &["b"], r#" is "a", expected "b""#),
            (
                &["a", "b"],
                &["c", "d"],
                r#" is ["a", "b"], expected ["c", "d"]"#,
            ),
            (&[], &["c"], r#" is empty, expected "c""#),
            (
                &["https://a/"],
                &["https://a"],
                r#" is "https://a/", expected "https://a" (they differ only in the final slash, and are compared exactly)"#,
            ),
            (
                &["Orders"],
                &["orders"],
                r#" is "Orders", expected "orders" (they differ only in upper and lower case)"#,
            ),
            (
                &["a\r\nb\u{202e}\"\0"],
                &["b"],
                r#" is "a\r\nb\u{202e}\"\0", expected "b""#,
            ),
        ];
        for (found, configured, expected) in cases {
            assert_eq!(
                explained(&Found::new(found.iter().copied()), configured),
                expected
            );
        }
        let either = |configured: &[&str]| {
            let shown = Shown(&Found::new(["a"]), boxed(configured), Some("another"));
            shown.to_string()
        };
        assert_eq!(either(&["b"]), r#" is "a", expected "b" or another"#);
        assert_eq!(either(&[]), r#" is "a", expected another"#);
        let text = explained(&Found::new(["a"]).instead_of("a/"), &["a", "a/"]);
        assert!(
            text.contains(r#"is "a", expected "a/" (they differ"#),
            "{text}"
        );
    }

    // D26
    #[test]
    fn what_a_stranger_sends_is_cut() {
        let long = "é".repeat(1_000);
        let text = explained(&Found::new([long.as_str()]), &["b"]);
        assert_eq!(text.matches('é').count() * 'é'.len_utf8(), MOST_SHOWN);
        assert!(text.contains(" …"), "{text}");
        for many in [vec!["ab"; 10_000], vec![""; 10_000]] {
            let text = explained(&Found::new(many), &["b"]);
            assert!(text.chars().count() < 5 * MOST_SHOWN, "{text}");
            assert!(text.contains(" …"));
        }
    }

    #[test]
    fn a_vendor_is_known_by_its_address() {
        let cases = [
            ("https://tenant.eu.auth0.com/", Some(Vendor::Auth0)),
            (
                "https://login.microsoftonline.com/a/v2.0",
                Some(Vendor::EntraId),
            ),
            ("https://sts.windows.net/a/", Some(Vendor::EntraId)),
            (
                "https://cognito-idp.eu-west-1.amazonaws.com/p",
                Some(Vendor::Cognito),
            ),
            ("https://accounts.google.com", Some(Vendor::Google)),
            ("https://dev-1.okta.com/oauth2/default", Some(Vendor::Okta)),
            ("https://shop.zitadel.cloud", Some(Vendor::Zitadel)),
            ("https://gitlab.com", Some(Vendor::GitLab)),
            (
                "https://id.example/application/o/shop/",
                Some(Vendor::Authentik),
            ),
            ("https://id.example/realms/shop", Some(Vendor::Keycloak)),
            (
                "https://id.example/auth/realms/shop",
                Some(Vendor::Keycloak),
            ),
            ("https://id.example/auth0.com/", None),
            ("https://auth0.com.evil.example", None),
            ("", None),
        ];
        for (issuer, expected) in cases {
            assert_eq!(Vendor::of(issuer), expected, "{issuer}");
        }
        let same = ["https://a.auth0.com/", "https://b.auth0.com/"];
        assert_eq!(Vendor::of_all(same), Some(Vendor::Auth0));
        assert_eq!(
            Vendor::of_all(["https://a.auth0.com/", "https://b.example"]),
            None
        );
        assert_eq!(Vendor::of_all([]), None);
    }
}
