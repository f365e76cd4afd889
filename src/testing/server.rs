//! The routes of the development provider, its metadata and its key set.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::jwt::Algorithm;
use crate::testing::fault::Endpoint;
use crate::testing::state::{Served, State};
use crate::testing::{device, exchange, introspection, sign_in, token_endpoint};

/// The path of the token endpoint.
pub(super) const TOKEN: &str = "/token";

pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    if let Err(error) = axum::serve(listener, router(state)).await {
        tracing::error!(%error, "the development provider ended");
    }
}

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/jwks", get(jwks))
        .route(TOKEN, post(token_endpoint::token))
        .route("/authorize", get(sign_in::authorize))
        .route("/par", post(sign_in::push))
        .route("/userinfo", get(sign_in::userinfo))
        .route("/revoke", post(token_endpoint::revoke))
        .route("/introspect", post(introspection::introspect))
        .route("/device_authorization", post(device::authorize))
        .route("/device", get(device::enter))
        .route("/end-session", get(sign_in::end_session))
        .route("/favicon.ico", get(sign_in::favicon))
        .fallback(any(elsewhere))
        .with_state(state)
}

/// Serves the metadata at every well-known path, before and after the path of the issuer.
async fn elsewhere(Shared(state): Served, request: Request) -> Response {
    if !request.uri().path().contains("/.well-known/") {
        state.changing().hits.other += 1;
        return StatusCode::NOT_FOUND.into_response();
    }
    let document = || {
        let own = state.changing().discovery.clone();
        let document = own.unwrap_or_else(|| discovery(&state).to_string());
        (StatusCode::OK, document)
    };
    state.answer(Endpoint::Discovery, document).await
}

fn discovery(state: &State) -> Value {
    let at = |path: &str| format!("{}{path}", state.address);
    let algorithms: Vec<_> = Algorithm::DEFAULT.iter().map(|one| one.name()).collect();
    json!({
        "issuer": state.issuer,
        "jwks_uri": at("/jwks"),
        "token_endpoint": at(TOKEN),
        "authorization_endpoint": at("/authorize"),
        "pushed_authorization_request_endpoint": at("/par"),
        "require_pushed_authorization_requests": state.changing().must_push,
        "userinfo_endpoint": at("/userinfo"),
        "revocation_endpoint": at("/revoke"),
        "introspection_endpoint": at("/introspect"),
        "device_authorization_endpoint": at("/device_authorization"),
        "end_session_endpoint": at("/end-session"),
        "response_types_supported": ["code"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            exchange::TOKEN_EXCHANGE,
            exchange::JWT_BEARER,
            device::DEVICE_CODE,
        ],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
        ],
    })
}

async fn jwks(Shared(state): Served) -> Response {
    let document = || (StatusCode::OK, state.jwks());
    state.answer(Endpoint::Jwks, document).await
}
