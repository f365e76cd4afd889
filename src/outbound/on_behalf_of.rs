use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::error::{ConfigError, OutboundErrorKind, ProviderError};
use crate::http_client::BoxFuture;
use crate::outbound::exchanged::{Exchange, Exchanged};
use crate::outbound::kept::Granter;
use crate::principal::Principal;
use crate::provider::target::Target;
use crate::provider::{Client, Provider};
use crate::renew::Fetched;
use crate::token::live::LiveToken;
use crate::token::source::{Asked, Supply, TokenSource};

/// Exchanges the caller's token as Microsoft Entra ID does it, "on behalf of" them: an assertion grant
/// ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)) with
/// `requested_token_use=on_behalf_of`.
///
/// Else as [`TokenExchange`](crate::outbound::TokenExchange). Callers that are programs are refused
/// ([`NotAUser`](OutboundErrorKind::NotAUser)): there is nobody to act for. Where the provider wants the
/// user first, the error has a [challenge](crate::error::OutboundError::challenge) for their client.
///
/// The tokens exchanged are those that were verified here, so that each was issued to this service.
#[derive(Clone)]
pub struct OnBehalfOf(Arc<Exchanged<Plan>>);

struct Plan {
    granter: Arc<Granter>,
}

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl OnBehalfOf {
    /// Exchanges made by this client, for these scopes of the other service, delimited by spaces:
    /// `api://orders/.default` for instance.
    ///
    /// # Errors
    /// [`ConfigError`] if one of the scopes is none.
    pub fn new(provider: &Provider, client: Client, scope: &str) -> Result<Self, ConfigError> {
        let granter = Arc::new(Granter::new(provider, client, Target::scope(scope)?));
        let clock = granter.clock().clone();
        Ok(Self(Exchanged::new(Plan { granter }, &clock)))
    }
}

impl Exchange for Plan {
    fn admits(&self, principal: &Principal) -> Result<(), OutboundErrorKind> {
        if is_program(principal) {
            return Err(OutboundErrorKind::NotAUser);
        }
        Ok(())
    }

    fn exchange(
        self: &Arc<Self>,
        subject: LiveToken,
    ) -> BoxFuture<Result<Fetched<LiveToken>, ProviderError>> {
        let granter = Arc::clone(&self.granter);
        Box::pin(async move {
            let form = [
                ("grant_type", GRANT_TYPE),
                ("assertion", subject.as_access_token().as_str()),
                ("requested_token_use", "on_behalf_of"),
            ];
            granter.grant(&form, subject.expires_at(), |_| Ok(())).await
        })
    }
}

/// Entra says so by `idtyp` where the application asks for it; else a program's token is about an
/// object that is its own subject, and has no delegated scopes.
fn is_program(principal: &Principal) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        idtyp: Option<String>,
        oid: Option<String>,
    }
    let Ok(Claims { idtyp, oid }) = principal.claims::<Claims>() else {
        // Claims of another type than Entra's: nobody's to act for.
        return true;
    };
    let is_its_own_object = oid.is_some() && oid.as_deref() == principal.subject();
    principal.is_client()
        || idtyp.as_deref() == Some("app")
        || (is_its_own_object && principal.scopes().is_empty())
}

impl TokenSource for OnBehalfOf {
    fn supply(&self, asked: &Asked<'_>) -> Supply {
        self.0.supply(asked)
    }
}

impl fmt::Debug for OnBehalfOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.exchange().granter.show("OnBehalfOf", formatter)
    }
}
