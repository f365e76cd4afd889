//! Sign-ins that another site has begun, most often the provider, from its page of applications
//! ([OpenID Connect Core §4](https://openid.net/specs/openid-connect-core-1_0.html#ThirdPartyInitiatedLogin)).

use http::request::Parts;
use url::Url;

use crate::error::LoginErrorKind as Kind;
use crate::login::browser::query::single;
use crate::login::browser::reply::{Reply, provider_failed};
use crate::login::browser::return_path::ReturnPath;
use crate::login::sign_in::SignIn;
use crate::login::sign_in::start::is_passable;

impl SignIn {
    /// Sends the browser to the provider, if `iss` is that provider's issuer.
    pub(crate) async fn initiated(&self, parts: &Parts) -> Reply {
        let metadata = match self.provider.metadata().await {
            Ok(metadata) => metadata,
            Err(refusal) => {
                let error = provider_failed(refusal.error).with_retry_after(refusal.retry_after);
                return self.site.tell(parts, error, &self.site.home());
            }
        };
        let issuer = metadata.value.server.issuer.as_str();
        let is_ours = single(parts, "iss").is_some_and(|iss| self.is_called(issuer, &iss));
        if !is_ours {
            let error = Kind::InitiatorRefused.into();
            return self.site.tell(parts, error, &self.site.home());
        }
        let target = single(parts, "target_link_uri").and_then(|target| self.here(&target));
        let hint = single(parts, "login_hint").filter(|hint| is_passable(hint));
        let target = target.unwrap_or_else(|| self.site.home());
        self.send(parts, &target, hint.as_deref()).await
    }

    /// The path of an address, if that is a page of this site.
    fn here(&self, target: &str) -> Option<ReturnPath> {
        let origin = Url::parse(&self.site.origin).ok()?;
        let url = origin.join(target).ok()?;
        let is_here = url.origin() == origin.origin()
            && url.username().is_empty()
            && url.password().is_none();
        // As it was written where it is a path: a parser has resolved what a path must not hold.
        let path = if target.starts_with('/') {
            target
        } else {
            target.strip_prefix(self.site.origin.as_str())?
        };
        let path = if path.is_empty() { "/" } else { path };
        self.site.page_path(path).filter(|_| is_here)
    }
}
