//! The statements. Each is one atomic step and one round trip.
//!
//! They hold at the isolation `READ COMMITTED`, where a statement sees what was committed before it began, but locks
//! and changes a row as it is now. So a swap first locks its row, and judges what it then has in hand: a swap that
//! waited for another one sees what that one wrote.
//!
//! The server's clock is read after the lock, and is not that of the transaction, which stands still.

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
    pub(super) notify: SqlStr,
}

/// The time by the server's clock, in whole seconds that have passed.
const NOW: &str = "floor(extract(epoch FROM clock_timestamp()))::bigint";

/// A record that is there already and has another tag stays, and no row is returned.
const CREATE: &str = "
INSERT INTO {prefix}_sessions AS there (key, tag, bytes, expires_at, subject, provider_session)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO UPDATE SET
    tag = excluded.tag, bytes = excluded.bytes, expires_at = excluded.expires_at,
    subject = excluded.subject, provider_session = excluded.provider_session
WHERE there.tag = excluded.tag OR there.expires_at <= {now}
RETURNING {now} AS now";

/// Always one row. A server that follows another one may be behind it, so it says what it is.
const LOAD: &str = "
WITH moment AS MATERIALIZED (SELECT {now} AS now, pg_is_in_recovery() AS is_standby)
SELECT moment.now, moment.is_standby, session.bytes, session.tag, session.expires_at
FROM moment LEFT JOIN {prefix}_sessions AS session ON session.key = $1 AND moment.now < session.expires_at";

const SWAP: &str = "
WITH locked AS MATERIALIZED (
    SELECT bytes, tag, expires_at FROM {prefix}_sessions WHERE key = $1 FOR UPDATE
), there AS MATERIALIZED (
    SELECT locked.*, {now} AS now FROM locked
), swapped AS (
    UPDATE {prefix}_sessions AS session SET tag = $3, bytes = $4, expires_at = $5 FROM there
    WHERE session.key = $1 AND there.tag = $2 AND there.now < there.expires_at
    RETURNING session.key
)
SELECT there.now, there.tag, there.expires_at,
    CASE WHEN swapped.key IS NULL THEN there.bytes END AS bytes,
    CASE WHEN swapped.key IS NOT NULL THEN pg_notify($6, $7) END
FROM there LEFT JOIN swapped ON true
WHERE there.now < there.expires_at";

const DELETE: &str = "
WITH gone AS (DELETE FROM {prefix}_sessions WHERE key = $1 RETURNING bytes, tag, expires_at)
SELECT {now} AS now, gone.bytes, gone.tag, gone.expires_at, pg_notify($2, $3) FROM gone";

/// Always one row or more.
const FIND: &str = "
WITH moment AS MATERIALIZED (SELECT {now} AS now, pg_is_in_recovery() AS is_standby)
SELECT moment.is_standby, session.key
FROM moment LEFT JOIN {prefix}_sessions AS session ON session.{column} = $1 AND moment.now < session.expires_at";

/// Rows that another replica is dropping, or that a sign-in is replacing, are left to it.
const SWEEP: &str = "
WITH expired AS MATERIALIZED (
    SELECT key FROM {prefix}_sessions WHERE expires_at <= (SELECT {now})
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {prefix}_sessions AS session USING expired WHERE session.key = expired.key RETURNING 1
)
SELECT count(*) AS rows FROM gone";

impl Statements {
    pub(super) fn of(prefix: &TablePrefix) -> Self {
        let fill = |statement: &str| {
            let statement = prefix.fill(&statement.replace("{now}", NOW));
            // Nothing is filled in but the prefix, which is checked.
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
            notify: fill("SELECT pg_notify($1, $2)"),
        }
    }
}
