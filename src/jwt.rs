//! A compact JWT taken apart, nothing believed.
//!
//! Everything here is about form: three segments of strict base64url, two JSON objects in UTF-8
//! without a member twice. What the members say is judged in `verify`.

use std::borrow::Cow;
use std::fmt;

use base64_simd::{Out, URL_SAFE_NO_PAD};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{VerifyError, VerifyErrorKind};

/// The JWS signature algorithms the crate can be told to accept (RFC 7518 §3.1, RFC 8037,
/// RFC 9864). `none` and the symmetric ones are not among them and cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519, under the name `EdDSA` as under `Ed25519`.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm there is.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// Those accepted unless others are named: RS256, PS256, ES256, ES384 and EdDSA.
    pub const DEFAULT: [Self; 5] = [
        Self::Rs256,
        Self::Ps256,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The algorithm of a JOSE `alg` value. Compared with regard to case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// The JOSE name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A set of algorithms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct AlgorithmSet(u16);

impl AlgorithmSet {
    pub(crate) fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & (1 << algorithm as u16) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL
            .into_iter()
            .filter(move |algorithm| self.contains(*algorithm))
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(
            algorithms
                .into_iter()
                .fold(0, |set, algorithm| set | 1 << algorithm as u16),
        )
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

/// JOSE headers over this size are refused before they are decoded.
const MAX_HEADER: usize = 8 * 1024;

/// The longest signature, encoded: RSA with 8192 bits.
const MAX_SIGNATURE: usize = 1366;

/// A token of three segments (RFC 7515 §7.1), not decoded yet.
#[derive(Clone, Copy)]
pub(crate) struct CompactJws<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
    signing_input: &'a [u8],
}

impl<'a> CompactJws<'a> {
    pub(crate) fn split(token: &'a [u8]) -> Result<Self, VerifyErrorKind> {
        let mut dots = memchr::memchr_iter(b'.', token);
        match (dots.next(), dots.next(), dots.next()) {
            (Some(first), Some(second), None) => Ok(Self {
                header: &token[..first],
                payload: &token[first + 1..second],
                signature: &token[second + 1..],
                signing_input: &token[..second],
            }),
            // Three dots seen and one left make five segments.
            (Some(first), _, Some(_)) if dots.count() == 1 && is_jwe_header(&token[..first]) => {
                Err(VerifyErrorKind::Encrypted)
            }
            _ => Err(VerifyErrorKind::Opaque),
        }
    }

    /// Decodes header and payload and checks the signature's form, strictly: no padding, no white
    /// space, no spare bits (RFC 7515 §2).
    pub(crate) fn decode(&self) -> Result<DecodedJws<'a>, VerifyErrorKind> {
        if self.header.len() > MAX_HEADER / 3 * 4 {
            return Err(VerifyErrorKind::TooLarge);
        }
        let mut text = Vec::with_capacity((self.header.len() + self.payload.len()) / 4 * 3 + 6);
        let header_length = append(&mut text, self.header)
            .filter(|_| text.first() == Some(&b'{'))
            // Not even the beginning of a header: the dots of an opaque token.
            .ok_or(VerifyErrorKind::Opaque)?;
        append(&mut text, self.payload).ok_or(VerifyErrorKind::NotAJwt)?;
        let text = String::from_utf8(text).map_err(|_| VerifyErrorKind::NotAJwt)?;
        // The two parts must each be UTF-8, not only their sum.
        let is_whole = text.is_char_boundary(header_length)
            && (1..=MAX_SIGNATURE).contains(&self.signature.len())
            && URL_SAFE_NO_PAD.check(self.signature).is_ok();
        if !is_whole {
            return Err(VerifyErrorKind::NotAJwt);
        }
        Ok(DecodedJws {
            signing_input: self.signing_input,
            text,
            header_length,
            signature: self.signature,
        })
    }
}

fn append(text: &mut Vec<u8>, segment: &[u8]) -> Option<usize> {
    URL_SAFE_NO_PAD.decode_append(segment, text).ok()?;
    Some(text.len())
}

fn is_jwe_header(segment: &[u8]) -> bool {
    let mut text = Vec::new();
    segment.len() <= MAX_HEADER
        && append(&mut text, segment).is_some()
        && std::str::from_utf8(&text)
            .is_ok_and(|text| JoseHeader::parse(text).is_ok_and(|header| header.enc))
}

/// Header and payload decoded, in one buffer.
pub(crate) struct DecodedJws<'a> {
    pub(crate) signing_input: &'a [u8],
    text: String,
    header_length: usize,
    signature: &'a [u8],
}

impl DecodedJws<'_> {
    pub(crate) fn header(&self) -> &str {
        &self.text[..self.header_length]
    }

    pub(crate) fn payload(&self) -> &str {
        &self.text[self.header_length..]
    }

    /// The signature, decoded only when it is needed.
    pub(crate) fn signature(&self) -> Result<Signature, VerifyErrorKind> {
        let mut bytes = [0; MAX_SIGNATURE];
        let length = URL_SAFE_NO_PAD
            .decode(self.signature, Out::from_slice(&mut bytes))
            .map_err(|_| VerifyErrorKind::NotAJwt)?
            .len();
        Ok(Signature { bytes, length })
    }

    /// Gives up the buffer, and where in it the payload begins.
    pub(crate) fn into_text(self) -> (String, usize) {
        (self.text, self.header_length)
    }
}

/// The bytes of a signature.
pub(crate) struct Signature {
    bytes: [u8; MAX_SIGNATURE],
    length: usize,
}

impl Signature {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A JSON value as far as registered members need it: nothing nested but arrays of strings.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Json<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Unsigned(u64),
    Float(f64),
    /// An array of nothing but strings.
    Texts(Vec<Cow<'a, str>>),
    /// Anything else: null, a truth value, a negative whole number, an object, a mixed array.
    Other,
}

impl<'a> Json<'a> {
    pub(crate) fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads one value. Arrays are looked into one level deep; what lies below is passed over without
/// recursion.
struct JsonSeed {
    in_array: bool,
}

impl<'de> DeserializeSeed<'de> for JsonSeed {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonSeed {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(u64::try_from(number).map_or(Json::Other, Json::Unsigned))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json<'de>, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        if self.in_array {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Json::Other);
        }
        let mut texts = Some(Vec::new());
        while let Some(item) = items.next_element_seed(Self { in_array: true })? {
            match (&mut texts, item) {
                (Some(texts), Json::Text(text)) => texts.push(text),
                _ => texts = None,
            }
        }
        Ok(texts.map_or(Json::Other, Json::Texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Json::Other)
    }
}

/// What has a place for some members of an object.
trait Members<'de> {
    fn place(&mut self, name: &str) -> Place<'_, 'de>;
}

/// What is kept of a member.
enum Place<'a, 'de> {
    Value(&'a mut Json<'de>),
    /// That it is there, whatever it says.
    Presence(&'a mut bool),
    Nothing,
}

/// Why an object could not be read.
enum ObjectError {
    NotAnObject,
    Duplicate,
}

/// Reads one JSON object into `members`, refusing a member that stands there twice, known or not.
fn read_object<'de>(text: &'de str, members: &mut impl Members<'de>) -> Result<(), ObjectError> {
    let mut object = ObjectVisitor {
        members,
        others: Vec::new(),
        duplicate: false,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer
        .deserialize_map(&mut object)
        .and_then(|()| deserializer.end())
        .map_err(|_| ObjectError::NotAnObject)?;
    let ObjectVisitor {
        mut others,
        mut duplicate,
        ..
    } = object;
    others.sort_unstable();
    duplicate |= others.windows(2).any(|pair| pair[0] == pair[1]);
    if duplicate {
        return Err(ObjectError::Duplicate);
    }
    Ok(())
}

struct ObjectVisitor<'a, 'de, M> {
    members: &'a mut M,
    others: Vec<Cow<'de, str>>,
    duplicate: bool,
}

impl<'de, M: Members<'de>> Visitor<'de> for &mut ObjectVisitor<'_, 'de, M> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(NameSeed)? {
            match self.members.place(&name) {
                Place::Value(value) => {
                    self.duplicate |= value.is_present();
                    *value = map.next_value_seed(JsonSeed { in_array: false })?;
                    continue;
                }
                Place::Presence(is_present) => *is_present = true,
                Place::Nothing => {}
            }
            map.next_value::<IgnoredAny>()?;
            self.others.push(name);
        }
        Ok(())
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

macro_rules! members {
    ($(#[$meta:meta])* $name:ident { values: $($value:ident),+; presence: $($presence:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(crate) struct $name<'a> {
            $(pub(crate) $value: Json<'a>,)+
            $(pub(crate) $presence: bool,)+
        }

        impl<'de> Members<'de> for $name<'de> {
            fn place(&mut self, name: &str) -> Place<'_, 'de> {
                match name {
                    $(stringify!($value) => Place::Value(&mut self.$value),)+
                    $(stringify!($presence) => Place::Presence(&mut self.$presence),)+
                    _ => Place::Nothing,
                }
            }
        }
    };
}

members! {
    /// The header members that decide something (RFC 7515 §4.1). `jwk`, `jku`, `x5u`, `x5c` and
    /// `x5t` have no place here: they never select or fetch a key.
    JoseHeader {
        values: alg, kid, typ, cty;
        presence: crit, enc
    }
}

impl<'a> JoseHeader<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, VerifyError> {
        let mut header = Self::default();
        read_object(text, &mut header).map_err(|_| VerifyError::new(VerifyErrorKind::NotAJwt))?;
        Ok(header)
    }
}

members! {
    /// The claims that decide something (RFC 7519 §4.1, RFC 9068 §2.2), unverified, and those
    /// whose presence alone tells another kind of token.
    UnverifiedClaims {
        values: iss, sub, aud, exp, nbf, iat, jti, client_id, azp, scope, scp, tid;
        presence: cnf, nonce, at_hash, c_hash, events, htm, htu, token_introspection
    }
}

impl<'a> UnverifiedClaims<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, VerifyError> {
        let mut claims = Self::default();
        match read_object(text, &mut claims) {
            Ok(()) => Ok(claims),
            Err(ObjectError::NotAnObject) => Err(VerifyErrorKind::NotAJwt.into()),
            Err(ObjectError::Duplicate) => Err(VerifyErrorKind::InvalidClaim.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    fn encode(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn shape(token: &str) -> Result<(), VerifyErrorKind> {
        CompactJws::split(token.as_bytes())?
            .decode()?
            .signature()
            .map(|_| ())
    }

    #[test]
    fn js_01_only_three_segments_are_a_token() {
        let header = encode(r#"{"alg":"RS256"}"#);
        let jwe = encode(r#"{"alg":"dir","enc":"A256GCM"}"#);
        let cases = [
            (
                "one segment",
                "abc".to_owned(),
                Err(VerifyErrorKind::Opaque),
            ),
            ("two", format!("{header}.e30"), Err(VerifyErrorKind::Opaque)),
            ("three", format!("{header}.e30.AA"), Ok(())),
            (
                "four",
                format!("{header}.e30.AA.AA"),
                Err(VerifyErrorKind::Opaque),
            ),
            (
                "five, encrypted",
                format!("{jwe}..AA.AA.AA"),
                Err(VerifyErrorKind::Encrypted),
            ),
            (
                "five, signed",
                format!("{header}.e30.AA.AA.AA"),
                Err(VerifyErrorKind::Opaque),
            ),
            (
                "six",
                format!("{jwe}..AA.AA.AA.AA"),
                Err(VerifyErrorKind::Opaque),
            ),
            (
                "no header",
                ".e30.AA".to_owned(),
                Err(VerifyErrorKind::Opaque),
            ),
            (
                "no signature",
                format!("{header}.e30."),
                Err(VerifyErrorKind::NotAJwt),
            ),
            (
                "an opaque token with four dots",
                "a.b.c.d.e".to_owned(),
                Err(VerifyErrorKind::Opaque),
            ),
            ("dots only", "..".to_owned(), Err(VerifyErrorKind::Opaque)),
            ("empty", String::new(), Err(VerifyErrorKind::Opaque)),
            (
                "opaque with two dots",
                "ya29.a0.bb".to_owned(),
                Err(VerifyErrorKind::Opaque),
            ),
        ];
        for (name, token, expected) in cases {
            assert_eq!(shape(&token), expected, "{name}");
        }
    }

    #[test]
    fn js_02_base64url_is_strict() {
        let header = encode(r#"{"alg":"RS256"}"#);
        for signature in ["AA==", "A A", "A+", "A/", "AB", "A", "A\n"] {
            let token = format!("{header}.e30.{signature}");
            assert_eq!(
                shape(&token),
                Err(VerifyErrorKind::NotAJwt),
                "{signature:?}"
            );
        }
    }

    #[test]
    fn js_03_header_and_claims_are_objects() {
        for text in [
            "[]",
            "1",
            "null",
            "\"a\"",
            "",
            "{} x",
            "{}{}",
            "\u{feff}{}",
            "[\"iss\",\"sub\"]",
            "{\"a\":1,}",
            "{\"alg\":1e999,\"exp\":1e999}",
        ] {
            assert!(JoseHeader::parse(text).is_err(), "{text}");
            assert!(UnverifiedClaims::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn js_04_and_js_05_no_member_stands_twice() {
        for text in [
            r#"{"alg":"RS256","alg":"none"}"#,
            r#"{"alg":"RS256","\u0061lg":"none"}"#,
            r#"{"x":1,"y":2,"x":3}"#,
            r#"{"crit":null,"crit":["b64"]}"#,
        ] {
            assert!(JoseHeader::parse(text).is_err(), "{text}");
        }
        for text in [
            r#"{"sub":"a","sub":"b"}"#,
            r#"{"role":"a","rol\u0065":"b"}"#,
        ] {
            let error = UnverifiedClaims::parse(text).unwrap_err();
            assert_eq!(error.kind(), VerifyErrorKind::InvalidClaim, "{text}");
        }
    }

    #[test]
    fn js_16_nesting_is_passed_over_without_recursion() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{{\"x\":{}1{}}}", open.repeat(5_000), close.repeat(5_000));
            assert!(UnverifiedClaims::parse(&deep).is_ok());
            let deep = format!("{{\"aud\":{}1{}}}", open.repeat(5_000), close.repeat(5_000));
            let _ =
                UnverifiedClaims::parse(&deep).map(|claims| assert_eq!(claims.aud, Json::Other));
        }
    }

    #[test]
    fn al_11_both_names_of_ed25519_are_one_algorithm() {
        assert_eq!(Algorithm::from_name("EdDSA"), Some(Algorithm::EdDsa));
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
        for name in [
            "none", "nOnE", "HS256", "rs256", "RS256 ", "", "ES256K", "Ed448",
        ] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn js_16_no_text_makes_the_parser_panic(token in "\\PC*") {
            let _ = shape(&token);
        }

        #[test]
        fn js_16_no_segments_make_the_parser_panic(
            header in "[ -~]{0,40}", payload in "\\PC{0,40}", signature in proptest::collection::vec(any::<u8>(), 0..80)
        ) {
            let token = format!("{}.{}.{}", encode(&format!("{{{header}")), encode(&payload), URL_SAFE_NO_PAD.encode(signature));
            if let Ok(decoded) = CompactJws::split(token.as_bytes()).and_then(|jws| jws.decode()) {
                let _ = JoseHeader::parse(decoded.header());
                let _ = UnverifiedClaims::parse(decoded.payload());
                prop_assert_eq!(decoded.payload(), payload);
            }
        }

        #[test]
        fn js_05_a_repeated_name_is_always_found(names in proptest::collection::vec("[a-z]{1,8}", 1..20), at in any::<prop::sample::Index>()) {
            let twice = at.get(&names).clone();
            let members: Vec<_> = names.iter().chain([&twice]).map(|name| format!("\"{name}\":0")).collect();
            let text = format!("{{{}}}", members.join(","));
            prop_assert!(UnverifiedClaims::parse(&text).is_err());
        }
    }
}
