//! A statement with its values, and how it goes out.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, Error, PgConnection, Postgres, Row as _, SqlStr};

use super::deadline::Deadline;
use super::failure::{After, after};
use super::loads::Departure;
use super::pooler::Pooler;
use crate::login::store::PATIENCE;

/// How long a connection may take to show that it can be used again.
const RETURN: Duration = Duration::from_secs(1);

/// A statement and its values.
#[derive(Clone)]
pub(super) struct Question {
    statement: SqlStr,
    values: Vec<Value>,
    pub(super) writes: bool,
    /// Left when the statement begins.
    pub(super) departure: Option<Arc<Departure>>,
}

/// What stands in the place of `$1` and so on.
#[derive(Clone)]
pub(super) enum Value {
    Bytes(Option<Arc<[u8]>>),
    Number(i64),
    Text(String),
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Some(bytes.into()))
    }
}

impl From<Option<&[u8]>> for Value {
    fn from(bytes: Option<&[u8]>) -> Self {
        Self::Bytes(bytes.map(Into::into))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Value {
    /// No quotes and no backslashes but those around the digits, whatever it holds.
    fn write_to(&self, text: &mut String) -> std::fmt::Result {
        let digits = |text: &mut String, bytes: &[u8]| {
            text.push_str("decode('");
            for byte in bytes {
                write!(text, "{byte:02x}")?;
            }
            text.push_str("', 'hex')");
            Ok(())
        };
        match self {
            Self::Bytes(None) => write!(text, "NULL::bytea"),
            Self::Bytes(Some(bytes)) => digits(text, bytes),
            Self::Number(number) => write!(text, "({number})::bigint"),
            Self::Text(characters) => {
                text.push_str("convert_from(");
                digits(text, characters.as_bytes())?;
                write!(text, ", 'UTF8')")
            }
        }
    }
}

impl Question {
    /// A statement that changes nothing.
    pub(super) fn reading(statement: &SqlStr) -> Self {
        Self {
            writes: false,
            ..Self::new(statement)
        }
    }

    pub(super) fn new(statement: &SqlStr) -> Self {
        Self {
            statement: statement.clone(),
            values: Vec::new(),
            writes: true,
            departure: None,
        }
    }

    pub(super) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(super) fn with_departure(mut self, departure: Departure) -> Self {
        self.departure = Some(Arc::new(departure));
        self
    }

    /// Asks once. Every question here can be repeated: where its answer was lost, its tag tells.
    pub(super) async fn put_to(
        self,
        mut connection: PoolConnection<Postgres>,
        deadline: Deadline,
        pooler: Arc<Pooler>,
    ) -> Result<Vec<PgRow>, Error> {
        let answered = deadline
            .bound(self.answered(&mut connection, &pooler))
            .await;
        let Ok(answered) = answered else {
            // What it would say next belongs to this statement.
            drop(connection.detach());
            return Err(Error::Io(std::io::ErrorKind::TimedOut.into()));
        };
        if let Err(error) = &answered {
            pooler.told(error);
        }
        let is_standby = answered.as_ref().is_ok_and(|rows| is_of_standby(rows));
        let is_broken = answered
            .as_ref()
            .is_err_and(|error| after(error) == After::Reconnect);
        if is_broken || is_standby {
            drop(connection.detach());
        } else {
            tokio::spawn(given_back(connection));
        }
        answered
    }
}

impl Question {
    async fn answered(
        self,
        connection: &mut PgConnection,
        pooler: &Pooler,
    ) -> Result<Vec<PgRow>, Error> {
        // A connection of the application's.
        if pooler.is_unknown() {
            pooler.look(connection).await?;
        }
        if pooler.may_prepare() {
            let arguments = arguments(&self.values)?;
            let question = sqlx::query_with(self.statement, arguments);
            return question.fetch_all(connection).await;
        }
        // Nothing is filled in but digits.
        let text = AssertSqlSafe(whole(self.statement.as_str(), &self.values));
        sqlx::raw_sql(text).fetch_all(connection).await
    }
}

/// # Errors
/// [`Error::Encode`] if one is larger than PostgreSQL takes.
fn arguments(values: &[Value]) -> Result<PgArguments, Error> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Bytes(bytes) => arguments.add(bytes.as_deref()),
            Value::Number(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
        };
        added.map_err(Error::Encode)?;
    }
    Ok(arguments)
}

/// The statement with its values in it, and with what a connection of the store's own has as its settings.
fn whole(statement: &str, values: &[Value]) -> String {
    let limit = PATIENCE.as_millis();
    let mut text = format!("SET LOCAL statement_timeout = {limit}; SET LOCAL bytea_output = hex; ");
    let mut pieces = statement.split('$');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = piece
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(piece.len());
        let (number, rest) = piece.split_at(end);
        let number: usize = number.parse().unwrap_or_default();
        let value = number.checked_sub(1).and_then(|at| values.get(at));
        // Text takes whatever is written to it.
        let _ = value.map(|value| value.write_to(&mut text));
        text.push_str(rest);
    }
    text
}

/// Whether the answer says that it comes from a server that follows another one.
pub(super) fn is_of_standby(rows: &[PgRow]) -> bool {
    let first = rows.first();
    first.is_some_and(|row| row.try_get("is_standby").unwrap_or(false))
}

/// sqlx asks a connection that is given back for a sign of life, and would wait for ever for it.
async fn given_back(mut connection: PoolConnection<Postgres>) {
    let _ = tokio::time::timeout(RETURN, connection.return_to_pool()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    // D31
    #[test]
    fn values_in_a_whole_statement_are_digits_and_end_no_text() {
        let values = [
            Value::from(&b"\0'\\\xff"[..]),
            Value::from(None::<&[u8]>),
            Value::from(-7),
            Value::from("'; DROP TABLE x; --\\".to_owned()),
        ];
        let text = whole("SELECT $1, $2, $3, $4 $1", &values);
        let (settings, statement) = text.split_once("SELECT ").expect("the statement");
        assert_eq!(
            settings,
            "SET LOCAL statement_timeout = 2000; SET LOCAL bytea_output = hex; "
        );
        assert_eq!(
            statement,
            "decode('00275cff', 'hex'), NULL::bytea, (-7)::bigint, \
             convert_from(decode('273b2044524f50205441424c4520783b202d2d5c', 'hex'), 'UTF8') decode('00275cff', 'hex')"
        );
    }
}
