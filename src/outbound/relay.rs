use crate::error::OutboundErrorKind;
use crate::principal::Principal;
use crate::token::source::{TokenRequest, TokenSource, TokenSupply};
use crate::token::target::Target;

/// The caller's own token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relay;

impl TokenSource for Relay {
    fn supply(&self, request: &TokenRequest<'_>) -> TokenSupply {
        match callers(request) {
            Ok((_, source)) => source.supply(request),
            Err(kind) => TokenSupply::Refused(kind.into()),
        }
    }
}

/// A token for a target, of the caller's session.
#[derive(Debug, Clone)]
pub(super) struct RelayFor(pub(super) Target);

impl TokenSource for RelayFor {
    fn supply(&self, request: &TokenRequest<'_>) -> TokenSupply {
        match callers(request) {
            Ok((_, source)) => source.supply_for(&self.0, request),
            Err(OutboundErrorKind::NoTokenToRelay) => {
                TokenSupply::Refused(OutboundErrorKind::NoSession.into())
            }
            Err(kind) => TokenSupply::Refused(kind.into()),
        }
    }
}

/// The caller of a request, and the source of the caller's tokens.
pub(super) fn callers<'a>(
    request: &TokenRequest<'a>,
) -> Result<(&'a Principal, &'a dyn TokenSource), OutboundErrorKind> {
    let principal: &Principal = request.extension().ok_or(OutboundErrorKind::NoCaller)?;
    let source = principal
        .source()
        .ok_or(OutboundErrorKind::NoTokenToRelay)?;
    Ok((principal, source))
}
