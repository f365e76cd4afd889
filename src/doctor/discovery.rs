//! Whether the metadata can be fetched, and is that of the configured issuer.

use std::time::Duration;

use url::Url;

use crate::claims::is_loopback;
use crate::clock::UnixTime;
use crate::doctor::finding::{Finding, Level};
use crate::doctor::metadata::Document;
use crate::doctor::pairs::Pairs;
use crate::doctor::subject::Subject;
use crate::doctor::vendor;
use crate::error::setup::KeysFrom;
use crate::error::{Chain, ProviderError, ProviderErrorKind as Kind};
use crate::provider::inspection::{Seen, Unseen};
use crate::settings::{
    OPENID_ALLOW_HTTP, OPENID_CA_FILE, OPENID_CLOCK_TOLERANCE, OPENID_ISSUER, OPENID_METADATA_URL,
    OPENID_REQUEST_TIMEOUT,
};

/// What is known of the provider once its metadata was asked for.
pub(super) struct Discovered {
    pub(super) found: Vec<Finding>,
    /// The metadata, if it is that of the configured issuer.
    pub(super) document: Option<Document>,
    pub(super) jwks_uri: Option<Url>,
}

/// Asks for the metadata, and compares the issuer and the clocks.
pub(super) async fn check(subject: &Subject<'_>) -> Discovered {
    let inspection = subject.loaded.provider().inspection();
    let mut discovered = Discovered {
        found: transport(subject),
        document: None,
        jwks_uri: None,
    };
    let found = &mut discovered.found;
    match inspection.metadata().await {
        None => {}
        Some(Err(unseen)) => found.push(unreached(subject, &unseen)),
        Some(Ok(seen)) => {
            found.push(clock(subject.pairs, &seen));
            match inspection.read(&seen) {
                Err(error) => found.push(unfit(subject, &seen, &error)),
                Ok(metadata) => {
                    let issuer = metadata.server.issuer.as_str();
                    found.push(fit(subject, &seen, issuer));
                    discovered.jwks_uri = Some(metadata.jwks_uri);
                    discovered.document = seen.members().map(Document);
                }
            }
        }
    }
    discovered
}

/// The setting that says where the metadata is.
fn place(pairs: &Pairs) -> &'static str {
    if pairs.has(OPENID_METADATA_URL) {
        OPENID_METADATA_URL
    } else {
        OPENID_ISSUER
    }
}

fn transport(subject: &Subject<'_>) -> Vec<Finding> {
    let issuer = Url::parse(subject.issuer()).ok();
    let is_plain = issuer.as_ref().is_some_and(|url| url.scheme() == "http");
    if !is_plain {
        return Vec::new();
    }
    let is_local = issuer.as_ref().is_some_and(is_loopback);
    vec![if is_local {
        Finding::note(
            "plain_http",
            "the provider is reached by plain http on this machine, which is for development only",
        )
        .at(OPENID_ISSUER)
    } else {
        Finding::note(
            "plain_http",
            "the provider is reached by plain http: what can change this network's traffic can pose as the provider",
        )
        .at(OPENID_ALLOW_HTTP)
        .cured_by("give the provider an https address, and remove OPENID_ALLOW_HTTP")
    }]
}

fn fit(subject: &Subject<'_>, seen: &Seen, issuer: &str) -> Finding {
    if issuer == subject.issuer() {
        return Finding::right(
            "discovery_right",
            format!("{} is the metadata of {issuer:?}", seen.url),
        );
    }
    Finding::note(
        "issuer_final_slash",
        format!("the provider's issuer is {issuer:?}, with a slash that the configured one lacks"),
    )
    .at(OPENID_ISSUER)
    .cured_by(format!("set OPENID_ISSUER={issuer}"))
}

/// The document is there, and cannot be used.
fn unfit(subject: &Subject<'_>, seen: &Seen, error: &ProviderError) -> Finding {
    let members = seen.members().map(Document);
    match error.kind() {
        Kind::IssuerMismatch => {
            let told = members.as_ref().and_then(|members| members.text("issuer"));
            let told = told.unwrap_or_default();
            let finding = Finding::wrong(
                "issuer_mismatch",
                format!("the metadata is that of {told:?}, and {:?} is configured", subject.issuer()),
            )
            .at(OPENID_ISSUER);
            if told.contains("{tenantid}") {
                finding.cured_by(
                    "set OPENID_ISSUER to that of your tenant, or to this text with the allowed tenants in OPENID_TENANTS",
                )
            } else {
                finding.cured_by(format!(
                    "if that is your provider, set OPENID_ISSUER to {told:?}, character by character"
                ))
            }
        }
        Kind::InsecureEndpoint => Finding::wrong(
            "endpoint_insecure",
            "jwks_uri is not https, and with other keys an attacker could sign tokens",
        )
        .at(OPENID_ALLOW_HTTP)
        .cured_by(
            "let the provider publish https addresses (behind a proxy: its public URL and forwarded headers); in a \
             network that you trust, name the host in OPENID_ALLOW_HTTP",
        ),
        _ => Finding::wrong("discovery_invalid", Chain(error).to_string())
            .at(place(subject.pairs))
            .cured_by(vendor::issuer(subject.vendor)),
    }
}

/// The document is not there. An API whose keys come from elsewhere can do without it.
fn unreached(subject: &Subject<'_>, unseen: &Unseen) -> Finding {
    let needs_metadata = subject.loaded.provider().keys_from() == KeysFrom::Metadata
        || !subject.is(crate::doctor::shape::Shape::Api);
    let level = if needs_metadata {
        Level::Wrong
    } else {
        Level::Note
    };
    let text = Chain(&unseen.error).to_string();
    let new = |code| Finding::new(level, code, &text);
    let where_it_is = place(subject.pairs);
    match unseen.error.kind() {
        Kind::Status if unseen.location.is_some() => {
            let to = unseen.location.as_deref().unwrap_or_default();
            new("discovery_redirected")
                .at(where_it_is)
                .cured_by(format!("redirects are not followed: if {to:?} is the provider's, set the final address"))
        }
        Kind::Status if unseen.status.is_some_and(|status| status.is_server_error()) => {
            new("discovery_unreachable")
                .at(where_it_is)
                .cured_by("the provider or a proxy before it fails: look there, and try again")
        }
        Kind::Status => new("discovery_missing").at(where_it_is).cured_by(vendor::issuer(subject.vendor)),
        Kind::InvalidAnswer | Kind::TooLarge => {
            new("discovery_invalid").at(where_it_is).cured_by(vendor::issuer(subject.vendor))
        }
        Kind::TimedOut => new("discovery_slow").at(OPENID_REQUEST_TIMEOUT).cured_by(
            "check the way to the provider (firewall, HTTPS_PROXY); if it is only slow, raise OPENID_REQUEST_TIMEOUT",
        ),
        _ if text.contains("certificate") => new("discovery_certificate").at(OPENID_CA_FILE).cured_by(
            "if a private authority signed the provider's certificate, name its file in OPENID_CA_FILE; else the \
             certificate is of another host, or has expired",
        ),
        _ => new("discovery_unreachable").at(where_it_is).cured_by(
            "check the address, the name service, the firewall and HTTPS_PROXY from this machine; where the provider has \
             another address from here, set OPENID_METADATA_URL",
        ),
    }
}

const DEFAULT_TOLERANCE: i64 = 60;

/// A request and its answer take time.
const ON_THE_WAY: i64 = 5;

fn clock(pairs: &Pairs, seen: &Seen) -> Finding {
    let Some((theirs, ours)) = seen.times else {
        return Finding::note(
            "clock_unknown",
            "the provider's answer has no Date, so that clocks cannot be compared",
        );
    };
    let tolerance = pairs
        .text(OPENID_CLOCK_TOLERANCE)
        .and_then(|text| text.parse().ok());
    difference(theirs, ours, tolerance.unwrap_or(DEFAULT_TOLERANCE))
}

fn difference(theirs: UnixTime, ours: UnixTime, tolerance: i64) -> Finding {
    let behind = theirs.as_seconds().saturating_sub(ours.as_seconds());
    let seconds = behind.saturating_abs();
    let time = Duration::from_secs(seconds.unsigned_abs());
    let time = humantime::format_duration(time);
    let way = if behind > 0 { "behind" } else { "ahead of" };
    if seconds > tolerance.saturating_add(ON_THE_WAY) {
        return Finding::wrong(
            "clock_differs",
            format!("this machine's clock is {time} {way} the provider's"),
        )
        .at(OPENID_CLOCK_TOLERANCE)
        .cured_by(
            "synchronise both clocks (NTP); OPENID_CLOCK_TOLERANCE bridges at most five minutes",
        );
    }
    if seconds > ON_THE_WAY {
        return Finding::note(
            "clock_drifts",
            format!("this machine's clock is {time} {way} the provider's, within the tolerance"),
        )
        .cured_by("synchronise both clocks (NTP)");
    }
    Finding::right(
        "clock_right",
        "this machine's clock agrees with the provider's",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_told_apart_by_the_tolerance() {
        let at = UnixTime::from_seconds;
        let cases = [
            (1_000, 1_000, 60, "clock_right"),
            (1_004, 1_000, 0, "clock_right"),
            (1_030, 1_000, 60, "clock_drifts"),
            (1_030, 1_000, 0, "clock_differs"),
            (1_000, 1_100, 60, "clock_differs"),
            (i64::MIN, i64::MAX, 60, "clock_differs"),
        ];
        for (theirs, ours, tolerance, code) in cases {
            let finding = difference(at(theirs), at(ours), tolerance);
            assert_eq!(finding.code(), code, "{finding}");
        }
        let text = difference(at(1_600), at(1_000), 60).text().to_owned();
        assert!(text.contains("10m behind"), "{text}");
        let text = difference(at(400), at(1_000), 60).text().to_owned();
        assert!(text.contains("10m ahead of"), "{text}");
    }
}
