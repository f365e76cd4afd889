//! How a sign-in begins, and how the provider answers.

use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::login::LoginBuilder;
use crate::settings::{
    OPENID_INITIATED_SIGN_IN, OPENID_RESPONSE_MODE, OPENID_SILENT_SIGN_IN, OPENID_USE_PAR,
};

#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a variable of its own"
)]
pub(super) struct FrontDoors {
    form_post: bool,
    pushes: bool,
    initiated: bool,
    silent: bool,
}

impl FrontDoors {
    pub(super) fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let form_post = variables.one_of(
            OPENID_RESPONSE_MODE,
            &[("query", false), ("form_post", true)],
            "the provider cannot answer in this way",
            "write query or form_post",
        )?;
        Ok(Self {
            form_post: form_post.unwrap_or(false),
            pushes: variables.truth(OPENID_USE_PAR)?.unwrap_or(false),
            initiated: variables.truth(OPENID_INITIATED_SIGN_IN)?.unwrap_or(false),
            silent: variables.truth(OPENID_SILENT_SIGN_IN)?.unwrap_or(false),
        })
    }

    pub(super) fn apply(self, mut builder: LoginBuilder) -> LoginBuilder {
        if self.form_post {
            builder = builder.with_form_post();
        }
        if self.pushes {
            builder = builder.with_pushed_authorization_requests();
        }
        if self.initiated {
            builder = builder.allow_initiated_sign_in();
        }
        if self.silent {
            builder = builder.with_silent_sign_in();
        }
        builder
    }

    /// Names and values as they may be shown.
    pub(super) fn shown(self) -> [(&'static str, Option<String>); 4] {
        let mode = if self.form_post { "form_post" } else { "query" };
        [
            (OPENID_RESPONSE_MODE, Some(mode.to_owned())),
            (OPENID_USE_PAR, Some(self.pushes.to_string())),
            (OPENID_INITIATED_SIGN_IN, Some(self.initiated.to_string())),
            (OPENID_SILENT_SIGN_IN, Some(self.silent.to_string())),
        ]
    }
}
