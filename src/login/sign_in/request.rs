//! What is asked of the provider when a browser signs in.

/// The parameters of the authorization request.
#[derive(Debug, Clone)]
pub(crate) struct AuthorizationRequest {
    pub(crate) scope: String,
    pub(crate) audience: Option<String>,
    pub(crate) resources: Vec<String>,
    /// Those for which sessions ask later on: at the token endpoint a provider may grant no others than were named when
    /// the user signed in ([RFC 8707 §2.2](https://www.rfc-editor.org/rfc/rfc8707#section-2.2)).
    pub(crate) later_resources: Vec<String>,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) passed_through: Vec<PassedParameter>,
    /// Whether the provider posts its answer
    /// ([OAuth 2.0 Form Post Response Mode](https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html)).
    pub(crate) form_post: bool,
    /// Whether visitors without a session are asked about once, without a page.
    pub(crate) silent: bool,
    /// Whether the parameters are pushed ([RFC 9126](https://www.rfc-editor.org/rfc/rfc9126)).
    pub(crate) pushes: bool,
}

/// What happens to a sign-in that brings no refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfflineAccess {
    /// It fails.
    Required,
    /// Its session ends with the access token.
    MayBeShort,
}

/// A parameter of the authorization request that the start path takes from its query
/// ([OpenID Connect Core §3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassedParameter {
    /// `prompt`: whether the provider asks again.
    Prompt,
    /// `login_hint`: who is about to sign in.
    LoginHint,
    /// `acr_values`: how strongly. The ID token must then have one of them as `acr`.
    AcrValues,
    /// `max_age`: how long ago at the most, in seconds. The ID token's `auth_time` must then fit.
    MaxAge,
}

impl PassedParameter {
    #[cfg(feature = "reqwest")]
    pub(crate) const ALL: [Self; 4] =
        [Self::Prompt, Self::LoginHint, Self::AcrValues, Self::MaxAge];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::LoginHint => "login_hint",
            Self::AcrValues => "acr_values",
            Self::MaxAge => "max_age",
        }
    }
}
