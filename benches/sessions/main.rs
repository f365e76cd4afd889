//! What sessions cost in each store, and how that grows with their number. Starts the servers itself: needs
//! redis-server and PostgreSQL with pg_stat_statements, on Linux.
//!
//! `benches/sessions.sh` measures 1 000 to 100 000 sessions in all stores, prints a table and draws a picture; write
//! other numbers behind it. `FOLDER` chooses the disk.
#![expect(clippy::print_stdout, reason = "it prints a table")]

mod counted;
mod load;
mod picture;
mod postgres;
mod server;
mod site;
mod table;

use std::error::Error;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tower_oidc::LoginLayer;

use self::load::{Rate, each};
use self::server::{Kind, Server};
use self::site::Idp;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What was measured of one store with one number of sessions.
#[derive(Serialize, Deserialize)]
struct Row {
    kind: Kind,
    sessions: usize,
    /// Requests a second with nothing due, with the near cache and without it.
    near: Rate,
    far: Rate,
    sign_ins: Rate,
    refreshes: Rate,
    /// What the store alone does for a sign-in and for a refresh.
    creates: Rate,
    swaps: Rate,
    bytes_each: f64,
    trips: Option<Trips>,
}

/// Round trips.
#[derive(Serialize, Deserialize)]
struct Trips {
    near_request: f64,
    far_request: f64,
    refresh: f64,
}

/// How often each rate is measured.
const ROUNDS: usize = 5;

/// Sessions that sign in and are refreshed. The others are as long and lie beside them.
const MOST_USED: usize = 2_500;

/// Sessions that make requests in each round.
const ACTIVE: usize = 1_000;

/// Requests that a session makes in a row, as a page and what it loads.
const IN_A_ROW: u32 = 20;

/// The default age of the near cache.
const NEAR: Duration = Duration::from_secs(1);

/// An access token lives at least for so long: a shorter lifetime is not believed.
const LIFETIME: Duration = Duration::from_secs(6);

/// Names one measurement, which has a process of its own, so that its memory is that of one store.
const ONE: &str = "TOWER_OIDC_BENCH";

fn main() -> Fallible<()> {
    if let Ok(one) = std::env::var(ONE) {
        let (kind, sessions) = serde_json::from_str(&one)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let row = runtime.block_on(measure(kind, sessions))?;
        println!("{}", serde_json::to_string(&row)?);
        return Ok(());
    }
    let mut sizes: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    println!("{}", table::HEAD);
    let mut rows = Vec::new();
    for &sessions in &sizes {
        for kind in Kind::ALL {
            let row = measured(kind, sessions)?;
            println!("{}", table::line(&row));
            rows.push(row);
        }
        if rows.len() > Kind::ALL.len() {
            picture::draw(&rows)?;
        }
    }
    Ok(())
}

fn measured(kind: Kind, sessions: usize) -> Fallible<Row> {
    let output = Command::new(std::env::current_exe()?)
        .env(ONE, serde_json::to_string(&(kind, sessions))?)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "{} with {sessions} sessions: {}",
            kind.name(),
            output.status
        )
        .into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

async fn measure(kind: Kind, sessions: usize) -> Fallible<Row> {
    let idp = Idp::new();
    let record = idp.record().await?;
    let server = Server::start(kind).await?;
    let (store, hasty) = (server.store()?, server.hasty_store().await?);

    let before = server.bytes().await?;
    load::create(Arc::clone(&hasty), record.clone(), 0..sessions).await?;
    let bytes = server.bytes().await?.saturating_sub(before);
    let used = sessions.min(MOST_USED);
    load::delete(hasty, 0..used).await?;
    // So that a server has written that down.
    server.bytes().await?;

    let layer = idp.site(Arc::clone(&store), NEAR)?;
    let (mut cookies, mut rounds) = (Vec::new(), Vec::new());
    let share = used / ROUNDS;
    for _ in 0..ROUNDS {
        let layer = layer.clone();
        let signing_in = each(vec![(); share], move |()| site::sign_in(layer.clone()));
        let (signed_in, took) = signing_in.await?;
        cookies.push(signed_in);
        rounds.push(took);
    }
    let sign_ins = Rate::of(share, &rounds);

    tokio::time::sleep(LIFETIME).await;
    let trips = server.round_trips().await?;
    rounds.clear();
    for share in &cookies {
        rounds.push(visit(&layer, share, 1).await?);
    }
    let refreshes = Rate::of(share, &rounds);
    let refreshing = since(trips, server.round_trips().await?);
    let expected = u64::try_from(share * ROUNDS)?;
    if idp.grants() != expected {
        return Err(format!("{} grants for {expected} sessions", idp.grants()).into());
    }

    let active: Vec<_> = cookies.concat().into_iter().take(ACTIVE).collect();
    let (near, near_trips) = requests(&server, &layer, &active, NEAR).await?;
    let layer = idp.site(Arc::clone(&store), Duration::ZERO)?;
    let (far, far_trips) = requests(&server, &layer, &active, Duration::ZERO).await?;

    let (mut creating, mut swapping) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let from = sessions + round * ACTIVE;
        let numbers = from..from + ACTIVE;
        creating.push(load::create(Arc::clone(&store), record.clone(), numbers.clone()).await?);
        swapping.push(load::refresh(Arc::clone(&store), numbers).await?);
    }
    let asked = active.len() * ROUNDS * usize::try_from(IN_A_ROW)?;
    let trips = refreshing.zip(near_trips).zip(far_trips);
    Ok(Row {
        kind,
        sessions,
        near,
        far,
        sign_ins,
        refreshes,
        creates: Rate::of(ACTIVE, &creating),
        swaps: Rate::of(ACTIVE, &swapping),
        bytes_each: per(bytes, u64::try_from(sessions)?),
        trips: trips.map(|((refreshing, near), far)| Trips {
            near_request: per(near, asked as u64),
            far_request: per(far, asked as u64),
            refresh: per(refreshing, expected),
        }),
    })
}

/// Requests a second, and round trips of all of them. Each round begins when what the near cache has is too old.
async fn requests(
    server: &Server,
    layer: &LoginLayer,
    cookies: &[String],
    near: Duration,
) -> Fallible<(Rate, Option<u64>)> {
    // Decrypts the records, and verifies their tokens.
    visit(layer, cookies, 1).await?;
    let before = server.round_trips().await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        tokio::time::sleep(near).await;
        rounds.push(visit(layer, cookies, IN_A_ROW).await?);
    }
    let rate = Rate::of(cookies.len() * usize::try_from(IN_A_ROW)?, &rounds);
    Ok((rate, since(before, server.round_trips().await?)))
}

/// Lets each session make so many requests in a row.
async fn visit(layer: &LoginLayer, cookies: &[String], times: u32) -> Fallible<Duration> {
    let layer = layer.clone();
    let visited = each(cookies.to_vec(), move |cookie| {
        site::visit(layer.clone(), cookie, times)
    });
    Ok(visited.await?.1)
}

fn since(before: Option<u64>, now: Option<u64>) -> Option<u64> {
    Some(now? - before?)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per(sum: u64, parts: u64) -> f64 {
    sum as f64 / parts as f64
}
