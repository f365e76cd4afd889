//! Lists have no expiry. One more list tells when each of them ends, and each sign-in drops a few that have.

use super::RedisStore;
use crate::error::StoreError;

/// Ended lists that one sign-in drops at most. It adds two, so that they do not grow without bound.
const AT_ONCE: usize = 4;

impl RedisStore {
    fn list_ends(&self) -> String {
        format!("{}:list-ends", self.prefix)
    }

    /// Remembers that a list is needed until then. To be called before a session is listed there: a list that is
    /// not remembered is never dropped.
    pub(super) async fn remember_list(&self, list: &str, until: &str) -> Result<(), StoreError> {
        let mut remember = redis::cmd("ZADD");
        // A list that is needed for longer already stays so.
        let ends = self.list_ends();
        remember.arg(ends).arg("GT").arg(until).arg(list);
        self.ask::<i64>(&remember).await.map(|_| ())
    }

    /// Drops some of the lists that have ended.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let ends = self.list_ends();
        let mut ended = self.scripts.ended.key(&ends);
        ended.arg(AT_ONCE);
        for list in self.run::<Vec<String>>(&ended).await? {
            let last_end = self.scripts.index.key(&list);
            if let Some(until) = self.run::<Option<String>>(&last_end).await? {
                // A failover kept the list and lost its end.
                self.remember_list(&list, &until).await?;
            } else {
                let mut forget = self.scripts.forget.key(&ends);
                forget.arg(&list);
                self.run::<i64>(&forget).await?;
            }
        }
        Ok(())
    }
}
