//! The cost of verification compared with other crates, with many threads, and with growing numbers. Writes
//! the tables to stdout and the pictures to `benches/figures`.
//!
//! `benches/compare.sh` runs it. Times are for people; compare them within one run only.

mod growth;
mod picture;
mod rivals;
mod threads;

use std::time::{Duration, Instant};

type Error = Box<dyn std::error::Error + Send + Sync>;

const AUDIENCE: &str = "https://api.example.com";

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        rivals::compare().await?;
        threads::contend().await?;
        threads::tail().await?;
        growth::grow().await
    })
}

/// The time of one round: the median of five runs of this many rounds.
async fn middle<F: AsyncFnMut(usize)>(rounds: usize, mut round: F) -> Duration {
    let mut runs = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        for number in 0..rounds {
            round(number).await;
        }
        runs.push(start.elapsed() / u32::try_from(rounds).unwrap_or(u32::MAX));
    }
    runs.sort();
    runs[runs.len() / 2]
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
