use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::error::{ConfigError, OutboundErrorKind, ProviderError};
use crate::http_client::BoxFuture;
use crate::outbound::exchanged::{Exchange, Exchanged};
use crate::outbound::for_caller::ForCaller;
use crate::outbound::granter::Granter;
use crate::principal::Principal;
use crate::provider::{Client, Provider};
use crate::renew::Fetched;
use crate::token::live::LiveToken;
use crate::token::source::{DrainFuture, TokenFuture, TokenRequest, TokenSource, TokenSupply};
use crate::token::target::Target;

/// Exchanges the caller's token as Microsoft Entra ID does it, "on behalf of" the caller: an assertion grant
/// ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)) with
/// `requested_token_use=on_behalf_of`.
///
/// The rest is as with [`TokenExchange`](crate::outbound::TokenExchange). Callers that are programs are
/// refused ([`NotAUser`](OutboundErrorKind::NotAUser)), because there is no user to act for. Where the
/// user must do something at the provider first, the error has a
/// [challenge](crate::error::OutboundError::challenge) for the user's client.
///
/// Only tokens that were verified here are exchanged, so each of them was issued for this service.
#[derive(Clone)]
pub struct OnBehalfOf(Arc<Exchanged<AssertionGrant>>);

struct AssertionGrant {
    granter: Arc<Granter>,
}

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl OnBehalfOf {
    /// Exchanges made by this client, for these scopes of the other service, separated by spaces, such
    /// as `api://orders/.default`.
    ///
    /// # Errors
    /// [`ConfigError`] if one of them is not a scope.
    pub fn new(provider: &Provider, client: Client, scope: &str) -> Result<Self, ConfigError> {
        let granter = Arc::new(Granter::new(provider, client, Target::scope(scope)?));
        let clock = granter.clock().clone();
        Ok(Self(Exchanged::new(AssertionGrant { granter }, &clock)))
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
}

impl Exchange for AssertionGrant {
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

/// Entra says so in the optional claim `idtyp`. Without it, a program's token has an `oid` that equals
/// `sub`, and no delegated scopes.
fn is_program(principal: &Principal) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        idtyp: Option<String>,
        oid: Option<String>,
    }
    let Ok(Claims { idtyp, oid }) = principal.claims::<Claims>() else {
        // The claims have other types than Entra's, so there is no user to act for.
        return true;
    };
    let is_its_own_object = oid.is_some() && oid.as_deref() == principal.subject();
    principal.is_client()
        || idtyp.as_deref() == Some("app")
        || (is_its_own_object && principal.scopes().is_empty())
}

impl TokenSource for OnBehalfOf {
    fn supply(&self, request: &TokenRequest<'_>) -> TokenSupply {
        self.0.supply(request)
    }

    fn drain(&self, deadline: Duration) -> DrainFuture {
        self.0.exchange().granter.drain(deadline)
    }
}

impl fmt::Debug for OnBehalfOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.exchange().granter.show("OnBehalfOf", formatter)
    }
}
