//! What an error of PostgreSQL means.

use sqlx::Error;

use crate::error::Chain;
use crate::login::store::outage::Trouble;
use crate::login::store::sql::{Database, Failure};

pub(super) const POSTGRES: Database = Database {
    name: "PostgreSQL",
    migrate: "PostgresStore::migrate",
};

/// The code of a table that does not exist.
pub(super) const NO_TABLE: &str = "42P01";

/// What to do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Another connection may do better.
    Reconnect,
    /// The same again: it met another transaction.
    Repeat,
    /// It stays so.
    GiveUp,
}

pub(super) fn code(error: &Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

pub(super) fn after(error: &Error) -> After {
    match (error, code(error).as_deref()) {
        // By its code the server shuts down, or has become one that follows another.
        (Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed, _)
        | (_, Some("57P01" | "57P02" | "57P03" | "25006")) => After::Reconnect,
        (_, Some(code)) if code.starts_with("08") => After::Reconnect,
        // Only where the pool asks for another isolation than READ COMMITTED, or by a deadlock.
        (_, Some("40001" | "40P01")) => After::Repeat,
        _ => After::GiveUp,
    }
}

pub(super) fn failure(error: &Error) -> Failure {
    let trouble = match code(error).as_deref() {
        Some("25006") => Trouble::ReadOnly,
        Some("53100") => Trouble::Full,
        // No such table, column, schema or constraint.
        Some(NO_TABLE | "42703" | "3F000" | "42P10") => Trouble::NoTables,
        // No right, no such user, a wrong password, no such database.
        Some("42501" | "28000" | "28P01" | "3D000") => Trouble::NotAllowed,
        _ => Trouble::Away,
    };
    POSTGRES.failure(trouble, cause(error))
}

fn cause(error: &Error) -> String {
    match (error, error.as_database_error()) {
        (_, Some(refusal)) => {
            let code = refusal.code().unwrap_or_default();
            format!("{} ({code})", refusal.message())
        }
        (Error::PoolTimedOut, _) => {
            "no connection in time: it cannot be reached, or all connections are busy".to_owned()
        }
        _ => Chain(error).to_string(),
    }
}

/// A server that follows another one answered.
pub(super) fn standby() -> Failure {
    POSTGRES.failure(
        Trouble::ReadOnly,
        "the server is a standby: it follows another one".to_owned(),
    )
}

pub(super) fn late() -> Failure {
    POSTGRES.failure(Trouble::Away, "no answer in time".to_owned())
}
