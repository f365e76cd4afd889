use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::gate::grpc_call;
use crate::streams::watch::Watch;

/// A body that ends when its caller's token or session does.
#[pin_project]
pub struct ExpiringBody<B> {
    /// `None` once it has ended.
    #[pin]
    inner: Option<B>,
    /// `None` if it is no stream, or has no caller that could end.
    watched: Option<(Watch, End)>,
}

/// A response was cut off, because its caller's token or session had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response was cut off: the token or the session of its caller has ended")]
#[non_exhaustive]
pub struct StreamEnded;

/// How a stream is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By trailers.
    Grpc,
    /// As if there were no more.
    Events,
    CutOff,
}

impl<B: Body> ExpiringBody<B> {
    /// The body of a response with these header fields.
    pub(super) fn new(inner: B, watch: Option<Watch>, headers: &HeaderMap) -> Self {
        let watched = watch.and_then(|watch| {
            let is_whole = || inner.size_hint().exact().is_some();
            let end = match watch.grpc {
                Some(_) => End::Grpc,
                None if is_whole() => return None,
                None if is_event_stream(headers) => End::Events,
                None => End::CutOff,
            };
            Some((watch, end))
        });
        Self {
            inner: Some(inner),
            watched,
        }
    }
}

impl<B> ExpiringBody<B> {
    /// One that has ended before it began.
    pub(super) fn ended() -> Self {
        Self {
            inner: None,
            watched: None,
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(|value| {
        let mut parts = value.as_bytes().split(|byte| *byte == b';');
        parts.next().unwrap_or_default().trim_ascii()
    });
    media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(b"text/event-stream"))
}

impl<B: Default> Default for ExpiringBody<B> {
    fn default() -> Self {
        Self {
            inner: Some(B::default()),
            watched: None,
        }
    }
}

impl<B> Body for ExpiringBody<B>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let watched = this.watched.as_mut();
        let Some(end) =
            watched.and_then(|(watch, end)| watch.poll(context).is_ready().then_some(*end))
        else {
            let frame = inner.poll_frame(context);
            return frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)));
        };
        tracing::debug!(
            ?end,
            "a stream was ended: the token or the session of its caller has ended"
        );
        // Dropping it also ends the handler's work on it.
        this.inner.set(None);
        Poll::Ready(match end {
            End::Grpc => {
                let mut trailers = HeaderMap::new();
                grpc_call::refuse(&mut trailers);
                Some(Ok(Frame::trailers(trailers)))
            }
            End::Events => None,
            End::CutOff => Some(Err(StreamEnded.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.watched) {
            (Some(inner), None) => inner.size_hint(),
            (None, _) => SizeHint::with_exact(0),
            // It may end early.
            (Some(_), Some(_)) => SizeHint::default(),
        }
    }
}

impl<B> fmt::Debug for ExpiringBody<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ExpiringBody")
            .field("end", &self.watched.as_ref().map(|(_, end)| end))
            .finish_non_exhaustive()
    }
}
