//! Logouts by the provider that happen while a sign-in is under way.
//!
//! A logout writes two marks before it looks for sessions: when it was issued, under what the sessions are
//! listed by; and one for all of the issuer's logouts. A sign-in reads the latter before it sends its code and
//! again after it made its session. Only if a logout came in between does it look at the former.

use std::time::Duration;

use crate::claims::Issuer;
use crate::clock::UnixTime;
use crate::error::StoreError;
use crate::login::sessions::marks::Marks;
use crate::login::store::{OwnedBy, Owner, StoreKey, Tag};

/// Longer than a sign-in takes from its code to its session.
const LONGEST_SIGN_IN: Duration = Duration::from_secs(600);

pub(crate) struct SignedOut<'a> {
    pub(crate) marks: &'a Marks,
    pub(crate) issuer: &'a Issuer,
    pub(crate) now: UnixTime,
}

impl SignedOut<'_> {
    /// Marks a logout that was issued then, of the sessions listed there.
    pub(crate) async fn mark(
        &self,
        listed: StoreKey,
        issued_at: UnixTime,
    ) -> Result<(), StoreError> {
        let until = self.now.saturating_add(LONGEST_SIGN_IN);
        self.marks.put(logout_of(listed), issued_at, until).await?;
        self.marks
            .put(any_logout(self.issuer), issued_at, until)
            .await
    }

    /// Tells the last logout of the issuer from every other.
    pub(crate) async fn last(&self) -> Result<Option<Tag>, StoreError> {
        let mark = self.marks.get(any_logout(self.issuer)).await?;
        Ok(mark.map(|(tag, _)| tag))
    }

    /// Whether the provider signed the user out after it issued the ID token of this sign-in.
    pub(crate) async fn was_overtaken(
        &self,
        last: Option<Tag>,
        owner: &Owner,
        issued_at: Option<UnixTime>,
    ) -> Result<bool, StoreError> {
        if self.last().await? == last {
            return Ok(false);
        }
        let lists = [
            OwnedBy::Subject(owner.subject),
            OwnedBy::Session(owner.session),
        ];
        for OwnedBy::Subject(listed) | OwnedBy::Session(listed) in lists {
            let mark = self.marks.get(logout_of(listed)).await?;
            // One without a time may be older than the logout.
            let is_older =
                |logged_out_at| issued_at.is_none_or(|issued_at| issued_at <= logged_out_at);
            if mark.is_some_and(|(_, logged_out_at)| is_older(logged_out_at)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn logout_of(listed: StoreKey) -> StoreKey {
    StoreKey::hash_of(&[b"logout of", &listed.as_bytes()[..]].concat())
}

fn any_logout(issuer: &Issuer) -> StoreKey {
    StoreKey::of(&["any logout", issuer.as_str()])
}
