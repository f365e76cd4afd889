//! The calls beside the token endpoint: pushed authorization, UserInfo, revocation.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;
use url::Url;

use crate::error::{ProviderError, ProviderErrorKind};
use crate::http_client::{Call, Limits};
use crate::provider::Provider;
use crate::provider::client::credentials::Client;
use crate::provider::client::endpoint_call::Form;
use crate::provider::discovery::Server;
use crate::provider::endpoints::Endpoints;
use crate::retry_after::retry_after;
use crate::secret::Secret;

const LIMITS: Limits = Limits {
    time: Duration::from_secs(5),
    size: 1024 * 1024,
};

impl Provider {
    /// The URL that a browser is sent to with these parameters ([RFC 6749
    /// §4.1.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1)). The parameters are in the URL,
    /// or pushed if that is chosen or the provider demands it ([RFC 9126
    /// §4](https://www.rfc-editor.org/rfc/rfc9126#section-4)).
    pub(crate) async fn authorization_url(
        &self,
        client: &Client,
        parameters: &[(&str, &str)],
        pushes: bool,
    ) -> Result<Url, ProviderError> {
        let metadata = self.metadata().await.map_err(|refusal| refusal.error)?;
        let endpoints = &metadata.value.server.endpoints;
        endpoints.check_challenge_methods()?;
        let mut url = endpoints.authorization()?.clone();
        if !(pushes || endpoints.must_push_authorization()) {
            url.query_pairs_mut()
                .extend_pairs(parameters)
                .append_pair("client_id", client.id());
            return Ok(url);
        }
        let endpoint = Endpoints::pushed_authorization;
        let answer = self
            .call_as(
                client,
                &metadata.value.server,
                endpoint,
                Form::of(parameters),
                LIMITS,
            )
            .await?;
        let document: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        match document.get("request_uri").and_then(Value::as_str) {
            Some(request_uri) if answer.status() == StatusCode::CREATED => {
                url.query_pairs_mut()
                    .append_pair("client_id", client.id())
                    .append_pair("request_uri", request_uri);
                Ok(url)
            }
            _ => Err(ProviderError::new(
                if answer.status().is_client_error() {
                    ProviderErrorKind::RequestRefused
                } else {
                    ProviderErrorKind::Status
                },
                format!(
                    "the pushed authorization request was answered {}",
                    answer.status()
                ),
            )),
        }
    }

    /// The claims of UserInfo. Nothing is checked but that they came from the endpoint
    /// ([OpenID Connect Core §5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo)).
    pub(crate) async fn userinfo(&self, access_token: &Secret) -> Result<Value, ProviderError> {
        let metadata = self.metadata().await.map_err(|refusal| refusal.error)?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", access_token.expose()))
            .map_err(|_| {
                invalid("the access token contains characters that a header cannot contain")
            })?;
        authorization.set_sensitive(true);
        let call = |_: &Server| {
            Ok(Call {
                authorization: Some(authorization.clone()),
                ..Call::default()
            })
        };
        let answer = self
            .call_endpoint(
                &metadata.value.server,
                |endpoints| endpoints.userinfo().cloned(),
                call,
                LIMITS,
            )
            .await?;
        if answer.status() != StatusCode::OK {
            return Err(ProviderError::new(
                ProviderErrorKind::Status,
                format!("the userinfo endpoint answered {}", answer.status()),
            ));
        }
        serde_json::from_slice(answer.body())
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| invalid("the userinfo endpoint did not answer with a JSON object"))
    }

    /// Revokes a refresh token and all tokens of its grant ([RFC 7009
    /// §2](https://www.rfc-editor.org/rfc/rfc7009#section-2)). `Ok` also if the provider offers no
    /// revocation. An error comes with the pause that the provider asks for.
    pub(crate) async fn revoke(
        &self,
        client: &Client,
        token: &Secret,
    ) -> Result<(), (ProviderError, Option<Duration>)> {
        let answer = match self.post_revocation(client, token).await {
            Ok(Some(answer)) if !answer.status().is_success() => answer,
            Ok(_) => return Ok(()),
            Err(error) => return Err((error, None)),
        };
        let kind = if answer.status().is_client_error() {
            ProviderErrorKind::RequestRefused
        } else {
            ProviderErrorKind::Status
        };
        let message = format!("the revocation endpoint answered {}", answer.status());
        Err((
            ProviderError::new(kind, message),
            retry_after(answer.headers(), self.clock().now()),
        ))
    }

    async fn post_revocation(
        &self,
        client: &Client,
        token: &Secret,
    ) -> Result<Option<Response<Bytes>>, ProviderError> {
        let metadata = self.metadata().await.map_err(|refusal| refusal.error)?;
        let endpoints = client.addresses(&metadata.value.server.endpoints);
        if endpoints.revocation().is_err() {
            return Ok(None);
        }
        let parameters = [
            ("token", token.expose()),
            ("token_type_hint", "refresh_token"),
        ];
        let endpoint = Endpoints::revocation;
        let answer = self
            .call_as(
                client,
                &metadata.value.server,
                endpoint,
                Form::of(&parameters),
                LIMITS,
            )
            .await?;
        Ok(Some(answer))
    }
}

fn invalid(problem: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::InvalidAnswer, problem)
}
