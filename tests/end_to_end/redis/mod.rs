//! Sessions in real Redis servers: the suite every store must pass on every kind of server, and what only Redis does.

mod channels;
mod eviction;
mod sentinels;
pub(crate) mod server;
mod suite;
mod targets;
