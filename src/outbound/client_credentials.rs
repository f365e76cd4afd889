use std::fmt;
use std::sync::Arc;

use crate::outbound::kept::{Granter, KeptToken};
use crate::provider::target::Target;
use crate::provider::{Client, Provider};
use crate::token::source::{Asked, Supply, TokenSource};

/// Tokens of this service's own
/// ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)): one at a time, fetched when it
/// is first needed, shared by all who ask, and renewed a minute before its end behind them.
///
/// Clones share the token.
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
    kept: KeptToken,
}

impl ClientCredentials {
    /// Tokens of this client for this target.
    #[must_use]
    pub fn new(provider: &Provider, client: Client, target: Target) -> Self {
        let granter = Arc::new(Granter::new(provider, client, target));
        let granting = Arc::clone(&granter);
        let kept = KeptToken::new(granter.clock(), move || {
            let granter = Arc::clone(&granting);
            Box::pin(async move {
                let form = [("grant_type", "client_credentials")];
                granter.grant(&form, None, |_| Ok(())).await
            })
        });
        Self(Arc::new(OwnToken { granter, kept }))
    }
}

impl TokenSource for ClientCredentials {
    fn supply(&self, _: &Asked<'_>) -> Supply {
        self.0.kept.supply()
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.granter.show("ClientCredentials", formatter)
    }
}
