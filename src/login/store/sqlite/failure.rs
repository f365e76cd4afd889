//! What an error of SQLite means for those who run the program.

use sqlx::Error;

use crate::error::{Chain, StoreError, StoreErrorKind};
use crate::login::store::outage::Trouble;
use crate::login::store::sql::Failure;
use crate::settings::{DATABASE_TABLE_PREFIX, DATABASE_URL};

/// Result codes of SQLite, without what the upper bits add.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const AUTH: i32 = 23;
    pub(super) const NOTADB: i32 = 26;
}

pub(super) fn failure(error: &Error) -> Failure {
    of(trouble(error), cause(error))
}

fn trouble(error: &Error) -> Trouble {
    let Some(refusal) = error.as_database_error() else {
        return Trouble::Away;
    };
    let code = refusal.code().and_then(|code| code.parse::<i32>().ok());
    match code.unwrap_or_default() & 0xff {
        code::BUSY | code::LOCKED => Trouble::Locked,
        code::READONLY => Trouble::ReadOnly,
        code::FULL => Trouble::Full,
        code::CANTOPEN | code::PERM | code::AUTH => Trouble::NotAllowed,
        code::CORRUPT | code::NOTADB => Trouble::Damaged,
        code::ERROR if has_other_tables(refusal.message()) => Trouble::NoTables,
        _ => Trouble::Away,
    }
}

/// SQLite has no code for it.
fn has_other_tables(message: &str) -> bool {
    ["no such table", "no such column", "has no column"]
        .iter()
        .any(|part| message.contains(part))
}

fn cause(error: &Error) -> String {
    match (error, error.as_database_error()) {
        // The text is SQLite's own and names tables and columns at most.
        (_, Some(refusal)) => {
            let code = refusal.code().unwrap_or_default();
            format!("{} ({code})", refusal.message())
        }
        (Error::PoolTimedOut, _) => "all connections are busy".to_owned(),
        _ => Chain(error).to_string(),
    }
}

/// A trouble with its remedy. `cause` is what SQLite said.
pub(super) fn of(trouble: Trouble, cause: impl Into<String>) -> Failure {
    let message = match trouble {
        Trouble::Away => "the SQLite store does not answer".to_owned(),
        Trouble::Locked => "the SQLite store cannot be written to in time: another program holds the file locked, such \
             as a backup or a shell of SQLite with a transaction open, or the disk is slow"
            .to_owned(),
        Trouble::ReadOnly => format!(
            "the SQLite store cannot be written to: let this program write to the file that {DATABASE_URL} names, and \
             to its folder"
        ),
        Trouble::Full => "the SQLite store is full: make room on the disk".to_owned(),
        Trouble::NoTables => format!(
            "the SQLite store has no tables, or others than this program expects: call SqliteStore::migrate once, or \
             set {DATABASE_TABLE_PREFIX} to the prefix that they have"
        ),
        Trouble::NewerTables => {
            "the tables of the SQLite store are those of a newer version of this crate: upgrade this program".to_owned()
        }
        Trouble::NotAllowed => format!(
            "the SQLite store cannot be opened: compare {DATABASE_URL}, and let this program read and write the file \
             and its folder"
        ),
        Trouble::Damaged => format!(
            "the file of the SQLite store is damaged, or no database of SQLite: compare {DATABASE_URL}, put back a \
             backup, or move the file away, whose users then sign in again"
        ),
    };
    let cause: String = cause.into();
    Failure {
        trouble,
        error: StoreError::caused(StoreErrorKind::Unavailable, message, cause.into()),
    }
}

/// It is not known what it waited for.
pub(super) fn late(trouble: Trouble) -> Failure {
    of(trouble, "no answer in time")
}

pub(super) fn newer(version: i64, known: usize) -> Failure {
    let cause = format!("version {version}, of which this program knows {known}");
    of(Trouble::NewerTables, cause)
}

/// A swap met the expected record again and again, and did not replace it.
pub(super) fn unsettled() -> StoreError {
    of(Trouble::Away, "the record appeared and vanished").error
}
