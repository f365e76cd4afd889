//! Whether and how the provider is asked about tokens.

use crate::env::client::{client, client_id};
use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::provider::ProviderBuilder;
use crate::settings::{
    OPENID_INTROSPECTION, OPENID_INTROSPECTION_SIGNED, OPENID_INTROSPECTION_URL,
};
use crate::verify::{Introspection, VerifierBuilder};

#[derive(Debug, Clone)]
pub(super) struct IntrospectionSettings {
    introspection: Option<Introspection>,
    url: Option<String>,
    shown: [Option<String>; 2],
}

#[derive(Clone, Copy)]
enum Tokens {
    None,
    Opaque,
    All,
}

impl IntrospectionSettings {
    pub(super) fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let tokens = variables.one_of(
            OPENID_INTROSPECTION,
            &[
                ("none", Tokens::None),
                ("opaque", Tokens::Opaque),
                ("all", Tokens::All),
            ],
            "it is not a kind of tokens",
            "write opaque to have the provider asked about tokens that are no JWTs, all to have it asked about JWTs \
             too, or none",
        )?;
        let url = variables.text(OPENID_INTROSPECTION_URL);
        let signed = variables.truth(OPENID_INTROSPECTION_SIGNED)?;
        let Some(tokens @ (Tokens::Opaque | Tokens::All)) = tokens else {
            for (name, is_set) in [
                (OPENID_INTROSPECTION_URL, url.is_some()),
                (OPENID_INTROSPECTION_SIGNED, signed == Some(true)),
            ] {
                if is_set {
                    return Err(ConfigError::Contradiction {
                        setting: name.into(),
                        other: OPENID_INTROSPECTION.into(),
                        remedy:
                            "it has no effect while the provider is not asked about tokens; set \
                                 OPENID_INTROSPECTION to opaque or all, or remove it"
                                .into(),
                    });
                }
            }
            return Ok(Self {
                introspection: None,
                url: None,
                shown: [None, None],
            });
        };
        let id = client_id(
            variables,
            "a provider tells about tokens only to a client that authenticates; copy the id from the provider",
        )?;
        let mut introspection = Introspection::new(client(variables, &id)?);
        let is_all = matches!(tokens, Tokens::All);
        if is_all {
            introspection = introspection.with_jwts();
        }
        if signed == Some(true) {
            introspection = introspection.require_signed_answers();
        }
        Ok(Self {
            introspection: Some(introspection),
            url,
            shown: [
                Some(if is_all { "all" } else { "opaque" }.to_owned()),
                signed.map(|signed| signed.to_string()),
            ],
        })
    }

    pub(super) fn apply_to_provider(&self, builder: ProviderBuilder) -> ProviderBuilder {
        match &self.url {
            Some(url) => builder.with_introspection_url(url),
            None => builder,
        }
    }

    pub(super) fn apply_to_verifier(&self, builder: VerifierBuilder) -> VerifierBuilder {
        match &self.introspection {
            Some(introspection) => builder.with_introspection(introspection.clone()),
            None => builder,
        }
    }

    /// Names and values as they may be shown.
    pub(super) fn shown(&self) -> [(&'static str, Option<String>); 3] {
        let [tokens, signed] = self.shown.clone();
        [
            (OPENID_INTROSPECTION, tokens),
            (OPENID_INTROSPECTION_SIGNED, signed),
            (OPENID_INTROSPECTION_URL, self.url.clone()),
        ]
    }
}
