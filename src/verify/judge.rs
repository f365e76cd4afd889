//! The judgement of a token, step by step, from its bytes to a [`Principal`].

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::error::remedy::Cause;
use crate::error::setup::{Found, Setup};
use crate::error::{ProviderError, VerifyError, VerifyErrorKind as Kind};
use crate::flight::Flight;
use crate::jwt::{
    Algorithm, AlgorithmSet, CompactJws, DecodedJws, JoseHeader, Json, UnverifiedClaims,
};
use crate::keys::jwk_set::{Choice, TokenIssuer};
use crate::keys::public_key::PublicKey;
use crate::keys::remote::KeySet;
use crate::log_pace::LogPace;
use crate::principal::{MISFITS, Principal, Verified};
use crate::provider::Provider;
use crate::renew::{Outcome, Reading, Refusal, Snapshot};
use crate::token::is_b64token;
use crate::verify::caller::{client_id, is_client};
use crate::verify::expectation::{Expectation, says_access_token, screen_header};
use crate::verify::scopes::ScopeRules;
use crate::verify::trust::{Trusted, TrustedIssuers};

/// What a token is judged by.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) issuers: TrustedIssuers,
    pub(super) expectation: Expectation,
    pub(super) algorithms: AlgorithmSet,
    /// Whether an algorithm must also be one that the provider lists.
    pub(super) narrowed_by_provider: bool,
    pub(super) max_token_size: usize,
    pub(super) scopes: ScopeRules,
    /// What errors say about the configuration.
    pub(super) setup: Arc<Setup>,
    /// Shared by its principals.
    pub(super) misfits: Arc<LogPace<MISFITS>>,
}

/// The keys to judge by.
#[derive(Clone, Copy)]
pub(super) enum Keys<'a> {
    /// Those at hand. A key that is not among them may be fetched.
    AtHand,
    /// These, which were just fetched, and no others.
    Fetched(&'a Snapshot<KeySet>),
}

/// The judgement of a token that is not refused.
pub(super) enum Judgement {
    Genuine(Genuine),
    /// Keys must be fetched first.
    Wait(PendingKeys),
}

/// A token that passed every check.
pub(super) struct Genuine {
    pub(super) principal: Principal,
    /// The place of its issuer in the list of those trusted.
    pub(super) issuer: usize,
    /// The serial of the keys.
    pub(super) keys: u64,
    /// When it was judged.
    pub(super) now: UnixTime,
    /// The times at which it passes the checks on times.
    pub(super) window: Range<UnixTime>,
}

/// Keys that are being fetched, and from which provider.
pub(crate) struct PendingKeys {
    flight: Flight<Outcome<KeySet>>,
    provider: Provider,
}

impl Judge {
    /// The checks, in the order that [`verify`](crate::verify) lists.
    pub(super) fn judge(&self, token: &[u8], keys: Keys) -> Result<Judgement, VerifyError> {
        self.check(token, keys)
            .map_err(|error| error.judged_by(&self.setup))
    }

    fn check(&self, token: &[u8], keys: Keys) -> Result<Judgement, VerifyError> {
        // 1. Size and form.
        let jws = self.take_apart(token)?;

        // 2. The header.
        let header = JoseHeader::parse(jws.header())?;
        screen_header(&header, self.expectation.kind)?;
        let algorithm = self.algorithm(&header)?;
        let says_access_token = says_access_token(&header);
        let kid = key_id(header)?;

        // 3. The claims. Unverified as they are, they can refuse the token and choose its issuer.
        let claims = UnverifiedClaims::parse(jws.payload())?;
        let issuer = self.issuers.named_by(&claims)?;
        let now = issuer.provider.clock().now();
        let times = self.expectation.screen(&claims, says_access_token, now)?;

        // 4. The keys of that issuer.
        let may_fetch = matches!(keys, Keys::AtHand);
        let at_hand;
        let keys = match keys {
            Keys::Fetched(keys) => keys,
            Keys::AtHand => match issuer.provider.keys().read() {
                Reading::Ready(snapshot) => {
                    at_hand = snapshot;
                    (*at_hand).as_deref().ok_or(Kind::Unavailable)?
                }
                Reading::Wait(flight) => return Ok(wait(&issuer.provider, flight)),
                Reading::Refused(refusal) => return Err(refusal.into()),
            },
        };

        // 5. The signature.
        match self.check_signature(&jws, algorithm, kid.as_deref(), issuer, &keys.value) {
            Ok(()) => {}
            Err(error) if may_fetch && error.kind() == Kind::UnknownKey => {
                return match issuer.provider.keys().look_for_new_key()? {
                    Some(flight) => Ok(wait(&issuer.provider, flight)),
                    None => Err(error),
                };
            }
            Err(error) => return Err(error),
        }

        Ok(Judgement::Genuine(Genuine {
            principal: Principal::verified(Verified {
                issuer: issuer.named.issuer.clone(),
                scopes: self.scopes.of(&claims, jws.payload()),
                audience: match &claims.aud {
                    Json::Texts(named) => named.iter().map(|named| boxed(named)).collect(),
                    other => other.text().map(boxed).into_iter().collect(),
                },
                subject: claims.sub.text().map(boxed),
                client_id: client_id(&claims).map(boxed),
                is_client: is_client(&claims),
                expires_at: times.expires_at,
                issued_at: times.issued_at,
                text: jws.into_text(),
                misfits: Arc::clone(&self.misfits),
            }),
            issuer: issuer.place,
            keys: keys.serial,
            now,
            window: times.valid_from..times.valid_until,
        }))
    }

    fn take_apart<'a>(&self, token: &'a [u8]) -> Result<DecodedJws<'a>, VerifyError> {
        if token.len() > self.max_token_size {
            return Err(Kind::TooLarge.into());
        }
        CompactJws::split(token)
            .and_then(|jws| jws.decode())
            .map_err(|kind| match kind {
                Kind::TooLarge => VerifyError::new(kind).because(Cause::HeaderTooLarge),
                _ if is_b64token(token) => kind.into(),
                _ => Kind::Malformed.into(),
            })
    }

    fn algorithm(&self, header: &JoseHeader) -> Result<Algorithm, VerifyError> {
        let name = header.alg.text().unwrap_or_default();
        let cause = match Algorithm::from_name(name) {
            Some(algorithm) if self.algorithms.contains(algorithm) => return Ok(algorithm),
            Some(_) => Cause::AlgorithmNotListed,
            None if matches!(name, "HS256" | "HS384" | "HS512") => Cause::SymmetricAlgorithm,
            None => Cause::Usual,
        };
        Err(VerifyError::claim(Kind::Algorithm, "alg").because(cause))
    }

    fn check_signature(
        &self,
        jws: &DecodedJws,
        algorithm: Algorithm,
        kid: Option<&str>,
        issuer: &Trusted,
        keys: &KeySet,
    ) -> Result<(), VerifyError> {
        let name = issuer.named.issuer.as_str();
        if !issuer.provider.is_called(name, keys) {
            let found = Found::new([name]).instead_of(keys.issuer.as_str());
            return Err(VerifyError::claim(Kind::WrongIssuer, "iss").having(found));
        }
        let is_listed = keys.listed.is_none_or(|listed| listed.contains(algorithm));
        if self.narrowed_by_provider && !is_listed {
            let error = VerifyError::claim(Kind::Algorithm, "alg");
            return Err(error.because(Cause::AlgorithmNotInMetadata));
        }
        let signature = jws.signature()?;
        let holder = TokenIssuer {
            issuer: name,
            tenant: issuer.named.tenant.as_deref(),
        };
        let verifies = |key: &PublicKey| key.verifies(jws.signing_input, signature.as_bytes());
        match keys.jwks.choose(kid, algorithm, &holder) {
            Choice::One(key) if verifies(key) => Ok(()),
            Choice::One(_) => Err(Kind::BadSignature.into()),
            Choice::Candidates(keys) if keys.iter().any(|key| verifies(key)) => Ok(()),
            // The token names no key, so it may have been signed with a new one.
            Choice::Candidates(_) | Choice::Unknown => Err(Kind::UnknownKey.into()),
            Choice::OtherAlgorithm => {
                let error = VerifyError::claim(Kind::Algorithm, "alg");
                Err(error.because(Cause::KeyOfOtherAlgorithm))
            }
            Choice::Ambiguous => Err(Kind::AmbiguousKey.into()),
        }
    }
}

fn key_id(header: JoseHeader) -> Result<Option<Cow<str>>, VerifyError> {
    match header.kid {
        Json::Absent => Ok(None),
        Json::Text(kid) => Ok(Some(kid)),
        _ => Err(VerifyError::claim(Kind::NotAJwt, "kid")),
    }
}

fn boxed(text: &str) -> Box<str> {
    text.into()
}

fn wait(provider: &Provider, flight: Flight<Outcome<KeySet>>) -> Judgement {
    Judgement::Wait(PendingKeys {
        flight,
        provider: provider.clone(),
    })
}

impl PendingKeys {
    /// The keys, once they are fetched.
    pub(super) async fn fetched(self) -> Result<Arc<Snapshot<KeySet>>, VerifyError> {
        let fetched = self.flight.landed().await;
        fetched.map_err(|error: ProviderError| self.provider.keys().refusal(error).into())
    }
}

impl From<Refusal> for VerifyError {
    fn from(refusal: Refusal) -> Self {
        Self::unavailable(refusal.error, refusal.retry_after)
    }
}
