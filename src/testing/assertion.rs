//! The client that sent a form: by its secret, or by an assertion
//! ([RFC 7521 §4.2](https://www.rfc-editor.org/rfc/rfc7521#section-4.2)).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::testing::form::{CLIENT, Parameters, client_by_secret, parameter};
use crate::testing::state::State;

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client that sent a form, if it authenticates itself in one way.
pub(super) fn known_client(
    state: &State,
    headers: &HeaderMap,
    form: &Parameters,
) -> Option<String> {
    let has_assertion = parameter(form, "client_assertion").is_some();
    match (has_assertion, headers.contains_key(AUTHORIZATION)) {
        (true, true) => None,
        (true, false) => asserted_client(state, form),
        (false, _) => client_by_secret(headers, form),
    }
}

/// The client that sent a form with an assertion, if that is good.
fn asserted_client(state: &State, form: &Parameters) -> Option<String> {
    let assertion = parameter(form, "client_assertion")?;
    let is_alone = parameter(form, "client_secret").is_none();
    let is_own = parameter(form, "client_id").is_none_or(|id| id == CLIENT.0);
    let is_jwt = parameter(form, "client_assertion_type") == Some(TYPE);
    let token_endpoint = format!("{}/token", state.address);
    let own = [state.issuer.as_str(), &token_endpoint];
    let now = state.now();
    let is_good = is_alone && is_own && is_jwt && state.changing().trust.takes(assertion, own, now);
    is_good.then(|| CLIENT.0.to_owned())
}
