//! gRPC with access tokens: a server that verifies them, and a client that attaches them.
//!
//! Without settings, a development provider starts beside it. The client calls once without a token and is
//! refused, then with a token, by unary and streaming methods. The server runs until it is asked to stop.
//! With the settings of `tower_oidc::env` it trusts a real provider. If `OPENID_CLIENT_ID` and
//! `OPENID_CLIENT_SECRET` are set as well, the client gets its tokens there.
//!
//! ```sh
//! cargo run --example grpc --all-features
//! grpcurl -plaintext -import-path examples/grpc -proto greeter.proto \
//!     -d '{"name": "Ann"}' 127.0.0.1:3080 greeter.Greeter/Greet
//! ```
//!
//! `HOST` and `PORT` (127.0.0.1:3080) say where it listens, `RUST_LOG` what is logged on stderr.
//!
//! Do not copy: the development provider, which issues any token to any caller.
#![expect(clippy::print_stdout, reason = "a program for people")]

// Generated from greeter.proto by tonic-prost-build, and committed so that a build does not need protoc.
#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "generated")]
#[path = "grpc/greeter.rs"]
mod greeter;
#[path = "grpc/server.rs"]
mod server;
mod support;

use std::error::Error;
use std::process::ExitCode;

use greeter::greeter_client::GreeterClient;
use greeter::{Name, Times};
use support::api::Api;
use support::embedded;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tower_oidc::env::ServiceSettings;
use tower_oidc::grpc::GrpcLayer;
use tower_oidc::outbound::{ClientCredentials, Target};
use tower_oidc::{BearerLayer, Client, ConfigError, OutboundLayer, StreamExpiryLayer};

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("grpc", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    let api = Api::start().await?;
    let bearer = api.bearer(&format!("http://{}", listener.local_addr()?))?;
    serve(listener, bearer, client_tokens(&api)?).await
}

/// The tokens of the client: from the provider beside the server, or from the provider of the environment if a
/// client is set there.
fn client_tokens(api: &Api) -> Result<Option<ClientCredentials>, ConfigError> {
    if api.embedded.is_some() {
        let client = Client::with_secret("development", "development-secret")?;
        let target = Target::audience(embedded::AUDIENCE)?;
        return Ok(Some(ClientCredentials::new(&api.provider, client, target)));
    }
    let has_client = std::env::var("OPENID_CLIENT_SECRET").is_ok_and(|secret| !secret.is_empty());
    let settings = has_client.then(ServiceSettings::from_env).transpose()?;
    Ok(settings.map(|settings| settings.tokens().clone()))
}

async fn serve(
    listener: TcpListener,
    bearer: BearerLayer,
    tokens: Option<ClientCredentials>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = listener.local_addr()?;
    // The first layer is the outermost: it turns the refusals of the others into gRPC statuses.
    let serving = Server::builder()
        .layer(GrpcLayer::new())
        .layer(bearer)
        .layer(StreamExpiryLayer::new())
        .add_service(server::greeter())
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), support::asked_to_stop());
    println!("listening on http://{address}");
    let origin = format!("http://{address}");
    let Some(tokens) = tokens else {
        return Ok(support::served(serving).await?);
    };
    let outbound = OutboundLayer::new(&*origin, tokens)?;
    let layer = outbound.clone();
    tokio::spawn(async move {
        if let Err(error) = call(&origin, layer).await {
            eprintln!("the client failed: {error}");
        }
    });
    support::served_and_drained(serving, move |deadline| outbound.drain(deadline)).await?;
    Ok(())
}

/// The client: a channel with a layer around it.
async fn call(origin: &str, outbound: OutboundLayer) -> Result<(), Box<dyn Error + Send + Sync>> {
    let channel = Channel::from_shared(origin.to_owned())?.connect().await?;
    let name = |name: &str| Name {
        name: name.to_owned(),
    };
    let refusal = GreeterClient::new(channel.clone()).greet(name("Ann")).await;
    match refusal {
        Ok(answer) => println!("without a token: {:?}", answer.into_inner().text),
        Err(status) => println!("without a token: {:?}, {}", status.code(), status.message()),
    }

    let service = outbound.around(channel);
    // Calls carry the origin, because the layer compares it with its destinations.
    let mut client = GreeterClient::with_origin(service, origin.parse()?);
    let answer = client.greet(name("Ann")).await?.into_inner();
    println!("with a token: {:?}", answer.text);
    let mut answers = client.greet_again(Times { times: 2 }).await?.into_inner();
    while let Some(answer) = answers.next().await {
        println!("a stream: {:?}", answer?.text);
    }
    let names = tokio_stream::iter([name("Bob"), name("Eve")]);
    let mut answers = client.chat(names).await?.into_inner();
    while let Some(answer) = answers.next().await {
        println!("a conversation: {:?}", answer?.text);
    }
    Ok(())
}
