//! Key files: what the devices, the head-end and the signing station have to know about them.
//!
//! A key file holds one PEM block and nothing else. [`load_public`] takes a public key as SPKI (RFC 8410); weak and
//! non-canonical keys are refused, and builds without debug assertions refuse the published
//! [test keys](unsafe_test). Private keys are not decoded here; [`pem`] only tells them from public ones.

mod error;
mod file;
pub mod pem;
pub mod spki;
pub mod unsafe_test;

use std::path::Path;

pub use error::{KeyFileError, LoadError};
pub use file::{KeyFile, MAX_KEY_FILE, admit, exposed, read_bounded};
pub use fleetcast_core::trust::{KeyError, KeyId, PublicKey};

use pem::Label;

/// A key from a file, and what the reader should know about that file.
#[derive(Debug)]
pub struct Loaded<K> {
    /// The key.
    pub key: K,
    /// To be told on stderr; none of them keeps the key from being used.
    pub warnings: Vec<KeyWarning>,
}

impl<K> Loaded<K> {
    /// Tells the warnings on stderr and hands out the key.
    pub fn tell(self) -> K {
        self.warnings.iter().for_each(crate::warn);
        self.key
    }
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
        /// The file, or what else has the key.
        path: String,
    },
}

/// Loads a public key that shall be trusted.
///
/// # Errors
///
/// [`KeyFileError`] with the path and any [`LoadError`].
pub fn load_public(path: &Path) -> Result<Loaded<PublicKey>, KeyFileError> {
    let attempt = || {
        let file = KeyFile::read(path)?;
        let key = match file.block().label {
            Label::Public => spki::public_from_der(&file.block().der)?,
            found @ (Label::Private | Label::Encrypted) => {
                return Err(LoadError::Label { found: found.text().into(), expected: Label::Public.text() });
            }
        };
        file.admit(key.clone(), &key)
    };
    attempt().map_err(|reason| KeyFileError { path: path.into(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../keys").join(name)
    }

    #[test]
    fn a_test_key_is_loaded_with_a_warning_or_not_at_all() {
        let path = shipped("UNSAFE-test-release.pub.pem");
        let loaded = load_public(&path);
        if unsafe_test::REFUSED {
            assert_eq!(loaded.unwrap_err().reason.code(), "key-unsafe-test");
        } else {
            let Loaded { key, warnings } = loaded.unwrap();
            assert_eq!(key.to_bytes(), unsafe_test::UNSAFE_TEST_KEYS[0]);
            assert_eq!(warnings, [KeyWarning::UnsafeTestKey { path: path.display().to_string() }]);
        }
    }

    #[test]
    fn a_private_key_is_no_public_key() {
        let error = load_public(&shipped("UNSAFE-test-release.pem")).unwrap_err();
        assert_eq!(error.reason.code(), "key-label");
        assert!(error.reason.hint().unwrap().contains("private keys stay on the signing station"));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_path() {
        let error = load_public(Path::new("/nonexistent/key.pem")).unwrap_err();
        assert_eq!(
            (error.reason.code(), error.to_string().as_str()),
            ("key-io", "cannot use key /nonexistent/key.pem")
        );
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load_public(folder.path()).unwrap_err().reason.code(), "key-io");
        let large = folder.path().join("large");
        std::fs::File::create(&large).unwrap().set_len(MAX_KEY_FILE + 1).unwrap();
        assert_eq!(load_public(&large).unwrap_err().reason.code(), "key-too-large");
    }
}
