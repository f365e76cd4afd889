//! Requests per second by wrk.

use std::process::Command;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Requests a second of this address by 32 connections that send this field. An answer that is no success
/// is an error. `SECONDS` says how long it takes (5).
pub(crate) async fn load(url: &str, header: &str) -> Result<f64, BoxError> {
    let seconds = std::env::var("SECONDS").unwrap_or_else(|_| "5".to_owned());
    let (url, header) = (url.to_owned(), header.to_owned());
    let output = tokio::task::spawn_blocking(move || {
        let duration = format!("-d{seconds}s");
        Command::new("wrk")
            .args(["-t1", "-c32", &duration, "-H", &header, &url])
            .output()
    })
    .await?
    .map_err(|error| format!("wrk cannot be started: {error}; install it"))?;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Non-2xx") {
        return Err(text.into());
    }
    let rate = text
        .split("Requests/sec:")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or("wrk told no rate")?;
    Ok(rate.parse()?)
}

/// Loads several addresses in turns, so that whatever else the machine does is shared, after one turn for
/// warmth. The middle rate of each.
pub(crate) async fn in_turns<const N: usize>(
    turns: usize,
    targets: [(String, String); N],
) -> Result<[f64; N], BoxError> {
    let mut rates = [const { Vec::new() }; N];
    for turn in 0..=turns {
        for (rates, (url, header)) in rates.iter_mut().zip(&targets) {
            let rate = load(url, header).await?;
            if turn > 0 {
                rates.push(rate);
            }
        }
    }
    Ok(rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }))
}
