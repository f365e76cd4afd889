//! All metrics: counters and gauges with closed sets of labels, which contain nothing of a request or
//! token. Without the `metrics` feature they do nothing.

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

/// `tower_oidc_key_set_age_seconds`: the age of the keys at the last call of `readiness`.
pub(crate) fn key_set_age(age: std::time::Duration) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("tower_oidc_key_set_age_seconds").set(age.as_secs_f64());
    #[cfg(not(feature = "metrics"))]
    let _ = age;
}

fn count(name: &'static str, label: &'static str, value: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(name, label => value).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (name, label, value);
}
