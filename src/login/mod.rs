//! Browser sessions: what a session is, where it lives, and how its refresh token is guarded.
//!
//! This room is being built. What is here is whole and can be relied on:
//!
//! 1. The browser holds a [`SessionId`], 256 random bits that do not change with the tokens; a store
//!    knows it by its hash.
//! 2. A [`Record`] is one session. Its tokens are sealed by a [`KeyRing`]; its refresh token is
//!    guarded by a state machine of pure functions: lease, commit, settle.
//! 3. A [`SessionStore`] applies these functions in single atomic steps. [`MemoryStore`] is one;
//!    `testing::store_suite` is what every store must pass.
//! 4. A [`ReturnPath`] is where a browser may be sent after signing in: this site, nowhere else.
//!
//! The layer that signs browsers in is not among it yet.

mod attempt;
mod callback;
mod cookie;
mod due;
mod flow;
mod history;
mod identity;
mod layer;
mod page;
mod refresh;
mod relying_party;
mod reply;
mod return_path;
mod rotation;
mod seal;
mod service;
mod session;
mod session_id;
mod sign_out;
mod site;
mod store;
mod tokens;

pub use self::layer::{LoginBuilder, LoginLayer, LoginReadiness};
pub use self::page::{OnPage, Page, PlainPages};
pub use self::refresh::{
    EndReason, Fence, FenceOutcome, LeaseOutcome, Record, RefreshState, Renewal, Settlement,
};
pub use self::relying_party::PassedParameter;
pub use self::return_path::ReturnPath;
pub use self::seal::{KeyRing, Purpose, SealError};
pub use self::service::{Login, LoginGate};
pub use self::session::{LiveToken, Session};
pub use self::session_id::{SessionId, StoreKey};
pub use self::store::{MemoryStore, Owner, SessionStore, StoreFuture, Stored};
pub use crate::secret::NoRandomness;
