use std::fmt;
use std::sync::Arc;

use http::Response;
use tower_layer::Layer;

use crate::bearer::place::TokenPlace;
use crate::bearer::places::Places;
use crate::bearer::refusal_log::RefusalLog;
use crate::bearer::service::{Bearer, BearerGate, Settings};
use crate::error::ConfigError;
use crate::gate::Gated;
use crate::gate::answer::{EmptyBody, Rejection, RejectionKind};
use crate::gate::challenge::{ChallengeParameters, Challenges};
use crate::resource_metadata::ProtectedResource;
use crate::verify::Verifier;

/// Verifies the access token of each request. See the [module](crate::bearer) for the rule.
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_oidc::{BearerLayer, Provider, RequireLayer};
///
/// # async fn handler(_: http::Request<String>) -> Result<http::Response<String>, std::convert::Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
/// let service = ServiceBuilder::new()
///     .layer(BearerLayer::new(verifier)) // outermost: it says who calls
///     .layer(RequireLayer::scope("orders:read")?) // within: what they may do
///     .service_fn(handler);
/// # let _: &dyn Fn() = &|| drop(service.clone());
/// # Ok(())
/// # }
/// ```
#[doc(alias("authentication", "jwt", "middleware", "oauth2"))]
#[must_use]
#[derive(Clone)]
pub struct BearerLayer<R = EmptyBody> {
    settings: Settings,
    on_refusal: R,
}

impl BearerLayer {
    /// Verifies tokens with `verifier` and refuses requests without one.
    pub fn new(verifier: Verifier) -> Self {
        let realm = verifier
            .audiences()
            .first()
            .map_or("", |audience| audience.as_str());
        Self {
            settings: Settings {
                challenges: Arc::new(Challenges::new(ChallengeParameters::with_visible_realm(
                    realm,
                ))),
                anonymous: false,
                places: None,
                adapts: false,
                log: Arc::new(RefusalLog::new(&verifier)),
                no_token: Rejection::new(RejectionKind::NoToken),
                #[cfg(feature = "outbound")]
                relays: false,
                verifier,
            },
            on_refusal: EmptyBody,
        }
    }
}

impl<R> BearerLayer<R> {
    /// Reads the token from these places instead of the `Authorization` field alone; name
    /// [`TokenPlace::authorization`] too where that is read as well. Default: the `Authorization` field.
    ///
    /// All of them are read; the log names the first that has the token. The same token in two places counts once; two different ones are refused with 400
    /// ([RFC 6750 §2](https://www.rfc-editor.org/rfc/rfc6750#section-2)), and so are an empty value and two fields or
    /// cookies of one name. With a header field or a cookie among the places, answers get a `Vary` that names it,
    /// and `Cache-Control: no-store` unless the application says otherwise.
    ///
    /// ```
    /// use tower_oidc::{BearerLayer, Provider, SameOrigin, TokenPlace};
    ///
    /// # fn main() -> Result<(), tower_oidc::ConfigError> {
    /// let provider = Provider::discover("https://id.example")?;
    /// let site = SameOrigin::of("https://app.example.com")?;
    /// let layer = BearerLayer::new(provider.verifier("https://api.example.com")?).with_token_in([
    ///     TokenPlace::authorization(),
    ///     TokenPlace::cookie("access_token", site)?,
    ///     TokenPlace::websocket(),
    /// ])?;
    /// # drop(layer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::Missing`] without any place, [`ConfigError::Invalid`] if one is named twice.
    pub fn with_token_in(
        mut self,
        places: impl IntoIterator<Item = TokenPlace>,
    ) -> Result<Self, ConfigError> {
        self.settings.places = Places::new(places)?.map(Arc::new);
        self.settings.adapts |= self.settings.places.is_some();
        Ok(self)
    }

    /// Lets requests without a token pass, without a principal. A bad token is still refused, and
    /// `require` still refuses anonymous requests.
    pub fn allow_anonymous(mut self) -> Self {
        self.settings.anonymous = true;
        self
    }

    /// Keeps the caller's token with the principal, for [`outbound`](crate::outbound) to send on or to
    /// exchange. Default: the token is not kept.
    ///
    /// # Security
    /// Code that holds the principal can have the token sent to the destinations of an
    /// [`OutboundLayer`](crate::OutboundLayer)
    /// ([RFC 9700 §2.3](https://www.rfc-editor.org/rfc/rfc9700#section-2.3)).
    #[cfg(feature = "outbound")]
    pub fn allow_relay(mut self) -> Self {
        self.settings.relays = true;
        self.settings.adapts = true;
        self
    }

    /// The realm of challenges. Default: the first accepted audience.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it holds other characters than visible ASCII and spaces.
    pub fn with_realm(mut self, realm: &str) -> Result<Self, ConfigError> {
        let parameters = ChallengeParameters::new(realm)?;
        let parameters = self
            .settings
            .challenges
            .parameters()
            .clone()
            .with_realm_of(parameters);
        self.settings.challenges = Arc::new(Challenges::new(parameters));
        Ok(self)
    }

    /// Names the resource's metadata and its scopes in challenges
    /// ([RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1)), so that clients can find
    /// out where to get a token.
    pub fn with_resource(mut self, resource: &ProtectedResource) -> Self {
        let parameters = self
            .settings
            .challenges
            .parameters()
            .clone()
            .with_resource(&resource.metadata_url(), resource.scopes());
        self.settings.challenges = Arc::new(Challenges::new(parameters));
        self
    }

    /// Makes the body of refusals with a closure `Fn(&Rejection) -> Response<B>`. Status and challenge
    /// stay those of the standards. Default: an empty body.
    pub fn on_refusal<F, B>(self, on_refusal: F) -> BearerLayer<F>
    where
        F: Fn(&Rejection) -> Response<B>,
    {
        self.with_refusals(on_refusal)
    }

    /// The same with a type of your own that implements [`OnRefusal`](crate::OnRefusal).
    pub fn with_refusals<T>(self, on_refusal: T) -> BearerLayer<T> {
        BearerLayer {
            settings: self.settings,
            on_refusal,
        }
    }
}

impl<S, R: Clone> Layer<S> for BearerLayer<R> {
    type Service = Bearer<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated::new(
            inner,
            BearerGate::new(self.settings.clone(), self.on_refusal.clone()),
        )
    }
}

impl<R> fmt::Debug for BearerLayer<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BearerLayer")
            .field("verifier", &self.settings.verifier)
            .field("anonymous", &self.settings.anonymous)
            .field("places", &self.settings.places)
            .finish_non_exhaustive()
    }
}
