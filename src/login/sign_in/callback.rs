//! Signing in, the way back
//! ([OpenID Connect Core §3.1.3](https://openid.net/specs/openid-connect-core-1_0.html#TokenEndpoint)).

use std::time::Duration;

use http::request::Parts;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::clock::UnixTime;
use crate::error::{Chain, LoginError, LoginErrorKind as Kind, ProviderError, ProviderErrorKind};
use crate::login::audit::About;
use crate::login::browser::cookie::seal_cookie;
use crate::login::browser::query::single;
use crate::login::browser::reply::{Reply, provider_failed};
use crate::login::browser::return_path::ReturnPath;
use crate::login::browser::session_cookie;
use crate::login::sessions::id::SessionId;
use crate::login::sessions::marks::Marked;
use crate::login::sessions::seal::Purpose;
use crate::login::sign_in::SignIn;
use crate::login::sign_in::attempt::{self, LoginAttempt};
use crate::login::sign_in::loop_breaker;
use crate::login::store::StoreKey;
use crate::observe;
use crate::provider::client::known_code;
use crate::provider::client::token_endpoint::{GrantFailure, TokenAnswer};

/// How long a callback waits until fewer others are under way.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Why a callback made no session.
struct Failed {
    error: LoginError,
    then: Then,
}

/// What the same callback comes to when it is loaded once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It may work, because its code was not sent yet.
    MayWork,
    /// Its code was sent, or may have been. A page leads to where the user wanted to go.
    LeadsBack,
    /// Nothing: the sign-in is over.
    Nothing,
}

impl Failed {
    /// Before the code was sent: what passes can be waited for.
    fn before_sending(error: LoginError) -> Self {
        let then = match error.retry_after() {
            Some(_) => Then::MayWork,
            None => Then::Nothing,
        };
        Self { error, then }
    }

    fn after_sending(error: LoginError) -> Self {
        Self {
            error,
            then: Then::LeadsBack,
        }
    }

    fn finally(error: LoginError) -> Self {
        Self {
            error,
            then: Then::Nothing,
        }
    }

    /// Whether the sign-in had ended before this callback came.
    fn came_late(&self) -> bool {
        matches!(
            self.error.kind(),
            Kind::AttemptReplayed | Kind::AttemptExpired
        )
    }
}

impl SignIn {
    /// Takes the provider's answer.
    pub(crate) async fn callback(&self, parts: &Parts) -> Reply {
        let issuer = self.provider.issuer().as_str();
        let span = tracing::info_span!("callback", issuer, result = Empty);
        let answering = self.answer(parts, &span);
        answering.instrument(span.clone()).await
    }

    async fn answer(&self, parts: &Parts, span: &Span) -> Reply {
        let (name, attempt) = match self.find_attempt(parts) {
            Ok(found) => found,
            Err(error) => {
                span.record("result", error.kind().as_str());
                return self.without_attempt(parts, error).await;
            }
        };
        let return_path = self.site.page_path(&attempt.return_path);
        let return_path = return_path.unwrap_or_else(|| self.site.home());
        let result = self.finish(parts, &attempt).await;
        let end = match &result {
            Ok(_) => "signed_in",
            Err(failed) => failed.error.kind().as_str(),
        };
        observe::signed_in(end);
        span.record("result", end);
        let clear = self.cookies.clear(&name);
        match result {
            Ok((id, lifetime)) => {
                let name = &self.cookies.session;
                let value = session_cookie::value_of(&id, &self.sessions.opener.sealing);
                let cookie = self.cookies.set(name, &value, lifetime);
                Reply::see_other(return_path.as_str())
                    .with_cookie(cookie)
                    .with_cookies(self.remember_end(parts, &attempt, end))
                    .with_cookie(clear)
            }
            Err(failed) if failed.came_late() && self.is_signed_in(parts).await => {
                Reply::see_other(return_path.as_str()).with_cookie(clear)
            }
            Err(failed) if attempt.is_silent => {
                // A visitor who is not signed in at the provider is what was asked for. The rest is for the log.
                if failed.error.kind() != Kind::Denied {
                    self.audit(&failed.error);
                    self.tell(parts, failed.error, &return_path);
                }
                self.back_anonymous(&return_path).with_cookie(clear)
            }
            Err(Failed { error, then }) => {
                self.audit(&error);
                let reply = self.tell(parts, error, &return_path);
                match then {
                    Then::MayWork => reply,
                    Then::LeadsBack => reply
                        .with_cookies(self.remember_end(parts, &attempt, end))
                        .with_cookies(self.attempts(parts).keep_spent(&name, attempt)),
                    Then::Nothing => reply
                        .with_cookies(self.remember_end(parts, &attempt, end))
                        .with_cookie(clear),
                }
            }
        }
    }

    /// What the application decides about a user is in the audit trail already.
    fn audit(&self, error: &LoginError) {
        if !matches!(error.kind(), Kind::SignInRefused | Kind::SignInUndecided) {
            About::sign_in(self.provider.issuer().as_str()).not_signed_in(error);
        }
    }

    /// A page that says what went wrong. Strangers can send callbacks, so that what these can cause is logged now
    /// and then. It is a warning, because a wrong setting or a provider that is away look the same.
    pub(crate) fn tell(&self, parts: &Parts, error: LoginError, back_to: &ReturnPath) -> Reply {
        let can_be_caused = matches!(
            error.kind(),
            Kind::CodeRejected | Kind::IssuerMismatch | Kind::RequestRefused
        );
        if !can_be_caused && error.retry_after().is_none() {
            return self.site.tell(parts, error, back_to);
        }
        let (kind, cause) = (error.kind().as_str(), Chain(&error));
        if self.warnings.take(self.provider.clock().monotonic()) {
            tracing::warn!(kind, error = %cause, remedy = error.remedy(), "a sign-in failed");
        } else {
            tracing::debug!(kind, error = %cause, remedy = error.remedy(), "a sign-in failed");
        }
        self.site.page(parts, error, back_to)
    }

    /// The field that remembers how this sign-in ended, for the loop breaker.
    fn remember_end(
        &self,
        parts: &Parts,
        attempt: &LoginAttempt,
        end: &str,
    ) -> Option<http::HeaderValue> {
        let mut history = self.history_with(parts, attempt);
        history.add(self.provider.clock().now(), end);
        let name = &self.cookies.history;
        let sealing = &self.sessions.opener.sealing;
        let sealed = seal_cookie(sealing, Purpose::SignInHistory, name, &history).ok()?;
        let lifetime = Duration::from_secs(loop_breaker::WITHIN);
        Some(self.cookies.set(name, &sealed, lifetime))
    }

    async fn finish(
        &self,
        parts: &Parts,
        attempt: &LoginAttempt,
    ) -> Result<(SessionId, Duration), Failed> {
        if attempt.is_spent() {
            return Err(Failed::after_sending(Kind::AttemptReplayed.into()));
        }
        let code = self.check_answer(parts, attempt).await?;
        // Strangers can send callbacks, and each is a call to the provider.
        let Ok(Ok(_permit)) = tokio::time::timeout(LONGEST_WAIT, self.codes.acquire()).await else {
            return Err(Failed::before_sending(Kind::TooManySignIns.into()));
        };
        let used = StoreKey::of(&["login attempt", attempt.state.expose()]);
        let until = self
            .provider
            .clock()
            .now()
            .saturating_add(attempt::LIFETIME);
        // Immediately before the code is sent, so that it is sent once.
        let marked = match self.use_once(used, until).await {
            Ok(marked) => marked,
            Err(error) if error.kind() == Kind::AttemptReplayed => {
                return Err(Failed::after_sending(error));
            }
            Err(error) => return Err(Failed::before_sending(error)),
        };
        let answer = match self.exchange(&code, attempt).await {
            Ok(answer) => self.with_scope(answer),
            Err((error, GrantSent::No)) if self.sessions.marks.clear(used).await.is_ok() => {
                return Err(Failed::before_sending(error));
            }
            Err((error, _)) => return Err(Failed::after_sending(error)),
        };
        let judged = self.judge(&attempt.expected(), &answer).await;
        let judged = judged.map_err(Failed::after_sending)?;
        let began = UnixTime::from_seconds(attempt.started_at);
        let former = session_cookie::named_by(&parts.headers, &self.cookies);
        let made = self
            .establish(former, judged, &answer, marked, began)
            .await
            .map_err(|not_made| Failed::after_sending(not_made.error))?;
        Ok((made.id, made.lifetime))
    }

    /// Marks what can be used once. It is an error of kind `AttemptReplayed` if it was used before.
    pub(super) async fn use_once(
        &self,
        used: StoreKey,
        until: UnixTime,
    ) -> Result<Marked, LoginError> {
        let marks = &self.sessions.marks;
        // A store that is away is noticed before it is written to: of a write without an answer it is not known
        // whether it was done, and the sign-in could not be repeated.
        if marks.is_set(used).await.map_err(LoginError::store)? {
            return Err(Kind::AttemptReplayed.into());
        }
        let marked = marks.set(used, until).await.map_err(LoginError::store)?;
        marked.ok_or_else(|| Kind::AttemptReplayed.into())
    }

    /// An answer without `scope` grants what was asked for
    /// ([RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
    fn with_scope(&self, mut answer: TokenAnswer) -> TokenAnswer {
        answer
            .scope
            .get_or_insert_with(|| self.request.scope.clone());
        answer
    }

    /// The code of an answer that fits the attempt.
    async fn check_answer(&self, parts: &Parts, attempt: &LoginAttempt) -> Result<String, Failed> {
        if attempt.is_expired(self.provider.clock().now()) {
            return Err(Failed::finally(Kind::AttemptExpired.into()));
        }
        let checked = self.check_issuer(parts, attempt).await;
        checked.map_err(Failed::before_sending)?;
        if let Some(error) = single(parts, "error") {
            return Err(Failed::finally(refused_by_provider(&error)));
        }
        match single(parts, "code").filter(|code| !code.is_empty()) {
            Some(code) => Ok(code.into_owned()),
            None => Err(Failed::finally(Kind::MalformedCallback.into())),
        }
    }

    /// Whether the answer comes from the provider that was asked
    /// ([RFC 9207 §2.4](https://www.rfc-editor.org/rfc/rfc9207#section-2.4)).
    async fn check_issuer(&self, parts: &Parts, attempt: &LoginAttempt) -> Result<(), LoginError> {
        let metadata = self
            .provider
            .metadata()
            .await
            .map_err(|refusal| provider_failed(refusal.error))?;
        let issuer = metadata.value.server.issuer.as_str();
        let fits = match single(parts, "iss") {
            Some(iss) => self.is_called(issuer, &iss),
            None => !metadata.value.server.endpoints.names_issuer,
        };
        // Begun at this provider and for this address, not at another layer's of the same site.
        let is_ours = attempt.is_between(issuer, &self.site.redirect_uri());
        if fits && is_ours {
            Ok(())
        } else {
            Err(Kind::IssuerMismatch.into())
        }
    }

    /// Whether `iss` is this issuer, or that of one of its accepted tenants.
    pub(super) fn is_called(&self, issuer: &str, iss: &str) -> bool {
        let mut accepted = self.provider.accepted_issuers().iter();
        iss == issuer
            || accepted.any(|named| named.tenant.is_some() && named.issuer.as_str() == iss)
    }

    /// Spends the code, once.
    async fn exchange(
        &self,
        code: &str,
        attempt: &LoginAttempt,
    ) -> Result<TokenAnswer, (LoginError, GrantSent)> {
        // The attempt was begun for it.
        let redirect_uri = self.site.redirect_uri();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", attempt.verifier.expose()),
        ];
        for resource in &self.request.resources {
            form.push(("resource", resource));
        }
        let granted = self.provider.grant(&self.client, &form).await;
        granted.map_err(|failure| match failure {
            GrantFailure::Rejected(error) => (
                LoginError::provider(Kind::CodeRejected, error),
                GrantSent::Yes,
            ),
            GrantFailure::Misconfigured(error) => (
                LoginError::provider(Kind::Misconfigured, error),
                GrantSent::Yes,
            ),
            GrantFailure::Unspent(error, after) => {
                let after = after.unwrap_or(Duration::from_secs(1));
                let sent = match error.kind() {
                    // The provider, or what is in front of it, has answered.
                    ProviderErrorKind::Status => GrantSent::Yes,
                    _ => GrantSent::No,
                };
                (provider_failed(error).with_retry_after(after), sent)
            }
            GrantFailure::Uncertain(error) => (provider_failed(error), GrantSent::Yes),
        })
    }
}

/// Whether a code was, or may have been, looked at by the provider.
enum GrantSent {
    Yes,
    No,
}

/// The error codes of RFC 6749 §4.1.2.1 and OpenID Connect Core §3.1.2.6. The rest of what the
/// provider says is not repeated: any site can make a browser send such an answer.
fn refused_by_provider(code: &str) -> LoginError {
    match code {
        "access_denied"
        | "login_required"
        | "consent_required"
        | "interaction_required"
        | "account_selection_required" => Kind::Denied.into(),
        "temporarily_unavailable" | "server_error" => Kind::ProviderUnavailable.into(),
        code => match known_code(code) {
            Some(code) => LoginError::provider(
                Kind::RequestRefused,
                ProviderError::new(
                    ProviderErrorKind::RequestRefused,
                    format!("the provider answered the authorization request with {code}"),
                )
                .with_code(code),
            ),
            None => Kind::RequestRefused.into(),
        },
    }
}
