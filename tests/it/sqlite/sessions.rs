//! Sign-ins whose sessions are in a file: restarts, several processes, and what a reader of the file learns.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use tower::{Layer, ServiceExt};
use tower_oidc::LoginLayer;
use tower_oidc::login::SqliteStore;
use tower_oidc::testing::{Endpoint, Fault};

use super::Folder;
use crate::browser::{App, Browser, builder};
use crate::support::seconds;

/// A process of the application: its own connections to the file, and its own memory.
fn process(app: &App, store: SqliteStore) -> LoginLayer {
    let store = store.with_clock(app.clock.clone());
    builder(&app.verifier).with_store(store).build().unwrap()
}

async fn signed_in(folder: &Folder) -> (App, Browser) {
    let mut app = App::start().await;
    app.layer = process(&app, folder.store());
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    (app, browser)
}

// D31
#[tokio::test]
async fn a_restart_leaves_users_signed_in() {
    let folder = Folder::new();
    let (mut app, mut browser) = signed_in(&folder).await;
    app.layer = process(&app, folder.store());
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(
        (answer.status(), answer.body().as_str()),
        (StatusCode::OK, "user-1")
    );
    // And the refresh token is that of the last refresh.
    for refreshed in [1, 2] {
        app.hour_passes();
        app.layer = process(&app, folder.store());
        assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
        let hits = app.idp.hits();
        assert_eq!((hits.refreshed, hits.reused), (refreshed, 0));
    }
}

// D31, RT-01
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_processes_on_one_file_make_one_grant() {
    let folder = Folder::new();
    let (app, browser) = signed_in(&folder).await;
    app.hour_passes();
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(150)));
    let layers = [
        app.layer.clone(),
        process(&app, folder.store()),
        process(&app, folder.store()),
    ];
    let requests = (0..150).map(|at| {
        let service = layers[at % layers.len()].layer(app.inner.clone());
        let request = browser.script(Method::GET, "/");
        tokio::spawn(async move { service.oneshot(request).await.unwrap() })
    });
    for request in requests.collect::<Vec<_>>() {
        let answer = request.await.unwrap();
        assert_eq!(
            (answer.status(), answer.body().as_str()),
            (StatusCode::OK, "user-1")
        );
    }
    let hits = app.idp.hits();
    assert_eq!((hits.refreshed, hits.reused), (1, 0));
}

// D31
#[tokio::test]
async fn a_sign_out_is_seen_by_another_process_within_a_second() {
    let folder = Folder::new();
    let (mut app, mut browser) = signed_in(&folder).await;
    let other = process(&app, folder.store());
    let here = std::mem::replace(&mut app.layer, other.clone());
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    let stolen = browser.clone();
    app.layer = here;
    browser.fetch(&app, "/").await;
    app.session().end().await.unwrap();
    app.layer = other;
    app.clock.advance(seconds(1));
    let answer = stolen.clone().fetch(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

// D31
#[tokio::test]
async fn layers_of_two_providers_share_a_file_and_no_session() {
    let folder = Folder::new();
    let (one, mut browser) = signed_in(&folder).await;
    let (two, mut stranger) = signed_in(&folder).await;
    let mut wrong = browser.clone();
    assert_eq!(
        wrong.fetch(&two, "/").await.status(),
        StatusCode::UNAUTHORIZED
    );
    for (app, browser) in [(&one, &mut browser), (&two, &mut stranger)] {
        assert_eq!(browser.fetch(app, "/").await.status(), StatusCode::OK);
    }
}

// D7, D31
#[tokio::test]
async fn the_files_show_no_token_no_session_id_and_no_subject() {
    let folder = Folder::new();
    let mut app = App::start().await;
    app.layer = process(&app, folder.store());
    let answered = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&answered);
    app.idp.edit_token_answer(move |_, answer| {
        for member in ["access_token", "refresh_token", "id_token"] {
            let token = answer[member].as_str().unwrap();
            kept.lock().unwrap().push(token.to_owned());
        }
    });
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let mut dump = Vec::new();
    for beside in ["", "-wal", "-shm"] {
        dump.extend(std::fs::read(format!("{}{beside}", folder.file())).unwrap());
    }
    assert!(holds(&dump, b"tower_oidc_sessions"), "the dump is one");
    let mut secrets = answered.lock().unwrap().clone();
    assert_eq!(secrets.len(), 3);
    secrets.extend(["user-1".to_owned(), app.idp.issuer().to_owned()]);
    secrets.extend(browser.jar.values().cloned());
    // No sixteen characters of one in a row.
    let parts: HashSet<_> = secrets
        .iter()
        .flat_map(|secret| secret.as_bytes().windows(secret.len().min(PART)))
        .collect();
    for length in parts.iter().map(|part| part.len()).collect::<HashSet<_>>() {
        let shown = dump.windows(length).find(|part| parts.contains(part));
        let shown = shown.map(String::from_utf8_lossy);
        assert_eq!(shown, None);
    }
}

const PART: usize = 16;

fn holds(dump: &[u8], part: &[u8]) -> bool {
    dump.windows(part.len()).any(|window| window == part)
}
