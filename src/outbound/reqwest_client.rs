//! A client of reqwest whose requests carry tokens.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use reqwest::{Body, ClientBuilder, IntoUrl, Method, RequestBuilder, ResponseBuilderExt};
use tower_service::Service;

use crate::claims::is_loopback;
use crate::error::{Chain, ConfigError, OutboundError};
use crate::http_client::BoxFuture;
use crate::outbound::layer::OutboundLayer;
use crate::outbound::repeat::{EmptyBodies, Repeat};
use crate::outbound::service::Outbound;
use crate::principal::Principal;
use crate::settings::HTTP_CLIENT;

/// A client of reqwest whose requests carry tokens. Made by [`OutboundLayer::client`]; cheap to clone, and a type to
/// keep in a state.
///
/// It does what its [`OutboundLayer`] says, for the requests and responses of reqwest: tokens go to the layer's
/// destinations only, a refused one is renewed and the request repeated once, and without a token nothing is sent.
///
/// - **Redirects are not followed.** They are responses like any other. Send the next request to the `Location` with
///   this client: if that is no destination, it has no token.
/// - It connects within 10 seconds and has no other time limit. [`client_with`](OutboundLayer::client_with) chooses.
/// - `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are used, never for plain http on loopback. A proxy of other plain http
///   ([`danger`](crate::danger::plain_http_destination)) sees the tokens.
///
/// ```no_run
/// # #[cfg(feature = "axum")]
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// use axum::extract::State;
/// use axum::{Router, http::StatusCode, routing::get};
/// use tower_oidc::outbound::ReqwestClient;
/// use tower_oidc::{BearerLayer, OutboundLayer, Principal, Provider};
///
/// async fn orders(
///     State(client): State<ReqwestClient>,
///     principal: Principal,
/// ) -> Result<String, StatusCode> {
///     let call = client.for_caller(&principal).get("https://orders.internal/all");
///     let response = call.send().await.map_err(|error| error.status())?;
///     response.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
/// }
///
/// let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
/// let app: Router = Router::new()
///     .route("/orders", get(orders))
///     .with_state(OutboundLayer::relay("https://orders.internal")?.client()?)
///     .layer(BearerLayer::new(verifier).allow_relay());
/// # drop(app);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct ReqwestClient<R = EmptyBodies> {
    outbound: Outbound<ReqwestService, R>,
    /// Builds requests. It sends none.
    builder: reqwest::Client,
}

/// reqwest as a tower service, without tokens: what is inside of a [`ReqwestClient`]. It follows no redirects.
#[derive(Clone)]
pub struct ReqwestService {
    client: reqwest::Client,
    /// For plain http on loopback: a proxy would look for the service on its own machine, and see the token.
    direct: reqwest::Client,
}

/// A request of a [`ReqwestClient`] that is being put together.
#[must_use = "it is sent by `send`"]
pub struct ReqwestCall<R = EmptyBodies> {
    outbound: Outbound<ReqwestService, R>,
    request: RequestBuilder,
}

/// Why a [`ReqwestClient`] has no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no token for the request, and it was not sent.
    #[error(transparent)]
    NoToken(OutboundError),
    /// reqwest could not build or send the request, or got no answer.
    #[error(transparent)]
    Failed(reqwest::Error),
}

impl CallError {
    /// The status for the caller of this service, if the application has no better answer: that of
    /// [`OutboundErrorKind::status`](crate::OutboundErrorKind::status), or 504 after a time limit and else 502.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::NoToken(error) => error.kind().status(),
            Self::Failed(error) if error.is_timeout() => http::StatusCode::GATEWAY_TIMEOUT,
            Self::Failed(_) => http::StatusCode::BAD_GATEWAY,
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl<R> OutboundLayer<R> {
    /// A client of reqwest with these tokens. Keep a clone of the layer where the program [drains](Self::drain) it.
    ///
    /// # Errors
    /// [`ConfigError`] if the platform's certificates or the proxy variables cannot be read.
    pub fn client(self) -> Result<ReqwestClient<R>, ConfigError> {
        self.client_with(|builder| builder)
    }

    /// The same with choices of reqwest's, such as time limits and certificates. Redirects are not followed, whatever is
    /// chosen. The function is called twice, because plain http on loopback has a client of its own.
    ///
    /// # Errors
    /// [`ConfigError`] if reqwest cannot build the client.
    pub fn client_with(
        self,
        choose: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> Result<ReqwestClient<R>, ConfigError> {
        let service = ReqwestService::new(choose)?;
        Ok(ReqwestClient {
            builder: service.client.clone(),
            outbound: self.around(service),
        })
    }
}

impl<R: Repeat<Body> + Clone> ReqwestClient<R> {
    /// A client for the requests of this caller. It shares connections and cached tokens with this one.
    #[must_use]
    pub fn for_caller(&self, caller: &Principal) -> Self {
        Self {
            outbound: self.outbound.for_caller(caller),
            builder: self.builder.clone(),
        }
    }

    /// A GET of this URL.
    pub fn get(&self, url: impl IntoUrl) -> ReqwestCall<R> {
        self.request(Method::GET, url)
    }

    /// A POST to this URL.
    pub fn post(&self, url: impl IntoUrl) -> ReqwestCall<R> {
        self.request(Method::POST, url)
    }

    /// A request with this method to this URL.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> ReqwestCall<R> {
        ReqwestCall {
            outbound: self.outbound.clone(),
            request: self.builder.request(method, url),
        }
    }

    /// Sends a request that was built elsewhere.
    ///
    /// # Errors
    /// [`CallError`] if there is no response.
    pub async fn execute(&self, request: reqwest::Request) -> Result<reqwest::Response, CallError> {
        execute(&self.outbound, request).await
    }
}

impl<R: Repeat<Body> + Clone> ReqwestCall<R> {
    /// Header fields, a query, a body, a time limit: what reqwest's builder can say of a request.
    ///
    /// ```
    /// # use tower_oidc::outbound::{CallError, ReqwestClient};
    /// # async fn of(client: ReqwestClient) -> Result<(), CallError> {
    /// let call = client.post("https://orders.internal/").with(|request| request.body("one pear"));
    /// let response = call.send().await?;
    /// # drop(response);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with(self, choose: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self {
            request: choose(self.request),
            ..self
        }
    }

    /// Sends it.
    ///
    /// # Errors
    /// [`CallError`] if there is no response.
    pub async fn send(self) -> Result<reqwest::Response, CallError> {
        let request = self.request.build().map_err(CallError::Failed)?;
        execute(&self.outbound, request).await
    }
}

async fn execute<R: Repeat<Body> + Clone>(
    outbound: &Outbound<ReqwestService, R>,
    request: reqwest::Request,
) -> Result<reqwest::Response, CallError> {
    let request: Request<Body> = request.try_into().map_err(CallError::Failed)?;
    let response = outbound.send(request).await.map_err(|error| {
        let error = match error.downcast::<OutboundError>() {
            Ok(error) => return CallError::NoToken(*error),
            Err(error) => error,
        };
        match error.downcast::<reqwest::Error>() {
            Ok(error) => CallError::Failed(*error),
            // The layer and its client have no others.
            Err(error) => CallError::NoToken(OutboundError::source_failed(error)),
        }
    })?;
    Ok(response.into())
}

impl ReqwestService {
    fn new(choose: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Self, ConfigError> {
        let build = |builder: ClientBuilder| {
            let client = choose(builder.connect_timeout(CONNECT_TIMEOUT))
                // A hop that the layer does not see is not checked.
                .redirect(reqwest::redirect::Policy::none())
                .build();
            client.map_err(|error| {
                ConfigError::invalid(
                    HTTP_CLIENT,
                    "reqwest",
                    Chain(&error).to_string(),
                    "check the proxy variables, the certificates of the platform and what the program chooses",
                )
            })
        };
        Ok(Self {
            client: build(reqwest::Client::builder())?,
            direct: build(reqwest::Client::builder().no_proxy())?,
        })
    }
}

impl Service<Request<Body>> for ReqwestService {
    type Response = Response<Body>;
    type Error = reqwest::Error;
    type Future = BoxFuture<Result<Response<Body>, reqwest::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let request = match reqwest::Request::try_from(request) {
            Ok(request) => request,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let is_direct = request.url().scheme() == "http" && is_loopback(request.url());
        let client = if is_direct {
            &self.direct
        } else {
            &self.client
        };
        let response = client.execute(request);
        Box::pin(async move {
            let response = response.await?;
            // reqwest's response keeps its URL in an extension of this kind alone.
            let url = Response::builder().url(response.url().clone()).body(());
            let mut response = Response::<Body>::from(response);
            if let Ok(url) = url {
                let (head, ()) = url.into_parts();
                response.extensions_mut().extend(head.extensions);
            }
            Ok(response)
        })
    }
}

impl fmt::Debug for ReqwestService {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReqwestService")
    }
}

impl<R> fmt::Debug for ReqwestClient<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("ReqwestClient")
            .field(&self.outbound)
            .finish()
    }
}

impl<R> fmt::Debug for ReqwestCall<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReqwestCall")
    }
}
