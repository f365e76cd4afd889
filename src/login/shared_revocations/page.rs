//! How the journal of revocations is written down.

use crate::clock::UnixTime;
use crate::error::{StoreError, StoreErrorKind};
use crate::login::store::StoreKey;
use crate::revocations::sharing::SharedEntry;

/// The first record of a journal: which pages there are, and the newest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Names this journal: one that began after the former had expired has other pages.
    pub(super) journal: [u8; 16],
    /// The first page that may still be there.
    pub(super) first: u64,
    /// The number of the newest page.
    pub(super) last: u64,
    /// The newest page.
    pub(super) entries: Vec<SharedEntry>,
}

/// The entries of a full page. 48 bytes each.
pub(super) const PAGE: usize = 256;

const FORMAT: u8 = 1;
const ENTRY: usize = 48;

impl Head {
    pub(super) fn new(journal: [u8; 16]) -> Self {
        Self {
            journal,
            first: 0,
            last: 0,
            entries: Vec::new(),
        }
    }

    /// The same with as many of these as fit, and how many those are.
    pub(super) fn with(mut self, entries: &[SharedEntry]) -> (Self, usize) {
        let room = PAGE.saturating_sub(self.entries.len());
        let added = &entries[..entries.len().min(room)];
        self.entries.extend_from_slice(added);
        (self, added.len())
    }

    /// The head of the page after this one.
    pub(super) fn following(self, first: u64) -> Self {
        Self {
            first,
            last: self.last.saturating_add(1),
            entries: Vec::new(),
            ..self
        }
    }

    pub(super) fn page_key(&self, page: u64) -> StoreKey {
        let journal: String = self.journal.map(|byte| format!("{byte:02x}")).concat();
        StoreKey::of(&["revocations", &journal, &page.to_string()])
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.journal);
        bytes.extend(self.first.to_be_bytes());
        bytes.extend(self.last.to_be_bytes());
        put_entries(&mut bytes, &self.entries);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let bytes = without_format(bytes)?;
        let (journal, bytes) = bytes.split_first_chunk::<16>().ok_or_else(damaged)?;
        let (first, bytes) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (last, bytes) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (first, last) = (u64::from_be_bytes(*first), u64::from_be_bytes(*last));
        if last < first {
            return Err(damaged());
        }
        Ok(Self {
            journal: *journal,
            first,
            last,
            entries: entries_in(bytes)?,
        })
    }
}

pub(super) fn page_bytes(entries: &[SharedEntry]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    put_entries(&mut bytes, entries);
    bytes
}

pub(super) fn page_from(bytes: &[u8]) -> Result<Vec<SharedEntry>, StoreError> {
    without_format(bytes).and_then(entries_in)
}

fn put_entries(bytes: &mut Vec<u8>, entries: &[SharedEntry]) {
    for entry in entries {
        bytes.extend(entry.name);
        bytes.extend(entry.kept.as_seconds().to_be_bytes());
        bytes.extend(entry.not_before.as_seconds().to_be_bytes());
    }
}

fn entries_in(bytes: &[u8]) -> Result<Vec<SharedEntry>, StoreError> {
    let (entries, rest) = bytes.as_chunks::<ENTRY>();
    if !rest.is_empty() {
        return Err(damaged());
    }
    entries.iter().map(|entry| entry_in(entry)).collect()
}

fn entry_in(bytes: &[u8]) -> Result<SharedEntry, StoreError> {
    let (name, times) = bytes.split_first_chunk::<32>().ok_or_else(damaged)?;
    let (kept, not_before) = times.split_first_chunk::<8>().ok_or_else(damaged)?;
    let not_before = <&[u8; 8]>::try_from(not_before).map_err(|_| damaged())?;
    Ok(SharedEntry {
        name: *name,
        kept: UnixTime::from_seconds(i64::from_be_bytes(*kept)),
        not_before: UnixTime::from_seconds(i64::from_be_bytes(*not_before)),
    })
}

fn without_format(bytes: &[u8]) -> Result<&[u8], StoreError> {
    match bytes.split_first() {
        Some((&FORMAT, bytes)) => Ok(bytes),
        Some((&format, _)) if format > FORMAT => Err(StoreError::new(
            StoreErrorKind::TooNew,
            "a newer version of this crate wrote the list of revocations: upgrade this process",
        )),
        _ => Err(damaged()),
    }
}

fn damaged() -> StoreError {
    StoreError::new(
        StoreErrorKind::Damaged,
        "the list of revocations in the store is damaged",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(of: u8) -> SharedEntry {
        SharedEntry {
            name: [of; 32],
            kept: UnixTime::from_seconds(i64::from(of)),
            not_before: UnixTime::from_seconds(i64::MAX - i64::from(of)),
        }
    }

    #[test]
    fn what_was_written_down_is_read_again() {
        let (head, added) = Head::new([7; 16]).with(&[entry(1), entry(2)]);
        assert_eq!(added, 2);
        let head = Head {
            first: 3,
            last: 9,
            ..head
        };
        assert_eq!(Head::decode(&head.encode()).unwrap(), head);
        let page = page_bytes(&head.entries);
        assert_eq!(page_from(&page).unwrap(), head.entries);
    }

    #[test]
    fn a_page_takes_what_fits() {
        let many = vec![entry(1); PAGE + 10];
        let (head, added) = Head::new([7; 16]).with(&many[..PAGE - 1]);
        assert_eq!(added, PAGE - 1);
        let (full, added) = head.with(&many);
        assert_eq!(added, 1);
        assert_eq!(full.entries.len(), PAGE);
        assert_ne!(full.page_key(0), full.page_key(1));
        assert_ne!(full.page_key(0), Head::new([8; 16]).page_key(0));
    }

    #[test]
    fn anything_else_is_an_error_of_its_kind() {
        let (head, _) = Head::new([7; 16]).with(&[entry(1)]);
        let good = head.encode();
        for cut in 0..good.len() {
            // Without its one entry it is a head too.
            if cut != good.len() - ENTRY {
                let error = Head::decode(&good[..cut]).unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Damaged, "{cut}");
            }
        }
        let mut newer = good;
        newer[0] = FORMAT + 1;
        let error = Head::decode(&newer).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::TooNew);
        let backwards = Head { first: 1, ..head };
        assert!(Head::decode(&backwards.encode()).is_err());
    }
}
