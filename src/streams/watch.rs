//! The watch on the caller of a stream.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::gate::grpc_call;
use crate::principal::Principal;

/// Completes when the caller of a stream has ended.
pub(super) struct Watch {
    principal: Principal,
    grace: Duration,
    /// The variant of gRPC, if it is a gRPC call.
    pub(super) grpc: Option<grpc_call::Kind>,
    state: State,
}

enum State {
    /// Most responses are there at once and need no watch.
    NotBegun,
    /// The lock is never taken: it makes the response `Sync`.
    Watching(Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>),
    Ended,
}

impl Watch {
    pub(super) fn new(
        principal: Principal,
        grace: Duration,
        grpc: Option<grpc_call::Kind>,
    ) -> Self {
        Self {
            principal,
            grace,
            grpc,
            state: State::NotBegun,
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let State::NotBegun = self.state {
            let ended = self.principal.ended_after(self.grace);
            self.state = State::Watching(Mutex::new(Box::pin(ended)));
        }
        if let State::Watching(ended) = &mut self.state {
            let ended = ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            if ended.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.state = State::Ended;
        }
        Poll::Ready(())
    }
}
