//! gRPC with access tokens, both ends of it: a server that verifies them, and a client that attaches
//! them.
//!
//! With nothing set, a development provider starts beside it. The client asks once without a token and is
//! refused, then with one, in all the ways that gRPC has. The server stays until it is asked to stop. With
//! the settings of `tower_oidc::env` it trusts a real provider, and the client, where `OPENID_CLIENT_ID`
//! and `OPENID_CLIENT_SECRET` are set, gets its tokens there.
//!
//! ```sh
//! cargo run --example grpc --all-features
//! grpcurl -plaintext -import-path examples/grpc -proto greeter.proto \
//!     -d '{"name": "Ann"}' 127.0.0.1:3080 greeter.Greeter/Greet
//! ```
//!
//! `HOST` and `PORT` (127.0.0.1:3080) say where it listens, `RUST_LOG` what is logged on stderr.
//!
//! Do not copy: the development provider. Whoever reaches it gets any token.
#![expect(clippy::print_stdout, reason = "a program for people")]

// Made of greeter.proto by tonic-prost-build, which builds of this crate need not.
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
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tower::Layer;
use tower_oidc::env::{ApiSettings, ServiceSettings};
use tower_oidc::outbound::{ClientCredentials, Target};
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::tonic::{GrpcLayer, StreamExpiryLayer};
use tower_oidc::{BearerLayer, Client, OutboundLayer, Verifier};

const EMBEDDED_AUDIENCE: &str = "https://api.example.com";

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("grpc", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    if support::is_configured() {
        let settings = ApiSettings::from_env()?;
        println!("{settings}");
        support::ask_once(settings.provider()).await?;
        let has_client =
            std::env::var("OPENID_CLIENT_SECRET").is_ok_and(|secret| !secret.is_empty());
        let tokens = if has_client {
            Some(ServiceSettings::from_env()?.tokens().clone())
        } else {
            None
        };
        serve(listener, settings.verifier(), tokens).await
    } else {
        let idp = DevelopmentProvider::start().await?;
        println!(
            "no OPENID_ISSUER is set: a development provider runs at {}",
            idp.issuer()
        );
        let provider = idp.provider()?;
        let client = Client::with_secret("development", "development-secret")?;
        let target = Target::audience(EMBEDDED_AUDIENCE)?;
        let tokens = ClientCredentials::new(&provider, client, target);
        serve(
            listener,
            &provider.verifier(EMBEDDED_AUDIENCE)?,
            Some(tokens),
        )
        .await
    }
}

async fn serve(
    listener: TcpListener,
    verifier: &Verifier,
    tokens: Option<ClientCredentials>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = listener.local_addr()?;
    // The first layer is the outermost: it puts into gRPC's words what the others refuse.
    let serving = Server::builder()
        .layer(GrpcLayer::new())
        .layer(BearerLayer::new(verifier.clone()))
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

/// What a client does: its channel, and a layer around it.
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

    let service = outbound.layer(channel);
    // So that calls say where they go, and the layer can hold that against its destination.
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
