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
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::jwt::Algorithm;
use crate::testing::fault::{Endpoint, Fault, Hits};
use crate::testing::provider::State;
use crate::testing::token::{encrypted_token, opaque_token};
use crate::testing::{exchange, grants, sign_in};

pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let router = Router::new()
        .route("/jwks", get(jwks))
        .route("/token", post(token))
        .route("/authorize", get(sign_in::authorize))
        .route("/par", post(sign_in::push))
        .route("/userinfo", get(sign_in::userinfo))
        .route("/revoke", post(sign_in::revoke))
        .route("/end-session", get(sign_in::end_session))
        .fallback(any(elsewhere))
        .with_state(state);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the development provider ended");
    }
}

pub(super) type Provider = Shared<Arc<State>>;

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
            (
                StatusCode::OK,
                own.unwrap_or_else(|| discovery(&state).to_string()),
            )
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
        "pushed_authorization_request_endpoint": at("/par"),
        "require_pushed_authorization_requests": state.changing().pushed.is_some(),
        "userinfo_endpoint": at("/userinfo"),
        "revocation_endpoint": at("/revoke"),
        "end_session_endpoint": at("/end-session"),
        "response_types_supported": ["code"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            exchange::TOKEN_EXCHANGE,
            exchange::JWT_BEARER,
        ],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
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
            let own = changing.jwks.clone().unwrap_or_else(|| {
                let keys: Vec<_> = changing
                    .keys
                    .iter()
                    .chain(&changing.retired)
                    .map(|key| key.jwk())
                    .collect();
                json!({ "keys": keys }).to_string()
            });
            (StatusCode::OK, own)
        },
    )
    .await
}

/// Counts the call, and answers with the document or with the fault that is set.
pub(super) async fn answer(
    state: &State,
    endpoint: Endpoint,
    counter: fn(&mut Hits) -> &mut u32,
    document: impl FnOnce() -> (StatusCode, String),
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
        None => as_json(document()),
        Some(Fault::CacheControl(value)) => {
            ([(CACHE_CONTROL, value)], as_json(document())).into_response()
        }
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            as_json(document())
        }
        Some(Fault::LoseAnswer) => {
            document();
            (json, Body::new(BrokenOff)).into_response()
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
        Some(Fault::Answer {
            status,
            headers,
            body,
        }) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
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

fn as_json((status, document): (StatusCode, String)) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], document).into_response()
}

/// A body that breaks off.
struct BrokenOff;

impl http_body::Body for BrokenOff {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::Error::other("the answer is lost"))))
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

const CLIENT: (&str, &str) = ("development", "development-secret");

/// A client that has no secret.
const PUBLIC_CLIENT: &str = "development-public";

pub(super) type Parameters = Vec<(String, String)>;

pub(super) fn parameter<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    let found = parameters.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

async fn token(
    Shared(state): Provider,
    headers: HeaderMap,
    Form(form): Form<Parameters>,
) -> Response {
    state.saw(Endpoint::Token, form.clone());
    answer(
        &state,
        Endpoint::Token,
        |hits| &mut hits.token,
        || {
            let Some(client) = known_client(&headers, &form) else {
                return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
            };
            match parameter(&form, "grant_type") {
                Some("client_credentials") if client == CLIENT.0 => {
                    (StatusCode::OK, client_credentials(&state, &form))
                }
                Some("authorization_code") => grants::redeem_code(&state, &client, &form),
                Some("refresh_token") => grants::refresh(&state, &client, &form),
                Some(exchange::TOKEN_EXCHANGE | exchange::JWT_BEARER) if client == CLIENT.0 => {
                    exchange::exchange(&state, &client, &form)
                }
                _ => refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            }
        },
    )
    .await
}

pub(super) fn refuse(status: StatusCode, code: &str) -> (StatusCode, String) {
    (status, json!({ "error": code }).to_string())
}

fn client_credentials(state: &State, form: &Parameters) -> String {
    let scope = parameter(form, "scope").unwrap_or_default();
    let audience = parameter(form, "audience").or_else(|| parameter(form, "resource"));
    let (edits, lifetime) = state.issuing();
    let token = match audience {
        Some(audience) => edits.access_token(
            state
                .token(Algorithm::Rs256, audience)
                .subject(CLIENT.0)
                .scope(scope)
                .expires_in(lifetime),
        ),
        // As Auth0 does: without an audience nobody but the provider can read it.
        None if scope.is_empty() => opaque_token(),
        None => encrypted_token(&state.issuer),
    };
    edits.answer(
        "client_credentials",
        json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": lifetime.as_secs(),
            "scope": scope,
        }),
    )
}

/// The client that a form comes from, if it proves it.
pub(super) fn known_client(headers: &HeaderMap, form: &Parameters) -> Option<String> {
    let basic = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded).ok());
    let secret = parameter(form, "client_secret");
    match (basic, parameter(form, "client_id"), secret) {
        (Some(basic), _, None) => {
            (basic == format!("{}:{}", CLIENT.0, CLIENT.1).as_bytes()).then(|| CLIENT.0.to_owned())
        }
        (None, Some(id), Some(secret)) => ((id, secret) == CLIENT).then(|| id.to_owned()),
        (None, Some(PUBLIC_CLIENT), None) => Some(PUBLIC_CLIENT.to_owned()),
        _ => None,
    }
}

pub(super) fn is_client(id: &str) -> bool {
    id == CLIENT.0 || id == PUBLIC_CLIENT
}
