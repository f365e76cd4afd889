//! How a record is written down: a version, the fields in this order as big-endian numbers, and last the
//! sealed token set.

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};

use crate::clock::UnixTime;
use crate::error::{StoreError, StoreErrorKind};
use crate::login::sessions::record::{EndReason, Record, RefreshState};
use crate::login::store::Tag;

/// The version of the layout below. A replica that finds a greater one is too old.
const VERSION: u8 = 1;

/// Without the sealed token set.
const LONGEST_HEAD: usize = 96;

/// The bytes are not a record of a known version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    TooNew,
    Damaged,
}

impl From<TryGetError> for Undecodable {
    fn from(_: TryGetError) -> Self {
        Self::Damaged
    }
}

impl From<Undecodable> for StoreError {
    fn from(undecodable: Undecodable) -> Self {
        match undecodable {
            Undecodable::TooNew => Self::new(
                StoreErrorKind::TooNew,
                "a session was written by a newer version of this crate; upgrade this replica",
            ),
            Undecodable::Damaged => Self::new(
                StoreErrorKind::Damaged,
                "the record of a session in the store is damaged",
            ),
        }
    }
}

impl Record {
    /// The bytes that a store keeps.
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(LONGEST_HEAD + self.sealed.len());
        bytes.put_u8(VERSION);
        bytes.put_u64(self.generation);
        put_time(&mut bytes, self.access_expires_at);
        put_time(&mut bytes, self.refresh_expires_at.unwrap_or(NEVER));
        put_time(&mut bytes, self.expires_at);
        put_time(&mut bytes, self.ends_at);
        put_time(&mut bytes, self.refresh_not_before);
        bytes.put_u32(self.failures);
        bytes.put_u8(self.wants_user.into());
        match self.state {
            RefreshState::Idle => bytes.put_u8(b'I'),
            RefreshState::Leased {
                fence,
                leased_at,
                until,
                probes,
            } => put_held(&mut bytes, b'L', fence, [leased_at, until], probes),
            RefreshState::Suspect {
                fence,
                leased_at,
                since,
                probes,
            } => put_held(&mut bytes, b'S', fence, [leased_at, since], probes),
            RefreshState::Dead(reason) => {
                bytes.put_u8(b'D');
                bytes.put_u8(match reason {
                    EndReason::Rejected => b'r',
                    EndReason::RotationLost => b'l',
                    EndReason::IdentityChanged => b'i',
                });
            }
        }
        bytes.put_slice(&self.sealed);
        bytes.freeze()
    }

    /// The record that these bytes are, `None` if they are not one of a known version.
    #[must_use]
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        Self::try_decode(bytes).ok()
    }

    pub(crate) fn try_decode(bytes: &Bytes) -> Result<Self, Undecodable> {
        let mut bytes = bytes.clone();
        match bytes.try_get_u8()? {
            VERSION => {}
            version if version > VERSION => return Err(Undecodable::TooNew),
            _ => return Err(Undecodable::Damaged),
        }
        Ok(Self {
            generation: bytes.try_get_u64()?,
            access_expires_at: time(&mut bytes)?,
            refresh_expires_at: Some(time(&mut bytes)?).filter(|time| *time != NEVER),
            expires_at: time(&mut bytes)?,
            ends_at: time(&mut bytes)?,
            refresh_not_before: time(&mut bytes)?,
            failures: bytes.try_get_u32()?,
            wants_user: bytes.try_get_u8()? != 0,
            state: state(&mut bytes)?,
            sealed: bytes,
        })
    }
}

/// Stands for a time that is not known.
const NEVER: UnixTime = UnixTime::from_seconds(i64::MAX);

fn put_time(bytes: &mut BytesMut, time: UnixTime) {
    bytes.put_i64(time.as_seconds());
}

fn put_held(bytes: &mut BytesMut, state: u8, fence: Tag, times: [UnixTime; 2], probes: u32) {
    bytes.put_u8(state);
    bytes.put_slice(fence.as_bytes());
    for time in times {
        put_time(bytes, time);
    }
    bytes.put_u32(probes);
}

fn time(bytes: &mut Bytes) -> Result<UnixTime, Undecodable> {
    Ok(UnixTime::from_seconds(bytes.try_get_i64()?))
}

fn state(bytes: &mut Bytes) -> Result<RefreshState, Undecodable> {
    Ok(match bytes.try_get_u8()? {
        b'I' => RefreshState::Idle,
        b'L' => RefreshState::Leased {
            fence: tag(bytes)?,
            leased_at: time(bytes)?,
            until: time(bytes)?,
            probes: bytes.try_get_u32()?,
        },
        b'S' => RefreshState::Suspect {
            fence: tag(bytes)?,
            leased_at: time(bytes)?,
            since: time(bytes)?,
            probes: bytes.try_get_u32()?,
        },
        b'D' => RefreshState::Dead(match bytes.try_get_u8()? {
            b'r' => EndReason::Rejected,
            b'l' => EndReason::RotationLost,
            b'i' => EndReason::IdentityChanged,
            _ => return Err(Undecodable::Damaged),
        }),
        _ => return Err(Undecodable::Damaged),
    })
}

fn tag(bytes: &mut Bytes) -> Result<Tag, Undecodable> {
    let mut tag = [0; 16];
    bytes.try_copy_to_slice(&mut tag)?;
    Ok(Tag::from_bytes(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records() -> impl Strategy<Value = Record> {
        let time = || any::<i64>().prop_map(UnixTime::from_seconds);
        let tag = || any::<[u8; 16]>().prop_map(Tag::from_bytes);
        let state = prop_oneof![
            Just(RefreshState::Idle),
            (tag(), time(), time(), any::<u32>()).prop_map(|(fence, leased_at, until, probes)| {
                RefreshState::Leased {
                    fence,
                    leased_at,
                    until,
                    probes,
                }
            }),
            (tag(), time(), time(), any::<u32>()).prop_map(|(fence, leased_at, since, probes)| {
                RefreshState::Suspect {
                    fence,
                    leased_at,
                    since,
                    probes,
                }
            }),
            Just(RefreshState::Dead(EndReason::Rejected)),
            Just(RefreshState::Dead(EndReason::RotationLost)),
            Just(RefreshState::Dead(EndReason::IdentityChanged)),
        ];
        let times = (time(), time(), time(), time(), time());
        let sealed = proptest::collection::vec(any::<u8>(), 0..64);
        (
            any::<u64>(),
            times,
            any::<u32>(),
            any::<bool>(),
            state,
            sealed,
        )
            .prop_map(
                |(generation, times, failures, wants_user, state, sealed)| Record {
                    generation,
                    sealed: sealed.into(),
                    access_expires_at: times.0,
                    refresh_expires_at: Some(times.1).filter(|time| *time != NEVER),
                    expires_at: times.2,
                    ends_at: times.3,
                    refresh_not_before: times.4,
                    failures,
                    wants_user,
                    state,
                },
            )
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was_written(record in records()) {
            prop_assert_eq!(Record::try_decode(&record.encode()), Ok(record));
        }

        #[test]
        fn no_bytes_panic_and_a_part_of_a_record_is_damaged(
            record in records(), junk in proptest::collection::vec(any::<u8>(), 0..128), at in 0_usize..55,
        ) {
            let _ = Record::try_decode(&junk.into());
            let part = record.encode().slice(..at);
            prop_assert_eq!(Record::try_decode(&part), Err(Undecodable::Damaged));
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        assert_eq!(
            Record::try_decode(&Bytes::from_static(b"\x02anything")),
            Err(Undecodable::TooNew)
        );
        assert_eq!(
            Record::try_decode(&Bytes::from_static(b"\x00anything")),
            Err(Undecodable::Damaged)
        );
    }
}
