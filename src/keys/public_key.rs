//! A public key for one algorithm, parsed and checked.

use std::fmt;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};

use crate::jwt::Algorithm;

/// Smaller RSA moduli are unsafe (RFC 7518 §3.3); greater ones are slow and add little.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// RSA exponents in use have at most this many bits. Longer ones only cost time.
const RSA_EXPONENT_BITS: usize = 33;

/// A key that verifies signatures of one algorithm.
pub(crate) struct PublicKey {
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
}

impl PublicKey {
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether both are the same key, perhaps for different algorithms.
    pub(crate) fn is_same_key(&self, other: &Self) -> bool {
        self.parsed.as_ref() == other.parsed.as_ref()
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }

    pub(crate) fn rsa(
        algorithm: Algorithm,
        modulus: &[u8],
        exponent: &[u8],
    ) -> Result<Self, &'static str> {
        let parameters: &'static RsaParameters = match algorithm {
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return Err("an RSA key serves RSA algorithms only"),
        };
        let modulus = without_leading_zeros(modulus);
        let exponent = without_leading_zeros(exponent);
        if !RSA_BITS.contains(&bits(modulus)) {
            return Err("the RSA modulus must have 2048 to 8192 bits");
        }
        let exponent_bits = bits(exponent);
        let is_odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
        if !is_odd || !(2..=RSA_EXPONENT_BITS).contains(&exponent_bits) {
            return Err("the RSA exponent must be odd, at least 3 and at most 33 bits long");
        }
        let components = RsaPublicKeyComponents {
            n: modulus,
            e: exponent,
        };
        let parsed = components
            .to_parsed_public_key(parameters)
            .map_err(|_| "the RSA key is malformed")?;
        Ok(Self { algorithm, parsed })
    }

    pub(crate) fn ec(algorithm: Algorithm, x: &[u8], y: &[u8]) -> Result<Self, &'static str> {
        let (parameters, length) = match algorithm {
            Algorithm::Es256 => (&signature::ECDSA_P256_SHA256_FIXED, 32),
            Algorithm::Es384 => (&signature::ECDSA_P384_SHA384_FIXED, 48),
            Algorithm::Es512 => (&signature::ECDSA_P521_SHA512_FIXED, 66),
            _ => return Err("an EC key serves ECDSA only"),
        };
        if x.len() != length || y.len() != length {
            return Err("the coordinates do not have the length of the curve");
        }
        let point = [&[UNCOMPRESSED], x, y].concat();
        let parsed = ParsedPublicKey::new(parameters, point)
            .map_err(|_| "the point does not lie on the curve")?;
        Ok(Self { algorithm, parsed })
    }

    pub(crate) fn ed25519(x: &[u8]) -> Result<Self, &'static str> {
        let point: [u8; 32] = x.try_into().map_err(|_| "an Ed25519 key has 32 bytes")?;
        if has_low_order(point) {
            return Err("the point has low order: anything would verify");
        }
        let parsed = ParsedPublicKey::new(&signature::ED25519, point)
            .map_err(|_| "the Ed25519 key is malformed")?;
        Ok(Self {
            algorithm: Algorithm::EdDsa,
            parsed,
        })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.algorithm)
    }
}

/// The first byte of a point that is given by both coordinates (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 0x04;

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| {
        number.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(8)
    })
}

/// The y coordinates of the points of order 1, 2, 4 and 8, little-endian, with their unreduced encodings.
/// The sign of x does not matter.
const LOW_ORDER: [[u8; 32]; 7] = {
    const fn all_but_last(fill: u8, first: u8, last: u8) -> [u8; 32] {
        let mut bytes = [fill; 32];
        bytes[0] = first;
        bytes[31] = last;
        bytes
    }
    [
        all_but_last(0x00, 0x00, 0x00),
        all_but_last(0x00, 0x01, 0x00),
        all_but_last(0xff, 0xec, 0x7f),
        all_but_last(0xff, 0xed, 0x7f),
        all_but_last(0xff, 0xee, 0x7f),
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

fn has_low_order(mut point: [u8; 32]) -> bool {
    point[31] &= 0x7f;
    LOW_ORDER.contains(&point)
}

#[cfg(test)]
mod tests {
    use super::*;

    // AL-04
    #[test]
    fn rsa_moduli_of_the_wrong_size_are_unusable() {
        for bytes in [64, 128, 255, 1025, 2048] {
            let mut modulus = vec![0xff; bytes];
            modulus[0] = 0x80;
            assert!(
                PublicKey::rsa(Algorithm::Rs256, &modulus, &[1, 0, 1]).is_err(),
                "{bytes}"
            );
        }
        let mut padded = vec![0; 8];
        padded.extend([0xff; 255]);
        assert!(
            PublicKey::rsa(Algorithm::Rs256, &padded, &[1, 0, 1]).is_err(),
            "2040 bits, padded"
        );
        assert!(PublicKey::rsa(Algorithm::Rs256, &[0xff; 256], &[1, 0, 1]).is_ok());
    }

    // AL-05
    #[test]
    fn rsa_exponents_out_of_range_are_unusable() {
        let modulus = [0xff; 256];
        let long = [0xff; 256];
        let cases: [&[u8]; 6] = [&[], &[0], &[1], &[2], &[0, 0, 1], &long];
        for exponent in cases {
            assert!(
                PublicKey::rsa(Algorithm::Rs256, &modulus, exponent).is_err(),
                "{exponent:?}"
            );
        }
        assert!(PublicKey::rsa(Algorithm::Rs256, &modulus, &[3]).is_ok());
    }

    // AL-07
    #[test]
    fn points_off_the_curve_and_of_the_wrong_length_are_unusable() {
        assert!(PublicKey::ec(Algorithm::Es256, &[1; 32], &[1; 32]).is_err());
        assert!(PublicKey::ec(Algorithm::Es256, &[0; 32], &[0; 32]).is_err());
        assert!(PublicKey::ec(Algorithm::Es256, &[1; 31], &[1; 32]).is_err());
        assert!(PublicKey::ec(Algorithm::Es384, &[1; 32], &[1; 32]).is_err());
        assert!(PublicKey::ec(Algorithm::Rs256, &[1; 32], &[1; 32]).is_err());
    }

    // AL-10
    #[test]
    fn low_order_points_are_unusable() {
        for mut point in LOW_ORDER {
            assert!(PublicKey::ed25519(&point).is_err());
            point[31] |= 0x80;
            assert!(PublicKey::ed25519(&point).is_err());
        }
        assert!(PublicKey::ed25519(&[7; 31]).is_err());
    }
}
