//! Verification keys: parsed once when they arrive ([`public_key`]), chosen strictly
//! ([`jwk_set`]), fetched and kept by a machine with stated states ([`remote`]).

pub(crate) mod jwk_set;
pub(crate) mod public_key;
pub(crate) mod remote;
