//! Verification keys: parsed once when they arrive ([`public_key`]), chosen strictly
//! ([`jwk_set`]), fetched and kept fresh ([`remote`]).

pub(crate) mod jwk_set;
pub(crate) mod public_key;
pub(crate) mod remote;
