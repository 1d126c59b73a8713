//! Public keys as SPKI (RFC 8410 §4), and the names of algorithms that are not Ed25519.

use spki::der::Decode;
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::{LoadError, PublicKey};

/// Ed25519, without parameters (RFC 8410 §3).
pub const ED25519: AlgorithmIdentifierRef<'static> =
    AlgorithmIdentifierRef { oid: ObjectIdentifier::new_unwrap("1.3.101.112"), parameters: None };

/// Decodes a public key.
///
/// # Errors
///
/// [`LoadError`] if it is damaged, of another algorithm or must not be trusted.
pub fn public_from_der(der: &[u8]) -> Result<PublicKey, LoadError> {
    let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(LoadError::Asn1)?;
    check_algorithm(&spki.algorithm)?;
    let raw = spki
        .subject_public_key
        .as_bytes()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(LoadError::Malformed { what: "a public key has 32 bytes" })?;
    Ok(PublicKey::from_bytes(raw)?)
}

/// Whether this is Ed25519 as RFC 8410 has it.
///
/// # Errors
///
/// [`LoadError::Algorithm`] with the name of another one, [`LoadError::Malformed`] for parameters.
pub fn check_algorithm(found: &AlgorithmIdentifierRef<'_>) -> Result<(), LoadError> {
    if found.oid != ED25519.oid {
        return Err(LoadError::Algorithm { found: algorithm_name(found.oid) });
    }
    if found.parameters.is_some() {
        return Err(LoadError::Malformed { what: "Ed25519 has no parameters" });
    }
    Ok(())
}

/// The usual name of a public-key algorithm, or its object identifier.
fn algorithm_name(oid: ObjectIdentifier) -> String {
    let dotted = oid.to_string();
    let name = match dotted.as_str() {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.10045.2.1" => "EC",
        "1.2.840.10040.4.1" => "DSA",
        "1.2.840.113549.1.3.1" | "1.2.840.10046.2.1" => "DH",
        "1.3.101.110" => "X25519",
        "1.3.101.111" => "X448",
        "1.3.101.113" => "Ed448",
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
        _ => return format!("algorithm {dotted}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SubjectPublicKeyInfo` of 32 bytes of key.
    fn spki(raw: [u8; 32]) -> Vec<u8> {
        let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        [&head[..], &raw].concat()
    }

    fn code(der: &[u8]) -> &'static str {
        public_from_der(der).map_or_else(|error| error.code(), |_| "ok")
    }

    #[test]
    fn weak_keys_are_refused_in_files_too() {
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(code(&spki(one)), "weak-key");
        assert_eq!(code(&spki([0; 32])), "weak-key");
        let mut three_plus_prime = [0xff; 32];
        three_plus_prime[0] = 0xf0;
        three_plus_prime[31] = 0x7f;
        assert_eq!(code(&spki(three_plus_prime)), "not-canonical");
        one[0] = 2;
        assert_eq!(code(&spki(one)), "not-a-point");
        assert_eq!(code(&spki(crate::keys::unsafe_test::UNSAFE_TEST_KEYS[0])), "ok");
    }

    #[test]
    fn one_deviation_is_enough_to_refuse() {
        let good = spki(crate::keys::unsafe_test::UNSAFE_TEST_KEYS[0]);
        let with = |at: usize, byte: u8| {
            let mut der = good.clone();
            der[at] = byte;
            der
        };
        assert_eq!(code(&with(8, 0x6e)), "key-algorithm");
        assert_eq!(code(&with(11, 0x01)), "key-malformed", "255 bits are no key");
        assert_eq!(code(&good[..43]), "key-asn1");
        assert_eq!(code(&[&good[..], &[0]].concat()), "key-asn1");
        let null = [&[0x30, 0x2c, 0x30, 0x07], &good[4..9], &[0x05, 0x00], &good[9..]].concat();
        assert_eq!(code(&null), "key-malformed");
        let short = [&[0x30, 0x29], &good[2..10], &[0x20], &good[11..43]].concat();
        assert_eq!(code(&short), "key-malformed");
    }
}
