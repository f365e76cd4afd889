use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Form, Request, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Frame;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::jwt::Algorithm;
use crate::testing::fault::{Endpoint, Fault, Hits};
use crate::testing::provider::State;
use crate::testing::token::{encrypted_token, opaque_token};

pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let router = Router::new()
        .route("/jwks", get(jwks))
        .route("/token", post(token))
        .fallback(any(elsewhere))
        .with_state(state);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the development provider ended");
    }
}

type Provider = Shared<Arc<State>>;

/// The metadata lies at several well-known paths, before and behind the issuer's own.
async fn elsewhere(Shared(state): Provider, request: Request) -> Response {
    let path = request.uri().path();
    if !path.contains("/.well-known/") {
        state.changing().hits.other += 1;
        return StatusCode::NOT_FOUND.into_response();
    }
    answer(
        &state,
        Endpoint::Discovery,
        |hits| &mut hits.discovery,
        || {
            let own = state.changing().discovery.clone();
            own.unwrap_or_else(|| discovery(&state).to_string())
        },
    )
    .await
}

fn discovery(state: &State) -> Value {
    let at = |path: &str| format!("{}{path}", state.address);
    let algorithms: Vec<_> = Algorithm::DEFAULT.iter().map(|one| one.name()).collect();
    json!({
        "issuer": state.issuer,
        "jwks_uri": at("/jwks"),
        "token_endpoint": at("/token"),
        "authorization_endpoint": at("/authorize"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    })
}

async fn jwks(Shared(state): Provider) -> Response {
    answer(
        &state,
        Endpoint::Jwks,
        |hits| &mut hits.jwks,
        || {
            let changing = state.changing();
            changing.jwks.clone().unwrap_or_else(|| {
                let keys: Vec<_> = changing
                    .keys
                    .iter()
                    .chain(&changing.retired)
                    .map(|key| key.jwk())
                    .collect();
                json!({ "keys": keys }).to_string()
            })
        },
    )
    .await
}

/// Counts the call, and answers with the document or with the fault that is set.
async fn answer(
    state: &State,
    endpoint: Endpoint,
    counter: fn(&mut Hits) -> &mut u32,
    document: impl FnOnce() -> String,
) -> Response {
    let fault = {
        let mut changing = state.changing();
        *counter(&mut changing.hits) += 1;
        let fault = changing
            .faults
            .iter()
            .find(|(faulty, _)| *faulty == endpoint);
        fault.map(|(_, fault)| fault.clone())
    };
    let json = [(CONTENT_TYPE, "application/json")];
    match fault {
        None => (json, document()).into_response(),
        Some(Fault::CacheControl(value)) => {
            (json, [(CACHE_CONTROL, value)], document()).into_response()
        }
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            (json, document()).into_response()
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Status(code)) => StatusCode::from_u16(code)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
        Some(Fault::Redirect(to)) => (StatusCode::FOUND, [(LOCATION, to)]).into_response(),
        Some(Fault::Huge(size)) => {
            let filler = " ".repeat(size);
            (json, format!("{{{filler}}}")).into_response()
        }
        Some(Fault::Drip) => (json, Body::new(Drip)).into_response(),
        Some(Fault::Answer { headers, body }) => {
            let mut response = Response::new(Body::from(body));
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name), HeaderValue::try_from(value))
                {
                    response.headers_mut().append(name, value);
                }
            }
            response
        }
    }
}

/// A body that never ends.
struct Drip;

impl http_body::Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let waker = context.waker().clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            waker.wake();
        });
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
    }
}

#[derive(Deserialize)]
struct TokenRequest {
    #[serde(default)]
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    audience: Option<String>,
    resource: Option<String>,
    scope: Option<String>,
}

const CLIENT: (&str, &str) = ("development", "development-secret");

async fn token(
    Shared(state): Provider,
    headers: HeaderMap,
    Form(request): Form<TokenRequest>,
) -> Response {
    let refuse = |status, code| (status, axum::Json(json!({"error": code}))).into_response();
    if !is_known_client(&headers, &request) {
        state.changing().hits.token += 1;
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    if request.grant_type != "client_credentials" {
        state.changing().hits.token += 1;
        return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    answer(&state, Endpoint::Token, |hits| &mut hits.token, || {
        let scope = request.scope.unwrap_or_default();
        let token = match request.audience.or(request.resource) {
            Some(audience) => state
                .token(Algorithm::Rs256, &audience)
                .subject(CLIENT.0)
                .scope(&scope)
                .build(),
            // As Auth0 does: without an audience nobody but the provider can read it.
            None if scope.is_empty() => opaque_token(),
            None => encrypted_token(&state.issuer),
        };
        json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": scope})
            .to_string()
    })
    .await
}

fn is_known_client(headers: &HeaderMap, request: &TokenRequest) -> bool {
    let basic = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded).ok());
    match (basic, &request.client_id, &request.client_secret) {
        (Some(basic), _, None) => basic == format!("{}:{}", CLIENT.0, CLIENT.1).as_bytes(),
        (None, Some(id), Some(secret)) => (id.as_str(), secret.as_str()) == CLIENT,
        _ => false,
    }
}
