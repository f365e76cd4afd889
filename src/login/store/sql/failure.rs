//! What a failed operation means for those who run the database.

use crate::error::StoreError;
#[cfg(feature = "postgres")]
use crate::error::StoreErrorKind;
use crate::login::store::outage::Trouble;
#[cfg(feature = "postgres")]
use crate::settings::{DATABASE_TABLE_PREFIX, DATABASE_URL};

/// How errors name a server of databases.
#[cfg(feature = "postgres")]
pub(in crate::login::store) struct Database {
    pub(in crate::login::store) name: &'static str,
    /// The method that makes the tables.
    pub(in crate::login::store) migrate: &'static str,
}

/// An operation that failed.
#[derive(Debug)]
pub(in crate::login::store) struct Failure {
    pub(in crate::login::store) trouble: Trouble,
    pub(in crate::login::store) error: StoreError,
}

#[cfg(feature = "postgres")]
impl Database {
    /// A trouble with its remedy. `cause` is what the database said.
    ///
    /// The error of sqlx itself is not kept: its `Debug` form may show parts of a row.
    pub(in crate::login::store) fn failure(&self, trouble: Trouble, cause: String) -> Failure {
        let (name, migrate) = (self.name, self.migrate);
        let message = match trouble {
            Trouble::Away => format!("the {name} store does not answer"),
            #[cfg(feature = "sqlite")]
            Trouble::Locked | Trouble::Damaged => format!("the {name} store cannot be used"),
            Trouble::ReadOnly => format!(
                "the {name} store cannot be written to: compare {DATABASE_URL} with the address of the server that \
                 takes writes, or end its read-only mode"
            ),
            Trouble::Full => format!("the {name} store is full: give it more room"),
            Trouble::NoTables => format!(
                "the {name} store has no tables, or others than this program expects: call {migrate} once, or set \
                 {DATABASE_TABLE_PREFIX} to the prefix that they have"
            ),
            Trouble::NewerTables => format!(
                "the tables of the {name} store are those of a newer version of this crate: upgrade this program"
            ),
            Trouble::NotAllowed => format!(
                "the {name} store refuses this program: compare user, password and database in {DATABASE_URL}, and \
                 let this user select, insert, update and delete in the tables; {migrate} must also create them"
            ),
        };
        Failure {
            trouble,
            error: StoreError::caused(StoreErrorKind::Unavailable, message, cause.into()),
        }
    }
}
