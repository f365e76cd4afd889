//! The device flow of the development provider
//! ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)): a device without a browser asks for a code, a person enters
//! it elsewhere, and the device polls the token endpoint meanwhile.

use axum::extract::{Form, Query, State as Shared};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::testing::assertion::known_client;
use crate::testing::devices::{Asked, INTERVAL, LIFETIME};
use crate::testing::fault::Endpoint;
use crate::testing::form::{Parameters, parameter, refuse};
use crate::testing::grants::Grant;
use crate::testing::manner::Manner;
use crate::testing::sign_in::{choice_of_user, escape, page};
use crate::testing::state::{Served, State};
use crate::testing::token::opaque_token;

pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(super) async fn authorize(
    Shared(state): Served,
    headers: HeaderMap,
    Form(form): Form<Parameters>,
) -> Response {
    state.saw(Endpoint::DeviceAuthorization, form.clone());
    let document = || {
        let Some(client) = known_client(&state, &headers, &form) else {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        };
        let scope = parameter(&form, "scope").unwrap_or_default();
        if !scope.split(' ').any(|word| word == "openid") {
            return refuse(StatusCode::BAD_REQUEST, "invalid_scope");
        }
        let audience = parameter(&form, "audience").or_else(|| parameter(&form, "resource"));
        let asked = Asked {
            client,
            scope: scope.to_owned(),
            audience: audience.map(str::to_owned),
        };
        let now = state.now();
        let (device_code, user_code) = state.changing().devices.add(asked, now);
        let page = format!("{}/device", state.address);
        let answer = json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={user_code}"),
            "expires_in": LIFETIME.as_secs(),
            "interval": INTERVAL.as_secs(),
        });
        (StatusCode::OK, answer.to_string())
    };
    state.answer(Endpoint::DeviceAuthorization, document).await
}

/// The grant of a device, once a person has approved it.
pub(super) fn grant(state: &State, client: &str, form: &Parameters) -> Result<Grant, &'static str> {
    let device_code = parameter(form, "device_code").unwrap_or_default();
    let mut changing = state.changing();
    let manner = changing.manner;
    let (asked, user, approved_at) = changing.devices.poll(client, device_code, state.now())?;
    Ok(Grant {
        is_offline: asked.scope.split(' ').any(|word| word == "offline_access"),
        has_id_token: true,
        has_opaque_tokens: manner == Manner::Google,
        client: asked.client,
        user,
        scope: asked.scope,
        audience: asked.audience,
        // The device sent no authorization request.
        nonce: None,
        sid: opaque_token(),
        auth_time: approved_at.as_seconds(),
    })
}

/// The page on which a person enters the code that a device shows. Where every visitor is the same user, the visit
/// approves the device.
pub(super) async fn enter(Shared(state): Served, Query(query): Query<Parameters>) -> Response {
    let Some(code) = parameter(&query, "user_code").filter(|code| !code.is_empty()) else {
        let form = "<p>Enter the code that the device shows.</p><form action=\"device\">\
             <input name=\"user_code\" autocomplete=\"off\" autofocus><button>Continue</button></form>";
        return page(form).into_response();
    };
    let now = state.now();
    let mut changing = state.changing();
    if !changing.devices.has(code, now) {
        let text = "<p>No device waits for a decision with this code.</p>";
        return (StatusCode::BAD_REQUEST, page(text)).into_response();
    }
    let chosen = parameter(&query, "development_user").map(str::to_owned);
    let Some(user) = changing.user.clone().or(chosen) else {
        let shown = format!("<p>A device shows the code <b>{}</b>.</p>", escape(code));
        return page(&(shown + &choice_of_user("device", &query))).into_response();
    };
    let user = Some(user.as_str()).filter(|user| !user.is_empty());
    changing.devices.decide(code, user, now);
    let text = match user {
        Some(_) => "<p>The device is signed in. You can close this page.</p>",
        None => "<p>The device is not signed in. You can close this page.</p>",
    };
    page(text).into_response()
}
