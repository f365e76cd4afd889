//! Which clients' tokens are accepted.

use crate::error::{ConfigError, VerifyError, VerifyErrorKind as Kind};
use crate::jwt::{CallerClaims, Json};
use crate::settings::ALLOWED_CLIENTS;

/// The only clients whose tokens are accepted, at least one.
#[derive(Debug, Clone)]
pub(super) struct AllowedClients(Box<[Box<str>]>);

impl AllowedClients {
    pub(super) fn new(clients: Vec<String>) -> Result<Self, ConfigError> {
        let refuse = |problem| {
            Err(ConfigError::invalid(
                ALLOWED_CLIENTS,
                clients.join(","),
                problem,
                "name the ids of the clients that may call, or leave the setting out to accept tokens of every client",
            ))
        };
        if clients.is_empty() {
            return refuse("without a client no token would be accepted");
        }
        if clients.iter().any(String::is_empty) {
            return refuse("no client has an empty id");
        }
        Ok(Self(clients.into_iter().map(Into::into).collect()))
    }

    /// Whether each claim that names the client of a token names one of these. A claim of another type could be read
    /// as one client here and as another one elsewhere, so it names none.
    pub(super) fn check(&self, claims: &CallerClaims) -> Result<(), VerifyError> {
        let mut is_named = false;
        for (name, claim) in [
            ("client_id", &claims.client_id),
            ("azp", &claims.azp),
            ("cid", &claims.cid),
            ("appid", &claims.appid),
        ] {
            match claim {
                Json::Absent | Json::Null => {}
                Json::Text(client) if self.0.iter().any(|allowed| **allowed == **client) => {
                    is_named = true;
                }
                Json::Text(_) => return Err(VerifyError::claim(Kind::ClientNotAllowed, name)),
                _ => return Err(VerifyError::claim(Kind::InvalidClaim, name)),
            }
        }
        if is_named {
            Ok(())
        } else {
            Err(VerifyError::claim(Kind::MissingClaim, "client_id"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CL-15
    #[test]
    fn every_claim_that_names_the_client_names_a_listed_one() {
        let clients = AllowedClients::new(vec!["shop".to_owned(), "admin".to_owned()]).unwrap();
        let check = |claims: &str| {
            let claims = CallerClaims::parse(claims).unwrap();
            let checked = clients.check(&claims);
            checked.map_err(|error| (error.kind(), error.claim_name()))
        };
        for good in [
            r#"{"azp":"shop"}"#,
            r#"{"client_id":"admin"}"#,
            r#"{"cid":"shop"}"#,
            r#"{"appid":"shop"}"#,
            r#"{"azp":"shop","client_id":"shop"}"#,
            r#"{"azp":"shop","client_id":"admin"}"#,
            r#"{"azp":null,"cid":"shop"}"#,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, kind, claim) in [
            (r#"{"azp":"other"}"#, Kind::ClientNotAllowed, "azp"),
            (r#"{"azp":"Shop"}"#, Kind::ClientNotAllowed, "azp"),
            (r#"{"azp":"shop "}"#, Kind::ClientNotAllowed, "azp"),
            (r#"{"azp":"shop,admin"}"#, Kind::ClientNotAllowed, "azp"),
            (r#"{"azp":""}"#, Kind::ClientNotAllowed, "azp"),
            (
                r#"{"azp":"shop","client_id":"other"}"#,
                Kind::ClientNotAllowed,
                "client_id",
            ),
            (
                r#"{"client_id":"shop","azp":"other"}"#,
                Kind::ClientNotAllowed,
                "azp",
            ),
            (r#"{"azp":["shop"]}"#, Kind::InvalidClaim, "azp"),
            (r#"{"azp":["other","shop"]}"#, Kind::InvalidClaim, "azp"),
            (
                r#"{"azp":"shop","client_id":["shop"]}"#,
                Kind::InvalidClaim,
                "client_id",
            ),
            (r#"{"azp":{"shop":true}}"#, Kind::InvalidClaim, "azp"),
            (r#"{"azp":7}"#, Kind::InvalidClaim, "azp"),
            (r#"{"azp":true}"#, Kind::InvalidClaim, "azp"),
            (r#"{"sub":"shop"}"#, Kind::MissingClaim, "client_id"),
            (r#"{"azp":null}"#, Kind::MissingClaim, "client_id"),
            ("{}", Kind::MissingClaim, "client_id"),
        ] {
            assert_eq!(check(bad), Err((kind, Some(claim))), "{bad}");
        }
        for bad in [vec![], vec![String::new()]] {
            assert!(AllowedClients::new(bad).is_err());
        }
    }
}
