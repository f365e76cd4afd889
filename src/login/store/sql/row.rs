//! Rows as records.

#[cfg(feature = "postgres")]
use sqlx::ValueRef as _;
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::clock::UnixTime;
use crate::error::{StoreError, StoreErrorKind};
use crate::login::store::{Loaded, StoreKey, StoredRecord, Tag};

/// The record of a row with the columns `bytes`, `tag` and `expires_at`.
pub(in crate::login::store) fn record<'row, R>(row: &'row R) -> Result<StoredRecord, StoreError>
where
    R: Row,
    for<'name> &'name str: ColumnIndex<R>,
    Vec<u8>: Decode<'row, R::Database> + Type<R::Database>,
    i64: Decode<'row, R::Database> + Type<R::Database>,
{
    let bytes: Vec<u8> = column(row, "bytes")?;
    let tag: Vec<u8> = column(row, "tag")?;
    Ok(StoredRecord {
        bytes: bytes.into(),
        tag: Tag::from_bytes(tag.try_into().map_err(|_| damaged())?),
        expires_at: seconds(row, "expires_at")?,
    })
}

/// The same with the database's time, which is the column `now`.
pub(in crate::login::store) fn loaded<'row, R>(row: &'row R) -> Result<Loaded, StoreError>
where
    R: Row,
    for<'name> &'name str: ColumnIndex<R>,
    Vec<u8>: Decode<'row, R::Database> + Type<R::Database>,
    i64: Decode<'row, R::Database> + Type<R::Database>,
{
    Ok(Loaded {
        record: record(row)?,
        now: seconds(row, "now")?,
    })
}

/// A column of seconds since 1970.
pub(in crate::login::store) fn seconds<'row, R>(
    row: &'row R,
    name: &str,
) -> Result<UnixTime, StoreError>
where
    R: Row,
    for<'name> &'name str: ColumnIndex<R>,
    i64: Decode<'row, R::Database> + Type<R::Database>,
{
    column(row, name).map(UnixTime::from_seconds)
}

/// A column with the bits of a key.
pub(in crate::login::store) fn store_key<'row, R>(
    row: &'row R,
    name: &str,
) -> Result<StoreKey, StoreError>
where
    R: Row,
    for<'name> &'name str: ColumnIndex<R>,
    Vec<u8>: Decode<'row, R::Database> + Type<R::Database>,
{
    let bytes: Vec<u8> = column(row, name)?;
    let bytes = bytes.try_into().map_err(|_| damaged())?;
    Ok(StoreKey::from_bytes(bytes))
}

/// Whether there is a value in a column.
#[cfg(feature = "postgres")]
pub(in crate::login::store) fn has<R>(row: &R, name: &str) -> bool
where
    R: Row,
    for<'name> &'name str: ColumnIndex<R>,
{
    row.try_get_raw(name).is_ok_and(|value| !value.is_null())
}

fn column<'row, R, T>(row: &'row R, name: &str) -> Result<T, StoreError>
where
    R: Row,
    for<'name> &'name str: ColumnIndex<R>,
    T: Decode<'row, R::Database> + Type<R::Database>,
{
    // The cause may repeat what stands there.
    row.try_get(name).map_err(|_| damaged())
}

fn damaged() -> StoreError {
    StoreError::new(
        StoreErrorKind::Damaged,
        "the record of a session in the database is damaged",
    )
}
