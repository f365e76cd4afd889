//! The kinds of JWTs that are told apart, and what each must and must not hold.

use std::time::Duration;

use crate::error::setup::JudgedAs;
use crate::principal::PrincipalKind;

/// What kind of tokens clients present, and the claims that these must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenProfile {
    /// Access tokens of Auth0, Entra ID, Okta and Keycloak: `typ` may be `JWT` or absent; `iss`, `aud`
    /// and `exp` are required. The default.
    #[default]
    Lenient,
    /// [RFC 9068 §4](https://www.rfc-editor.org/rfc/rfc9068#section-4): `typ` is `at+jwt`; `sub`,
    /// `client_id`, `iat` and `jti` are required too.
    Strict,
    /// [ID tokens](https://openid.net/specs/openid-connect-core-1_0.html#IDToken) that clients present instead of
    /// access tokens: to services on Google Cloud and behind its IAP, with Firebase, with Cognito. `typ` is `JWT` or
    /// absent; `sub` and `iat` are required too. Access tokens are refused as far as they say what they are. The
    /// [`Principal`](crate::Principal) is of the kind [`IdToken`](crate::PrincipalKind::IdToken) and has no scopes.
    ///
    /// # Security
    /// The audience of the ID token of a sign-in is the client that asked for it. Accept only an audience whose
    /// tokens are meant for this service: any holder of one can call it.
    IdToken,
}

/// The kind of JWT that is expected (RFC 8725 §3.12). A token of one kind never passes as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access(TokenProfile),
    /// [OpenID Connect Core §2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken)
    #[cfg(feature = "login")]
    Id,
    /// [OpenID Connect Back-Channel Logout §2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)
    #[cfg(feature = "login")]
    Logout {
        /// Whether it must say when it expires, as the standard has it and its drafts have not.
        needs_expiry: bool,
    },
    /// What the provider says of an access token that it was asked about
    /// ([RFC 7662 §2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)).
    #[cfg(feature = "introspection")]
    Introspected,
    /// The JWT that it says so with ([RFC 9701 §5](https://www.rfc-editor.org/rfc/rfc9701#section-5)).
    #[cfg(feature = "introspection")]
    IntrospectionAnswer,
}

impl TokenKind {
    /// What a principal made of it is.
    pub(super) fn principal(self) -> PrincipalKind {
        match self {
            Self::Access(TokenProfile::Lenient | TokenProfile::Strict) => {
                PrincipalKind::AccessToken
            }
            Self::Access(TokenProfile::IdToken) => PrincipalKind::IdToken,
            #[cfg(feature = "login")]
            Self::Id | Self::Logout { .. } => PrincipalKind::IdToken,
            #[cfg(feature = "introspection")]
            Self::Introspected | Self::IntrospectionAnswer => PrincipalKind::AccessToken,
        }
    }

    pub(super) fn is_id_token(self) -> bool {
        match self {
            Self::Access(profile) => profile == TokenProfile::IdToken,
            #[cfg(feature = "login")]
            Self::Id => true,
            #[cfg(feature = "login")]
            Self::Logout { .. } => false,
            #[cfg(feature = "introspection")]
            Self::Introspected | Self::IntrospectionAnswer => false,
        }
    }

    /// How long a token without `exp` counts. `None`: it must have one.
    pub(super) fn counts_without_expiry(self) -> Option<Duration> {
        match self {
            #[cfg(feature = "introspection")]
            Self::Introspected | Self::IntrospectionAnswer => Some(ANSWER_COUNTS),
            #[cfg(feature = "login")]
            Self::Logout {
                needs_expiry: false,
            } => Some(LOGOUT_COUNTS),
            _ => None,
        }
    }

    /// What errors call it.
    pub(super) fn judged_as(self) -> JudgedAs {
        match self {
            Self::Access(TokenProfile::IdToken) => JudgedAs::PresentedId,
            Self::Access(profile) => JudgedAs::Access {
                strict: profile == TokenProfile::Strict,
            },
            #[cfg(feature = "login")]
            Self::Id => JudgedAs::Id,
            #[cfg(feature = "login")]
            Self::Logout { .. } => JudgedAs::Logout,
            #[cfg(feature = "introspection")]
            Self::Introspected | Self::IntrospectionAnswer => JudgedAs::Introspected,
        }
    }

    /// Whether this `typ` is one of this kind.
    pub(super) fn is_called(self, typ: &str) -> bool {
        match self {
            Self::Access(TokenProfile::Strict) => media_type_is(typ, "at+jwt"),
            Self::Access(TokenProfile::Lenient) => {
                media_type_is(typ, "at+jwt") || media_type_is(typ, "jwt")
            }
            Self::Access(TokenProfile::IdToken) => media_type_is(typ, "jwt"),
            #[cfg(feature = "login")]
            Self::Id => media_type_is(typ, "jwt"),
            #[cfg(feature = "login")]
            Self::Logout { .. } => media_type_is(typ, "logout+jwt") || media_type_is(typ, "jwt"),
            #[cfg(feature = "introspection")]
            Self::Introspected => false,
            #[cfg(feature = "introspection")]
            Self::IntrospectionAnswer => media_type_is(typ, "token-introspection+jwt"),
        }
    }

    /// Whether `typ` is required.
    pub(super) fn needs_typ(self) -> bool {
        match self {
            Self::Access(profile) => profile == TokenProfile::Strict,
            #[cfg(feature = "introspection")]
            Self::IntrospectionAnswer => true,
            #[cfg(any(feature = "introspection", feature = "login"))]
            _ => false,
        }
    }

    /// The claims that are required beside `iss`, `aud` and, in most kinds, `exp`.
    pub(super) fn required(self) -> &'static [&'static str] {
        match self {
            Self::Access(TokenProfile::Lenient) => &[],
            Self::Access(TokenProfile::Strict) => &["sub", "client_id", "iat", "jti"],
            Self::Access(TokenProfile::IdToken) => &["sub", "iat"],
            #[cfg(feature = "login")]
            Self::Id => &["sub", "iat"],
            #[cfg(feature = "login")]
            Self::Logout { .. } => &["iat", "jti"],
            #[cfg(feature = "introspection")]
            Self::Introspected => &[],
            #[cfg(feature = "introspection")]
            Self::IntrospectionAnswer => &["iat"],
        }
    }

    /// The claims that mark other kinds. In an access token `nonce` is one where nothing says what the token is.
    pub(super) fn foreign(self) -> &'static [&'static str] {
        match self {
            Self::Access(TokenProfile::Lenient | TokenProfile::Strict) => OTHER_THAN_ACCESS,
            Self::Access(TokenProfile::IdToken) => OTHER_THAN_ID,
            #[cfg(feature = "login")]
            Self::Id => OTHER_THAN_ID,
            #[cfg(feature = "login")]
            Self::Logout { .. } => &[
                "nonce",
                "at_hash",
                "c_hash",
                "s_hash",
                "htm",
                "htu",
                "token_introspection",
            ],
            #[cfg(feature = "introspection")]
            Self::Introspected => OTHER_THAN_ACCESS,
            // Its `typ` is of no other kind.
            #[cfg(feature = "introspection")]
            Self::IntrospectionAnswer => &[],
        }
    }
}

/// How long an introspection answer counts that does not tell when the token expires.
#[cfg(feature = "introspection")]
const ANSWER_COUNTS: Duration = Duration::from_secs(60);

/// How long a logout token counts that does not tell when it expires. Its `iat` bounds it as well.
#[cfg(feature = "login")]
const LOGOUT_COUNTS: Duration = Duration::from_secs(300);

/// The claims that no access token has, or only one that says what it is.
const OTHER_THAN_ACCESS: &[&str] = &[
    "typ",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "events",
    "htm",
    "htu",
    "token_introspection",
];

/// The claims that no ID token has.
const OTHER_THAN_ID: &[&str] = &[
    "typ",
    "scope",
    "events",
    "htm",
    "htu",
    "token_introspection",
];

/// Compares media types case-insensitively. `application/` may be omitted (RFC 7515 §4.1.9).
pub(super) fn media_type_is(value: &str, name: &str) -> bool {
    const PREFIX: &str = "application/";
    let name_of = match value.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => value,
    };
    name_of.eq_ignore_ascii_case(name)
}
