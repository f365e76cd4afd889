//! The client. All it knows is the address of the server and the id that it has at the provider.

use std::error::Error;

use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use rmcp::model::CallToolRequestParams;
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthClient, AuthorizationCallback, AuthorizationRequest, OAuthState, WWWAuthenticateParams,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceError, ServiceExt};
use serde_json::json;
use url::Url;

type AnyError = Box<dyn Error + Send + Sync>;
type Running = RunningService<RoleClient, ()>;

/// Where the provider sends the browser back. Nothing listens there, because [`visit`] reads the address.
const REDIRECT_URI: &str = "http://127.0.0.1/callback";

pub(crate) async fn call(server: &str) -> Result<(), AnyError> {
    let transport = StreamableHttpClientTransport::from_uri(server.to_owned());
    let Err(refused) = ().serve(transport).await else {
        return Err("the server takes calls without a token".into());
    };
    let Some(challenge) = refused.auth_challenge() else {
        return Err(refused.into());
    };
    println!("1. without a token: 401\n   {challenge}");

    let mut state = OAuthState::new(server, None).await?;
    let request = AuthorizationRequest::new(REDIRECT_URI)
        .with_preregistered_client("development-public")
        .with_challenge(challenge);
    state.start_authorization(request).await?;
    let address = state.get_authorization_url().await?;
    tell("2. the metadata leads to the provider", &address)?;
    let callback = visit(&address).await?;
    state.handle_callback_url(&callback).await?;
    let manager = state.into_authorization_manager();
    let manager = manager.ok_or("the provider gave out no token")?;
    println!("3. signed in, with a token for this server alone");

    let http = AuthClient::new(reqwest::Client::new(), manager);
    let config = StreamableHttpClientTransportConfig::with_uri(server.to_owned());
    let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
    let client = ().serve(transport).await?;
    println!("4. list_notes: {}", list(&client).await?);

    let Err(refused) = add(&client).await else {
        return Err("the server adds notes without the scope for it".into());
    };
    let Some(challenge) = refused.auth_challenge() else {
        return Err(refused.into());
    };
    println!("5. add_note: 403\n   {challenge}");
    let asked = WWWAuthenticateParams::parse(challenge, &server.parse()?);
    let scopes = asked
        .scope
        .filter(|_| asked.error.as_deref() == Some("insufficient_scope"));
    let scopes = scopes.ok_or("the refusal names no scope to ask for")?;
    let manager = http.auth_manager.lock().await;
    let address = manager.request_scope_upgrade(&scopes).await?;
    tell("6. stepping up", &address)?;
    let callback = AuthorizationCallback::from_redirect_url(&visit(&address).await?)?;
    let (code, state) = (&callback.code, &callback.csrf_token);
    let issuer = callback.issuer.as_deref();
    manager
        .exchange_code_for_token_with_issuer(code, state, issuer)
        .await?;
    drop(manager);
    println!("7. add_note: {}", add(&client).await?);
    println!("8. list_notes: {}", list(&client).await?);
    client.cancel().await?;
    Ok(())
}

async fn list(client: &Running) -> Result<String, ServiceError> {
    tool(client, CallToolRequestParams::new("list_notes")).await
}

async fn add(client: &Running) -> Result<String, ServiceError> {
    let arguments = json!({"text": "buy pears"});
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    tool(
        client,
        CallToolRequestParams::new("add_note").with_arguments(arguments),
    )
    .await
}

async fn tool(client: &Running, params: CallToolRequestParams) -> Result<String, ServiceError> {
    let result = client.call_tool(params).await?;
    let texts = result
        .content
        .iter()
        .filter_map(|content| content.as_text());
    Ok(texts.map(|text| text.text.as_str()).collect())
}

/// Prints what an authorization request asks for.
fn tell(step: &str, address: &str) -> Result<(), AnyError> {
    let address: Url = address.parse()?;
    println!("{step}: {}", &address[..url::Position::AfterPath]);
    for (name, value) in address.query_pairs() {
        if matches!(&*name, "resource" | "scope") {
            println!("   {name}={value}");
        }
    }
    Ok(())
}

/// What the browser of a user does, where a person would choose an account: it opens the address and is sent back.
async fn visit(address: &str) -> Result<String, AnyError> {
    let browser = reqwest::Client::builder()
        .redirect(Policy::none())
        .build()?;
    let answer = browser.get(address).send().await?;
    let back = answer.headers().get(LOCATION);
    let back = back.ok_or("the provider does not send the browser back")?;
    Ok(back.to_str()?.to_owned())
}
