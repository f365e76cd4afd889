//! Requests per second by wrk.

use std::env;
use std::process::Command;
use std::str::FromStr;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An address, and the header field that is sent to it.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) header: String,
}

/// Loads several addresses in turns, after one turn to warm up. Prints the median rate of each, and the median
/// and quartiles of its ratio to the first address in the same turn, so that other load of the machine cancels
/// out. `TURNS` is the number of turns, `SECONDS` the time of each (default: 1), `WRK_CORE` the core on which
/// wrk runs (default: any).
#[expect(clippy::print_stdout, reason = "for people")]
pub(crate) async fn compare<const N: usize>(
    usual_turns: usize,
    targets: [Target; N],
) -> Result<(), BoxError> {
    let turns = setting("TURNS")?.unwrap_or(usual_turns);
    let mut rates = [const { Vec::new() }; N];
    for turn in 0..=turns {
        for (rates, target) in rates.iter_mut().zip(&targets) {
            let rate = load(target).await?;
            if turn > 0 {
                rates.push(rate);
            }
        }
    }
    for (target, own) in targets.iter().zip(&rates) {
        let shares = own.iter().zip(&rates[0]).map(|(own, first)| own / first);
        let ([_, rate, _], [low, share, high]) =
            (quarters(own.clone()), quarters(shares.collect()));
        let name = target.name;
        println!("{name:<36} {rate:>8.0} requests/s, {share:.3} ({low:.3} to {high:.3})");
    }
    Ok(())
}

fn quarters(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| numbers[(numbers.len() - 1) * quarter / 4])
}

fn setting<T: FromStr>(name: &str) -> Result<Option<T>, T::Err> {
    env::var(name).ok().map(|text| text.parse()).transpose()
}

/// Requests per second by 32 connections. An answer that is no success is an error.
async fn load(target: &Target) -> Result<f64, BoxError> {
    let seconds: u32 = setting("SECONDS")?.unwrap_or(1);
    let core: Option<u32> = setting("WRK_CORE")?;
    let (url, header) = (target.url.clone(), target.header.clone());
    let output = tokio::task::spawn_blocking(move || {
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string(), "wrk"]);
                command
            }
            None => Command::new("wrk"),
        };
        let duration = format!("-d{seconds}s");
        command
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
