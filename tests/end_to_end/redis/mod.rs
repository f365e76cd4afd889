//! Sessions in real Redis servers: the suite every store must pass, and several processes of one site
//! that share a store through whatever happens to them.

mod drain;
mod eviction;
mod faults;
mod kills;
mod near_cache;
mod proxy;
mod replicas;
mod revocations;
mod server;
mod suite;
mod targets;
