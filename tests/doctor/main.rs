//! The doctor: a table of wrong set-ups, each found with its cure, and right ones.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod pages;
mod profiles;
mod right;
mod setup;
mod tokens;
mod wrong_answers;
mod wrong_metadata;
mod wrong_settings;
mod wrong_sites;
