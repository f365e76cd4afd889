//! Assertions that others make for this client
//! ([RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)): the platform, in a file, or a function of
//! the application.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::UnixTime;
use crate::error::{ConfigError, ProviderError, ProviderErrorKind};
use crate::http_client::BoxFuture;
use crate::jwt::{CompactJws, Json, UnverifiedClaims};
use crate::provider::client::kept_file::{KeptFile, Problem};
use crate::secret::Secret;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An assertion that a function of the application returns: a JWT that proves who this client is.
///
/// It does not print, and is wiped when it is dropped.
#[derive(Clone)]
pub struct ClientAssertion(Secret);

impl ClientAssertion {
    /// The JWT in its compact form.
    pub fn new(jwt: impl Into<String>) -> Self {
        Self(Secret::new(jwt))
    }
}

impl fmt::Debug for ClientAssertion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientAssertion(redacted)")
    }
}

/// An assertion and when it ends.
pub(super) struct Assertion {
    text: Secret,
    expires_at: UnixTime,
}

impl Assertion {
    /// Reads when it ends. Nothing else of it is judged here: that is for the provider.
    fn parse(text: &Secret) -> Result<Self, &'static str> {
        const NO_JWT: &str = "it is not a JWT of three parts";
        let text = text.expose().trim();
        let decoded = CompactJws::split(text.as_bytes())
            .and_then(|parts| parts.decode())
            .map_err(|_| NO_JWT)?;
        let claims = UnverifiedClaims::parse(decoded.payload()).map_err(|_| NO_JWT)?;
        let expires_at = match claims.exp {
            Json::Unsigned(seconds) => i64::try_from(seconds).unwrap_or(i64::MAX),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the cast saturates, and a fraction of a second is dropped on purpose"
            )]
            Json::Float(seconds) => seconds as i64,
            // RFC 7523 §3: an assertion must expire. A token that does not is for another purpose.
            _ => return Err("it has no exp, so it is no assertion"),
        };
        Ok(Self {
            text: Secret::new(text),
            expires_at: UnixTime::from_seconds(expires_at),
        })
    }

    fn check(&self, now: UnixTime) -> Result<(), &'static str> {
        if self.expires_at > now {
            Ok(())
        } else {
            Err("it has expired")
        }
    }

    pub(super) fn text(&self) -> &Secret {
        &self.text
    }
}

/// Where assertions come from.
#[derive(Clone)]
pub(super) enum AssertionOrigin {
    File(KeptFile<Assertion>),
    Function(Arc<Function>),
}

type Function = dyn Fn() -> BoxFuture<Result<ClientAssertion, BoxError>> + Send + Sync;

/// The function of the application is waited for no longer than this.
const LONGEST_CALL: Duration = Duration::from_secs(4);

impl AssertionOrigin {
    /// A file that holds none yet is logged, because the program beside this one that writes it may start later.
    pub(super) fn file(setting: &'static str, path: &Path) -> Result<Self, ConfigError> {
        const REMEDY: &str =
            "set it to the path of a file in which the platform puts a JWT for this client";
        let file = KeptFile::new(setting, path, Assertion::parse);
        if let Err(problem) = file.read_now() {
            let is_to_come = match problem {
                Problem::Missing => path
                    .parent()
                    .is_some_and(|folder| folder.as_os_str().is_empty() || folder.is_dir()),
                Problem::Empty | Problem::Unusable(_) | Problem::Slow => true,
                Problem::NotAFile | Problem::TooLarge | Problem::Unreadable(_) => false,
            };
            if !is_to_come {
                return Err(file.refuse(&problem, REMEDY));
            }
            file.tell(&problem, false);
        }
        Ok(Self::File(file))
    }

    pub(super) fn function<F, Fut, E>(function: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ClientAssertion, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::Function(Arc::new(move || {
            let answer = function();
            Box::pin(async move { answer.await.map_err(Into::into) })
        }))
    }

    /// An assertion that has not expired.
    pub(super) async fn current(&self, now: UnixTime) -> Result<Arc<Assertion>, ProviderError> {
        match self {
            Self::File(file) => file.current(|assertion| assertion.check(now)).await,
            Self::Function(function) => {
                let text = call(function).await?;
                let checked = Assertion::parse(&text.0)
                    .and_then(|assertion| assertion.check(now).map(|()| assertion));
                checked.map(Arc::new).map_err(|problem| {
                    failed(format!(
                        "the function for the client's assertion returned what cannot be used: {problem}"
                    ))
                })
            }
        }
    }
}

async fn call(function: &Arc<Function>) -> Result<ClientAssertion, ProviderError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(failed(
            "the function for the client's assertion needs a tokio runtime".to_owned(),
        ));
    }
    let function = Arc::clone(function);
    // In a task of its own, so that a panic ends the task alone. It ends with the set, after its time.
    let mut asking = JoinSet::new();
    asking.spawn(async move { function().await });
    match tokio::time::timeout(LONGEST_CALL, asking.join_next()).await {
        Ok(Some(Ok(Ok(assertion)))) => Ok(assertion),
        Ok(Some(Ok(Err(error)))) => Err(ProviderError::caused(
            ProviderErrorKind::NoCredential,
            "the function for the client's assertion failed",
            error,
        )),
        Ok(_) => Err(failed(
            "the function for the client's assertion panicked".to_owned(),
        )),
        Err(_) => Err(failed(format!(
            "the function for the client's assertion took longer than {} seconds",
            LONGEST_CALL.as_secs()
        ))),
    }
}

fn failed(message: String) -> ProviderError {
    ProviderError::new(ProviderErrorKind::NoCredential, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn jwt(claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", encode(r#"{"alg":"RS256"}"#), encode(claims))
    }

    // CA-02
    #[tokio::test(start_paused = true)]
    async fn a_function_that_fails_panics_or_hangs_is_unavailable() {
        let now = UnixTime::from_seconds(1_000);
        let returning = |text: &str| {
            let text = text.to_owned();
            AssertionOrigin::function(move || {
                let text = text.clone();
                async { Ok::<_, BoxError>(ClientAssertion::new(text)) }
            })
        };
        let good = jwt(r#"{"exp":1001}"#);
        let current = returning(&good)
            .current(now)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(current.text().expose(), good);
        let failing = || async { Err::<ClientAssertion, BoxError>("no metadata server".into()) };
        let panicking = || async {
            assert!(std::hint::black_box(false), "a fault of the application");
            Ok::<_, BoxError>(ClientAssertion::new(""))
        };
        let hanging = || std::future::pending::<Result<ClientAssertion, BoxError>>();
        for (origin, part) in [
            (AssertionOrigin::function(failing), "failed"),
            (AssertionOrigin::function(panicking), "panicked"),
            (AssertionOrigin::function(hanging), "longer than 4 seconds"),
            (returning(""), "three parts"),
            (returning(&jwt(r#"{"exp":1000}"#)), "expired"),
        ] {
            let error = origin.current(now).await.err().unwrap();
            assert_eq!(error.kind(), ProviderErrorKind::NoCredential, "{part}");
            assert!(error.to_string().contains(part), "{error}");
        }
        let shown = format!("{:?}", ClientAssertion::new("hunter2"));
        assert!(!shown.contains("hunter2"));
    }

    // CA-01
    #[test]
    fn an_assertion_is_a_whole_jwt_that_ends() {
        let parse = |text: &str| Assertion::parse(&Secret::new(text));
        let now = UnixTime::from_seconds(1_000);
        let whole = jwt(r#"{"exp":1001}"#);
        let assertion = parse(&format!("{whole}\n")).ok().unwrap();
        assert_eq!(assertion.text().expose(), whole);
        assert_eq!(assertion.check(now), Ok(()));
        assert!(
            assertion
                .check(now.saturating_add(Duration::from_secs(1)))
                .is_err()
        );
        for (text, problem) in [
            (&whole[..whole.rfind('.').unwrap()], "three parts"),
            (&whole[..whole.len() / 2], "three parts"),
            (&format!("{whole}.x"), "three parts"),
            (&format!("{whole} {whole}"), "three parts"),
            ("{\"access_token\":\"x\"}", "three parts"),
            ("a.b.c", "three parts"),
            (&jwt("{}"), "no exp"),
            (&jwt(r#"{"exp":"soon"}"#), "no exp"),
        ] {
            let found = parse(text).err().unwrap();
            assert!(found.contains(problem), "{text}: {found}");
        }
    }
}
