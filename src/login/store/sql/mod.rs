//! What the stores in SQL databases share: the names of their tables, how a row is read, what a failure means,
//! and which migrations are due.

mod failure;
mod migrations;
mod prefix;
mod row;

pub(super) use self::failure::{Database, Failure};
pub(super) use self::migrations::pending;
pub(super) use self::prefix::TablePrefix;
pub(super) use self::row::{has, loaded, record, seconds, store_key};
