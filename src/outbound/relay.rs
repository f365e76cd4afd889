use crate::error::OutboundErrorKind;
use crate::principal::Principal;
use crate::token::source::{Asked, Supply, TokenSource};

/// The caller's own token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relay;

impl TokenSource for Relay {
    fn supply(&self, asked: &Asked<'_>) -> Supply {
        match callers(asked) {
            Ok((_, source)) => source.supply(asked),
            Err(kind) => Supply::Refused(kind.into()),
        }
    }
}

/// Who the caller is, and where their tokens come from.
pub(super) fn callers<'a>(
    asked: &Asked<'a>,
) -> Result<(&'a Principal, &'a dyn TokenSource), OutboundErrorKind> {
    let principal: &Principal = asked.extension().ok_or(OutboundErrorKind::NoCaller)?;
    let source = principal
        .source()
        .ok_or(OutboundErrorKind::NoTokenToRelay)?;
    Ok((principal, source))
}
