//! What is examined.

use crate::doctor::pairs::Pairs;
use crate::doctor::shape::{Loaded, Shape};
use crate::error::setup::Vendor;
use crate::settings::{
    OPENID_AUDIENCE, OPENID_REQUEST_AUDIENCE, OPENID_REQUIRE_REFRESH_TOKEN, OPENID_RESOURCE,
    OPENID_SCOPE, OPENID_TOKEN_PROFILE,
};

pub(super) struct Subject<'a> {
    pub(super) pairs: &'a Pairs,
    pub(super) loaded: &'a Loaded,
    /// The provider, where its name can be told from the issuer.
    pub(super) vendor: Option<Vendor>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(pairs: &'a Pairs, loaded: &'a Loaded) -> Self {
        let issuer = loaded.provider().issuer().as_str();
        Self {
            pairs,
            loaded,
            vendor: Vendor::of(issuer),
        }
    }

    pub(super) fn issuer(&self) -> &str {
        self.loaded.provider().issuer().as_str()
    }

    pub(super) fn is(&self, shape: Shape) -> bool {
        self.loaded.shape() == shape
    }

    /// Whether access tokens are verified here.
    pub(super) fn verifies_access_tokens(&self) -> bool {
        match self.loaded.shape() {
            Shape::Api => self.pairs.text(OPENID_TOKEN_PROFILE) != Some("id"),
            Shape::Site => self.pairs.reuses_tokens(),
            Shape::Service => false,
        }
    }

    /// The audiences and resources that a token is asked for.
    pub(super) fn requested_audiences(&self) -> Vec<&str> {
        let listed = |name| self.pairs.text(name).unwrap_or_default().split(',');
        let audience = if self.pairs.has(OPENID_REQUEST_AUDIENCE) {
            listed(OPENID_REQUEST_AUDIENCE)
        } else {
            listed(OPENID_AUDIENCE)
        };
        let named = audience.take(1).chain(listed(OPENID_RESOURCE));
        named
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The scope that a sign-in asks for.
    pub(super) fn scope(&self) -> &str {
        self.pairs
            .text(OPENID_SCOPE)
            .unwrap_or("openid profile email offline_access")
    }

    /// Whether a sign-in without a refresh token fails.
    pub(super) fn requires_refresh(&self) -> bool {
        self.is(Shape::Site)
            && self
                .pairs
                .is(OPENID_REQUIRE_REFRESH_TOKEN, self.pairs.reuses_tokens())
    }
}
