//! A JWK Set, read tolerantly entry by entry, and the strict choice of a key from it.

use aws_lc_rs::digest::{Digest, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{ProviderError, ProviderErrorKind};
use crate::jwt::Algorithm;
use crate::keys::public_key::PublicKey;
use crate::lenient_json;

/// Of more usable keys the first are kept.
const MAX_KEYS: usize = 100;

/// Keys tried for a token without a `kid`.
const MAX_CANDIDATES: usize = 8;

/// The usable keys of a set.
#[derive(Debug)]
pub(crate) struct JwkSet {
    keys: Vec<Entry>,
    /// SHA-256 of the document.
    digest: Digest,
}

#[derive(Debug)]
struct Entry {
    kid: Option<Box<str>>,
    /// The issuer this key is for, if the set says so (Entra ID).
    issuer: Option<Box<str>>,
    /// One for each algorithm that the key may be used with.
    keys: Vec<PublicKey>,
}

/// Which keys to try for a token.
pub(crate) enum Choice<'a> {
    /// These in turn, for a token without a `kid`.
    Candidates(Vec<&'a PublicKey>),
    One(&'a PublicKey),
    /// No key has this `kid`, or none fits a token without a `kid`.
    Unknown,
    /// The key with this `kid` is for another algorithm.
    OtherAlgorithm,
    /// Several keys have this `kid`, or too many fit a token without a `kid`.
    Ambiguous,
}

impl JwkSet {
    /// Reads a set. Unusable entries are skipped (RFC 7517 §5).
    ///
    /// # Errors
    /// If it is not a set, or has no usable entry. The error says why each is none.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, ProviderError> {
        let invalid = |message: &str| {
            ProviderError::new(ProviderErrorKind::InvalidAnswer, message.to_owned())
        };
        let text = lenient_json::text(document);
        let members = lenient_json::members(&text)
            .ok_or_else(|| invalid("the key set is not a JSON object"))?;
        let entries = members
            .get("keys")
            .and_then(|keys| lenient_json::items(keys.get()))
            .ok_or_else(|| invalid("the key set has no array named keys"))?;
        let mut keys: Vec<Entry> = Vec::new();
        let mut reasons = Vec::new();
        for entry in &entries {
            match known_members(entry).and_then(|members| Entry::parse(&members)) {
                // The same key published twice is one key.
                Ok(entry) if keys.iter().any(|known| known.repeats(&entry)) => {}
                Ok(_) if keys.len() == MAX_KEYS => {
                    tracing::warn!(
                        kept = MAX_KEYS,
                        "the key set has more usable keys than are kept; the rest is ignored"
                    );
                    break;
                }
                Ok(entry) => keys.push(entry),
                Err(reason) => {
                    tracing::debug!(reason, "skipped an entry of the key set");
                    reasons.push(reason);
                }
            }
        }
        if keys.is_empty() {
            return Err(ProviderError::new(
                ProviderErrorKind::NoUsableKeys,
                format!(
                    "none of the {} entries of the key set can verify a signature{}",
                    entries.len(),
                    listed(&reasons)
                ),
            ));
        }
        Ok(Self {
            keys,
            digest: digest(&SHA256, document),
        })
    }

    /// SHA-256 of the document it was read from.
    pub(crate) fn digest(&self) -> &[u8] {
        self.digest.as_ref()
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that the token may have been signed with, by `kid`, algorithm and issuer.
    pub(crate) fn choose(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        issuer: &TokenIssuer,
    ) -> Choice<'_> {
        let Some(kid) = kid else {
            return self.choose_unnamed(algorithm, issuer);
        };
        let mut named = false;
        let mut chosen = None;
        for entry in &self.keys {
            if entry.kid.as_deref() != Some(kid) || !entry.serves(issuer) {
                continue;
            }
            named = true;
            match (entry.fitting(algorithm), chosen) {
                (None, _) => {}
                (Some(key), None) => chosen = Some(key),
                // The same key, listed once for this algorithm and once for any.
                (Some(key), Some(known)) if key.is_same_key(known) => {}
                (Some(_), Some(_)) => return Choice::Ambiguous,
            }
        }
        match chosen {
            Some(key) => Choice::One(key),
            None if named => Choice::OtherAlgorithm,
            None => Choice::Unknown,
        }
    }

    fn choose_unnamed(&self, algorithm: Algorithm, issuer: &TokenIssuer) -> Choice<'_> {
        let mut chosen: Vec<&PublicKey> = Vec::new();
        let serving = self.keys.iter().filter(|entry| entry.serves(issuer));
        for key in serving.filter_map(|entry| entry.fitting(algorithm)) {
            if chosen.iter().any(|known| key.is_same_key(known)) {
                continue;
            }
            if chosen.len() == MAX_CANDIDATES {
                return Choice::Ambiguous;
            }
            chosen.push(key);
        }
        if chosen.is_empty() {
            Choice::Unknown
        } else {
            Choice::Candidates(chosen)
        }
    }
}

/// The issuer that a token names. One key set can serve several (DI-08).
pub(crate) struct TokenIssuer<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) tenant: Option<&'a str>,
}

/// The placeholder of the tenant in the issuer of a provider that serves many tenants.
pub(crate) const TENANT_PLACEHOLDER: &str = "{tenantid}";

impl TokenIssuer<'_> {
    fn is(&self, issuer: &str) -> bool {
        issuer == self.issuer
            || self
                .tenant
                .is_some_and(|tenant| issuer.replace(TENANT_PLACEHOLDER, tenant) == self.issuer)
    }
}

impl Entry {
    /// Whether the key may sign for this issuer.
    fn serves(&self, issuer: &TokenIssuer) -> bool {
        self.issuer.as_ref().is_none_or(|own| issuer.is(own))
    }

    fn fitting(&self, algorithm: Algorithm) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.algorithm() == algorithm)
    }

    fn repeats(&self, other: &Self) -> bool {
        self.kid == other.kid
            && self.issuer == other.issuer
            && self.keys.len() == other.keys.len()
            && self
                .keys
                .iter()
                .zip(&other.keys)
                .all(|(one, two)| one.algorithm() == two.algorithm() && one.is_same_key(two))
    }

    fn parse(members: &Map<String, Value>) -> Result<Self, &'static str> {
        if let Some(usage) = stated(members, "use")
            && usage != "sig"
        {
            return Err("use is not sig");
        }
        if let Some(operations) = stated(members, "key_ops") {
            let operations = operations.as_array().ok_or("key_ops is not an array")?;
            if !operations.iter().any(|operation| operation == "verify") {
                return Err("key_ops does not allow verify");
            }
        }
        let algorithm = match stated(members, "alg") {
            None => None,
            Some(name) => Some(
                name.as_str()
                    .and_then(Algorithm::from_name)
                    .ok_or("alg is not one that this crate verifies")?,
            ),
        };
        let keys = usable_keys(members, algorithm)?;
        if keys.is_empty() {
            return Err("alg does not fit the key");
        }
        Ok(Self {
            kid: text(stated(members, "kid"))?,
            // Only a key that does not mention an issuer is for all of them.
            issuer: text(members.get("issuer"))?,
            keys,
        })
    }
}

/// Why each entry is of no use, by its place.
fn listed(reasons: &[&str]) -> String {
    const MOST_SHOWN: usize = 10;
    let places = reasons.iter().zip(1..).take(MOST_SHOWN);
    let shown: Vec<_> = places
        .map(|(reason, place)| format!("entry {place}: {reason}"))
        .collect();
    match (shown.is_empty(), reasons.len() > MOST_SHOWN) {
        (true, _) => String::new(),
        (false, false) => format!(" ({})", shown.join("; ")),
        (false, true) => format!(" ({}; and so on)", shown.join("; ")),
    }
}

/// The members that this crate uses. Any other may be whatever it likes.
fn known_members(entry: &RawValue) -> Result<Map<String, Value>, &'static str> {
    const KNOWN: [&str; 5] = ["alg", "issuer", "key_ops", "kid", "use"];
    let members = lenient_json::members(entry.get()).ok_or("an entry is not an object")?;
    let mut known = Map::new();
    for (name, value) in members {
        if KNOWN.contains(&&*name) || PUBLIC_MEMBERS.contains(&&*name) {
            let value = serde_json::from_str(value.get());
            known.insert(
                name,
                value.map_err(|_| "a member of the key cannot be read")?,
            );
        }
    }
    Ok(known)
}

/// An optional member. Providers that have nothing to say write null or an empty text, which counts as
/// absent.
fn stated<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members
        .get(name)
        .filter(|value| !value.is_null() && *value != "")
}

fn text(member: Option<&Value>) -> Result<Option<Box<str>>, &'static str> {
    match member {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(_) => Err("kid or issuer is not a string"),
    }
}

/// The members of a verification key. Certificates (RFC 7517 §4.6 to §4.9) are ignored, and private
/// members are not read.
const PUBLIC_MEMBERS: [&str; 6] = ["kty", "crv", "n", "e", "x", "y"];

fn usable_keys(
    members: &Map<String, Value>,
    algorithm: Option<Algorithm>,
) -> Result<Vec<PublicKey>, &'static str> {
    let public = PUBLIC_MEMBERS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), members.get(*name)?.clone())))
        .collect();
    let jwk: Jwk = serde_json::from_value(Value::Object(public))
        .map_err(|_| "a member of the key is missing or mistyped")?;
    let serves = |candidate: &Algorithm| algorithm.is_none_or(|only| only == *candidate);
    match jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let modulus = decode(&rsa.n)?;
            let exponent = decode(&rsa.e)?;
            [
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
            ]
            .into_iter()
            .filter(serves)
            .map(|algorithm| PublicKey::rsa(algorithm, &modulus, &exponent))
            .collect()
        }
        AlgorithmParameters::EllipticCurve(ec) => {
            let fixed = match ec.curve {
                EllipticCurve::P256 => Algorithm::Es256,
                EllipticCurve::P384 => Algorithm::Es384,
                EllipticCurve::P521 => Algorithm::Es512,
                _ => return Err("the curve is not one for ECDSA"),
            };
            let (x, y) = (decode(&ec.x)?, decode(&ec.y)?);
            Some(fixed)
                .filter(serves)
                .map(|algorithm| PublicKey::ec(algorithm, &x, &y))
                .into_iter()
                .collect()
        }
        AlgorithmParameters::OctetKeyPair(okp) => {
            if okp.curve != EllipticCurve::Ed25519 {
                return Err("the curve is not Ed25519");
            }
            let x = decode(&okp.x)?;
            Some(Algorithm::EdDsa)
                .filter(serves)
                .map(|_| PublicKey::ed25519(&x))
                .into_iter()
                .collect()
        }
        // A symmetric key that is published is known to all (RFC 8725 §3.5).
        _ => Err("the key is not an asymmetric one that this crate supports"),
    }
}

fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    // No number in a usable key is longer than an RSA modulus of 8192 bits.
    const LONGEST: usize = 1_400;
    if text.len() > LONGEST {
        return Err("a number of the key is too long");
    }
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| "a number of the key is not base64url")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NO_TENANT: TokenIssuer<'static> = TokenIssuer {
        issuer: "https://id.example",
        tenant: None,
    };

    fn rsa(byte: u8) -> Value {
        json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([byte; 256]), "e": "AQAB"})
    }

    fn with(mut key: Value, members: &Value) -> Value {
        for (name, value) in members.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    fn ed25519() -> Value {
        // RFC 8037 appendix A.2.
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn set(keys: &[Value]) -> Result<JwkSet, ProviderError> {
        JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn chosen(set: &JwkSet, kid: Option<&str>, algorithm: Algorithm) -> &'static str {
        match set.choose(kid, algorithm, &NO_TENANT) {
            Choice::One(_) => "one",
            Choice::Candidates(keys) => ["none", "candidate", "candidates"][keys.len().min(2)],
            Choice::Unknown => "unknown",
            Choice::OtherAlgorithm => "other algorithm",
            Choice::Ambiguous => "ambiguous",
        }
    }

    // KS-01
    #[test]
    fn damaged_entries_are_passed_over() {
        let damaged = [
            json!(null),
            json!(1),
            json!([]),
            json!({}),
            json!({"kty": "RSA"}),
            json!({"kty": "RSA", "n": 7, "e": "AQAB"}),
            json!({"kty": "RSA", "n": "!!", "e": "AQAB"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
            json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            with(rsa(0xfe), &json!({"alg": 7})),
            with(rsa(0xfe), &json!({"alg": "RSA-OAEP"})),
            with(rsa(0xfe), &json!({"kid": 7})),
            with(rsa(0xfe), &json!({"use": ["sig"]})),
            with(rsa(0xfe), &json!({"key_ops": "verify"})),
            with(rsa(0xfe), &json!({"alg": "ES256"})),
        ];
        for entry in &damaged {
            assert!(set(std::slice::from_ref(entry)).is_err(), "{entry}");
            let both = set(&[entry.clone(), with(rsa(0xff), &json!({"kid": "good"}))]).unwrap();
            assert_eq!(
                chosen(&both, Some("good"), Algorithm::Rs256),
                "one",
                "{entry}"
            );
        }
        let all: Vec<_> = damaged.into_iter().chain([rsa(0xff)]).collect();
        assert_eq!(set(&all).unwrap().len(), 1);
    }

    // KS-06
    #[test]
    fn certificates_are_ignored_even_when_broken() {
        let key = with(
            rsa(0xff),
            &json!({"kid": "a", "x5c": "no array", "x5u": 7, "x5t": null}),
        );
        assert_eq!(set(&[key]).unwrap().len(), 1);
    }

    // KS-07
    #[test]
    fn private_members_leave_no_trace() {
        let key = with(
            rsa(0xff),
            &json!({"kid": "a", "d": "PRIVATE", "p": "PRIVATE"}),
        );
        assert!(!format!("{:?}", set(&[key]).unwrap()).contains("PRIVATE"));
    }

    // KS-02
    #[test]
    fn use_and_key_ops_must_both_allow_it() {
        let cases = [
            (json!({"use": "sig"}), true),
            (json!({"use": "enc"}), false),
            (json!({"use": "SIG"}), false),
            (json!({"key_ops": ["verify"]}), true),
            (json!({"key_ops": ["sign", "verify"]}), true),
            (json!({"key_ops": ["encrypt"]}), false),
            (json!({"key_ops": []}), false),
            (json!({"use": "sig", "key_ops": ["sign"]}), false),
            (json!({"use": "enc", "key_ops": ["verify"]}), false),
        ];
        for (members, usable) in cases {
            assert_eq!(
                set(&[with(rsa(0xff), &members)]).is_ok(),
                usable,
                "{members}"
            );
        }
    }

    // KS-21
    #[test]
    fn a_member_that_is_null_or_empty_is_absent() {
        for name in ["alg", "use", "kid", "key_ops"] {
            for nothing in [json!(null), json!("")] {
                let key = with(rsa(0xff), &json!({ name: nothing }));
                let set = set(std::slice::from_ref(&key)).unwrap();
                assert_eq!(chosen(&set, None, Algorithm::Rs256), "candidate", "{key}");
                assert_eq!(chosen(&set, None, Algorithm::Ps384), "candidate", "{key}");
                assert_eq!(chosen(&set, Some(""), Algorithm::Rs256), "unknown", "{key}");
            }
        }
        for issuer in [json!(null), json!(""), json!(7)] {
            let key = with(rsa(0xff), &json!({"kid": "k", "issuer": issuer}));
            let served =
                set(&[key]).is_ok_and(|set| chosen(&set, Some("k"), Algorithm::Rs256) == "one");
            assert!(!served, "{issuer}: a key of one issuer does not serve all");
        }
    }

    // KS-05
    #[test]
    fn the_same_key_listed_twice_is_one_key() {
        let bare = with(rsa(0xff), &json!({"kid": "k"}));
        let named = with(bare.clone(), &json!({"alg": "RS256", "use": "sig"}));
        let other = with(rsa(0xfe), &json!({"kid": "k", "alg": "RS256"}));
        for keys in [[bare.clone(), named.clone()], [named.clone(), bare.clone()]] {
            let set = set(&keys).unwrap();
            assert_eq!(chosen(&set, Some("k"), Algorithm::Rs256), "one");
            assert_eq!(chosen(&set, None, Algorithm::Rs256), "candidate");
        }
        let three = set(&[bare, named.clone(), other]).unwrap();
        assert_eq!(chosen(&three, Some("k"), Algorithm::Rs256), "ambiguous");
        // The number of keys to try counts each key once, whatever its names are.
        let many: Vec<_> = (0..20)
            .map(|at| with(named.clone(), &json!({"kid": at.to_string()})))
            .collect();
        let many = set(&many).unwrap();
        assert_eq!(chosen(&many, None, Algorithm::Rs256), "candidate");
    }

    // KS-05
    #[test]
    fn one_name_may_stand_for_keys_of_different_algorithms_only() {
        let named = |key: Value| with(key, &json!({"kid": "k"}));
        let mixed = set(&[named(ed25519()), named(rsa(0xff))]).unwrap();
        assert_eq!(chosen(&mixed, Some("k"), Algorithm::Rs256), "one");
        assert_eq!(chosen(&mixed, Some("k"), Algorithm::EdDsa), "one");
        assert_eq!(
            chosen(&mixed, Some("k"), Algorithm::Es256),
            "other algorithm"
        );
        assert_eq!(chosen(&mixed, Some("K"), Algorithm::Rs256), "unknown");

        let alike = set(&[named(rsa(0xff)), named(rsa(0xfd))]).unwrap();
        assert_eq!(chosen(&alike, Some("k"), Algorithm::Rs256), "ambiguous");
        let same = set(&[named(rsa(0xff)), named(rsa(0xff))]).unwrap();
        assert_eq!(chosen(&same, Some("k"), Algorithm::Rs256), "one");
    }

    // AL-02
    #[test]
    fn a_key_works_with_its_own_algorithm_only() {
        let key = with(rsa(0xff), &json!({"kid": "k", "alg": "RS256"}));
        let set = set(&[key]).unwrap();
        assert_eq!(chosen(&set, Some("k"), Algorithm::Rs256), "one");
        for other in [Algorithm::Ps256, Algorithm::Rs384, Algorithm::Es256] {
            assert_eq!(chosen(&set, Some("k"), other), "other algorithm", "{other}");
        }
    }

    // KS-04
    #[test]
    fn without_a_name_few_keys_are_tried() {
        let keys = |count: u8| -> Vec<Value> { (0..count).map(|n| rsa(0x81 + n)).collect() };
        assert_eq!(
            chosen(&set(&keys(1)).unwrap(), None, Algorithm::Rs256),
            "candidate"
        );
        assert_eq!(
            chosen(&set(&keys(8)).unwrap(), None, Algorithm::Rs256),
            "candidates"
        );
        assert_eq!(
            chosen(&set(&keys(9)).unwrap(), None, Algorithm::Rs256),
            "ambiguous"
        );
        assert_eq!(
            chosen(&set(&keys(9)).unwrap(), None, Algorithm::EdDsa),
            "unknown"
        );
    }

    // KS-15, KS-17
    #[test]
    fn a_document_that_is_no_key_set_is_an_error() {
        for text in [
            "{}",
            "[]",
            "null",
            "<html>",
            "",
            "{\"keys\":{}}",
            "{\"keys\":[]}",
            "{\"keys\":null}",
        ] {
            assert!(JwkSet::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    // KS-17
    #[test]
    fn of_many_keys_a_hundred_usable_ones_are_kept() {
        let named = |n: usize| with(ed25519(), &json!({"kid": format!("k{n}")}));
        let unusable = |n: usize| with(rsa(0xff), &json!({"kid": format!("k{n}"), "use": "enc"}));
        let entries: Vec<_> = (0..300)
            .map(unusable)
            .chain((0..=MAX_KEYS).map(named))
            .collect();
        let many = set(&entries).unwrap();
        assert_eq!(many.len(), MAX_KEYS);
        assert_eq!(chosen(&many, Some("k0"), Algorithm::EdDsa), "one");
        assert_eq!(chosen(&many, Some("k99"), Algorithm::EdDsa), "one");
        assert_eq!(chosen(&many, Some("k100"), Algorithm::EdDsa), "unknown");
        // Repeated ones do not count.
        let repeated: Vec<_> = (0..200).map(|_| named(0)).chain([named(1)]).collect();
        assert_eq!(set(&repeated).unwrap().len(), 2);
    }

    // KS-01
    #[test]
    fn an_entry_that_no_program_can_hold_spoils_nothing() {
        let good = with(rsa(0xff), &json!({"kid": "good"})).to_string();
        let rest = &rsa(0xfe).to_string()[1..];
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        for odd in ["\"\\ud800\"", "1e400", &deep] {
            // What decides about the use of a key must be read.
            for (name, usable) in [
                ("kid", 1),
                ("use", 1),
                ("key_ops", 1),
                ("x5c", 2),
                ("note", 2),
            ] {
                let odd = format!("{{\"{name}\":{odd},{rest}");
                for keys in [format!("{odd},{good}"), format!("{good},{odd}")] {
                    let document = format!("{{\"note\":\"\\udfff\",\"keys\":[{keys}]}}");
                    let set = JwkSet::parse(document.as_bytes()).unwrap();
                    let found = chosen(&set, Some("good"), Algorithm::Rs256);
                    assert_eq!((found, set.len()), ("one", usable), "{name}");
                }
            }
        }
        let latin = [
            br#"{"keys":[{"note":"caf"#,
            &b"\xe9\"},"[..],
            good.as_bytes(),
            b"]}",
        ]
        .concat();
        let set = JwkSet::parse(&latin).unwrap();
        assert_eq!(chosen(&set, Some("good"), Algorithm::Rs256), "one");
    }

    // DI-08
    #[test]
    fn a_key_for_one_issuer_serves_no_other() {
        let issuer = |issuer: &'static str, tenant| TokenIssuer { issuer, tenant };
        let key = with(
            rsa(0xff),
            &json!({"kid": "k", "issuer": "https://id.example/{tenantid}/v2.0"}),
        );
        let set = set(&[key]).unwrap();
        let cases = [
            (issuer("https://id.example/a/v2.0", Some("a")), true),
            (issuer("https://id.example/b/v2.0", Some("a")), false),
            (issuer("https://id.example/a/v2.0", None), false),
            (issuer("https://evil.example/a/v2.0", Some("a")), false),
        ];
        for (issuer, fits) in cases {
            let choice = set.choose(Some("k"), Algorithm::Rs256, &issuer);
            assert_eq!(matches!(choice, Choice::One(_)), fits, "{}", issuer.issuer);
        }
    }

    proptest! {
        // KS-01
        #[test]
        fn no_document_makes_the_parser_panic(document in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = JwkSet::parse(&document);
        }

        // KS-01
        #[test]
        fn no_entry_makes_the_parser_panic(
            kty in "RSA|EC|OKP|oct|x", crv in "P-256|P-384|P-521|Ed25519|X25519|secp256k1|",
            a in "[A-Za-z0-9_-]{0,90}", b in "[A-Za-z0-9_-]{0,90}",
        ) {
            let _ = set(&[json!({"kty": kty, "crv": crv, "n": a, "e": b, "x": a, "y": b, "k": a})]);
        }
    }
}
