//! The two ways to be signed in: who the principal of a session is.

use crate::clock::UnixTime;
use crate::error::VerifyError;
use crate::login::sessions::record::Record;
use crate::login::sessions::tokens::TokenSet;
use crate::principal::Principal;
use crate::verify::Verifier;
use crate::verify::id_token::IdTokenVerifier;

/// What says who the user of a session is.
#[derive(Clone)]
pub(crate) enum Mode {
    /// The access token, which is for this service and is verified by it.
    Token(Verifier),
    /// The ID token. The access token is for others: to a client it is a string without structure
    /// ([RFC 6749 §1.4](https://www.rfc-editor.org/rfc/rfc6749#section-1.4)).
    Identity(IdTokenVerifier),
}

impl Mode {
    pub(crate) fn is_identity(&self) -> bool {
        matches!(self, Self::Identity(_))
    }

    /// What verifies the access tokens of this service.
    pub(crate) fn verifier(&self) -> Option<&Verifier> {
        match self {
            Self::Token(verifier) => Some(verifier),
            Self::Identity(_) => None,
        }
    }

    /// The principal of the access token, where it is judged here. Its `sub` may be written otherwise than in the
    /// ID token.
    pub(crate) async fn judge_access_token(
        &self,
        token: &str,
    ) -> Result<Option<Principal>, VerifyError> {
        match self {
            Self::Token(verifier) => verifier.verify(token).await.map(Some),
            Self::Identity(_) => Ok(None),
        }
    }

    /// When a session ends that has no refresh token, if its access token ends at `access_expires_at` and the limits
    /// are these: with the token that says who the user is. An ID token has said it for good.
    pub(crate) fn end_unrenewed(
        &self,
        access_expires_at: UnixTime,
        limits: (UnixTime, UnixTime),
    ) -> (UnixTime, UnixTime) {
        match self {
            Self::Token(_) => (access_expires_at, access_expires_at),
            Self::Identity(_) => limits,
        }
    }
}

/// What the principal of a record comes to.
pub(crate) enum Caller {
    Known(Principal),
    /// The tokens are good, and about another person than the one who signed in.
    SomebodyElse,
    Refused(VerifyError),
    /// The ID token is not one of the provider that is configured now, or the session was begun in identity mode and
    /// this is token mode.
    Unknown,
}

impl Mode {
    /// Whether these tokens can say who the user is. Where the session began in identity mode, its access token was
    /// never verified and may be opaque.
    pub(crate) fn takes(&self, tokens: &TokenSet) -> bool {
        self.is_identity() || !tokens.is_identity
    }

    /// The principal of tokens that were under seal.
    pub(crate) async fn caller(&self, tokens: &TokenSet, record: &Record) -> Caller {
        match self {
            Self::Token(_) if !self.takes(tokens) => Caller::Unknown,
            Self::Token(verifier) => match verifier.verify(tokens.access_token.expose()).await {
                Ok(principal) if principal.subject() == tokens.access_subject.as_deref() => {
                    Caller::Known(principal)
                }
                Ok(_) => Caller::SomebodyElse,
                Err(error) => Caller::Refused(error),
            },
            Self::Identity(id_tokens) => id_tokens
                .recall_sealed(&tokens.id_token, record.ends_at)
                .map_or(Caller::Unknown, Caller::Known),
        }
    }
}
