//! A site that signs people in with the client of the `openidconnect` crate, as it did before, and hands the tokens
//! over: from then on this crate keeps them, refreshes them, and knows who calls.
//!
//! Without settings, a development provider starts beside it. Its access tokens live ten seconds, so that you see them
//! refreshed. At a real provider:
//!
//! ```sh
//! OPENID_ISSUER=https://tenant.us.auth0.com/ OPENID_CLIENT_ID=… OPENID_CLIENT_SECRET=… \
//!     OPENID_AUDIENCE=https://api.example.com \
//!     cargo run --example openidconnect --features axum,openidconnect,testing
//! ```
//!
//! Register `http://127.0.0.1:3080/callback` there. `HOST` and `PORT` choose where it listens, `RUST_LOG` what is
//! logged.
//!
//! Do not copy: the development provider, which signs in anyone as any user, and sign-ins under way in the memory of
//! one process.
#![expect(clippy::print_stdout, reason = "a program for people")]

mod support;

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect};
use axum::routing::get;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreIdTokenClaims, CoreProviderMetadata,
};
use openidconnect::{
    AsyncHttpClient, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope,
};
use support::embedded;
use tower_oidc::login::SentNonce;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{Client, KeyRing, LoginLayer, Provider, Session};

type BoxError = Box<dyn Error + Send + Sync>;

/// The client that the application has already.
type OwnClient = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

struct App {
    client: OwnClient,
    audience: String,
    http: Http,
    /// The sign-ins under way, each by its state.
    under_way: Mutex<VecDeque<(String, Nonce, PkceCodeVerifier)>>,
    login: LoginLayer,
}

/// The HTTP client of the application. It follows no redirects.
struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, reqwest::Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.0.execute(request.try_into()?).await?;
            let mut response = HttpResponse::default();
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            *response.body_mut() = answer.bytes().await?.to_vec();
            Ok(response)
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("openidconnect", run().await)
}

async fn run() -> Result<(), BoxError> {
    support::start_log();
    let listener = support::listen().await?;
    let address = format!("http://{}", listener.local_addr()?);
    let idp = if support::is_configured() {
        None
    } else {
        Some(embedded::start(DevelopmentProvider::builder()).await?)
    };
    let app = Arc::new(start(&address, idp.as_ref()).await?);
    let login = app.login.clone();
    let site = Router::new()
        .route("/", get(home))
        .route("/sign-in", get(sign_in))
        .route("/callback", get(callback))
        .with_state(app)
        .layer(login.clone());
    println!("listening on {address}");
    let serving = axum::serve(listener, site).with_graceful_shutdown(support::asked_to_stop());
    support::served_and_drained(serving, move |deadline| login.drain(deadline)).await?;
    Ok(())
}

async fn start(address: &str, idp: Option<&DevelopmentProvider>) -> Result<App, BoxError> {
    let set = |name: &str, embedded: &str| match idp {
        Some(_) => Ok(embedded.to_owned()),
        None => std::env::var(name).map_err(|_| format!("{name} is not set: set it, too")),
    };
    let embedded_issuer = idp.map_or("", DevelopmentProvider::issuer);
    let issuer = set("OPENID_ISSUER", embedded_issuer)?;
    let id = set("OPENID_CLIENT_ID", "development")?;
    let secret = set("OPENID_CLIENT_SECRET", "development-secret")?;
    let audience = set("OPENID_AUDIENCE", embedded::AUDIENCE)?;

    // What the application did before.
    let no_redirects = reqwest::redirect::Policy::none();
    let http = Http(reqwest::Client::builder().redirect(no_redirects).build()?);
    let metadata = CoreProviderMetadata::discover_async(IssuerUrl::new(issuer)?, &http).await?;
    let (client_id, client_secret) = (ClientId::new(id.clone()), ClientSecret::new(secret.clone()));
    let client =
        CoreClient::from_provider_metadata(metadata.clone(), client_id, Some(client_secret))
            .set_redirect_uri(RedirectUrl::new(format!("{address}/callback"))?);

    // What is new.
    let provider = match idp {
        Some(idp) => {
            idp.set_token_lifetime(Duration::from_secs(10));
            // By plain http.
            idp.provider_builder().with_metadata(&metadata).build()?
        }
        None => Provider::from_metadata(&metadata)?,
    };
    let verifier = provider.verifier(&*audience)?;
    let own = Client::with_secret(&id, &secret)?;
    let login = LoginLayer::builder(verifier, own, address, KeyRing::ephemeral()?)
        .allow_anonymous()
        // Whom a page refuses is sent here.
        .with_login_page("/sign-in")
        .build()?;
    Ok(App {
        client,
        audience,
        http,
        under_way: Mutex::default(),
        login,
    })
}

/// The application's own beginning of a sign-in.
async fn sign_in(State(app): State<Arc<App>>) -> impl IntoResponse {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = app
        .client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scope(Scope::new("offline_access".to_owned()))
        .add_extra_param("audience", &app.audience)
        .set_pkce_challenge(challenge)
        .url();
    let mut under_way = app.under_way.lock().unwrap_or_else(PoisonError::into_inner);
    if under_way.len() == 1_000 {
        under_way.pop_front();
    }
    under_way.push_back((state.secret().clone(), nonce, verifier));
    // The answer counts in this browser alone.
    let cookie = own_cookie(state.secret(), 600);
    (
        AppendHeaders([(SET_COOKIE, cookie)]),
        Redirect::to(url.as_str()),
    )
}

fn own_cookie(state: &str, seconds: u32) -> String {
    format!("own-state={state}; Path=/callback; Max-Age={seconds}; HttpOnly; SameSite=Lax")
}

/// The application's own callback. Its last step hands the tokens over.
async fn callback(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(answer): Query<HashMap<String, String>>,
) -> Result<impl IntoResponse, (StatusCode, String)> {
    let refuse = |text: &str| (StatusCode::BAD_REQUEST, format!("{text}\n"));
    let state = answer.get("state").map_or("", String::as_str);
    let cookies = headers.get_all(COOKIE).iter();
    let mut cookies = cookies.filter_map(|field| field.to_str().ok());
    let own = format!("own-state={state}");
    let is_own = cookies.any(|field| field.split("; ").any(|cookie| cookie == own));
    let (nonce, verifier) = take(&app, state)
        .filter(|_| is_own)
        .ok_or_else(|| refuse("this browser has begun no such sign-in"))?;
    let code = answer
        .get("code")
        .ok_or_else(|| refuse("you are not signed in"))?;
    let response = app
        .client
        .exchange_code(AuthorizationCode::new(code.clone()))
        .map_err(|error| refuse(&error.to_string()))?
        .set_pkce_verifier(verifier)
        .request_async(&app.http)
        .await
        .map_err(|error| refuse(&error.to_string()))?;
    let nonce = SentNonce::Is(nonce.secret());
    let adopted = app.login.adopt(&headers, &response, nonce).await;
    let adopted = adopted.map_err(|error| {
        tracing::warn!(%error, remedy = error.remedy(), "a sign-in failed");
        (error.kind().status(), format!("{error}\n"))
    })?;
    let cookies = [
        (SET_COOKIE, adopted.set_cookie().clone()),
        (
            SET_COOKIE,
            own_cookie("", 0)
                .try_into()
                .map_err(|_| refuse("no cookie"))?,
        ),
    ];
    Ok((AppendHeaders(cookies), Redirect::to("/")))
}

fn take(app: &App, state: &str) -> Option<(Nonce, PkceCodeVerifier)> {
    let mut under_way = app.under_way.lock().unwrap_or_else(PoisonError::into_inner);
    let at = under_way.iter().position(|(known, ..)| known == state)?;
    let (_, nonce, verifier) = under_way.remove(at)?;
    Some((nonce, verifier))
}

/// Who the visitor is, in the types of `openidconnect`.
async fn home(State(app): State<Arc<App>>, session: Option<Session>) -> Html<String> {
    let Some(session) = session else {
        return Html("<h1>Welcome</h1><a href=\"/sign-in\">Sign in</a>".to_owned());
    };
    let claims: Option<CoreIdTokenClaims> = session.id_claims().ok();
    let email = claims.as_ref().and_then(CoreIdTokenClaims::email);
    let email = email.map_or("–", |email| email.as_str());
    Html(format!(
        "<h1>Hello, {}</h1><p>E-mail: {}</p><p>Renewed: {}</p>\
         <form method=\"post\" action=\"{}\"><button>Sign out</button></form>",
        escape(session.subject()),
        escape(email),
        session.renewals(),
        app.login.sign_out_path(),
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
