//! Sessions as an application lists and ends them, and streams that end with them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, ServiceExt};
use tower_oidc::error::StoreErrorKind;
use tower_oidc::login::{LoginLayer, SessionId, SessionStore, Sessions, StoredRecord, Tag};
use tower_oidc::{Client, Clock, KeyRing, LoginErrorKind as Kind, Session, StreamExpiryLayer};

use crate::browser::{App, Browser, SECRET, SESSION, SITE, builder, failure};
use crate::faulty_store::FaultyStore;
use crate::support::{seconds, until};

const USER: &str = "user-1";

async fn signed_in(app: &App) -> Browser {
    let mut browser = Browser::default();
    browser.sign_in(app).await;
    browser
}

async fn is_signed_in(app: &App, browser: &Browser) -> bool {
    browser.clone().fetch(app, "/").await.status() == StatusCode::OK
}

fn issuer(app: &App) -> String {
    app.idp.issuer().to_owned()
}

async fn listed(sessions: &Sessions, app: &App) -> usize {
    let listed = sessions.list(&issuer(app), USER).await.unwrap();
    listed.len()
}

/// The same site and store with another client of the same provider.
fn of_another_client(app: &App) -> Sessions {
    let client = Client::with_secret("another", "its secret").unwrap();
    let keys = KeyRing::new([SECRET]).unwrap();
    LoginLayer::builder(app.verifier.clone(), client, SITE, keys)
        .with_shared_store(app.store.clone())
        .build()
        .unwrap()
        .sessions()
}

// SC-18
#[tokio::test]
async fn a_person_has_a_list_of_sessions_and_a_stranger_an_empty_one() {
    let app = App::start().await;
    let sessions = app.layer.sessions();
    assert_eq!(listed(&sessions, &app).await, 0);
    let began = app.clock.now();
    let mut first = signed_in(&app).await;
    let first_key = SessionId::parse(&first.jar[SESSION]).unwrap().key();
    app.hour_passes();
    first.fetch(&app, "/").await;
    assert_eq!(app.session().key(), first_key, "it outlives a refresh");
    let second = signed_in(&app).await;

    let list = sessions.list(&issuer(&app), USER).await.unwrap();
    let [newest, oldest] = &list[..] else {
        panic!("{list:?}");
    };
    assert_eq!(oldest.key, first_key);
    assert_eq!((oldest.signed_in_at, oldest.renewals), (began, 1));
    assert_eq!(oldest.renewed_at, Some(app.clock.now()));
    assert_eq!((newest.signed_in_at, newest.renewals), (app.clock.now(), 0));
    assert_eq!(newest.renewed_at, None);
    assert_eq!(
        newest.ends_at,
        app.clock.now().saturating_add(seconds(86_400))
    );
    assert!(app.clock.now() < newest.expires_at && newest.expires_at <= newest.ends_at);
    // Nothing of a token, and no way to the cookie.
    let told = format!("{list:?} {sessions:?} {}", oldest.key);
    for secret in ["eyJ", &first.jar[SESSION][..16], &second.jar[SESSION][..16]] {
        assert!(!told.contains(secret), "{told}");
    }

    let iss = issuer(&app);
    for (issuer, subject) in [
        (&*iss, "user-2"),
        (&*iss, ""),
        ("https://other.example", USER),
        ("", ""),
    ] {
        assert!(sessions.list(issuer, subject).await.unwrap().is_empty());
        assert_eq!(sessions.end_all(issuer, subject).await.unwrap(), 0);
    }
    assert_eq!(listed(&sessions, &app).await, 2);
    // A browser that signs in again has one session, not two.
    let mut again = second;
    again.sign_in(&app).await;
    assert_eq!(listed(&sessions, &app).await, 2);
    app.clock.advance(seconds(86_400));
    assert_eq!(listed(&sessions, &app).await, 0);
}

// D23, SC-18, LO-18, LO-19
#[tokio::test]
async fn one_session_ends_or_all_of_them_and_their_tokens_are_revoked() {
    let app = App::start().await;
    let replica = app.replica();
    let browsers = [
        signed_in(&app).await,
        signed_in(&app).await,
        signed_in(&app).await,
    ];
    app.idp.set_user("user-2");
    let other = signed_in(&app).await;
    let key = |browser: &Browser| SessionId::parse(&browser.jar[SESSION]).unwrap().key();
    let sessions = replica.sessions();
    assert!(sessions.end(&key(&browsers[0])).await.unwrap());
    assert!(!sessions.end(&key(&browsers[0])).await.unwrap());
    assert!(
        !sessions
            .end(&SessionId::random().unwrap().key())
            .await
            .unwrap()
    );
    until(|| app.idp.hits().revocation == 1).await;
    assert!(!is_signed_in(&app, &browsers[0]).await);
    // Its cookie is cleared by the answer to the next request.
    let mut ended = browsers[0].clone();
    let answer = ended.fetch(&app, "/").await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    assert!(!ended.jar.contains_key(SESSION));

    assert!(is_signed_in(&app, &browsers[1]).await);
    let session = app.session();
    assert_eq!(sessions.end_all(&issuer(&app), USER).await.unwrap(), 2);
    assert_eq!(sessions.end_all(&issuer(&app), USER).await.unwrap(), 0);
    until(|| app.idp.hits().revocation == 3).await;
    for browser in &browsers[1..] {
        assert!(!is_signed_in(&app, browser).await);
    }
    assert!(!session.end().await.unwrap(), "it is over");
    let error = session.access_token().await.unwrap_err();
    assert_eq!(error.kind(), Kind::SessionEnded);

    assert!(is_signed_in(&app, &other).await, "another person");
    assert!(app.session().end().await.unwrap());
    until(|| app.idp.hits().revocation == 4).await;
    assert!(!is_signed_in(&app, &other).await);
}

// SC-18
#[tokio::test]
async fn what_is_no_session_of_this_layer_is_neither_listed_nor_ended() {
    let app = App::start().await;
    let browser = signed_in(&app).await;
    let id = SessionId::parse(&browser.jar[SESSION]).unwrap();
    let other = of_another_client(&app);
    assert_eq!(listed(&other, &app).await, 0);
    assert!(!other.end(&id.key()).await.unwrap());
    assert_eq!(other.end_all(&issuer(&app), USER).await.unwrap(), 0);
    assert!(is_signed_in(&app, &browser).await);
    // A key may be computed: that of a mark, which must stay.
    let mark = SessionId::random().unwrap();
    let record = StoredRecord {
        bytes: Bytes::from_static(&[0; 16]),
        tag: Tag::random().unwrap(),
        expires_at: app.clock.now().saturating_add(seconds(600)),
    };
    let key = mark.store_key();
    app.store.create(key, None, record.clone()).await.unwrap();
    assert!(!app.layer.sessions().end(&mark.key()).await.unwrap());
    let there = app.store.load(key).await.unwrap().unwrap();
    assert_eq!(there.record, record);
}

// LO-19
#[tokio::test]
async fn a_store_that_is_away_is_told_and_another_call_does_the_rest() {
    let app = App::start().await;
    let store = Arc::new(FaultyStore::new(app.store.clone()));
    let layer = builder(&app.verifier)
        .with_shared_store(store.clone())
        .build()
        .unwrap();
    let sessions = layer.sessions();
    let browsers = [signed_in(&app).await, signed_in(&app).await];
    assert!(is_signed_in(&app, &browsers[0]).await);
    let key = app.session().key();
    let iss = issuer(&app);
    for fault in [
        FaultyStore::break_deletes,
        FaultyStore::break_finds,
        FaultyStore::break_down,
    ] {
        fault(&store);
        let error = sessions.end_all(&iss, USER).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        for browser in &browsers {
            assert!(is_signed_in(&app, browser).await);
        }
    }
    let error = sessions.list(&iss, USER).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let error = sessions.end(&key).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(app.idp.hits().revocation, 0);
    store.recover();
    assert!(sessions.end(&key).await.unwrap());
    assert_eq!(sessions.end_all(&iss, USER).await.unwrap(), 1);
}

// LO-19
#[tokio::test]
async fn a_sign_in_under_way_does_not_outlive_a_sign_out_everywhere() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    app.clock.advance(seconds(2));
    let sessions = app.layer.sessions();
    assert_eq!(sessions.end_all(&issuer(&app), USER).await.unwrap(), 0);
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    assert!(!browser.jar.contains_key(SESSION));
    assert_eq!(listed(&sessions, &app).await, 0);
    browser.sign_in(&app).await;
    assert_eq!(listed(&sessions, &app).await, 1);
}

// GR-06, LO-19
#[tokio::test]
async fn a_stream_ends_with_its_session_and_no_store_failure_ends_it() {
    let app = App::start().await;
    let store = Arc::new(FaultyStore::new(app.store.clone()));
    let layer = builder(&app.verifier)
        .with_shared_store(store.clone())
        .build()
        .unwrap();
    let endless = |_: Request<String>| async {
        let never = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
        Ok::<_, Infallible>(http::Response::new(StreamBody::new(never)))
    };
    let expiry = StreamExpiryLayer::new();
    // The session stands in the request as the layer put it there.
    let session_of = |browser: &Browser| {
        let request = browser.script(Method::GET, "/");
        let service = layer.layer(app.inner.clone());
        async {
            assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
            app.session()
        }
    };
    let call = |session: &Session| {
        let mut request = Request::post("/greeter.Greeter/Chat")
            .header("content-type", "application/grpc")
            .body(String::new())
            .unwrap();
        let caller = session.principal().clone();
        request.extensions_mut().insert(caller);
        expiry.layer(tower::service_fn(endless)).oneshot(request)
    };
    let (ends, stays) = (signed_in(&app).await, signed_in(&app).await);
    let (ending, staying) = (session_of(&ends).await, session_of(&stays).await);
    // The token that the streams begin with expires. The session has others.
    let (first, ended_alone) = (ending.access_expires_at(), ending.principal().ended());
    let mut ended = call(&ending).await.unwrap().into_body();
    let mut stayed = call(&staying).await.unwrap().into_body();
    app.clock.advance(seconds(3_700));
    assert!(first.saturating_add(seconds(60)) < app.clock.now());
    store.break_down();
    let quiet = tokio::time::timeout(Duration::from_millis(1_500), ended.frame()).await;
    assert!(quiet.is_err(), "the store is away");
    store.recover();
    // By another replica, whose word is not heard.
    assert!(app.replica().sessions().end(&ending.key()).await.unwrap());
    let frame = tokio::time::timeout(seconds(3), ended.frame()).await;
    let trailers = frame.unwrap().unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "16");
    assert!(ended.frame().await.is_none());
    // A socket waits for the same.
    tokio::time::timeout(seconds(3), ended_alone).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(1_500), stayed.frame()).await;
    assert!(quiet.is_err(), "another session");
}

#[test]
fn handles_of_sessions_can_be_shared() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug>() {}
    shared::<Sessions>();
    shared::<tower_oidc::login::SessionKey>();
    shared::<tower_oidc::login::ListedSession>();
}
