//! Where requests have their token.

use crate::bearer::{BearerLayer, SameOrigin, TokenPlace};
use crate::env::names::in_environment;
use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::settings::{DOMAIN_SERVER, OPENID_TOKEN_PLACES, OPENID_TRUSTED_ORIGINS};

#[derive(Debug, Clone)]
pub(super) struct PlaceSettings {
    places: Vec<Written>,
    trusted_origins: Vec<String>,
}

/// A place as it is written.
#[derive(Debug, Clone)]
enum Written {
    Authorization,
    Header(String),
    ProxyHeader(String),
    Cookie(String),
    WebSocket,
}

impl Written {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) => (kind.trim_end(), Some(name.trim_start().to_owned())),
            None => (text, None),
        };
        Ok(match (kind, name) {
            ("authorization", None) => Self::Authorization,
            ("websocket", None) => Self::WebSocket,
            ("header", Some(name)) => Self::Header(name),
            ("proxy-header", Some(name)) => Self::ProxyHeader(name),
            ("cookie", Some(name)) => Self::Cookie(name),
            _ => {
                return Err(ConfigError::invalid(
                    OPENID_TOKEN_PLACES,
                    text,
                    "there is no such place",
                    "write authorization, websocket, header:<name>, proxy-header:<name> or cookie:<name>, separated \
                     by commas",
                ));
            }
        })
    }

    fn place(
        &self,
        site: impl FnOnce() -> Result<SameOrigin, ConfigError>,
    ) -> Result<TokenPlace, ConfigError> {
        match self {
            Self::Authorization => Ok(TokenPlace::authorization()),
            Self::WebSocket => Ok(TokenPlace::websocket()),
            Self::Header(name) => TokenPlace::header(name),
            Self::ProxyHeader(name) => TokenPlace::proxy_header(name, site()?),
            Self::Cookie(name) => TokenPlace::cookie(name, site()?),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Authorization => "authorization".to_owned(),
            Self::WebSocket => "websocket".to_owned(),
            Self::Header(name) => format!("header:{name}"),
            Self::ProxyHeader(name) => format!("proxy-header:{name}"),
            Self::Cookie(name) => format!("cookie:{name}"),
        }
    }
}

impl PlaceSettings {
    pub(super) fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let places = variables.list(OPENID_TOKEN_PLACES).unwrap_or_default();
        Ok(Self {
            places: places
                .iter()
                .map(|text| Written::parse(text))
                .collect::<Result<_, _>>()?,
            trusted_origins: variables.list(OPENID_TRUSTED_ORIGINS).unwrap_or_default(),
        })
    }

    /// The layer, for a service at this public address.
    pub(super) fn apply(
        &self,
        layer: BearerLayer,
        address: Option<&str>,
    ) -> Result<BearerLayer, ConfigError> {
        if self.places.is_empty() {
            return Ok(layer);
        }
        let places = self
            .places
            .iter()
            .map(|place| place.place(|| self.site(place, address)));
        let places = places
            .collect::<Result<Vec<_>, _>>()
            .map_err(in_environment)?;
        layer.with_token_in(places).map_err(in_environment)
    }

    /// Whose pages may send requests with a token that browsers add themselves.
    fn site(&self, place: &Written, address: Option<&str>) -> Result<SameOrigin, ConfigError> {
        let address = address.ok_or_else(|| {
            ConfigError::missing(
                DOMAIN_SERVER,
                format!(
                    "{} in {OPENID_TOKEN_PLACES} needs it, because only pages of this service may send requests with \
                     such a token that change something; set it to the public address, such as \
                     https://app.example.com",
                    place.text()
                ),
            )
        })?;
        let site = SameOrigin::of(address)?;
        let mut origins = self.trusted_origins.iter();
        origins.try_fold(site, |site, origin| site.add_trusted_origin(origin))
    }

    /// Whether the `Authorization` field is a place.
    pub(super) fn has_authorization(&self) -> bool {
        let mut places = self.places.iter();
        self.places.is_empty() || places.any(|place| matches!(place, Written::Authorization))
    }

    /// Whether a cookie of this name is a place.
    #[cfg(feature = "login")]
    pub(super) fn has_cookie(&self, is_it: impl Fn(&str) -> bool) -> bool {
        let mut places = self.places.iter();
        places.any(|place| matches!(place, Written::Cookie(name) if is_it(name)))
    }

    /// Names and values as they may be shown.
    pub(super) fn shown(&self) -> Option<String> {
        let places: Vec<_> = self.places.iter().map(Written::text).collect();
        (!places.is_empty()).then(|| places.join(","))
    }

    /// The same of the trusted origins, where an API has any.
    pub(super) fn shown_origins(&self) -> Option<String> {
        (!self.trusted_origins.is_empty()).then(|| self.trusted_origins.join(","))
    }
}
