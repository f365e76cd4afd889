//! The keys that tokens are verified with.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use url::Url;

use crate::doctor::finding::Finding;
use crate::doctor::metadata::Document;
use crate::doctor::subject::Subject;
use crate::doctor::vendor;
use crate::error::setup::KeysFrom;
use crate::error::{Chain, ProviderErrorKind as Kind};
use crate::jwt::Algorithm;
use crate::keys::jwk_set::{Choice, JwkSet, TokenIssuer};
use crate::lenient_json;
use crate::settings::{OPENID_ALGORITHMS, OPENID_JWKS_FILE, OPENID_JWKS_URL};

/// The document of the keys, and the setting that names it.
struct Source {
    setting: Option<&'static str>,
    body: Vec<u8>,
}

/// Fetches or reads the keys. Nothing without an address.
pub(super) async fn check(
    subject: &Subject<'_>,
    document: Option<&Document>,
    jwks_uri: Option<&Url>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    match source(subject, jwks_uri, &mut found).await {
        Some(Ok(source)) => {
            let listed = document.and_then(|one| one.list("id_token_signing_alg_values_supported"));
            found.extend(judge(subject, &source, listed.as_deref()));
        }
        Some(Err(finding)) => found.push(finding),
        None => {}
    }
    found
}

async fn source(
    subject: &Subject<'_>,
    jwks_uri: Option<&Url>,
    found: &mut Vec<Finding>,
) -> Option<Result<Source, Finding>> {
    let provider = subject.loaded.provider();
    let (url, setting) = match provider.keys_from() {
        KeysFrom::Metadata => (jwks_uri?.clone(), None),
        KeysFrom::Url => {
            let text = subject.pairs.text(OPENID_JWKS_URL)?;
            let url = Url::parse(text).ok()?;
            if jwks_uri.is_some_and(|named| *named != url) {
                found.push(
                    Finding::note(
                        "jwks_url_differs",
                        format!("the metadata names another jwks_uri than {url}"),
                    )
                    .at(OPENID_JWKS_URL)
                    .cured_by("remove OPENID_JWKS_URL, unless the keys must come from there"),
                );
            }
            (url, Some(OPENID_JWKS_URL))
        }
        KeysFrom::File => return Some(file(subject)),
        KeysFrom::Program => return None,
    };
    Some(match provider.inspection().keys(&url).await {
        Ok(seen) => Ok(Source {
            setting,
            body: seen.body.to_vec(),
        }),
        Err(unseen) => {
            let finding = Finding::wrong("keys_unreachable", Chain(&unseen.error).to_string());
            let finding = match setting {
                Some(setting) => finding.at(setting),
                None => finding,
            };
            Err(finding.cured_by(match setting {
                Some(_) => "remove OPENID_JWKS_URL, so that the metadata says where the keys are, or correct it",
                None => {
                    "check the way from this machine to the jwks_uri of the metadata; where it leads elsewhere from \
                     here, set OPENID_JWKS_URL"
                }
            }))
        }
    })
}

fn file(subject: &Subject<'_>) -> Result<Source, Finding> {
    let path = subject.pairs.text(OPENID_JWKS_FILE).unwrap_or_default();
    match std::fs::read(path) {
        Ok(body) => Ok(Source {
            setting: Some(OPENID_JWKS_FILE),
            body,
        }),
        Err(error) => Err(Finding::wrong(
            "keys_unreachable",
            format!("the file cannot be read: {error}"),
        )
        .at(OPENID_JWKS_FILE)
        .cured_by("write the provider's key set there, as it stands at its jwks_uri")),
    }
}

fn judge(subject: &Subject<'_>, source: &Source, listed: Option<&[&str]>) -> Vec<Finding> {
    let at = |finding: Finding| match source.setting {
        Some(setting) => finding.at(setting),
        None => finding,
    };
    let jwks = match JwkSet::parse(&source.body) {
        Ok(jwks) => jwks,
        Err(error) if error.kind() == Kind::NoUsableKeys => {
            return vec![
                at(Finding::wrong("keys_unusable", Chain(&error).to_string()))
                    .cured_by(vendor::signing(subject.vendor)),
            ];
        }
        Err(error) => {
            return vec![at(Finding::wrong("keys_invalid", Chain(&error).to_string())).cured_by(
                "the address must answer with a JSON Web Key Set, an object with an array named keys",
            )];
        }
    };
    let entries = entries(&source.body);
    let mut found: Vec<_> = left_out(&entries).into_iter().map(at).collect();
    found.extend(kids(&jwks, &entries).into_iter().map(at));
    found.push(algorithms(subject, &entries, listed));
    found
}

/// The entries of a set, as they are written.
fn entries(body: &[u8]) -> Vec<Value> {
    let members = lenient_json::object(&lenient_json::text(body)).unwrap_or_default();
    let keys = members.get("keys").and_then(Value::as_array);
    keys.cloned().unwrap_or_default()
}

/// A set of this entry alone.
fn alone(entry: &Value) -> Result<JwkSet, crate::error::ProviderError> {
    JwkSet::parse(json!({ "keys": [entry] }).to_string().as_bytes())
}

/// What each entry that cannot verify a signature is.
fn left_out(entries: &[Value]) -> Option<Finding> {
    let reasons: BTreeSet<_> = entries
        .iter()
        .filter(|entry| entry["use"] != "enc")
        .filter_map(|entry| Some(Chain(&alone(entry).err()?).to_string()))
        .map(|text| {
            text.split_once(": ")
                .map_or(text.clone(), |(_, reason)| reason.to_owned())
        })
        .collect();
    let reasons: Vec<_> = reasons.into_iter().collect();
    (!reasons.is_empty()).then(|| {
        Finding::note(
            "key_left_out",
            format!(
                "keys that cannot verify a signature are left out: {}",
                reasons.join("; ")
            ),
        )
    })
}

const ANY_ISSUER: TokenIssuer<'_> = TokenIssuer {
    issuer: "",
    tenant: None,
};

/// The algorithms that an entry verifies.
fn verifies(entry: &Value) -> Vec<Algorithm> {
    let Ok(set) = alone(&without_issuer(entry)) else {
        return Vec::new();
    };
    let kid = entry["kid"].as_str();
    let fits = |algorithm: &Algorithm| {
        !matches!(
            set.choose(kid, *algorithm, &ANY_ISSUER),
            Choice::Unknown | Choice::OtherAlgorithm
        )
    };
    Algorithm::ALL.into_iter().filter(fits).collect()
}

/// The same key for every issuer. Entra ID names one beside each key.
fn without_issuer(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(members) = entry.as_object_mut() {
        members.remove("issuer");
    }
    entry
}

fn kids(jwks: &JwkSet, entries: &[Value]) -> Option<Finding> {
    let twice: BTreeSet<_> = entries
        .iter()
        .filter(|entry| entry.get("issuer").is_none())
        .filter_map(|entry| {
            let kid = entry["kid"].as_str()?;
            let is_ambiguous = |algorithm| {
                matches!(
                    jwks.choose(Some(kid), algorithm, &ANY_ISSUER),
                    Choice::Ambiguous
                )
            };
            verifies(entry).into_iter().any(is_ambiguous).then_some(kid)
        })
        .collect();
    let first = twice.first()?;
    Some(
        Finding::wrong(
            "kid_twice",
            format!(
                "several different keys have the kid {first:?}, and tokens that name it are refused"
            ),
        )
        .cured_by("the provider must give each key a kid of its own"),
    )
}

/// Whether there is a key for what is accepted.
fn algorithms(subject: &Subject<'_>, entries: &[Value], listed: Option<&[&str]>) -> Finding {
    let usable: Vec<_> = Algorithm::ALL
        .into_iter()
        .filter(|one| entries.iter().any(|entry| verifies(entry).contains(one)))
        .collect();
    let accepted: Vec<_> = subject.loaded.verifier().algorithms().iter().collect();
    let names = |list: &[Algorithm]| {
        let names: Vec<_> = list.iter().map(|one| one.name()).collect();
        names.join(", ")
    };
    if subject.pairs.names_algorithms() {
        let lacking: Vec<_> = accepted
            .iter()
            .copied()
            .filter(|one| !usable.contains(one))
            .collect();
        if !lacking.is_empty() {
            let text = format!(
                "the provider publishes no key for {}, only for {}",
                names(&lacking),
                names(&usable)
            );
            let finding = if lacking.len() == accepted.len() {
                Finding::wrong("algorithm_without_key", text)
            } else {
                Finding::note("algorithm_without_key", text)
            };
            return finding.at(OPENID_ALGORITHMS).cured_by(format!(
                "write only algorithms that the provider signs with: OPENID_ALGORITHMS={}",
                names(&usable).replace(' ', "")
            ));
        }
    }
    let is_listed = |one: &Algorithm| listed.is_none_or(|list| list.contains(&one.name()));
    let judged: Vec<_> = usable
        .iter()
        .copied()
        .filter(|one| accepted.contains(one))
        .filter(|one| subject.pairs.names_algorithms() || is_listed(one))
        .collect();
    if judged.is_empty() {
        return Finding::wrong(
            "algorithm_without_key",
            format!(
                "the keys are for {}, none of which is accepted",
                names(&usable)
            ),
        )
        .at(OPENID_ALGORITHMS)
        .cured_by(format!(
            "set OPENID_ALGORITHMS={}",
            names(&usable).replace(' ', "")
        ));
    }
    Finding::right(
        "keys_right",
        format!("there are keys for {}", names(&judged)),
    )
}
