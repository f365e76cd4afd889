use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::error::StoreError;
use crate::login::browser::page::PlainPages;
use crate::login::builder::LoginBuilder;
use crate::login::relying_party::RelyingParty;
use crate::login::service::Login;
use crate::login::sessions::id::StoreKey;
use crate::login::sessions::seal::KeyRing;
use crate::provider::{Client, Readiness};
use crate::verify::Verifier;

/// Signs browsers in and keeps them signed in. See the [module](crate::login) for the rule.
#[must_use]
#[derive(Clone)]
pub struct LoginLayer<P = PlainPages> {
    party: Arc<RelyingParty>,
    pages: P,
}

/// How provider and store stand.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoginReadiness {
    /// The provider's keys.
    pub provider: Readiness,
    /// Whether the store answers, and why not.
    pub store: Result<(), StoreError>,
}

impl LoginReadiness {
    /// Whether browsers can be served now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.provider.is_ready() && self.store.is_ok()
    }
}

impl LoginLayer {
    /// A layer that signs in as `client` at the verifier's provider, for the site at `address`.
    ///
    /// `verifier` judges the access tokens that come of it: a token that this service would refuse
    /// from an API client makes no session either. `address` is the site's public origin, such as
    /// `https://app.example.com`; `keys` seal what is stored and what browsers hold.
    pub fn builder(
        verifier: Verifier,
        client: Client,
        address: &str,
        keys: KeyRing,
    ) -> LoginBuilder {
        LoginBuilder::new(verifier, client, address, keys)
    }

    pub(super) fn new(party: RelyingParty) -> Self {
        Self {
            party: Arc::new(party),
            pages: PlainPages,
        }
    }
}

impl<P> LoginLayer<P> {
    /// Chooses what is read when a sign-in fails or a session is over, by a closure
    /// `Fn(&Page) -> Response<B>`. Status and the fields of the standards stay. Default:
    /// [`PlainPages`].
    pub fn on_page<F>(self, pages: F) -> LoginLayer<F> {
        LoginLayer {
            party: self.party,
            pages,
        }
    }

    /// The local path that signs in, for a button: `/oauth/openid` unless chosen otherwise. With
    /// `return_to`, a path of this site, it comes back there.
    #[must_use]
    pub fn sign_in_path(&self) -> &str {
        &self.party.site.paths.start
    }

    /// The local path that signs out when a page of this site posts to it.
    #[must_use]
    pub fn sign_out_path(&self) -> &str {
        &self.party.site.paths.logout
    }

    /// How provider and store stand, for a readiness probe. Asks the store. Where the provider's keys
    /// are missing and an attempt is due, one is started and not waited for, so that a service that
    /// gets no requests until it is ready becomes so.
    pub async fn readiness(&self) -> LoginReadiness {
        let nobody = StoreKey::of(&["readiness"]);
        let provider = &self.party.provider;
        if !provider.readiness().is_ready() {
            drop(provider.keys().read());
        }
        LoginReadiness {
            provider: provider.readiness(),
            store: self.party.store.load(nobody).await.map(|_| ()),
        }
    }

    /// The address to register with the provider for its answers.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        self.party.site.redirect_uri()
    }
}

impl<S, P: Clone> Layer<S> for LoginLayer<P> {
    type Service = Login<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Login::new(inner, Arc::clone(&self.party), self.pages.clone())
    }
}

impl<P> fmt::Debug for LoginLayer<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginLayer")
            .field("client", &self.party.client)
            .field("origin", &self.party.site.origin)
            .finish_non_exhaustive()
    }
}
