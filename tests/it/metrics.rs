//! The metrics, and that no part of a token is in them.

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tower_oidc::login::{LoginHosts, LoginSite, SiteSource};
use tower_oidc::testing::{Endpoint, Fault, ManualClock, OfflineProvider};
use tower_oidc::{ConfigError, IssuerSource};

use crate::browser::{App, Browser, client};
use crate::login_hosts::fetch;
use crate::support::{API, Api, seconds};
use crate::upstream::{ORDERS, Upstream, call, development, get};
use tower_oidc::{OutboundLayer, Revocations};

fn counted(snapshotter: &Snapshotter) -> Vec<(String, u64)> {
    let mut rows: Vec<_> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .filter_map(|(key, _, _, value)| {
            let key = key.key();
            let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
            match value {
                DebugValue::Counter(count) => {
                    Some((format!("{} {}", key.name(), labels.join(" ")), count))
                }
                _ => None,
            }
        })
        .collect();
    rows.sort();
    rows
}

// D18, D39
#[tokio::test]
async fn look_ups_of_sites_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let app = App::start().await;
    let site = LoginSite::from(app.layer.clone());
    let source = SiteSource::builder(move |host: String| {
        let site = (host != "unknown.example").then(|| site.clone());
        async move { Ok::<_, ConfigError>(site) }
    });
    let source = source.with_clock(app.clock.clone()).build().unwrap();
    let hosts = LoginHosts::from_source(&source);
    let browser = Browser::default();
    for host in ["app.example.com", "unknown.example", "other.example"] {
        fetch(&hosts, &browser, host, "/").await;
    }
    for number in 0..50 {
        fetch(&hosts, &browser, &format!("{number}.example"), "/").await;
    }
    let rows = counted(&snapshotter);
    for (name, expected) in [
        ("tower_oidc_site_lookups_total found", 1),
        ("tower_oidc_site_lookups_total unknown", 1),
        ("tower_oidc_site_lookups_total other_site", 48),
        ("tower_oidc_site_lookups_total suppressed", 3),
    ] {
        let row = rows.iter().find(|(known, _)| known == name);
        assert_eq!(row.map(|(_, count)| *count), Some(expected), "{name}");
    }
}

// D18, D39
#[tokio::test]
async fn revocations_and_what_they_refuse_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let revocations = Revocations::builder().with_capacity(4).build().unwrap();
    let api = Api::verifying(|verifier| verifier.with_revocations(&revocations)).await;
    let token = api.token().build();
    api.verdict(&token).await;
    let issuer = api.idp.issuer();
    revocations.revoke_all(issuer, "user-1").unwrap();
    revocations.end_session(issuer, "one").unwrap();
    let until = tower_oidc::Clock::now(&api.clock);
    revocations.revoke_token(issuer, "one", until).unwrap();
    revocations.end_session(issuer, "two").unwrap_err();
    for _ in 0..3 {
        api.verdict(&token).await;
    }
    let rows = counted(&snapshotter);
    for (name, expected) in [
        ("tower_oidc_revocations_total full", 1),
        ("tower_oidc_revocations_total session", 1),
        ("tower_oidc_revocations_total subject", 1),
        ("tower_oidc_revocations_total token", 1),
        ("tower_oidc_tokens_total accepted", 1),
        ("tower_oidc_tokens_total revoked", 3),
    ] {
        let row = rows.iter().find(|(known, _)| known == name);
        assert_eq!(row.map(|(_, count)| *count), Some(expected), "{name}");
    }
}

// D18
#[tokio::test]
async fn outcomes_are_counted_by_closed_words() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let api = Api::start().await;
    for _ in 0..3 {
        api.verdict(api.token().build()).await;
    }
    api.verdict(api.token().expired().build()).await;
    api.verdict(api.idp.opaque_token()).await;
    for n in 0..4 {
        api.verdict(api.token().header("kid", format!("secret-{n}")).build())
            .await;
    }
    api.idp.set_fault(Endpoint::Jwks, Fault::Status(500));
    api.clock.advance(seconds(700));
    api.verdict(api.token().build()).await;
    let rows = counted(&snapshotter);
    let expected = [
        ("tower_oidc_key_fetches_total ok", 3),
        ("tower_oidc_stale_served_total keys", 1),
        ("tower_oidc_tokens_total accepted", 4),
        ("tower_oidc_tokens_total expired", 1),
        ("tower_oidc_tokens_total opaque", 1),
        ("tower_oidc_tokens_total unknown_key", 2),
        ("tower_oidc_tokens_total unavailable", 2),
        ("tower_oidc_unknown_kid_total fetched", 2),
        ("tower_oidc_unknown_kid_total suppressed", 2),
    ];
    for (name, count) in expected {
        assert!(
            rows.contains(&(name.to_owned(), count)),
            "{name} {count} in {rows:?}"
        );
    }
}

// D18, D39
#[tokio::test]
async fn look_ups_of_issuers_are_counted_by_closed_words() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let idp = OfflineProvider::new("https://id.example/known");
    let provider = idp.provider().unwrap();
    let source = IssuerSource::builder(move |iss: String| {
        let provider = provider.clone();
        async move {
            match iss.rsplit('/').next() {
                Some("known" | "other") => Ok(Some(provider)),
                Some("fails") => Err("the application cannot tell"),
                _ => Ok(None),
            }
        }
    });
    let source = source.with_clock(ManualClock::new()).build().unwrap();
    let verifier = source.verifier(API).unwrap();
    let named = |name: String| {
        let iss = format!("https://id.example/{name}");
        idp.token(API).claim("iss", iss).build()
    };
    for name in ["known", "known", "other", "other", "fails", "fails"] {
        let _ = verifier.verify(&named(name.to_owned())).await;
    }
    // Four of fifty are spent.
    for number in 0..50 {
        let _ = verifier.verify(&named(number.to_string())).await;
    }
    let rows = counted(&snapshotter);
    for (result, count) in [
        ("found", 1),
        ("other_provider", 1),
        ("failed", 2),
        ("unknown", 46),
        ("suppressed", 4),
    ] {
        let row = (format!("tower_oidc_issuer_lookups_total {result}"), count);
        assert!(rows.contains(&row), "{row:?} in {rows:?}");
    }
}

// D18
#[tokio::test]
async fn renewals_and_sign_ins_are_counted_by_closed_words() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.hour_passes();
    browser.fetch(&app, "/").await;
    app.hour_passes();
    app.idp
        .set_fault(Endpoint::Token, Fault::error(500, "server_error"));
    browser.fetch(&app, "/").await;
    app.clock.advance(seconds(100));
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "invalid_grant"));
    browser.fetch(&app, "/").await;
    browser.try_sign_in(&app).await;
    let rows = counted(&snapshotter);
    for (name, count) in [
        ("tower_oidc_refreshes_total won", 1),
        ("tower_oidc_refreshes_total transient", 1),
        ("tower_oidc_refreshes_total terminal", 1),
        ("tower_oidc_sign_ins_total signed_in", 1),
        ("tower_oidc_sign_ins_total code_rejected", 1),
    ] {
        assert!(
            rows.contains(&(name.to_owned(), count)),
            "{name} {count} in {rows:?}"
        );
    }
}

// D18
#[tokio::test]
async fn calls_that_leave_are_counted_by_closed_words() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (idp, clock) = development().await;
    let provider = idp.provider().unwrap();
    let layer = OutboundLayer::client_credentials(&provider, client(), ORDERS).unwrap();
    let service = Upstream::new().behind(&layer);
    for _ in 0..3 {
        call(&service, get(ORDERS)).await.unwrap();
    }
    let refusing = Upstream::refusing(|_| true).behind(&layer);
    call(&refusing, get(ORDERS)).await.unwrap();
    clock.advance(seconds(3_600));
    idp.set_fault(Endpoint::Token, Fault::Status(500));
    call(&service, get(ORDERS)).await.unwrap_err();
    let rows = counted(&snapshotter);
    for (name, count) in [
        ("tower_oidc_outbound_grants_total granted", 2),
        ("tower_oidc_outbound_grants_total status", 1),
        ("tower_oidc_outbound_requests_total waited", 1),
        ("tower_oidc_outbound_requests_total ready", 3),
        ("tower_oidc_outbound_requests_total repeated", 1),
        ("tower_oidc_outbound_requests_total unavailable", 1),
    ] {
        assert!(
            rows.contains(&(name.to_owned(), count)),
            "{name} {count} in {rows:?}"
        );
    }
}
