//! Sessions and the rotation of their tokens.

pub(crate) mod due;
pub(crate) mod handle;
pub(crate) mod id;
pub(crate) mod identity;
pub(crate) mod opened;
pub(crate) mod record;
#[cfg(feature = "outbound")]
pub(crate) mod relayed;
pub(crate) mod renewals;
pub(crate) mod seal;
pub(crate) mod tokens;
