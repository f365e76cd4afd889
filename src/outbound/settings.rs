//! Which requests get a token, and from which source.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Request, Uri};

use crate::error::{OutboundError, OutboundErrorKind};
use crate::outbound::destination::Destination;
use crate::outbound::for_caller::ForCaller;
use crate::principal::Principal;
use crate::token::source::TokenSource;

/// What every service of one layer shares.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) destinations: Arc<[Destination]>,
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) keeps_authorization: bool,
}

impl Settings {
    /// The same for requests of this caller.
    pub(super) fn for_caller(&self, caller: &Principal) -> Self {
        Self {
            source: Arc::new(ForCaller::new(Arc::clone(&self.source), caller)),
            ..self.clone()
        }
    }

    /// Whether a token is to be attached to this request.
    pub(super) fn wants_token<B>(&self, request: &Request<B>) -> Result<bool, OutboundError> {
        let host = request.uri().host();
        if !self.is_destination(request.uri())? {
            return Ok(false);
        }
        if !request.headers().contains_key(AUTHORIZATION) {
            return Ok(true);
        }
        if self.keeps_authorization {
            return Ok(false);
        }
        Err(OutboundError::from(OutboundErrorKind::AuthorizationPresent).at(host))
    }

    fn is_destination(&self, uri: &Uri) -> Result<bool, OutboundError> {
        for destination in &*self.destinations {
            match destination.is_origin_of(uri) {
                Some(true) => return Ok(true),
                Some(false) => {}
                None => return Err(OutboundErrorKind::NoOrigin.into()),
            }
        }
        Ok(false)
    }

    pub(super) fn show(&self, name: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct(name)
            .field("destinations", &self.destinations)
            .field("keeps_authorization", &self.keeps_authorization)
            .finish_non_exhaustive()
    }
}
