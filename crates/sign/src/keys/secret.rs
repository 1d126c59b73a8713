//! The private key: in memory wiped on drop, in files as PKCS#8 v1.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use fleetcast_cli::keys::pem::Label;
use fleetcast_cli::keys::spki::{ED25519, check_algorithm};
use pkcs8::der::{self, Decode, asn1::OctetStringRef, pem::LineEnding};
use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use super::{KeyError, LoadError, PublicKey, SecretError, encryption};
use crate::passphrase::Passphrase;

/// Why a key could not be made or encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// The key's public half must not be trusted.
    #[error("the new key must not be trusted")]
    Public(#[from] KeyError),
    /// The encoder failed.
    #[error("cannot encode the key")]
    Encode(#[from] der::Error),
    /// Encrypting it failed.
    #[error("cannot encrypt the key")]
    Encrypt(#[from] pkcs8::Error),
}

impl EncodeError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Random(_) => "key-random",
            Self::Public(error) => error.code(),
            Self::Encode(_) => "key-encode",
            Self::Encrypt(_) => "key-encrypt",
        }
    }
}

/// An Ed25519 private key (RFC 8032 §5.1.5). Its memory is wiped when it is dropped.
pub struct SecretKey {
    key: SigningKey,
    public: PublicKey,
}

impl SecretKey {
    /// A new key from the random numbers of the operating system.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Random`] if there are none.
    pub fn generate() -> Result<Self, EncodeError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice())?;
        Ok(Self::from_seed(&seed)?)
    }

    /// The key that a seed of 32 bytes stands for; the seed is all of the secret.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if its public half must not be trusted. No seed is known to cause that:
    /// a clamped scalar is no multiple of the group's order.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey::from_bytes(key.verifying_key().to_bytes())?;
        Ok(Self { key, public })
    }

    /// Signs `message`; the same message always gets the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// The key as an unencrypted PEM file (PKCS#8 v1).
    ///
    /// # Errors
    ///
    /// [`EncodeError::Encode`], which no key is known to cause.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, EncodeError> {
        self.with_info(|info| {
            let der = SecretDocument::encode_msg(info)?;
            Ok(der.to_pem(Label::Private.text(), LineEnding::LF)?)
        })
    }

    /// The key as a PEM file that only `passphrase` opens.
    ///
    /// PKCS#8 v1 in PBES2 with scrypt (N = 2^14, r = 8, p = 5) and AES-256-CBC: OpenSSL
    /// 3.0 reads no larger N, and p makes up for it as OWASP's password storage guide has
    /// it. Salt and IV are new each time.
    ///
    /// # Errors
    ///
    /// Any [`EncodeError`].
    pub fn to_encrypted_pem(&self, passphrase: &Passphrase) -> Result<Zeroizing<String>, EncodeError> {
        let parameters = encryption::parameters()?;
        self.with_info(|info| {
            let der = info.encrypt_with_params(parameters, passphrase.as_bytes())?;
            Ok(der.to_pem(Label::Encrypted.text(), LineEnding::LF)?)
        })
    }

    /// Decodes PKCS#8, v1 or v2 (RFC 5208, RFC 5958, RFC 8410 §7).
    pub(super) fn from_der(der: &[u8]) -> Result<Self, SecretError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(LoadError::Asn1)?;
        check_algorithm(&info.algorithm)?;
        // The key is an octet string inside the octet string.
        let [0x04, 0x20, seed @ ..] = info.private_key.as_bytes() else {
            return Err(LoadError::Malformed { what: "a private key is an octet string of 32 bytes" }.into());
        };
        let seed = seed.try_into().map_err(|_| LoadError::Malformed { what: "a private key has 32 bytes" })?;
        let key = Self::from_seed(seed)?;
        match info.public_key {
            Some(bits) if bits.as_bytes() != Some(key.public().to_bytes().as_slice()) => Err(SecretError::Mismatch),
            _ => Ok(key),
        }
    }

    fn with_info<T>(
        &self,
        encode: impl FnOnce(&PrivateKeyInfoRef<'_>) -> Result<T, EncodeError>,
    ) -> Result<T, EncodeError> {
        let mut octets = Zeroizing::new([0; 34]);
        if let Some((head, seed)) = octets.split_first_chunk_mut::<2>() {
            *head = [0x04, 0x20];
            seed.copy_from_slice(self.key.as_bytes());
        }
        encode(&PrivateKeyInfoRef::new(ED25519, OctetStringRef::new(octets.as_slice())?))
    }
}

impl fmt::Debug for SecretKey {
    /// Shows which key it is and nothing secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public.key_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §7.1, test 2.
    const SEED: [u8; 32] = [
        0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a,
        0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb,
    ];
    const PUBLIC: [u8; 32] = [
        0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98,
        0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
    ];

    fn v1() -> Vec<u8> {
        let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        [&head[..], &SEED].concat()
    }

    fn v2(public: [u8; 32]) -> Vec<u8> {
        let mut der = v1();
        der[1] += 35;
        der[4] = 1;
        der.extend([0x81, 0x21, 0x00]);
        der.extend(public);
        der
    }

    fn code(der: &[u8]) -> &'static str {
        SecretKey::from_der(der).map_or_else(|error| error.code(), |_| "ok")
    }

    #[test]
    fn a_key_signs_as_rfc_8032_says() {
        let key = SecretKey::from_seed(&SEED).unwrap();
        assert_eq!(key.public().to_bytes(), PUBLIC);
        assert_eq!(key.sign(&[0x72])[..8], [0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8],);
    }

    #[test]
    fn both_versions_are_read_and_v1_is_written() {
        assert_eq!(SecretKey::from_der(&v1()).unwrap().public().to_bytes(), PUBLIC);
        assert_eq!(SecretKey::from_der(&v2(PUBLIC)).unwrap().public().to_bytes(), PUBLIC);
        let text = SecretKey::from_seed(&SEED).unwrap().to_pem().unwrap();
        assert_eq!(*fleetcast_cli::keys::pem::decode(text.as_bytes()).unwrap().der, v1());
    }

    #[test]
    fn a_public_half_of_another_key_is_refused() {
        let mut other = PUBLIC;
        other[0] ^= 1;
        assert_eq!(code(&v2(other)), "key-mismatch");
    }

    #[test]
    fn one_deviation_is_enough_to_refuse() {
        let with = |at: usize, byte: u8| {
            let mut der = v1();
            der[at] = byte;
            der
        };
        assert_eq!(code(&with(11, 0x6e)), "key-algorithm", "X25519");
        assert_eq!(code(&with(4, 1)), "key-asn1", "v2 without a public half");
        assert_eq!(code(&with(4, 2)), "key-asn1", "a version from the future");
        assert_eq!(code(&with(14, 0x03)), "key-malformed");
        assert_eq!(code(&with(15, 0x1f)), "key-malformed");
        assert_eq!(code(&v1()[..47]), "key-asn1");
        assert_eq!(code(&[&v1()[..], &[0]].concat()), "key-asn1");
        let short = [&[0x30, 0x2d], &v1()[2..13], &[0x21, 0x04, 0x20], &SEED[..31]].concat();
        assert_eq!(code(&short), "key-malformed");
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let key = SecretKey::from_seed(&SEED).unwrap();
        assert_eq!(format!("{key:?}"), format!("SecretKey({})", key.public().key_id()));
    }

    #[test]
    fn two_generated_keys_differ() {
        let ids = [(); 2].map(|()| SecretKey::generate().unwrap().public().key_id());
        assert_ne!(ids[0], ids[1]);
    }
}
