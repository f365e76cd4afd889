//! Names: of settings in errors, and of variables with our prefix that belong to another application.

use crate::error::ConfigError;
use crate::settings::variable_of;

/// The same error under the name of the environment variable.
pub(crate) fn in_environment(error: ConfigError) -> ConfigError {
    error.renamed_by(variable_of)
}

/// Variables of LibreChat for users, roles and its own pages.
pub(super) const ANOTHER_APPLICATIONS: &[&str] = &[
    "OPENID_ADMIN_ROLE",
    "OPENID_ADMIN_ROLE_PARAMETER_PATH",
    "OPENID_ADMIN_ROLE_TOKEN_KIND",
    "OPENID_AUTO_REDIRECT",
    "OPENID_EMAIL_CLAIM",
    "OPENID_GENERATE_NONCE",
    "OPENID_GRAPH_SCOPES",
    "OPENID_JWKS_URL_CACHE_ENABLED",
    "OPENID_NAME_CLAIM",
    "OPENID_ON_BEHALF_FLOW_FOR_USERINFO_REQUIRED",
    "OPENID_ON_BEHALF_FLOW_USERINFO_SCOPE",
    "OPENID_USERNAME_CLAIM",
];
