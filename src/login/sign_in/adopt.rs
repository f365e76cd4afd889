//! A session for tokens that the application obtained itself: from its own callback, a device flow, a native app.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::error::{LoginError, LoginErrorKind as Kind, ProviderError, ProviderErrorKind};
use crate::login::browser::session_cookie;
use crate::login::sessions::handle::Session;
use crate::login::sessions::id::SessionId;
use crate::login::sessions::opener::{Unopened, refused};
use crate::login::sign_in::SignIn;
use crate::login::sign_in::attempt;
use crate::login::sign_in::establish::NewSession;
use crate::login::sign_in::obtained::ObtainedTokens;
use crate::login::store::StoreKey;
use crate::observe;
use crate::provider::client::token_endpoint::TokenAnswer;
use crate::secret::Secret;
use crate::verify::id_token::{Expected, Nonce};

/// The `nonce` of the authorization request from which [adopted](crate::LoginLayer::adopt) tokens came. It binds the ID
/// token to the browser that began the sign-in
/// ([OpenID Connect Core §3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest)).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum SentNonce<'a> {
    /// This one was sent. The ID token must have it.
    Is(&'a str),
    /// None was sent, because there was no authorization request (a device flow). The ID token must have none.
    NotSent,
}

impl fmt::Debug for SentNonce<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Is(_) => "Is(..)",
            Self::NotSent => "NotSent",
        })
    }
}

/// A session of tokens that the application obtained, and the cookie by which the browser names it.
#[derive(Debug)]
#[must_use = "without the cookie the browser is not signed in"]
pub struct Adopted {
    session: Session,
    cookie: HeaderValue,
}

impl Adopted {
    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The value of the `Set-Cookie` field that signs the browser in. It is a secret, and belongs into the answer to
    /// the browser whose tokens these are.
    #[must_use]
    pub fn set_cookie(&self) -> &HeaderValue {
        &self.cookie
    }
}

impl SignIn {
    /// Makes a session of tokens after the checks of a callback. Nothing is stored where one of them fails. `former` is
    /// the session that the browser had before.
    pub(crate) async fn adopt(
        &self,
        former: Option<SessionId>,
        tokens: ObtainedTokens,
        nonce: SentNonce<'_>,
    ) -> Result<Adopted, LoginError> {
        let adopted = self.make_session(former, tokens, nonce).await;
        observe::signed_in(match &adopted {
            Ok(_) => "signed_in",
            Err(error) => error.kind().as_str(),
        });
        adopted
    }

    async fn make_session(
        &self,
        former: Option<SessionId>,
        tokens: ObtainedTokens,
        nonce: SentNonce<'_>,
    ) -> Result<Adopted, LoginError> {
        if !tokens.is_bearer() {
            let problem = "the tokens that the application obtained are not of the type Bearer";
            let error = ProviderError::new(ProviderErrorKind::InvalidAnswer, problem);
            return Err(LoginError::provider(Kind::TokenRefused, error));
        }
        let used = tokens.id_token().map(used).ok_or(Kind::IdTokenRefused)?;
        let answer = tokens.into_answer();
        let expected = Expected {
            nonce: match nonce {
                SentNonce::Is(nonce) => Nonce::Is(nonce),
                SentNonce::NotSent => Nonce::Absent,
            },
            ..Expected::default()
        };
        let judged = self.judge(&expected, &answer).await?;
        // Without a request of ours, what the provider says of its time is all that is known.
        let now = self.provider.clock().now();
        let began = judged.issued_at().map_or(now, |issued| issued.min(now));
        let until = now
            .saturating_add(attempt::LIFETIME)
            .saturating_add(self.sessions.leeway);
        let marked = self.use_once(used, until).await?;
        let made = self.establish(former, judged, &answer, marked, began).await;
        match made {
            Ok(made) => self.adopted(made, &answer).await,
            Err(not_made) => {
                if !not_made.is_revoked {
                    // The application can try again.
                    drop(self.sessions.marks.clear(used).await);
                }
                Err(not_made.error)
            }
        }
    }

    async fn adopted(
        &self,
        NewSession {
            id,
            lifetime,
            record,
            tag,
        }: NewSession,
        answer: &TokenAnswer,
    ) -> Result<Adopted, LoginError> {
        let key = id.store_key();
        let opened = match self.sessions.opener.open(key, &record, tag).await {
            Ok(opened) => opened,
            // The keys went away meanwhile, and no browser will have the cookie.
            Err(unopened) => {
                self.abandon(key, answer).await;
                return Err(match unopened {
                    Unopened::Refused { error, .. } => refused(&error),
                    Unopened::Sealed | Unopened::SomebodyElse => Kind::Misconfigured.into(),
                });
            }
        };
        let value = session_cookie::value_of(&id, &self.sessions.opener.sealing);
        Ok(Adopted {
            session: Session::new(Arc::clone(&self.sessions), key, opened),
            cookie: self.cookies.set(&self.cookies.session, &value, lifetime),
        })
    }
}

/// Marks an ID token as used: a second session would spend the same refresh token, which providers take for theft. The
/// signature is not part of it, because some can be written in two ways.
fn used(id_token: &Secret) -> StoreKey {
    let token = id_token.expose();
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    StoreKey::of(&["adopted ID token", signed])
}
