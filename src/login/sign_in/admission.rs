//! Who may sign in: what the application says of verified claims before a session exists.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::claims_error::{ClaimsError, fit};
use crate::error::{LoginError, LoginErrorKind as Kind};
use crate::login::audit::About;
use crate::login::sign_in::refusal::SignInRefusal;
use crate::login::sign_in::requirement::Requirement;
use crate::principal::Principal;

/// How long all hooks of a sign-in may take together.
const LONGEST: Duration = Duration::from_secs(10);

/// The longest text for a visitor, and the longest reason in the log, in characters.
const LONGEST_TEXT: usize = 1_000;

/// The verified claims of a user who is about to be signed in. Clones are cheap.
#[derive(Clone)]
pub struct SignInClaims(Arc<Claims>);

struct Claims {
    id_token: Principal,
    access_token: Option<Principal>,
    userinfo: Option<String>,
}

pub(crate) type Deciding = Pin<Box<dyn Future<Output = Result<(), SignInRefusal>> + Send>>;
pub(crate) type Hook = Arc<dyn Fn(SignInClaims) -> Deciding + Send + Sync>;

/// What a sign-in must meet.
#[derive(Clone, Default)]
pub(crate) struct Admission {
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) hooks: Vec<Hook>,
}

impl SignInClaims {
    pub(crate) fn new(
        id_token: Principal,
        access_token: Option<Principal>,
        userinfo: Option<String>,
    ) -> Self {
        Self(Arc::new(Claims {
            id_token,
            access_token,
            userinfo,
        }))
    }

    /// The provider: the `iss` of the ID token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.id_token.issuer().as_str()
    }

    /// The person: the `sub` of the ID token. Unique only together with [`issuer`](Self::issuer).
    #[must_use]
    pub fn subject(&self) -> &str {
        // An ID token without a subject is refused before.
        self.0.id_token.subject().unwrap_or_default()
    }

    /// The claims of the ID token, as a type of yours.
    ///
    /// # Errors
    /// [`ClaimsError`] if they do not fit the type.
    pub fn id_claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        self.0.id_token.claims()
    }

    /// The verified access token. `None` where this service does not verify access tokens.
    #[must_use]
    pub fn access_token(&self) -> Option<&Principal> {
        self.0.access_token.as_ref()
    }

    /// The claims of UserInfo, as a type of yours. `None` where UserInfo is not asked.
    ///
    /// # Errors
    /// [`ClaimsError`] if they do not fit the type.
    pub fn userinfo<T: DeserializeOwned>(&self) -> Result<Option<T>, ClaimsError> {
        self.0.userinfo.as_deref().map(fit).transpose()
    }
}

impl Admission {
    /// Whether a sign-in must meet anything.
    pub(crate) fn is_asked(&self) -> bool {
        !(self.requirements.is_empty() && self.hooks.is_empty())
    }

    /// Whether the user may sign in. Requirements come first: a hook sees only users who meet them.
    pub(crate) async fn check(&self, claims: &SignInClaims) -> Result<(), LoginError> {
        let sources = (&claims.0.id_token, claims.0.access_token.as_ref());
        for requirement in &self.requirements {
            requirement
                .check(sources.0, sources.1, claims.0.userinfo.as_deref())
                .map_err(|refusal| refused(claims, refusal))?;
        }
        if self.hooks.is_empty() {
            return Ok(());
        }
        let hooks = self.hooks.clone();
        let asked = claims.clone();
        // In a task of its own, so that a panic ends the task alone. It ends with the set: after its time, and with
        // a visitor who leaves.
        let mut deciding = JoinSet::new();
        deciding.spawn(async move {
            for hook in hooks {
                hook(asked.clone()).await?;
            }
            Ok(())
        });
        match tokio::time::timeout(LONGEST, deciding.join_next()).await {
            Ok(Some(Ok(decision))) => decision.map_err(|refusal| refused(claims, refusal)),
            Ok(_) => Err(undecided(claims, "the hook panicked")),
            Err(_) => Err(undecided(claims, "the hook took longer than ten seconds")),
        }
    }
}

fn refused(claims: &SignInClaims, refusal: SignInRefusal) -> LoginError {
    let Some(text) = refusal.text else {
        return undecided(claims, &refusal.reason.unwrap_or_default());
    };
    let text = cut(&text);
    let reason = refusal.reason.as_deref().map_or(text.clone(), cut);
    let (issuer, subject) = (claims.issuer(), claims.subject());
    tracing::info!(
        issuer,
        subject,
        ?reason,
        "a sign-in was refused by this application; no session was made"
    );
    let error = LoginError::sign_in_refused(&text);
    About::user(issuer, subject).not_signed_in(&error);
    error
}

fn undecided(claims: &SignInClaims, reason: &str) -> LoginError {
    let (issuer, subject, reason) = (claims.issuer(), claims.subject(), cut(reason));
    tracing::error!(
        issuer,
        subject,
        ?reason,
        "it could not be decided whether a user may sign in; no session was made"
    );
    let error = LoginError::from(Kind::SignInUndecided);
    About::user(issuer, subject).not_signed_in(&error);
    error
}

/// A text without control characters, cut off.
fn cut(text: &str) -> String {
    let characters = text.trim().chars().take(LONGEST_TEXT);
    let plain = characters.map(|character| match character {
        '\n' => '\n',
        control if control.is_control() => ' ',
        other => other,
    });
    plain.collect()
}

impl fmt::Debug for SignInClaims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SignInClaims")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .finish_non_exhaustive()
    }
}
