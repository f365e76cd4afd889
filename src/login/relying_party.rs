//! What every service of one layer shares: our role as a relying party
//! ([OpenID Connect Core §1.2](https://openid.net/specs/openid-connect-core-1_0.html#Terminology)).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use url::Url;

use crate::clock::UnixTime;
use crate::error::{LoginError, LoginErrorKind as Kind, VerifyError, VerifyErrorKind};
use crate::login::browser::cookie::CookieNames;
use crate::login::browser::site::Site;
use crate::login::sessions::due::{Due, due};
use crate::login::sessions::id::StoreKey;
use crate::login::sessions::opened::{Opened, OpenedSessions};
use crate::login::sessions::record::{EndReason, Record, RefreshState};
#[cfg(feature = "outbound")]
use crate::login::sessions::relayed::SessionTokens;
use crate::login::sessions::renewals::{Flights, Outcome};
use crate::login::sessions::seal::{KeyRing, Sealing};
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::{SessionStore, Stored};
use crate::provider::{Client, Provider};
use crate::verify::Verifier;
use crate::verify::id_token::IdTokenVerifier;
use crate::verify::logout_token::LogoutTokenVerifier;

/// One layer's configuration, and what its services share.
pub(crate) struct RelyingParty {
    pub(crate) provider: Provider,
    pub(crate) client: Client,
    pub(crate) verifier: Verifier,
    pub(crate) id_tokens: IdTokenVerifier,
    pub(crate) logout_tokens: LogoutTokenVerifier,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) keys: KeyRing,
    /// Issuer and client: what is sealed here opens for no other, though it had the same keys.
    pub(crate) binding: StoreKey,
    pub(crate) site: Site,
    pub(crate) cookies: CookieNames,
    pub(crate) request: AuthorizationRequest,
    pub(crate) refresh: RefreshRequest,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) offline: OfflineAccess,
    pub(crate) with_userinfo: bool,
    pub(crate) sign_out: SignOut,
    pub(crate) anonymous: bool,
    pub(crate) flights: Flights,
    pub(crate) grants: Semaphore,
    pub(crate) opened: OpenedSessions,
}

/// What is asked of the provider when somebody signs in.
#[derive(Debug, Clone)]
pub(crate) struct AuthorizationRequest {
    pub(crate) scope: String,
    pub(crate) audience: Option<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) passed_through: Vec<PassedParameter>,
}

/// What is asked of the provider when tokens are renewed.
#[derive(Debug, Clone)]
pub(crate) struct RefreshRequest {
    pub(crate) sends_scope: bool,
    pub(crate) audience: Option<String>,
    pub(crate) resources: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) idle: Duration,
    pub(crate) absolute: Duration,
}

/// What becomes of a sign-in that brings no refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfflineAccess {
    Required,
    MayBeShort,
}

#[derive(Debug, Clone)]
pub(crate) struct SignOut {
    pub(crate) at_provider: bool,
    pub(crate) back_to: Url,
    /// Its path, where it lies on this site.
    pub(crate) path_back: Option<String>,
    pub(crate) frontchannel: bool,
    pub(crate) revokes_offline_access: bool,
}

/// A parameter of the authorization request that whoever starts a sign-in may choose
/// ([OpenID Connect Core §3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassedParameter {
    /// `prompt`: whether the provider asks again.
    Prompt,
    /// `login_hint`: who is about to sign in.
    LoginHint,
    /// `acr_values`: how strongly. The ID token must then have one of them as `acr`.
    AcrValues,
    /// `max_age`: how long ago at the most, in seconds. The ID token's `auth_time` must then fit.
    MaxAge,
}

impl PassedParameter {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::LoginHint => "login_hint",
            Self::AcrValues => "acr_values",
            Self::MaxAge => "max_age",
        }
    }
}

/// How a session stands when it is asked for.
pub(crate) enum Standing {
    /// Its access token is live and verified.
    Live(Arc<Opened>),
    /// There is none, or it is over.
    Over(Option<EndReason>),
    /// It cannot be told, or helped by signing in again.
    Failed(LoginError),
}

/// How a record stands by itself.
enum Judged {
    Stands(Standing),
    /// The tokens of this generation are to be renewed first. Live ones are used if that fails.
    Due {
        generation: u64,
        live: Option<Arc<Opened>>,
    },
}

impl From<Standing> for Judged {
    fn from(standing: Standing) -> Self {
        Self::Stands(standing)
    }
}

/// How often the tokens may turn out old right after they were renewed, for one request.
const MOST_ROTATIONS: u8 = 3;

/// How fresh a token must be for its refusal not to be its age's fault.
const FRESH: Duration = Duration::from_secs(30);

/// A token that has expired so soon says that the clocks differ.
const JUST_OBTAINED: Duration = Duration::from_secs(5);

impl RelyingParty {
    /// How the session stands, its tokens renewed where that is due. With `newer_than`, the tokens
    /// of that generation will not do.
    pub(crate) async fn standing(
        self: &Arc<Self>,
        key: StoreKey,
        newer_than: Option<u64>,
    ) -> Standing {
        let stored = match self.store.load(key).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Standing::Over(None),
            Err(error) => return Standing::Failed(LoginError::store(error)),
        };
        match self.judge(key, &stored, newer_than).await {
            Judged::Stands(standing) => standing,
            // Seldom, and large: not a part of the future that every request brings.
            Judged::Due { generation, live } => {
                Box::pin(self.after_rotation(key, newer_than, generation, live)).await
            }
        }
    }

    /// What a record comes to, or which tokens are to be renewed first.
    async fn judge(
        self: &Arc<Self>,
        key: StoreKey,
        stored: &Stored<()>,
        newer_than: Option<u64>,
    ) -> Judged {
        let Stored { record, now, .. } = stored;
        let now = *now;
        if let RefreshState::Dead(reason) = record.state {
            return Standing::Over(Some(reason)).into();
        }
        let opened = self.open(key, record).await;
        let can_refresh = match &opened {
            Ok(opened) => opened.tokens.refresh_token.is_some(),
            Err(Unopened::Sealed) => return Standing::Over(None).into(),
            Err(Unopened::Refused { tokens, error }) => {
                if let Some(failed) = beyond_refresh(tokens, error, now) {
                    return Standing::Failed(failed).into();
                }
                tokens.refresh_token.is_some()
            }
        };
        let is_rejected = newer_than.is_some_and(|generation| record.generation <= generation);
        let need = match &opened {
            Ok(_) if is_rejected => Due::First,
            Ok(opened) => due(
                now,
                opened.tokens.obtained_at(),
                record.access_expires_at,
                key.as_bytes()[0],
            ),
            Err(_) => Due::First,
        };
        let is_live = now < record.access_expires_at && !is_rejected;
        let live = opened.ok().filter(|_| is_live);
        match (need, live) {
            (Due::No, Some(opened)) => Standing::Live(opened).into(),
            (_, Some(opened)) if !can_refresh || now < record.refresh_not_before => {
                Standing::Live(opened).into()
            }
            (Due::Behind, Some(opened)) => {
                // Whether it could start or not, the live token is used.
                let _ = self.start_rotation(key, record.generation);
                Standing::Live(opened).into()
            }
            (_, None) if !can_refresh => Standing::Over(None).into(),
            (_, live) => Judged::Due {
                generation: record.generation,
                live,
            },
        }
    }

    pub(crate) fn sealing(&self) -> Sealing<'_> {
        Sealing {
            keys: &self.keys,
            binding: self.binding,
        }
    }

    /// How the session stands once its tokens are renewed. What a renewal brings may be old already:
    /// the end of an earlier one was joined, or the store took long to take it.
    async fn after_rotation(
        self: &Arc<Self>,
        key: StoreKey,
        newer_than: Option<u64>,
        mut generation: u64,
        mut live: Option<Arc<Opened>>,
    ) -> Standing {
        for _ in 0..MOST_ROTATIONS {
            let renewed = match (self.rotate(key, generation).await, live) {
                (Outcome::Renewed(renewed), _) => renewed,
                (Outcome::Kept(_) | Outcome::Misconfigured(_), Some(opened)) => {
                    return Standing::Live(opened);
                }
                (Outcome::Kept(error), None) => return Standing::Failed(error),
                (Outcome::Misconfigured(error), None) => {
                    return Standing::Failed(LoginError::provider(Kind::Misconfigured, error));
                }
                (Outcome::Over(reason), _) => return Standing::Over(reason),
            };
            match self.judge(key, &renewed, newer_than).await {
                Judged::Stands(standing) => return standing,
                // However short it lives: another would live no longer.
                Judged::Due {
                    live: Some(opened), ..
                } if opened.generation > generation => return Standing::Live(opened),
                Judged::Due {
                    generation: next,
                    live: next_live,
                } => (generation, live) = (next, next_live),
            }
        }
        Standing::Failed(Kind::ProviderUnavailable.into())
    }

    /// Opens a record and verifies its access token, unless this process has done so of late.
    pub(crate) async fn open(
        self: &Arc<Self>,
        key: StoreKey,
        record: &Record,
    ) -> Result<Arc<Opened>, Unopened> {
        match self.opened.find(key, record) {
            Some(opened) => Ok(opened),
            None => Box::pin(self.open_anew(key, record)).await,
        }
    }

    async fn open_anew(
        self: &Arc<Self>,
        key: StoreKey,
        record: &Record,
    ) -> Result<Arc<Opened>, Unopened> {
        let tokens = TokenSet::open(&self.sealing(), key, record).map_err(|_| Unopened::Sealed)?;
        match self.verifier.verify(tokens.access_token.expose()).await {
            Ok(principal) if principal.subject() == tokens.access_subject.as_deref() => {
                #[cfg(feature = "outbound")]
                let principal = principal.with_source(Arc::new(SessionTokens::new(self, key)));
                Ok(self.opened.keep(key, record, tokens, principal))
            }
            Ok(_) => Err(Unopened::Refused {
                error: VerifyError::claim(VerifyErrorKind::NotAskedFor, "sub"),
                tokens: Box::new(tokens),
            }),
            Err(error) => Err(Unopened::Refused {
                tokens: Box::new(tokens),
                error,
            }),
        }
    }
}

/// Why a record is of no use as it is.
pub(crate) enum Unopened {
    /// It was sealed by a secret that is not known, or is damaged.
    Sealed,
    /// Its access token was refused.
    Refused {
        tokens: Box<TokenSet>,
        error: VerifyError,
    },
}

/// What a refusal comes to that no refresh can mend.
fn beyond_refresh(tokens: &TokenSet, error: &VerifyError, now: UnixTime) -> Option<LoginError> {
    let is_younger_than = |age| now < tokens.obtained_at().saturating_add(age);
    let is_final = match error.kind() {
        VerifyErrorKind::Unavailable | VerifyErrorKind::NotAskedFor => true,
        VerifyErrorKind::Expired => is_younger_than(JUST_OBTAINED),
        kind => kind.is_structural() || is_younger_than(FRESH),
    };
    is_final.then(|| refused(error))
}

/// An access token that was refused although it is fresh, told to whoever can mend it.
pub(crate) fn refused(error: &VerifyError) -> LoginError {
    let kind = match error.kind() {
        VerifyErrorKind::Unavailable => Kind::ProviderUnavailable,
        kind if kind.is_structural() => Kind::UnusableToken,
        _ => Kind::TokenRefused,
    };
    LoginError::verify(kind, error.clone())
}
