//! What a provider answers, as it stands there: for a program that explains a configuration. Nothing of it is
//! trusted or kept.

use bytes::Bytes;
use http::header::{DATE, LOCATION};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use crate::claims::parse_url;
use crate::clock::{SharedClock, UnixTime};
use crate::error::ProviderError;
use crate::http_client::{Call, HttpClient, Limits, MediaType, check_head};
use crate::lenient_json;
use crate::provider::discovery::{Metadata, Search};
use crate::retry_after::parse_date;

/// How a provider is called.
pub(crate) struct Inspection {
    search: Search,
    client: HttpClient,
    clock: SharedClock,
    discovery_limits: Limits,
    jwks_limits: Limits,
}

/// A document that is there.
pub(crate) struct Seen {
    pub(crate) url: Url,
    pub(crate) body: Bytes,
    /// The provider's time in the answer, and ours when it came.
    pub(crate) times: Option<(UnixTime, UnixTime)>,
}

/// A document that is not there.
pub(crate) struct Unseen {
    pub(crate) status: Option<StatusCode>,
    /// Where the answer redirects to.
    pub(crate) location: Option<String>,
    pub(crate) error: ProviderError,
}

impl Seen {
    /// The members, if it is a JSON object.
    pub(crate) fn members(&self) -> Option<Map<String, Value>> {
        lenient_json::object(&lenient_json::text(&self.body))
    }
}

impl Inspection {
    /// With the limits of metadata and of keys.
    pub(super) fn new(
        search: Search,
        client: HttpClient,
        clock: SharedClock,
        [discovery_limits, jwks_limits]: [Limits; 2],
    ) -> Self {
        Self {
            search,
            client,
            clock,
            discovery_limits,
            jwks_limits,
        }
    }

    /// The first metadata document that is there, in the order of the search, or why the first address has none.
    /// `None` without an address.
    pub(crate) async fn metadata(&self) -> Option<Result<Seen, Unseen>> {
        let mut first = None;
        for url in &self.search.urls {
            match self.get(url, MediaType::Json, self.discovery_limits).await {
                Ok(seen) => return Some(Ok(seen)),
                Err(unseen) => {
                    first.get_or_insert(unseen);
                }
            }
        }
        first.map(Err)
    }

    /// What the crate reads of the document.
    pub(crate) fn read(&self, seen: &Seen) -> Result<Metadata, ProviderError> {
        self.search.read(&seen.url, &seen.body)
    }

    /// Whether an endpoint at this address, named by this member of the metadata, is called.
    pub(crate) fn may_call(&self, member: &'static str, url: &str) -> bool {
        parse_url(member, url, &self.search.transport).is_ok()
    }

    /// The key set at this address.
    pub(crate) async fn keys(&self, url: &Url) -> Result<Seen, Unseen> {
        self.get(url, MediaType::Any, self.jwks_limits).await
    }

    /// The head of the answer to a navigation of a browser, which follows no redirect.
    pub(crate) async fn navigate(
        &self,
        url: &Url,
    ) -> Result<(StatusCode, HeaderMap), ProviderError> {
        let call = Call {
            accept: Some("text/html"),
            ..Call::default()
        };
        let answer = self.client.send(url, call, self.discovery_limits).await?;
        Ok((answer.status(), answer.headers().clone()))
    }

    async fn get(&self, url: &Url, media: MediaType, limits: Limits) -> Result<Seen, Unseen> {
        let unseen = |error, status, location| Unseen {
            status,
            location,
            error,
        };
        let answer = self.client.send(url, Call::default(), limits).await;
        let answer = answer.map_err(|error| unseen(error, None, None))?;
        let text = |name| answer.headers().get(&name)?.to_str().ok();
        check_head(url, media, answer.status(), answer.headers()).map_err(|error| {
            let location = text(LOCATION).map(str::to_owned);
            unseen(error, Some(answer.status()), location)
        })?;
        Ok(Seen {
            url: url.clone(),
            times: text(DATE)
                .and_then(parse_date)
                .map(|theirs| (theirs, self.clock.now())),
            body: answer.into_body(),
        })
    }
}
