//! The provider's metadata, held against what this configuration needs of it.

use serde_json::{Map, Value};

use crate::doctor::finding::Finding;
use crate::doctor::shape::Shape;
use crate::doctor::subject::Subject;
use crate::doctor::vendor;
use crate::jwt::Algorithm;
use crate::settings::{
    OPENID_ALGORITHMS, OPENID_ALLOW_HTTP, OPENID_CLIENT_SECRET, OPENID_FRONTCHANNEL_LOGOUT,
    OPENID_INTROSPECTION, OPENID_INTROSPECTION_URL, OPENID_ISSUER, OPENID_RESPONSE_MODE,
    OPENID_SCOPE, OPENID_TOKEN_ENDPOINT_AUTH_METHOD, OPENID_USE_END_SESSION_ENDPOINT,
    OPENID_USE_PAR, OPENID_USERINFO,
};

/// The members, read without trust.
pub(super) struct Document(pub(super) Map<String, Value>);

impl Document {
    pub(super) fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member)?.as_str()
    }

    /// The words of a list. `None` without a list.
    pub(super) fn list(&self, member: &str) -> Option<Vec<&str>> {
        let items = self.0.get(member)?.as_array()?;
        Some(items.iter().filter_map(Value::as_str).collect())
    }

    /// Whether a list is there and lacks this word.
    fn lacks(&self, member: &str, word: &str) -> bool {
        self.list(member).is_some_and(|list| !list.contains(&word))
    }

    fn is_true(&self, member: &str) -> bool {
        self.0.get(member) == Some(&Value::Bool(true))
    }
}

/// Every check of the members that this shape of service depends on.
pub(super) fn check(subject: &Subject<'_>, document: &Document) -> Vec<Finding> {
    let mut found = Vec::new();
    endpoints(subject, document, &mut found);
    match subject.loaded.shape() {
        Shape::Site => {
            sign_in(subject, document, &mut found);
            scopes(subject, document, &mut found);
            client_authentication(subject, document, &mut found);
            id_token_algorithms(subject, document, &mut found);
            sign_out(subject, document, &mut found);
        }
        Shape::Service => client_authentication(subject, document, &mut found),
        Shape::Api => {}
    }
    found
}

struct Endpoint {
    member: &'static str,
    /// The code where it is missing.
    code: &'static str,
    setting: &'static str,
    remedy: &'static str,
}

const WRONG_DOCUMENT: &str =
    "check that the issuer is that of an OpenID provider, or set OPENID_DISCOVERY=either";

/// The endpoints without which something that is configured cannot work.
fn needed(subject: &Subject<'_>) -> Vec<Endpoint> {
    let pairs = subject.pairs;
    let endpoint = |member, code, setting, remedy| Endpoint {
        member,
        code,
        setting,
        remedy,
    };
    let is_site = subject.is(Shape::Site);
    let asks =
        subject.is(Shape::Api) && pairs.introspects() && !pairs.has(OPENID_INTROSPECTION_URL);
    let rows = [
        (
            is_site,
            endpoint(
                "authorization_endpoint",
                "authorization_endpoint_missing",
                OPENID_ISSUER,
                WRONG_DOCUMENT,
            ),
        ),
        (
            !subject.is(Shape::Api),
            endpoint(
                "token_endpoint",
                "token_endpoint_missing",
                OPENID_ISSUER,
                WRONG_DOCUMENT,
            ),
        ),
        (
            is_site && pairs.is(OPENID_USERINFO, false),
            endpoint(
                "userinfo_endpoint",
                "userinfo_endpoint_missing",
                OPENID_USERINFO,
                "set OPENID_USERINFO=false",
            ),
        ),
        (
            is_site && pairs.is(OPENID_USE_PAR, false),
            endpoint(
                "pushed_authorization_request_endpoint",
                "pushed_authorization_endpoint_missing",
                OPENID_USE_PAR,
                "set OPENID_USE_PAR=false, or enable pushed authorization requests at the provider",
            ),
        ),
        (
            asks,
            endpoint(
                "introspection_endpoint",
                "introspection_endpoint_missing",
                OPENID_INTROSPECTION,
                "set OPENID_INTROSPECTION_URL if the provider introspects tokens, else OPENID_INTROSPECTION=none",
            ),
        ),
    ];
    let needed = rows.into_iter().filter(|(is_needed, _)| *is_needed);
    needed.map(|(_, endpoint)| endpoint).collect()
}

fn endpoints(subject: &Subject<'_>, document: &Document, found: &mut Vec<Finding>) {
    let before = found.len();
    for endpoint in needed(subject) {
        let member = endpoint.member;
        match document.text(member) {
            None => found.push(
                Finding::wrong(endpoint.code, format!("the metadata names no {member}"))
                    .at(endpoint.setting)
                    .cured_by(endpoint.remedy),
            ),
            Some(url) if !subject.loaded.provider().inspection().may_call(member, url) => found.push(
                Finding::wrong(
                    "endpoint_insecure",
                    format!("{member} is {url:?}, and plain http can be read and changed on the way"),
                )
                .at(OPENID_ALLOW_HTTP)
                .cured_by(
                    "let the provider publish https addresses (behind a proxy: its public URL and forwarded headers); \
                     in a network that you trust, name the host in OPENID_ALLOW_HTTP",
                ),
            ),
            Some(_) => {}
        }
    }
    if found.len() == before {
        found.push(Finding::right(
            "endpoints_right",
            "the metadata names every endpoint that is needed",
        ));
    }
}

fn sign_in(subject: &Subject<'_>, document: &Document, found: &mut Vec<Finding>) {
    let pkce = "code_challenge_methods_supported";
    found.push(match document.list(pkce) {
        Some(list) if list.contains(&"S256") => {
            Finding::right("pkce_right", "the provider lists PKCE with S256")
        }
        Some(_) => Finding::wrong(
            "pkce_not_listed",
            format!("{pkce} lacks S256, and sign-in is unsafe without it"),
        )
        .at(OPENID_ISSUER)
        .cured_by("enable PKCE with S256 for the client at the provider"),
        None => Finding::note(
            "pkce_unknown",
            "the metadata does not tell whether the provider checks PKCE; S256 is sent in any case",
        )
        .cured_by("if sign-ins are refused with invalid_request, switch PKCE on at the provider"),
    });
    if document.lacks("response_types_supported", "code") {
        found.push(
            Finding::wrong(
                "code_flow_not_listed",
                "response_types_supported lacks code, the only flow that is used",
            )
            .at(OPENID_ISSUER)
            .cured_by("enable the authorization code flow at the provider"),
        );
    }
    if subject.pairs.text(OPENID_RESPONSE_MODE) == Some("form_post")
        && document.lacks("response_modes_supported", "form_post")
    {
        found.push(
            Finding::wrong(
                "form_post_not_listed",
                "response_modes_supported lacks form_post",
            )
            .at(OPENID_RESPONSE_MODE)
            .cured_by("remove OPENID_RESPONSE_MODE, so that the answer comes in the query"),
        );
    }
}

fn scopes(subject: &Subject<'_>, document: &Document, found: &mut Vec<Finding>) {
    let words: Vec<_> = subject.scope().split_ascii_whitespace().collect();
    let asks_offline = words.contains(&"offline_access");
    if asks_offline && document.lacks("scopes_supported", "offline_access") {
        let text = "scopes_supported lacks offline_access, the scope that brings refresh tokens";
        let finding = if subject.requires_refresh() {
            Finding::wrong("offline_access_not_listed", text)
        } else {
            Finding::note("offline_access_not_listed", text)
        };
        found.push(
            finding
                .at(OPENID_SCOPE)
                .cured_by(vendor::refresh(subject.vendor)),
        );
    } else if asks_offline {
        found.push(Finding::right(
            "refresh_right",
            "the scope offline_access asks for a refresh token",
        ));
    }
    for word in words.iter().filter(|word| **word != "offline_access") {
        if document.lacks("scopes_supported", word) {
            found.push(
                Finding::note(
                    "scope_not_listed",
                    format!("scopes_supported lacks {word:?}; lists are often incomplete"),
                )
                .at(OPENID_SCOPE)
                .cured_by("check that the client may ask for it"),
            );
        }
    }
}

fn client_authentication(subject: &Subject<'_>, document: &Document, found: &mut Vec<Finding>) {
    let member = "token_endpoint_auth_methods_supported";
    let Some(list) = document.list(member) else {
        return;
    };
    let shown = list.join(", ");
    let chosen = subject.pairs.text(OPENID_TOKEN_ENDPOINT_AUTH_METHOD);
    let finding = match chosen {
        _ if !subject.pairs.has_secret() => {
            if list.contains(&"none") {
                return;
            }
            Finding::note("public_client_not_listed", format!("the client has no secret, and {member} lacks none: {shown}"))
                .at(OPENID_CLIENT_SECRET)
                .cured_by("set OPENID_CLIENT_SECRET, unless the client is registered as public")
        }
        Some(method) if !list.contains(&method) => {
            Finding::wrong("client_authentication_not_listed", format!("{member} lacks {method}: {shown}"))
                .at(OPENID_TOKEN_ENDPOINT_AUTH_METHOD)
                .cured_by("remove it: a method that the provider lists is then chosen")
        }
        None if !list.iter().any(|one| one.starts_with("client_secret_")) => Finding::wrong(
            "client_secret_not_listed",
            format!("{member} has no method that sends a secret: {shown}"),
        )
        .at(OPENID_CLIENT_SECRET)
        .cured_by("register the client with a secret at the provider, or sign with a private key (Client::with_private_key)"),
        _ => return,
    };
    found.push(finding);
}

fn id_token_algorithms(subject: &Subject<'_>, document: &Document, found: &mut Vec<Finding>) {
    let member = "id_token_signing_alg_values_supported";
    let Some(list) = document.list(member) else {
        return;
    };
    let accepted = subject.loaded.verifier().algorithms();
    let listed = |algorithm: Algorithm| list.contains(&algorithm.name());
    let common: Vec<_> = accepted
        .iter()
        .filter(|one| listed(*one))
        .map(Algorithm::name)
        .collect();
    found.push(if common.is_empty() {
        let finding = Finding::wrong(
            "id_token_algorithms",
            format!(
                "ID tokens are signed with {}, none of which is accepted",
                list.join(", ")
            ),
        )
        .at(OPENID_ALGORITHMS);
        let other = list.iter().find_map(|name| Algorithm::from_name(name));
        match other {
            Some(other) => finding.cured_by(format!("set OPENID_ALGORITHMS={}", other.name())),
            None => finding.cured_by(vendor::signing(subject.vendor)),
        }
    } else {
        Finding::right(
            "id_token_algorithms_right",
            format!("ID tokens may be signed with {}", common.join(", ")),
        )
    });
}

fn sign_out(subject: &Subject<'_>, document: &Document, found: &mut Vec<Finding>) {
    let wants = subject.pairs.is(OPENID_USE_END_SESSION_ENDPOINT, true);
    match document.text("end_session_endpoint") {
        Some(_) if wants => found.push(Finding::right("sign_out_right", "a sign-out goes on at the provider")),
        None if wants => found.push(
            Finding::note(
                "end_session_endpoint_missing",
                "a sign-out ends the session here alone, because the metadata names no end_session_endpoint: the next \
                 sign-in may ask nothing",
            )
            .at(OPENID_USE_END_SESSION_ENDPOINT)
            .cured_by(vendor::sign_out(subject.vendor)),
        ),
        _ => {}
    }
    if document.text("revocation_endpoint").is_none() {
        found.push(Finding::note(
            "revocation_endpoint_missing",
            "the refresh token of a session that ends stays valid at the provider, which names no revocation_endpoint",
        ));
    }
    found.push(if document.is_true("backchannel_logout_supported") {
        Finding::right("backchannel_logout_right", "the provider can end sessions here by back-channel logout")
    } else {
        Finding::note(
            "backchannel_logout_not_listed",
            "the provider does not list back-channel logout: unless it has it all the same, a session here outlives a \
             sign-out there",
        )
    });
    if subject.pairs.is(OPENID_FRONTCHANNEL_LOGOUT, false)
        && !document.is_true("frontchannel_logout_supported")
    {
        found.push(
            Finding::note(
                "frontchannel_logout_not_listed",
                "the provider does not list front-channel logout",
            )
            .at(OPENID_FRONTCHANNEL_LOGOUT)
            .cured_by("set OPENID_FRONTCHANNEL_LOGOUT=false"),
        );
    }
}
