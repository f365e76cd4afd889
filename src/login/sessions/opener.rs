//! From a record to tokens that this process has verified.

use std::sync::Arc;

use crate::error::{LoginError, LoginErrorKind as Kind, VerifyError, VerifyErrorKind};
use crate::login::sessions::mode::{Caller, Mode};
use crate::login::sessions::opened::{Opened, OpenedSessions};
use crate::login::sessions::record::Record;
use crate::login::sessions::seal::Sealing;
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::{StoreKey, Tag};
use crate::principal::Principal;

/// Opens records and finds out whose they are.
pub(crate) struct Opener {
    pub(crate) sealing: Sealing,
    pub(crate) mode: Mode,
    pub(crate) cache: OpenedSessions,
    /// Tells a principal of the session that it is of.
    pub(crate) with_origin: Box<dyn Fn(StoreKey, Principal) -> Principal + Send + Sync>,
}

/// Why a record is of no use as it is.
pub(crate) enum Unopened {
    /// It was sealed by a secret that is not configured here, is damaged, or belongs to another provider or mode than now.
    Sealed,
    /// Its access token is good, and about another person than the one who signed in.
    SomebodyElse,
    /// Its access token was refused.
    Refused {
        tokens: Box<TokenSet>,
        error: VerifyError,
    },
}

impl Opener {
    pub(crate) async fn open(
        &self,
        key: StoreKey,
        record: &Record,
        tag: Tag,
    ) -> Result<Arc<Opened>, Unopened> {
        if let Some(opened) = self.cache.find_contents(key, record, tag) {
            return Ok(opened);
        }
        let tokens = self.tokens(key, record).ok_or(Unopened::Sealed)?;
        match self.mode.caller(&tokens, record).await {
            Caller::Known(principal) => {
                let principal = (self.with_origin)(key, principal);
                Ok(self.cache.keep(key, record, tag, tokens, principal))
            }
            Caller::SomebodyElse => Err(Unopened::SomebodyElse),
            Caller::Unknown => Err(Unopened::Sealed),
            Caller::Refused(error) => Err(Unopened::Refused {
                tokens: Box::new(tokens),
                error,
            }),
        }
    }

    /// The tokens within a record, unverified. `None` if it was sealed by a secret that is not configured
    /// here, or is damaged.
    pub(crate) fn tokens(&self, key: StoreKey, record: &Record) -> Option<TokenSet> {
        TokenSet::open(&self.sealing, key, record).ok()
    }
}

/// A fresh access token was refused: what the operator can do about it.
pub(crate) fn refused(error: &VerifyError) -> LoginError {
    let kind = match error.kind() {
        VerifyErrorKind::Unavailable => Kind::ProviderUnavailable,
        kind if kind.is_structural() => Kind::UnusableToken,
        _ => Kind::TokenRefused,
    };
    LoginError::verify(kind, error.clone())
}
