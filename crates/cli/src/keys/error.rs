//! Why a key file cannot be used.

use std::io;
use std::path::PathBuf;

use spki::der;

use super::KeyError;
use crate::CommandError;

/// A key file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot use key {}", path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub reason: LoadError,
}

/// What is wrong with a key file. No part of the key is ever in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Larger than any key file.
    #[error("larger than {max} bytes, so it is no key file")]
    TooLarge {
        /// The limit in bytes.
        max: u64,
    },
    /// No PEM block in it.
    #[error("it is not a PEM file")]
    NotPem,
    /// DER, the binary form of the same.
    #[error("it is a DER file, and PEM is needed")]
    Der,
    /// More than one PEM block.
    #[error("it holds {count} PEM blocks, and a key file holds one")]
    Several {
        /// How many there are.
        count: usize,
    },
    /// Text before or after the PEM block.
    #[error("there is text {place} the PEM block")]
    Text {
        /// `before` or `after`.
        place: &'static str,
    },
    /// The PEM block is cut short or its base64 is wrong.
    #[error("the PEM block is damaged")]
    Pem(#[source] der::pem::Error),
    /// Another sort of PEM block.
    #[error("it holds a \"{found}\", and a \"{expected}\" is needed")]
    Label {
        /// The label in the file.
        found: String,
        /// The label that belongs there.
        expected: &'static str,
    },
    /// A key of another algorithm.
    #[error("it is a key for {found}, and only Ed25519 keys are used")]
    Algorithm {
        /// The algorithm's name, or its object identifier.
        found: String,
    },
    /// The ASN.1 inside the PEM block is wrong.
    #[error("the key inside the PEM block is damaged")]
    Asn1(#[source] der::Error),
    /// The ASN.1 is right, the key in it is not (RFC 8410 §7).
    #[error("the key inside the PEM block is damaged: {what}")]
    Malformed {
        /// Which rule it breaks.
        what: &'static str,
    },
    /// A public key that must not be trusted.
    #[error("it must not be trusted")]
    Public(#[from] KeyError),
    /// A published test key, in a build that refuses them.
    #[error("it is an UNSAFE test key, whose private half everyone has")]
    UnsafeTestKey,
}

impl LoadError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "key-io",
            Self::TooLarge { .. } => "key-too-large",
            Self::NotPem => "key-not-pem",
            Self::Der => "key-der",
            Self::Several { .. } => "key-several",
            Self::Text { .. } => "key-text",
            Self::Pem(_) => "key-pem",
            Self::Label { .. } => "key-label",
            Self::Algorithm { .. } => "key-algorithm",
            Self::Asn1(_) => "key-asn1",
            Self::Malformed { .. } => "key-malformed",
            Self::Public(error) => error.code(),
            Self::UnsafeTestKey => "key-unsafe-test",
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io(error) => match error.kind() {
                io::ErrorKind::NotFound => "check the path; `fleetcast-sign keygen` makes a key",
                io::ErrorKind::PermissionDenied => "run as the user who owns the key",
                _ => return None,
            },
            Self::Der => "convert it: openssl pkey -inform DER -in KEY -out key.pem",
            Self::NotPem | Self::TooLarge { .. } => {
                "a key file is text that starts with -----BEGIN; `fleetcast-sign keygen` makes one"
            }
            Self::Several { .. } | Self::Text { .. } => "keep each key in a file of its own, with nothing around it",
            Self::Label { found, expected } => return label_hint(found, expected),
            Self::Algorithm { .. } => "make one: `fleetcast-sign keygen` or `openssl genpkey -algorithm ed25519`",
            Self::Pem(_) | Self::Asn1(_) | Self::Malformed { .. } => "restore the file from its backup",
            Self::Public(_) => "get the key again from who made it, and compare the key id",
            Self::UnsafeTestKey => "make a key of your own: fleetcast-sign keygen",
        };
        Some(hint.into())
    }
}

fn label_hint(found: &str, expected: &str) -> Option<String> {
    let hint = match (found, expected) {
        ("PRIVATE KEY" | "ENCRYPTED PRIVATE KEY", "PUBLIC KEY") => {
            "private keys stay on the signing station; export the public half: \
             fleetcast-sign pubkey KEY --out FILE"
        }
        ("PUBLIC KEY", _) => "this is the public half; signing needs the private one",
        ("OPENSSH PRIVATE KEY", _) => "OpenSSH keys are not read; make a key: fleetcast-sign keygen",
        ("CERTIFICATE", _) => "take the key out of it: openssl x509 -in FILE -noout -pubkey",
        _ => return None,
    };
    Some(hint.into())
}

impl From<KeyFileError> for CommandError {
    fn from(error: KeyFileError) -> Self {
        let hint = error.reason.hint();
        Self::failed(error).hint_if(hint)
    }
}
