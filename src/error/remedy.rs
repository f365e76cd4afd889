//! What cures a refusal, chosen by the configuration that the token was judged by: a remedy that is in
//! force already, or that the provider does not have, is never named.

use crate::error::VerifyErrorKind as Kind;
use crate::error::setup::{JudgedAs, KeysFrom, Setup, Vendor};

/// The cause of a refusal, where its kind has several with a cure each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Cause {
    #[default]
    Usual,
    /// The algorithm can be accepted, and is not on the list.
    AlgorithmNotListed,
    /// The algorithm is accepted by default, and the provider's metadata does not list it.
    AlgorithmNotInMetadata,
    /// The algorithm uses a secret that both sides know.
    SymmetricAlgorithm,
    /// The key that the token names is for another algorithm.
    KeyOfOtherAlgorithm,
    /// The header is longer than any that is read.
    HeaderTooLarge,
    /// The lenient profile accepts this `typ`.
    AcceptedByLenient,
    /// A maximum age is configured.
    MaximumAge,
    /// The issuer source does not know the issuer.
    UnknownToSource,
    /// The issuer source named a provider of another issuer.
    OtherProviderInSource,
    /// The issuer is not of the form that is passed on to an issuer source.
    NotForSource,
}

const CONFIGURE_CLAIM: &str = "configure the provider to issue the claim as the standard has it";
const SEND_UNCHANGED: &str = "the client must send the token exactly as the provider issued it";

/// The remedy of this kind under this configuration. `None`: that of the table.
pub(super) fn remedy(
    kind: Kind,
    claim: Option<&str>,
    cause: Cause,
    setup: &Setup,
) -> Option<&'static str> {
    if let Some(remedy) = of_issuer_source(cause) {
        return Some(remedy);
    }
    match setup.judged_as {
        JudgedAs::Id | JudgedAs::Logout => of_the_providers_own(kind, claim, cause, setup),
        JudgedAs::Access { strict } => of_access_token(kind, claim, cause, setup, strict),
        JudgedAs::PresentedId => of_presented_id_token(kind),
        #[cfg(feature = "introspection")]
        JudgedAs::Introspected => of_introspected(kind, claim, cause, setup),
    }
    .or_else(|| of_any(kind, cause, setup))
}

fn of_issuer_source(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::UnknownToSource => {
            "if the issuer is that of a tenant, add it where the function of the IssuerSource looks, character by \
             character; that it is unknown is remembered for a minute (IssuerSource::forget ends that)"
        }
        Cause::OtherProviderInSource => {
            "the function of the IssuerSource named a provider with another issuer: return one whose issuer is exactly \
             the iss that was asked for, the final slash included"
        }
        Cause::NotForSource => {
            "an issuer is looked up (IssuerSource) only if it is an https URL of at most 512 bytes without user \
             information, query or fragment; configure another one with VerifierBuilder::add_provider"
        }
        _ => return None,
    })
}

fn of_access_token(
    kind: Kind,
    claim: Option<&str>,
    cause: Cause,
    setup: &Setup,
    strict: bool,
) -> Option<&'static str> {
    let needed_in_any = matches!(claim, Some("iss" | "aud" | "exp"));
    Some(match kind {
        Kind::Opaque | Kind::Encrypted => {
            let can_ask = setup.is_presented && cfg!(feature = "introspection");
            return unreadable(setup.vendor).or(can_ask.then_some(ASK_THE_PROVIDER));
        }
        Kind::WrongAudience => return wrong_audience(setup.vendor),
        Kind::MissingClaim if claim == Some("aud") => missing_audience(setup.vendor),
        Kind::MissingClaim if cause == Cause::MaximumAge => {
            "configure the provider to issue iat, or do without a maximum age"
        }
        Kind::MissingClaim if strict && !needed_in_any => {
            "configure the provider to issue the claim as RFC 9068 has it, or choose the lenient profile \
             (OPENID_TOKEN_PROFILE=lenient)"
        }
        Kind::TokenType if strict && cause == Cause::AcceptedByLenient => {
            "configure the provider to issue access tokens with typ at+jwt (RFC 9068), or choose the \
             lenient profile (OPENID_TOKEN_PROFILE=lenient)"
        }
        Kind::TokenType if strict => "send an access token, whose typ is at+jwt",
        Kind::WrongIssuer if setup.vendor == Some(Vendor::EntraId) => {
            "tokens of Entra ID come from two issuers: https://sts.windows.net/<tenant id>/ for tokens of version 1 and \
             https://login.microsoftonline.com/<tenant id>/v2.0 for those of version 2; set \
             requestedAccessTokenVersion to 2 in the manifest of this API, and the issuer \
             (OPENID_ISSUER) to that of your tenant"
        }
        Kind::WrongIssuer if setup.vendor == Some(Vendor::Keycloak) => {
            "an issuer of Keycloak has the address that the client called, unless its hostname is \
             configured; configure it, and set the issuer (OPENID_ISSUER) to the token's iss, character \
             by character"
        }
        _ => return None,
    })
}

/// For what the provider says of a token.
#[cfg(feature = "introspection")]
fn of_introspected(
    kind: Kind,
    claim: Option<&str>,
    cause: Cause,
    setup: &Setup,
) -> Option<&'static str> {
    Some(match kind {
        Kind::MissingClaim if claim == Some("aud") => {
            "configure the provider to tell the audience (aud) when it introspects tokens, or name the clients whose \
             tokens need none (OPENID_CLIENT_AUDIENCES)"
        }
        Kind::MissingClaim if claim == Some("client_id") => {
            "configure the provider to tell the client (client_id) when it introspects tokens, or accept every client \
             (OPENID_ALLOWED_CLIENTS)"
        }
        Kind::TokenKind => {
            "send an access token; the provider says that this token is one of another kind"
        }
        _ => return of_access_token(kind, claim, cause, setup, false),
    })
}

/// For ID tokens that clients present.
fn of_presented_id_token(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Opaque | Kind::Encrypted | Kind::TokenType | Kind::TokenKind => {
            "send the ID token, not the access token; where clients send access tokens, choose another profile \
             (OPENID_TOKEN_PROFILE)"
        }
        Kind::WrongAudience => {
            "the accepted audience (OPENID_AUDIENCE) must be the client id or address that the ID token was asked for, \
             character by character"
        }
        Kind::MissingClaim => CONFIGURE_CLAIM,
        _ => return None,
    })
}

/// For ID tokens and logout tokens, which the provider hands over itself.
fn of_the_providers_own(
    kind: Kind,
    claim: Option<&str>,
    cause: Cause,
    setup: &Setup,
) -> Option<&'static str> {
    Some(match (kind, setup.judged_as) {
        (Kind::MissingClaim, JudgedAs::Logout) if claim == Some("exp") => {
            "if the provider follows a draft of back-channel logout, whose tokens have no exp, allow it \
             (OPENID_ALLOW_LOGOUT_WITHOUT_EXPIRY=true): they then count for 5 minutes from their iat, and once"
        }
        (Kind::Opaque | Kind::Encrypted, _) => {
            "configure the provider to sign the ID tokens and logout tokens of this client and not to \
             encrypt them"
        }
        (Kind::TooLarge, _) => "configure the provider to put less into the token",
        (Kind::TokenType | Kind::TokenKind, JudgedAs::Logout) => {
            "configure the provider to call this address with logout tokens, whose typ is logout+jwt"
        }
        (Kind::TokenType | Kind::TokenKind, _) => {
            "configure the provider to answer with an ID token as id_token, whose typ is JWT or absent"
        }
        (Kind::WrongAudience, _) => {
            "the token is for another client: compare the client id (OPENID_CLIENT_ID) with the one that \
             is registered at the provider"
        }
        (Kind::MissingClaim, JudgedAs::Logout) if cause == Cause::MaximumAge => CONFIGURE_CLAIM,
        (Kind::NotYetValid | Kind::Expired | Kind::TooOld, _) if setup.leeway_can_grow => {
            "the clocks differ: synchronise this machine's clock with the provider's, or raise the leeway \
             (OPENID_CLOCK_TOLERANCE)"
        }
        (Kind::TooOld, _) => "synchronise this machine's clock with the provider's",
        (Kind::MissingClaim, _) => CONFIGURE_CLAIM,
        _ => return None,
    })
}

fn of_any(kind: Kind, cause: Cause, setup: &Setup) -> Option<&'static str> {
    Some(match (kind, cause) {
        (Kind::Algorithm, Cause::AlgorithmNotListed) => {
            "configure the provider to sign with an accepted algorithm, or add this one to the list \
             (OPENID_ALGORITHMS)"
        }
        (Kind::Algorithm, Cause::AlgorithmNotInMetadata) => {
            "the provider's metadata does not list this algorithm; configure the provider to sign with one \
             that it lists, or name the accepted algorithms (OPENID_ALGORITHMS), which the metadata then \
             does not narrow"
        }
        (Kind::Algorithm, Cause::SymmetricAlgorithm) => match setup.vendor {
            Some(Vendor::Auth0) => {
                "choose RS256 as the signing algorithm of the API (access tokens) or application (ID \
                 tokens) in the dashboard of Auth0; HS256 cannot be accepted, because a service that can verify \
                 such a token can make one"
            }
            _ => {
                "configure the provider to sign with an accepted algorithm, all of which are asymmetric; a \
                 symmetric one cannot be accepted, because a service that can verify such a token can make one"
            }
        },
        (Kind::Algorithm, Cause::KeyOfOtherAlgorithm) => {
            "the provider publishes the key that the token names for another algorithm; configure it to \
             sign with that one"
        }
        (Kind::Algorithm, _) => {
            "configure the provider to sign with an accepted algorithm; that of the token is none that can \
             be added to the list"
        }
        (Kind::TooLarge, Cause::HeaderTooLarge) => {
            "configure the provider to put less into the header of its tokens"
        }
        (Kind::TooLarge, _) if !setup.size_can_grow => {
            "configure the provider to put less into the token"
        }
        (Kind::NotYetValid, _) if !setup.leeway_can_grow => {
            "the clocks differ by more than five minutes: synchronise this machine's clock with the \
             provider's"
        }
        (Kind::UnknownKey, _) => return unknown_key(setup.keys_from),
        (Kind::WrongIssuer, _) => return wrong_issuer(setup.keys_from),
        (Kind::NotAJwt, _) => SEND_UNCHANGED,
        _ => return None,
    })
}

fn unknown_key(keys: KeysFrom) -> Option<&'static str> {
    Some(match keys {
        KeysFrom::Metadata => return None,
        KeysFrom::Url => {
            "the keys at the configured address (OPENID_JWKS_URL) are not those that the token was signed \
             with; set it to the jwks_uri of the provider's metadata, or leave it out"
        }
        KeysFrom::File => {
            "the keys in the configured file (OPENID_JWKS_FILE) are not those that the token was signed with; bring \
             it up to date with what the provider serves at its jwks_uri"
        }
        KeysFrom::Program => {
            "the keys that the program was given are not those that the token was signed with; give it what the \
             provider serves at its jwks_uri, or let it fetch them"
        }
    })
}

/// Where no metadata is read that could tell of a final slash.
fn wrong_issuer(keys: KeysFrom) -> Option<&'static str> {
    Some(match keys {
        KeysFrom::Metadata => return None,
        KeysFrom::Url => {
            "set the issuer (OPENID_ISSUER) to the token's iss character by character, the final slash \
             included; with a configured key set (OPENID_JWKS_URL) no metadata is read that could tell it"
        }
        KeysFrom::File => {
            "set the issuer (OPENID_ISSUER) to the token's iss character by character, the final slash \
             included; with keys from a file (OPENID_JWKS_FILE) no metadata is read that could tell it"
        }
        KeysFrom::Program => {
            "set the issuer (OPENID_ISSUER) to the token's iss character by character, the final slash \
             included; with keys that the program was given no metadata is read that could tell it"
        }
    })
}

/// For opaque and encrypted tokens that clients present, of providers that may tell about them.
const ASK_THE_PROVIDER: &str = "only the provider can read it, and a refresh brings the same kind again; ask the \
    provider for a JWT: name this API in the token request (Auth0: set OPENID_AUDIENCE to the API identifier and send \
    it as audience; Entra ID: ask for a scope api://<application id>/.default; others: send resource); or have the \
    provider asked about such tokens, where it tells (OPENID_INTROSPECTION=opaque)";

fn unreadable(vendor: Option<Vendor>) -> Option<&'static str> {
    Some(match vendor? {
        Vendor::Auth0 => {
            "only the provider can read it, and a refresh brings the same kind again: the client must send \
             the API identifier (OPENID_AUDIENCE) as audience when it asks for the token"
        }
        Vendor::EntraId => {
            "only the provider can read it, and a refresh brings the same kind again: the client must ask \
             for a scope of this API, such as api://<application id>/.default, and not only for scopes of \
             Microsoft Graph"
        }
        Vendor::Google => {
            "access tokens of Google are opaque, and no setting changes that: an API that verifies tokens \
             itself needs a provider that issues access tokens as JWTs"
        }
        Vendor::Okta => {
            "only the provider can read it, and a refresh brings the same kind again: use a custom \
             authorization server, such as https://<domain>/oauth2/default, as issuer (OPENID_ISSUER); the \
             org authorization server issues tokens for Okta alone"
        }
        Vendor::Zitadel => {
            "only the provider can read it, and a refresh brings the same kind again: choose JWT as the \
             access token type of the application in Zitadel"
        }
        Vendor::Authentik | Vendor::Cognito | Vendor::GitLab | Vendor::Keycloak => return None,
    })
}

fn wrong_audience(vendor: Option<Vendor>) -> Option<&'static str> {
    Some(match vendor? {
        Vendor::Auth0 => {
            "the client must send the API identifier as audience when it asks for the token, and the \
             accepted audience (OPENID_AUDIENCE) must be that identifier, character by character"
        }
        Vendor::Authentik => {
            "the accepted audience (OPENID_AUDIENCE) must be the client id of the provider in authentik that issues \
             the token"
        }
        Vendor::GitLab => return None,
        Vendor::EntraId => {
            "the client must ask for a scope of this API, and the accepted audience (OPENID_AUDIENCE) must \
             be the application id for tokens of version 2, or api://<application id> for version 1"
        }
        Vendor::Keycloak => {
            "add a mapper of the type Audience for this API to the client, or to a client scope that it \
             has, and accept the same text (OPENID_AUDIENCE); without one the audience is account"
        }
        Vendor::Cognito => {
            "the accepted audience (OPENID_AUDIENCE) must be the aud that the pre token generation trigger \
             adds, or the resource that the client asks for"
        }
        Vendor::Google => {
            "the accepted audience (OPENID_AUDIENCE) must be the client id or URL that the token was asked \
             for, character by character"
        }
        Vendor::Okta => {
            "the accepted audience (OPENID_AUDIENCE) must be the audience of the authorization server that \
             issues the token, such as api://default"
        }
        Vendor::Zitadel => {
            "the client must ask for the scope urn:zitadel:iam:org:project:id:<project id>:aud, and the \
             accepted audience (OPENID_AUDIENCE) must be that project id"
        }
    })
}

fn missing_audience(vendor: Option<Vendor>) -> &'static str {
    match vendor {
        Some(Vendor::Keycloak) => {
            "add a mapper of the type Audience for this API to the client, or to a client scope that it \
             has, and accept the same text (OPENID_AUDIENCE)"
        }
        Some(Vendor::Cognito) => {
            "access tokens of Cognito have no aud by themselves: add it by a pre token generation trigger \
             (version 2 or 3), or have the client ask for this API as resource, and accept the same text \
             (OPENID_AUDIENCE); or name the clients whose tokens need none (OPENID_CLIENT_AUDIENCES)"
        }
        _ => {
            "configure the provider to name this API as aud of its access tokens (Keycloak: a mapper of \
             the type Audience; Cognito: a pre token generation trigger); a token for no audience is \
             never accepted"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::VerifyError;
    use crate::error::kinds::check_text;
    use std::sync::Arc;

    fn setup(judged_as: JudgedAs, vendor: Option<Vendor>) -> Setup {
        Setup {
            judged_as,
            issuers: Box::default(),
            other_issuers: None,
            audiences: Box::default(),
            vendor,
            is_presented: false,
            keys_from: KeysFrom::Metadata,
            leeway_can_grow: true,
            size_can_grow: true,
        }
    }

    const LENIENT: JudgedAs = JudgedAs::Access { strict: false };
    const STRICT: JudgedAs = JudgedAs::Access { strict: true };

    fn remedy_of(
        kind: Kind,
        claim: Option<&'static str>,
        cause: Cause,
        setup: Setup,
    ) -> &'static str {
        let error = match claim {
            Some(claim) => VerifyError::claim(kind, claim),
            None => VerifyError::new(kind),
        };
        let error = error.because(cause);
        error.judged_by(&Arc::new(setup)).remedy()
    }

    const CAUSES: [Cause; 11] = [
        Cause::Usual,
        Cause::AlgorithmNotListed,
        Cause::AlgorithmNotInMetadata,
        Cause::SymmetricAlgorithm,
        Cause::KeyOfOtherAlgorithm,
        Cause::HeaderTooLarge,
        Cause::AcceptedByLenient,
        Cause::MaximumAge,
        Cause::UnknownToSource,
        Cause::OtherProviderInSource,
        Cause::NotForSource,
    ];

    /// Each remedy that a configuration can print, and whether it may name a cure.
    #[test]
    fn no_remedy_names_a_cure_that_is_in_force_or_cannot_be_set() {
        let vendors = [
            None,
            Some(Vendor::Auth0),
            Some(Vendor::Authentik),
            Some(Vendor::Cognito),
            Some(Vendor::EntraId),
            Some(Vendor::GitLab),
            Some(Vendor::Google),
            Some(Vendor::Keycloak),
            Some(Vendor::Okta),
            Some(Vendor::Zitadel),
        ];
        for kind in Kind::ALL.iter().copied() {
            for (judged_as, vendor) in [
                LENIENT,
                STRICT,
                JudgedAs::PresentedId,
                JudgedAs::Id,
                JudgedAs::Logout,
            ]
            .into_iter()
            .flat_map(|judged_as| vendors.map(|vendor| (judged_as, vendor)))
            {
                for cause in CAUSES {
                    for claim in [None, Some("aud"), Some("sub"), Some("iat")] {
                        let text = remedy_of(kind, claim, cause, setup(judged_as, vendor));
                        check_text(text);
                        let shown = format!("{kind:?} {judged_as:?} {claim:?}: {text}");
                        let is_strict = judged_as == STRICT;
                        assert!(is_strict || !text.contains("lenient profile ("), "{shown}");
                        let is_access = matches!(judged_as, JudgedAs::Access { .. });
                        assert!(
                            is_access || !text.contains("send an access token"),
                            "{shown}"
                        );
                        let is_presented = is_access || judged_as == JudgedAs::PresentedId;
                        assert!(is_presented || !text.contains("OPENID_AUDIENCE"), "{shown}");
                        assert!(!text.contains("OPENID_JWKS"), "not set: {shown}");
                    }
                }
                let full = Setup {
                    leeway_can_grow: false,
                    size_can_grow: false,
                    keys_from: KeysFrom::Url,
                    ..setup(judged_as, vendor)
                };
                let text = remedy_of(kind, None, Cause::Usual, full);
                assert!(!text.contains("raise"), "{kind:?} {judged_as:?}: {text}");
            }
        }
    }

    #[test]
    fn the_remedy_of_an_unknown_key_is_where_the_keys_come_from() {
        for (keys_from, part) in [
            (KeysFrom::Url, "(OPENID_JWKS_URL)"),
            (KeysFrom::File, "(OPENID_JWKS_FILE)"),
            (KeysFrom::Program, "the program was given"),
        ] {
            let setup = |kind| {
                let setup = Setup {
                    keys_from,
                    ..setup(LENIENT, None)
                };
                remedy_of(kind, None, Cause::Usual, setup)
            };
            let text = setup(Kind::UnknownKey);
            assert!(text.contains(part), "{text}");
            check_text(text);
            let text = setup(Kind::WrongIssuer);
            assert!(text.contains("character by character"), "{text}");
            check_text(text);
        }
    }

    #[test]
    fn each_remedy_is_the_cure_of_its_cause() {
        let access =
            |kind, claim, cause, vendor| remedy_of(kind, claim, cause, setup(LENIENT, vendor));
        let cases = [
            (
                access(
                    Kind::WrongAudience,
                    None,
                    Cause::Usual,
                    Some(Vendor::Keycloak),
                ),
                "mapper",
            ),
            (
                access(
                    Kind::WrongAudience,
                    None,
                    Cause::Usual,
                    Some(Vendor::Zitadel),
                ),
                "urn:zitadel",
            ),
            (
                access(Kind::WrongAudience, None, Cause::Usual, None),
                "Keycloak",
            ),
            (
                access(
                    Kind::MissingClaim,
                    Some("aud"),
                    Cause::Usual,
                    Some(Vendor::Cognito),
                ),
                "trigger",
            ),
            (
                access(Kind::Opaque, None, Cause::Usual, Some(Vendor::Google)),
                "no setting",
            ),
            (
                access(Kind::Opaque, None, Cause::Usual, Some(Vendor::Okta)),
                "/oauth2/default",
            ),
            (access(Kind::Opaque, None, Cause::Usual, None), "/.default"),
            (
                access(Kind::WrongIssuer, None, Cause::Usual, Some(Vendor::EntraId)),
                "sts.windows.net",
            ),
            (
                access(Kind::Algorithm, None, Cause::SymmetricAlgorithm, None),
                "cannot be accepted",
            ),
            (
                access(Kind::Algorithm, None, Cause::AlgorithmNotListed, None),
                "OPENID_ALGORITHMS",
            ),
            (
                access(Kind::MissingClaim, Some("iat"), Cause::MaximumAge, None),
                "maximum age",
            ),
            (
                remedy_of(
                    Kind::MissingClaim,
                    Some("jti"),
                    Cause::Usual,
                    setup(STRICT, None),
                ),
                "lenient",
            ),
            (
                remedy_of(
                    Kind::WrongAudience,
                    None,
                    Cause::Usual,
                    setup(JudgedAs::Id, None),
                ),
                "OPENID_CLIENT_ID",
            ),
        ];
        for (text, part) in cases {
            assert!(text.contains(part), "{part}: {text}");
        }
        for kind in [
            Cause::SymmetricAlgorithm,
            Cause::KeyOfOtherAlgorithm,
            Cause::Usual,
        ] {
            let text = access(Kind::Algorithm, None, kind, None);
            assert!(!text.contains("OPENID_ALGORITHMS"), "{text}");
        }
    }

    #[test]
    fn an_issuer_that_is_not_found_has_the_remedy_of_its_cause() {
        for (cause, part) in [
            (Cause::UnknownToSource, "IssuerSource::forget"),
            (Cause::OtherProviderInSource, "return one whose issuer"),
            (Cause::NotForSource, "VerifierBuilder::add_provider"),
        ] {
            for vendor in [None, Some(Vendor::EntraId), Some(Vendor::Keycloak)] {
                let text = remedy_of(Kind::WrongIssuer, None, cause, setup(LENIENT, vendor));
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}
