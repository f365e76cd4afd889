//! The span of a request that waits for its token. A token at hand has none.

use tracing::Instrument as _;
use tracing::field::Empty;

use crate::token::source::TokenFuture;

/// The token, waited for in a span of its own.
pub(super) fn traced(token: TokenFuture, host: Option<&str>) -> TokenFuture {
    let span = tracing::info_span!("outbound", host, result = Empty);
    if span.is_disabled() {
        return token;
    }
    let waited_in = span.clone();
    let waiting = async move {
        let supplied = token.await;
        let word = supplied
            .as_ref()
            .map_or_else(|error| error.kind().as_str(), |_| "supplied");
        waited_in.record("result", word);
        supplied
    };
    Box::pin(waiting.instrument(span))
}
