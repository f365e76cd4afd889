//! What an error of PostgreSQL means.

use sqlx::Error;

use crate::error::{Chain, StoreError, StoreErrorKind};
use crate::login::store::outage::Trouble;
use crate::login::store::sql::{Database, Failure};
use crate::settings::DATABASE_URL;

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
        // By its code the server shuts down, or has become one that follows another; or the prepared statement is not
        // there or another client's, and the next one is not prepared.
        (Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed, _)
        | (_, Some("57P01" | "57P02" | "57P03" | "25006" | "26000" | "42P05")) => After::Reconnect,
        (_, Some(code)) if code.starts_with("08") => After::Reconnect,
        // Only where the pool asks for another isolation than READ COMMITTED, or by a deadlock.
        (_, Some("40001" | "40P01")) => After::Repeat,
        _ => After::GiveUp,
    }
}

/// Whether a pooler refused a connection because of what it was to begin with.
pub(super) fn refuses_parameters(error: &Error) -> bool {
    let refusal = error.as_database_error();
    refusal.is_some_and(|refusal| {
        refusal
            .message()
            .starts_with("unsupported startup parameter")
    })
}

pub(super) fn failure(error: &Error) -> Failure {
    if refuses_parameters(error) {
        return refused(cause(error));
    }
    let trouble = match code(error).as_deref() {
        _ if matches!(error, Error::Encode(_)) => Trouble::Full,
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

/// A pooler does not take what connections begin with.
fn refused(cause: String) -> Failure {
    let message = format!(
        "a pooler in front of PostgreSQL refuses a parameter that connections begin with: write its name into the \
         pooler's ignore_startup_parameters, or leave it out; what {DATABASE_URL} has as options is set with ALTER ROLE \
         instead"
    );
    Failure {
        trouble: Trouble::NotAllowed,
        error: StoreError::caused(StoreErrorKind::Unavailable, message, cause.into()),
    }
}

fn cause(error: &Error) -> String {
    match (error, error.as_database_error()) {
        (_, Some(refusal)) => {
            let code = refusal.code().unwrap_or_default();
            format!("{} ({code})", refusal.message())
        }
        (Error::PoolTimedOut, _) => {
            "no connection in time: it cannot be reached, all connections are busy, or it takes no more".to_owned()
        }
        (Error::Encode(_), _) => "a record is larger than PostgreSQL takes".to_owned(),
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
