//! A result that many callers await, brought by a detached task.
//!
//! No caller owns the task, so a caller that stops waiting does not end it. The result is set exactly
//! once, also where the task panics or its runtime ends.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::SetOnce;
use tracing::Instrument as _;

/// A result that is on its way or has arrived. Clones await the same one.
pub(crate) struct Flight<T>(Arc<SetOnce<T>>);

impl<T: Clone> Flight<T> {
    /// Waits for the result.
    pub(crate) async fn landed(&self) -> T {
        self.0.wait().await.clone()
    }
}

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Sets the result of its flight when it is dropped.
///
/// It goes where the task goes, so it is dropped at the end of the task, by a panic in it, or by the
/// end of its runtime.
pub(crate) struct FlightGuard<T, L: FnOnce(&T)> {
    flight: Flight<T>,
    /// Taken when dropped.
    landing: Option<(T, L)>,
}

impl<T, L> FlightGuard<T, L>
where
    T: Clone + Send + Sync + 'static,
    L: FnOnce(&T) + Send + 'static,
{
    /// A flight for others to join, and the guard that launches it.
    ///
    /// The result is `if_lost` until the task brings another. `on_landing` gets the result before
    /// those who wait do: it is the place to deregister the flight, because a caller that found it
    /// registered afterwards would be given an old result.
    pub(crate) fn new(if_lost: T, on_landing: L) -> (Flight<T>, Self) {
        let flight = Flight(Arc::new(SetOnce::new()));
        let guard = Self {
            flight: flight.clone(),
            landing: Some((if_lost, on_landing)),
        };
        (flight, guard)
    }

    /// Spawns `future`, whose output is the result.
    ///
    /// No lock that `on_landing` takes may be held: a runtime that is shutting down drops the task
    /// within `spawn`, and then the flight lands before this function returns.
    pub(crate) fn launch(
        mut self,
        runtime: &Handle,
        future: impl Future<Output = T> + Send + 'static,
    ) {
        let flying = async move {
            let brought = future.await;
            if let Some((outcome, _)) = &mut self.landing {
                *outcome = brought;
            }
        };
        // What it logs and calls belongs to the trace of the caller that started it.
        runtime.spawn(flying.in_current_span());
    }
}

impl<T, L: FnOnce(&T)> Drop for FlightGuard<T, L> {
    fn drop(&mut self) {
        let Some((outcome, on_landing)) = self.landing.take() else {
            return;
        };
        // The callers are answered even if it panics, and a panic while another one unwinds would
        // abort the process.
        let _ = catch_unwind(AssertUnwindSafe(|| on_landing(&outcome)));
        // Only this guard sets it.
        let _ = self.flight.0.set(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};

    fn runtime() -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap()
    }

    type Landings = Receiver<&'static str>;

    /// A flight, its guard, and each result that `on_landing` is given.
    fn flight() -> (
        Flight<&'static str>,
        FlightGuard<&'static str, impl FnOnce(&&'static str) + Send + 'static>,
        Landings,
    ) {
        let (tell, landings) = channel();
        let (flight, guard) = FlightGuard::new("lost", move |outcome: &&'static str| {
            tell.send(*outcome).unwrap();
        });
        (flight, guard, landings)
    }

    /// Waits on a runtime that is not the one of the flight.
    fn waited(flight: &Flight<&'static str>) -> &'static str {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let limited =
            async { tokio::time::timeout(Duration::from_secs(10), flight.landed()).await };
        runtime.block_on(limited).unwrap()
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum End {
        Return,
        Panic,
        RuntimeEnds,
        RuntimeHasEnded,
    }

    #[test]
    fn every_end_of_the_task_lands_the_flight_once() {
        for (end, expected) in [
            (End::Return, "brought"),
            (End::Panic, "lost"),
            (End::RuntimeEnds, "lost"),
            (End::RuntimeHasEnded, "lost"),
        ] {
            let running = runtime();
            let handle = running.handle().clone();
            let running = (end != End::RuntimeHasEnded).then_some(running);
            let (flight, guard, landings) = flight();
            guard.launch(&handle, async move {
                match end {
                    End::Return => "brought",
                    End::Panic => panic!("the task panics"),
                    End::RuntimeEnds | End::RuntimeHasEnded => std::future::pending().await,
                }
            });
            if end == End::RuntimeEnds {
                drop(running);
            }
            assert_eq!(waited(&flight), expected, "{end:?}");
            assert_eq!(landings.iter().collect::<Vec<_>>(), [expected], "{end:?}");
        }
    }

    #[test]
    fn a_guard_that_is_never_launched_lands_its_flight() {
        let (flight, guard, landings) = flight();
        drop(guard);
        assert_eq!(waited(&flight), "lost");
        assert_eq!(landings.iter().collect::<Vec<_>>(), ["lost"]);
    }

    #[test]
    fn a_panic_on_landing_leaves_no_caller_waiting() {
        let running = runtime();
        let (flight, guard) = FlightGuard::new("lost", |_: &&'static str| panic!("on landing"));
        guard.launch(running.handle(), async { "brought" });
        assert_eq!(waited(&flight), "brought");
    }

    #[test]
    fn callers_are_answered_after_the_flight_is_deregistered() {
        let running = runtime();
        let (go_on, may_go_on) = channel::<()>();
        let (flight, guard) = FlightGuard::new("lost", move |_: &&'static str| {
            let _ = may_go_on.recv();
        });
        guard.launch(running.handle(), async { "brought" });
        std::thread::sleep(Duration::from_millis(20));
        assert!(flight.0.get().is_none(), "deregistering is under way");
        drop(go_on);
        assert_eq!(waited(&flight), "brought");
    }
}
