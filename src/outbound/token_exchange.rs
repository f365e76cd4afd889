use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{OutboundErrorKind, ProviderError, ProviderErrorKind};
use crate::http_client::BoxFuture;
use crate::outbound::exchanged::{Exchange, Exchanged};
use crate::outbound::for_caller::ForCaller;
use crate::outbound::granter::Granter;
use crate::principal::Principal;
use crate::provider::client::token_endpoint::TokenAnswer;
use crate::provider::{Client, Provider};
use crate::renew::Fetched;
use crate::token::live::LiveToken;
use crate::token::source::{DrainFuture, TokenFuture, TokenRequest, TokenSource, TokenSupply};
use crate::token::target::Target;

/// Exchanges the caller's token for one that another service accepts
/// ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)). That service learns who the caller is, and gets
/// no token that it could use here.
///
/// The caller is the [`Principal`] in the request's extensions, as with
/// [`relay`](crate::OutboundLayer::relay). The exchanged token is kept for the one token it was exchanged
/// for, until the first of the two expires; at most 10 000 are kept. Clones share them.
///
/// ```
/// use tower_oidc::outbound::{OutboundLayer, Target, TokenExchange};
/// use tower_oidc::{Client, Provider};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let provider = Provider::discover("https://id.example/realms/shop")?;
/// let client = Client::with_secret("shop", "…")?;
/// let tokens = TokenExchange::new(&provider, client, Target::audience("orders")?);
/// let layer = OutboundLayer::new("https://orders.internal", tokens)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenExchange(Arc<Exchanged<ExchangeSettings>>);

#[derive(Clone)]
struct ExchangeSettings {
    granter: Arc<Granter>,
    subject_token_type: Box<str>,
    actor: Option<Arc<dyn TokenSource>>,
}

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

impl TokenExchange {
    /// Exchanges made by this client, for tokens for this target.
    #[must_use]
    pub fn new(provider: &Provider, client: Client, target: Target) -> Self {
        Self::with_settings(ExchangeSettings {
            granter: Arc::new(Granter::new(provider, client, target)),
            subject_token_type: ACCESS_TOKEN.into(),
            actor: None,
        })
    }

    /// The type of the caller's token. Default: `urn:ietf:params:oauth:token-type:access_token`. Auth0
    /// wants the type that its exchange profile names.
    #[must_use]
    pub fn with_subject_token_type(self, subject_token_type: &str) -> Self {
        Self::with_settings(ExchangeSettings {
            subject_token_type: subject_token_type.into(),
            ..self.0.exchange().clone()
        })
    }

    /// Names the actor, who acts for the caller, by a token of this source
    /// ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)). Default: none; the client
    /// itself acts.
    #[must_use]
    pub fn with_actor(self, actor: impl TokenSource) -> Self {
        Self::with_settings(ExchangeSettings {
            actor: Some(Arc::new(actor)),
            ..self.0.exchange().clone()
        })
    }

    /// A token exchanged for this caller's, without a layer and from the same cache:
    /// [`TokenSource::token`] says more.
    ///
    /// # Errors
    /// [`OutboundError`](crate::OutboundError) if there is none.
    ///
    /// # Security
    /// Here nothing checks where the token goes.
    #[must_use]
    pub fn token_for(&self, caller: &Principal) -> TokenFuture {
        ForCaller::new(Arc::new(self.clone()), caller).token()
    }

    fn with_settings(settings: ExchangeSettings) -> Self {
        let clock = settings.granter.clock().clone();
        Self(Exchanged::new(settings, &clock))
    }
}

impl Exchange for ExchangeSettings {
    fn admits(&self, _: &Principal) -> Result<(), OutboundErrorKind> {
        Ok(())
    }

    fn exchange(
        self: &Arc<Self>,
        subject: LiveToken,
    ) -> BoxFuture<Result<Fetched<LiveToken>, ProviderError>> {
        let settings = Arc::clone(self);
        Box::pin(async move {
            let actor = match &settings.actor {
                Some(actor) => Some(
                    actor
                        .supply(&TokenRequest::unbound())
                        .token()
                        .await
                        .map_err(|error| {
                            ProviderError::caused(
                                ProviderErrorKind::Unreachable,
                                "there is no token for the actor of an exchange",
                                error.into(),
                            )
                        })?,
                ),
                None => None,
            };
            let mut form = vec![
                ("grant_type", GRANT_TYPE),
                ("subject_token", subject.as_access_token().as_str()),
                ("subject_token_type", &settings.subject_token_type),
                ("requested_token_type", ACCESS_TOKEN),
            ];
            if let Some(actor) = &actor {
                form.push(("actor_token", actor.as_access_token().as_str()));
                form.push(("actor_token_type", ACCESS_TOKEN));
            }
            settings
                .granter
                .grant(&form, subject.expires_at(), is_access_token)
                .await
        })
    }
}

/// What was issued must be an access token, whatever its form
/// ([RFC 8693 §2.2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.2.1)).
fn is_access_token(answer: &TokenAnswer) -> Result<(), ProviderError> {
    match answer.issued_token_type.as_deref() {
        Some(ACCESS_TOKEN | JWT) => Ok(()),
        issued => Err(ProviderError::new(
            ProviderErrorKind::InvalidAnswer,
            if issued.is_none() {
                "the answer to the exchange has no issued_token_type, which is required"
            } else {
                "the answer to the exchange is not an access token (issued_token_type)"
            },
        )),
    }
}

impl TokenSource for TokenExchange {
    fn supply(&self, request: &TokenRequest<'_>) -> TokenSupply {
        self.0.supply(request)
    }

    fn drain(&self, deadline: Duration) -> DrainFuture {
        self.0.exchange().granter.drain(deadline)
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.exchange().granter.show("TokenExchange", formatter)
    }
}
