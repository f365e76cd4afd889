//! The introspection endpoint ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};

use crate::error::{ProviderError, ProviderErrorKind};
use crate::http_client::Limits;
use crate::observe;
use crate::provider::Provider;
use crate::provider::client::credentials::Client;
use crate::provider::client::endpoint_call::Form;
use crate::provider::client::oauth_error::known_error;
use crate::provider::endpoints::Endpoints;
use crate::retry_after::retry_after;

const LIMITS: Limits = Limits {
    time: Duration::from_secs(5),
    size: 1024 * 1024,
};

/// The media type of signed answers ([RFC 9701 §4](https://www.rfc-editor.org/rfc/rfc9701#section-4)).
const SIGNED: &str = "application/token-introspection+jwt";

/// Why the provider says nothing of a token.
pub(crate) enum NoAnswer {
    /// It is away, has too much to do, or does not accept this client: it would not tell about other tokens either.
    OfAny(ProviderError),
    /// What it did may be about this token alone, which a stranger may have made up.
    OfThis(ProviderError),
}

/// What the provider says of a token. Nothing of it is checked.
pub(crate) enum IntrospectionAnswer {
    /// A JSON document, as far as its media type says.
    Plain(String),
    /// A JWT.
    Signed(String),
}

impl Provider {
    /// Asks the provider about a token ([RFC 7662 §2.1](https://www.rfc-editor.org/rfc/rfc7662#section-2.1)).
    pub(crate) async fn introspect(
        &self,
        client: &Client,
        token: &str,
        signed: bool,
    ) -> Result<IntrospectionAnswer, NoAnswer> {
        let began = self.clock().begin();
        let answered = self.send_introspection(client, token, signed).await;
        observe::introspection_took(answered.is_ok(), self.clock().since(began));
        answered
    }

    async fn send_introspection(
        &self,
        client: &Client,
        token: &str,
        signed: bool,
    ) -> Result<IntrospectionAnswer, NoAnswer> {
        let form = Form {
            parameters: &[("token", token), ("token_type_hint", "access_token")],
            accept: signed.then_some(SIGNED),
        };
        let endpoint = Endpoints::introspection;
        let discovered;
        let server = if let Some(configured) = &self.0.client_side.introspection {
            configured
        } else {
            discovered = self.metadata().await.map_err(|refusal| {
                let pause = refusal.retry_after;
                NoAnswer::OfAny(refusal.error.with_pause(pause))
            })?;
            &discovered.value.server.for_introspection()
        };
        let sent = self.call_as(client, server, endpoint, form, LIMITS).await;
        let answer = sent.map_err(|unanswered| {
            let error = ProviderError::from(unanswered);
            match error.kind() {
                ProviderErrorKind::TooLarge => NoAnswer::OfThis(error),
                _ => NoAnswer::OfAny(error),
            }
        })?;
        if answer.status() != StatusCode::OK {
            let pause = retry_after(answer.headers(), self.clock().now());
            return Err(refused(&answer, pause));
        }
        let is_signed = is_signed(&answer);
        let text = String::from_utf8(answer.into_body().into()).map_err(|_| {
            let message = "the introspection endpoint did not answer with text";
            let kind = ProviderErrorKind::InvalidAnswer;
            NoAnswer::OfThis(ProviderError::new(kind, message))
        })?;
        Ok(if is_signed {
            IntrospectionAnswer::Signed(text)
        } else {
            IntrospectionAnswer::Plain(text)
        })
    }
}

fn refused(answer: &Response<Bytes>, pause: Option<Duration>) -> NoAnswer {
    let status = answer.status();
    let is_about_the_client = status == StatusCode::UNAUTHORIZED
        || matches!(
            known_error(answer.body()),
            Some("invalid_client" | "unauthorized_client")
        );
    if is_about_the_client {
        return NoAnswer::OfAny(ProviderError::new(
            ProviderErrorKind::RequestRefused,
            format!(
                "the introspection endpoint answered {status}: it does not accept this client; compare its id \
                 (OPENID_CLIENT_ID) and how it authenticates (OPENID_CLIENT_SECRET, or what is in its place) with what \
                 the provider has, and allow the client to \
                 introspect tokens there"
            ),
        ));
    }
    let message = format!("the introspection endpoint answered {status}");
    let error = ProviderError::new(ProviderErrorKind::Status, message);
    // A token that the provider chokes on may be answered 400 or 500, by a firewall 403.
    let is_away = matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    ) || status == StatusCode::TOO_MANY_REQUESTS;
    match pause {
        Some(pause) => NoAnswer::OfAny(error.with_pause(pause)),
        None if is_away => NoAnswer::OfAny(error),
        None => NoAnswer::OfThis(error),
    }
}

fn is_signed(answer: &Response<Bytes>) -> bool {
    let media_type = answer.headers().get(CONTENT_TYPE);
    media_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(SIGNED))
}
