//! What the relying-party modules of the OpenID Foundation's conformance suite demand of a client, one test for each.
//! A file here is a plan of the suite, and a test has the name of its module. `docs/conformance.md` lists them all,
//! and `coverage.rs` holds that page, the list of modules and the tests together.
//!
//! A provider on loopback misbehaves as the suite's does, and a site on loopback has to cope with it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod back_channel;
mod basic;
mod browsing;
mod checks;
mod comprehensive;
mod config;
mod coverage;
mod fapi2;
mod form_post;
mod front_channel;
mod refresh_token;
mod rp_initiated;
mod site;
mod third_party;
