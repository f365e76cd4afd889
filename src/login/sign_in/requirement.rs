//! Requirements on those who sign in that are settings: a role, and the domain of a verified email address.

use serde_json::{Map, Value};

use crate::claim_path::ClaimPath;
use crate::claim_test::ClaimValue;
use crate::error::ConfigError;
use crate::login::sign_in::refusal::SignInRefusal;
use crate::principal::Principal;
use crate::settings::{EMAIL_DOMAIN, REQUIRED_ROLE, ROLE_TOKEN};

/// The token that holds the roles of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoleToken {
    /// The ID token.
    Id,
    /// The access token. It is verified like every other token, and therefore no choice for
    /// [`LoginLayer::identity`](crate::LoginLayer::identity).
    Access,
}

#[derive(Debug, Clone)]
pub(crate) enum Requirement {
    /// One of these roles.
    Role {
        token: RoleToken,
        path: ClaimPath,
        roles: Vec<String>,
    },
    /// A verified email address of one of these domains.
    EmailDomain(Vec<String>),
}

impl Requirement {
    /// Whether it can be met at all.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Role { roles, .. } => check_items(REQUIRED_ROLE, roles, "admin", |role| {
                (role.trim() != role).then_some("it has blanks around it")
            }),
            Self::EmailDomain(domains) => {
                check_items(EMAIL_DOMAIN, domains, "example.com", |domain| {
                    let is_domain = domain.contains('.')
                        && domain.split('.').all(|label| {
                            let mut bytes = label.bytes();
                            let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                            !label.is_empty() && bytes.all(is_inner)
                        });
                    (!is_domain).then_some(
                        "it is not a whole domain in ASCII: subdomains are listed one by one, a name with \
                         other letters in its xn-- form",
                    )
                })
            }
        }
    }

    /// Whether it can be met where access tokens are not verified, which then must not admit.
    pub(crate) fn validate_for_identity(&self) -> Result<(), ConfigError> {
        match self {
            Self::Role {
                token: RoleToken::Access,
                ..
            } => Err(ConfigError::invalid(
                ROLE_TOKEN,
                "access",
                "users are signed in by their ID token, and the access token is not verified",
                "require the role of the ID token (id), or sign in with access tokens for this service: \
                 LoginLayer::builder, OPENID_REUSE_TOKENS=true",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn check(
        &self,
        id_token: &Principal,
        access_token: Option<&Principal>,
        userinfo: Option<&str>,
    ) -> Result<(), SignInRefusal> {
        match self {
            Self::Role { token, path, roles } => {
                let (source, name) = match token {
                    RoleToken::Id => (Some(id_token), "ID token"),
                    RoleToken::Access => (access_token, "access token"),
                };
                let claims = source.and_then(|token| read(token.claims_json()));
                let claim = claims.as_ref().and_then(|claims| path.value(claims));
                let meant = || claims.as_ref().and_then(|claims| path.meant(claims));
                let found = match claim {
                    None => match meant() {
                        None => "is not there".to_owned(),
                        Some(meant) => {
                            format!("is not there (it has {meant}, which is written like this)")
                        }
                    },
                    Some(claim) if roles.iter().any(|role| holds(claim, role)) => return Ok(()),
                    Some(Value::String(_) | Value::Array(_)) => "has none of them".to_owned(),
                    Some(_) => "is neither text nor an array".to_owned(),
                };
                Err(
                    SignInRefusal::new("Your account does not have a role that this site requires.")
                        .with_reason(format!(
                            "one of the roles {roles:?} is required, and the claim {path} of the {name} {found}"
                        )),
                )
            }
            Self::EmailDomain(domains) => {
                let userinfo = userinfo.and_then(read);
                let id_token = read(id_token.claims_json());
                let documents = [id_token, userinfo];
                let mut verified = documents.iter().flatten().filter_map(verified_domain);
                let mut has_any = false;
                let is_met = verified.any(|found| {
                    has_any = true;
                    let mut domains = domains.iter();
                    domains.any(|domain| domain.eq_ignore_ascii_case(found))
                });
                if is_met {
                    return Ok(());
                }
                let found = if has_any {
                    "the verified email address is of another domain"
                } else {
                    "neither the ID token nor UserInfo has an email address with email_verified"
                };
                Err(SignInRefusal::new(
                    "Your email address is not one that may sign in to this site.",
                )
                .with_reason(format!(
                    "an email address of {domains:?} is required: {found}"
                )))
            }
        }
    }
}

fn check_items(
    setting: &'static str,
    items: &[String],
    example: &str,
    problem: impl Fn(&str) -> Option<&'static str>,
) -> Result<(), ConfigError> {
    let remedy = || format!("write it as {example}");
    if items.is_empty() {
        return Err(ConfigError::missing(setting, remedy()));
    }
    for item in items {
        let problem = if item.is_empty() {
            Some("it is empty")
        } else {
            problem(item)
        };
        if let Some(problem) = problem {
            return Err(ConfigError::invalid(setting, item, problem, remedy()));
        }
    }
    Ok(())
}

fn read(json: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(json).ok()
}

fn holds(claim: &Value, role: &str) -> bool {
    ClaimValue::from(role).is_in(claim)
}

/// The domain of the email address, if the same document says that the address is verified: by `true`, or by that
/// word as text, as Cognito and Apple write it.
fn verified_domain(claims: &Map<String, Value>) -> Option<&str> {
    let is_verified = match claims.get("email_verified")? {
        Value::Bool(is_verified) => *is_verified,
        Value::String(text) => text == "true",
        _ => false,
    };
    let (local, domain) = claims.get("email")?.as_str()?.rsplit_once('@')?;
    let is_plain = |character: char| {
        !(character == '@' || character.is_whitespace() || character.is_control())
    };
    (is_verified && !local.is_empty() && local.chars().all(is_plain)).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_email_address_counts_where_it_is_verified() {
        let verified = json!(true);
        for (email, is_verified, domain) in [
            (
                json!("ada@example.com"),
                verified.clone(),
                Some("example.com"),
            ),
            (json!("ada@example.com"), json!("true"), Some("example.com")),
            (json!("ada@example.com"), json!("True"), None),
            (json!("ada@example.com"), json!("false"), None),
            (json!("ada@example.com"), json!(false), None),
            (json!("ada@example.com"), json!(1), None),
            (json!("ada@example.com"), json!(null), None),
            (json!("ada@example.com"), json!(["true"]), None),
            (
                json!("ada@evil.example@example.com"),
                verified.clone(),
                None,
            ),
            (json!("ada b@example.com"), verified.clone(), None),
            (json!("@example.com"), verified.clone(), None),
            (json!("example.com"), verified.clone(), None),
            (json!(["ada@example.com"]), verified, None),
        ] {
            let claims = json!({"email": email, "email_verified": is_verified});
            let found = claims.as_object().and_then(verified_domain);
            assert_eq!(found, domain, "{claims}");
        }
        let unverified = json!({"email": "ada@example.com"});
        assert_eq!(unverified.as_object().and_then(verified_domain), None);
    }

    #[test]
    fn a_domain_is_whole_and_in_ascii() {
        let validate = |domain: &str| Requirement::EmailDomain(vec![domain.to_owned()]).validate();
        for good in [
            "example.com",
            "Example.COM",
            "xn--bcher-kva.example",
            "a-b.c.d",
        ] {
            assert!(validate(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example",
            "@example.com",
            "*.example.com",
            ".example.com",
            "bücher.example",
            "a b.c",
        ] {
            assert!(validate(bad).is_err(), "{bad}");
        }
        assert!(Requirement::EmailDomain(Vec::new()).validate().is_err());
    }
}
