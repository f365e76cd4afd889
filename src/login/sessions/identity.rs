//! Whether renewed tokens are still about whoever signed in.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::error::VerifyErrorKind;
use crate::login::relying_party::{RelyingParty, Unopened};
use crate::login::sessions::id::StoreKey;
use crate::login::sessions::record::{EndReason, LeaseOutcome, Settlement};
use crate::login::sessions::renewals::{LEASE, Outcome};
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::Stored;
use crate::observe;
use crate::provider::token_endpoint::TokenAnswer;
use crate::secret::Secret;
use crate::verify::id_token::Expected;

impl RelyingParty {
    /// Holds what came against who signed in
    /// ([OpenID Connect Core §12.2](https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse)).
    /// It is stored already: another process that reads it verifies the access token for itself.
    pub(crate) async fn check_identity(
        self: &Arc<Self>,
        key: StoreKey,
        tokens: &TokenSet,
        answer: &TokenAnswer,
        renewed: Stored<()>,
    ) -> Outcome {
        let now = self.provider.clock().now();
        let is_other = match &answer.id_token {
            Some(id_token) => self.is_somebody_else(tokens, answer, id_token, now).await,
            None => false,
        };
        let is_other = is_other
            || match self.open(key, &renewed.record).await {
                Err(Unopened::Refused { error, .. }) if error.claim_name() == Some("sub") => true,
                Err(Unopened::Refused { error, .. }) => {
                    tracing::error!(
                        kind = error.kind().as_str(),
                        remedy = error.remedy(),
                        "the provider answered a refresh with an access token that is refused here"
                    );
                    false
                }
                _ => false,
            };
        if !is_other {
            return Outcome::Renewed(Box::new(renewed));
        }
        tracing::error!(
            "the provider answered a refresh with tokens of another identity; the session ends"
        );
        observe::refreshed("identity_changed");
        let reason = EndReason::IdentityChanged;
        if let Ok(Some(stored)) = self
            .store
            .try_lease(key, renewed.record.generation, LEASE)
            .await
            && let LeaseOutcome::Leased(fence) = stored.outcome
        {
            self.settle(key, fence, Settlement::Ended(reason)).await;
        }
        self.opened.forget(key);
        self.revoke_behind(answer.refresh_token.clone());
        Outcome::Over(Some(reason))
    }

    async fn is_somebody_else(
        &self,
        tokens: &TokenSet,
        answer: &TokenAnswer,
        id_token: &Secret,
        now: UnixTime,
    ) -> bool {
        let expected = Expected {
            access_token: Some(answer.access_token.expose()),
            ..Expected::default()
        };
        match self
            .id_tokens
            .verify(id_token.expose(), now, &expected)
            .await
        {
            Ok(id_token) => {
                let auth_time = id_token.auth_time().map(UnixTime::as_seconds);
                let is_newer =
                    matches!((auth_time, tokens.auth_time), (Some(new), Some(old)) if new > old);
                let is_other_nonce = id_token
                    .nonce()
                    .is_some_and(|nonce| tokens.nonce.as_deref() != Some(nonce));
                id_token.issuer() != tokens.issuer
                    || id_token.subject() != tokens.subject
                    || is_newer
                    || is_other_nonce
            }
            // Nobody can tell for want of keys; the access token is verified before it is used.
            Err(error) => error.kind() != VerifyErrorKind::Unavailable,
        }
    }
}
