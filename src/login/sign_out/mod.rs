//! Signing out: here first, then at the provider; and when the provider says so.

pub(crate) mod backchannel;
pub(crate) mod frontchannel;
pub(crate) mod local;

use std::sync::Arc;

use url::Url;

use crate::error::StoreError;
use crate::login::audit::{About, By};
use crate::login::browser::cookie::CookieNames;
use crate::login::browser::site::Site;
use crate::login::sessions::Sessions;
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::{OwnedBy, StoreKey};
use crate::provider::{Client, Provider};
use crate::verify::logout_token::LogoutTokenVerifier;

/// Signs browsers out.
pub(crate) struct SignOut {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) provider: Provider,
    pub(crate) client: Client,
    pub(crate) logout_tokens: LogoutTokenVerifier,
    pub(crate) site: Arc<Site>,
    pub(crate) cookies: Arc<CookieNames>,
    pub(crate) settings: SignOutSettings,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(crate) struct SignOutSettings {
    pub(crate) at_provider: bool,
    /// Further parameters of the request to the provider.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) back_to: Url,
    /// Its path, where it lies on this site.
    pub(crate) path_back: Option<String>,
    pub(crate) frontchannel: bool,
    pub(crate) revokes_offline_access: bool,
    /// Whether visitors are signed in without a page, which one who has signed out does not want.
    pub(crate) signs_in_silently: bool,
}

impl SignOut {
    fn audit(&self, key: StoreKey, tokens: Option<&TokenSet>, by: By) {
        let issuer = self.provider.issuer().as_str();
        About::ended(key, tokens, issuer).signed_out(by);
    }

    /// Ends the sessions listed there because the provider says so, and returns their number. Their refresh
    /// tokens are revoked, but for those for offline access, which are meant to outlive them
    /// (Back-Channel Logout §2.7) unless configured otherwise.
    async fn end_listed(&self, owner: OwnedBy) -> Result<usize, StoreError> {
        let (mut count, mut failed) = (0, None);
        for key in self.sessions.ledger.store().find(owner).await? {
            let ended = match self.sessions.end(key).await {
                Ok(Some(ended)) => ended,
                Ok(None) => continue,
                // The others are ended all the same: perhaps the provider does not try again.
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            count += 1;
            self.audit(key, ended.tokens.as_ref(), By::Provider);
            let Some(tokens) = ended.tokens else { continue };
            let is_offline = tokens.scope.split(' ').any(|word| word == "offline_access");
            if !is_offline || self.settings.revokes_offline_access {
                self.sessions.revoker.revoke_behind(tokens.refresh_token);
            }
        }
        failed.map_or(Ok(count), Err)
    }
}
