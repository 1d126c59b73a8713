//! Who may say what: trusted keys, the statement envelope, and the one function that verifies (spec §3).

mod envelope;
mod key;

pub use envelope::{Envelope, MAX_SIGNATURES, MAX_STATEMENT, Signature, encode_statement, signed_bytes, statement_len};
pub use key::{KeyError, KeyId, PublicKey};

use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest as _, Sha256};

use crate::manifest::Manifest;
use crate::tree::GeometryError;
use crate::wire::{StatementKind, Tsi};

/// Public keys and how many of them must sign.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    keys: Vec<PublicKey>,
    threshold: u8,
}

/// Why a set of keys cannot be used as a trust anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustError {
    /// The threshold is 0 or more than there are keys.
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
        if threshold == 0 || usize::from(threshold) > keys.len() {
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

    /// How many signatures claim to be by one of these keys: the cheapest of all checks, and what a verification may cost.
    #[must_use]
    pub fn mentioned(&self, envelope: &Envelope<'_>) -> usize {
        let is_ours = |s: &Signature<'_>| self.keys.iter().any(|key| key.key_id() == s.kid);
        envelope.signatures().filter(is_ours).count()
    }
}

/// Why a statement was refused. No state changed (spec §3, §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatementError {
    /// Does not match the envelope template, or too long \[S-1, S-2\].
    Template,
    /// Too few valid signatures from distinct trusted keys \[S-7\].
    Threshold {
        /// Distinct trusted keys with a valid signature.
        valid: u8,
        /// Keys that must have one.
        required: u8,
    },
    /// The payload is not strict CBOR \[S-9\].
    Cbor,
    /// The payload has unknown or missing keys, or wrong types \[S-9\].
    Schema,
    /// A manifest of another version \[M-1\].
    StructureVersion {
        /// The version it names.
        got: u64,
    },
    /// A value out of its range \[M-3\].
    Range {
        /// Which.
        field: &'static str,
    },
    /// The geometry of a component is not allowed (spec §5).
    Geometry(GeometryError),
}

impl StatementError {
    /// The word for it in counters and vectors (spec §12).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Threshold { .. } => "threshold",
            Self::Cbor => "cbor",
            Self::Schema => "schema",
            Self::StructureVersion { .. } => "structure-version",
            Self::Range { .. } => "range",
            Self::Geometry(_) => "geometry",
        }
    }
}

impl From<GeometryError> for StatementError {
    fn from(e: GeometryError) -> Self {
        Self::Geometry(e)
    }
}

impl core::error::Error for StatementError {}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template => write!(f, "not a signed statement of this protocol"),
            Self::Threshold { valid, required } => {
                write!(f, "{valid} valid signatures by trusted keys, {required} required")
            }
            Self::Cbor => write!(f, "the payload is not strict CBOR"),
            Self::Schema => write!(f, "the payload has unknown or missing keys, or wrong types"),
            Self::StructureVersion { got } => write!(f, "structure version {got}; only 1 is known"),
            Self::Range { field } => write!(f, "{field} is out of range"),
            Self::Geometry(e) => write!(f, "{e}"),
        }
    }
}

/// A `T` whose signatures met a threshold. Only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    payload_digest: [u8; 32],
    statement: Vec<u8>,
}

impl<T> Verified<T> {
    /// SHA-256 of the payload: the name of a session \[M-8\].
    #[must_use]
    pub const fn payload_digest(&self) -> &[u8; 32] {
        &self.payload_digest
    }

    /// The whole statement as received.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// The session's TSI \[W-6\].
    #[must_use]
    pub const fn tsi(&self) -> Tsi {
        tsi_of(&self.payload_digest)
    }
}

impl<T> core::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A `T` that anyone may have made: form and values were checked, signatures were not.
///
/// For tools that hold no keys, such as a head-end or a command that shows a release. A receiver never uses it: what it
/// acts on is [`Verified`] \[S-8\].
#[derive(Clone, Debug)]
pub struct Unverified<T> {
    value: T,
    payload_digest: [u8; 32],
}

impl<T> Unverified<T> {
    /// SHA-256 of the payload: the name of a session \[M-8\].
    #[must_use]
    pub const fn payload_digest(&self) -> &[u8; 32] {
        &self.payload_digest
    }

    /// The session's TSI \[W-6\].
    #[must_use]
    pub const fn tsi(&self) -> Tsi {
        tsi_of(&self.payload_digest)
    }
}

impl<T> core::ops::Deref for Unverified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A proof can be dropped, never gained.
impl<T> From<Verified<T>> for Unverified<T> {
    fn from(verified: Verified<T>) -> Self {
        Self { value: verified.value, payload_digest: verified.payload_digest }
    }
}

/// TSI of the session whose manifest payload has this SHA-256 \[W-6\].
#[must_use]
pub const fn tsi_of(payload_digest: &[u8; 32]) -> Tsi {
    let [a, b, c, d, ..] = *payload_digest;
    Tsi([a, b, c, d])
}

/// Verifies a manifest statement: template, signatures over the received bytes, then strict decoding, in this order.
///
/// # Errors
///
/// Any [`StatementError`]; nothing else in this crate turns received bytes into a [`Verified`].
///
/// Spec §3 \[S-1 .. S-9\].
pub fn verify(statement: &[u8], trust: &TrustedKeys) -> Result<Verified<Manifest>, StatementError> {
    let envelope = Envelope::parse(statement)?;
    let is_signed_by = |key: &&PublicKey| {
        let by_key = |s: &Signature<'_>| {
            s.kid == key.key_id()
                && key.verify(&signed_bytes(StatementKind::Manifest, s.protected, envelope.payload()), s.bytes)
        };
        envelope.signatures().any(|s| by_key(&s))
    };
    let valid = trust.keys.iter().filter(is_signed_by).count();
    if valid < usize::from(trust.threshold) {
        let valid = u8::try_from(valid).unwrap_or(u8::MAX);
        return Err(StatementError::Threshold { valid, required: trust.threshold });
    }
    Ok(Verified {
        value: Manifest::decode(envelope.payload())?,
        payload_digest: Sha256::digest(envelope.payload()).into(),
        statement: statement.to_vec(),
    })
}

/// Decodes a manifest statement without any trust: template and strict decoding as in [`verify`], no signatures.
///
/// For tools that hold no keys. A receiver MUST NOT call it \[S-8\].
///
/// # Errors
///
/// [`StatementError`], never [`StatementError::Threshold`].
///
/// Spec §3 \[S-1, S-2, S-9\].
pub fn parse_unverified(statement: &[u8]) -> Result<Unverified<Manifest>, StatementError> {
    let payload = Envelope::parse(statement)?.payload();
    Ok(Unverified { value: Manifest::decode(payload)?, payload_digest: Sha256::digest(payload).into() })
}
