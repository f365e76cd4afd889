//! All metrics: counters, gauges and histograms with closed sets of labels, which contain nothing of a request or
//! token. Without the `metrics` feature they do nothing. `manual/observability.md` has them in a table.

use std::time::Duration;

#[cfg(feature = "metrics")]
use crate::error::VerifyErrorKind;
use crate::error::{ProviderError, VerifyError};

/// Counts under a label that is known at compile time, which allocates nothing.
macro_rules! count_known {
    ($name:literal, $label:literal => $value:literal) => {
        #[cfg(feature = "metrics")]
        metrics::counter!($name, $label => $value).increment(1);
    };
}

/// `tower_oidc_tokens_total{result}`: verified tokens, by `accepted` or the kind of the refusal.
pub(crate) fn token_judged(result: Result<(), &VerifyError>) {
    match result {
        Ok(()) => {
            count_known!("tower_oidc_tokens_total", "result" => "accepted");
        }
        Err(error) => count("tower_oidc_tokens_total", "result", error.kind().as_str()),
    }
}

/// The same for a token that was found in the cache of accepted tokens, and
/// `tower_oidc_recalled_tokens_total`, which counts only those.
pub(crate) fn token_recalled() {
    token_judged(Ok(()));
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_oidc_recalled_tokens_total").increment(1);
}

/// `tower_oidc_key_fetches_total{result}`: fetches of the key set, by `ok` or the kind of the failure.
pub(crate) fn keys_fetched(result: Result<(), &ProviderError>) {
    count(
        "tower_oidc_key_fetches_total",
        "result",
        result.map_or_else(|error| error.kind().as_str(), |()| "ok"),
    );
}

/// `tower_oidc_revocations_total{what}`: revocations, by what was revoked, `token`, `session` or `subject`, or `full`:
/// there was no room for one, and it was not taken. `heard`: other processes revoked something.
pub(crate) fn revoked(what: &'static str) {
    count("tower_oidc_revocations_total", "what", what);
}

/// `tower_oidc_introspections_total{result}`: tokens that the provider was to be asked about, by `active`, the kind of
/// the refusal (such as `not_active`), the kind of the failure of the call, or `suppressed`: beyond the bound, or in the
/// pause after a failure, no call was made.
#[cfg(feature = "introspection")]
pub(crate) fn introspected(result: &'static str) {
    count("tower_oidc_introspections_total", "result", result);
}

/// `tower_oidc_issuer_lookups_total{result}`: issuers that a source was to be asked about, by `found`, `unknown`,
/// `other_provider` (the provider that it returned does not accept that issuer), `failed`, or `suppressed`: beyond the
/// bound it was not asked.
pub(crate) fn issuer_looked_up(result: &'static str) {
    count("tower_oidc_issuer_lookups_total", "result", result);
}

/// `tower_oidc_site_lookups_total{result}`: hosts that a source was to be asked about, by `found`, `unknown`, `other_site`
/// (the site that it returned is at another host), `failed`, or `suppressed`: beyond the bound it was not asked.
#[cfg(feature = "login")]
pub(crate) fn site_looked_up(result: &'static str) {
    count("tower_oidc_site_lookups_total", "result", result);
}

/// `tower_oidc_unknown_kid_total{outcome}`: tokens with an unknown `kid`, by whether the key set was
/// fetched for them (`fetched`) or the bound on such fetches was reached (`suppressed`).
pub(crate) fn unknown_kid(fetched: bool) {
    count(
        "tower_oidc_unknown_kid_total",
        "outcome",
        if fetched { "fetched" } else { "suppressed" },
    );
}

/// `tower_oidc_stale_served_total{what}`: uses of `keys` or `metadata` after their lifetime.
pub(crate) fn stale_served(what: &'static str) {
    count("tower_oidc_stale_served_total", "what", what);
}

/// `tower_oidc_refreshes_total{outcome}`: refreshes of sessions, by `won`, `joined`, `handed_over`,
/// `repeated`, `terminal`, `interaction_required`, `misconfigured`, `transient`, `uncertain`, `lost`,
/// `identity_changed` or `target_refused`.
#[cfg(feature = "login")]
pub(crate) fn refreshed(outcome: &'static str) {
    count("tower_oidc_refreshes_total", "outcome", outcome);
}

/// `tower_oidc_sign_ins_total{result}`: finished sign-ins, by `signed_in` or the kind of the failure,
/// such as `sign_in_loop`.
#[cfg(feature = "login")]
pub(crate) fn signed_in(result: &'static str) {
    count("tower_oidc_sign_ins_total", "result", result);
}

/// `tower_oidc_outbound_requests_total{token}`: outbound requests, by where their token came from.
/// `ready`: the cache; `waited`: the provider; `repeated`: a newer token after a refused one; else the
/// kind of the error, and the request was not sent.
#[cfg(feature = "outbound")]
pub(crate) fn left(token: &'static str) {
    count("tower_oidc_outbound_requests_total", "token", token);
}

/// The same for `ready`, the most frequent case.
#[cfg(feature = "outbound")]
pub(crate) fn left_at_once() {
    count_known!("tower_oidc_outbound_requests_total", "token" => "ready");
}

/// `tower_oidc_outbound_grants_total{result}`: grants for outbound requests, by `granted` or the kind
/// of the failure.
#[cfg(feature = "outbound")]
pub(crate) fn granted(result: &'static str) {
    count("tower_oidc_outbound_grants_total", "result", result);
}

/// `tower_oidc_verify_duration_seconds{result, waited}`: judging a token that is not remembered, by `accepted`, `refused`
/// or `unavailable`, and whether the provider was waited for (`yes`, `no`). A token that is found in the cache is not
/// measured.
pub(crate) fn verified(result: Result<(), &VerifyError>, waited: bool, took: Duration) {
    #[cfg(feature = "metrics")]
    {
        // Strangers can cause many refusals: labels that are known at compile time allocate nothing.
        macro_rules! histogram {
            ($result:literal, $waited:literal) => {
                metrics::histogram!(
                    "tower_oidc_verify_duration_seconds", "result" => $result, "waited" => $waited
                )
            };
        }
        let histogram = match (result.map_err(VerifyError::kind), waited) {
            (Ok(()), false) => histogram!("accepted", "no"),
            (Ok(()), true) => histogram!("accepted", "yes"),
            (Err(VerifyErrorKind::Unavailable), false) => histogram!("unavailable", "no"),
            (Err(VerifyErrorKind::Unavailable), true) => histogram!("unavailable", "yes"),
            (Err(_), false) => histogram!("refused", "no"),
            (Err(_), true) => histogram!("refused", "yes"),
        };
        histogram.record(took.as_secs_f64());
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (result, waited, took);
}

/// `tower_oidc_key_fetch_duration_seconds{result}`: fetches of the key set, by `ok` or `failed`.
pub(crate) fn key_fetch_took(succeeded: bool, took: Duration) {
    let labels = [("result", if succeeded { "ok" } else { "failed" })];
    measure("tower_oidc_key_fetch_duration_seconds", labels, took);
}

/// `tower_oidc_grant_duration_seconds{grant, result}`: calls to the token endpoint, by the grant (`authorization_code`,
/// `refresh_token`, `client_credentials`, `token_exchange`, `jwt_bearer`), and by `granted`, `rejected`, `misconfigured`,
/// `unspent` or `uncertain`.
#[cfg(any(feature = "login", feature = "outbound"))]
pub(crate) fn grant_took(grant: &'static str, result: &'static str, took: Duration) {
    let labels = [("grant", grant), ("result", result)];
    measure("tower_oidc_grant_duration_seconds", labels, took);
}

/// `tower_oidc_introspection_duration_seconds{result}`: calls to the introspection endpoint, by `answered` or `failed`.
#[cfg(feature = "introspection")]
pub(crate) fn introspection_took(answered: bool, took: Duration) {
    let labels = [("result", if answered { "answered" } else { "failed" })];
    measure("tower_oidc_introspection_duration_seconds", labels, took);
}

/// `tower_oidc_store_call_duration_seconds{operation, result}`: calls to the session store, by `create`, `load`, `swap`,
/// `delete` or `find`, and by `ok` or `failed`.
#[cfg(feature = "login")]
pub(crate) fn store_called(operation: &'static str, succeeded: bool, took: Duration) {
    let result = if succeeded { "ok" } else { "failed" };
    let labels = [("operation", operation), ("result", result)];
    measure("tower_oidc_store_call_duration_seconds", labels, took);
}

/// `tower_oidc_keys_last_success_timestamp_seconds{issuer}`: when the keys of a configured issuer were fetched last, in
/// seconds since 1970. The issuer is the setting's, or of a provider that the application made.
pub(crate) fn keys_succeeded(issuer: &str, at: i64) {
    #[cfg(feature = "metrics")]
    {
        let since_1970 = Duration::from_secs(u64::try_from(at).unwrap_or(0));
        let issuer = issuer.to_owned();
        metrics::gauge!("tower_oidc_keys_last_success_timestamp_seconds", "issuer" => issuer)
            .set(since_1970.as_secs_f64());
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (issuer, at);
}

/// `tower_oidc_key_set_age_seconds`: the age of the keys at the last call of `readiness`.
pub(crate) fn key_set_age(age: Duration) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("tower_oidc_key_set_age_seconds").set(age.as_secs_f64());
    #[cfg(not(feature = "metrics"))]
    let _ = age;
}

fn measure<const N: usize>(
    name: &'static str,
    labels: [(&'static str, &'static str); N],
    took: Duration,
) {
    #[cfg(feature = "metrics")]
    {
        let labels = labels.map(|(label, value)| metrics::Label::from_static_parts(label, value));
        metrics::histogram!(name, labels.to_vec()).record(took.as_secs_f64());
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (name, labels, took);
}

fn count(name: &'static str, label: &'static str, value: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(name, label => value).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (name, label, value);
}
