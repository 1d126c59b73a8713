//! Statements while signatures are put on them: unsigned, or signed by some (spec §3).
//!
//! Signatures are kept as they stand in the envelope, so what others have signed stays as it was. The unsigned form, an
//! array of 0 signatures, is read here and nowhere else.

mod file;

use fleetcast_cli::CommandError;
use fleetcast_core::trust::{
    Envelope, MAX_SIGNATURES, MAX_STATEMENT, Statement, StatementError, Unverified, encode_statement, parse_unverified,
    signed_bytes, statement_len,
};
use fleetcast_core::wire::StatementKind;

pub use file::{StatementFile, StatementFileError, StatementFileReason};

use crate::keys::{KeyId, PublicKey};
use crate::signers::{SignError, Signer, sign};

/// Octets of one signature in the envelope \[S-1\].
const SIGNATURE_LEN: usize = statement_len(0, 1) - statement_len(0, 0);
/// An empty array: the unsigned form ends with it, and the count of signatures is added to it.
const ARRAY: u8 = 0x80;

/// A payload and its signatures so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signable {
    kind: StatementKind,
    payload: Vec<u8>,
    signatures: Vec<(KeyId, [u8; SIGNATURE_LEN])>,
}

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

impl Signable {
    /// A statement that nobody has signed.
    ///
    /// # Errors
    ///
    /// [`StatementError::Template`] if it would be too long with one signature.
    pub fn new(kind: StatementKind, payload: Vec<u8>) -> Result<Self, StatementError> {
        signed_by_one(kind, &payload, KeyId([0; 8]), &[0; 64])?;
        Ok(Self { kind, payload, signatures: Vec::new() })
    }

    /// Takes a statement apart, be it signed or not.
    ///
    /// # Errors
    ///
    /// [`StatementError::Template`].
    pub fn parse(kind: StatementKind, statement: &[u8]) -> Result<Self, StatementError> {
        if let Some((&ARRAY, head)) = statement.split_last() {
            // The template wants a signature: one that says nothing stands in for none.
            let (_, none) = signed_by_one(kind, &[], KeyId([0; 8]), &[0; 64])?;
            let signed = [head, &[ARRAY + 1], &none].concat();
            if let Ok(envelope) = Envelope::parse(&signed)
                && envelope.signatures().count() == 1
            {
                return Self::new(kind, envelope.payload().to_vec());
            }
        }
        let envelope = Envelope::parse(statement)?;
        let ids: Vec<_> = envelope.signatures().map(|signature| signature.kid).collect();
        let (_, signatures) = statement.split_at(statement.len() - ids.len() * SIGNATURE_LEN);
        let (signatures, _) = signatures.as_chunks();
        let signatures = ids.into_iter().zip(signatures.iter().copied()).collect();
        Ok(Self { kind, payload: envelope.payload().to_vec(), signatures })
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> StatementKind {
        self.kind
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The keys that its signatures name, in order. Naming a key proves nothing.
    pub fn signers(&self) -> impl Iterator<Item = KeyId> {
        self.signatures.iter().map(|(key, _)| *key)
    }

    /// What `key` signs: the octets of the `Sig_structure` \[S-5\].
    ///
    /// # Errors
    ///
    /// None: any [`Signable`] has room for one signature.
    pub fn to_be_signed(&self, key: &PublicKey) -> Result<Vec<u8>, StatementError> {
        let (signed, _) = signed_by_one(self.kind, &self.payload, key.key_id(), &[0; 64])?;
        let envelope = Envelope::parse(&signed)?;
        let signature = envelope.signatures().next().ok_or(StatementError::Template)?;
        Ok(signed_bytes(self.kind, signature.protected, &self.payload))
    }

    /// Has `signer` sign it. `room` is how many octets it may have then.
    ///
    /// # Errors
    ///
    /// [`AttachError`]; it is as before then.
    pub fn sign(&mut self, signer: &(impl Signer + ?Sized), room: usize) -> Result<(), AttachError> {
        let key = signer.public();
        // Nobody need touch a token in vain.
        self.check(&key, room)?;
        let signature = sign(signer, &self.to_be_signed(&key)?)?;
        self.attach(&key, &signature, room)
    }

    /// Puts on it a signature that was made elsewhere, after verifying it. `room` is how many octets it may have then.
    ///
    /// # Errors
    ///
    /// [`AttachError`]; it is as before then.
    pub fn attach(&mut self, key: &PublicKey, signature: &[u8; 64], room: usize) -> Result<(), AttachError> {
        self.check(key, room)?;
        if !key.verify(&self.to_be_signed(key)?, signature) {
            return Err(AttachError::Invalid { key: key.key_id() });
        }
        let (_, signature) = signed_by_one(self.kind, &self.payload, key.key_id(), signature)?;
        self.signatures.push((key.key_id(), signature));
        Ok(())
    }

    /// Whether one more signature, by this key, may be put on it.
    fn check(&self, key: &PublicKey, room: usize) -> Result<(), AttachError> {
        if self.signers().any(|signer| signer == key.key_id()) {
            return Err(AttachError::Twice { key: key.key_id() });
        }
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(AttachError::Full);
        }
        let (len, room) = (statement_len(self.payload.len(), self.signatures.len() + 1), room.min(MAX_STATEMENT));
        if len > room { Err(AttachError::TooLong { len, room }) } else { Ok(()) }
    }

    /// The statement as it stands in files; if nobody has signed it, in the unsigned form.
    ///
    /// # Errors
    ///
    /// None: any [`Signable`] has room for one signature.
    pub fn encode(&self) -> Result<Vec<u8>, StatementError> {
        let (mut statement, _) = signed_by_one(self.kind, &self.payload, KeyId([0; 8]), &[0; 64])?;
        statement.truncate(statement_len(self.payload.len(), 0));
        statement.pop();
        // At most eight.
        statement.push(ARRAY | u8::try_from(self.signatures.len()).unwrap_or_default());
        self.signatures.iter().for_each(|(_, signature)| statement.extend_from_slice(signature));
        Ok(statement)
    }

    /// What it says, without any trust; `verify` is what asks for signatures.
    ///
    /// # Errors
    ///
    /// [`StatementError`] if it is of another kind, or invalid.
    pub fn decode<T: Statement>(&self) -> Result<Unverified<T>, StatementError> {
        let (signed, _) = signed_by_one(self.kind, &self.payload, KeyId([0; 8]), &[0; 64])?;
        parse_unverified(&signed)
    }
}

/// A statement with this one signature, and that signature as it stands in it, which is at its end.
fn signed_by_one(
    kind: StatementKind,
    payload: &[u8],
    key: KeyId,
    signature: &[u8; 64],
) -> Result<(Vec<u8>, [u8; SIGNATURE_LEN]), StatementError> {
    let statement = encode_statement(kind, payload, &[(key, |_: &[u8]| *signature)])?;
    let signature = *statement.last_chunk().ok_or(StatementError::Template)?;
    Ok((statement, signature))
}
