use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::outbound::granted_token::GrantedToken;
use crate::outbound::granter::Granter;
use crate::provider::{Client, Provider};
use crate::token::source::{DrainFuture, TokenRequest, TokenSource, TokenSupply};
use crate::token::target::Target;

/// Tokens of this service's own
/// ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)): one at a time, fetched when it
/// is first needed, shared by all requests, and renewed in the background a minute before its end.
///
/// Clones share the token. Without a layer, ask for it by [`token`](TokenSource::token).
///
/// ```
/// use tower_oidc::outbound::{ClientCredentials, OutboundLayer, Target};
/// use tower_oidc::{Client, Provider};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let provider = Provider::discover("https://tenant.us.auth0.com/")?;
/// let client = Client::with_secret("shop", "…")?;
/// let tokens = ClientCredentials::new(&provider, client, Target::audience("https://orders.example.com")?);
/// let layer = OutboundLayer::new("https://orders.internal", tokens)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClientCredentials(Arc<OwnToken>);

struct OwnToken {
    granter: Arc<Granter>,
    token: GrantedToken,
}

impl ClientCredentials {
    /// Tokens of this client for this target.
    #[must_use]
    pub fn new(provider: &Provider, client: Client, target: Target) -> Self {
        let granter = Arc::new(Granter::new(provider, client, target));
        let granting = Arc::clone(&granter);
        let token = GrantedToken::new(granter.clock(), move || {
            let granter = Arc::clone(&granting);
            Box::pin(async move {
                let form = [("grant_type", "client_credentials")];
                granter.grant(&form, None, |_| Ok(())).await
            })
        });
        Self(Arc::new(OwnToken { granter, token }))
    }
}

impl TokenSource for ClientCredentials {
    fn supply(&self, _: &TokenRequest<'_>) -> TokenSupply {
        self.0.token.supply()
    }

    fn drain(&self, deadline: Duration) -> DrainFuture {
        self.0.granter.drain(deadline)
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.granter.show("ClientCredentials", formatter)
    }
}
