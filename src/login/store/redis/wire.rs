//! How records are written down.

use crate::clock::UnixTime;
use crate::error::{StoreError, StoreErrorKind};
use crate::login::store::{Loaded, StoredRecord, Tag};

/// A record as a script returns it: bytes, tag, expiry and the server's time.
pub(super) fn loaded(values: Vec<Vec<u8>>) -> Result<Loaded, StoreError> {
    let [bytes, tag, expires_at, now] = <[Vec<u8>; 4]>::try_from(values).map_err(|_| damaged())?;
    Ok(Loaded {
        record: StoredRecord {
            bytes: bytes.into(),
            tag: Tag::from_bytes(tag.try_into().map_err(|_| damaged())?),
            expires_at: time(&expires_at)?,
        },
        now: time(&now)?,
    })
}

pub(super) fn time(text: &[u8]) -> Result<UnixTime, StoreError> {
    let text = std::str::from_utf8(text).map_err(|_| damaged())?;
    let seconds = text.parse().map_err(|_| damaged())?;
    Ok(UnixTime::from_seconds(seconds))
}

/// Redis takes no expiry beyond what fits into its own counting of milliseconds.
const LATEST: i64 = 1 << 52;

/// An expiry as Redis takes it.
pub(super) fn expiry(at: UnixTime) -> i64 {
    at.as_seconds().clamp(0, LATEST / 1_000)
}

pub(super) fn damaged() -> StoreError {
    StoreError::new(
        StoreErrorKind::Damaged,
        "the record of a session in Redis is damaged",
    )
}
