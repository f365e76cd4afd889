//! Tells what is right and what is wrong with the settings of a service, and what cures it.
//!
//! It reads the same environment as the service (see `tower_oidc::env`), and asks the provider, the store and the
//! running site what it needs to know:
//!
//! ```sh
//! set -a; . ./.env; set +a
//! cargo run --example doctor --all-features
//! ```
//!
//! | argument | what it does |
//! |---|---|
//! | `--as api`, `--as site`, `--as service` | which settings are read; without it that is told from which are set |
//! | `--config-test` | reads the settings, and calls nothing |
//! | `--token FILE`, `--token -` | explains the token in a file, or on stdin, without showing it; with `--config-test` no key is fetched |
//! | `--profile rfc9700`, `oauth21`, `fapi2`, `mcp` | the rules of that profile by id, and what these settings depart from |
//! | `--json` | prints one JSON object |
//!
//! It ends with 0 if all is well, with 1 if something is wrong, and with 2 if it cannot run.
//!
//! A token is never an argument, because other users of the machine see the arguments of a program. It is never shown
//! either: of its claims `iss` and `aud` alone are.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::io::{self, Read};
use std::process::ExitCode;

use tower_oidc::doctor::{Doctor, Profile, Shape};

const USAGE: &str = "usage: doctor [--as api|site|service] [--config-test] [--token FILE|-] \
    [--profile rfc9700|oauth21|fapi2|mcp] [--json]";

/// Tokens are read up to this size.
const LARGEST_TOKEN: u64 = 1024 * 1024;

#[derive(Default)]
struct Arguments {
    shape: Option<Shape>,
    only_settings: bool,
    json: bool,
    /// A file, or `-`.
    token: Option<String>,
    profile: Option<Profile>,
    help: bool,
}

impl Arguments {
    /// An error never repeats an argument, because it may be a token that was put there by mistake.
    fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut read = Self::default();
        let mut arguments = arguments.into_iter().enumerate();
        while let Some((at, argument)) = arguments.next() {
            let mut value = || {
                let next = arguments.next().map(|(_, value)| value);
                next.ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--as" => {
                    let name = value()?;
                    let shape = Shape::ALL.into_iter().find(|one| one.name() == name);
                    read.shape = Some(shape.ok_or("--as is followed by api, site or service")?);
                }
                "--profile" => {
                    let name = value()?;
                    let profile = Profile::ALL.into_iter().find(|one| one.name() == name);
                    let names = "--profile is followed by rfc9700, oauth21, fapi2 or mcp";
                    read.profile = Some(profile.ok_or(names)?);
                }
                "--token" => read.token = Some(value()?),
                "--config-test" => read.only_settings = true,
                "--json" => read.json = true,
                "--help" | "-h" => read.help = true,
                _ => return Err(format!("argument {} is unknown", at + 1)),
            }
        }
        Ok(read)
    }
}

/// The token in a file or on stdin. An error does not name the file, which may be a token.
fn token(place: &str) -> Result<String, String> {
    let mut text = String::new();
    let read = if place == "-" {
        io::stdin().take(LARGEST_TOKEN).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(place);
        file.and_then(|file| file.take(LARGEST_TOKEN).read_to_string(&mut text))
    };
    read.map_err(|error| {
        format!(
            "what --token names cannot be read: {error}; it is a file that holds the token, or - for stdin, and never \
             the token itself, which others could see among the processes"
        )
    })?;
    Ok(text)
}

async fn run(arguments: &Arguments) -> Result<bool, String> {
    let doctor = Doctor::from_env().map_err(|error| error.to_string())?;
    let doctor = match arguments.shape {
        Some(shape) => doctor.examining(shape),
        None => doctor,
    };
    if let Some(profile) = arguments.profile {
        let report = doctor.check_profile(profile);
        if arguments.json {
            println!("{}", report.to_json());
        } else {
            print!("{report}");
        }
        return Ok(report.departures().is_well());
    }
    let report = match (&arguments.token, arguments.only_settings) {
        (Some(place), true) => doctor.explain_token(&token(place)?),
        (Some(place), false) => doctor.verify_token(&token(place)?).await,
        (None, true) => doctor.check_settings(),
        (None, false) => doctor.examine().await,
    };
    if arguments.json {
        println!("{}", report.to_json());
    } else {
        println!("examined as: {} (--as chooses)", doctor.shape().name());
        print!("{report}");
    }
    Ok(report.is_well())
}

#[tokio::main]
async fn main() -> ExitCode {
    const CANNOT_RUN: u8 = 2;
    let arguments = std::env::args_os().skip(1);
    let arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    let arguments = match Arguments::read(arguments) {
        Ok(arguments) if arguments.help => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("doctor: {error}\n{USAGE}");
            return ExitCode::from(CANNOT_RUN);
        }
    };
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("doctor: {error}");
            ExitCode::from(CANNOT_RUN)
        }
    }
}
