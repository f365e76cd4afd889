use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The provider did not answer, or not as the standards say. Cheap to clone: everyone who waited
/// for the same call gets the same error.
#[derive(Clone)]
pub struct ProviderError(Arc<ProviderFailure>);

struct ProviderFailure {
    kind: ProviderErrorKind,
    message: String,
    claims: Option<Box<str>>,
    pause: Duration,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The causes of a [`ProviderError`], a closed set of words fit for a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// No connection.
    Unreachable,
    /// The connection broke after the request may have been sent.
    BrokenOff,
    /// The time limit passed.
    TimedOut,
    /// A status other than the one the standard demands; redirects are not followed.
    Status,
    /// The answer is not JSON, or not the document the standard describes.
    InvalidAnswer,
    /// The answer is larger than allowed.
    TooLarge,
    /// The discovery document speaks for another issuer than the configured one.
    IssuerMismatch,
    /// An endpoint is not an https URL, or carries user information or a fragment.
    InsecureEndpoint,
    /// The key set holds no key that can verify a signature.
    NoUsableKeys,
    /// There is no asynchronous runtime to make the call on.
    NoRuntime,
    /// The provider does not offer what is asked of it.
    NotOffered,
    /// The provider does not take this client or its request (`invalid_client` and its kin,
    /// [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
    RequestRefused,
    /// The provider rejected the code or refresh token (`invalid_grant`).
    GrantRejected,
    /// The provider wants the user to do something first (`interaction_required` and its kin,
    /// [OpenID Connect Core §3.1.2.6](https://openid.net/specs/openid-connect-core-1_0.html#AuthError)).
    InteractionRequired,
}

impl ProviderErrorKind {
    /// The kind as words with underscores, the label used in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::BrokenOff => "broken_off",
            Self::TimedOut => "timed_out",
            Self::Status => "status",
            Self::InvalidAnswer => "invalid_answer",
            Self::TooLarge => "too_large",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::InsecureEndpoint => "insecure_endpoint",
            Self::NoUsableKeys => "no_usable_keys",
            Self::NoRuntime => "no_runtime",
            Self::NotOffered => "not_offered",
            Self::RequestRefused => "request_refused",
            Self::GrantRejected => "grant_rejected",
            Self::InteractionRequired => "interaction_required",
        }
    }

    /// Whether waiting cannot mend it: a setting here or at the provider must change.
    #[must_use]
    pub fn is_configuration(self) -> bool {
        matches!(
            self,
            Self::IssuerMismatch | Self::InsecureEndpoint | Self::NotOffered | Self::RequestRefused
        )
    }
}

impl ProviderError {
    pub(crate) fn new(kind: ProviderErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(ProviderFailure {
            kind,
            message: message.into(),
            claims: None,
            pause: Duration::ZERO,
            source: None,
        }))
    }

    pub(crate) fn caused(
        kind: ProviderErrorKind,
        message: impl Into<String>,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self(Arc::new(ProviderFailure {
            kind,
            message: message.into(),
            claims: None,
            pause: Duration::ZERO,
            source: Some(source),
        }))
    }

    #[cfg(feature = "_client")]
    pub(crate) fn with_claims(self, claims: &str) -> Self {
        self.edited(|failure| failure.claims = Some(claims.into()))
    }

    /// How long to wait at the least before the next attempt.
    pub(crate) fn with_pause(self, pause: Duration) -> Self {
        self.edited(|failure| failure.pause = pause)
    }

    pub(crate) fn pause(&self) -> Duration {
        self.0.pause
    }

    /// Of an error that nobody else holds yet.
    fn edited(mut self, edit: impl FnOnce(&mut ProviderFailure)) -> Self {
        if let Some(failure) = Arc::get_mut(&mut self.0) {
            edit(failure);
        }
        self
    }

    /// The claims that the provider demands of the user, as JSON, where it demands some by an
    /// [`InteractionRequired`](ProviderErrorKind::InteractionRequired). The provider's own words.
    #[must_use]
    pub fn claims(&self) -> Option<&str> {
        self.0.claims.as_deref()
    }

    /// The cause.
    #[must_use]
    pub fn kind(&self) -> ProviderErrorKind {
        self.0.kind
    }
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProviderError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl std::error::Error for ProviderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|error| &**error as _)
    }
}
