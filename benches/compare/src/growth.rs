//! Time and memory with growing numbers of tokens, keys and issuers, and growing tokens.

use std::time::Duration;

use serde_json::json;
use tower_oidc::testing::{DevelopmentProvider, SigningKey};
use tower_oidc::{Algorithm, Verifier};

use crate::{AUDIENCE, Error, microseconds, middle, picture};

pub(crate) async fn grow() -> Result<(), Error> {
    println!("## Growth\n\nEdDSA, microseconds per verification.\n");
    let tokens = tokens().await?;
    let keys = keys().await?;
    let issuers = issuers().await?;
    let sizes = sizes().await?;
    picture::lines(
        "growth",
        "Microseconds a verification, by number (tokens, keys, issuers) or KiB",
        &[
            ("tokens, seen before", tokens),
            ("keys, new token", keys),
            ("issuers, new token", issuers),
            ("size in KiB, seen before", sizes),
        ],
        plotters::prelude::SeriesLabelPosition::UpperRight,
    )
}

type Line = Vec<(f64, f64)>;

async fn tokens() -> Result<Line, Error> {
    println!("| distinct tokens | new | seen before | KiB each |\n|---|---|---|---|");
    let mut line = Vec::new();
    for count in [1_usize, 10, 100, 1_000, 10_000, 100_000] {
        let idp = DevelopmentProvider::start().await?;
        let verifier = Verifier::builder(&idp.provider()?, AUDIENCE)
            .with_cache_capacity(2 * count.max(1_000))
            .build()?;
        let first = idp.token(AUDIENCE).build();
        verifier.verify(&first).await?;
        // Of the usual size: 929 bytes.
        let tokens: Vec<_> = (0..count)
            .map(|_| {
                idp.token_by(Algorithm::EdDsa, AUDIENCE)
                    .claim("permissions", "x".repeat(330))
                    .build()
            })
            .collect();
        let before = resident();
        let start = std::time::Instant::now();
        for token in &tokens {
            verifier.verify(token).await?;
        }
        let new = start.elapsed() / u32::try_from(count)?;
        let kibibytes = (resident().saturating_sub(before)) as f64 / count as f64;
        let rounds = count.max(20_000);
        let seen = middle(rounds, async |number| {
            // Spread over all tokens, as callers are, so that the caches of the processor do not help.
            let at = number.wrapping_mul(7_919) % tokens.len();
            verifier.verify(&tokens[at]).await.expect("a good token");
        })
        .await;
        let each = if count < 10_000 {
            "–".to_owned()
        } else {
            format!("{kibibytes:.2}")
        };
        println!(
            "| {count} | {:.1} | {:.2} | {each} |",
            microseconds(new),
            microseconds(seen)
        );
        line.push((count as f64, microseconds(seen)));
    }
    println!();
    Ok(line)
}

async fn keys() -> Result<Line, Error> {
    println!("| keys in the set | new token | seen before |\n|---|---|---|");
    let mut line = Vec::new();
    for count in [1_usize, 10, 100] {
        let idp = DevelopmentProvider::start().await?;
        let keys: Vec<_> = (0..count)
            .map(|n| SigningKey::generate(format!("key-{n}"), Algorithm::EdDsa))
            .collect();
        let entries: Vec<serde_json::Value> = keys
            .iter()
            .map(|key| serde_json::from_str(&key.public_jwk()))
            .collect::<Result<_, _>>()?;
        idp.set_jwks(json!({ "keys": entries }).to_string());
        let last = std::sync::Arc::new(keys.into_iter().next_back().ok_or("no key")?);
        let token = idp.token(AUDIENCE).signed_by(last).build();
        line.push(row(count, &idp, &token).await?);
    }
    println!();
    Ok(line)
}

async fn issuers() -> Result<Line, Error> {
    println!("| issuers trusted | new token | seen before |\n|---|---|---|");
    let mut idps = Vec::new();
    for _ in 0..50 {
        idps.push(DevelopmentProvider::start().await?);
    }
    let mut line = Vec::new();
    for count in [1_usize, 10, 50] {
        let last = &idps[count - 1];
        let token = last.token_by(Algorithm::EdDsa, AUDIENCE).build();
        let providers = idps[..count]
            .iter()
            .map(DevelopmentProvider::provider)
            .collect::<Result<Vec<_>, _>>()?;
        let builder = || {
            let (first, others) = providers.split_first().expect("at least one");
            others
                .iter()
                .fold(Verifier::builder(first, AUDIENCE), |builder, provider| {
                    builder.add_provider(provider)
                })
        };
        line.push(timed(count, builder, &token).await?);
    }
    println!();
    Ok(line)
}

async fn sizes() -> Result<Line, Error> {
    println!("| KiB of token | new token | seen before |\n|---|---|---|");
    let idp = DevelopmentProvider::start().await?;
    let mut line = Vec::new();
    for (kibibytes, padding) in [
        (0.5, 0),
        (1.0, 410),
        (4.0, 2_700),
        (8.0, 5_770),
        (15.9, 11_850),
    ] {
        let token = idp
            .token_by(Algorithm::EdDsa, AUDIENCE)
            .claim("padding", "x".repeat(padding))
            .build();
        let provider = idp.provider()?;
        let (new, seen) = both(|| Verifier::builder(&provider, AUDIENCE), &token).await?;
        println!(
            "| {:.1} | {new:.2} | {seen:.2} |",
            token.len() as f64 / 1_024.0
        );
        line.push((kibibytes, seen));
    }
    println!();
    Ok(line)
}

async fn row(count: usize, idp: &DevelopmentProvider, token: &str) -> Result<(f64, f64), Error> {
    let provider = idp.provider()?;
    timed(count, || Verifier::builder(&provider, AUDIENCE), token).await
}

async fn timed(
    count: usize,
    builder: impl Fn() -> tower_oidc::VerifierBuilder,
    token: &str,
) -> Result<(f64, f64), Error> {
    let (new, seen) = both(builder, token).await?;
    println!("| {count} | {new:.1} | {seen:.2} |");
    Ok((count as f64, new))
}

async fn both(
    builder: impl Fn() -> tower_oidc::VerifierBuilder,
    token: &str,
) -> Result<(f64, f64), Error> {
    let mut times = Vec::new();
    for (verifier, rounds) in [
        (builder().without_cache().build()?, 1_000),
        (builder().build()?, 50_000),
    ] {
        verifier.verify(token).await?;
        let time = middle(rounds, async |_| {
            verifier.verify(token).await.expect("a good token");
        });
        times.push(time.await);
    }
    let of = |time: Duration| microseconds(time);
    Ok((of(times[0]), of(times[1])))
}

/// The memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
