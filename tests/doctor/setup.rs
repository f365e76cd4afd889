//! A provider, settings for it, and what must be found.

use std::collections::BTreeMap;

use serde_json::Value;
use tower_oidc::doctor::{Doctor, Finding, Report, Shape};
use tower_oidc::testing::DevelopmentProvider;

pub(crate) const API: &str = "https://api.example.com";
pub(crate) const SECRET: &str = "kL9#mQ2$vX7!nB4@wE8%rT1^yU6&iO3*";

/// Settings that can be changed.
#[derive(Clone)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(crate) fn of<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self(pairs.into())
    }

    /// An API of this provider.
    pub(crate) fn api(issuer: &str) -> Self {
        Self::of([("OPENID_ISSUER", issuer), ("OPENID_AUDIENCE", API)])
    }

    /// A site of this provider.
    pub(crate) fn site(issuer: &str) -> Self {
        Self::of([
            ("OPENID_ISSUER", issuer),
            ("OPENID_AUDIENCE", API),
            ("OPENID_CLIENT_ID", "development"),
            ("OPENID_CLIENT_SECRET", "development-secret"),
            ("OPENID_SESSION_SECRET", SECRET),
            ("DOMAIN_SERVER", "https://app.example.invalid"),
        ])
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    pub(crate) fn doctor(&self) -> Doctor {
        Doctor::of_pairs(self.0.clone())
    }

    pub(crate) fn pairs(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }
}

/// What must be found: the code, the setting, and a part of the cure.
pub(crate) type Expected = (&'static str, &'static str, &'static str);

/// Whether exactly this is wrong, with the cure, and no secret is told.
pub(crate) fn assert_wrong(set_up: &str, report: &Report, (code, setting, cure): Expected) {
    let wrong: Vec<_> = report.wrong().collect();
    let codes: Vec<_> = wrong.iter().map(|finding| finding.code()).collect();
    assert_eq!(codes, [code], "{set_up}: {report}");
    let found = wrong[0];
    let at = found.setting().unwrap_or_default();
    assert_eq!(at, setting, "{set_up}: {found}");
    let remedy = found.remedy().unwrap_or_default();
    assert!(remedy.contains(cure), "{set_up}: {found}");
    assert_no_secret(&format!("{report}{report:?}{}", report.to_json()));
}

pub(crate) fn assert_no_secret(text: &str) {
    for secret in [SECRET, "development-secret", "eyJ"] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// The codes of a report.
pub(crate) fn codes(report: &Report) -> Vec<&str> {
    report.findings().map(Finding::code).collect()
}

/// The provider's own metadata, changed.
pub(crate) async fn metadata(idp: &DevelopmentProvider, change: impl FnOnce(&mut Value)) -> String {
    let url = format!("{}/.well-known/openid-configuration", idp.issuer());
    let mut document: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    change(&mut document);
    document.to_string()
}

pub(crate) async fn keys(idp: &DevelopmentProvider) -> Value {
    let answer = reqwest::get(idp.jwks_url()).await.unwrap();
    answer.json().await.unwrap()
}

pub(crate) async fn examined(settings: &Settings, shape: Shape) -> Report {
    settings.doctor().examining(shape).examine().await
}
