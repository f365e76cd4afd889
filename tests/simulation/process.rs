//! One process of the site: the crate's layer, and what browsers ask of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::login::{LiveToken, Login, LoginLayer, SessionId};
use tower_oidc::{Client, KeyRing, Principal, Provider, Session, Target, Verifier};

use crate::provider::{API, CLIENT, ISSUER, TARGETS, http_client};
use crate::store::WiredStore;
use crate::world::{Shared, SkewedClock, World};

const SITE: &str = "https://app.example.com";
/// For this long a sign-out elsewhere may go unnoticed.
const NEAR_CACHE_AGE: Duration = Duration::from_secs(1);
const SESSION: &str = "__Host-session";

type Inner = BoxCloneSyncService<Request<String>, Response<String>, Infallible>;

#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) world: Shared,
    pub(crate) name: &'static str,
    /// How many seconds its clock is ahead.
    pub(crate) ahead: i64,
}

/// Answers with the caller's subject. On the path of a target with whom its token is for, and whose it is.
fn whose() -> Inner {
    BoxCloneSyncService::new(service_fn(|request: Request<String>| async move {
        let principal = request.extensions().get::<Principal>();
        let subject = principal.and_then(Principal::subject).unwrap_or_default();
        let target = request.uri().path().strip_prefix("/target/");
        let Some(number) = target.and_then(|number| number.parse::<usize>().ok()) else {
            return Ok::<_, Infallible>(Response::new(subject.to_owned()));
        };
        let session = request.extensions().get::<Session>().unwrap();
        let answer = match session.access_token_for(&target_of(number)).await {
            Ok(token) => Response::new(whom_for(&token)),
            Err(error) => {
                let mut answer = Response::new(error.kind().as_str().to_owned());
                *answer.status_mut() = error.kind().status();
                answer
            }
        };
        Ok(answer)
    }))
}

fn target_of(number: usize) -> Target {
    Target::audience(TARGETS[number]).unwrap()
}

fn whom_for(token: &LiveToken) -> String {
    let text = token.as_access_token().as_str().split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(text).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    format!("{} of {}", claims["aud"], claims["sub"])
}

#[derive(Clone, Copy)]
enum Act {
    SignIn,
    SignOut,
    /// So many requests, each of which needs a token for this target, if any.
    Visit(u64, Option<usize>),
}

impl Process {
    pub(crate) async fn run(self) -> turmoil::Result {
        let layer = self.layer();
        let service = layer.layer(whose());
        loop {
            if self.world.lock().stopping.contains(self.name) {
                return self.stop(&layer).await;
            }
            let (pause, act) = {
                let mut world = self.world.lock();
                let pause = world.dice.milliseconds(50, 5_000);
                (pause, act(&mut world))
            };
            tokio::time::sleep(pause).await;
            match act {
                Act::SignIn => self.sign_in(&service).await,
                Act::SignOut => {
                    tokio::spawn(self.clone().sign_out(service.clone()));
                }
                Act::Visit(times, target) => {
                    for _ in 0..times {
                        tokio::spawn(self.clone().visit(service.clone(), target));
                    }
                }
            }
        }
    }

    /// Asked to stop, as by SIGTERM.
    async fn stop(&self, layer: &LoginLayer) -> turmoil::Result {
        let is_done = layer.drain(Duration::from_secs(20)).await;
        let mut world = self.world.lock();
        world.note(format!("{} stops: {is_done}", self.name));
        let now = world.store_now();
        // A message that was given up may still arrive, and bring a lease that no task uses.
        let last = world.last_store_trouble.get(self.name).copied();
        let knows_all = last.is_none_or(|last| last + Duration::from_secs(60) < world.elapsed());
        if is_done && knows_all && world.store.leaves_a_lease(self.name, now) {
            world.violated(format!("{} has drained and leaves a lease", self.name));
        }
        if !is_done && world.is_untroubled(self.name) {
            world.violated(format!("{} could not drain, for no reason", self.name));
        }
        Ok(())
    }

    fn layer(&self) -> LoginLayer {
        let (world, name) = (self.world.clone(), self.name);
        let origin = {
            let mut world = world.lock();
            world.note(format!("{name} starts"));
            // Where no two processes ever were.
            Duration::from_nanos(world.dice.roll(1_000_000_007))
        };
        let clock = SkewedClock {
            world: world.clone(),
            ahead: self.ahead,
            origin,
        };
        let provider = Provider::builder(ISSUER)
            .with_http_client(http_client(world.clone(), name))
            .with_clock(clock)
            .build()
            .unwrap();
        let verifier = Verifier::builder(&provider, API)
            .with_leeway(Duration::from_secs(300))
            .build()
            .unwrap();
        let client = Client::with_secret(CLIENT, "secret").unwrap();
        let keys = KeyRing::new(["a session secret of more than 32 characters"]).unwrap();
        let grace = Duration::from_secs(self.world.lock().trouble.grace);
        LoginLayer::builder(verifier, client, SITE, keys)
            .with_store(WiredStore { world, name })
            .with_rotation_grace(grace)
            .with_near_cache_age(NEAR_CACHE_AGE)
            .add_target(target_of(0))
            .add_target(target_of(1))
            .build()
            .unwrap()
    }

    async fn sign_in(&self, service: &Login<Inner>) {
        {
            let mut world = self.world.lock();
            if world.browser.is_signing_in || world.browser.cookie.is_some() {
                return;
            }
            world.browser.is_signing_in = true;
            world.is_calm = true;
        }
        let page = |path: &str| {
            Request::builder()
                .uri(path)
                .header("accept", "text/html")
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document")
        };
        let start = page("/oauth/openid").body(String::new()).unwrap();
        let answer = service.clone().oneshot(start).await.unwrap();
        let mut jar = BTreeMap::new();
        take_cookies(&answer, &mut jar);
        if answer.status() != StatusCode::SEE_OTHER {
            self.world.lock().browser.is_signing_in = false;
            return;
        }
        let sent_to = answer.headers()[LOCATION].to_str().unwrap();
        let asked: BTreeMap<_, _> = url::Url::parse(sent_to)
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect();
        let code = self.world.lock().provider.code(&asked["nonce"]);
        let back = format!(
            "/oauth/openid/callback?code={code}&state={}",
            asked["state"]
        );
        let cookies: Vec<_> = jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let callback = page(&back)
            .header(COOKIE, cookies.join("; "))
            .body(String::new());
        let answer = service.clone().oneshot(callback.unwrap()).await.unwrap();
        take_cookies(&answer, &mut jar);
        let mut world = self.world.lock();
        world.browser.is_signing_in = false;
        let Some(cookie) = jar.remove(SESSION) else {
            // Overtaken by the last trouble: tried again.
            if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                world.sign_in_failed();
                return;
            }
            let what = format!(
                "signing in at {} failed: {} {}",
                self.name,
                answer.status(),
                answer.body()
            );
            world.violated(what);
            return;
        };
        world.is_calm = world.is_over();
        world.browser.cookie = Some(cookie);
        world.browser.sign_in += 1;
        world.browser.signed_out_at = None;
        world.browser.asked_to_sign_out = false;
        let what = format!(
            "signed in at {} for the {}th time",
            self.name, world.browser.sign_in
        );
        world.note(what);
    }

    async fn visit(self, service: Login<Inner>, target: Option<usize>) {
        let (cookie, key, sign_in, started) = {
            let world = self.world.lock();
            let Some(cookie) = world.browser.cookie.clone() else {
                return;
            };
            let key = SessionId::parse(&cookie).unwrap().store_key();
            (cookie, key, world.browser.sign_in, world.elapsed())
        };
        let request = Request::builder()
            .uri(target.map_or_else(|| "/".to_owned(), |number| format!("/target/{number}")))
            .header(COOKIE, format!("{SESSION}={cookie}"))
            .body(String::new())
            .unwrap();
        let answer = service.oneshot(request).await.unwrap();
        let mut world = self.world.lock();
        // About a session that is no longer this browser's.
        if world.browser.sign_in != sign_in || world.browser.cookie.is_none() {
            return;
        }
        let name = self.name;
        let took = world.elapsed().saturating_sub(started);
        world.note(format!("{name} answers {} after {took:?}", answer.status()));
        match answer.status() {
            StatusCode::OK => {
                world.counts.served += 1;
                world.last_served = world.elapsed();
                let expected = match target {
                    Some(number) => format!("{:?} of \"user-1\"", TARGETS[number]),
                    None => "user-1".to_owned(),
                };
                world.counts.targets += u64::from(target.is_some());
                if *answer.body() != expected {
                    world.violated(format!("{name} serves {:?} for {expected}", answer.body()));
                }
                let noticed_by = |at: Duration| at + NEAR_CACHE_AGE;
                if world
                    .browser
                    .signed_out_at
                    .is_some_and(|at| noticed_by(at) < started)
                {
                    world.violated(format!("{name} serves a session that was signed out"));
                }
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                world.counts.put_off += 1;
                world.last_put_off = world.elapsed();
                // While the token lives nothing is in the way but what goes wrong between here and
                // the store.
                let is_live = world.store.is_live(key, world.store_now())
                    && world.store.is_known(key, world.elapsed());
                if world.is_untroubled(name) && target.is_none() && is_live {
                    world.violated(format!("{name} puts off a session whose token lives"));
                }
                if world.browser.signed_out_at.is_none() && took > Duration::from_secs(30) {
                    world.violated(format!("{name} takes {took:?} to say that it cannot"));
                }
            }
            StatusCode::UNAUTHORIZED => is_over(&mut world, name, &cookie, sign_in),
            StatusCode::FORBIDDEN if answer.body() == "target_refused" => {
                world.counts.refused += 1;
                let refused_at = target.zip(usize::try_from(sign_in - 1).ok());
                let refused_at = refused_at
                    .and_then(|(number, at)| world.provider.refused_at(at, TARGETS[number]));
                // Remembered for a minute, and told within what a request waits.
                if refused_at.is_none_or(|at| at + Duration::from_secs(90) < world.elapsed()) {
                    world.violated(format!("{name} says that a target was refused"));
                }
            }
            other => world.violated(format!("{name} answers {other}: {}", answer.body())),
        }
    }

    async fn sign_out(self, service: Login<Inner>) {
        let (cookie, key) = {
            let mut world = self.world.lock();
            let Some(cookie) = world.browser.cookie.clone() else {
                return;
            };
            world.browser.asked_to_sign_out = true;
            world.note(format!("{} is asked to sign out", self.name));
            let key = SessionId::parse(&cookie).unwrap().store_key();
            (cookie, key)
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri("/oauth/openid/logout")
            .header("origin", SITE)
            .header(COOKIE, format!("{SESSION}={cookie}"))
            .body(String::new())
            .unwrap();
        let answer = service.oneshot(request).await.unwrap();
        let mut world = self.world.lock();
        if world.browser.cookie.as_deref() != Some(&*cookie) {
            return;
        }
        world.note(format!(
            "{} answers the sign-out {}",
            self.name,
            answer.status()
        ));
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            return;
        }
        if world.store.record(key).is_some() {
            world.violated("it says signed out, and the session is there");
        }
        world.counts.sign_outs += 1;
        world.browser.signed_out_at = Some(world.elapsed());
    }
}

/// What happens next at a process.
fn act(world: &mut World) -> Act {
    let browser = &world.browser;
    if browser.cookie.is_none() {
        return Act::SignIn;
    }
    // For a while after signing out the old cookie is tried everywhere.
    if browser
        .signed_out_at
        .is_some_and(|at| world.elapsed() > at + Duration::from_secs(20))
    {
        world.browser.cookie = None;
        return Act::SignIn;
    }
    if !browser.asked_to_sign_out && !world.is_over() && world.dice.happens(15) {
        return Act::SignOut;
    }
    let target = world.dice.one_of(&[None, None, Some(0), Some(1)]);
    Act::Visit(world.dice.one_of(&[1, 1, 2, 8]), target)
}

/// A session may end only for a reason.
fn is_over(world: &mut World, name: &str, cookie: &str, sign_in: u64) {
    if world.browser.asked_to_sign_out {
        // It was done, whether the answer came or not.
        let now = world.elapsed();
        world.browser.signed_out_at.get_or_insert(now);
        return;
    }
    // Only a rejection by the provider ends a session, written down or not.
    let at = usize::try_from(sign_in).unwrap().checked_sub(1);
    if !at.is_some_and(|at| world.provider.has_rejected(at)) {
        let key = SessionId::parse(cookie).unwrap().store_key();
        let state = world.store.record(key).map(|record| record.state);
        let what = format!("{name} says the session is over, and it is {state:?}");
        world.violated(what);
    }
    world.counts.lost += 1;
    world.browser.cookie = None;
}

fn take_cookies(answer: &Response<impl Sized>, jar: &mut BTreeMap<String, String>) {
    for field in answer.headers().get_all(SET_COOKIE) {
        let text = field.to_str().unwrap();
        let (name, rest) = text.split_once('=').unwrap();
        let value = rest.split(';').next().unwrap();
        if !text.contains("Max-Age=0") {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// One process on a host of the simulation, started again after each crash.
pub(crate) fn host(
    process: Process,
) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = turmoil::Result>>> {
    let process = Arc::new(process);
    move || Box::pin(Process::clone(&process).run())
}
