//! What is asked of the provider when a browser signs in or out, and what such a sign-in must bring.

use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::login::{LoginBuilder, PassedParameter};
use crate::settings::{
    OPENID_ALLOW_ANONYMOUS, OPENID_ALLOW_LOGOUT_WITHOUT_EXPIRY, OPENID_AUTHORIZATION_PARAMETERS,
    OPENID_END_SESSION_PARAMETERS, OPENID_FRONTCHANNEL_LOGOUT, OPENID_LOGIN_PAGE,
    OPENID_PASSED_PARAMETERS, OPENID_PATH, OPENID_REFRESH_SCOPE, OPENID_REQUIRE_REFRESH_TOKEN,
    OPENID_REVOKE_OFFLINE_ACCESS, OPENID_SESSION_INFORMATION, OPENID_TRUSTED_ORIGINS,
    OPENID_USE_END_SESSION_ENDPOINT, OPENID_USERINFO,
};

#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a variable of its own"
)]
pub(super) struct SignInChoices {
    path: Option<String>,
    parameters: Vec<(String, String)>,
    passed: Vec<PassedParameter>,
    /// `None` for the default of the mode.
    requires_refresh_token: Option<bool>,
    sends_refresh_scope: bool,
    asks_userinfo: bool,
    allows_anonymous: bool,
    trusted_origins: Vec<String>,
    signs_out_at_provider: bool,
    end_session_parameters: Vec<(String, String)>,
    frontchannel_logout: bool,
    revokes_offline_access: bool,
    logout_without_expiry: bool,
    session_information: Vec<String>,
    login_page: Option<String>,
}

pub(super) const DEFAULT_PATH: &str = "/oauth/openid";

/// A choice that has no value.
type Choose = fn(LoginBuilder) -> LoginBuilder;

impl SignInChoices {
    pub(super) fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let is_on = |name, default| {
            let truth = variables.truth(name)?;
            Ok::<_, ConfigError>(truth.unwrap_or(default))
        };
        Ok(Self {
            path: variables.text(OPENID_PATH),
            parameters: variables.parameters(OPENID_AUTHORIZATION_PARAMETERS)?,
            passed: passed(variables)?,
            requires_refresh_token: variables.truth(OPENID_REQUIRE_REFRESH_TOKEN)?,
            sends_refresh_scope: is_on(OPENID_REFRESH_SCOPE, true)?,
            asks_userinfo: is_on(OPENID_USERINFO, false)?,
            allows_anonymous: is_on(OPENID_ALLOW_ANONYMOUS, false)?,
            trusted_origins: variables.list(OPENID_TRUSTED_ORIGINS).unwrap_or_default(),
            signs_out_at_provider: is_on(OPENID_USE_END_SESSION_ENDPOINT, true)?,
            end_session_parameters: variables.parameters(OPENID_END_SESSION_PARAMETERS)?,
            frontchannel_logout: is_on(OPENID_FRONTCHANNEL_LOGOUT, false)?,
            revokes_offline_access: is_on(OPENID_REVOKE_OFFLINE_ACCESS, false)?,
            logout_without_expiry: is_on(OPENID_ALLOW_LOGOUT_WITHOUT_EXPIRY, false)?,
            session_information: variables
                .list(OPENID_SESSION_INFORMATION)
                .unwrap_or_default(),
            login_page: variables.text(OPENID_LOGIN_PAGE),
        })
    }

    pub(super) fn apply(&self, mut builder: LoginBuilder) -> LoginBuilder {
        if let Some(path) = &self.path {
            builder = builder.with_path(path);
        }
        for (name, value) in &self.parameters {
            builder = builder.add_parameter(name, value);
        }
        for (name, value) in &self.end_session_parameters {
            builder = builder.add_end_session_parameter(name, value);
        }
        for parameter in &self.passed {
            builder = builder.pass_through(*parameter);
        }
        for origin in &self.trusted_origins {
            builder = builder.add_trusted_origin(origin);
        }
        if let Some(page) = &self.login_page {
            builder = builder.with_login_page(page);
        }
        if !self.session_information.is_empty() {
            let claims = self.session_information.iter();
            builder = builder.with_session_information(claims.map(String::as_str));
        }
        let choices: [(bool, Choose); 9] = [
            (
                self.requires_refresh_token == Some(false),
                LoginBuilder::allow_short_session,
            ),
            (
                self.requires_refresh_token == Some(true),
                LoginBuilder::require_refresh_token,
            ),
            (
                !self.sends_refresh_scope,
                LoginBuilder::without_refresh_scope,
            ),
            (self.asks_userinfo, LoginBuilder::with_userinfo),
            (self.allows_anonymous, LoginBuilder::allow_anonymous),
            (
                !self.signs_out_at_provider,
                LoginBuilder::without_provider_sign_out,
            ),
            (
                self.frontchannel_logout,
                LoginBuilder::allow_frontchannel_logout,
            ),
            (
                self.revokes_offline_access,
                LoginBuilder::revoke_offline_access,
            ),
            (
                self.logout_without_expiry,
                LoginBuilder::allow_logout_without_expiry,
            ),
        ];
        for (is_chosen, choose) in choices {
            if is_chosen {
                builder = choose(builder);
            }
        }
        builder
    }

    /// The path that signs in.
    pub(super) fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(DEFAULT_PATH)
    }

    pub(super) fn signs_out_at_provider(&self) -> bool {
        self.signs_out_at_provider
    }

    /// Names and values as they may be shown, where sessions stand and fall with their access tokens or not.
    pub(super) fn shown(&self, reuses_tokens: bool) -> [(&'static str, Option<String>); 15] {
        let list = |items: Vec<String>| (!items.is_empty()).then(|| items.join(","));
        let names = |parameters: &[(String, String)]| {
            list(parameters.iter().map(|(name, _)| name.clone()).collect())
        };
        let passed = self.passed.iter().map(|one| one.name().to_owned());
        let truth = |is_on: bool| Some(is_on.to_string());
        [
            (OPENID_PATH, Some(self.path().to_owned())),
            (OPENID_LOGIN_PAGE, self.login_page.clone()),
            (OPENID_AUTHORIZATION_PARAMETERS, names(&self.parameters)),
            (OPENID_PASSED_PARAMETERS, list(passed.collect())),
            (
                OPENID_REQUIRE_REFRESH_TOKEN,
                truth(self.requires_refresh_token.unwrap_or(reuses_tokens)),
            ),
            (OPENID_REFRESH_SCOPE, truth(self.sends_refresh_scope)),
            (OPENID_USERINFO, truth(self.asks_userinfo)),
            (OPENID_ALLOW_ANONYMOUS, truth(self.allows_anonymous)),
            (OPENID_TRUSTED_ORIGINS, list(self.trusted_origins.clone())),
            (
                OPENID_USE_END_SESSION_ENDPOINT,
                truth(self.signs_out_at_provider),
            ),
            (
                OPENID_END_SESSION_PARAMETERS,
                names(&self.end_session_parameters),
            ),
            (OPENID_FRONTCHANNEL_LOGOUT, truth(self.frontchannel_logout)),
            (
                OPENID_REVOKE_OFFLINE_ACCESS,
                truth(self.revokes_offline_access),
            ),
            (
                OPENID_ALLOW_LOGOUT_WITHOUT_EXPIRY,
                truth(self.logout_without_expiry),
            ),
            (
                OPENID_SESSION_INFORMATION,
                list(self.session_information.clone()),
            ),
        ]
    }
}

fn passed(variables: &Variables) -> Result<Vec<PassedParameter>, ConfigError> {
    let names = variables.list(OPENID_PASSED_PARAMETERS).unwrap_or_default();
    let parameters = names.iter().map(|name| {
        let mut known = PassedParameter::ALL.into_iter();
        known.find(|one| one.name() == name).ok_or_else(|| {
            ConfigError::invalid(
                OPENID_PASSED_PARAMETERS,
                name,
                "visitors cannot choose this parameter",
                format!(
                    "choose from {}, or write it into {OPENID_AUTHORIZATION_PARAMETERS} with a value",
                    PassedParameter::ALL.map(PassedParameter::name).join(", ")
                ),
            )
        })
    });
    parameters.collect()
}
