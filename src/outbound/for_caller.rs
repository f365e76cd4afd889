//! Tokens for one caller.

use std::sync::Arc;
use std::time::Duration;

use http::Extensions;

use crate::principal::Principal;
use crate::token::source::{DrainFuture, TokenRequest, TokenSource, TokenSupply};
use crate::token::target::Target;

/// A source that is asked for this caller, whichever the request names.
pub(super) struct ForCaller {
    source: Arc<dyn TokenSource>,
    caller: Extensions,
}

impl ForCaller {
    pub(super) fn new(source: Arc<dyn TokenSource>, caller: &Principal) -> Self {
        let mut extensions = Extensions::new();
        extensions.insert(caller.clone());
        Self {
            source,
            caller: extensions,
        }
    }
}

impl TokenSource for ForCaller {
    fn supply(&self, request: &TokenRequest<'_>) -> TokenSupply {
        self.source.supply(&request.with_caller(&self.caller))
    }

    fn supply_for(&self, target: &Target, request: &TokenRequest<'_>) -> TokenSupply {
        self.source
            .supply_for(target, &request.with_caller(&self.caller))
    }

    fn drain(&self, deadline: Duration) -> DrainFuture {
        self.source.drain(deadline)
    }
}
