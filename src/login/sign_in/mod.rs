//! Signing in: to the provider, and back with a session.

pub(crate) mod admission;
pub(crate) mod adopt;
pub(crate) mod answer;
pub(crate) mod attempt;
pub(crate) mod attempt_cookies;
pub(crate) mod callback;
mod establish;
mod initiated;
pub(crate) mod loop_breaker;
pub(crate) mod obtained;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod requirement;
pub(crate) mod silent;
pub(crate) mod start;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::allowance::Allowance;
use crate::login::browser::cookie::CookieNames;
use crate::login::browser::site::Site;
use crate::login::sessions::Sessions;
use crate::login::sessions::mode::Mode;
use crate::login::sessions::renewals::Lifetimes;
use crate::login::sign_in::admission::Admission;
use crate::login::sign_in::request::{AuthorizationRequest, OfflineAccess};
use crate::provider::{Client, Provider};
use crate::verify::id_token::IdTokenVerifier;

/// Signs browsers in.
pub(crate) struct SignIn {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) provider: Provider,
    pub(crate) client: Client,
    pub(crate) mode: Mode,
    pub(crate) id_tokens: IdTokenVerifier,
    pub(crate) site: Arc<Site>,
    pub(crate) cookies: Arc<CookieNames>,
    pub(crate) request: AuthorizationRequest,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) offline: OfflineAccess,
    pub(crate) with_userinfo: bool,
    pub(crate) admission: Admission,
    pub(crate) sessions_per_subject: Option<usize>,
    /// Bounds the codes that are exchanged at once.
    pub(crate) codes: Semaphore,
    /// Bounds what is logged about callbacks, which strangers can send.
    pub(crate) warnings: Allowance,
    /// Bounds what is logged about browsers that lose the cookie of a sign-in, likewise.
    pub(crate) lost_cookies: Allowance,
}
