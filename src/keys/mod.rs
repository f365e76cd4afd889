//! Verification keys: parsed once when they arrive ([`public_key`]), chosen strictly
//! ([`jwk_set`]), read from a file ([`key_file`]), fetched and kept fresh ([`remote`]).

pub(crate) mod jwk_set;
pub(crate) mod key_file;
pub(crate) mod public_key;
pub(crate) mod remote;
