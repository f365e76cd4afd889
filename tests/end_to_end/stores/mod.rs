//! Several processes of one site that share a store through whatever happens to them, on each kind of store.

mod drain;
mod faults;
pub(crate) mod kills;
pub(crate) mod near_cache;
pub(crate) mod proxy;
pub(crate) mod records;
pub(crate) mod replicas;
mod revocations;
pub(crate) mod server;
