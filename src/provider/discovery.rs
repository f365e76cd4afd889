//! Finds, fetches and checks a provider's metadata.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::claims::{Issuer, Transport, parse_url};
use crate::clock::SharedClock;
use crate::error::{ProviderError, ProviderErrorKind};
use crate::http_client::{BoxFuture, Document, HttpClient, Limits, MediaType};
use crate::jwt::{Algorithm, AlgorithmSet};
use crate::keys::jwk_set::TENANT_PLACEHOLDER;
use crate::lenient_json;
use crate::provider::endpoints::{Endpoints, EndpointsDocument};

/// Where the metadata document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Discovery {
    /// `/.well-known/openid-configuration` appended to the issuer
    /// ([OpenID Connect Discovery §4.1](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationRequest)).
    /// The default.
    #[default]
    OpenId,
    /// `/.well-known/oauth-authorization-server` between host and path of the issuer
    /// ([RFC 8414 §3.1](https://www.rfc-editor.org/rfc/rfc8414#section-3.1)).
    OAuth,
    /// The path of RFC 8414, then the name of OpenID inserted in the same way, then the path of
    /// OpenID. MCP demands this order of clients (RFC 8414 §5).
    Either,
}

impl Discovery {
    pub(crate) fn urls(self, location: &Url) -> Vec<Url> {
        let insert = |name: &str| {
            let mut url = location.clone();
            let path = location.path().trim_end_matches('/');
            url.set_path(&format!("/.well-known/{name}{path}"));
            url
        };
        let append = |name: &str| {
            let mut url = location.clone();
            let path = location.path();
            let path = path.strip_suffix('/').unwrap_or(path);
            url.set_path(&format!("{path}/.well-known/{name}"));
            url
        };
        match self {
            Self::OpenId => vec![append(OPENID)],
            Self::OAuth => vec![insert(OAUTH)],
            Self::Either => {
                let mut urls = vec![insert(OAUTH), insert(OPENID), append(OPENID)];
                urls.dedup();
                urls
            }
        }
    }
}

const OAUTH: &str = "oauth-authorization-server";
const OPENID: &str = "openid-configuration";

/// How the issuer of the document is compared with the configured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IssuerRule {
    /// They must be equal (OpenID Connect Discovery §4.3).
    Exact,
    /// The document's may have one final slash more, because operators copy the configured one from a
    /// dashboard that shows it without.
    MayEndInSlash,
}

/// The part of the metadata that this crate uses.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    pub(crate) server: Server,
    pub(crate) jwks_uri: Url,
    pub(crate) algorithms: Option<AlgorithmSet>,
}

/// An authorization server, as its clients call it.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "client"),
    expect(dead_code, reason = "only a client calls it")
)]
pub(crate) struct Server {
    pub(crate) issuer: Issuer,
    pub(crate) endpoints: Endpoints,
    /// Whether the metadata may know of newer addresses.
    pub(crate) is_discovered: bool,
}

#[derive(Deserialize)]
struct MetadataDocument {
    issuer: String,
    jwks_uri: String,
    #[serde(default)]
    id_token_signing_alg_values_supported: Value,
    #[serde(flatten)]
    endpoints: EndpointsDocument,
}

#[cfg(feature = "introspection")]
impl Server {
    /// The same with the ways to authenticate at the introspection endpoint.
    pub(crate) fn for_introspection(&self) -> Self {
        Self {
            issuer: self.issuer.clone(),
            endpoints: self.endpoints.for_introspection(),
            is_discovered: self.is_discovered,
        }
    }
}

/// Where to look for the document, and which issuer to expect in it.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) issuer: Issuer,
    pub(crate) rule: IssuerRule,
    pub(crate) urls: Vec<Url>,
    pub(crate) transport: Transport,
    /// The members that the program knows. They count more than those of the document.
    pub(crate) known: Arc<Map<String, Value>>,
}

impl Search {
    /// Fetches and checks the document. A missing or unreadable document leads to the next URL, and so
    /// does an answer that takes long, while it is still waited for. The first document that can be used
    /// counts. After one of another issuer no further URL is asked.
    pub(crate) async fn run(
        &self,
        client: &HttpClient,
        limits: Limits,
        clock: &SharedClock,
    ) -> Result<Metadata, ProviderError> {
        let head_start = HEAD_START.min(limits.time / 4);
        let mut time = limits.time;
        let mut others = self.urls.iter().peekable();
        let mut asked: Vec<Asked> = Vec::new();
        let mut last = ProviderError::new(
            ProviderErrorKind::InvalidAnswer,
            "there is no URL to fetch the metadata from",
        );
        let mut is_settled = false;
        loop {
            if !is_settled && let Some(url) = others.next() {
                let limits = Limits { time, ..limits };
                let answer = client.get_json(url, MediaType::Json, limits, clock);
                asked.push((url, answer));
                // All of them end within the limit.
                time = time.saturating_sub(head_start);
            } else if asked.is_empty() {
                return Err(last);
            }
            let answer = first_of(&mut asked);
            let (url, answer) = if !is_settled && others.peek().is_some() {
                match tokio::time::timeout(head_start, answer).await {
                    Ok(answer) => answer,
                    Err(_) => continue,
                }
            } else {
                answer.await
            };
            match answer.and_then(|document| self.read(&url, &document.body)) {
                Ok(metadata) => return Ok(metadata),
                Err(error) if may_be_elsewhere(&error) => {
                    if !is_settled {
                        last = error;
                    }
                }
                Err(error) => {
                    is_settled = true;
                    last = error;
                }
            }
        }
    }

    /// Checks a document that was fetched. `source` is what errors call it.
    pub(super) fn read(
        &self,
        source: &dyn fmt::Display,
        document: &[u8],
    ) -> Result<Metadata, ProviderError> {
        let text = lenient_json::text(document);
        let members = lenient_json::object(&text).ok_or_else(|| {
            ProviderError::new(ProviderErrorKind::InvalidAnswer, unlike_metadata(source))
        })?;
        self.check(source, members)
    }

    /// Checks the members of a document.
    pub(super) fn check(
        &self,
        source: &dyn fmt::Display,
        mut members: Map<String, Value>,
    ) -> Result<Metadata, ProviderError> {
        // The issuer is compared as the document names it.
        for (name, value) in self.known.iter().filter(|(name, _)| *name != "issuer") {
            members.insert(name.clone(), value.clone());
        }
        let document = MetadataDocument::deserialize(Value::Object(members)).map_err(|error| {
            let unlike = unlike_metadata(source);
            ProviderError::caused(ProviderErrorKind::InvalidAnswer, unlike, error.into())
        })?;
        let issuer = self.accept_issuer(source, &document.issuer)?;
        let jwks_uri =
            parse_url("jwks_uri", &document.jwks_uri, &self.transport).map_err(|error| {
                ProviderError::caused(
                    ProviderErrorKind::InsecureEndpoint,
                    format!("{source} names an unsafe jwks_uri"),
                    error.into(),
                )
            })?;
        Ok(Metadata {
            server: Server {
                issuer,
                endpoints: document.endpoints.check(&self.transport),
                is_discovered: true,
            },
            jwks_uri,
            algorithms: listed(&document.id_token_signing_alg_values_supported),
        })
    }

    fn accept_issuer(
        &self,
        source: &dyn fmt::Display,
        found: &str,
    ) -> Result<Issuer, ProviderError> {
        let configured = self.issuer.as_str();
        if found == configured {
            return Ok(self.issuer.clone());
        }
        let only_slash = found.trim_end_matches('/') == configured.trim_end_matches('/');
        if self.rule == IssuerRule::MayEndInSlash && found.strip_suffix('/') == Some(configured) {
            tracing::warn!(
                configured,
                issuer = found,
                "the provider's issuer ends in a slash that the configured one lacks; add it to stop this warning"
            );
            return Issuer::parse(found, &self.transport).map_err(|error| {
                ProviderError::caused(
                    ProviderErrorKind::IssuerMismatch,
                    format!("{source} names an unusable issuer"),
                    error.into(),
                )
            });
        }
        let hint = if only_slash {
            "; they differ only in the final slash, and issuers are compared exactly"
        } else if found.contains(TENANT_PLACEHOLDER) {
            "; it serves many tenants: configure it as it stands and list the allowed tenants"
        } else {
            ""
        };
        Err(ProviderError::new(
            ProviderErrorKind::IssuerMismatch,
            format!(
                "{source} names the issuer {found:?}, but {configured:?} is configured{hint}; \
                 set the issuer (OPENID_ISSUER) exactly as the provider names it"
            ),
        ))
    }
}

fn unlike_metadata(source: &dyn fmt::Display) -> String {
    format!("{source} is not a metadata document with issuer and jwks_uri")
}

/// How long one URL is asked alone before the next is asked too.
const HEAD_START: Duration = Duration::from_millis(500);

/// A URL, and its answer on the way.
type Asked<'a> = (&'a Url, BoxFuture<Result<Document, ProviderError>>);

/// The first answer that comes of at least one, which is then no longer among them.
async fn first_of<'a>(asked: &mut Vec<Asked<'a>>) -> (&'a Url, Result<Document, ProviderError>) {
    poll_fn(|context| {
        for at in 0..asked.len() {
            if let Poll::Ready(answer) = asked[at].1.as_mut().poll(context) {
                let (url, _) = asked.remove(at);
                return Poll::Ready((url, answer));
            }
        }
        Poll::Pending
    })
    .await
}

fn may_be_elsewhere(error: &ProviderError) -> bool {
    matches!(
        error.kind(),
        ProviderErrorKind::Status | ProviderErrorKind::InvalidAnswer | ProviderErrorKind::TimedOut
    )
}

/// The known algorithms of a list; `None` if the metadata has no list.
fn listed(value: &Value) -> Option<AlgorithmSet> {
    Some(
        value
            .as_array()?
            .iter()
            .filter_map(|name| Algorithm::from_name(name.as_str()?))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(discovery: Discovery, location: &str) -> Vec<String> {
        discovery
            .urls(&Url::parse(location).unwrap())
            .into_iter()
            .map(Into::into)
            .collect()
    }

    // DI-02
    #[test]
    fn one_final_slash_is_dropped_before_the_path_is_appended() {
        let expected = ["https://id.example/a/.well-known/openid-configuration"];
        assert_eq!(urls(Discovery::OpenId, "https://id.example/a"), expected);
        assert_eq!(urls(Discovery::OpenId, "https://id.example/a/"), expected);
        let expected = ["https://id.example/.well-known/openid-configuration"];
        assert_eq!(urls(Discovery::OpenId, "https://id.example"), expected);
        assert_eq!(urls(Discovery::OpenId, "https://id.example/"), expected);
    }

    // DI-03
    #[test]
    fn the_oauth_path_goes_between_host_and_path() {
        let expected = ["https://id.example/.well-known/oauth-authorization-server/a"];
        assert_eq!(urls(Discovery::OAuth, "https://id.example/a"), expected);
        assert_eq!(urls(Discovery::OAuth, "https://id.example/a/"), expected);
        let expected = ["https://id.example/.well-known/oauth-authorization-server"];
        assert_eq!(urls(Discovery::OAuth, "https://id.example/"), expected);
    }

    // DI-05
    #[test]
    fn both_places_are_asked_in_the_order_of_the_standard() {
        assert_eq!(
            urls(Discovery::Either, "https://id.example/a"),
            [
                "https://id.example/.well-known/oauth-authorization-server/a",
                "https://id.example/.well-known/openid-configuration/a",
                "https://id.example/a/.well-known/openid-configuration",
            ]
        );
        assert_eq!(urls(Discovery::Either, "https://id.example").len(), 2);
    }

    fn read(configured: &str, rule: IssuerRule, document: &str) -> Result<Metadata, ProviderError> {
        let search = Search {
            issuer: Issuer::new(configured).unwrap(),
            rule,
            urls: Vec::new(),
            transport: Transport::Https,
            known: Arc::default(),
        };
        search.read(&"https://id.example/doc", document.as_bytes())
    }

    fn document(issuer: &str) -> String {
        format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://keys.example/jwks"}}"#)
    }

    // DI-01
    #[test]
    fn the_issuer_is_compared_exactly_and_both_values_are_told() {
        let (bare, slash) = ("https://t.auth0.com", "https://t.auth0.com/");
        for (configured, found) in [(bare, slash), (slash, bare), (bare, "https://T.auth0.com")] {
            let error = read(configured, IssuerRule::Exact, &document(found)).unwrap_err();
            assert_eq!(error.kind(), ProviderErrorKind::IssuerMismatch);
            let text = error.to_string();
            assert!(text.contains(&format!("{configured:?}")), "{text}");
            assert!(text.contains(&format!("{found:?}")), "{text}");
            assert_eq!(text.contains("final slash"), found != "https://T.auth0.com");
        }
        assert!(read(bare, IssuerRule::Exact, &document(bare)).is_ok());
    }

    // F14
    #[test]
    fn a_location_without_the_slash_finds_the_issuer_with_it_and_nothing_else() {
        let (bare, slash) = ("https://t.auth0.com", "https://t.auth0.com/");
        let found = read(bare, IssuerRule::MayEndInSlash, &document(slash)).unwrap();
        assert_eq!(found.server.issuer.as_str(), slash);
        for (configured, found) in [
            (slash, bare),
            (bare, "https://t.auth0.com//"),
            (bare, "https://evil.example/"),
        ] {
            assert!(read(configured, IssuerRule::MayEndInSlash, &document(found)).is_err());
        }
    }

    // KS-19
    #[test]
    fn the_address_of_keys_is_https_without_user_or_fragment() {
        let with = |uri: &str| format!(r#"{{"issuer":"https://id.example","jwks_uri":"{uri}"}}"#);
        for bad in [
            "http://id.example/jwks",
            "file:///etc/passwd",
            "data:application/json,{}",
            "https://user:pass@id.example/jwks",
            "https://id.example/jwks#a",
            "jwks",
            "",
        ] {
            let error = read("https://id.example", IssuerRule::Exact, &with(bad)).unwrap_err();
            assert_eq!(error.kind(), ProviderErrorKind::InsecureEndpoint, "{bad}");
        }
        assert!(
            read(
                "https://id.example",
                IssuerRule::Exact,
                &with("https://www.keys.example/v3/certs?a=b")
            )
            .is_ok()
        );
    }

    // DI-06
    #[test]
    fn a_member_that_cannot_be_read_spoils_no_other() {
        let own = "https://id.example";
        for odd in ["\"\\ud800\"", "1e400"] {
            let document = document(own).replacen('{', &format!("{{\"op_policy_uri\":{odd},"), 1);
            assert!(read(own, IssuerRule::Exact, &document).is_ok(), "{odd}");
            let issuer = format!("{{\"issuer\":{odd},\"jwks_uri\":\"https://id.example/jwks\"}}");
            assert!(read(own, IssuerRule::Exact, &issuer).is_err(), "{odd}");
        }
    }

    // AL-01
    #[test]
    fn the_list_of_the_provider_is_read_as_far_as_it_is_known() {
        let list = |text: &str| listed(&serde_json::from_str(text).unwrap());
        assert_eq!(list("null"), None);
        assert_eq!(list("\"RS256\""), None);
        let algorithms: Vec<_> = list(r#"["HS256","none","ES256",7]"#)
            .unwrap()
            .iter()
            .collect();
        assert_eq!(algorithms, [Algorithm::Es256]);
    }
}
