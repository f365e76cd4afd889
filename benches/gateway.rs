//! Requests per second through the gateway's proxy, with the layers around it and without, and to the
//! service behind it. All of them and the load share the machine: compare within one run only.
//!
//! `cargo bench --bench gateway --all-features` needs wrk.

#[path = "../examples/gateway/proxy.rs"]
mod proxy;
#[path = "support/wrk.rs"]
mod wrk;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, any, get};
use axum::{Router, serve};
use http::{Request, Uri};
use proxy::{Plain, Proxy};
use reqwest::cookie::{CookieStore, Jar};
use tokio::net::TcpListener;
use tower::Layer;
use tower_oidc::outbound::Outbound;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{Client, KeyRing, LoginLayer, OutboundLayer, Principal};

type BoxError = Box<dyn Error + Send + Sync>;

const AUDIENCE: &str = "https://api.example.com";

const TURNS: usize = 15;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let upstream = start(Router::new().route("/", get(|| async { "hello\n" }))).await?;
    let public: Uri = upstream.parse()?;

    let bare = Proxy::new(proxy::plain()?, &upstream, public.clone())?;
    let bare = behind(&any(forward_bare)).with_state(bare);
    let bare = start(bare).await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let gateway = format!("http://{}", listener.local_addr()?);
    let idp = DevelopmentProvider::start().await?;
    idp.set_token_lifetime(Duration::from_secs(3_600));
    let verifier = idp.provider()?.verifier(AUDIENCE)?;
    let client = Client::with_secret("development", "development-secret")?;
    let login = LoginLayer::builder(verifier, client, &gateway, KeyRing::ephemeral()?).build()?;
    // A token of the same length, without a session.
    let fixed = OutboundLayer::fixed(&"x".repeat(900), &upstream)?;
    let fixed = Proxy::new(fixed.layer(proxy::plain()?), &upstream, public.clone())?;
    let fixed = start(behind(&any(forward_fixed)).with_state(fixed)).await?;

    let relay = OutboundLayer::relay(&upstream)?;
    let whole = Proxy::new(relay.layer(proxy::plain()?), &upstream, public)?;
    let whole = behind(&any(forward)).with_state(whole).layer(login);
    tokio::spawn(async move { serve(listener, whole).await });
    let cookie = sign_in(&gateway).await?;

    let cookie = format!("cookie: {cookie}");
    let target = |name, url| wrk::Target {
        name,
        url,
        header: cookie.clone(),
    };
    let targets = [
        target("the proxy without layers", format!("{bare}/upstream/")),
        target("with a fixed token", format!("{fixed}/upstream/")),
        target("the whole gateway", format!("{gateway}/upstream/")),
        target("the service itself", upstream),
    ];
    wrk::compare(TURNS, targets).await
}

fn behind<S: Clone + Send + Sync + 'static>(forward: &MethodRouter<S>) -> Router<S> {
    proxy::PATHS
        .into_iter()
        .fold(Router::new(), |router, path| {
            router.route(path, forward.clone())
        })
}

async fn start(app: Router) -> Result<String, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { serve(listener, app).await });
    Ok(address)
}

async fn forward_bare(State(proxy): State<Proxy<Plain>>, request: Request<Body>) -> Response {
    proxy.forward(None, request).await
}

async fn forward_fixed(
    State(proxy): State<Proxy<Outbound<Plain>>>,
    request: Request<Body>,
) -> Response {
    proxy.forward(None, request).await
}

async fn forward(
    principal: Principal,
    State(proxy): State<Proxy<Outbound<Plain>>>,
    request: Request<Body>,
) -> Response {
    proxy.forward(Some(principal), request).await
}

async fn sign_in(gateway: &str) -> Result<String, BoxError> {
    let jar = Arc::new(Jar::default());
    let browser = reqwest::Client::builder()
        .cookie_provider(Arc::clone(&jar))
        .build()?;
    let start = format!("{gateway}/oauth/openid?return_to=/upstream/");
    let page = browser.get(start).header("accept", "text/html");
    page.send().await?.error_for_status()?;
    let cookies = jar.cookies(&gateway.parse()?).ok_or("no cookie")?;
    Ok(cookies.to_str()?.to_owned())
}
