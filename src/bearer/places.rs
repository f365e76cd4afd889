//! Where a layer looks for the token, if not in the `Authorization` field alone.

use http::HeaderValue;
use http::request::Parts;

use crate::bearer::place::{Place, TokenPlace};
use crate::bearer::websocket;
use crate::error::ConfigError;
use crate::gate::same_origin::{SameOrigin, may_change_state};
use crate::settings::TOKEN_PLACE;

/// The places of a layer, at least one.
#[derive(Debug)]
pub(super) struct Places {
    each: Box<[Place]>,
    /// The fields that answers depend on, for caches.
    vary: Option<HeaderValue>,
    has_websocket: bool,
}

/// Why no token was taken from a request that has one.
pub(super) enum Flaw<'a> {
    /// What stands there is not one token.
    NotOneToken(&'a Place),
    /// Another token stands in the second place than in the first.
    Different(&'a Place, &'a Place),
    /// The token is one that browsers send along with the requests of other sites, and this request may be one.
    CrossOrigin(&'a Place, &'a SameOrigin),
}

impl Places {
    /// `None` where the `Authorization` field is the only place.
    pub(super) fn new(
        places: impl IntoIterator<Item = TokenPlace>,
    ) -> Result<Option<Self>, ConfigError> {
        let places: Box<[_]> = places.into_iter().map(|TokenPlace(place)| place).collect();
        if places.is_empty() {
            return Err(ConfigError::missing(
                TOKEN_PLACE,
                "name a place where requests have their token, such as authorization",
            ));
        }
        for (at, place) in places.iter().enumerate() {
            if places[..at].iter().any(|before| before.is_same(place)) {
                return Err(ConfigError::invalid(
                    TOKEN_PLACE,
                    place.to_string(),
                    "it is named twice",
                    "name it once",
                ));
            }
        }
        if let [Place::Authorization] = *places {
            return Ok(None);
        }
        Ok(Some(Self {
            vary: vary(&places),
            has_websocket: places.iter().any(|place| matches!(place, Place::WebSocket)),
            each: places,
        }))
    }

    /// The one token of a request, and the first place where it stands.
    pub(super) fn find<'a>(
        &'a self,
        head: &'a Parts,
    ) -> Result<Option<(&'a Place, &'a [u8])>, Flaw<'a>> {
        let mut found: Option<(&Place, &[u8])> = None;
        let mut is_known_to_sender = false;
        let mut unproven = None;
        for place in &self.each {
            let token = place.token(head).map_err(|_| Flaw::NotOneToken(place))?;
            let Some(token) = token else { continue };
            match found {
                Some((first, other)) if other != token => {
                    return Err(Flaw::Different(first, place));
                }
                Some(_) => {}
                None => found = Some((place, token)),
            }
            is_known_to_sender |= place.is_filled_by_sender();
            if let Some(proof) = place.proof()
                && may_change_state(head)
                && !proof.is_proven_by(&head.headers)
            {
                unproven = Some((place, proof));
            }
        }
        match unproven {
            Some((place, proof)) if !is_known_to_sender => Err(Flaw::CrossOrigin(place, proof)),
            _ => Ok(found),
        }
    }

    /// Removes the token from where the application would see it as something else.
    pub(super) fn hide(&self, head: &mut Parts) {
        if self.has_websocket {
            websocket::hide(head);
        }
    }

    pub(super) fn vary(&self) -> Option<&HeaderValue> {
        self.vary.as_ref()
    }
}

/// The fields that a cache has to compare. It knows by itself that answers to requests with `Authorization` are for one
/// caller, and that upgrades are not cached.
fn vary(places: &[Place]) -> Option<HeaderValue> {
    let mut names: Vec<_> = places
        .iter()
        .filter_map(|place| match place {
            Place::Header { name, .. } => Some(name.as_str()),
            Place::Cookie { .. } => Some("cookie"),
            Place::Authorization | Place::WebSocket => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    // The names of fields are visible ASCII.
    HeaderValue::try_from(names.join(", ")).ok()
}
