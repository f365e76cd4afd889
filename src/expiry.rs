//! Waiting for the end of what was accepted.

use std::time::Duration;

use crate::clock::{SharedClock, UnixTime};

/// A session that ends.
#[cfg(feature = "login")]
pub(crate) type Ended = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Between two looks. Clocks are set, machines are suspended, and a revocation wakes nothing: each of thousands of
/// streams would wake at each revocation of any token.
const LOOK: Duration = Duration::from_secs(1);

/// Completes at this time of the clock, or when it `is_revoked` before.
pub(crate) async fn expired(clock: &SharedClock, end: UnixTime, is_revoked: impl Fn() -> bool) {
    while !is_revoked() && clock.now() < end {
        tokio::time::sleep(LOOK).await;
    }
}
