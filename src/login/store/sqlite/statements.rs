//! The statements. Each is one atomic step: SQLite takes the lock for writing before it looks at a row, as with
//! `BEGIN IMMEDIATE`, and commits when the last row has been read. No transaction is left open by a caller who leaves.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::login::store::sql::TablePrefix;

/// Filled with the names of the tables.
pub(super) struct Statements {
    pub(super) version: SqlStr,
    pub(super) create: SqlStr,
    pub(super) load: SqlStr,
    pub(super) swap: SqlStr,
    pub(super) delete: SqlStr,
    pub(super) of_subject: SqlStr,
    pub(super) of_session: SqlStr,
    pub(super) sweep: SqlStr,
}

/// A record that is there already and has another tag stays, and no row is returned.
const CREATE: &str = "
INSERT INTO {prefix}_sessions AS there (key, tag, bytes, expires_at, subject, provider_session)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (key) DO UPDATE SET
    tag = excluded.tag, bytes = excluded.bytes, expires_at = excluded.expires_at,
    subject = excluded.subject, provider_session = excluded.provider_session
WHERE there.tag = excluded.tag OR there.expires_at <= ?7
RETURNING 1";

const LOAD: &str = "
SELECT bytes, tag, expires_at, ?2 AS now FROM {prefix}_sessions WHERE key = ?1 AND expires_at > ?2";

const SWAP: &str = "
UPDATE {prefix}_sessions SET tag = ?3, bytes = ?4, expires_at = ?5
WHERE key = ?1 AND tag = ?2 AND expires_at > ?6
RETURNING 1";

const DELETE: &str =
    "DELETE FROM {prefix}_sessions WHERE key = ?1 RETURNING bytes, tag, expires_at";

const FIND: &str = "SELECT key FROM {prefix}_sessions WHERE {column} = ?1";

const SWEEP: &str = "
DELETE FROM {prefix}_sessions WHERE key IN (
    SELECT key FROM {prefix}_sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2
) RETURNING 1";

impl Statements {
    pub(super) fn of(prefix: &TablePrefix) -> Self {
        let fill = |statement: &str| {
            // Nothing is filled in but the prefix, which is checked.
            let statement: Arc<str> = prefix.fill(statement).into();
            AssertSqlSafe(statement).into_sql_str()
        };
        Self {
            version: fill("SELECT max(version) AS version FROM {prefix}_schema"),
            create: fill(CREATE),
            load: fill(LOAD),
            swap: fill(SWAP),
            delete: fill(DELETE),
            of_subject: fill(&FIND.replace("{column}", "subject")),
            of_session: fill(&FIND.replace("{column}", "provider_session")),
            sweep: fill(SWEEP),
        }
    }
}
