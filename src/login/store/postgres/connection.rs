//! Connections of the store's own, and what may stand in their address.

use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool};
use tokio::runtime::Handle;

use super::pooler::Pooler;
use crate::clock::SharedClock;
use crate::error::ConfigError;
use crate::login::store::PATIENCE;
use crate::settings::DATABASE;

/// Connections at most, beside the one that listens.
const MOST: u32 = 10;

/// A connection that was not used for so long is asked whether it is there before it is used.
const DOUBTFUL: Duration = Duration::from_secs(30);

/// How long it may take to answer that.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

/// When an answer last failed to come. Connections that have not been used since are asked too.
#[derive(Debug)]
pub(super) struct Doubt {
    clock: SharedClock,
    began: Mutex<Option<Duration>>,
}

impl Doubt {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            began: Mutex::default(),
        }
    }

    pub(super) fn begin(&self) {
        let now = self.clock.monotonic();
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn is_about(&self, idle_for: Duration) -> bool {
        let began = *self.began.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |began| self.clock.monotonic().saturating_sub(began);
        idle_for >= DOUBTFUL || began.is_some_and(|began| since(began) < idle_for)
    }
}

/// sqlx ignores a parameter that it does not know, so that a misspelt `sslmode` would turn TLS off.
const PARAMETERS: [&str; 13] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "ssl-mode",
];

/// How connections to an address begin.
pub(super) struct Address {
    pub(super) usual: PgConnectOptions,
    /// With the `options` of the address alone, which poolers refuse or ignore.
    pub(super) plain: PgConnectOptions,
}

impl Address {
    /// The settings in this address, which this setting of a builder has.
    pub(super) fn parse(url: &str, setting: &'static str) -> Result<Self, ConfigError> {
        let invalid = |problem| invalid(setting, problem);
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        if !["postgres", "postgresql"].contains(&scheme) {
            return Err(invalid("it is not an address of PostgreSQL"));
        }
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap_or_default();
            if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
                return Err(invalid("it has a parameter that has no effect here"));
            }
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| invalid("it is not an address of PostgreSQL"))?;
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("tower-oidc"),
        };
        let plain = options
            // A pooler in between may not know it.
            .extra_float_digits(None)
            .disable_statement_logging();
        let limit = PATIENCE.as_millis();
        // A statement that no caller waits for any more ends by itself.
        let usual = plain.clone().options([
            ("statement_timeout", limit.to_string()),
            ("idle_in_transaction_session_timeout", limit.to_string()),
        ]);
        Ok(Self { usual, plain })
    }

    pub(super) fn has_options(&self) -> bool {
        self.plain.get_options().is_some()
    }
}

fn invalid(setting: &'static str, problem: &'static str) -> ConfigError {
    ConfigError::invalid(
        setting,
        "(redacted)",
        problem,
        format!(
            "write postgres://user:password@host:5432/database, with %40 for an @ in the password; the parameters \
             are {}",
            PARAMETERS[..12].join(", ")
        ),
    )
}

/// A pool that connects when it is asked first.
///
/// # Errors
/// Without a tokio runtime.
pub(super) fn pool(
    options: PgConnectOptions,
    doubt: Arc<Doubt>,
    pooler: Arc<Pooler>,
) -> Result<PgPool, ConfigError> {
    Handle::try_current().map_err(|_| {
        ConfigError::invalid(
            DATABASE,
            "(redacted)",
            "there is no tokio runtime to connect from",
            "build the store within one",
        )
    })?;
    let pool = PgPoolOptions::new()
        .max_connections(MOST)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let pooler = Arc::clone(&pooler);
            Box::pin(async move {
                // One that is broken is found out by the statement that comes next.
                let _ = pooler.look(connection).await;
                Ok(())
            })
        })
        .before_acquire(move |connection, known| {
            let is_doubtful = doubt.is_about(known.idle_for);
            Box::pin(async move {
                if !is_doubtful {
                    return Ok(true);
                }
                let answered = tokio::time::timeout(SIGN_OF_LIFE, connection.ping()).await;
                Ok(matches!(answered, Ok(Ok(()))))
            })
        });
    Ok(pool.connect_lazy_with(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Result<PgConnectOptions, ConfigError> {
        Address::parse(url, DATABASE).map(|address| address.usual)
    }

    // D31
    #[test]
    fn an_address_is_checked_and_never_repeated() {
        for good in [
            "postgres://web:hunter2@db.example/site",
            "postgresql://db.example:6432",
            "postgres://web@db.example/site?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgres:///site?host=/run/postgresql&options[search_path]=auth",
        ] {
            let options = options(good).expect(good);
            let told = options.get_options().unwrap_or_default();
            assert!(told.contains("statement_timeout=2000"), "{told}");
            assert_eq!(options.get_application_name(), Some("tower-oidc"));
        }
        for bad in [
            "",
            "hunter2",
            "mysql://web:hunter2@db.example/site",
            "postgres:web:hunter2@db.example",
            "postgres://web:hunter2@db.example/site?sslmod=verify-full",
            "postgres://web:hunter2@db.example/site?sslmode=hunter2",
            "postgres://web:hunter2@db.example:port/site",
            "postgres://web:hunter2@db.example/site?statement-cache-capacity=0",
        ] {
            let error = options(bad).expect_err(bad);
            let shown = format!("{error}{error:?}");
            assert!(shown.contains("postgres://user:password@host"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    // D31
    #[test]
    fn what_poolers_refuse_can_be_left_out_unless_the_address_asks_for_it() {
        let parsed = |url| Address::parse(url, DATABASE).expect("an address");
        let address = parsed("postgres://db.example");
        assert!(!address.has_options());
        assert_eq!(address.plain.get_options(), None);
        assert_eq!(address.plain.get_application_name(), Some("tower-oidc"));
        let address = parsed("postgres://db.example/?options[search_path]=auth");
        assert!(address.has_options());
        assert_eq!(address.plain.get_options(), Some("-c search_path=auth"));
    }

    #[test]
    fn a_name_that_the_operator_gave_a_connection_stays() {
        let options = options("postgres://db?application_name=shop").expect("an address");
        assert_eq!(options.get_application_name(), Some("shop"));
    }

    #[test]
    fn connections_not_used_since_an_answer_failed_to_come_are_doubted() {
        let doubt = Doubt::new(SharedClock::system());
        assert!(!doubt.is_about(Duration::from_secs(29)));
        assert!(doubt.is_about(Duration::from_secs(30)));
        doubt.begin();
        assert!(doubt.is_about(Duration::from_secs(1)), "used before");
        assert!(!doubt.is_about(Duration::ZERO), "used since");
    }

    #[test]
    fn without_a_runtime_there_is_an_error_instead_of_a_panic() {
        let options = options("postgres://db.example").expect("an address");
        let doubt = Arc::new(Doubt::new(SharedClock::system()));
        let error = pool(options, doubt, Arc::default()).expect_err("no runtime");
        assert!(error.to_string().contains("runtime"), "{error}");
    }
}
