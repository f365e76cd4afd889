use std::sync::Arc;
use std::time::Duration;

use crate::error::failure::Failure;
use crate::error::kinds::kinds;

/// A call to the provider failed. Cheap to clone: all requests that wait for one call share its error.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct ProviderError(Arc<Failure<ProviderErrorKind, Demands>>);

/// What the provider asks for in its refusal.
#[derive(Clone, Default)]
struct Demands {
    claims: Option<Box<str>>,
    code: Option<&'static str>,
    pause: Duration,
}

struct Facts {
    name: &'static str,
    is_configuration: bool,
}

kinds! {
    /// The kind of a [`ProviderError`]. The set is closed, so that a kind can be the label of a metric.
    pub enum ProviderErrorKind: Facts {
        /// No connection could be made.
        Unreachable { name: "unreachable", is_configuration: false }
        /// The connection broke, and the request may have been sent.
        BrokenOff { name: "broken_off", is_configuration: false }
        /// The call took longer than its time limit.
        TimedOut { name: "timed_out", is_configuration: false }
        /// The answer has another status than the standard demands. Redirects are not followed.
        Status { name: "status", is_configuration: false }
        /// The answer is not JSON, or not the document that the standard describes.
        InvalidAnswer { name: "invalid_answer", is_configuration: false }
        /// The answer is larger than allowed.
        TooLarge { name: "too_large", is_configuration: false }
        /// The metadata names another issuer than the configured one.
        IssuerMismatch { name: "issuer_mismatch", is_configuration: true }
        /// The URL of an endpoint is not https, or has user information or a fragment.
        InsecureEndpoint { name: "insecure_endpoint", is_configuration: true }
        /// The key set has no key that can verify a signature.
        NoUsableKeys { name: "no_usable_keys", is_configuration: false }
        /// The file of the provider's keys is gone, or cannot be read.
        UnreadableFile { name: "unreadable_file", is_configuration: false }
        /// This client has nothing to authenticate with for now: the file of its assertion or key cannot be used, or the
        /// function for its assertions failed. The call was not made.
        NoCredential { name: "no_credential", is_configuration: false }
        /// The call was made outside a tokio runtime.
        NoRuntime { name: "no_runtime", is_configuration: false }
        /// The function of an [`IssuerSource`](crate::IssuerSource) or of a `SiteSource` failed, panicked or took too long.
        SourceFailed { name: "source_failed", is_configuration: false }
        /// The call was not made, because tokens with unknown keys or issuers, or requests for unknown
        /// hosts, have caused too many of its kind.
        Suppressed { name: "suppressed", is_configuration: false }
        /// This process is stopping, and makes no grant any more.
        Stopping { name: "stopping", is_configuration: false }
        /// The provider does not offer what is needed, such as an endpoint or PKCE with S256.
        NotOffered { name: "not_offered", is_configuration: true }
        /// The provider refused this client or the form of its request (`invalid_client` and similar
        /// codes, [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
        RequestRefused { name: "request_refused", is_configuration: true }
        /// The provider rejected the code or refresh token (`invalid_grant`).
        GrantRejected { name: "grant_rejected", is_configuration: false }
        /// The user must do something at the provider first (`interaction_required` and similar codes,
        /// [OpenID Connect Core
        /// §3.1.2.6](https://openid.net/specs/openid-connect-core-1_0.html#AuthError)).
        InteractionRequired { name: "interaction_required", is_configuration: false }
    }
}

impl ProviderErrorKind {
    /// Whether a setting here or at the provider must change, so that waiting does not help.
    #[must_use]
    pub fn is_configuration(self) -> bool {
        self.facts().is_configuration
    }
}

impl ProviderError {
    pub(crate) fn new(kind: ProviderErrorKind, message: impl Into<String>) -> Self {
        Self(Failure::new(kind, message.into(), None))
    }

    pub(crate) fn caused(
        kind: ProviderErrorKind,
        message: impl Into<String>,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self(Failure::new(kind, message.into(), Some(source)))
    }

    #[cfg(any(feature = "login", feature = "outbound"))]
    pub(crate) fn with_claims(mut self, claims: &str) -> Self {
        Arc::make_mut(&mut self.0).extra.claims = Some(claims.into());
        self
    }

    /// The shortest time to wait before the next attempt.
    pub(crate) fn with_pause(mut self, pause: Duration) -> Self {
        Arc::make_mut(&mut self.0).extra.pause = pause;
        self
    }

    pub(crate) fn pause(&self) -> Duration {
        self.0.extra.pause
    }

    /// The claims that the provider demands of the user, as the JSON that it sent. `None` unless the
    /// kind is [`InteractionRequired`](ProviderErrorKind::InteractionRequired).
    #[must_use]
    pub fn claims(&self) -> Option<&str> {
        self.0.extra.claims.as_deref()
    }

    /// The same with the code of the answer, which a standard defines.
    #[cfg(any(feature = "login", feature = "outbound"))]
    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        Arc::make_mut(&mut self.0).extra.code = Some(code);
        self
    }

    /// The error code that the token endpoint answered with, such as `invalid_client`
    /// ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)). `None` if there was none, or one that no
    /// standard defines.
    #[must_use]
    pub fn oauth_code(&self) -> Option<&'static str> {
        self.0.extra.code
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ProviderErrorKind {
        self.0.kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::kinds::check_names;

    #[test]
    fn names_are_labels_and_texts_are_of_one_form() {
        check_names(ProviderErrorKind::ALL, ProviderErrorKind::as_str);
    }

    #[test]
    fn a_demand_is_kept_also_by_an_error_that_others_share() {
        let error = ProviderError::new(ProviderErrorKind::Status, "the provider is busy");
        let shared = error.clone();
        let pause = Duration::from_secs(7);
        let error = error.with_pause(pause);
        assert_eq!((error.pause(), shared.pause()), (pause, Duration::ZERO));
        assert_eq!(error.to_string(), shared.to_string());
    }

    #[test]
    fn the_cause_is_the_source_and_what_the_provider_demands_is_not_shown() {
        let cause = std::io::Error::other("no route");
        let kind = ProviderErrorKind::Unreachable;
        let error = ProviderError::caused(kind, "GET failed", cause.into());
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.downcast_ref::<std::io::Error>().is_some());
        #[cfg(any(feature = "login", feature = "outbound"))]
        {
            let error = error.with_claims("{\"hunter2\":1}");
            assert_eq!(error.claims(), Some("{\"hunter2\":1}"));
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
