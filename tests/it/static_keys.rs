//! Keys without a way to the provider: given by the program, read from a file, or known before the first fetch.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use tower_oidc::env::ApiSettings;
use tower_oidc::error::ProviderErrorKind;
use tower_oidc::testing::{Endpoint, Fault, ManualClock, OfflineProvider, SigningKey};
use tower_oidc::{
    Algorithm, ConfigError, Phase, Provider, ProviderBuilder, Verifier, VerifyErrorKind,
};

use crate::browser::{App, Browser, builder};
use crate::log::Log;
use crate::support::{API, judging, seconds, verdict};

const ISSUER: &str = "https://id.example";

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-oidc-keys-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(kid: &str) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(kid, Algorithm::Es256))
}

fn set_of(keys: &[&SigningKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// Replaces a file as a whole.
fn put(path: &Path, content: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(beside, path).unwrap();
}

/// A verifier by a file of keys, and what it needs.
struct ByFile {
    folder: Folder,
    path: PathBuf,
    clock: ManualClock,
    provider: Provider,
    verifier: Verifier,
    old: Arc<SigningKey>,
    new: Arc<SigningKey>,
}

impl ByFile {
    /// With the old key in the file.
    fn new() -> Self {
        Self::with(|provider| provider)
    }

    fn with(choose: impl FnOnce(ProviderBuilder) -> ProviderBuilder) -> Self {
        let folder = Folder::new();
        let path = folder.at("jwks.json");
        let (old, new) = (key("old"), key("new"));
        put(&path, &set_of(&[&old]));
        let clock = ManualClock::new();
        let builder = Provider::builder(ISSUER)
            .with_clock(clock.clone())
            .with_jwks_file(&path);
        let provider = choose(builder).build().unwrap();
        let verifier = judging(&provider, API);
        Self {
            folder,
            path,
            clock,
            provider,
            verifier,
            old,
            new,
        }
    }

    fn token(&self, key: &Arc<SigningKey>) -> String {
        let idp = OfflineProvider::builder(ISSUER)
            .with_clock(self.clock.clone())
            .with_keys([Arc::clone(key)])
            .build();
        idp.token_by(Algorithm::Es256, API)
            .expires_in(seconds(80_000))
            .build()
    }

    async fn verdict(&self, token: &str) -> &'static str {
        verdict(&self.verifier, token).await
    }
}

/// The outcome of a future that must not wait.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

// KS-23
#[test]
fn given_keys_decide_without_a_runtime_and_without_a_call() {
    let (known, other) = (key("known"), key("other"));
    let idp = OfflineProvider::builder(ISSUER)
        .with_keys([Arc::clone(&known)])
        .build();
    let builder = idp.provider_builder().with_jwks(&set_of(&[&known]));
    let provider = builder.build().unwrap();
    let verifier = judging(&provider, API);
    let token = || idp.token_by(Algorithm::Es256, API);
    let verify = |token: String| at_once(verifier.verify(&token)).map(|_| ());

    assert!(verify(token().build()).is_ok());
    let unknown = verify(token().signed_by(other).build()).unwrap_err();
    assert_eq!(unknown.kind(), VerifyErrorKind::UnknownKey);
    assert!(
        unknown.remedy().contains("was given"),
        "{}",
        unknown.remedy()
    );
    let elsewhere = token().claim("iss", "https://id.example/").build();
    assert!(verify(elsewhere).is_err());

    assert!(at_once(provider.ready()).is_ok());
    let readiness = provider.readiness();
    assert_eq!((readiness.keys, readiness.age), (Phase::Fresh, None));
    assert_eq!((idp.hits().discovery, idp.hits().jwks), (0, 0));
}

// KS-23
#[test]
fn a_provider_with_given_keys_takes_two_arguments() {
    let known = key("known");
    let provider = Provider::with_keys(ISSUER, &set_of(&[&known])).unwrap();
    let verifier = provider.verifier(API).unwrap();
    let idp = OfflineProvider::builder(ISSUER).with_keys([known]).build();
    let token = idp.token_by(Algorithm::Es256, API).build();
    assert!(at_once(verifier.verify(&token)).is_ok());
}

// KS-01, KS-07, KS-23
#[test]
fn a_set_without_a_usable_key_is_refused_with_a_reason_for_each_entry() {
    let many = format!(r#"{{"keys":[0{}]}}"#, ",0".repeat(20));
    let cases = [
        (&*many, "entry 10: an entry is not an object; and so on"),
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("{}", "no array named keys"),
        (r#"{"keys":[]}"#, "none of the 0 entries"),
        (
            r#"{"keys":[{"kty":"oct","k":"hunter2"},7,{"kty":"RSA","use":"enc","d":"hunter2"}]}"#,
            "entry 1: the key is not an asymmetric one that this crate supports; entry 2: an entry is not an \
             object; entry 3: use is not sig",
        ),
    ];
    for (jwks, expected) in cases {
        let error = Provider::with_keys(ISSUER, jwks).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.setting(), "jwks");
        assert!(text.contains(expected), "{text}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        let builder = Provider::builder(ISSUER).with_jwks(jwks);
        assert!(!format!("{builder:?}").contains("hunter2"), "{builder:?}");
    }
}

// D29
#[test]
fn keys_come_from_one_place() {
    let jwks = set_of(&[&key("a")]);
    let builder = || Provider::builder(ISSUER);
    let cases = [
        (
            builder()
                .with_jwks(&jwks)
                .with_jwks_url("https://id.example/jwks"),
            ("jwks", "jwks url"),
        ),
        (
            builder()
                .with_jwks_file("/jwks")
                .with_jwks_url("https://id.example/jwks"),
            ("jwks file", "jwks url"),
        ),
        (
            builder().with_jwks_file("/jwks").with_jwks(&jwks),
            ("jwks", "jwks file"),
        ),
        (
            builder().with_initial_jwks(&jwks).with_jwks(&jwks),
            ("initial jwks", "jwks"),
        ),
        (
            builder().with_initial_jwks(&jwks).with_jwks_file("/jwks"),
            ("initial jwks", "jwks file"),
        ),
        (
            builder().with_initial_jwks(&jwks).allow_final_slash(),
            ("initial jwks", "issuer"),
        ),
    ];
    for (builder, expected) in cases {
        let shown = format!("{builder:?}");
        let Err(ConfigError::Contradiction { setting, other, .. }) = builder.build() else {
            panic!("built: {shown}");
        };
        assert_eq!((&*setting, &*other), expected);
    }
}

// KS-22
#[test]
fn a_file_without_a_usable_key_is_an_error_at_the_start() {
    let folder = Folder::new();
    let with = |name: &str, content: &str| {
        let path = folder.at(name);
        fs::write(&path, content).unwrap();
        path
    };
    let cases = [
        (folder.at("missing"), "cannot be read"),
        (folder.0.clone(), "it is not a file"),
        (with("page", "<html>"), "not a JSON object"),
        (with("empty", r#"{"keys":[]}"#), "none of the 0 entries"),
        (
            with("large", &" ".repeat(600_000)),
            "larger than 524288 bytes",
        ),
    ];
    for (path, expected) in cases {
        let error = Provider::builder(ISSUER).with_jwks_file(&path).build();
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("jwks file"), "{text}");
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    }
}

// KS-13, KS-22
#[tokio::test]
async fn a_key_that_left_the_file_counts_for_ten_seconds_at_most() {
    for (idle, expected) in [
        (4, "accepted"),
        (10, "unknown_key"),
        // The service had nothing to do meanwhile.
        (3_000, "unknown_key"),
        (70_000, "unknown_key"),
    ] {
        let by = ByFile::new();
        let token = by.token(&by.old);
        assert_eq!(by.verdict(&token).await, "accepted");
        put(&by.path, &set_of(&[&by.new]));
        by.clock.advance(seconds(idle));
        // Remembered as it is.
        assert_eq!(by.verdict(&token).await, expected, "after {idle} s");
    }
}

// KS-03, KS-22
#[tokio::test]
async fn a_new_key_counts_for_the_first_token_that_names_it() {
    let by = ByFile::new();
    assert_eq!(by.verdict(&by.token(&by.old)).await, "accepted");
    put(&by.path, &set_of(&[&by.old, &by.new]));
    assert_eq!(by.verdict(&by.token(&by.new)).await, "accepted");
    assert_eq!(by.verdict(&by.token(&by.old)).await, "accepted");
}

// KS-09, KS-22
#[tokio::test]
async fn unknown_names_cause_no_more_readings_than_the_bound_allows() {
    let by = ByFile::new();
    let stranger = by.token(&key("stranger"));
    for expected in ["unknown_key", "unknown_key", "unavailable"] {
        assert_eq!(by.verdict(&stranger).await, expected);
    }
    // Not read: the bound is reached. The token may be signed with a new key, so it is not refused for good.
    put(&by.path, &set_of(&[&by.new]));
    assert_eq!(by.verdict(&by.token(&by.new)).await, "unavailable");
    assert_eq!(by.verdict(&by.token(&by.old)).await, "accepted");
    by.clock.advance(seconds(10));
    assert_eq!(by.verdict(&by.token(&by.new)).await, "accepted");
}

// KS-14, KS-15, KS-22
#[tokio::test]
async fn a_file_that_is_gone_or_useless_leaves_the_keys_until_the_stale_limit() {
    type Damage = fn(&Path);
    let cases: [(Damage, ProviderErrorKind); 6] = [
        (
            |path| fs::remove_file(path).unwrap(),
            ProviderErrorKind::UnreadableFile,
        ),
        (
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            ProviderErrorKind::UnreadableFile,
        ),
        (|path| put(path, ""), ProviderErrorKind::InvalidAnswer),
        (
            |path| {
                let whole = fs::read_to_string(path).unwrap();
                put(path, &whole[..whole.len() / 2]);
            },
            ProviderErrorKind::InvalidAnswer,
        ),
        (
            |path| put(path, r#"{"keys":[]}"#),
            ProviderErrorKind::NoUsableKeys,
        ),
        (
            |path| put(path, &" ".repeat(600_000)),
            ProviderErrorKind::TooLarge,
        ),
    ];
    for (damage, kind) in cases {
        let by = ByFile::with(|provider| provider.with_stale_limit(seconds(100)));
        let token = by.token(&by.old);
        damage(&by.path);
        for (after, expected) in [
            (0, "accepted"),
            (10, "accepted"),
            (99, "accepted"),
            (1, "unavailable"),
        ] {
            by.clock.advance(seconds(after));
            assert_eq!(by.verdict(&token).await, expected, "{kind:?} after {after}");
            // Another key is not refused for good while the file cannot be read.
            let other = by.token(&by.new);
            assert_ne!(by.verdict(&other).await, "accepted");
        }
        let readiness = by.provider.readiness();
        assert_eq!(readiness.keys, Phase::Unavailable);
        assert_eq!(readiness.last_error.map(|error| error.kind()), Some(kind));
        // It heals without a restart.
        let _ = fs::remove_dir(&by.path);
        put(&by.path, &set_of(&[&by.old]));
        by.clock.advance(seconds(10));
        assert_eq!(by.verdict(&token).await, "accepted", "{kind:?}");
        assert_eq!(by.provider.readiness().keys, Phase::Fresh);
    }
}

// KS-22
#[tokio::test]
async fn the_log_tells_once_that_the_file_is_gone_and_that_it_is_back() {
    let log = Log::default();
    let _capturing = log.capture();
    let by = ByFile::new();
    let token = by.token(&by.old);
    let told = || {
        let path = by.path.display().to_string();
        let [info, warn] = [tracing::Level::INFO, tracing::Level::WARN].map(|level| log.at(level));
        let of_file = |lines: Vec<String>| lines.iter().filter(|line| line.contains(&path)).count();
        (of_file(info), of_file(warn))
    };
    let looked = async || {
        for _ in 0..5 {
            by.clock.advance(seconds(10));
            assert_eq!(by.verdict(&token).await, "accepted");
        }
    };
    looked().await;
    assert_eq!(told(), (0, 0), "{}", log.text());
    fs::remove_file(&by.path).unwrap();
    looked().await;
    assert_eq!(told(), (0, 1), "{}", log.text());
    put(&by.path, &set_of(&[&by.old]));
    looked().await;
    assert_eq!(told(), (1, 1), "{}", log.text());
}

// KS-22
#[tokio::test]
async fn an_unknown_name_is_no_verdict_while_the_file_cannot_be_read() {
    let by = ByFile::new();
    fs::remove_file(&by.path).unwrap();
    assert_eq!(by.verdict(&by.token(&by.new)).await, "unavailable");
    assert_eq!(by.verdict(&by.token(&by.old)).await, "accepted");
}

// KS-22
#[tokio::test]
#[cfg(unix)]
async fn a_link_may_change_its_target() {
    use std::os::unix::fs::symlink;
    // As a ConfigMap is mounted: the file is a link through a link, and that one is replaced.
    let by = ByFile::new();
    let folder = &by.folder;
    for (version, key) in [("v1", &by.old), ("v2", &by.new)] {
        fs::create_dir(folder.at(version)).unwrap();
        fs::write(folder.at(version).join("keys.json"), set_of(&[key])).unwrap();
    }
    symlink("v1", folder.at("..data")).unwrap();
    symlink("..data/keys.json", folder.at("keys.json")).unwrap();
    let provider = Provider::builder(ISSUER)
        .with_clock(by.clock.clone())
        .with_jwks_file(folder.at("keys.json"))
        .build()
        .unwrap();
    let verifier = judging(&provider, API);
    let (old, new) = (by.token(&by.old), by.token(&by.new));
    assert_eq!(verdict(&verifier, &old).await, "accepted");
    symlink("v2", folder.at("..data_tmp")).unwrap();
    fs::rename(folder.at("..data_tmp"), folder.at("..data")).unwrap();
    fs::remove_dir_all(folder.at("v1")).unwrap();
    assert_eq!(verdict(&verifier, &new).await, "accepted", "a new name");
    assert_eq!(verdict(&verifier, &old).await, "unknown_key");
}

// KS-22
#[test]
fn without_a_runtime_keys_of_a_file_count_for_ten_seconds() {
    let by = ByFile::new();
    let token = by.token(&by.old);
    let decide = || at_once(by.verdict(&token));
    assert_eq!(decide(), "accepted");
    by.clock.advance(seconds(9));
    assert_eq!(decide(), "accepted");
    // The file can no more be read, and the key may have left it.
    by.clock.advance(seconds(1));
    assert_eq!(decide(), "unavailable");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    assert_eq!(runtime.block_on(by.verdict(&token)), "accepted");
}

// KS-24
#[tokio::test]
async fn initial_keys_count_until_the_first_fetch_succeeds() {
    let clock = ManualClock::new();
    let old = key("old");
    let idp = OfflineProvider::builder(ISSUER)
        .with_clock(clock.clone())
        .with_keys([Arc::clone(&old)])
        .build();
    let token = idp.token_by(Algorithm::Es256, API);
    let token = token.expires_in(seconds(80_000)).build();
    let start = || {
        let builder = idp.provider_builder().with_initial_jwks(&set_of(&[&old]));
        let provider = builder.with_stale_limit(seconds(100)).build().unwrap();
        let verifier = judging(&provider, API);
        (provider, verifier)
    };

    idp.set_fault(Endpoint::Jwks, Fault::Status(500));
    let (provider, verifier) = start();
    for (after, expected) in [(0, "accepted"), (99, "accepted"), (1, "unavailable")] {
        clock.advance(seconds(after));
        assert_eq!(verdict(&verifier, &token).await, expected, "after {after}");
    }
    assert!(idp.hits().jwks > 0, "the provider is asked all along");
    idp.set_fault(Endpoint::Jwks, None);
    clock.advance(seconds(60));
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    assert_eq!(provider.readiness().keys, Phase::Fresh);

    // The provider is there, and has withdrawn the key.
    idp.set_jwks(set_of(&[&key("new")]));
    let (provider, verifier) = start();
    assert_eq!(
        verdict(&verifier, &token).await,
        "accepted",
        "fetched meanwhile"
    );
    crate::support::until(|| provider.readiness().keys == Phase::Fresh).await;
    assert_eq!(verdict(&verifier, &token).await, "unknown_key");
}

// D29
#[tokio::test]
async fn sign_in_finds_endpoints_by_the_metadata_and_keys_in_the_file() {
    let mut app = App::start().await;
    let folder = Folder::new();
    let path = folder.at("jwks.json");
    put(&path, &set_of(&[&app.idp.signing_key(Algorithm::Rs256)]));
    let provider = app.idp.provider_builder().with_jwks_file(&path);
    let verifier = judging(&provider.build().unwrap(), API);
    app.layer = builder(&verifier).build().unwrap();
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(browser.fetch(&app, "/").await.body(), "user-1");
    assert_eq!((app.idp.hits().discovery, app.idp.hits().jwks), (1, 0));
}

fn settings(pairs: &[(&str, &str)]) -> Result<ApiSettings, ConfigError> {
    let base = [("OPENID_ISSUER", ISSUER), ("OPENID_AUDIENCE", API)];
    ApiSettings::from_pairs(base.iter().chain(pairs).copied())
}

// D29, KS-22
#[tokio::test]
async fn the_file_is_a_setting_that_excludes_the_address() {
    let by = ByFile::new();
    let path = by.path.to_str().unwrap();
    let good = settings(&[("OPENID_JWKS_FILE", path)]).unwrap();
    assert!(
        good.to_string()
            .contains(&format!("OPENID_JWKS_FILE = {path}\n"))
    );
    let token = by.token(&by.old);
    assert_eq!(verdict(good.verifier(), &token).await, "accepted");

    let missing = settings(&[("OPENID_JWKS_FILE", "/nowhere")]).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("OPENID_JWKS_FILE = \"/nowhere\"")
    );
    let both = [
        ("OPENID_JWKS_FILE", path),
        ("OPENID_JWKS_URL", "https://id.example/jwks"),
    ];
    let Err(ConfigError::Contradiction { setting, other, .. }) = settings(&both) else {
        panic!("both are accepted");
    };
    assert_eq!(
        (&*setting, &*other),
        ("OPENID_JWKS_FILE", "OPENID_JWKS_URL")
    );
}
