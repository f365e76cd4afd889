//! What cures a refusal that says nothing about the token, because the provider could not be asked.

use crate::error::ProviderErrorKind as Kind;

/// The remedy where the cause has one of its own. `None`: the provider is away, and comes back by itself.
pub(super) fn remedy(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Suppressed => {
            "the caller can try again after the pause; if this persists, find the client that sends tokens with unknown \
             key names, of unknown issuers, or that the provider never issued"
        }
        Kind::SourceFailed => {
            "see the error of the function that the IssuerSource was made of; no restart is needed once it answers"
        }
        Kind::NotOffered => {
            "the provider's metadata does not name what is needed; if the provider has it, set its address here \
             (OPENID_INTROSPECTION_URL, OPENID_JWKS_URL), which its documentation tells"
        }
        Kind::RequestRefused => {
            "the provider refuses this client: compare OPENID_CLIENT_ID, OPENID_CLIENT_SECRET and \
             OPENID_TOKEN_ENDPOINT_AUTH_METHOD with what is registered there"
        }
        Kind::IssuerMismatch => {
            "compare OPENID_ISSUER with the issuer that the provider's metadata names, character by character"
        }
        Kind::InsecureEndpoint => {
            "the provider has to name https addresses; for one inside of a network, name its host in OPENID_ALLOW_HTTP"
        }
        Kind::NoUsableKeys => {
            "the provider publishes no key that can verify a signature: check its signing keys, and OPENID_JWKS_URL"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::kinds::check_text;

    #[test]
    fn what_no_waiting_cures_has_a_remedy_of_its_own() {
        for kind in Kind::ALL {
            let remedy = remedy(*kind);
            if let Some(remedy) = remedy {
                check_text(remedy);
            }
            assert!(remedy.is_some() || !kind.is_configuration(), "{kind:?}");
        }
    }
}
