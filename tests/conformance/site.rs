//! A site on loopback with a provider on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::{Browser, DevelopmentProvider, Manner, ManualClock};
use tower_oidc::{
    Client, KeyRing, LoginError, LoginErrorKind, LoginLayer, Provider, Session, VerifyError,
    VerifyErrorKind,
};

use crate::browsing::Answer;

/// The public address of the site. TLS ends in front of it, as behind a proxy.
pub(crate) const SITE: &str = "https://app.example.com";
pub(crate) const START: &str = "/oauth/openid";
pub(crate) const CLIENT: &str = "development";
pub(crate) const API: &str = "https://api.example.com";
const SESSION: &str = "__Host-session";

/// What the site wants of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Access tokens for an API of its own, which it verifies.
    Token,
    /// To know who its users are. The access tokens are opaque.
    Identity,
}

impl Mode {
    pub(crate) const BOTH: [Self; 2] = [Self::Token, Self::Identity];
}

/// How the provider sends its answer to the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseMode {
    Query,
    FormPost,
}

/// Why a sign-in or a request failed.
pub(crate) type Failure = (LoginErrorKind, Option<VerifyErrorKind>);

pub(crate) struct Site {
    pub(crate) idp: Arc<DevelopmentProvider>,
    pub(crate) clock: ManualClock,
    pub(crate) address: SocketAddr,
    /// Keeps no cookies and follows no redirects.
    pub(crate) http: reqwest::Client,
    failed: Arc<Mutex<Option<Failure>>>,
    server: JoinHandle<()>,
}

impl Site {
    pub(crate) async fn start(mode: Mode) -> Self {
        Self::start_with(mode, ResponseMode::Query, |login| login).await
    }

    pub(crate) async fn start_with(
        mode: Mode,
        responses: ResponseMode,
        choose: impl FnOnce(LoginBuilder) -> LoginBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let idp = DevelopmentProvider::builder().with_clock(clock.clone());
        let idp = Arc::new(idp.start().await.unwrap());
        let login = builder(&idp.provider().unwrap(), mode).with_userinfo();
        if mode == Mode::Identity {
            idp.set_manner(Manner::Google);
        }
        let login = match responses {
            ResponseMode::Query => login,
            ResponseMode::FormPost => login.with_form_post(),
        };
        let failed: Arc<Mutex<Option<Failure>>> = Arc::default();
        let told = Arc::clone(&failed);
        let app = Router::new()
            .route("/", get(home))
            .route("/userinfo", get(ask_userinfo))
            .with_state(format!("{}/userinfo", idp.issuer()))
            .layer(choose(login).build().unwrap())
            .layer(map_response(move |response: Response| {
                if let Some(error) = response.extensions().get::<LoginError>() {
                    let cause = error.verify_error().map(VerifyError::kind);
                    *told.lock().unwrap() = Some((error.kind(), cause));
                }
                std::future::ready(response)
            }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            idp,
            clock,
            address,
            http: reqwest::Client::builder()
                .redirect(Policy::none())
                .build()
                .unwrap(),
            failed,
            server,
        }
    }

    /// The failure of the last request that failed since this was asked.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failed.lock().unwrap().take()
    }

    /// Moves the clock past the end of an access token.
    pub(crate) fn hour_passes(&self) {
        self.clock.advance(Duration::from_secs(3_600));
    }

    /// A sign-in succeeds. What the site knows of the user then.
    pub(crate) async fn accepts(&self) -> Value {
        let mut browser = Browser::new();
        self.sign_in(&mut browser).await;
        self.shows(&mut browser).await
    }

    /// A sign-in fails because of the ID token: no session comes of it, and no token is used.
    pub(crate) async fn refuses_id_token(&self, cause: VerifyErrorKind) {
        let mut browser = Browser::new();
        let answer = self.try_sign_in(&mut browser).await;
        let expected = (LoginErrorKind::IdTokenRefused, Some(cause));
        assert_eq!(self.failure(), Some(expected));
        assert_eq!(answer.status(), LoginErrorKind::IdTokenRefused.status());
        assert_eq!(self.idp.hits().token, 1, "the code is spent");
        assert_eq!(self.idp.hits().userinfo, 0);
        self.has_no_session(&mut browser).await;
    }

    /// A sign-in fails at the callback: no token is asked for.
    pub(crate) async fn refuses_answer(&self, kind: LoginErrorKind) -> Answer {
        let mut browser = Browser::new();
        let answer = self.try_sign_in(&mut browser).await;
        assert_eq!(self.failure(), Some((kind, None)));
        assert_eq!(answer.status(), kind.status());
        assert_eq!(self.idp.hits().token, 0);
        self.has_no_session(&mut browser).await;
        answer
    }

    pub(crate) async fn has_no_session(&self, browser: &mut Browser) {
        assert!(browser.cookies().all(|(name, _)| name != SESSION));
        assert!(!self.is_signed_in(browser).await);
    }

    /// Spends the refresh token by a request, and returns the answer.
    pub(crate) async fn refreshes(&self, browser: &mut Browser) -> Answer {
        self.hour_passes();
        self.fetch(browser, "/userinfo").await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn builder(provider: &Provider, mode: Mode) -> LoginBuilder {
    let client = Client::with_secret(CLIENT, "development-secret").unwrap();
    let keys = KeyRing::ephemeral().unwrap();
    match mode {
        Mode::Token => {
            let verifier = provider.verifier(API).unwrap();
            LoginLayer::builder(verifier, client, SITE, keys)
        }
        Mode::Identity => LoginLayer::identity(provider, client, SITE, keys)
            .with_scope("openid profile email")
            .add_parameter("access_type", "offline"),
    }
}

/// What the site knows of the user.
async fn home(session: Option<Session>) -> Json<Value> {
    Json(session.map_or(Value::Null, |session| {
        json!({
            "sub": session.subject(),
            "iss": session.issuer(),
            "claims": session.id_claims::<Value>().unwrap(),
            "userinfo": session.userinfo::<Value>().unwrap(),
            "renewals": session.renewals(),
        })
    }))
}

/// Asks UserInfo with the access token that is live now.
async fn ask_userinfo(State(url): State<String>, session: Session) -> Response {
    let token = match session.access_token().await {
        Ok(token) => token,
        Err(error) => return error.kind().status().into_response(),
    };
    let asked = reqwest::Client::new().get(url);
    let asked = asked.header(AUTHORIZATION, token.to_authorization());
    match asked.send().await.unwrap().error_for_status() {
        Ok(answer) => Json(answer.json::<Value>().await.unwrap()).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
