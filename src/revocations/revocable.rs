//! A token or session that may be revoked, and what is known of it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::UnixTime;
use crate::revocations::Revocations;
use crate::revocations::memory::{Kind, Name};

/// What an accepted token can be revoked by. It is put together once, and asked at each use of the token.
pub(crate) struct Revocable {
    revocations: Revocations,
    token: Option<Name>,
    session: Option<Name>,
    subject: Option<Name>,
    issued_at: Option<UnixTime>,
    /// The serial of the revocations when it was last looked for and not found.
    checked: AtomicU64,
}

/// What a token says of itself.
pub(crate) struct Told<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) jti: Option<&'a str>,
    pub(crate) sid: Option<&'a str>,
    pub(crate) subject: Option<&'a str>,
}

/// Smaller than any serial.
const NEVER: u64 = 0;

impl Revocable {
    pub(crate) fn token(revocations: &Revocations, told: &Told<'_>) -> Self {
        let name = |kind, text: Option<&str>| text.map(|text| Name::of(kind, told.issuer, text));
        Self {
            revocations: revocations.clone(),
            token: name(Kind::Token, told.jti),
            session: name(Kind::ProviderSession, told.sid),
            subject: name(Kind::Subject, told.subject),
            issued_at: None,
            checked: AtomicU64::new(NEVER),
        }
    }

    /// The same of a token with these times.
    pub(crate) fn with_times(self, issued_at: Option<UnixTime>, expires_at: UnixTime) -> Self {
        self.revocations.tell_if_outlived(expires_at);
        Self { issued_at, ..self }
    }

    /// A session of this program that began then.
    #[cfg(feature = "login")]
    pub(crate) fn session(
        revocations: &Revocations,
        issuer: &str,
        subject: &str,
        began: UnixTime,
    ) -> Self {
        Self {
            revocations: revocations.clone(),
            token: None,
            session: None,
            subject: Some(Name::of(Kind::Sessions, issuer, subject)),
            issued_at: Some(began),
            checked: AtomicU64::new(NEVER),
        }
    }

    /// Whether it is revoked now. As long as nothing is revoked, that is a comparison of two numbers.
    #[inline]
    pub(crate) fn is_revoked(&self) -> bool {
        let serial = self.revocations.serial();
        self.checked.load(Ordering::Relaxed) != serial && self.is_found(serial)
    }

    /// Looks it up. `serial` was read before, so that a revocation in between is looked for at the next use.
    #[cold]
    fn is_found(&self, serial: u64) -> bool {
        let names = [self.token, self.session, self.subject];
        let is_found = self.revocations.refuse(&names, self.issued_at);
        if !is_found {
            self.checked.store(serial, Ordering::Relaxed);
        }
        is_found
    }
}
