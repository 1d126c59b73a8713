//! Ed25519 keys in files: made, loaded, never overwritten.
//!
//! | file | PEM label | read | written |
//! | --- | --- | --- | --- |
//! | private | `PRIVATE KEY` | PKCS#8 v1 (RFC 5208) and v2 (RFC 5958) | v1, as OpenSSL reads it |
//! | private, with passphrase | `ENCRYPTED PRIVATE KEY` | PBES2 (RFC 8018): PBKDF2-SHA-2 or scrypt; AES-CBC, AES-GCM | scrypt, AES-256-CBC |
//! | public | `PUBLIC KEY` | SPKI (RFC 8410) | the same |
//!
//! A key file holds one PEM block and nothing else. Public keys are refused when weak or
//! not canonical, and builds without debug assertions refuse the published
//! [test keys](unsafe_test), private halves included.

mod create;
mod encryption;
mod error;
mod file;
mod pem;
mod secret;
mod spki;
pub mod unsafe_test;

use std::path::Path;

use zeroize::Zeroizing;

pub use create::{CreateError, CreateReason, NewFile, commit};
pub use error::{KeyFileError, LoadError};
pub use file::MAX_KEY_FILE;
pub(crate) use file::read_bounded;
pub use fleetcast_core::trust::{KeyError, KeyId, PublicKey};
pub use secret::{EncodeError, SecretKey};
pub use spki::public_to_pem;

use crate::passphrase::{Passphrase, PassphraseError};
use pem::{Block, Label};

/// A key from a file, and what the reader should know about that file.
#[derive(Debug)]
pub struct Loaded<K> {
    /// The key.
    pub key: K,
    /// To be told on stderr; none of them keeps the key from being used.
    pub warnings: Vec<KeyWarning>,
}

/// Something wrong with a key that can be used all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyWarning {
    /// Other users of the machine may read a private key.
    #[error("private key {path} is open to other users (mode {mode:04o}); run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The key is one of [`unsafe_test::UNSAFE_TEST_KEYS`].
    #[error("{path} is an UNSAFE test key: its private half is published, and release builds refuse it")]
    UnsafeTestKey {
        /// The file.
        path: String,
    },
}

/// Loads a private key; `ask` is called only if the file is encrypted.
///
/// # Errors
///
/// [`KeyFileError`] with the path and any [`LoadError`].
pub fn load_secret(
    path: &Path,
    ask: impl FnOnce() -> Result<Passphrase, PassphraseError>,
) -> Result<Loaded<SecretKey>, KeyFileError> {
    load(
        path,
        |block| match block.label {
            Label::Public => {
                Err(LoadError::Label { found: block.label.text().into(), expected: Label::Private.text() })
            }
            Label::Private | Label::Encrypted => secret_key(&block, ask),
        },
        SecretKey::public,
    )
}

/// Loads a public key that shall be trusted.
///
/// # Errors
///
/// [`KeyFileError`] with the path and any [`LoadError`].
pub fn load_public(path: &Path) -> Result<Loaded<PublicKey>, KeyFileError> {
    load(
        path,
        |block| match block.label {
            Label::Public => spki::public_from_der(&block.der),
            Label::Private | Label::Encrypted => {
                Err(LoadError::Label { found: block.label.text().into(), expected: Label::Public.text() })
            }
        },
        PublicKey::clone,
    )
}

/// Loads the public half of a key, whichever half the file holds; `ask` as in
/// [`load_secret`].
///
/// # Errors
///
/// [`KeyFileError`] with the path and any [`LoadError`].
pub fn load_public_half(
    path: &Path,
    ask: impl FnOnce() -> Result<Passphrase, PassphraseError>,
) -> Result<Loaded<PublicKey>, KeyFileError> {
    load(
        path,
        |block| match block.label {
            Label::Public => spki::public_from_der(&block.der),
            Label::Private | Label::Encrypted => Ok(secret_key(&block, ask)?.public()),
        },
        PublicKey::clone,
    )
}

fn load<K>(
    path: &Path,
    decode: impl FnOnce(Block) -> Result<K, LoadError>,
    public: impl FnOnce(&K) -> PublicKey,
) -> Result<Loaded<K>, KeyFileError> {
    let attempt = || {
        let file = file::read(path)?;
        let block = pem::decode(&file.bytes)?;
        let exposed = file.exposed.filter(|_| block.label != Label::Public);
        let key = decode(block)?;
        let is_test_key = unsafe_test::is_unsafe_test_key(&public(&key).to_bytes());
        refuse_test_key(is_test_key, unsafe_test::REFUSED)?;
        let path = || path.display().to_string();
        let warning = if is_test_key {
            Some(KeyWarning::UnsafeTestKey { path: path() })
        } else {
            exposed.map(|mode| KeyWarning::Exposed { path: path(), mode })
        };
        Ok(Loaded { key, warnings: warning.into_iter().collect() })
    };
    attempt().map_err(|reason| KeyFileError { path: path.into(), reason })
}

fn secret_key(
    block: &Block,
    ask: impl FnOnce() -> Result<Passphrase, PassphraseError>,
) -> Result<SecretKey, LoadError> {
    if block.label == Label::Private {
        return SecretKey::from_der(&block.der);
    }
    let der: Zeroizing<Vec<u8>> = encryption::decrypt(&block.der, ask)?;
    SecretKey::from_der(&der)
}

fn refuse_test_key(is_test_key: bool, refused: bool) -> Result<(), LoadError> {
    if is_test_key && refused {
        return Err(LoadError::UnsafeTestKey);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_test_keys_are_derived_from_their_names() {
        let derived = ["release", "other"].map(|name| {
            let seed = Sha256::digest(format!("fleetcast UNSAFE test {name}"));
            SecretKey::from_seed(&seed.into()).unwrap().public().to_bytes()
        });
        assert_eq!(derived, unsafe_test::UNSAFE_TEST_KEYS);
    }

    #[test]
    fn a_test_key_is_refused_by_release_builds_and_by_no_other() {
        assert!(matches!(refuse_test_key(true, true), Err(LoadError::UnsafeTestKey)));
        assert!(refuse_test_key(true, false).is_ok());
        assert!(refuse_test_key(false, true).is_ok());
        assert_eq!(unsafe_test::REFUSED, !cfg!(debug_assertions));
    }
}
