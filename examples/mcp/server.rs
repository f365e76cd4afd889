//! The server: its layers, and the scope that each tool needs.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::StatusCode;
use http::header::AUTHORIZATION;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde::Deserialize;
use tower::{Layer, ServiceExt};
use tower_oidc::{ConfigError, RequireLayer};

use super::notes::{self, Notes};
use super::support::api::Api;

/// The path of the server.
pub(crate) const PATH: &str = "/mcp";

/// The longest message of a client.
const LONGEST: usize = 256 * 1024;

/// The server at `address`, where clients know it by.
pub(crate) fn router(api: &Api, address: &str) -> Result<Router, Box<dyn Error + Send + Sync>> {
    // The metadata names the scope that every call needs. Clients learn the others when they need them.
    let resource = api.resource(address)?.add_scope(notes::READ)?;
    let bearer = api.bearer(address)?.with_resource(&resource);
    let notes = Notes::default();
    let host = resource.metadata_url().parse::<http::Uri>()?;
    let hosts = ["localhost", "127.0.0.1", "::1"]
        .into_iter()
        .chain(host.host());
    // Pages of this machine, such as an inspector for MCP, and pages of the server itself.
    let port = host.port_u16().unwrap_or(443);
    let own = host.host().map(|host| format!("https://{host}:{port}"));
    let origins = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("http://{host}:*"));
    let origins = origins.into_iter().chain(own);
    let config = StreamableHttpServerConfig::default()
        // Each request has a token and says all by itself, so no session of the transport has an owner to be checked.
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .with_allowed_origins(origins)
        .with_max_request_body_bytes(LONGEST);
    let sessions = Arc::new(NeverSessionManager::default());
    let mcp = StreamableHttpService::new(move || Ok(notes.clone()), sessions, config);
    let protected = Router::new()
        .route_service(PATH, mcp)
        .layer(from_fn_with_state(ToolScopes::new()?, by_tool))
        .layer(RequireLayer::scope(notes::READ)?)
        .layer(bearer);
    let open = Router::new()
        .route_service(&resource.metadata_path(), resource.service())
        // There is no other metadata: a client that probes for some is not asked for a token.
        .route(
            "/.well-known/{*unknown}",
            any(|| async { StatusCode::NOT_FOUND }),
        );
    Ok(open.merge(protected))
}

/// What tools need beside the scope that every call needs.
#[derive(Clone)]
struct ToolScopes {
    write: RequireLayer,
}

impl ToolScopes {
    fn new() -> Result<Self, ConfigError> {
        Ok(Self {
            write: RequireLayer::scope(notes::WRITE)?,
        })
    }

    fn of(&self, tool: &str) -> Option<&RequireLayer> {
        notes::writes(tool).then_some(&self.write)
    }
}

/// Requires the scope of the tool that a message calls. The refusal has to be the answer to the HTTP request, with
/// its challenge, and MCP clients ask for the missing scope when they see it. The tool itself checks again.
async fn by_tool(State(scopes): State<ToolScopes>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    // The library hands the header fields to tools, and what they need of the token is in the principal.
    parts.headers.remove(AUTHORIZATION);
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let tool = called_tool(&body);
    let request = Request::from_parts(parts, Body::from(body));
    match tool.as_deref().and_then(|tool| scopes.of(tool)) {
        Some(required) => match required.layer(next).oneshot(request).await {
            Ok(response) => response.into_response(),
            Err(never) => match never {},
        },
        None => next.run(request).await,
    }
}

/// The tool that a message calls. `None` for other messages, and for what is none.
fn called_tool(message: &Bytes) -> Option<String> {
    #[derive(Deserialize)]
    struct Message {
        method: String,
        params: Params,
    }
    #[derive(Deserialize)]
    struct Params {
        name: String,
    }
    let message: Message = serde_json::from_slice(message).ok()?;
    (message.method == "tools/call").then_some(message.params.name)
}
