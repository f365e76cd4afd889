use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::error::ConfigError;
use crate::outbound::client_credentials::ClientCredentials;
use crate::outbound::destination::Destination;
use crate::outbound::relay::{Relay, RelayFor};
use crate::outbound::repeat::EmptyBodies;
use crate::outbound::service::Outbound;
use crate::outbound::settings::Settings;
use crate::provider::{Client, Provider};
use crate::settings::TOKEN;
use crate::token::live::LiveToken;
use crate::token::source::TokenSource;
use crate::token::target::Target;

/// Attaches the right token to outgoing requests. See the [module](crate::outbound) for the rule.
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_oidc::outbound::{ClientCredentials, Target};
/// use tower_oidc::{Client, OutboundLayer, Provider};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let provider = Provider::discover("https://id.example")?;
/// let client = Client::with_secret("a-service", "its secret")?;
/// let tokens = ClientCredentials::new(&provider, client, Target::audience("stock")?);
/// let own = OutboundLayer::new("https://stock.internal", tokens)?; // tokens of this service
/// let callers = OutboundLayer::relay("https://orders.internal")?; // the token of the caller
/// # async fn call(_: http::Request<String>) -> Result<http::Response<String>, std::convert::Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # let client_of_http = tower::service_fn(call);
/// let stock = ServiceBuilder::new().layer(own).service(client_of_http);
/// # let _ = (stock, callers);
/// # Ok(())
/// # }
/// ```
#[doc(alias(
    "client credentials",
    "machine to machine",
    "on behalf of",
    "token exchange"
))]
#[must_use]
#[derive(Clone)]
pub struct OutboundLayer<R = EmptyBodies> {
    settings: Settings,
    repeat: R,
}

impl OutboundLayer {
    /// Attaches tokens of this source to requests to this destination.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if the destination is not an origin, or is neither https nor on
    /// loopback.
    pub fn new<D>(destination: D, source: impl TokenSource) -> Result<Self, ConfigError>
    where
        D: TryInto<Destination, Error: Into<ConfigError>>,
    {
        Ok(Self {
            settings: Settings {
                destinations: Arc::new([destination.try_into().map_err(Into::into)?]),
                source: Arc::new(source),
                keeps_authorization: false,
            },
            repeat: EmptyBodies,
        })
    }

    /// Attaches the token of the caller, which is the [`Principal`](crate::Principal) in the request's
    /// extensions. The token of a session is read for each request. A token that came with a request is
    /// sent on only with [`allow_relay`](crate::BearerLayer::allow_relay).
    ///
    /// # Security
    /// The other service can use the token at every service of its audience. Relay only to services of
    /// the same audience as this one. For others exchange it
    /// ([RFC 9700 §2.3](https://www.rfc-editor.org/rfc/rfc9700#section-2.3),
    /// [`TokenExchange`](crate::outbound::TokenExchange)).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn relay<D>(destination: D) -> Result<Self, ConfigError>
    where
        D: TryInto<Destination, Error: Into<ConfigError>>,
    {
        Self::new(destination, Relay)
    }

    /// Attaches a token for this target, of the session of the caller, which is the
    /// [`Principal`](crate::Principal) in the request's extensions. The layer that signs in must have been told of the
    /// target ([`LoginBuilder::add_target`](crate::login::LoginBuilder::add_target)). For a caller without a session
    /// the call fails; the caller's own token is never sent in its place.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn relay_for<D>(destination: D, target: Target) -> Result<Self, ConfigError>
    where
        D: TryInto<Destination, Error: Into<ConfigError>>,
    {
        Self::new(destination, RelayFor(target))
    }

    /// Attaches a token of this service's own, by client credentials. Asks for no audience, resource or
    /// scope, so the provider's default is granted. See [`ClientCredentials`] for how to ask for one.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn client_credentials<D>(
        provider: &Provider,
        client: Client,
        destination: D,
    ) -> Result<Self, ConfigError>
    where
        D: TryInto<Destination, Error: Into<ConfigError>>,
    {
        Self::new(
            destination,
            ClientCredentials::new(provider, client, Target::unspecified()),
        )
    }

    /// Attaches this token.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the token holds characters that a header cannot.
    pub fn fixed<D>(token: &str, destination: D) -> Result<Self, ConfigError>
    where
        D: TryInto<Destination, Error: Into<ConfigError>>,
    {
        let token = LiveToken::new(token).map_err(|error| {
            ConfigError::invalid(
                TOKEN,
                "(redacted)",
                error.to_string(),
                "copy all of it, without spaces or line breaks",
            )
        })?;
        Self::new(destination, token)
    }
}

impl<R> OutboundLayer<R> {
    /// Adds a destination for the same tokens.
    ///
    /// # Security
    /// Each destination gets tokens that the others accept.
    ///
    /// # Errors
    /// As [`new`](OutboundLayer::new).
    pub fn add_destination<D>(mut self, destination: D) -> Result<Self, ConfigError>
    where
        D: TryInto<Destination, Error: Into<ConfigError>>,
    {
        let added = destination.try_into().map_err(Into::into)?;
        let all = self.settings.destinations.iter().cloned().chain([added]);
        self.settings.destinations = all.collect();
        Ok(self)
    }

    /// Sends a request that already has an `Authorization` field with that field. Default: it is an
    /// error, because two sources of tokens for one service are usually a mistake.
    pub fn keep_authorization(mut self) -> Self {
        self.settings.keeps_authorization = true;
        self
    }

    /// Ends the background work of this layer before the process does. From the call on, no token is granted any
    /// more. The future waits until the grants under way have ended, but no longer than `deadline`, and returns
    /// whether all have ended in time. Tokens at hand are still attached. A source that several layers share
    /// stops for all of them.
    ///
    /// Call it when the process is asked to stop, beside the graceful shutdown of the server. A grant takes no
    /// longer than 10 seconds. A relayed session is drained by its own layer
    /// ([`LoginLayer::drain`](crate::LoginLayer::drain)).
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = bool> + Send + use<R> {
        self.settings.source.drain(deadline)
    }

    /// Which requests are repeated with a newer token when a service refuses the first one. Default:
    /// [those without a body](EmptyBodies).
    pub fn with_repeat<N>(self, repeat: N) -> OutboundLayer<N> {
        OutboundLayer {
            settings: self.settings,
            repeat,
        }
    }
}

impl<R> OutboundLayer<R> {
    /// This layer around an HTTP client, such as one of hyper-util or a channel of tonic: the same as
    /// [`Layer::layer`], without a `ServiceBuilder`.
    ///
    /// [`Outbound`] is a type to keep in a state. See the [module](crate::outbound#a-client-to-keep) for an example.
    pub fn around<S>(self, client: S) -> Outbound<S, R> {
        Outbound::new(client, self.settings, self.repeat)
    }
}

impl<S, R: Clone> Layer<S> for OutboundLayer<R> {
    type Service = Outbound<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Outbound::new(inner, self.settings.clone(), self.repeat.clone())
    }
}

impl<R> fmt::Debug for OutboundLayer<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.show("OutboundLayer", formatter)
    }
}
