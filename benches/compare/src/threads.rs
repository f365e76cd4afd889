//! Many threads at once, also while keys change, and the time of a verification while keys are refreshed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault, ManualClock};
use tower_oidc::{Algorithm, Verifier};

use crate::{AUDIENCE, Error, picture};

const RUN: Duration = Duration::from_secs(2);

pub(crate) async fn contend() -> Result<(), Error> {
    println!("## Many threads\n\nVerifications per second, all threads together, on two cores.\n");
    println!(
        "| threads | seen before | seen before, keys changing | new (EdDSA) |\n|---|---|---|---|"
    );
    let mut lines = [const { Vec::new() }; 3];
    for threads in [1_u32, 2, 4, 8, 16] {
        let seen = rate(true, threads, false).await?;
        let changing = rate(true, threads, true).await?;
        let new = rate(false, threads, false).await?;
        println!("| {threads} | {seen:.0} | {changing:.0} | {new:.0} |");
        for (line, rate) in lines.iter_mut().zip([seen, changing, new]) {
            line.push((f64::from(threads), rate));
        }
    }
    println!();
    let [seen, changing, new] = lines;
    let lines = [
        ("seen before", seen),
        ("seen before, keys changing", changing),
        ("new (EdDSA)", new),
    ];
    picture::lines(
        "threads",
        "Verifications a second by threads",
        &lines,
        plotters::prelude::SeriesLabelPosition::MiddleRight,
    )
}

/// Each thread has tokens of its own, and all share one.
async fn rate(caches: bool, threads: u32, changes: bool) -> Result<f64, Error> {
    let idp = DevelopmentProvider::start().await?;
    let builder = Verifier::builder(&idp.provider()?, AUDIENCE);
    let verifier = if caches {
        builder
    } else {
        builder.without_cache()
    }
    .build()?;
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let mint = || idp.token_by(Algorithm::EdDsa, AUDIENCE).build();
    let shared = mint();
    let mut running = Vec::new();
    for _ in 0..threads {
        let tokens = [mint(), shared.clone(), mint(), shared.clone()];
        for token in &tokens {
            verifier.verify(token).await.expect("a good token");
        }
        let (verifier, stop, done) = (verifier.clone(), Arc::clone(&stop), Arc::clone(&done));
        let handle = tokio::runtime::Handle::current();
        running.push(std::thread::spawn(move || {
            let _runtime = handle.enter();
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                for token in &tokens {
                    handle
                        .block_on(verifier.verify(token))
                        .expect("a good token");
                    count += 1;
                }
            }
            done.fetch_add(count, Ordering::SeqCst);
        }));
    }
    let start = Instant::now();
    if changes {
        // Other keys, and a token that causes their fetch, as far as the bound on fetches allows.
        for _ in 0..2 {
            tokio::time::sleep(RUN / 3).await;
            idp.rotate_keys();
            let _ = verifier.verify(&mint()).await;
        }
        tokio::time::sleep(RUN / 3).await;
    } else {
        tokio::time::sleep(RUN).await;
    }
    stop.store(true, Ordering::SeqCst);
    for thread in running {
        thread.join().expect("no panic");
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds")]
    let done = done.load(Ordering::SeqCst) as f64;
    Ok(done / start.elapsed().as_secs_f64())
}

pub(crate) async fn tail() -> Result<(), Error> {
    println!(
        "## While keys are refreshed\n\nMicroseconds per verification, of 20 000. The provider takes half a second to answer.\n"
    );
    println!("| | median | 99 % | 99.9 % | maximum |\n|---|---|---|---|---|");
    for (name, cached, renews) in [
        ("seen before, keys fresh", true, false),
        ("seen before, keys renewing", true, true),
        ("new (EdDSA), keys fresh", false, false),
        ("new (EdDSA), keys renewing", false, true),
    ] {
        let clock = ManualClock::new();
        let idp = DevelopmentProvider::builder()
            .with_clock(clock.clone())
            .start()
            .await?;
        let builder = Verifier::builder(&idp.provider()?, AUDIENCE);
        let verifier = if cached {
            builder
        } else {
            builder.without_cache()
        }
        .build()?;
        let token = idp
            .token_by(Algorithm::EdDsa, AUDIENCE)
            .expires_in(Duration::from_secs(7_200))
            .build();
        verifier.verify(&token).await?;
        if renews {
            idp.set_fault(Endpoint::Jwks, Fault::Slow(Duration::from_millis(500)));
            clock.advance(Duration::from_secs(590));
        }
        verifier.verify(&token).await?;
        let mut times: Vec<_> = Vec::with_capacity(20_000);
        for _ in 0..20_000 {
            let start = Instant::now();
            verifier.verify(&token).await?;
            times.push(start.elapsed());
        }
        times.sort();
        let at = |share: usize| {
            crate::microseconds(times[(times.len() * share / 1_000).min(times.len() - 1)])
        };
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.0} |",
            at(500),
            at(990),
            at(999),
            at(1_000)
        );
    }
    println!();
    Ok(())
}
