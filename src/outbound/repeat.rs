//! Which requests can be repeated.

use http_body::Body;

/// Says which request bodies can be sent a second time, after a service refused the token of the first
/// request.
///
/// Implemented by [`EmptyBodies`], the default, [`ClonedBodies`], [`Never`], and by every
/// `Fn(&B) -> Option<B> + Clone`, such as `|body: &reqwest::Body| body.try_clone()`.
///
/// No body is read ahead or buffered to make it repeatable.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell whether a body of type `{B}` can be sent a second time",
    note = "by default empty bodies are repeated, which needs `{B}: Body + Default`",
    note = "choose another rule by `OutboundLayer::with_repeat`: `Never`, `ClonedBodies`, or a closure"
)]
pub trait Repeat<B> {
    /// A copy of the body, if there can be one.
    fn copy(&self, body: &B) -> Option<B>;
}

/// Repeats only requests without a body. The default.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct EmptyBodies;

#[diagnostic::do_not_recommend]
impl<B: Body + Default> Repeat<B> for EmptyBodies {
    fn copy(&self, body: &B) -> Option<B> {
        body.is_end_stream().then(B::default)
    }
}

/// Repeats every request. Its body is cloned before it is sent, so this is for bodies in memory whose
/// clones are cheap, such as `http_body_util::Full<Bytes>`.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "named by users as it is")]
pub struct ClonedBodies;

impl<B: Clone> Repeat<B> for ClonedBodies {
    fn copy(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

/// Repeats no request.
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
