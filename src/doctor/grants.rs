//! What the provider issues: the audience that tokens are asked for, and one token by client credentials where the
//! client has a secret.

use crate::doctor::finding::{Finding, Level};
use crate::doctor::shape::Shape;
use crate::doctor::subject::Subject;
use crate::doctor::token::{audiences_of, of_refusal, shape_of};
use crate::doctor::vendor;
use crate::env::ServiceSettings;
use crate::error::setup::Vendor;
use crate::error::{Chain, OutboundError, ProviderError, ProviderErrorKind, VerifyErrorKind};
use crate::outbound::{TokenRequest, TokenSource};
use crate::settings::{
    OPENID_AUDIENCE, OPENID_AUTHORIZATION_PARAMETERS, OPENID_CLIENT_AUDIENCES,
    OPENID_CLIENT_SECRET, OPENID_CLIENT_SECRET_FILE, OPENID_ISSUER, OPENID_REQUEST_AUDIENCE,
    OPENID_RESOURCE, OPENID_REUSE_TOKENS, OPENID_SCOPE,
};

/// The remedies of an answer that is no error of OAuth.
const NO_CODE: &str = "the answer does not tell what is refused: it may be the client, its secret, the grant \
    client_credentials, or the scope; look into the provider's log for this request of its token endpoint";
const NO_SCOPE: &str = "the answer does not tell what is refused: it may be the client, its secret, or the grant \
    client_credentials; some providers demand a scope (OPENID_SCOPE); look into the provider's log for this request of \
    its token endpoint";

/// What can be told of the audience from the settings alone.
pub(super) fn audience(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.verifies_access_tokens() {
        let is_site = subject.is(Shape::Site);
        return is_site.then(identity_mode).into_iter().collect();
    }
    let pairs = subject.pairs;
    let mut found = Vec::new();
    if let Some(vendor @ (Vendor::Google | Vendor::GitLab)) = subject.vendor
        && !pairs.introspects()
    {
        let name = vendor::name(vendor);
        let finding = Finding::wrong(
            "tokens_always_opaque",
            format!(
                "access tokens of {name} are opaque, whatever is asked for, and cannot be verified here"
            ),
        );
        found.push(if subject.is(Shape::Site) {
            finding.at(OPENID_REUSE_TOKENS).cured_by("set OPENID_REUSE_TOKENS=false: the ID token then says who is signed in")
        } else {
            finding.at(OPENID_ISSUER).cured_by(
                "let callers send ID tokens (OPENID_TOKEN_PROFILE=id, OPENID_AUDIENCE=<client id>), or use a provider \
                 that issues access tokens as JWTs",
            )
        });
        return found;
    }
    if subject.vendor == Some(Vendor::Okta) && !subject.issuer().contains("/oauth2/") {
        found.push(
            Finding::wrong("org_authorization_server", "the org authorization server of Okta issues access tokens for Okta alone")
                .at(OPENID_ISSUER)
                .cured_by("use a custom authorization server: OPENID_ISSUER=https://<domain>/oauth2/default; or set OPENID_REUSE_TOKENS=false on a site"),
        );
    }
    if subject.vendor == Some(Vendor::EntraId)
        && subject.is(Shape::Site)
        && !names_own_scope(subject)
    {
        found.push(
            Finding::wrong(
                "scope_of_api_missing",
                "without a scope of an API of its own, access tokens of Entra ID are for Microsoft Graph and cannot be verified here",
            )
            .at(OPENID_SCOPE)
            .cured_by(vendor::audience(subject.vendor)),
        );
    }
    if subject.vendor == Some(Vendor::Cognito) && !pairs.has(OPENID_CLIENT_AUDIENCES) {
        found.push(
            Finding::note(
                "tokens_without_audience",
                "access tokens of Cognito have no aud, unless a trigger adds one",
            )
            .at(OPENID_CLIENT_AUDIENCES)
            .cured_by(vendor::audience(subject.vendor)),
        );
    }
    if !pairs.has(OPENID_AUDIENCE) {
        found.push(unset(subject));
    }
    found
}

/// How a sign-in at this provider comes by a refresh token, as far as its name tells.
pub(super) fn refresh(subject: &Subject<'_>) -> Option<Finding> {
    let vendor = subject.vendor.filter(|_| subject.is(Shape::Site))?;
    let refuses = matches!(vendor, Vendor::Cognito | Vendor::Google);
    let mut words = subject.scope().split_ascii_whitespace();
    if refuses && words.any(|word| word == "offline_access") {
        let text = "this provider refuses requests with the scope offline_access";
        let finding = Finding::wrong("offline_access_refused", text).at(OPENID_SCOPE);
        return Some(finding.cured_by(vendor::refresh(subject.vendor)));
    }
    let parameters = subject.pairs.text(OPENID_AUTHORIZATION_PARAMETERS);
    let asks = parameters.is_some_and(|text| text.contains("access_type=offline"));
    (vendor == Vendor::Google && subject.requires_refresh() && !asks).then(|| {
        Finding::wrong(
            "refresh_not_asked_for",
            "Google issues a refresh token for access_type=offline alone",
        )
        .at(OPENID_AUTHORIZATION_PARAMETERS)
        .cured_by("set OPENID_AUTHORIZATION_PARAMETERS=access_type=offline&prompt=consent")
    })
}

fn identity_mode() -> Finding {
    Finding::right(
        "identity_mode",
        "the ID token says who is signed in, and the access token is not looked at",
    )
}

/// A scope other than those of OpenID: of an API, such as `api://…/.default`.
fn names_own_scope(subject: &Subject<'_>) -> bool {
    let words = subject.scope().split_ascii_whitespace();
    words
        .into_iter()
        .any(|word| word.contains("://") || word.contains('/'))
}

fn unset(subject: &Subject<'_>) -> Finding {
    let text =
        "it is not set, so that only access tokens whose audience is the client are accepted";
    match subject.vendor {
        Some(Vendor::Auth0 | Vendor::EntraId | Vendor::Okta | Vendor::Zitadel) => {
            Finding::wrong("audience_unset", text)
        }
        _ => Finding::note("audience_unset", text),
    }
    .at(OPENID_AUDIENCE)
    .cured_by(vendor::audience(subject.vendor))
}

/// Asks for one token with the client's own credentials. Nothing for a client without a secret.
pub(super) async fn request(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.pairs.has_client() || !subject.pairs.has_secret() {
        return Vec::new();
    }
    // A site and its API share these settings.
    let Ok(settings) = ServiceSettings::from_pairs(subject.pairs.0.clone()) else {
        return Vec::new();
    };
    let granted = settings
        .tokens()
        .supply(&TokenRequest::unbound())
        .token()
        .await;
    match granted {
        Ok(token) => granted_token(subject, token.as_access_token().as_str()).await,
        Err(error) => vec![refused(subject, &error)],
    }
}

/// The token is judged, and never shown.
async fn granted_token(subject: &Subject<'_>, token: &str) -> Vec<Finding> {
    let mut found = vec![Finding::right(
        "client_right",
        "the provider accepts the client and its secret",
    )];
    if subject.is(Shape::Service) {
        found.push(service_token(subject, token));
        return found;
    }
    if !subject.verifies_access_tokens() {
        return found;
    }
    // The client of an API is there for introspection, and others may come by better tokens.
    let level = if subject.is(Shape::Site) {
        Level::Wrong
    } else {
        Level::Note
    };
    let verifier = subject.loaded.verifier().without_introspection();
    found.push(match verifier.verify(token).await {
        Ok(_) => Finding::right("token_accepted", "a token that the provider grants for this audience is accepted here"),
        Err(error) => {
            let is_readable_there = subject.pairs.introspects()
                && matches!(error.kind(), VerifyErrorKind::Opaque | VerifyErrorKind::Encrypted);
            if is_readable_there {
                Finding::note("token_opaque", "the provider grants opaque tokens, and is asked about each (OPENID_INTROSPECTION)")
            } else {
                of_refusal(&error, level)
            }
        }
    });
    found
}

/// The token of a service. For whom it has to be, the API that it calls knows.
fn service_token(subject: &Subject<'_>, token: &str) -> Finding {
    let granted = format!(
        "it grants a token of this service's own: {}",
        shape_of(token)
    );
    let wanted = subject.requested_audiences();
    let is_another = |audiences: Vec<String>| !audiences.iter().any(|one| wanted.contains(&&**one));
    if wanted.is_empty() || !audiences_of(token).is_some_and(is_another) {
        return Finding::right("token_granted", granted);
    }
    let setting = if subject.pairs.has(OPENID_RESOURCE) {
        OPENID_RESOURCE
    } else {
        OPENID_AUDIENCE
    };
    Finding::note(
        "token_for_another_audience",
        format!("{granted}, which is not what it asks for: {wanted:?}"),
    )
    .at(setting)
    .cured_by(
        "if the API that is called refuses it, ask in the way that the provider understands: OPENID_RESOURCE (RFC 8707), \
         OPENID_REQUEST_AUDIENCE, or a scope of the API in OPENID_SCOPE",
    )
}

fn refused(subject: &Subject<'_>, error: &OutboundError) -> Finding {
    let own = std::error::Error::source(error);
    let provider = own.and_then(|cause| cause.downcast_ref::<ProviderError>());
    let code = provider.and_then(ProviderError::oauth_code);
    let text = Chain(error).to_string();
    let is_service = subject.is(Shape::Service);
    // A site and an API do without tokens of their own, so that only what is wrong with the client counts.
    let level = if is_service {
        Level::Wrong
    } else {
        Level::Note
    };
    let pairs = subject.pairs;
    match code {
        Some("invalid_client") => Finding::wrong("client_refused", text)
            .at(if pairs.has(OPENID_CLIENT_SECRET) {
                OPENID_CLIENT_SECRET
            } else {
                OPENID_CLIENT_SECRET_FILE
            })
            .cured_by(
                "copy id and secret of the client from the provider again; if they are right, compare \
                 OPENID_TOKEN_ENDPOINT_AUTH_METHOD with how the client is registered",
            ),
        Some("unauthorized_client" | "unsupported_grant_type" | "access_denied") => {
            let finding = Finding::new(level, "client_credentials_refused", text);
            if is_service {
                finding.at(crate::settings::OPENID_CLIENT_ID).cured_by(match subject.vendor {
                    Some(Vendor::Auth0) => "authorise the application for the API at Auth0 (Machine to Machine), grant Client Credentials",
                    Some(Vendor::Keycloak) => "switch on Service accounts roles of the client in Keycloak",
                    _ => "allow the client the grant client_credentials at the provider",
                })
            } else {
                finding.cured_by("nothing: a token could not be had for a look at it; sign in, and read the log")
            }
        }
        Some("invalid_target") => Finding::wrong("target_refused", text)
            .at(if pairs.has(OPENID_RESOURCE) {
                OPENID_RESOURCE
            } else if pairs.has(OPENID_REQUEST_AUDIENCE) {
                OPENID_REQUEST_AUDIENCE
            } else {
                OPENID_AUDIENCE
            })
            .cured_by("write the resource or audience as the provider has it registered, character by character"),
        Some("invalid_scope") => Finding::new(level, "scope_refused", text)
            .at(OPENID_SCOPE)
            .cured_by("allow the client these scopes at the provider, or leave them out"),
        _ => Finding::new(
            level,
            "token_not_granted",
            provider.map_or(text, |cause| Chain(cause).to_string()),
        )
        .cured_by(match provider {
            Some(cause) if cause.kind() == ProviderErrorKind::Status && !pairs.has(OPENID_SCOPE) => NO_SCOPE,
            Some(cause) if cause.kind() == ProviderErrorKind::Status => NO_CODE,
            _ => "look into the provider's log for this request of its token endpoint",
        }),
    }
}
