//! Sessions in real PostgreSQL servers: the suite every store must pass, the tables, failover, and what can be wrong
//! with a database.

mod failover;
mod pgbouncer;
mod pooled;
mod races;
pub(crate) mod server;
mod suite;
mod tables;
mod troubles;
