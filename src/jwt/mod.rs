//! A compact JWT, taken apart and not verified.
//!
//! This is about its form: three segments of strict base64url, two JSON objects in UTF-8 without a member
//! twice. `verify` judges what the members say.

mod algorithm;
mod object;

use base64_simd::{Out, URL_SAFE_NO_PAD};

pub use self::algorithm::Algorithm;
pub(crate) use self::algorithm::AlgorithmSet;
pub(crate) use self::object::{Json, Presence};
use self::object::{Members, ObjectError, Others, Place, read_object};
use crate::error::{VerifyError, VerifyErrorKind};

/// Longer JOSE headers are refused before they are decoded.
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
            // Three dots were read. One more makes five segments.
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
            // Not the beginning of a header, so the dots are those of an opaque token.
            .ok_or(VerifyErrorKind::Opaque)?;
        append(&mut text, self.payload).ok_or(VerifyErrorKind::NotAJwt)?;
        let text = String::from_utf8(text).map_err(|_| VerifyErrorKind::NotAJwt)?;
        // Each part must be UTF-8 by itself, not only both together.
        let is_whole = text.is_char_boundary(header_length)
            && (1..=MAX_SIGNATURE).contains(&self.signature.len())
            && URL_SAFE_NO_PAD.check(self.signature).is_ok();
        if !is_whole {
            return Err(VerifyErrorKind::NotAJwt);
        }
        Ok(DecodedJws {
            signing_input: self.signing_input,
            text: DecodedText {
                text,
                header_length,
            },
            signature: self.signature,
        })
    }
}

fn append(text: &mut Vec<u8>, segment: &[u8]) -> Option<usize> {
    URL_SAFE_NO_PAD.decode_append(segment, text).ok()?;
    Some(text.len())
}

/// The compact form of a header and claims, signed by `sign`
/// ([RFC 7515 §7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)).
#[cfg(any(feature = "client", feature = "testing"))]
pub(crate) fn sign_compact<E>(
    header: &[u8],
    claims: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    let mut token = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&encode(&signature));
    Ok(token)
}

fn is_jwe_header(segment: &[u8]) -> bool {
    let mut text = Vec::new();
    segment.len() <= MAX_HEADER
        && append(&mut text, segment).is_some()
        && std::str::from_utf8(&text).is_ok_and(|text| {
            JoseHeader::parse(text).is_ok_and(|header| header.enc != Presence::Absent)
        })
}

/// A token whose header and payload are decoded.
pub(crate) struct DecodedJws<'a> {
    pub(crate) signing_input: &'a [u8],
    text: DecodedText,
    signature: &'a [u8],
}

/// What a token is at first sight.
#[cfg(feature = "introspection")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An encoded JSON object, and two dots.
    Jws,
    /// It begins like a JWT, and has more dots. Some readers pass over what follows the third part, so that one JWT
    /// would be any number of tokens, and none of them verified here.
    Overlong,
    /// Anything else, a JWE included.
    Other,
}

#[cfg(feature = "introspection")]
impl Form {
    pub(crate) fn of(token: &[u8]) -> Self {
        // An opening brace, then a quotation mark or white space.
        if !matches!(token, [b'e', b'y' | b'w', ..]) {
            return Self::Other;
        }
        match memchr::memchr_iter(b'.', token).count() {
            0 | 1 => Self::Other,
            2 => Self::Jws,
            // Its last part is never empty (RFC 7516 §3.1).
            4 if token.last() != Some(&b'.') => Self::Other,
            _ => Self::Overlong,
        }
    }
}

/// Header and payload, decoded, in one buffer.
pub(crate) struct DecodedText {
    text: String,
    header_length: usize,
}

impl DecodedText {
    /// Claims that came without a header.
    #[cfg(feature = "introspection")]
    pub(crate) fn of_claims(text: String) -> Self {
        Self {
            text,
            header_length: 0,
        }
    }

    pub(crate) fn header(&self) -> &str {
        &self.text[..self.header_length]
    }

    pub(crate) fn payload(&self) -> &str {
        &self.text[self.header_length..]
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }
}

impl DecodedJws<'_> {
    pub(crate) fn header(&self) -> &str {
        self.text.header()
    }

    pub(crate) fn payload(&self) -> &str {
        self.text.payload()
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

    pub(crate) fn into_text(self) -> DecodedText {
        self.text
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

macro_rules! members {
    ($(#[$meta:meta])* $name:ident { values: $($value:ident),+; presence: $($presence:ident),+; others: $others:literal }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(crate) struct $name<'a> {
            $(pub(crate) $value: Json<'a>,)+
            $(pub(crate) $presence: Presence,)+
        }

        impl<'de> Members<'de> for $name<'de> {
            const USUAL_OTHERS: usize = $others;

            fn place(&mut self, name: &str) -> Place<'_, 'de> {
                match name {
                    $(stringify!($value) => Place::Value(&mut self.$value),)+
                    $(stringify!($presence) => Place::Presence(&mut self.$presence),)+
                    _ => Place::Nothing,
                }
            }

            fn known_name(name: &str) -> Option<&'static str> {
                match name {
                    $(stringify!($value) => Some(stringify!($value)),)+
                    $(stringify!($presence) => Some(stringify!($presence)),)+
                    _ => None,
                }
            }
        }
    };
}

members! {
    /// The header members that are checked (RFC 7515 §4.1). `jwk`, `jku`, `x5u`, `x5c` and `x5t` are not
    /// among them, because they never select or fetch a key.
    JoseHeader {
        values: alg, kid, typ, cty;
        presence: crit, enc;
        others: 0
    }
}

impl<'a> JoseHeader<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, VerifyError> {
        let mut header = Self::default();
        read_object(text, &mut header, Others::Read)
            .map_err(|_| VerifyError::new(VerifyErrorKind::NotAJwt))?;
        Ok(header)
    }
}

members! {
    /// The claims that are checked (RFC 7519 §4.1, RFC 9068 §2.2), not verified yet, and those whose presence
    /// alone marks another kind of token.
    UnverifiedClaims {
        values: iss, sub, aud, exp, nbf, iat, jti, client_id, scope, scp, tid, typ;
        presence: cnf, nonce, at_hash, c_hash, s_hash, events, htm, htu, token_introspection;
        others: 8
    }
}

members! {
    /// The claims that tell which client a token was issued to, whether the caller is that client, and which session
    /// of the provider it belongs to. They are read of a token whose signature is good.
    CallerClaims {
        values: sub, client_id, azp, cid, appid, gty, idtyp, oid, preferred_username, sid;
        presence: scp;
        others: 16
    }
}

impl<'a> CallerClaims<'a> {
    /// Reads the whole text to its end.
    ///
    /// # Errors
    /// If some JSON reader could not read it.
    pub(crate) fn parse(text: &'a str) -> Result<Self, VerifyError> {
        let mut claims = Self::default();
        read_object(text, &mut claims, Others::Read)
            .map_err(|_| VerifyError::new(VerifyErrorKind::NotAJwt))?;
        Ok(claims)
    }
}

impl<'a> UnverifiedClaims<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, VerifyError> {
        let mut claims = Self::default();
        match read_object(text, &mut claims, Others::Skipped) {
            Ok(has_null) => {
                if has_null {
                    claims.forget_nulls();
                }
                Ok(claims)
            }
            Err(ObjectError::NotAnObject) => Err(VerifyErrorKind::NotAJwt.into()),
            // A name that is not known here is not repeated: the sender may have chosen it.
            Err(ObjectError::Duplicate(known)) => Err(VerifyError::claim(
                VerifyErrorKind::InvalidClaim,
                known.unwrap_or("a claim that stands twice"),
            )),
        }
    }

    /// A claim that is null counts as absent. Only where a claim decides for whom, from whom and until
    /// when a token is good is a null kept, and refused: `iss`, `sub`, `aud`, `exp`, `nbf`, `iat`, `cnf`.
    fn forget_nulls(&mut self) {
        for claim in [
            &mut self.jti,
            &mut self.client_id,
            &mut self.scope,
            &mut self.scp,
            &mut self.tid,
            &mut self.typ,
        ] {
            claim.without_null();
        }
        for mark in [
            &mut self.nonce,
            &mut self.at_hash,
            &mut self.c_hash,
            &mut self.s_hash,
            &mut self.events,
            &mut self.htm,
            &mut self.htu,
            &mut self.token_introspection,
        ] {
            if *mark == Presence::Null {
                *mark = Presence::Absent;
            }
        }
    }
}

#[cfg(test)]
mod tests;
