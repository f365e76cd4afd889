//! The cost of sessions in Redis, and how it grows with their number: all sign in, all are due at once and are
//! refreshed, then each makes two requests. Needs redis-server.
//!
//! `cargo bench --bench sessions --features login,outbound,redis,testing` measures 1 000 to 100 000 sessions;
//! write other numbers after `--`.
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::convert::Infallible;
use std::error::Error;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::login::RedisStore;
use tower_oidc::testing::{OfflineProvider, SigningKey};
use tower_oidc::{Algorithm, Client, Clock, KeyRing, LoginLayer, SystemClock};

const ISSUER: &str = "https://tenant.us.auth0.com/";
const AUDIENCE: &str = "https://api.example.com";

/// Concurrent requests.
const AT_ONCE: usize = 32;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Fallible<()> {
    let chosen: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let sizes = if chosen.is_empty() {
        vec![1_000, 10_000, 100_000]
    } else {
        chosen
    };
    println!(
        "scripts run in Redis for each session: for its refresh, and for two requests in a row"
    );
    println!(
        "{:>9} {:>14} {:>8} {:>9} {:>9} {:>9} {:>11} {:>11}",
        "sessions",
        "bytes in Redis",
        "grants",
        "refresh",
        "near on",
        "near off",
        "sign-ins/s",
        "refreshes/s"
    );
    for size in sizes {
        measure(size).await?;
    }
    Ok(())
}

async fn measure(size: usize) -> Fallible<()> {
    let redis = Redis::start()?;
    let grants = Arc::new(AtomicU64::new(0));
    let key = Arc::new(SigningKey::generate("key", Algorithm::EdDsa));
    let second = Duration::from_secs(1);
    let layer = site(redis.store()?, second, &key, &grants)?;
    let far = site(redis.store()?, Duration::ZERO, &key, &grants)?;
    let before = redis.memory()?;
    let started = Instant::now();
    let cookies = each((0..size).collect(), {
        let layer = layer.clone();
        move |_| sign_in(layer.clone())
    })
    .await?;
    let signed_in = started.elapsed();
    let memory = redis.memory()? - before;
    // Until every access token has expired: a shorter lifetime than this is not believed.
    tokio::time::sleep(Duration::from_secs(6)).await;

    let visit_all = async |layer: &LoginLayer, times| -> Fallible<(u64, Duration)> {
        let (before, started) = (redis.scripts_run()?, Instant::now());
        let layer = layer.clone();
        let visit = move |cookie| visit(layer.clone(), cookie, times);
        each(cookies.clone(), visit).await?;
        Ok((redis.scripts_run()? - before, started.elapsed()))
    };
    let (renewing, renewed) = visit_all(&layer, 1).await?;
    let granted = grants.load(Ordering::Relaxed);
    // Until the entries that the refresh left in the near cache are too old.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (near, _) = visit_all(&layer, 2).await?;
    let (not_near, _) = visit_all(&far, 2).await?;
    let sessions = size as u64;
    let a_second = |took: Duration| per(sessions, 1) / took.as_secs_f64();
    println!(
        "{size:>9} {:>14.0} {granted:>8} {:>9.3} {:>9.3} {:>9.3} {:>11.0} {:>11.0}",
        per(memory, sessions),
        per(renewing, sessions),
        per(near, sessions),
        per(not_near, sessions),
        a_second(signed_in),
        a_second(renewed),
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per(sum: u64, parts: u64) -> f64 {
    sum as f64 / parts as f64
}

/// Calls `act` with each item, several at a time.
async fn each<I, T, F>(
    items: Vec<I>,
    act: impl Fn(I) -> F + Clone + Send + 'static,
) -> Fallible<Vec<T>>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Fallible<T>> + Send,
{
    let mut shares: Vec<Vec<I>> = (0..AT_ONCE).map(|_| Vec::new()).collect();
    for (at, item) in items.into_iter().enumerate() {
        shares[at % AT_ONCE].push(item);
    }
    let workers: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let act = act.clone();
            tokio::spawn(async move {
                let mut done = Vec::with_capacity(share.len());
                for item in share {
                    done.push(act(item).await?);
                }
                Ok::<_, Box<dyn Error + Send + Sync>>(done)
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await??);
    }
    Ok(all)
}

async fn ask(layer: LoginLayer, path: &str, cookies: &str) -> Fallible<Response<String>> {
    let page = service_fn(|_: Request<String>| async {
        Ok::<_, Infallible>(Response::new("known".to_owned()))
    });
    let request = Request::builder()
        .uri(path)
        .header(COOKIE, cookies)
        .body(String::new())?;
    Ok(layer.layer(page).oneshot(request).await?)
}

/// The cookies that the browser then holds.
async fn sign_in(layer: LoginLayer) -> Fallible<String> {
    let start = ask(layer.clone(), "/oauth/openid", "").await?;
    let location = start.headers()[LOCATION].to_str()?;
    let asked = url::Url::parse(location)?;
    let value = |name: &str| {
        let found = asked.query_pairs().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    // The provider below takes the code for the nonce.
    let path = format!(
        "/oauth/openid/callback?code={}&state={}",
        value("nonce"),
        value("state")
    );
    let answer = ask(layer, &path, &cookies(&start)).await?;
    if answer.status() != StatusCode::SEE_OTHER {
        return Err(answer.into_body().into());
    }
    Ok(cookies(&answer))
}

async fn visit(layer: LoginLayer, cookie: String, times: u32) -> Fallible<()> {
    for _ in 0..times {
        let answer = ask(layer.clone(), "/", &cookie).await?;
        if answer.body() != "known" {
            return Err(answer.into_body().into());
        }
    }
    Ok(())
}

fn cookies(answer: &Response<String>) -> String {
    let fields = answer.headers().get_all(SET_COOKIE).iter();
    let pairs: Vec<_> = fields
        .filter_map(|field| field.to_str().ok())
        .filter(|field| !field.contains("Max-Age=0"))
        .map(|field| field.split(';').next().unwrap_or_default())
        .collect();
    pairs.join("; ")
}

/// A site with a provider in memory. Its first tokens live one second, refreshed ones an hour.
fn site(
    store: RedisStore,
    near_cache_age: Duration,
    key: &Arc<SigningKey>,
    grants: &Arc<AtomicU64>,
) -> Fallible<LoginLayer> {
    let idp = OfflineProvider::builder(ISSUER)
        .with_keys([Arc::clone(key)])
        .build();
    let metadata = json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{ISSUER}jwks"),
        "authorization_endpoint": format!("{ISSUER}authorize"),
        "token_endpoint": format!("{ISSUER}token"),
        "id_token_signing_alg_values_supported": ["EdDSA"],
    });
    idp.set_discovery(metadata.to_string());
    let (key, grants) = (Arc::clone(key), Arc::clone(grants));
    idp.set_token_answer(move |form| tokens(&key, form, &grants).to_string());
    let provider = idp.provider()?;
    Ok(LoginLayer::builder(
        provider.verifier(AUDIENCE)?,
        Client::with_secret("site", "a secret")?,
        "https://app.example.com",
        KeyRing::new(["a session secret of more than 32 characters"])?,
    )
    .with_store(store)
    .with_near_cache_age(near_cache_age)
    .build()?)
}

fn tokens(key: &SigningKey, form: &[(String, String)], grants: &AtomicU64) -> Value {
    let code = form.iter().find(|(name, _)| name == "code");
    let now = SystemClock::new().now().as_seconds();
    let subject = "auth0|66f3c1d2e4b5a60789abcdef";
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "key"}).to_string();
    let signed = |claims: Value| key.sign_compact(&header, claims.to_string());
    // As long as a token signed with RS256, whose signature is longer.
    let access_token = signed(json!({
        "iss": ISSUER,
        "sub": subject,
        "aud": [AUDIENCE, format!("{ISSUER}userinfo")],
        "iat": now,
        "exp": now + 86_400,
        "scope": "openid profile email offline_access read:messages",
        "azp": "site",
        "permissions": ["read:messages"],
        "padding": "x".repeat(192),
    }));
    let mut answer = json!({
        "access_token": access_token,
        "refresh_token": "v1.MZ0CJPPGFAKE-refresh-token-of-forty-characters",
        "token_type": "Bearer",
        "expires_in": 3600,
    });
    if let Some((_, nonce)) = code {
        answer["expires_in"] = json!(1);
        answer["id_token"] = json!(signed(json!({
            "iss": ISSUER,
            "sub": subject,
            "aud": "site",
            "iat": now,
            "exp": now + 36_000,
            "nonce": nonce,
            "sid": nonce,
            "name": "Somebody",
            "email": "somebody@example.com",
            "padding": "x".repeat(192),
        })));
    } else {
        grants.fetch_add(1, Ordering::Relaxed);
    }
    answer
}

struct Redis {
    child: Child,
    client: redis::Client,
    url: String,
}

impl Redis {
    fn start() -> Fallible<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()?;
        let url = format!("redis://127.0.0.1:{port}");
        let client = redis::Client::open(&*url)?;
        let started = Instant::now();
        while client.get_connection().is_err() && started.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { child, client, url })
    }

    fn store(&self) -> Fallible<RedisStore> {
        Ok(RedisStore::new(&self.url)?)
    }

    /// A number from a line of `INFO`.
    fn info(&self, section: &str, beginning: &str) -> Fallible<u64> {
        let text: String = redis::cmd("INFO")
            .arg(section)
            .query(&mut self.client.get_connection()?)?;
        let line = text.lines().find_map(|line| line.strip_prefix(beginning));
        let digits = line.unwrap_or("0").split(',').next().unwrap_or_default();
        Ok(digits.trim().parse()?)
    }

    fn memory(&self) -> Fallible<u64> {
        self.info("memory", "used_memory:")
    }

    fn scripts_run(&self) -> Fallible<u64> {
        self.info("commandstats", "cmdstat_evalsha:calls=")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
