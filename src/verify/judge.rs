//! The judgement of a token, step by step, from its bytes to a [`Principal`].

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::error::remedy::Cause;
use crate::error::setup::{Found, Setup};
use crate::error::{VerifyError, VerifyErrorKind as Kind};
use crate::jwt::{
    Algorithm, AlgorithmSet, CallerClaims, CompactJws, DecodedJws, JoseHeader, Json,
    UnverifiedClaims,
};
use crate::keys::jwk_set::{Choice, TokenIssuer};
use crate::keys::public_key::PublicKey;
use crate::keys::remote::{Bringer, KeySet, NewKey};
use crate::principal::{Common, Principal};
use crate::renew::{Fetching, Reading, Refusal, Snapshot};
use crate::revocations::Revocations;
use crate::token::is_b64token;
use crate::verify::awaited_keys::{Keys, PendingKeys};
use crate::verify::clients::AllowedClients;
use crate::verify::expectation::{Expectation, says_access_token, screen_header};
#[cfg(feature = "login")]
use crate::verify::expectation::{Times, numeric_date};
use crate::verify::issuer_source::{IssuerSource, LookedUp};
use crate::verify::scopes::ScopeRules;
use crate::verify::trust::{Named, TrustedIssuers, issuer_of};
use crate::verify::trusted::Trusted;

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
    /// The only clients whose tokens are accepted. `None`: all.
    pub(super) clients: Option<AllowedClients>,
    /// What errors say about the configuration.
    pub(super) setup: Arc<Setup>,
    /// Shared by its principals.
    pub(super) common: Arc<Common>,
    pub(super) bringer: Bringer,
    /// What was revoked. `None`: nothing can be.
    pub(super) revocations: Option<Revocations>,
}

/// The judgement of a token that is not refused.
pub(super) enum Judgement {
    Genuine(Genuine),
    /// Keys must be fetched first.
    Wait(PendingKeys),
    /// The issuer must be looked up first.
    LookUp(PendingIssuer),
}

/// A token that passed every check.
pub(super) struct Genuine {
    pub(super) principal: Principal,
    /// The place or number of its issuer.
    pub(super) issuer: u64,
    /// The serial of the keys.
    pub(super) keys: u64,
    /// When it was judged.
    pub(super) now: UnixTime,
    /// The times at which it passes the checks on times.
    pub(super) window: Range<UnixTime>,
}

/// An issuer that must be looked up.
pub(crate) struct PendingIssuer(Box<str>);

impl Judge {
    /// The checks, in the order that [`verify`](crate::verify) lists.
    pub(super) fn judge(&self, token: &[u8], keys: Keys) -> Result<Judgement, VerifyError> {
        self.judge_knowing(token, keys, None)
    }

    /// The same, where the issuer source was asked for this token and said `looked_up`.
    fn judge_knowing(
        &self,
        token: &[u8],
        keys: Keys,
        looked_up: Option<&LookedUp>,
    ) -> Result<Judgement, VerifyError> {
        self.check(token, keys, looked_up)
            .map_err(|error| error.judged_by(&self.setup))
    }

    /// Waits for the look-up of the issuer, and for its keys.
    pub(super) async fn judge_after_look_up(
        &self,
        token: &[u8],
        PendingIssuer(iss): PendingIssuer,
    ) -> Result<Genuine, VerifyError> {
        let Some(source) = self.issuers.source() else {
            return Err(Kind::Unavailable.into());
        };
        let looked_up = source.look_up(&iss).await?;
        match self.judge_knowing(token, Keys::AtHand, Some(&looked_up))? {
            Judgement::Genuine(genuine) => Ok(genuine),
            Judgement::Wait(keys) => self.judge_after(token, keys).await,
            Judgement::LookUp(_) => Err(Kind::Unavailable.into()),
        }
    }

    /// Waits for one fetch, and for a second one if the first was under way when the token came.
    pub(super) async fn judge_after(
        &self,
        token: &[u8],
        mut keys: PendingKeys,
    ) -> Result<Genuine, VerifyError> {
        let looked_up = keys.looked_up.take();
        let looked_up = looked_up.as_ref();
        loop {
            let judged = match keys.awaited().await? {
                Some(awaited) => self.judge_knowing(token, awaited.as_keys(), looked_up)?,
                None => self.judge_knowing(token, Keys::AtHand, looked_up)?,
            };
            match judged {
                Judgement::Genuine(genuine) => return Ok(genuine),
                Judgement::Wait(next) => keys = next,
                Judgement::LookUp(_) => return Err(Kind::Unavailable.into()),
            }
        }
    }

    fn check(
        &self,
        token: &[u8],
        keys: Keys,
        looked_up: Option<&LookedUp>,
    ) -> Result<Judgement, VerifyError> {
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
        let named = self.issuers.named_by(&claims, looked_up)?;
        let issuer = match &named {
            Named::Configured(issuer) => *issuer,
            Named::Found(found) => &found.value,
            Named::Elsewhere(source) => {
                let now = source.clock().now();
                self.expectation.screen(&claims, says_access_token, now)?;
                return self.look_up(&jws, &claims, source, looked_up);
            }
        };
        let now = issuer.provider.clock().now();
        let times = self.expectation.screen(&claims, says_access_token, now)?;

        // 4. The keys of that issuer.
        let at_hand;
        let (keys, standing) = match keys {
            Keys::Fetched { keys, since_token } if since_token => (keys, Standing::SinceToken),
            Keys::Fetched { keys, .. } => (keys, Standing::Fetched),
            Keys::AtHand => match issuer.provider.keys().read() {
                Reading::Ready(snapshot) => {
                    at_hand = snapshot;
                    let keys = (*at_hand).as_deref().ok_or(Kind::Unavailable)?;
                    (keys, Standing::AtHand)
                }
                Reading::Wait(fetching) => {
                    let is_new = fetching.is_new;
                    return Ok(named.wait(issuer, fetching, is_new));
                }
                Reading::Refused(refusal) => return named.unread(refusal),
            },
        };

        // 5. The signature.
        match self.check_signature(&jws, algorithm, kid.as_deref(), issuer, &keys.value) {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::UnknownKey => {
                return self.look_further(token, &named, issuer, (keys, standing), times.issued_at);
            }
            Err(error) => return Err(error),
        }

        // 6. What the application reads of the claims later can be read.
        let caller = CallerClaims::parse(jws.payload())?;
        if let Some(clients) = &self.clients {
            clients.check(&caller)?;
        }
        let made = self.principal(&claims, &caller, jws.payload(), issuer);
        let principal = made(jws.into_text(), &times);

        // 7. It was not revoked.
        if principal.is_revoked() {
            return Err(Kind::Revoked.into());
        }
        Ok(Judgement::Genuine(Genuine {
            principal,
            issuer: issuer.place,
            keys: keys.serial,
            now,
            window: times.valid_from..times.valid_until,
        }))
    }

    /// Whether the source must be asked about the issuer of a token, or has been. The token passes every check that
    /// needs no provider.
    #[cold]
    fn look_up(
        &self,
        jws: &DecodedJws,
        claims: &UnverifiedClaims,
        source: &IssuerSource,
        looked_up: Option<&LookedUp>,
    ) -> Result<Judgement, VerifyError> {
        jws.signature()?;
        let caller = CallerClaims::parse(jws.payload())?;
        if let Some(clients) = &self.clients {
            clients.check(&caller)?;
        }
        let iss = issuer_of(claims)?;
        let cause = match looked_up {
            Some(LookedUp::Unknown(cause)) => Some(*cause),
            _ => source.why_unknown(iss),
        };
        match cause {
            Some(cause) => Err(self.issuers.why_not_trusted(claims, cause)),
            None => Ok(Judgement::LookUp(PendingIssuer(iss.into()))),
        }
    }

    /// The principal of a token that was judged before and was kept under seal since. Neither its signature nor
    /// its times are checked. `None` if it is not a token of an issuer that is trusted still.
    #[cfg(feature = "login")]
    pub(super) fn recall_sealed(&self, token: &[u8], expires_at: UnixTime) -> Option<Principal> {
        let jws = self.take_apart(token).ok()?;
        let claims = UnverifiedClaims::parse(jws.payload()).ok()?;
        let caller = CallerClaims::parse(jws.payload()).ok()?;
        let issuer = self.issuers.configured(&claims).ok()?;
        let times = Times {
            expires_at,
            issued_at: numeric_date("iat", &claims.iat).ok().flatten(),
            valid_from: UnixTime::from_seconds(0),
            valid_until: expires_at,
        };
        let made = self.principal(&claims, &caller, jws.payload(), issuer);
        Some(made(jws.into_text(), &times))
    }

    pub(super) fn take_apart<'a>(&self, token: &'a [u8]) -> Result<DecodedJws<'a>, VerifyError> {
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

    pub(super) fn algorithm(&self, header: &JoseHeader) -> Result<Algorithm, VerifyError> {
        let name = header.alg.text().unwrap_or_default();
        let cause = match Algorithm::from_name(name) {
            Some(algorithm) if self.algorithms.contains(algorithm) => return Ok(algorithm),
            Some(_) => Cause::AlgorithmNotListed,
            None if matches!(name, "HS256" | "HS384" | "HS512") => Cause::SymmetricAlgorithm,
            None => Cause::Usual,
        };
        Err(VerifyError::claim(Kind::Algorithm, "alg").because(cause))
    }

    /// Where the key may be that is not in this set. The token passed every check that needs no key.
    #[cold]
    fn look_further(
        &self,
        token: &[u8],
        named: &Named,
        issuer: &Trusted,
        (keys, standing): (&Snapshot<KeySet>, Standing),
        issued_at: Option<UnixTime>,
    ) -> Result<Judgement, VerifyError> {
        let is_settled = match standing {
            Standing::AtHand => false,
            // The fetch was under way when the token came. It may have been signed after the answer.
            Standing::Fetched => !self.may_be_newer(issued_at, keys.asked_at, issuer),
            Standing::SinceToken => true,
        };
        if is_settled {
            return Err(Kind::UnknownKey.into());
        }
        let provider = issuer.provider.keys();
        match provider.look_for_new_key(keys.serial, self.bringer) {
            Ok(NewKey::There(keys)) => {
                let (keys, since_token) = (&*keys, false);
                let keys = Keys::Fetched { keys, since_token };
                self.judge_knowing(token, keys, named.looked_up().as_ref())
            }
            Ok(NewKey::Fetching(fetching)) => {
                // One fetch at a time: this one began after the one that was waited for.
                let since_token = fetching.is_new || standing == Standing::Fetched;
                Ok(named.wait(issuer, fetching, since_token))
            }
            Ok(NewKey::Nowhere) => Err(Kind::UnknownKey.into()),
            // The bound, not the provider, kept us from looking (KS-09).
            Ok(NewKey::Suppressed { asked_at, refusal }) => {
                if self.is_repeated_when_refused_for_now()
                    || self.may_be_newer(issued_at, asked_at, issuer)
                {
                    Err(refusal.into())
                } else {
                    Err(Kind::UnknownKey.into())
                }
            }
            Err(refusal) => named.unread(refusal),
        }
    }

    /// Whether a token that was issued then may have been signed after keys were asked for. A token
    /// without that time may.
    fn may_be_newer(
        &self,
        issued_at: Option<UnixTime>,
        asked_at: Duration,
        issuer: &Trusted,
    ) -> bool {
        let clock = issuer.provider.clock();
        // Times in tokens are whole seconds, rounded down.
        let age = clock.monotonic().saturating_sub(asked_at);
        let age = age.saturating_add(Duration::from_secs(1));
        let asked_at = clock.now().saturating_sub(age);
        let limit = asked_at.saturating_sub(self.expectation.leeway);
        issued_at.is_none_or(|issued_at| issued_at > limit)
    }

    /// Whether the provider sends the token again after an answer that says "not now".
    fn is_repeated_when_refused_for_now(&self) -> bool {
        match self.bringer {
            Bringer::Client => false,
            #[cfg(feature = "login")]
            Bringer::LogoutRequest => true,
            #[cfg(any(feature = "introspection", feature = "login"))]
            Bringer::TokenEndpoint => false,
        }
    }

    pub(super) fn check_signature(
        &self,
        jws: &DecodedJws,
        algorithm: Algorithm,
        kid: Option<&str>,
        issuer: &Trusted,
        keys: &KeySet,
    ) -> Result<(), VerifyError> {
        let name = issuer.named.issuer.as_str();
        if !issuer.provider.is_called(name, keys) {
            let found = || Found::new([name]).instead_of(keys.issuer.as_str());
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

pub(super) fn key_id(header: JoseHeader) -> Result<Option<Cow<str>>, VerifyError> {
    match header.kid {
        Json::Absent => Ok(None),
        Json::Text(kid) => Ok(Some(kid)),
        _ => Err(VerifyError::claim(Kind::NotAJwt, "kid")),
    }
}

/// How the keys that a token is judged by stand to the token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    AtHand,
    /// Waited for, and perhaps asked for before the token came.
    Fetched,
    /// Asked for after the token came.
    SinceToken,
}

impl Named<'_> {
    /// What the source said of the issuer, so that it need not be asked twice for one token.
    fn looked_up(&self) -> Option<LookedUp> {
        match self {
            Self::Found(found) => Some(LookedUp::Found(Arc::clone(found))),
            Self::Configured(_) | Self::Elsewhere(_) => None,
        }
    }

    fn wait(&self, issuer: &Trusted, fetching: Fetching<KeySet>, since_token: bool) -> Judgement {
        let keys = PendingKeys::of(&issuer.provider, fetching, since_token);
        Judgement::Wait(keys.of_issuer(self.looked_up()))
    }

    fn unread(&self, refusal: Refusal) -> Result<Judgement, VerifyError> {
        let keys = PendingKeys::after(refusal)?;
        Ok(Judgement::Wait(keys.of_issuer(self.looked_up())))
    }
}
