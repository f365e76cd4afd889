//! Who may sign in.

use crate::claim_path::ClaimPath;
use crate::env::names::in_environment;
use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::login::{LoginBuilder, RoleToken};
use crate::settings::{
    OPENID_ALLOWED_EMAIL_DOMAINS, OPENID_REQUIRED_ROLE, OPENID_REQUIRED_ROLE_PARAMETER_PATH,
    OPENID_REQUIRED_ROLE_TOKEN_KIND,
};

#[derive(Debug, Clone)]
pub(super) struct AdmissionSettings {
    role: Option<RequiredRole>,
    email_domains: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
struct RequiredRole {
    token: RoleToken,
    path: ClaimPath,
    roles: Vec<String>,
}

impl AdmissionSettings {
    pub(super) fn read(variables: &Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            role: required_role(variables)?,
            email_domains: list(variables, OPENID_ALLOWED_EMAIL_DOMAINS, "example.com")?,
        })
    }

    pub(super) fn apply(&self, mut builder: LoginBuilder) -> LoginBuilder {
        if let Some(RequiredRole { token, path, roles }) = &self.role {
            let roles = roles.iter().map(String::as_str);
            builder = builder.require_role(*token, path.clone(), roles);
        }
        if let Some(domains) = &self.email_domains {
            builder = builder.require_email_domains(domains.iter().map(String::as_str));
        }
        builder
    }

    /// Names and values as they may be shown.
    pub(super) fn shown(&self) -> [(&'static str, Option<String>); 4] {
        let role = self.role.as_ref();
        let joined = |items: &Vec<String>| items.join(",");
        [
            (OPENID_REQUIRED_ROLE, role.map(|role| joined(&role.roles))),
            (
                OPENID_REQUIRED_ROLE_PARAMETER_PATH,
                role.map(|role| role.path.to_string()),
            ),
            (
                OPENID_REQUIRED_ROLE_TOKEN_KIND,
                role.map(|role| match role.token {
                    RoleToken::Id => "id".to_owned(),
                    RoleToken::Access => "access".to_owned(),
                }),
            ),
            (
                OPENID_ALLOWED_EMAIL_DOMAINS,
                self.email_domains.as_ref().map(joined),
            ),
        ]
    }
}

fn required_role(variables: &Variables) -> Result<Option<RequiredRole>, ConfigError> {
    let token = variables.one_of(
        OPENID_REQUIRED_ROLE_TOKEN_KIND,
        &[("id", RoleToken::Id), ("access", RoleToken::Access)],
        "there is no such token",
        "write id or access",
    )?;
    let path = variables.text(OPENID_REQUIRED_ROLE_PARAMETER_PATH);
    let path = path.map(|path| ClaimPath::parse(&path).map_err(in_environment));
    let path = path.transpose()?;
    // A path alone would let everyone in.
    let Some(roles) = list(variables, OPENID_REQUIRED_ROLE, "admin")? else {
        if path.is_none() {
            return Ok(None);
        }
        return Err(ConfigError::missing(
            OPENID_REQUIRED_ROLE,
            "name the role, or several separated by commas, or remove the path of the claim",
        ));
    };
    let path = path.ok_or_else(|| {
        ConfigError::missing(
            OPENID_REQUIRED_ROLE_PARAMETER_PATH,
            "name the claim that holds the roles, such as realm_access.roles",
        )
    })?;
    Ok(Some(RequiredRole {
        token: token.unwrap_or(RoleToken::Id),
        path,
        roles,
    }))
}

/// A list that restricts. One without an item would restrict nothing or everything, and is an error.
fn list(
    variables: &Variables,
    name: &'static str,
    example: &str,
) -> Result<Option<Vec<String>>, ConfigError> {
    let Some(text) = variables.text(name) else {
        return Ok(None);
    };
    let items = variables.list(name);
    items.map(Some).ok_or_else(|| {
        ConfigError::invalid(
            name,
            text,
            "it has no item",
            format!("write it as {example}, or remove it"),
        )
    })
}
