//! The endpoints in the metadata, and what they support
//! ([OpenID Connect Discovery §3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata),
//! RFC 8414 §2).

#![cfg_attr(
    not(feature = "login"),
    allow(dead_code, reason = "a service needs fewer endpoints than a sign-in")
)]

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::claims::{Transport, parse_url};
use crate::error::{Chain, ProviderError, ProviderErrorKind};

/// The endpoints that the metadata names and that are safe to call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Endpoints {
    authorization: Option<Url>,
    token: Option<Url>,
    userinfo: Option<Url>,
    revocation: Option<Url>,
    #[cfg(feature = "introspection")]
    introspection: Option<Url>,
    pub(crate) end_session: Option<Url>,
    pushed_authorization: Option<Url>,
    requires_pushed_authorization: bool,
    /// Whether callbacks have `iss`
    /// ([RFC 9207 §3](https://www.rfc-editor.org/rfc/rfc9207#section-3)).
    pub(crate) names_issuer: bool,
    challenge_methods: Option<Vec<String>>,
    client_authentication: Option<Vec<String>>,
    #[cfg(feature = "introspection")]
    introspection_authentication: Option<Vec<String>>,
    /// The same with the addresses for clients that present a certificate
    /// ([RFC 8705 §5](https://www.rfc-editor.org/rfc/rfc8705#section-5)), if there are others.
    with_certificate: Option<Box<Self>>,
}

/// The members of the document. A member of the wrong type counts as absent, because the rest may be all
/// that is needed.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct EndpointsDocument {
    authorization_endpoint: Value,
    token_endpoint: Value,
    userinfo_endpoint: Value,
    revocation_endpoint: Value,
    #[cfg(feature = "introspection")]
    introspection_endpoint: Value,
    end_session_endpoint: Value,
    pushed_authorization_request_endpoint: Value,
    require_pushed_authorization_requests: Value,
    authorization_response_iss_parameter_supported: Value,
    code_challenge_methods_supported: Value,
    token_endpoint_auth_methods_supported: Value,
    #[cfg(feature = "introspection")]
    introspection_endpoint_auth_methods_supported: Value,
    mtls_endpoint_aliases: Value,
}

impl EndpointsDocument {
    pub(super) fn check(&self, transport: &Transport) -> Endpoints {
        let mut endpoints = self.check_own(transport);
        if let Ok(aliases) = Self::deserialize(&self.mtls_endpoint_aliases) {
            let aliases = aliases.check_own(transport);
            endpoints.with_certificate = Some(Box::new(endpoints.clone().replaced_by(aliases)));
        }
        endpoints
    }

    fn check_own(&self, transport: &Transport) -> Endpoints {
        let url = |name: &'static str, value: &Value| {
            parse_url(name, value.as_str()?, transport)
                .inspect_err(|error| {
                    tracing::warn!(error = %Chain(error), "an unsafe endpoint in the metadata is not used");
                })
                .ok()
        };
        let is_true = |value: &Value| value.as_bool() == Some(true);
        Endpoints {
            authorization: url("authorization_endpoint", &self.authorization_endpoint),
            token: url("token_endpoint", &self.token_endpoint),
            userinfo: url("userinfo_endpoint", &self.userinfo_endpoint),
            revocation: url("revocation_endpoint", &self.revocation_endpoint),
            #[cfg(feature = "introspection")]
            introspection: url("introspection_endpoint", &self.introspection_endpoint),
            end_session: url("end_session_endpoint", &self.end_session_endpoint),
            pushed_authorization: url(
                "pushed_authorization_request_endpoint",
                &self.pushed_authorization_request_endpoint,
            ),
            requires_pushed_authorization: is_true(&self.require_pushed_authorization_requests),
            names_issuer: is_true(&self.authorization_response_iss_parameter_supported),
            challenge_methods: words(&self.code_challenge_methods_supported),
            client_authentication: words(&self.token_endpoint_auth_methods_supported),
            #[cfg(feature = "introspection")]
            introspection_authentication: words(
                &self.introspection_endpoint_auth_methods_supported,
            ),
            with_certificate: None,
        }
    }
}

fn words(value: &Value) -> Option<Vec<String>> {
    let words = value.as_array()?.iter();
    Some(
        words
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect(),
    )
}

impl Endpoints {
    pub(crate) fn authorization(&self) -> Result<&Url, ProviderError> {
        named("authorization_endpoint", self.authorization.as_ref())
    }

    pub(crate) fn token(&self) -> Result<&Url, ProviderError> {
        named("token_endpoint", self.token.as_ref())
    }

    pub(crate) fn userinfo(&self) -> Result<&Url, ProviderError> {
        named("userinfo_endpoint", self.userinfo.as_ref())
    }

    pub(crate) fn revocation(&self) -> Result<&Url, ProviderError> {
        named("revocation_endpoint", self.revocation.as_ref())
    }

    /// With this introspection endpoint alone.
    #[cfg(feature = "introspection")]
    pub(crate) fn of_introspection(url: Url) -> Self {
        Self {
            introspection: Some(url),
            ..Self::default()
        }
    }

    /// The same where the introspection endpoint lists its own ways to authenticate
    /// ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)).
    #[cfg(feature = "introspection")]
    pub(crate) fn for_introspection(&self) -> Self {
        let mut endpoints = self.clone();
        if let Some(methods) = endpoints.introspection_authentication.take() {
            endpoints.client_authentication = Some(methods);
        }
        let aliases = endpoints.with_certificate.take();
        endpoints.with_certificate = aliases.map(|aliases| Box::new(aliases.for_introspection()));
        endpoints
    }

    #[cfg(feature = "introspection")]
    pub(crate) fn introspection(&self) -> Result<&Url, ProviderError> {
        named("introspection_endpoint", self.introspection.as_ref())
    }

    pub(crate) fn pushed_authorization(&self) -> Result<&Url, ProviderError> {
        named(
            "pushed_authorization_request_endpoint",
            self.pushed_authorization.as_ref(),
        )
    }

    /// Whether the provider demands that the parameters of a sign-in are pushed.
    pub(crate) fn must_push_authorization(&self) -> bool {
        self.requires_pushed_authorization
    }

    /// Refuses a provider whose list of PKCE methods lacks `S256` ([RFC 9700
    /// §2.1.1](https://www.rfc-editor.org/rfc/rfc9700#section-2.1.1)). A provider without a list may
    /// support it.
    pub(crate) fn check_challenge_methods(&self) -> Result<(), ProviderError> {
        match &self.challenge_methods {
            Some(methods) if !methods.iter().any(|method| method == "S256") => {
                Err(ProviderError::new(
                    ProviderErrorKind::NotOffered,
                    "the provider's code_challenge_methods_supported lacks S256, and sign-in is unsafe \
                     without it; enable PKCE with S256 at the provider",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The addresses for a client that presents a certificate.
    #[cfg(feature = "client")]
    pub(crate) fn with_certificate(&self) -> &Self {
        self.with_certificate.as_deref().unwrap_or(self)
    }

    /// These with the addresses that `aliases` names.
    fn replaced_by(self, aliases: Self) -> Self {
        Self {
            token: aliases.token.or(self.token),
            userinfo: aliases.userinfo.or(self.userinfo),
            revocation: aliases.revocation.or(self.revocation),
            #[cfg(feature = "introspection")]
            introspection: aliases.introspection.or(self.introspection),
            pushed_authorization: aliases.pushed_authorization.or(self.pushed_authorization),
            ..self
        }
    }

    /// Refuses a provider whose list of client authentication has none of these methods. A provider without a list may
    /// take them.
    #[cfg(feature = "client")]
    pub(crate) fn check_client_authentication(
        &self,
        methods: &[&str],
    ) -> Result<(), ProviderError> {
        match &self.client_authentication {
            Some(listed)
                if !methods
                    .iter()
                    .any(|method| listed.iter().any(|one| one == method)) =>
            {
                Err(ProviderError::new(
                    ProviderErrorKind::NotOffered,
                    format!(
                        "this client authenticates by {}, and the provider's metadata lists {}; let the provider accept \
                         it, or authenticate by what it lists",
                        methods.join(" or "),
                        self.listed_authentication()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// The methods of client authentication that the provider lists, for people.
    #[cfg(feature = "client")]
    pub(crate) fn listed_authentication(&self) -> String {
        const MOST: usize = 12;
        let is_word = |word: &&str| {
            word.len() <= 40
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        let words = self.client_authentication.iter().flatten();
        let words: Vec<_> = words
            .map(String::as_str)
            .filter(is_word)
            .take(MOST)
            .collect();
        if words.is_empty() {
            "none".to_owned()
        } else {
            words.join(", ")
        }
    }

    /// Whether the provider supports this method of client authentication. Without a list it supports
    /// `client_secret_basic` (RFC 8414 §2).
    pub(crate) fn supports_client_authentication(&self, method: &str) -> bool {
        match &self.client_authentication {
            Some(methods) => methods.iter().any(|listed| listed == method),
            None => method == "client_secret_basic",
        }
    }
}

fn named<'a>(name: &str, endpoint: Option<&'a Url>) -> Result<&'a Url, ProviderError> {
    endpoint.ok_or_else(|| {
        ProviderError::new(
            ProviderErrorKind::NotOffered,
            format!("the provider's metadata names no safe {name}"),
        )
    })
}
