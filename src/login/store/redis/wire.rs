//! What the scripts answer, and how keys are written down.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::UnixTime;
use crate::error::{StoreError, StoreErrorKind};
use crate::login::sessions::id::StoreKey;
use crate::login::sessions::record::{
    EndReason, Fence, FenceOutcome, LeaseOutcome, Record, RefreshState,
};
use crate::login::store::Stored;

/// What a script answers: a word, its detail, and the record as it now is.
pub(super) struct Answer {
    outcome: String,
    detail: String,
    now: UnixTime,
    pub(super) record: Record,
}

impl Answer {
    pub(super) fn stored<T>(
        self,
        outcome: impl FnOnce(&str, &str) -> Option<T>,
    ) -> Result<Stored<T>, StoreError> {
        Ok(Stored {
            outcome: outcome(&self.outcome, &self.detail).ok_or_else(damaged)?,
            record: self.record,
            now: self.now,
        })
    }
}

pub(super) fn read(values: Option<Vec<Vec<u8>>>) -> Result<Option<Answer>, StoreError> {
    let Some(values) = values else {
        return Ok(None);
    };
    let [
        outcome,
        detail,
        now,
        _,
        generation,
        sealed,
        access,
        expires,
        ends,
        not_before,
        state,
        fence,
        until,
        probe,
        reason,
        _,
        _,
    ] = <[Vec<u8>; 17]>::try_from(values).map_err(|_| damaged())?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| damaged());
    let time = |bytes| -> Result<UnixTime, StoreError> {
        let seconds = text(bytes)?.parse().map_err(|_| damaged())?;
        Ok(UnixTime::from_seconds(seconds))
    };
    let number = |bytes| -> Result<u64, StoreError> { text(bytes)?.parse().map_err(|_| damaged()) };
    let fence = Fence::from_u64(number(fence)?);
    let until = time(until)?;
    let state = match (&*state, &*probe) {
        (b"I", _) => RefreshState::Idle,
        (b"L", probe) => RefreshState::Leased {
            fence,
            until,
            is_probe: probe == b"1",
        },
        (b"S", _) => RefreshState::Suspect {
            fence,
            since: until,
        },
        (b"D", _) => RefreshState::Dead(reason_from(&text(reason)?).ok_or_else(damaged)?),
        _ => return Err(damaged()),
    };
    Ok(Some(Answer {
        outcome: text(outcome)?,
        detail: text(detail)?,
        now: time(now)?,
        record: Record {
            generation: number(generation)?,
            sealed: sealed.into(),
            access_expires_at: time(access)?,
            expires_at: time(expires)?,
            ends_at: time(ends)?,
            refresh_not_before: time(not_before)?,
            state,
            fence,
        },
    }))
}

const REASONS: [(EndReason, &str); 3] = [
    (EndReason::Rejected, "rejected"),
    (EndReason::RotationLost, "rotation_lost"),
    (EndReason::IdentityChanged, "identity_changed"),
];

pub(super) fn reason_name(reason: EndReason) -> &'static str {
    let found = REASONS.iter().find(|(known, _)| *known == reason);
    found.map_or("rejected", |(_, name)| name)
}

fn reason_from(name: &str) -> Option<EndReason> {
    let found = REASONS.iter().find(|(_, known)| *known == name);
    found.map(|(reason, _)| *reason)
}

pub(super) fn fenced(outcome: &str, _: &str) -> Option<FenceOutcome> {
    match outcome {
        "done" => Some(FenceOutcome::Done),
        "stale" => Some(FenceOutcome::Stale),
        _ => None,
    }
}

pub(super) fn leased(outcome: &str, detail: &str) -> Option<LeaseOutcome> {
    let time = || detail.parse().ok().map(UnixTime::from_seconds);
    match outcome {
        "leased" => Some(LeaseOutcome::Leased(Fence::from_u64(detail.parse().ok()?))),
        "busy" => time().map(LeaseOutcome::Busy),
        "later" => time().map(LeaseOutcome::Later),
        "newer" => Some(LeaseOutcome::Newer),
        "dead" => reason_from(detail).map(LeaseOutcome::Dead),
        _ => None,
    }
}

pub(super) fn written(key: StoreKey) -> String {
    URL_SAFE_NO_PAD.encode(key.as_bytes())
}

pub(super) fn key_from(text: &str) -> Option<StoreKey> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    bytes.try_into().ok().map(StoreKey::from_bytes)
}

fn damaged() -> StoreError {
    StoreError::new(
        StoreErrorKind::Damaged,
        "a session's record in Redis is damaged",
    )
}
