//! Signing in: to the provider and back.

pub(crate) mod attempt;
pub(crate) mod callback;
pub(crate) mod loop_breaker;
pub(crate) mod start;
