//! Cures in the words of the provider that is recognised by its issuer.

use crate::error::setup::Vendor;

/// The provider's name.
pub(super) fn name(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Auth0 => "Auth0",
        Vendor::Authentik => "authentik",
        Vendor::Cognito => "Amazon Cognito",
        Vendor::EntraId => "Entra ID",
        Vendor::GitLab => "GitLab",
        Vendor::Google => "Google",
        Vendor::Keycloak => "Keycloak",
        Vendor::Okta => "Okta",
        Vendor::Zitadel => "Zitadel",
    }
}

/// Where the metadata is, if it is not below the issuer.
pub(super) fn issuer(vendor: Option<Vendor>) -> &'static str {
    match vendor {
        Some(Vendor::Auth0) => {
            "set it to https:// and the domain of the tenant or the custom domain, with a slash at the end"
        }
        Some(Vendor::Authentik) => {
            "set it to the OpenID Configuration Issuer on the page of the provider in authentik, which ends in \
             /application/o/<slug>/"
        }
        Some(Vendor::Cognito) => {
            "set it to https://cognito-idp.<region>.amazonaws.com/<user pool id>, not to the domain of the sign-in page"
        }
        Some(Vendor::EntraId) => "set it to https://login.microsoftonline.com/<tenant id>/v2.0",
        Some(Vendor::GitLab) => "set it to the address of GitLab, such as https://gitlab.com",
        Some(Vendor::Google) => "set it to https://accounts.google.com",
        Some(Vendor::Keycloak) => {
            "set it to https://<host>/realms/<realm>, and check the realm's name (before Keycloak 17 the path began with \
             /auth)"
        }
        Some(Vendor::Okta) => {
            "set it to the Issuer URI of the authorization server (Security, API), such as \
             https://<domain>/oauth2/default"
        }
        Some(Vendor::Zitadel) => {
            "set it to the address of the instance, such as https://<instance>.zitadel.cloud"
        }
        None => {
            "set it to the issuer as the provider's documentation names it; if the metadata stands at the path of \
             RFC 8414, set OPENID_DISCOVERY=either"
        }
    }
}

/// How a client comes by refresh tokens.
pub(super) fn refresh(vendor: Option<Vendor>) -> &'static str {
    match vendor {
        Some(Vendor::Auth0) => {
            "at Auth0 switch on Allow Offline Access of the API, and the grant Refresh Token of the application"
        }
        Some(Vendor::Authentik) => {
            "in authentik add the scope mapping offline_access to the provider (Advanced protocol settings)"
        }
        Some(Vendor::Cognito) => {
            "Cognito issues refresh tokens without that scope and refuses it: write OPENID_SCOPE=openid profile email"
        }
        Some(Vendor::GitLab) => {
            "GitLab issues refresh tokens without that scope: write OPENID_SCOPE=openid profile email"
        }
        Some(Vendor::Google) => {
            "Google refuses that scope: write OPENID_SCOPE=openid profile email and \
             OPENID_AUTHORIZATION_PARAMETERS=access_type=offline&prompt=consent"
        }
        Some(Vendor::Okta) => {
            "at Okta switch on the grant Refresh Token of the application, and allow offline_access in the access policy"
        }
        Some(Vendor::EntraId | Vendor::Keycloak | Vendor::Zitadel) | None => {
            "allow the client this scope at the provider; if the provider issues refresh tokens without it, leave it out \
             of OPENID_SCOPE; if sessions may end with their access token, set OPENID_REQUIRE_REFRESH_TOKEN=false"
        }
    }
}

/// How the provider comes to sign with an asymmetric algorithm.
pub(super) fn signing(vendor: Option<Vendor>) -> &'static str {
    match vendor {
        Some(Vendor::Auth0) => {
            "choose RS256 at Auth0: for the API under Settings, for the application under Advanced Settings, OAuth"
        }
        Some(Vendor::Authentik) => {
            "choose a signing key for the provider in authentik; without one it signs with HS256"
        }
        _ => "configure the provider to sign with RS256 or ES256 and to publish the key",
    }
}

/// How the provider comes to name where people sign out.
pub(super) fn sign_out(vendor: Option<Vendor>) -> &'static str {
    match vendor {
        Some(Vendor::Auth0) => {
            "at Auth0 switch on RP-Initiated Logout End Session Endpoint Discovery (tenant settings, Advanced), or set \
             OPENID_USE_END_SESSION_ENDPOINT=false"
        }
        Some(Vendor::Cognito) => {
            "Cognito has its own address for that, /logout of the domain of the sign-in page; set \
             OPENID_USE_END_SESSION_ENDPOINT=false, or link to that address after signing out"
        }
        Some(Vendor::Google) => {
            "Google has no such address; set OPENID_USE_END_SESSION_ENDPOINT=false"
        }
        _ => "set OPENID_USE_END_SESSION_ENDPOINT=false to say that this is meant",
    }
}

/// What an access token needs to be for this service.
pub(super) fn audience(vendor: Option<Vendor>) -> &'static str {
    match vendor {
        Some(Vendor::Auth0) => {
            "create an API at Auth0 and set OPENID_AUDIENCE to its identifier, character by character"
        }
        Some(Vendor::Authentik) => {
            "set OPENID_AUDIENCE to the client id, which authentik names as aud"
        }
        Some(Vendor::Cognito) => {
            "access tokens of Cognito have no aud: set OPENID_CLIENT_AUDIENCES to the client id"
        }
        Some(Vendor::EntraId) => {
            "expose an API in the app registration, set OPENID_AUDIENCE to the application id, and add \
             api://<application id>/.default to OPENID_SCOPE"
        }
        Some(Vendor::Keycloak) => {
            "add a mapper of the type Audience to the client or to one of its client scopes, and set OPENID_AUDIENCE to \
             the same text"
        }
        Some(Vendor::Okta) => {
            "use a custom authorization server (OPENID_ISSUER=https://<domain>/oauth2/default) and set OPENID_AUDIENCE \
             to its audience, such as api://default"
        }
        Some(Vendor::Zitadel) => {
            "set OPENID_AUDIENCE to the project id, add urn:zitadel:iam:org:project:id:<project id>:aud to \
             OPENID_SCOPE, and choose JWT as the access token type of the application"
        }
        Some(Vendor::GitLab | Vendor::Google) | None => {
            "where this site only has to know who its users are, set OPENID_REUSE_TOKENS=false; else set OPENID_AUDIENCE \
             to the name that the provider knows this API by"
        }
    }
}
