//! The token endpoint: sends a grant, and reads what its answer means
//! ([RFC 6749 §5](https://www.rfc-editor.org/rfc/rfc6749#section-5)).

mod answer;
mod failure;

use std::time::Duration;

use tracing::Instrument as _;

use crate::error::ProviderError;
use crate::http_client::Limits;
use crate::observe;
use crate::provider::Provider;
use crate::provider::client::credentials::Client;
use crate::provider::client::endpoint_call::{Form, Unanswered};
use crate::provider::endpoints::Endpoints;
use crate::secret::Secret;

/// The tokens that a grant brings.
#[derive(Debug)]
#[cfg_attr(
    not(all(feature = "login", feature = "outbound")),
    allow(dead_code, reason = "a sign-in and a service use different members")
)]
pub(crate) struct TokenAnswer {
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Option<Secret>,
    pub(crate) id_token: Option<Secret>,
    /// The type of an exchanged token
    /// ([RFC 8693 §2.2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.2.1)).
    pub(crate) issued_token_type: Option<String>,
    /// As the provider wrote it, also if negative. `None` if it is missing or not a number.
    pub(crate) expires_in: Option<i64>,
    /// Never zero; `None` if the provider does not say, or says that it does not expire.
    pub(crate) refresh_expires_in: Option<Duration>,
    pub(crate) scope: Option<String>,
}

/// Why a grant brought no tokens, told by what it means for the code or refresh token that was sent.
#[derive(Debug)]
pub(crate) enum GrantFailure {
    /// The provider rejected it. It will never be accepted.
    Rejected(ProviderError),
    /// The provider refused the client or the form of the request. The token is unspent, and no
    /// request will succeed until a setting changes.
    Misconfigured(ProviderError),
    /// It was not spent and can be sent again, after the pause if the provider asks for one.
    Unspent(ProviderError, Option<Duration>),
    /// It may have been spent: the answer was lost, or does not tell. The error carries the pause that
    /// the provider asks for.
    Uncertain(ProviderError),
}

impl GrantFailure {
    /// The failure in a word of metrics and spans.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::Misconfigured(_) => "misconfigured",
            Self::Unspent(..) => "unspent",
            Self::Uncertain(_) => "uncertain",
        }
    }

    #[cfg(any(feature = "login", test))]
    pub(crate) fn error(&self) -> &ProviderError {
        match self {
            Self::Rejected(error)
            | Self::Misconfigured(error)
            | Self::Unspent(error, _)
            | Self::Uncertain(error) => error,
        }
    }
}

const LIMITS: Limits = Limits {
    time: TOKEN_CALL,
    size: 1024 * 1024,
};

/// The time limit of one call to the token endpoint.
pub(crate) const TOKEN_CALL: Duration = Duration::from_secs(10);

impl Provider {
    /// Sends one grant. It is never repeated after it may have been spent.
    pub(crate) async fn grant(
        &self,
        client: &Client,
        parameters: &[(&str, &str)],
    ) -> Result<TokenAnswer, GrantFailure> {
        let grant = word_of_grant(parameters);
        let result = tracing::field::Empty;
        let span = tracing::info_span!("grant", grant, result);
        let began = self.clock().begin();
        let granted = self.send_grant(client, parameters).instrument(span.clone());
        let granted = granted.await;
        let word = granted
            .as_ref()
            .map_or_else(GrantFailure::as_str, |_| "granted");
        span.record("result", word);
        observe::grant_took(grant, word, self.clock().since(began));
        granted
    }

    async fn send_grant(
        &self,
        client: &Client,
        parameters: &[(&str, &str)],
    ) -> Result<TokenAnswer, GrantFailure> {
        let metadata = self
            .metadata()
            .await
            .map_err(|refusal| GrantFailure::Unspent(refusal.error, Some(refusal.retry_after)))?;
        let endpoint = Endpoints::token;
        let form = Form::of(parameters);
        let answered = self.call_as(client, &metadata.value.server, endpoint, form, LIMITS);
        match answered.await {
            Ok(answer) => answer::read(&answer, self.clock().now()),
            Err(Unanswered::NotSent(error)) => Err(GrantFailure::Unspent(error, None)),
            Err(Unanswered::Sent(error)) => Err(GrantFailure::Uncertain(error)),
        }
    }
}

/// The grant in a word of metrics and spans.
fn word_of_grant(parameters: &[(&str, &str)]) -> &'static str {
    let grant = parameters.iter().find(|(name, _)| *name == "grant_type");
    match grant.map(|(_, value)| *value) {
        Some("authorization_code") => "authorization_code",
        Some("refresh_token") => "refresh_token",
        Some("client_credentials") => "client_credentials",
        Some("urn:ietf:params:oauth:grant-type:token-exchange") => "token_exchange",
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => "jwt_bearer",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
