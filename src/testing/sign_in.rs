//! The endpoints that browsers visit, pushed authorization requests, and UserInfo.

use std::fmt::Write as _;

use axum::extract::{Form, Query, State as Shared};
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use url::Url;

use crate::testing::assertion::known_client;
use crate::testing::fault::Endpoint;
use crate::testing::form::{Parameters, is_client, parameter, refuse};
use crate::testing::grants::{Code, Grant};
use crate::testing::manner::Manner;
use crate::testing::state::{Served, State};
use crate::testing::token::opaque_token;

pub(super) async fn authorize(Shared(state): Served, Query(query): Query<Parameters>) -> Response {
    match answer(&state, query) {
        Ok(Answer::Back(url)) => Redirect::to(&url).into_response(),
        Ok(Answer::Posted(url)) => posting_page(url).into_response(),
        Ok(Answer::AskWho(query)) => sign_in_page(&query).into_response(),
        Err(text) => (StatusCode::BAD_REQUEST, format!("{text}\n")).into_response(),
    }
}

/// The answer to an authorization request.
pub(super) enum Answer {
    /// A redirect to the callback of the site.
    Back(String),
    /// A form that the browser posts to the callback of the site, written as a redirect.
    Posted(Url),
    /// The page on which the visitor chooses a user, and the parameters it passes on.
    AskWho(Parameters),
}

/// Answers an authorization request, or says why the browser cannot be sent back.
pub(super) fn answer(state: &State, query: Parameters) -> Result<Answer, &'static str> {
    state.changing().hits.count(Endpoint::Authorization);
    state.saw(Endpoint::Authorization, query.clone());
    let query =
        pushed(state, query).ok_or("unknown request_uri, or none although one is required")?;
    let redirect_uri = parameter(&query, "redirect_uri").and_then(|uri| Url::parse(uri).ok());
    let client = parameter(&query, "client_id").filter(|id| is_client(id));
    let (Some(mut redirect_uri), Some(client)) = (redirect_uri, client) else {
        return Err("unknown client_id, or no redirect_uri");
    };
    let user = state.changing().user.clone();
    let chosen = parameter(&query, "development_user").map(str::to_owned);
    let manner = state.changing().manner;
    let result = match (check(&query, manner), user.or(chosen)) {
        (Err(error), _) => Err(error),
        (Ok(()), Some(user)) if user.is_empty() => Err("access_denied"),
        (Ok(()), Some(user)) => Ok(code(state, &query, client, user)),
        (Ok(()), None) if parameter(&query, "prompt") == Some("none") => Err("login_required"),
        (Ok(()), None) => return Ok(Answer::AskWho(query)),
    };
    let mut brought = match result {
        Ok(code) => vec![("code".to_owned(), code)],
        Err(error) => vec![("error".to_owned(), error.to_owned())],
    };
    if let Some(given) = parameter(&query, "state") {
        brought.push(("state".to_owned(), given.to_owned()));
    }
    brought.push(("iss".to_owned(), state.issuer.clone()));
    let (edits, _) = state.issuing();
    if let Some(edit) = &edits.authorization {
        edit(&mut brought);
    }
    redirect_uri.query_pairs_mut().extend_pairs(&brought);
    if parameter(&query, "response_mode") == Some("form_post") {
        return Ok(Answer::Posted(redirect_uri));
    }
    Ok(Answer::Back(redirect_uri.into()))
}

/// The parameters that were pushed before. They can be used once. Without the requirement to push, the
/// query itself.
fn pushed(state: &State, query: Parameters) -> Option<Parameters> {
    let mut changing = state.changing();
    if parameter(&query, "request_uri").is_none() && !changing.must_push {
        return Some(query);
    }
    let request_uri = parameter(&query, "request_uri")?;
    let pushed = &mut changing.pushed;
    let at = pushed.iter().position(|(known, _)| known == request_uri)?;
    let (_, parameters) = pushed.remove(at);
    Some(parameters)
}

pub(super) async fn push(
    Shared(state): Served,
    headers: HeaderMap,
    Form(mut form): Form<Parameters>,
) -> Response {
    let Some(client) = known_client(&state, &headers, &form) else {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client").into_response();
    };
    let request_uri = format!("urn:ietf:params:oauth:request_uri:{}", opaque_token());
    form.retain(|(name, _)| !name.starts_with("client_"));
    form.push(("client_id".to_owned(), client));
    state.changing().pushed.push((request_uri.clone(), form));
    let answer = json!({"request_uri": request_uri, "expires_in": 60});
    (StatusCode::CREATED, axum::Json(answer)).into_response()
}

fn check(query: &Parameters, manner: Manner) -> Result<(), &'static str> {
    let is = |name, value| parameter(query, name) == Some(value);
    if !is("response_type", "code") {
        return Err("unsupported_response_type");
    }
    if !is("code_challenge_method", "S256") || parameter(query, "code_challenge").is_none() {
        return Err("invalid_request");
    }
    let scope = parameter(query, "scope").unwrap_or_default();
    let mut scopes = scope.split(' ');
    if manner == Manner::Google && scopes.any(|scope| scope == "offline_access") {
        return Err("invalid_scope");
    }
    Ok(())
}

fn code(state: &State, query: &Parameters, client: &str, user: String) -> String {
    let text = |name| parameter(query, name).map(str::to_owned);
    let code = opaque_token();
    let is = |name, value| {
        let words = parameter(query, name).unwrap_or_default();
        words.split(' ').any(|word| word == value)
    };
    let mut changing = state.changing();
    let manner = changing.manner;
    let is_offline = match manner {
        Manner::Usual => is("scope", "offline_access"),
        Manner::Google => {
            is("access_type", "offline")
                && (changing.grants.consents_first(client, &user) || is("prompt", "consent"))
        }
    };
    drop(changing);
    let grant = Grant {
        is_offline,
        // A request without it is one of plain OAuth (OpenID Connect Core §3.1.2.1).
        has_id_token: is("scope", "openid"),
        has_opaque_tokens: manner == Manner::Google,
        client: client.to_owned(),
        user,
        scope: text("scope").unwrap_or_default(),
        audience: text("audience").or_else(|| text("resource")),
        nonce: text("nonce"),
        sid: opaque_token(),
        auth_time: state.now().as_seconds(),
    };
    state.changing().grants.add_code(Code {
        text: code.clone(),
        redirect_uri: text("redirect_uri").unwrap_or_default(),
        challenge: text("code_challenge").unwrap_or_default(),
        grant,
    });
    code
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

fn hidden_fields(parameters: &Parameters) -> String {
    let mut fields = String::new();
    for (name, value) in parameters {
        let _ = write!(
            fields,
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
            escape(name),
            escape(value)
        );
    }
    fields
}

/// The page that posts an answer
/// ([Form Post Response Mode §2](https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html)).
fn posting_page(mut callback: Url) -> Html<String> {
    let parameters: Parameters = callback.query_pairs().into_owned().collect();
    callback.set_query(None);
    Html(format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Development provider</title></head><body onload=\"document.forms[0].submit()\">\
         <form method=\"post\" action=\"{}\">{}<noscript><button>Continue</button></noscript></form>\
         </body></html>",
        escape(callback.as_str()),
        hidden_fields(&parameters),
    ))
}

/// The page on which the visitor chooses a user.
fn sign_in_page(query: &Parameters) -> Html<String> {
    page(&choice_of_user("authorize", query))
}

/// A form that sends the parameters on, with a button for each user.
pub(super) fn choice_of_user(action: &str, query: &Parameters) -> String {
    let fields = hidden_fields(query);
    let button = |user: &str, text: &str| {
        format!("<button name=\"development_user\" value=\"{user}\">{text}</button>")
    };
    format!(
        "<p>Choose a user. This provider asks for no password, so \
         it must not be reachable by strangers.</p>\
         <form action=\"{action}\">{fields}{}{}{}</form>",
        button("user-1", "I am user-1"),
        button("user-2", "I am user-2"),
        button("", "Refuse to sign in"),
    )
}

/// A page of the provider.
pub(super) fn page(body: &str) -> Html<String> {
    Html(format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Development provider</title><style>{STYLE}</style></head><body><main>\
         <h1>Development provider</h1>{body}</main></body></html>"
    ))
}

const STYLE: &str = ":root{color-scheme:light dark}\
    body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f6efe1;color:#20262f;\
    font:1rem/1.6 system-ui,sans-serif}\
    main{box-sizing:border-box;width:min(30rem,100%);padding:1.5rem;overflow-wrap:break-word}\
    h1{margin:0 0 .5rem;font-size:1.6rem;line-height:1.25}\
    button{display:block;width:100%;margin:.6rem 0;padding:.8rem;border:0;border-radius:.4rem;\
    background:#f2b84b;color:#20262f;font:inherit;cursor:pointer}\
    @media(prefers-color-scheme:dark){body{background:#20262f;color:#e8ebf0}}";

/// Browsers ask for an icon of their own accord.
pub(super) async fn favicon() -> StatusCode {
    StatusCode::NO_CONTENT
}

pub(super) async fn userinfo(
    Shared(state): Served,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    state.saw(Endpoint::UserInfo, query);
    let document = || {
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let user_of = |token| {
            let user = state.changing().grants.user_of_opaque(token);
            user.or_else(|| subject_of(token))
        };
        match token.and_then(user_of) {
            Some(user) => (
                StatusCode::OK,
                json!({"sub": user, "nickname": format!("nick of {user}")}).to_string(),
            ),
            None => refuse(StatusCode::UNAUTHORIZED, "invalid_token"),
        }
    };
    state.answer(Endpoint::UserInfo, document).await
}

/// The subject of a token. Its signature is not checked.
fn subject_of(token: &str) -> Option<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

pub(super) async fn end_session(
    Shared(state): Served,
    Query(query): Query<Parameters>,
) -> Response {
    state.changing().hits.count(Endpoint::EndSession);
    state.saw(Endpoint::EndSession, query.clone());
    let back_to =
        parameter(&query, "post_logout_redirect_uri").and_then(|uri| Url::parse(uri).ok());
    let Some(mut back_to) = back_to else {
        return "signed out\n".into_response();
    };
    if let Some(given) = parameter(&query, "state") {
        back_to.query_pairs_mut().append_pair("state", given);
    }
    Redirect::to(back_to.as_str()).into_response()
}
