//! Why a signature cannot be put on a statement.

use fleetcast_cli::CommandError;
use fleetcast_core::trust::{MAX_SIGNATURES, StatementError};

use crate::keys::KeyId;
use crate::signers::SignError;

/// Why a signature cannot be put on a statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// There is one by this key.
    #[error("key {key} has signed it already")]
    Twice {
        /// The key.
        key: KeyId,
    },
    /// It is not by this key, or over something else.
    #[error("this is not a valid signature by key {key} over it")]
    Invalid {
        /// The key.
        key: KeyId,
    },
    /// It has as many as it may have.
    #[error("it has {MAX_SIGNATURES} signatures, which is the most there can be")]
    Full,
    /// With one more it would be longer than packets may be.
    #[error("with this signature it has {len} octets, and its packet has room for {room}")]
    TooLong {
        /// Octets it would have.
        len: usize,
        /// Octets there are.
        room: usize,
    },
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The payload is none that a statement can have.
    #[error("it is no statement")]
    Statement(#[from] StatementError),
}

impl AttachError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Twice { .. } => "attach-twice",
            Self::Invalid { .. } => "attach-invalid",
            Self::Full => "attach-full",
            Self::TooLong { .. } => "attach-too-long",
            Self::Sign(error) => error.reason.code(),
            Self::Statement(error) => error.code(),
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Twice { .. } => "each key signs once; sign with another one",
            Self::Invalid { .. } => {
                "it covers the octets that `fleetcast-sign prepare` writes for this very file and key: get them again, and \
                 sign them as they are, by pure Ed25519"
            }
            Self::TooLong { .. } => "make the release again with --signatures N, which leaves room for N of them",
            Self::Sign(error) => return error.reason.hint(),
            Self::Full | Self::Statement(_) => return None,
        };
        Some(hint.into())
    }
}

impl From<AttachError> for CommandError {
    fn from(error: AttachError) -> Self {
        let hint = error.hint();
        Self::failed(error).hint_if(hint)
    }
}
