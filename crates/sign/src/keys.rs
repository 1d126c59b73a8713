//! Ed25519 keys in files: made, loaded, never overwritten. The public half is `fleetcast_cli::keys`.
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
mod secret;
mod spki;

use std::path::Path;

use fleetcast_cli::keys::pem::{Block, Label};
use fleetcast_cli::keys::spki::public_from_der;
use zeroize::Zeroizing;

pub use create::{CreateError, CreateReason, NewFile, commit};
pub use error::{SecretError, SecretFileError};
pub use fleetcast_cli::keys::{
    KeyError, KeyFile, KeyFileError, KeyId, KeyWarning, LoadError, Loaded, PublicKey, load_public, unsafe_test,
};
pub use secret::{EncodeError, SecretKey};
pub use spki::public_to_pem;

use crate::passphrase::{Passphrase, PassphraseError};

/// Loads a private key; `ask` is called only if the file is encrypted.
///
/// # Errors
///
/// [`SecretFileError`] with the path and any [`SecretError`].
pub fn load_secret(
    path: &Path,
    ask: impl FnOnce() -> Result<Passphrase, PassphraseError>,
) -> Result<Loaded<SecretKey>, SecretFileError> {
    load(
        path,
        |block| match block.label {
            Label::Public => {
                Err(LoadError::Label { found: block.label.text().into(), expected: Label::Private.text() }.into())
            }
            Label::Private | Label::Encrypted => secret_key(block, ask),
        },
        SecretKey::public,
    )
}

/// Loads the public half of a key, whichever half the file holds; `ask` as in
/// [`load_secret`].
///
/// # Errors
///
/// [`SecretFileError`] with the path and any [`SecretError`].
pub fn load_public_half(
    path: &Path,
    ask: impl FnOnce() -> Result<Passphrase, PassphraseError>,
) -> Result<Loaded<PublicKey>, SecretFileError> {
    load(
        path,
        |block| match block.label {
            Label::Public => Ok(public_from_der(&block.der)?),
            Label::Private | Label::Encrypted => Ok(secret_key(block, ask)?.public()),
        },
        PublicKey::clone,
    )
}

fn load<K>(
    path: &Path,
    decode: impl FnOnce(&Block) -> Result<K, SecretError>,
    public: impl FnOnce(&K) -> PublicKey,
) -> Result<Loaded<K>, SecretFileError> {
    let attempt = || {
        let file = KeyFile::read(path)?;
        let key = decode(file.block())?;
        let public = public(&key);
        Ok(file.admit(key, &public)?)
    };
    attempt().map_err(|reason| SecretFileError { path: path.into(), reason })
}

fn secret_key(
    block: &Block,
    ask: impl FnOnce() -> Result<Passphrase, PassphraseError>,
) -> Result<SecretKey, SecretError> {
    if block.label == Label::Private {
        return SecretKey::from_der(&block.der);
    }
    let der: Zeroizing<Vec<u8>> = encryption::decrypt(&block.der, ask)?;
    SecretKey::from_der(&der)
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
}
