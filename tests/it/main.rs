//! The promises of the crate, tested through its public API: one file for each capability. The line above a
//! test names the rules of `docs/rules.md` that it proves.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod auto_traits;
mod axum;
mod bearer;
mod browser;
mod cache;
mod callbacks;
mod discovery;
mod doubt;
mod drain;
mod exchange;
mod faulty_store;
mod grpc;
mod issuer_down;
mod key_rotation;
mod limits;
mod log;
mod login;
mod logout;
mod metrics;
mod moved_endpoint;
mod offline;
mod open_paths;
mod outbound;
mod pausing_store;
mod provider_logout;
mod readiness;
mod redaction;
mod refresh_rotation;
mod relay;
mod require;
mod resource_metadata;
mod rotation_grace;
mod runtime_end;
mod session_limits;
mod session_store;
mod sessions;
mod settings;
mod several_issuers;
mod short_tokens;
mod sign_ins;
mod support;
mod tabs;
mod tokens;
mod upstream;
