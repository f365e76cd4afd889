use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::error::StoreError;
use crate::login::browser::page::PlainPages;
use crate::login::service::{Login, Party};
use crate::login::store::StoreKey;
use crate::provider::Readiness;

/// Signs browsers in and keeps them signed in. See the [module](crate::login) for the rule.
#[must_use]
#[derive(Clone)]
pub struct LoginLayer<P = PlainPages> {
    party: Arc<Party>,
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
    pub(super) fn new(party: Party) -> Self {
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

    /// How provider and store stand, for a readiness probe. Asks the store. Where the provider's keys are missing
    /// and an attempt is due, one is started and not waited for, so that a service that gets no requests until
    /// it is ready becomes so.
    pub async fn readiness(&self) -> LoginReadiness {
        let unused = StoreKey::of(&["readiness"]);
        let provider = &self.party.sign_in.provider;
        if !provider.readiness().is_ready() {
            drop(provider.keys().read());
        }
        let store = self.party.sessions.ledger.store();
        LoginReadiness {
            provider: provider.readiness(),
            store: store.load(unused).await.map(|_| ()),
        }
    }

    /// Ends the background work of this layer before the process does: from the call on no session is
    /// refreshed any more, and the future waits until refreshes under way are stored and revocations are sent,
    /// but no longer than `deadline`. It returns whether all of it ended in time.
    ///
    /// A process that ends without it while sessions are being refreshed loses what the provider answers. Such
    /// sessions have to be refreshed with a token that is spent, which many providers take for theft. Call it
    /// when the process is asked to stop, beside the server's own graceful shutdown. 20 seconds are always
    /// enough while the store answers. Live tokens are served meanwhile.
    ///
    /// ```no_run
    /// # async fn stop(login: tower_oidc::LoginLayer) {
    /// use std::time::Duration;
    ///
    /// if !login.drain(Duration::from_secs(20)).await {
    ///     eprintln!("some sessions could not be stored in time");
    /// }
    /// # }
    /// ```
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = bool> + Send + use<P> {
        let sessions = Arc::clone(&self.party.sessions);
        sessions.renewals.stop();
        async move { sessions.drain(deadline).await }
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
            .field("client", &self.party.sign_in.client)
            .field("origin", &self.party.site.origin)
            .finish_non_exhaustive()
    }
}
