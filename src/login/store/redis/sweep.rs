//! Lists without an expiry are dropped a few at a time, with each sign-in: one more list tells when each ends.

use super::RedisStore;
use crate::error::StoreError;

/// Ended lists that one sign-in drops, at the most. More than it adds, so that they do not grow without bound.
const AT_ONCE: usize = 8;

impl RedisStore {
    /// Remembers that a list is needed until then, and drops lists that have ended.
    pub(super) async fn remember_list(&self, list: &str, until: i64) -> Result<(), StoreError> {
        let ends = format!("{}:list-ends", self.prefix);
        let mut remember = redis::cmd("ZADD");
        // A list that is needed for longer already stays so.
        remember.arg(&ends).arg("GT").arg(until).arg(list);
        self.ask::<i64>(&remember).await?;
        let now = self.ask::<Vec<String>>(&redis::cmd("TIME")).await?;
        let mut ended = redis::cmd("ZRANGEBYSCORE");
        ended
            .arg(&ends)
            .arg("-inf")
            .arg(now.first().map_or("0", String::as_str))
            .arg("LIMIT")
            .arg(0)
            .arg(AT_ONCE);
        for list in self.ask::<Vec<String>>(&ended).await? {
            // Only what has ended goes: a session that was listed meanwhile stays.
            let script = self.scripts.index.key(&list);
            if self.run::<i64>(&script).await? == 0 {
                let mut forget = redis::cmd("ZREM");
                forget.arg(&ends).arg(&list);
                self.ask::<i64>(&forget).await?;
            }
        }
        Ok(())
    }
}
