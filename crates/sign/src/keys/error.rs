//! Why a private key cannot be used.

use std::path::PathBuf;

use fleetcast_cli::CommandError;
use fleetcast_cli::keys::{KeyError, LoadError};

use crate::passphrase::{PASSPHRASE_ENV, PassphraseError};

/// A private key file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot use key {}", path.display())]
pub struct SecretFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub reason: SecretError,
}

/// What is wrong with a private key file. No part of the key is ever in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It is no key file, or the key in it is none to use.
    #[error(transparent)]
    File(#[from] LoadError),
    /// Encrypted by a method that is not read here.
    #[error("it is encrypted by a method that is not supported")]
    Encryption(#[source] pkcs8::Error),
    /// Unlocking it would cost more time or memory than any honest file asks.
    #[error("its passphrase settings are invalid or ask for too much work")]
    Work,
    /// The passphrase could not be had.
    #[error("it is encrypted")]
    Passphrase(#[from] PassphraseError),
    /// The passphrase does not open it.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// The public half stored beside the private one is another key's.
    #[error("its public half does not belong to its private half")]
    Mismatch,
}

impl SecretError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Encryption(_) => "key-encryption",
            Self::Work => "key-work",
            Self::Passphrase(error) => error.code(),
            Self::WrongPassphrase => "passphrase-wrong",
            Self::Mismatch => "key-mismatch",
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::File(error) => return error.hint(),
            Self::Mismatch => "restore the file from its backup",
            Self::Encryption(_) | Self::Work => "encrypt it anew: openssl pkcs8 -topk8 -v2 aes256 -in KEY -out key.pem",
            Self::Passphrase(error) => return error.hint(),
            Self::WrongPassphrase => {
                return Some(format!(
                    "case, spaces and keyboard layout count; a passphrase file is read up to its \
                     first line end, and {PASSPHRASE_ENV} as it is"
                ));
            }
        };
        Some(hint.into())
    }
}

impl From<SecretFileError> for CommandError {
    fn from(error: SecretFileError) -> Self {
        let hint = error.reason.hint();
        Self::failed(error).hint_if(hint)
    }
}

impl From<KeyError> for SecretError {
    fn from(error: KeyError) -> Self {
        Self::File(error.into())
    }
}
