//! Revocations in a store: a journal that is only added to.
//!
//! Its newest page stands in the *head*, a record under one known key, so that one read tells whether there is
//! anything new. A page that is full becomes a record of its own, which never changes, before the head begins the next
//! one. The head lives as long as any entry, because pages are found by it alone.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::error::{StoreError, StoreErrorKind};
use crate::login::sessions::ledger::no_randomness;
use crate::login::sessions::marks::CLOCKS_APART;
use crate::login::shared_revocations::page::{Head, PAGE, page_bytes, page_from};
use crate::login::store::{Loaded, SessionStore, StoreKey, StoredRecord, Swapped, Tag};
use crate::revocations::RevocationsFull;
use crate::revocations::sharing::SharedEntry;
use crate::secret::random_bytes;

/// The journal of all processes that share one store.
pub(super) struct Journal(pub(super) Arc<dyn SessionStore>);

/// How far this process has read.
#[derive(Default)]
pub(super) struct Position {
    head: Option<Tag>,
    journal: Option<[u8; 16]>,
    /// All pages before this one were read.
    next: u64,
}

/// Others change the head at the same moment so often before a process gives up for now.
const MOST_CONFLICTS: usize = 32;

/// Pages that have expired are looked for so often at each new page. One is added, so that they become fewer.
const LOOKS: usize = 4;

impl Journal {
    pub(super) fn head_key() -> StoreKey {
        StoreKey::of(&["revocations"])
    }

    /// Gives what was added since the position to `take`. The position moves behind what was taken.
    pub(super) async fn read(
        &self,
        position: &mut Position,
        mut take: impl FnMut(&[SharedEntry]) -> Result<(), RevocationsFull>,
    ) -> Result<(), StoreError> {
        let Some(Loaded { record, .. }) = self.0.load(Self::head_key()).await? else {
            return Ok(());
        };
        if position.head == Some(record.tag) {
            return Ok(());
        }
        let head = Head::decode(&record.bytes)?;
        if position.journal != Some(head.journal) {
            position.journal = Some(head.journal);
            position.next = head.first;
        }
        // A failover may have taken the journal back.
        position.next = position.next.clamp(head.first, head.last);
        while position.next < head.last {
            if let Some(page) = self.0.load(head.page_key(position.next)).await? {
                take(&page_from(&page.record.bytes)?).map_err(full)?;
            }
            position.next += 1;
        }
        take(&head.entries).map_err(full)?;
        position.head = Some(record.tag);
        Ok(())
    }

    /// Adds as many of these as fit into one page, and returns how many.
    pub(super) async fn append(&self, entries: &[SharedEntry]) -> Result<usize, StoreError> {
        for _ in 0..MOST_CONFLICTS {
            let Some(Loaded { record, .. }) = self.0.load(Self::head_key()).await? else {
                let head = Head::new(random_bytes().map_err(no_randomness)?);
                let (next, added) = head.with(entries);
                let first = record_of(next.encode(), &next.entries, None)?;
                match self.0.create(Self::head_key(), None, first).await {
                    Ok(_) => return Ok(added),
                    Err(error) if error.kind() == StoreErrorKind::Taken => continue,
                    Err(error) => return Err(error),
                }
            };
            let mut head = Head::decode(&record.bytes)?;
            if head.entries.len() >= PAGE {
                self.keep_page(&head).await?;
                let first = self.first_that_lives(&head).await?;
                head = head.following(first);
            }
            let (next, added) = head.with(entries);
            let next = record_of(next.encode(), &next.entries, Some(record.expires_at))?;
            let tag = next.tag;
            match self.0.swap(Self::head_key(), record.tag, next).await? {
                Swapped::Done => return Ok(added),
                Swapped::Conflict(there) if there.record.tag == tag => return Ok(added),
                Swapped::Conflict(_) | Swapped::Gone => {}
            }
        }
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "the list of revocations was changed by others at each attempt to change it",
        ))
    }

    /// Makes a full page a record of its own. Two processes that do it write the same.
    async fn keep_page(&self, head: &Head) -> Result<(), StoreError> {
        let page = record_of(page_bytes(&head.entries), &head.entries, None)?;
        let kept = self.0.create(head.page_key(head.last), None, page).await;
        match kept {
            Err(error) if error.kind() != StoreErrorKind::Taken => Err(error),
            _ => Ok(()),
        }
    }

    /// The first page that has not expired, as far as one looks.
    async fn first_that_lives(&self, head: &Head) -> Result<u64, StoreError> {
        let mut first = head.first;
        for _ in 0..LOOKS {
            if first >= head.last || self.0.load(head.page_key(first)).await?.is_some() {
                break;
            }
            first += 1;
        }
        Ok(first)
    }
}

fn full(full: RevocationsFull) -> StoreError {
    let kind = StoreErrorKind::Unavailable;
    StoreError::caused(
        kind,
        "a revocation of another process does not fit",
        Box::new(full),
    )
}

/// A record that lives as long as its entries, and no shorter than `at_least`.
fn record_of(
    bytes: Vec<u8>,
    entries: &[SharedEntry],
    at_least: Option<UnixTime>,
) -> Result<StoredRecord, StoreError> {
    let ends = entries.iter().map(|entry| entry.kept);
    let end = ends.max().unwrap_or(UnixTime::from_seconds(0));
    // Entries are dated by the clocks of processes, and records expire by the store's.
    let expires_at = end.saturating_add(CLOCKS_APART);
    Ok(StoredRecord {
        bytes: bytes.into(),
        tag: Tag::random().map_err(no_randomness)?,
        expires_at: at_least.map_or(expires_at, |at_least| at_least.max(expires_at)),
    })
}
