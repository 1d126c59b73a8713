//! A role: keys, and how many of them must sign (spec §3 \[S-7\]).

use alloc::vec::Vec;
use core::fmt;

use super::{KeyId, PublicKey};

/// Most signatures that can be asked for: a statement has no more \[S-1\].
pub const MAX_THRESHOLD: u8 = 8;

/// Public keys and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys {
    keys: Vec<PublicKey>,
    threshold: u8,
}

/// Why a set of keys cannot be used as a trust anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustError {
    /// The threshold is 0, or more than there are keys or can be signatures.
    Threshold {
        /// Keys there are.
        keys: usize,
        /// Signatures asked for.
        threshold: u8,
    },
    /// The same key twice.
    Duplicate {
        /// Its id.
        key: KeyId,
    },
}

impl core::error::Error for TrustError {}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threshold { threshold, .. } if *threshold > MAX_THRESHOLD => {
                write!(
                    f,
                    "a threshold of {threshold} cannot be met: a statement has at most {MAX_THRESHOLD} signatures"
                )
            }
            Self::Threshold { keys, threshold } => {
                write!(f, "a threshold of {threshold} cannot be met: there are {keys} trusted keys")
            }
            Self::Duplicate { key } => write!(f, "key {key} is listed twice"),
        }
    }
}

impl TrustedKeys {
    /// Keys of which `threshold` distinct ones must sign \[S-7\].
    ///
    /// # Errors
    ///
    /// [`TrustError`] if the threshold can never or always be met, or a key stands there twice.
    pub fn new(keys: Vec<PublicKey>, threshold: u8) -> Result<Self, TrustError> {
        if !(1..=MAX_THRESHOLD).contains(&threshold) || usize::from(threshold) > keys.len() {
            return Err(TrustError::Threshold { keys: keys.len(), threshold });
        }
        let mut earlier = keys.iter().enumerate();
        if let Some((_, twice)) = earlier.find(|(i, key)| keys.iter().take(*i).any(|other| other == *key)) {
            return Err(TrustError::Duplicate { key: twice.key_id() });
        }
        Ok(Self { keys, threshold })
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// How many of them must sign.
    #[must_use]
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many of these keys are among `signers`.
    pub(super) fn count(&self, signers: &[PublicKey]) -> usize {
        self.keys.iter().filter(|key| signers.contains(key)).count()
    }

    /// Whether enough of these keys are among `signers`.
    pub(super) fn is_met(&self, signers: &[PublicKey]) -> bool {
        self.count(signers) >= usize::from(self.threshold)
    }
}
