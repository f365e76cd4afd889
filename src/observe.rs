//! What can be seen from outside, in one place: counters with closed label sets, and nothing of a
//! request or token in any of them. Without the `metrics` feature these do nothing.

use crate::error::{ProviderError, VerifyError};

/// Counts under a label that is known when this is built, which allocates nothing.
macro_rules! count_known {
    ($name:literal, $label:literal => $value:literal) => {
        #[cfg(feature = "metrics")]
        metrics::counter!($name, $label => $value).increment(1);
    };
}

/// `tower_oidc_tokens_total{result}`: tokens judged, `accepted` or the kind of refusal.
pub(crate) fn token_judged(result: Result<(), &VerifyError>) {
    match result {
        Ok(()) => {
            count_known!("tower_oidc_tokens_total", "result" => "accepted");
        }
        Err(error) => count("tower_oidc_tokens_total", "result", error.kind().as_str()),
    }
}

/// The same for a token that was accepted before, and `tower_oidc_recalled_tokens_total`: how many of them
/// cost no signature.
pub(crate) fn token_recalled() {
    token_judged(Ok(()));
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_oidc_recalled_tokens_total").increment(1);
}

/// `tower_oidc_key_fetches_total{result}`: key sets fetched, `ok` or the kind of failure.
pub(crate) fn keys_fetched(result: Result<(), &ProviderError>) {
    count(
        "tower_oidc_key_fetches_total",
        "result",
        result.map_or_else(|error| error.kind().as_str(), |()| "ok"),
    );
}

/// `tower_oidc_unknown_kid_total{outcome}`: tokens naming an unknown key, `fetched` or
/// `suppressed`.
pub(crate) fn unknown_kid(fetched: bool) {
    count(
        "tower_oidc_unknown_kid_total",
        "outcome",
        if fetched { "fetched" } else { "suppressed" },
    );
}

/// `tower_oidc_stale_served_total{what}`: uses of `keys` or `metadata` past their lifetime.
pub(crate) fn stale_served(what: &'static str) {
    count("tower_oidc_stale_served_total", "what", what);
}

/// `tower_oidc_refreshes_total{outcome}`: renewals of sessions: `won`, `joined`, `handed_over`,
/// `terminal`, `misconfigured`, `transient`, `uncertain`, `lost` or `identity_changed`.
#[cfg(feature = "login")]
pub(crate) fn refreshed(outcome: &'static str) {
    count("tower_oidc_refreshes_total", "outcome", outcome);
}

/// `tower_oidc_sign_ins_total{result}`: sign-ins ended, `signed_in` or the kind of failure; loops
/// broken are among them as `sign_in_loop`.
#[cfg(feature = "login")]
pub(crate) fn signed_in(result: &'static str) {
    count("tower_oidc_sign_ins_total", "result", result);
}

/// `tower_oidc_outbound_requests_total{token}`: requests that wanted a token. `ready`: it was at hand;
/// `waited`; `repeated`: once more with a newer one; else the kind of error, and the request did not
/// leave.
#[cfg(feature = "outbound")]
pub(crate) fn left(token: &'static str) {
    count("tower_oidc_outbound_requests_total", "token", token);
}

/// The most frequent of them.
#[cfg(feature = "outbound")]
pub(crate) fn left_at_once() {
    count_known!("tower_oidc_outbound_requests_total", "token" => "ready");
}

/// `tower_oidc_outbound_grants_total{result}`: grants made for requests that leave, `granted` or the
/// kind of failure.
#[cfg(feature = "outbound")]
pub(crate) fn granted(result: &'static str) {
    count("tower_oidc_outbound_grants_total", "result", result);
}

/// `tower_oidc_key_set_age_seconds`: the age of the keys when readiness was last asked for.
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
