//! Ed25519 public keys as tokens show them.

use super::TokenReason;
use crate::keys::PublicKey;

/// The key in an attribute `CKA_EC_POINT`.
///
/// PKCS#11 2.40 wraps it in an octet string (04 20 and the key), as it does with points of other curves; 3.0 and later
/// have the raw 32 octets. Tokens of both sorts are in use.
///
/// # Errors
///
/// [`TokenReason::Point`] for any other form, [`TokenReason::Public`] for a key that must not be trusted.
pub(super) fn public_key(attribute: &[u8]) -> Result<PublicKey, TokenReason> {
    let raw = match attribute {
        [0x04, 0x20, raw @ ..] if raw.len() == 32 => raw,
        raw => raw,
    };
    let raw = raw.try_into().map_err(|_| TokenReason::Point { len: attribute.len() })?;
    Ok(PublicKey::from_bytes(raw)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §7.1, test 2.
    const KEY: [u8; 32] = [
        0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98,
        0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
    ];

    fn code(attribute: &[u8]) -> &'static str {
        match public_key(attribute) {
            Ok(key) if key.to_bytes() == KEY => "ok",
            Ok(_) => "another key",
            Err(reason) => reason.code(),
        }
    }

    #[test]
    fn both_forms_are_the_same_key() {
        assert_eq!(code(&KEY), "ok");
        assert_eq!(code(&[&[0x04, 0x20], &KEY[..]].concat()), "ok");
    }

    #[test]
    fn other_lengths_are_no_key() {
        for len in (0..32).chain(33..80) {
            let mut attribute = [&[0x04, 0x20], &KEY[..], &[0; 48]].concat();
            attribute.truncate(len);
            assert_eq!(code(&attribute), if len == 34 { "ok" } else { "token-point" }, "{len}");
        }
        // Heads of other things, and a bit string.
        assert_eq!(code(&[&[0x03, 0x20], &KEY[..]].concat()), "token-point");
        assert_eq!(code(&[&[0x04, 0x1f], &KEY[..]].concat()), "token-point");
        assert_eq!(code(&[&[0x03, 0x21, 0x00], &KEY[..]].concat()), "token-point");
    }

    #[test]
    fn a_raw_key_may_start_like_a_wrapped_one() {
        let key = (0..=u8::MAX).find_map(|last| {
            let mut raw = [7; 32];
            (raw[0], raw[1], raw[31]) = (0x04, 0x20, last);
            PublicKey::from_bytes(raw).ok()
        });
        let key = key.unwrap();
        assert_eq!(public_key(&key.to_bytes()).unwrap(), key);
    }

    #[test]
    fn weak_keys_are_refused_from_tokens_too() {
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(code(&one), "weak-key");
        one[31] = 0x80;
        assert_eq!(code(&[&[0x04, 0x20], &one[..]].concat()), "weak-key");
    }
}
