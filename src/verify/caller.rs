//! Which client a token was issued to, and whether the caller is that client itself and not a user.
//!
//! [RFC 9068 §5](https://www.rfc-editor.org/rfc/rfc9068#section-5) tells the two apart by `sub`. Providers
//! that issued access tokens before it have their own claims.

use crate::jwt::{CallerClaims, Json, Presence};

/// The client: `client_id` ([RFC 9068 §2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2)), `azp`
/// (Auth0, Keycloak, Entra ID v2), `cid` (Okta) or `appid` (Entra ID v1), whichever comes first.
pub(super) fn client_id<'a>(claims: &'a CallerClaims) -> Option<&'a str> {
    [&claims.client_id, &claims.azp, &claims.cid, &claims.appid]
        .into_iter()
        .find_map(named)
}

fn named<'a>(claim: &'a Json) -> Option<&'a str> {
    claim.text().filter(|text| !text.is_empty())
}

/// Whether the token says that its subject is a client.
pub(super) fn is_client(claims: &CallerClaims) -> bool {
    // Entra ID, as an optional claim: `app` or `user`.
    match claims.idtyp.text() {
        Some("app") => return true,
        Some("user") => return false,
        _ => {}
    }
    // Auth0.
    if claims.gty.text() == Some("client-credentials") {
        return true;
    }
    let Some(client) = client_id(claims) else {
        return is_app_of_entra(claims);
    };
    let Some(subject) = named(&claims.sub) else {
        // A user has a subject. Duende IdentityServer issues none to clients.
        return true;
    };
    subject == client
        // Auth0, with either of its token profiles.
        || subject.strip_suffix("@clients") == Some(client)
        || is_service_account_of_keycloak(claims, client)
        || is_app_of_entra(claims)
}

/// Entra ID's tokens for an application have the same `oid` and `sub`, and no delegated scopes.
fn is_app_of_entra(claims: &CallerClaims) -> bool {
    named(&claims.oid).is_some_and(|object| Some(object) == named(&claims.sub))
        && claims.scp != Presence::Present
}

/// Keycloak names the user that stands for a client after it, in lower case.
fn is_service_account_of_keycloak(claims: &CallerClaims, client: &str) -> bool {
    named(&claims.preferred_username)
        .and_then(|name| name.strip_prefix("service-account-"))
        .is_some_and(|name| name == client.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    // AT-09, AT-10
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn programs_are_told_by_the_claims_their_providers_write() {
        let cases = [
            (
                "RFC 9068, client",
                r#"{"sub":"c","client_id":"c"}"#,
                Some("c"),
                true,
            ),
            (
                "RFC 9068, user",
                r#"{"sub":"u","client_id":"c"}"#,
                Some("c"),
                false,
            ),
            (
                "Auth0, client",
                r#"{"sub":"c@clients","azp":"c","gty":"client-credentials"}"#,
                Some("c"),
                true,
            ),
            (
                "Auth0 with the profile of RFC 9068, client",
                r#"{"sub":"c@clients","client_id":"c"}"#,
                Some("c"),
                true,
            ),
            (
                "Auth0, user",
                r#"{"sub":"auth0|1","azp":"c"}"#,
                Some("c"),
                false,
            ),
            (
                "Auth0, user by password",
                r#"{"sub":"auth0|1","azp":"c","gty":"password"}"#,
                Some("c"),
                false,
            ),
            (
                "another client's name",
                r#"{"sub":"d@clients","azp":"c"}"#,
                Some("c"),
                false,
            ),
            (
                "Keycloak, client",
                r#"{"sub":"0b9","azp":"Shop","preferred_username":"service-account-shop"}"#,
                Some("Shop"),
                true,
            ),
            (
                "Keycloak, user",
                r#"{"sub":"0b9","azp":"shop","preferred_username":"ada"}"#,
                Some("shop"),
                false,
            ),
            (
                "Keycloak, user with a telling name",
                r#"{"sub":"0b9","azp":"shop","preferred_username":"service-account-other"}"#,
                Some("shop"),
                false,
            ),
            (
                "Okta, client",
                r#"{"sub":"0oa","cid":"0oa"}"#,
                Some("0oa"),
                true,
            ),
            (
                "Okta, user",
                r#"{"sub":"ada@example.com","uid":"00u","cid":"0oa"}"#,
                Some("0oa"),
                false,
            ),
            (
                "Entra ID v1, client",
                r#"{"sub":"o","oid":"o","appid":"a","appidacr":"1","roles":["r"]}"#,
                Some("a"),
                true,
            ),
            (
                "Entra ID v1, user",
                r#"{"sub":"s","oid":"o","appid":"a","scp":"read"}"#,
                Some("a"),
                false,
            ),
            (
                "Entra ID v2, client",
                r#"{"sub":"o","oid":"o","azp":"a","azpacr":"1"}"#,
                Some("a"),
                true,
            ),
            (
                "Entra ID v2, client, optional claim",
                r#"{"sub":"o","azp":"a","idtyp":"app"}"#,
                Some("a"),
                true,
            ),
            (
                "Entra ID v2, user, optional claim",
                r#"{"sub":"o","oid":"o","azp":"a","idtyp":"user"}"#,
                Some("a"),
                false,
            ),
            (
                "Azure AD B2C, user, whose sub is the oid",
                r#"{"sub":"o","oid":"o","azp":"a","scp":"read"}"#,
                Some("a"),
                false,
            ),
            (
                "Cognito, client",
                r#"{"sub":"c","client_id":"c","token_use":"access"}"#,
                Some("c"),
                true,
            ),
            ("Duende, client", r#"{"client_id":"c"}"#, Some("c"), true),
            ("nothing is told", "{}", None, false),
            ("a subject alone", r#"{"sub":"u"}"#, None, false),
            (
                "claims of other types",
                r#"{"sub":"u","azp":7,"cid":["u"],"appid":""}"#,
                None,
                false,
            ),
            (
                "null is absent",
                r#"{"sub":"u","azp":null,"cid":"c"}"#,
                Some("c"),
                false,
            ),
        ];
        for (name, claims, client, is_program) in cases {
            let claims = CallerClaims::parse(claims).unwrap();
            assert_eq!(client_id(&claims), client, "{name}");
            assert_eq!(is_client(&claims), is_program, "{name}");
        }
    }
}
