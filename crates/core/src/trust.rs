//! Who may say what: trusted keys and roots, the statement envelope, and the one function that verifies (spec §3, §17).

mod anchor;
mod envelope;
mod key;
mod keys;
mod root;

pub use anchor::{Step, Trust};
pub use envelope::{Envelope, MAX_SIGNATURES, MAX_STATEMENT, Signature, encode_statement, signed_bytes, statement_len};
pub use key::{KeyError, KeyId, PublicKey};
pub use keys::{MAX_THRESHOLD, TrustError, TrustedKeys};
pub use root::{Grant, MAX_GRANTS, MAX_KEYS, Root};

use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest as _, Sha256};

use crate::beacon::Beacon;
use crate::manifest::Manifest;
use crate::tree::GeometryError;
use crate::wire::{StatementKind, Tsi};

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
    /// A statement of another structure \[M-1\].
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
    /// Signed by keys that may not sign for this vendor, class or target \[K-4\].
    Scope,
    /// Not the root that follows \[K-6\].
    RootVersion {
        /// The version it has.
        got: u16,
        /// The version that follows.
        next: u16,
    },
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
            Self::Scope => "scope",
            Self::RootVersion { .. } => "root-version",
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
            Self::Scope => write!(f, "its signers may not sign for this vendor, or for these classes or targets"),
            Self::RootVersion { got, next } => write!(f, "root {got}; the one that follows is {next}"),
        }
    }
}

/// A `T` whose signatures met a threshold. Only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    payload_digest: [u8; 32],
    statement: Vec<u8>,
    signers: Vec<KeyId>,
}

impl<T> Verified<T> {
    /// SHA-256 of the payload; that of a manifest names its session \[M-8\].
    #[must_use]
    pub const fn payload_digest(&self) -> &[u8; 32] {
        &self.payload_digest
    }

    /// The whole statement as received.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// The trusted keys that signed it.
    #[must_use]
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
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

/// A kind of statement.
///
/// Sealed: what may be signed, by whom, is for this module to know.
pub trait Statement: Sized + sealed::Judged {
    /// The kind.
    const KIND: StatementKind = <Self as sealed::Judged>::OF;
}

impl<T: sealed::Judged> Statement for T {}

mod sealed {
    use super::{PublicKey, StatementError, StatementKind, Trust, TrustedKeys};

    /// How a kind of statement is judged.
    pub trait Judged: Sized {
        /// The kind.
        const OF: StatementKind;

        /// Decodes the payload.
        fn decode(payload: &[u8]) -> Result<Self, StatementError>;

        /// Roles whose signatures are asked for beside those that `trust` has for the kind.
        fn own_role(&self) -> Option<&TrustedKeys> {
            None
        }

        /// Whether these signers may say what it says.
        fn check_scope(&self, trust: &Trust, signers: &[PublicKey]) -> Result<(), StatementError>;
    }
}

impl sealed::Judged for Manifest {
    const OF: StatementKind = StatementKind::Manifest;

    fn decode(payload: &[u8]) -> Result<Self, StatementError> {
        Self::decode(payload)
    }

    fn check_scope(&self, trust: &Trust, signers: &[PublicKey]) -> Result<(), StatementError> {
        let is_covered = |grant: &Grant| grant.unmet(signers).is_none() && grant.covers(self);
        let is_right = trust.is_of(self.vendor) && trust.grants().iter().any(is_covered);
        if is_right { Ok(()) } else { Err(StatementError::Scope) }
    }
}

impl sealed::Judged for Beacon {
    const OF: StatementKind = StatementKind::Beacon;

    fn decode(payload: &[u8]) -> Result<Self, StatementError> {
        Self::decode(payload)
    }

    fn check_scope(&self, trust: &Trust, _signers: &[PublicKey]) -> Result<(), StatementError> {
        if trust.is_of(self.vendor) { Ok(()) } else { Err(StatementError::Scope) }
    }
}

impl sealed::Judged for Root {
    const OF: StatementKind = StatementKind::Root;

    fn decode(payload: &[u8]) -> Result<Self, StatementError> {
        Self::decode(payload)
    }

    fn own_role(&self) -> Option<&TrustedKeys> {
        Some(&self.root)
    }

    fn check_scope(&self, trust: &Trust, _signers: &[PublicKey]) -> Result<(), StatementError> {
        let next = trust.version().saturating_add(1);
        if self.version != next {
            return Err(StatementError::RootVersion { got: self.version, next });
        }
        if trust.is_of(self.vendor) { Ok(()) } else { Err(StatementError::Scope) }
    }
}

/// Verifies a statement: template, signatures over the received bytes, then strict decoding, in this order.
///
/// Of a root: whether it follows that of `trust`.
///
/// # Errors
///
/// Any [`StatementError`]; nothing else in this crate turns received bytes into a [`Verified`].
///
/// Spec §3 \[S-1 .. S-9\], §17 \[K-3 .. K-6\].
pub fn verify<T: Statement>(statement: &[u8], trust: &Trust) -> Result<Verified<T>, StatementError> {
    let envelope = Envelope::parse(statement)?;
    let mut signers = signers(T::KIND, &envelope, trust.keys_for(T::KIND));
    trust.check_signers(T::KIND, &signers)?;
    let value = T::decode(envelope.payload())?;
    value.check_scope(trust, &signers)?;
    if let Some(role) = value.own_role() {
        let others = role.keys().iter().filter(|key| !signers.contains(key));
        signers.extend(self::signers(T::KIND, &envelope, others));
        check_role(role, &signers)?;
    }
    Ok(verified(value, &envelope, statement, &signers))
}

/// Verifies a root by itself alone: that its own root keys have signed it. Whether these are the right ones is known to who
/// chose it, as for a root file that a device is made with.
fn verify_anchor(statement: &[u8]) -> Result<Verified<Root>, StatementError> {
    let envelope = Envelope::parse(statement)?;
    let root = Root::decode(envelope.payload())?;
    let signers = signers(StatementKind::Root, &envelope, root.root.keys().iter());
    check_role(&root.root, &signers)?;
    Ok(verified(root, &envelope, statement, &signers))
}

fn verified<T>(value: T, envelope: &Envelope<'_>, statement: &[u8], signers: &[PublicKey]) -> Verified<T> {
    Verified {
        value,
        payload_digest: Sha256::digest(envelope.payload()).into(),
        statement: statement.to_vec(),
        signers: signers.iter().map(PublicKey::key_id).collect(),
    }
}

/// Those of the keys that have a valid signature in a statement.
fn signers<'a>(
    kind: StatementKind,
    envelope: &Envelope<'_>,
    keys: impl Iterator<Item = &'a PublicKey>,
) -> Vec<PublicKey> {
    let has_signed = |key: &&PublicKey| {
        let by_key = |s: &Signature<'_>| {
            s.kid == key.key_id() && key.verify(&signed_bytes(kind, s.protected, envelope.payload()), s.bytes)
        };
        envelope.signatures().any(|s| by_key(&s))
    };
    keys.filter(has_signed).cloned().collect()
}

fn check_role(role: &TrustedKeys, signers: &[PublicKey]) -> Result<(), StatementError> {
    if role.is_met(signers) {
        return Ok(());
    }
    let valid = u8::try_from(role.count(signers)).unwrap_or(u8::MAX);
    Err(StatementError::Threshold { valid, required: role.threshold() })
}

/// Decodes a statement without any trust: template and strict decoding as in [`verify`], no signatures.
///
/// For tools that hold no keys. A receiver MUST NOT call it \[S-8\].
///
/// # Errors
///
/// [`StatementError`], never [`StatementError::Threshold`].
///
/// Spec §3 \[S-1, S-2, S-9\].
pub fn parse_unverified<T: Statement>(statement: &[u8]) -> Result<Unverified<T>, StatementError> {
    let payload = Envelope::parse(statement)?.payload();
    Ok(Unverified { value: T::decode(payload)?, payload_digest: Sha256::digest(payload).into() })
}
