//! How long sessions last, and how many a user may have.

use std::time::Duration;

use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::login::LoginBuilder;
use crate::settings::{
    OPENID_ROTATION_GRACE, OPENID_SESSION_ABSOLUTE_LIMIT, OPENID_SESSION_IDLE_FROM_USE,
    OPENID_SESSION_IDLE_LIMIT, OPENID_SESSIONS_PER_SUBJECT,
};

#[derive(Debug, Clone)]
pub(super) struct SessionLimits {
    idle: Option<Duration>,
    absolute: Option<Duration>,
    idle_from_use: bool,
    per_subject: Option<usize>,
    rotation_grace: Option<Duration>,
}

impl SessionLimits {
    pub(super) fn read(variables: &Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            idle: variables.duration(OPENID_SESSION_IDLE_LIMIT)?,
            absolute: variables.duration(OPENID_SESSION_ABSOLUTE_LIMIT)?,
            idle_from_use: variables
                .truth(OPENID_SESSION_IDLE_FROM_USE)?
                .unwrap_or(false),
            per_subject: variables.count(OPENID_SESSIONS_PER_SUBJECT)?,
            rotation_grace: variables.duration(OPENID_ROTATION_GRACE)?,
        })
    }

    pub(super) fn apply(&self, mut builder: LoginBuilder) -> LoginBuilder {
        if let Some(limit) = self.idle {
            builder = builder.with_idle_limit(limit);
        }
        if let Some(limit) = self.absolute {
            builder = builder.with_absolute_limit(limit);
        }
        if self.idle_from_use {
            builder = builder.count_idle_from_use();
        }
        if let Some(most) = self.per_subject {
            builder = builder.with_sessions_per_subject(most);
        }
        if let Some(grace) = self.rotation_grace {
            builder = builder.with_rotation_grace(grace);
        }
        builder
    }

    /// Names and values as they may be shown.
    pub(super) fn shown(&self) -> [(&'static str, Option<String>); 5] {
        let time = |limit: Option<Duration>| {
            limit.map(|limit| humantime::format_duration(limit).to_string())
        };
        [
            (OPENID_SESSION_IDLE_LIMIT, time(self.idle)),
            (OPENID_SESSION_ABSOLUTE_LIMIT, time(self.absolute)),
            (
                OPENID_SESSION_IDLE_FROM_USE,
                Some(self.idle_from_use.to_string()),
            ),
            (
                OPENID_SESSIONS_PER_SUBJECT,
                self.per_subject.map(|most| most.to_string()),
            ),
            (OPENID_ROTATION_GRACE, time(self.rotation_grace)),
        ]
    }
}
