//! Signing out in a frame of the provider's page
//! ([Front-Channel Logout](https://openid.net/specs/openid-connect-frontchannel-1_0.html)).

use http::StatusCode;
use http::request::Parts;
use url::Url;

use crate::error::Chain;
use crate::login::browser::query::single;
use crate::login::browser::reply::Reply;
use crate::login::sessions::id::session_key;
use crate::login::sign_out::SignOut;
use crate::login::store::OwnedBy;

impl SignOut {
    /// Ends the sessions of the provider's session that the frame names.
    pub(crate) async fn frontchannel(&self, parts: &Parts) -> Reply {
        let reply = match self.provider.metadata().await {
            Ok(metadata) => {
                let framer = Url::parse(metadata.value.server.issuer.as_str()).map_or_else(
                    |_| "'none'".to_owned(),
                    |url| url.origin().ascii_serialization(),
                );
                Reply::empty(StatusCode::OK).framed_by(&framer)
            }
            Err(_) => return Reply::empty(StatusCode::SERVICE_UNAVAILABLE),
        };
        // Browsers send no cookie into a frame of another site, so the provider's session has to be named. A
        // caller that cannot name it ends nothing.
        let sid = single(parts, "sid").filter(|sid| !sid.is_empty());
        let (Some(iss), Some(sid)) = (single(parts, "iss"), sid) else {
            return reply;
        };
        let listed = OwnedBy::Session(session_key(&iss, &sid));
        match self.end_listed(listed).await {
            Ok(_) => reply,
            Err(error) => {
                tracing::warn!(
                    error = %Chain(&error),
                    "a front-channel logout failed: the store does not answer"
                );
                Reply::empty(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }
}
