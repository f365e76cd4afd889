//! Which requests can be sent a second time.

use http_body::Body;

/// Says which request bodies can be sent a second time, when a service has refused the token of the
/// first.
///
/// Implemented by [`EmptyBodies`], the default, [`ClonedBodies`], [`Never`], and by every
/// `Fn(&B) -> Option<B> + Clone`, such as `|body: &reqwest::Body| body.try_clone()`.
///
/// Nothing is ever read ahead or buffered to make a body repeatable.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell whether a body of type `{B}` can be sent a second time",
    note = "by default empty bodies are repeated, which needs `{B}: Body + Default`",
    note = "choose another rule by `OutboundLayer::with_repeat`: `Never`, `ClonedBodies`, or a closure"
)]
pub trait Repeat<B> {
    /// The same body once more, if that can be.
    fn copy(&self, body: &B) -> Option<B>;
}

/// Requests without a body are sent a second time, others not. The default.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct EmptyBodies;

impl<B: Body + Default> Repeat<B> for EmptyBodies {
    fn copy(&self, body: &B) -> Option<B> {
        body.is_end_stream().then(B::default)
    }
}

/// Every request is sent a second time, its body cloned ahead: for bodies in memory whose clones are
/// cheap, such as `http_body_util::Full<Bytes>`.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "named by users as it is")]
pub struct ClonedBodies;

impl<B: Clone> Repeat<B> for ClonedBodies {
    fn copy(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

/// No request is sent a second time.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "named by users as it is")]
pub struct Never;

impl<B> Repeat<B> for Never {
    fn copy(&self, _: &B) -> Option<B> {
        None
    }
}

impl<F, B> Repeat<B> for F
where
    F: Fn(&B) -> Option<B>,
{
    fn copy(&self, body: &B) -> Option<B> {
        self(body)
    }
}
