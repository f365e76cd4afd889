//! The rules of this crate that belong to a profile, and what a configuration departs from.

use std::fmt;

use serde_json::json;

use crate::doctor::finding::{Finding, Report};
use crate::doctor::pairs::Pairs;
use crate::doctor::shape::Shape;
use crate::settings::{
    DOMAIN_SERVER, OPENID_ALGORITHMS, OPENID_ALLOW_HTTP, OPENID_AUDIENCE, OPENID_CLIENT_AUDIENCES,
    OPENID_CLIENT_SECRET, OPENID_ISSUER, OPENID_RESOURCE_SCOPES, OPENID_TOKEN_PLACES,
    OPENID_USE_PAR,
};

const RULES: &str = include_str!("../../docs/rules.md");

/// A text that other texts are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// [RFC 9700](https://www.rfc-editor.org/rfc/rfc9700), the best current practice for OAuth 2.0.
    Rfc9700,
    /// OAuth 2.1: the RFCs that it joins (6749, 6750, 7636, 8252 and 9700).
    OAuth21,
    /// The security profile of FAPI 2.0: the RFCs that it is made of (7523, 7636, 8414, 8705, 9126, 9207, 9449 and
    /// 9700).
    Fapi2,
    /// Authorization of the Model Context Protocol: its own rules, and RFC 8707 and 9728.
    Mcp,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Rfc9700, Self::OAuth21, Self::Fapi2, Self::Mcp];

    /// `rfc9700`, `oauth21`, `fapi2` or `mcp`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rfc9700 => "rfc9700",
            Self::OAuth21 => "oauth21",
            Self::Fapi2 => "fapi2",
            Self::Mcp => "mcp",
        }
    }

    /// How the sources of its rules begin.
    fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Rfc9700 => &["9700"],
            Self::OAuth21 => &["6749", "6750", "7636", "8252", "9700"],
            Self::Fapi2 => &[
                "7523", "7636", "8414", "8705", "9126", "9207", "9449", "9700",
            ],
            Self::Mcp => &["MCP", "8707", "9728"],
        }
    }

    /// The rules of this crate with a source in the profile, in the order of `docs/rules.md`.
    #[must_use]
    pub fn rules(self) -> Vec<ProfileRule> {
        RULES
            .lines()
            .filter_map(ProfileRule::read)
            .filter(|rule| rule.is_of(self))
            .collect()
    }
}

/// A row of `docs/rules.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileRule {
    id: &'static str,
    level: &'static str,
    status: &'static str,
    text: &'static str,
    source: &'static str,
}

impl ProfileRule {
    fn read(line: &'static str) -> Option<Self> {
        let mut cells = line.split(" | ").map(str::trim);
        let id = cells.next()?.trim_start_matches("| ");
        let level = cells.next()?;
        let (area, number) = id.split_once('-')?;
        let is_rule = area.len() == 2 && number.len() == 2 && matches!(level, "M" | "S" | "P");
        is_rule.then_some(())?;
        Some(Self {
            id,
            level,
            status: cells.next()?,
            text: cells.next()?,
            source: cells.next()?,
        })
    }

    fn is_of(&self, profile: Profile) -> bool {
        let mut sources = self.source.split([';', ',']).map(str::trim);
        sources.any(|source| {
            let first = source.split(' ').next().unwrap_or_default();
            profile.sources().contains(&first)
        })
    }

    /// The id, such as `BT-03`.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// `M` (the source says must), `S` (should) or `P` (this project's choice).
    #[must_use]
    pub fn level(&self) -> &'static str {
        self.level
    }

    /// `built`, `planned` or `not offered`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        self.status
    }

    /// The rule.
    #[must_use]
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }
}

/// The rules of a profile, and what a configuration departs from. `Display` writes a line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileReport {
    profile: Profile,
    rules: Vec<ProfileRule>,
    departures: Report,
}

impl ProfileReport {
    pub(super) fn new(profile: Profile, shape: Shape, pairs: &Pairs) -> Self {
        Self {
            profile,
            rules: profile.rules(),
            departures: Report::new(departures(profile, shape, pairs)),
        }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[ProfileRule] {
        &self.rules
    }

    /// What the settings depart from.
    #[must_use]
    pub fn departures(&self) -> &Report {
        &self.departures
    }

    /// The report as a JSON object: `profile`, `rules` with `id`, `level`, `status`, `rule` and `source`, and
    /// `departures`, which is a report of its own.
    #[must_use]
    pub fn to_json(&self) -> String {
        let rules = self.rules.iter().map(|rule| {
            json!({
                "id": rule.id,
                "level": rule.level,
                "status": rule.status,
                "rule": rule.text,
                "source": rule.source,
            })
        });
        let departures: serde_json::Value =
            serde_json::from_str(&self.departures.to_json()).unwrap_or_default();
        json!({
            "profile": self.profile.name(),
            "rules": rules.collect::<Vec<_>>(),
            "departures": departures,
        })
        .to_string()
    }
}

impl fmt::Display for ProfileReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.rules {
            writeln!(
                formatter,
                "{}  {}  {:<11}  {} ({})",
                rule.id, rule.level, rule.status, rule.text, rule.source
            )?;
        }
        self.departures.fmt(formatter)
    }
}

fn departures(profile: Profile, shape: Shape, pairs: &Pairs) -> Vec<Finding> {
    let mut found = Vec::new();
    let asks_for_tokens = shape != Shape::Api;
    if pairs.has(OPENID_ALLOW_HTTP)
        || pairs
            .text(OPENID_ISSUER)
            .is_some_and(|text| text.starts_with("http://"))
    {
        let setting = if pairs.has(OPENID_ALLOW_HTTP) {
            OPENID_ALLOW_HTTP
        } else {
            OPENID_ISSUER
        };
        found.push(
            Finding::wrong("departs_plain_http", "the provider is reached without TLS")
                .at(setting)
                .cured_by("use an https address"),
        );
    }
    match profile {
        Profile::Rfc9700 | Profile::OAuth21 => {
            if pairs.has(OPENID_CLIENT_AUDIENCES) {
                found.push(
                    Finding::note(
                        "departs_audience",
                        "tokens without an audience are accepted of named clients (RFC 9700 §2.3)",
                    )
                    .at(OPENID_CLIENT_AUDIENCES)
                    .cured_by("let the provider name this service as aud, and remove it"),
                );
            }
            if profile == Profile::Rfc9700 && asks_for_tokens && pairs.has_secret() {
                found.push(
                    Finding::note("departs_shared_secret", "the client has a shared secret, and an asymmetric method is recommended (RFC 9700 §2.5)")
                        .at(OPENID_CLIENT_SECRET)
                        .cured_by("register a public key, and use Client::with_private_key in code"),
                );
            }
        }
        Profile::Fapi2 => fapi2(shape, pairs, &mut found),
        Profile::Mcp => mcp(shape, pairs, &mut found),
    }
    found
}

fn fapi2(shape: Shape, pairs: &Pairs, found: &mut Vec<Finding>) {
    if shape != Shape::Api {
        found.push(
            Finding::wrong("departs_client_authentication", "the client authenticates by a secret or not at all, and must by private_key_jwt or mutual TLS")
                .at(OPENID_CLIENT_SECRET)
                .cured_by("use Client::with_private_key in code"),
        );
    }
    if shape == Shape::Site && !pairs.is(OPENID_USE_PAR, false) {
        found.push(
            Finding::wrong(
                "departs_pushed_authorization",
                "authorization requests are pushed only if the provider demands it",
            )
            .at(OPENID_USE_PAR)
            .cured_by("set OPENID_USE_PAR=true"),
        );
    }
    let allowed = ["PS256", "ES256", "EdDSA"];
    let is_narrow = pairs.names_algorithms()
        && pairs
            .list(OPENID_ALGORITHMS)
            .all(|name| allowed.contains(&name));
    if !is_narrow {
        found.push(
            Finding::wrong(
                "departs_algorithms",
                "algorithms other than PS256, ES256 and EdDSA are accepted",
            )
            .at(OPENID_ALGORITHMS)
            .cured_by(
                "set OPENID_ALGORITHMS=PS256,ES256,EdDSA, or those of them that the provider has",
            ),
        );
    }
}

fn mcp(shape: Shape, pairs: &Pairs, found: &mut Vec<Finding>) {
    if shape != Shape::Api {
        return;
    }
    let address = pairs.text(DOMAIN_SERVER);
    match address {
        None => found.push(
            Finding::wrong(
                "departs_resource_metadata",
                "without its address the server cannot describe itself (RFC 9728)",
            )
            .at(DOMAIN_SERVER)
            .cured_by("set DOMAIN_SERVER to the public address of the server"),
        ),
        Some(address) => {
            let bare = address.trim_end_matches('/');
            if !pairs
                .list(OPENID_AUDIENCE)
                .any(|audience| audience.trim_end_matches('/') == bare)
            {
                found.push(
                    Finding::note("departs_audience", "the accepted audience is not the address of the server, which MCP clients send as resource")
                        .at(OPENID_AUDIENCE)
                        .cured_by(format!("add {address} to OPENID_AUDIENCE, if the provider issues tokens for it")),
                );
            }
        }
    }
    if pairs
        .list(OPENID_TOKEN_PLACES)
        .any(|place| place != "authorization")
    {
        found.push(
            Finding::wrong(
                "departs_token_place",
                "tokens are read elsewhere than in the Authorization field",
            )
            .at(OPENID_TOKEN_PLACES)
            .cured_by("remove OPENID_TOKEN_PLACES"),
        );
    }
    if !pairs.has(OPENID_RESOURCE_SCOPES) {
        found.push(
            Finding::note(
                "departs_scopes_untold",
                "the metadata tells no scopes, so that clients cannot ask for the right ones",
            )
            .at(OPENID_RESOURCE_SCOPES)
            .cured_by("set OPENID_RESOURCE_SCOPES to the scopes that the tools need"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_has_rules_and_each_source_of_it_is_one_of_a_rule() {
        for profile in Profile::ALL {
            let rules = profile.rules();
            assert!(rules.len() > 10, "{profile:?}: {}", rules.len());
            assert!(
                rules
                    .iter()
                    .all(|rule| ["built", "planned", "not offered"].contains(&rule.status()))
            );
        }
        let ids: Vec<_> = Profile::Mcp.rules().iter().map(ProfileRule::id).collect();
        assert!(ids.contains(&"BT-16"), "{ids:?}");
        assert!(!ids.contains(&"BT-01"), "{ids:?}");
    }

    #[test]
    fn every_row_of_the_page_with_a_level_is_read() {
        let rows = RULES.lines().filter(|line| {
            ["| M |", "| S |", "| P |"]
                .iter()
                .any(|level| line.get(8..13) == Some(level))
        });
        let read = RULES.lines().filter_map(ProfileRule::read);
        let rows = rows.count();
        assert!(rows > 200, "{rows}");
        assert_eq!(read.count(), rows);
    }
}
