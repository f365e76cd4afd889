//! Whether the server itself is at the other end, or a pooler such as PgBouncer.
//!
//! A pooler may run each statement of a client on another connection to the server, so nothing that belongs to a
//! connection can be relied on: prepared statements, settings, channels. The names that sqlx gives to prepared
//! statements (`sqlx_s_1`) are then those of another client's statements. So statements are prepared only where the
//! server itself is known to be at the other end. Elsewhere they go out whole, with their values and their settings.

use std::sync::atomic::{AtomicU8, Ordering};

use sqlx::{Error, PgConnection, Row as _};

use super::failure::code;

const UNKNOWN: u8 = 0;
const SERVER: u8 = 1;
const POOLER: u8 = 2;

/// The server itself takes these from the beginning of a connection. A pooler refuses or ignores them, or passes them
/// on by `SET`.
const QUESTION: &str = "SELECT count(*) FROM pg_settings \
     WHERE name IN ('statement_timeout', 'extra_float_digits') AND source = 'client'";

/// What is known about the other end. A pooler that was seen once is assumed from then on.
#[derive(Debug, Default)]
pub(super) struct Pooler {
    seen: AtomicU8,
    /// Whether the address has `options`, which poolers ignore.
    has_options: bool,
}

impl Pooler {
    pub(super) fn new(has_options: bool) -> Self {
        Self {
            seen: AtomicU8::new(UNKNOWN),
            has_options,
        }
    }

    pub(super) fn may_prepare(&self) -> bool {
        self.seen.load(Ordering::Acquire) == SERVER
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.seen.load(Ordering::Acquire) == UNKNOWN
    }

    /// Asks at the other end of this connection. Where the answer fails to come, nothing more is known.
    pub(super) async fn look(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let row = sqlx::raw_sql(QUESTION).fetch_one(connection).await?;
        if row.try_get::<i64, _>(0)? > 0 {
            let _ =
                self.seen
                    .compare_exchange(UNKNOWN, SERVER, Ordering::AcqRel, Ordering::Acquire);
        } else {
            self.is_there();
        }
        Ok(())
    }

    /// A prepared statement was not there or another client's, or the protocol was not kept: the server itself never says so.
    pub(super) fn told(&self, error: &Error) {
        if matches!(code(error).as_deref(), Some("26000" | "42P05" | "08P01")) {
            self.is_there();
        }
    }

    pub(super) fn is_there(&self) {
        if self.seen.swap(POOLER, Ordering::AcqRel) == POOLER {
            return;
        }
        tracing::info!("PostgreSQL is reached through a pooler: statements are not prepared");
        if self.has_options {
            tracing::warn!(
                "the pooler in front of PostgreSQL may ignore the options in DATABASE_URL: give them to the user \
                 instead, with ALTER ROLE and SET"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D31
    #[test]
    fn statements_are_prepared_only_while_no_pooler_was_seen() {
        let pooler = Pooler::new(false);
        assert!(pooler.is_unknown() && !pooler.may_prepare());
        pooler.seen.store(SERVER, Ordering::Release);
        pooler.told(&Error::PoolTimedOut);
        assert!(pooler.may_prepare());
        pooler.is_there();
        assert!(!pooler.may_prepare() && !pooler.is_unknown());
    }
}
