//! The `openidconnect` example as a program: its own sign-in, and a session that is refreshed from then on.

use std::time::Duration;

use crate::programs::{Program, example};

// D32
#[tokio::test]
#[ignore = "starts the example as a program; the full test run builds it first"]
async fn an_application_of_openidconnect_runs_as_a_program() {
    let program = Program::start(&mut example("openidconnect", &[]), "listening on ");
    let browser = reqwest::Client::builder()
        .cookie_store(true)
        .build()
        .unwrap();
    let visit = async |path: &str| {
        let address = format!("{}{path}", program.address());
        let page = browser.get(address).send().await.unwrap();
        page.text().await.unwrap()
    };
    assert!(visit("/").await.contains("Sign in"));
    // Through the provider, the callback, and back.
    let page = visit("/sign-in").await;
    assert!(page.contains("Hello, user-1"), "{page}");
    assert!(page.contains("user-1@example.com"), "{page}");
    // A token lives ten seconds.
    let refreshed = async {
        while !visit("/").await.contains("Renewed: 1") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), refreshed);
    in_time.await.expect("the session is refreshed");
    // An answer that this browser has not begun is none.
    let forged = visit("/callback?code=a&state=b").await;
    assert!(forged.contains("no such sign-in"), "{forged}");
    let (code, log) = program.stop();
    assert_eq!(code, Some(0), "{log}");
}
