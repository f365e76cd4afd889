//! Changes to the answers of the authorization endpoint.

use std::sync::Arc;

use crate::testing::provider::DevelopmentProvider;

impl DevelopmentProvider {
    /// Changes the parameters that browsers bring back from the authorization endpoint from now on, such as `code`,
    /// `state` and `iss`, in the order in which they are sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let idp = tower_oidc::testing::DevelopmentProvider::start().await?;
    /// // A provider that does not say who it is (RFC 9207).
    /// idp.edit_authorization_answer(|answer| answer.retain(|(name, _)| name != "iss"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn edit_authorization_answer(
        &self,
        edit: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static,
    ) {
        self.state().changing().edits.authorization = Some(Arc::new(edit));
    }
}
