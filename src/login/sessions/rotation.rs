//! What a task with a lease does: it spends the refresh token, stores what came of it, and then looks at it.
//!
//! The new tokens are stored the moment the provider's answer parses. Everything else comes after.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Chain, LoginError, LoginErrorKind as Kind, ProviderError, ProviderErrorKind};
use crate::login::audit::About;
use crate::login::sessions::due::back_off;
use crate::login::sessions::ledger::Seen;
use crate::login::sessions::opener::Unopened;
use crate::login::sessions::record::{EndReason, FenceOutcome, RefreshState, Renewal, Settlement};
use crate::login::sessions::refreshed_identity::Told;
use crate::login::sessions::renewals::{
    COMMIT_PATIENCE, GRANT, Outcome, Purpose, Renewals, STORE_CALL,
};
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::{StoreKey, Tag};
use crate::observe;
use crate::provider::client::token_endpoint::{GrantFailure, TokenAnswer};
use crate::secret::Secret;
use crate::token::lifetime::{stated_expiry, token_lifetime};

/// Until the next attempt when a setting, or the user, must do something first.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// Between two attempts within the provider's grace.
const GRACE_PAUSE: Duration = Duration::from_millis(500);

impl Renewals {
    /// Spends the refresh token, holding the lease.
    pub(crate) async fn spend(
        self: &Arc<Self>,
        key: StoreKey,
        mut fence: Tag,
        mut leased: Seen,
        purpose: Purpose,
    ) -> Outcome {
        let tokens = self.opener.tokens(key, &leased.record);
        let spendable = tokens.and_then(|tokens| Some((tokens.refresh_token.clone()?, tokens)));
        let Some((refresh_token, tokens)) = spendable else {
            let unspent = Settlement::Unspent(self.ledger.now(&leased));
            self.settle(key, &leased, fence, unspent).await;
            return Outcome::Over(None);
        };
        let known = self.target(purpose);
        if let Some(why) =
            known.and_then(|known| tokens.put_off(&known.text, self.ledger.now(&leased)))
        {
            // A refusal leaves the generation as it is, so that the lease does not tell of it.
            return self.target_refused_before(key, fence, &leased, why).await;
        }
        let first_spent_at = leased.asked_at;
        loop {
            if !self.has_time_for_a_grant(&leased) {
                let unspent = Settlement::Unspent(self.ledger.now(&leased));
                self.settle(key, &leased, fence, unspent).await;
                return Outcome::Kept(Kind::StoreUnavailable.into());
            }
            let granted =
                tokio::time::timeout(GRANT, self.refresh_grant(&tokens, &refresh_token, purpose))
                    .await
                    .unwrap_or_else(|_| Err(GrantFailure::Uncertain(late())));
            let failure = match granted {
                Ok(answer) => {
                    return self
                        .commit(key, fence, &leased, &tokens, answer, purpose)
                        .await;
                }
                Err(failure) => failure,
            };
            let passed = self.ledger.mark().saturating_sub(first_spent_at);
            let may_repeat = matches!(failure, GrantFailure::Uncertain(_))
                && passed + GRACE_PAUSE + STORE_CALL < self.grace;
            if may_repeat && let Some(again) = self.lease_again(key, &leased, fence).await {
                (fence, leased) = again;
                continue;
            }
            let is_refused = matches!(
                failure,
                GrantFailure::Rejected(_) | GrantFailure::Misconfigured(_)
            );
            if let Some(target) = self.target(purpose).filter(|_| is_refused) {
                let refused = tokens.refused_for(target, self.ledger.now(&leased));
                let error = failure.error();
                return self
                    .target_refused(key, fence, &leased, &refused, error)
                    .await;
            }
            return self.failed(key, fence, &leased, &tokens, failure).await;
        }
    }

    /// A new lease for the same token, within the provider's grace.
    async fn lease_again(&self, key: StoreKey, leased: &Seen, fence: Tag) -> Option<(Tag, Seen)> {
        tokio::time::sleep(GRACE_PAUSE).await;
        let request = self.lease_request().ok()?;
        let applied = self.ledger.apply(key, leased.clone(), |record, now| {
            record.lease_again(now, fence, &request)
        });
        match applied.await {
            Ok(Some((FenceOutcome::Done, again))) => {
                observe::refreshed("repeated");
                Some((request.fence, again))
            }
            _ => None,
        }
    }

    async fn refresh_grant(
        &self,
        tokens: &TokenSet,
        refresh_token: &Secret,
        purpose: Purpose,
    ) -> Result<TokenAnswer, GrantFailure> {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        if let Some(known) = self.target(purpose) {
            form.extend(known.target.parameters());
            return self.provider.grant(&self.client, &form).await;
        }
        // What was granted, not what was asked for: a refresh may not widen it (RFC 6749 §6).
        if self.request.sends_scope && !tokens.scope.is_empty() {
            form.push(("scope", &tokens.scope));
        }
        if let Some(audience) = &self.request.audience {
            form.push(("audience", audience));
        }
        for resource in &self.request.resources {
            form.push(("resource", resource));
        }
        self.provider.grant(&self.client, &form).await
    }

    async fn commit(
        self: &Arc<Self>,
        key: StoreKey,
        fence: Tag,
        leased: &Seen,
        tokens: &TokenSet,
        answer: TokenAnswer,
        purpose: Purpose,
    ) -> Outcome {
        let generation = leased.record.generation;
        let now = self.ledger.now(leased);
        let clock = self.provider.clock().now();
        let exp = stated_expiry(answer.access_token.expose());
        let lifetime = token_lifetime(clock, answer.expires_in, exp);
        // A plain function call: nothing is waited for before what came is stored.
        let told = self.told_now(tokens, &answer);
        let (next, access_expires_at) = if let Some(target) = self.target(purpose) {
            // The own token stays as it is.
            let next = tokens.renewed_for(target, &answer, now, lifetime);
            (next, leased.record.access_expires_at)
        } else {
            let next = tokens.renewed(&answer, now).with_expiry_seen(exp, clock);
            let next = match (&told, &answer.id_token) {
                (Some(Told::Same(claims)), Some(id_token)) => next.with_id_token(id_token, claims),
                _ => next,
            };
            (next, now.saturating_add(lifetime))
        };
        let Ok(sealed) = next.seal(&self.opener.sealing, key, generation.saturating_add(1)) else {
            return Outcome::Kept(Kind::StoreUnavailable.into());
        };
        let refresh_expires_in = answer.refresh_expires_in;
        let renewal = Renewal {
            sealed,
            access_expires_at,
            refresh_expires_at: refresh_expires_in.map(|left| now.saturating_add(left)),
            expires_at: self
                .lifetimes
                .idle_end(now, access_expires_at, refresh_expires_in),
        };
        // In the same write, so that no replica sees the new tokens with the former end.
        let latest = told.as_ref().and_then(Told::session_expiry);
        let committed = self
            .ledger
            .apply_until_stored(key, leased, COMMIT_PATIENCE, move |record, _| {
                let outcome = record.commit(fence, generation, &renewal);
                if let (FenceOutcome::Done, Some(latest)) = (outcome, latest) {
                    record.end_by(latest);
                }
                outcome
            })
            .await;
        match committed {
            Ok(Some((FenceOutcome::Done, seen))) => {
                observe::refreshed("won");
                About::session(key, tokens).refreshed("won");
                tracing::debug!(?lifetime, "a session's tokens were refreshed");
                self.look_at(key, tokens, &answer, told, seen, purpose)
                    .await
            }
            // Either another task has begun since, or this commit was stored long ago, its answer lost, and
            // others have refreshed after it. Providers revoke all tokens of a sign-in together, so that
            // nothing is revoked while the session lives.
            Ok(Some((FenceOutcome::Stale, seen))) => match seen.record.state {
                RefreshState::Dead(reason) => {
                    self.revoker.revoke_behind(next.refresh_token);
                    Outcome::Over(Some(reason))
                }
                _ if seen.record.generation > generation => Outcome::Renewed(Box::new(seen)),
                _ => Outcome::Kept(Kind::ProviderUnavailable.into()),
            },
            // Signed out meanwhile: what came too late is given back.
            Ok(None) => {
                self.revoker.revoke_behind(next.refresh_token);
                Outcome::Over(None)
            }
            Err(error) => {
                observe::refreshed("lost");
                About::session(key, tokens).refreshed("lost");
                tracing::error!(
                    error = %Chain(&error),
                    "refreshed tokens were lost: the store did not take them within a minute"
                );
                Outcome::Kept(LoginError::store(error))
            }
        }
    }

    /// Holds what came against the sign-in. It is stored already: another process that reads it verifies the
    /// access token for itself.
    async fn look_at(
        self: &Arc<Self>,
        key: StoreKey,
        signed_in: &TokenSet,
        answer: &TokenAnswer,
        told: Option<Told>,
        mut seen: Seen,
        purpose: Purpose,
    ) -> Outcome {
        let is_own = purpose == Purpose::Own;
        let is_other_access_token = is_own && self.is_of_somebody_else(key, &seen).await;
        let told = if let Some(told) = told {
            told
        } else {
            let told = self.told(signed_in, answer).await;
            if is_own && let Told::Same(claims) = &told {
                seen = self.take_id_token(key, answer, claims, seen).await;
            }
            told
        };
        if !is_other_access_token && !matches!(told, Told::SomebodyElse) {
            if let Some(latest) = told.session_expiry() {
                // Where the keys came after the tokens were stored.
                seen = self.ended_by(key, latest, seen).await;
                if seen.record.expires_at <= self.ledger.now(&seen) {
                    self.opener.cache.forget(key);
                    return Outcome::Over(None);
                }
            }
            return Outcome::Renewed(Box::new(seen));
        }
        tracing::error!(
            "the session ended: the provider answered a refresh with tokens of another subject or issuer"
        );
        observe::refreshed("identity_changed");
        let generation = seen.record.generation;
        let reason = EndReason::IdentityChanged;
        About::session(key, signed_in).ended_by_refresh(reason);
        // Whatever another replica does with them meanwhile.
        let ended = self
            .ledger
            .apply_until_stored(key, &seen, COMMIT_PATIENCE, move |record, _| {
                record.end(generation, reason);
            })
            .await;
        if let Err(error) = ended {
            tracing::error!(error = %Chain(&error), "the end of a session could not be stored");
        }
        self.opener.cache.forget(key);
        let refresh_token = answer.refresh_token.clone();
        self.revoker
            .revoke_behind(refresh_token.or_else(|| signed_in.refresh_token.clone()));
        Outcome::Over(Some(reason))
    }

    /// Whether the access token that a refresh brought is another person's.
    async fn is_of_somebody_else(&self, key: StoreKey, seen: &Seen) -> bool {
        match self.opener.open(key, &seen.record, seen.tag).await {
            Err(Unopened::SomebodyElse) => true,
            Err(Unopened::Refused { error, .. }) => {
                tracing::error!(
                    kind = error.kind().as_str(),
                    remedy = error.remedy(),
                    "the provider answered a refresh with an access token that is refused here"
                );
                false
            }
            Ok(_) | Err(Unopened::Sealed) => false,
        }
    }

    async fn failed(
        self: &Arc<Self>,
        key: StoreKey,
        fence: Tag,
        leased: &Seen,
        tokens: &TokenSet,
        failure: GrantFailure,
    ) -> Outcome {
        let now = self.ledger.now(leased);
        let error = failure.error().clone();
        let unspent = |pause| Settlement::Unspent(now.saturating_add(pause));
        let pause = back_off(leased.record.failures);
        let wants_user = error.kind() == ProviderErrorKind::InteractionRequired;
        let (settlement, result, what) = match &failure {
            GrantFailure::Rejected(_) if wants_user => (
                Settlement::WantsUser(now.saturating_add(LONG_PAUSE)),
                "interaction_required",
                "a session was not refreshed: the provider wants the user to sign in again",
            ),
            GrantFailure::Rejected(_) => (
                Settlement::Rejected,
                "terminal",
                "a session ended: the provider rejected its refresh token",
            ),
            GrantFailure::Misconfigured(_) => (
                unspent(LONG_PAUSE),
                "misconfigured",
                "a session was not refreshed: the provider refuses this client's request; it stays",
            ),
            GrantFailure::Unspent(_, asked) => (
                unspent(asked.unwrap_or_default().max(pause)),
                "transient",
                "a session was not refreshed: the provider is unavailable; it stays",
            ),
            GrantFailure::Uncertain(_) => (
                Settlement::Uncertain,
                "uncertain",
                "a session was not refreshed: the provider's answer was lost; it stays, and the \
                 refresh token is tried again later",
            ),
        };
        observe::refreshed(result);
        let about = About::session(key, tokens);
        about.refreshed(result);
        tracing::warn!(
            result,
            kind = error.kind().as_str(),
            error = %Chain(&error),
            "{what}"
        );
        let settled = self.settle(key, leased, fence, settlement).await;
        let unavailable = |error| LoginError::provider(Kind::ProviderUnavailable, error);
        match failure {
            GrantFailure::Rejected(_) if wants_user => Outcome::WantsUser,
            GrantFailure::Rejected(_) => match settled {
                // The last look at the store: another task has refreshed the session after all.
                Some(seen) if seen.record.generation > leased.record.generation => {
                    Outcome::Renewed(Box::new(seen))
                }
                Some(seen) => match seen.record.state {
                    RefreshState::Dead(reason) => {
                        about.ended_by_refresh(reason);
                        Outcome::Over(Some(reason))
                    }
                    // Another task holds a lease by now; it will know.
                    _ => Outcome::Kept(Kind::ProviderUnavailable.into()),
                },
                None => {
                    about.ended_by_refresh(EndReason::Rejected);
                    Outcome::Over(Some(EndReason::Rejected))
                }
            },
            GrantFailure::Misconfigured(error) => Outcome::Misconfigured(error),
            GrantFailure::Unspent(error, asked) => Outcome::Kept(
                unavailable(error).with_retry_after(asked.unwrap_or_default().max(pause)),
            ),
            GrantFailure::Uncertain(error) => Outcome::Kept(unavailable(error)),
        }
    }
}

fn late() -> ProviderError {
    ProviderError::new(
        ProviderErrorKind::TimedOut,
        "the refresh took longer than its lease allows",
    )
}
