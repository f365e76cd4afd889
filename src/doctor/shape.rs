//! The shape of the service that is examined, and its settings.

use crate::doctor::finding::Finding;
use crate::doctor::pairs::Pairs;
use crate::env::{ApiSettings, LoginSettings, ServiceSettings, in_environment};
use crate::error::ConfigError;
use crate::login::LoginLayer;
use crate::provider::Provider;
use crate::settings::{
    OPENID_AUDIENCE, OPENID_CLIENT_ID, OPENID_CLIENT_SECRET, OPENID_ISSUER, OPENID_SESSION_SECRET,
    OPENID_TENANTS,
};
use crate::verify::Verifier;

/// Which settings are read, because a service of this shape reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// An API that verifies access tokens ([`ApiSettings`]).
    Api,
    /// A site that signs browsers in ([`LoginSettings`]).
    Site,
    /// A service that calls others with tokens of its own ([`ServiceSettings`]).
    Service,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 3] = [Self::Api, Self::Site, Self::Service];

    /// `api`, `site` or `service`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Site => "site",
            Self::Service => "service",
        }
    }

    /// A site has a secret for its sessions, or a client that introspects nothing.
    pub(super) fn guess(pairs: &Pairs) -> Self {
        let is_site =
            pairs.has(OPENID_SESSION_SECRET) || (pairs.has_client() && !pairs.introspects());
        if is_site { Self::Site } else { Self::Api }
    }
}

/// The settings, read without an error.
pub(super) enum Loaded {
    Api(Box<ApiSettings>),
    Site(Box<LoginSettings>, Box<LoginLayer>),
    Service(Box<ServiceSettings>),
}

impl Loaded {
    fn read(shape: Shape, pairs: &Pairs) -> Result<Self, ConfigError> {
        let pairs = pairs.0.clone();
        Ok(match shape {
            Shape::Api => Self::Api(ApiSettings::from_pairs(pairs)?.into()),
            Shape::Site => {
                let settings = LoginSettings::from_pairs(pairs)?;
                let login = settings.unasked_builder()?.build();
                Self::Site(settings.into(), login.map_err(in_environment)?.into())
            }
            Shape::Service => Self::Service(ServiceSettings::from_pairs(pairs)?.into()),
        })
    }

    /// The settings, or every error in them. A setting with an error is put right or left out, and the rest is read
    /// again.
    pub(super) fn read_all(shape: Shape, pairs: &Pairs) -> Result<Self, Vec<Finding>> {
        let mut pairs = pairs.clone();
        let mut settings: Vec<String> = Vec::new();
        let mut found = Vec::new();
        loop {
            match Self::read(shape, &pairs) {
                Ok(loaded) if found.is_empty() => return Ok(loaded),
                Ok(_) => return Err(found),
                Err(error) => {
                    // What is wrong again could not be put right.
                    if settings.iter().any(|known| known == error.setting()) {
                        return Err(found);
                    }
                    settings.push(error.setting().to_owned());
                    found.push(Finding::of_config(&error));
                    pairs = put_right(&pairs, error.setting());
                }
            }
        }
    }

    pub(super) fn provider(&self) -> &Provider {
        match self {
            Self::Api(settings) => settings.provider(),
            Self::Site(settings, _) => settings.provider(),
            Self::Service(settings) => settings.provider(),
        }
    }

    pub(super) fn verifier(&self) -> &Verifier {
        match self {
            Self::Api(settings) => settings.verifier(),
            Self::Site(settings, _) => settings.verifier(),
            Self::Service(settings) => settings.verifier(),
        }
    }

    pub(super) fn shape(&self) -> Shape {
        match self {
            Self::Api(_) => Shape::Api,
            Self::Site(..) => Shape::Site,
            Self::Service(_) => Shape::Service,
        }
    }
}

/// The variables without this one, or with a value that can be read in its place.
fn put_right(pairs: &Pairs, setting: &str) -> Pairs {
    let value = match setting {
        OPENID_ISSUER => "https://issuer.invalid",
        OPENID_CLIENT_ID => "client",
        OPENID_CLIENT_SECRET => "a secret that is not used",
        OPENID_AUDIENCE => "audience",
        OPENID_SESSION_SECRET => "a secret of thirty-two characters or more",
        crate::settings::DOMAIN_SERVER => "https://site.invalid",
        setting => return pairs.without(&[setting]),
    };
    let pairs = pairs.with(setting, value);
    if setting == OPENID_ISSUER {
        // It belongs to the issuer that is gone.
        pairs.without(&[OPENID_TENANTS])
    } else {
        pairs
    }
}
