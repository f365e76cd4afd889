//! What the stores in SQL databases share: the names of their tables, how a row is read, what a failure means,
//! and which migrations are due.

mod failure;
mod migrations;
mod prefix;
mod row;

#[cfg(feature = "postgres")]
pub(super) use self::failure::Database;
pub(super) use self::failure::Failure;
pub(super) use self::migrations::pending;
pub(super) use self::prefix::TablePrefix;
#[cfg(feature = "postgres")]
pub(super) use self::row::{has, seconds};
pub(super) use self::row::{loaded, record, store_key};
