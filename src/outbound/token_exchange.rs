use std::fmt;
use std::sync::Arc;

use crate::error::{OutboundErrorKind, ProviderError, ProviderErrorKind};
use crate::http_client::BoxFuture;
use crate::outbound::exchanged::{Exchange, Exchanged};
use crate::outbound::kept::Granter;
use crate::principal::Principal;
use crate::provider::target::Target;
use crate::provider::token_endpoint::TokenAnswer;
use crate::provider::{Client, Provider};
use crate::renew::Fetched;
use crate::token::live::LiveToken;
use crate::token::source::{Asked, Supply, TokenSource};

/// Exchanges the caller's token for one that is good elsewhere
/// ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)): the other service learns who the caller is,
/// and gets nothing that it could use here.
///
/// The caller is the [`Principal`] in the request's extensions, as with
/// [`relay`](crate::OutboundLayer::relay). What comes of an exchange is kept for that very token of the
/// caller's, never longer than either lives; at most 10 000 of them. Clones share it.
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
pub struct TokenExchange(Arc<Exchanged<Plan>>);

#[derive(Clone)]
struct Plan {
    granter: Arc<Granter>,
    subject_token_type: Box<str>,
    actor: Option<Arc<dyn TokenSource>>,
}

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

impl TokenExchange {
    /// Exchanges made by this client, for tokens good for this target.
    #[must_use]
    pub fn new(provider: &Provider, client: Client, target: Target) -> Self {
        Self::planned(Plan {
            granter: Arc::new(Granter::new(provider, client, target)),
            subject_token_type: ACCESS_TOKEN.into(),
            actor: None,
        })
    }

    /// Says what the caller's token is. Default: `urn:ietf:params:oauth:token-type:access_token`; Auth0
    /// wants the type that its exchange profile names.
    #[must_use]
    pub fn with_subject_token_type(self, subject_token_type: &str) -> Self {
        Self::planned(Plan {
            subject_token_type: subject_token_type.into(),
            ..self.0.exchange().clone()
        })
    }

    /// Names who acts for the caller, by a token of this source
    /// ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)). Default: nobody but this
    /// client.
    #[must_use]
    pub fn with_actor(self, actor: impl TokenSource) -> Self {
        Self::planned(Plan {
            actor: Some(Arc::new(actor)),
            ..self.0.exchange().clone()
        })
    }

    fn planned(plan: Plan) -> Self {
        let clock = plan.granter.clock().clone();
        Self(Exchanged::new(plan, &clock))
    }
}

impl Exchange for Plan {
    fn admits(&self, _: &Principal) -> Result<(), OutboundErrorKind> {
        Ok(())
    }

    fn exchange(
        self: &Arc<Self>,
        subject: LiveToken,
    ) -> BoxFuture<Result<Fetched<LiveToken>, ProviderError>> {
        let plan = Arc::clone(self);
        Box::pin(async move {
            let actor = match &plan.actor {
                Some(actor) => Some(actor.supply(&Asked::for_nobody()).token().await.map_err(
                    |error| {
                        ProviderError::caused(
                            ProviderErrorKind::Unreachable,
                            "there is no token for the actor of an exchange",
                            error.into(),
                        )
                    },
                )?),
                None => None,
            };
            let mut form = vec![
                ("grant_type", GRANT_TYPE),
                ("subject_token", subject.as_access_token().as_str()),
                ("subject_token_type", &plan.subject_token_type),
                ("requested_token_type", ACCESS_TOKEN),
            ];
            if let Some(actor) = &actor {
                form.push(("actor_token", actor.as_access_token().as_str()));
                form.push(("actor_token_type", ACCESS_TOKEN));
            }
            plan.granter
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
                "the exchange was answered without the issued_token_type that it must name"
            } else {
                "the exchange brought something else than an access token (issued_token_type)"
            },
        )),
    }
}

impl TokenSource for TokenExchange {
    fn supply(&self, asked: &Asked<'_>) -> Supply {
        self.0.supply(asked)
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.exchange().granter.show("TokenExchange", formatter)
    }
}
