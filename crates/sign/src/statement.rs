//! Statements while signatures are put on them: unsigned, or signed by some (spec §3).
//!
//! Signatures are kept as they stand in the envelope, so what others have signed stays as it was. The unsigned form, an
//! array of 0 signatures \[X-4\], is read here and nowhere else.

mod error;
mod file;

use fleetcast_core::trust::{
    Envelope, MAX_SIGNATURES, MAX_STATEMENT, Statement, StatementError, Unverified, encode_statement, parse_unverified,
    signed_bytes, statement_len,
};
use fleetcast_core::wire::StatementKind;

pub use error::AttachError;
pub use file::{StatementFile, StatementFileError, StatementFileReason};

use crate::keys::{KeyId, PublicKey};
use crate::signers::{Signer, sign};

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

    /// Whether one more signature, by this key, may be put on it. `room` is how many octets it may have then.
    ///
    /// # Errors
    ///
    /// [`AttachError`].
    pub fn check(&self, key: &PublicKey, room: usize) -> Result<(), AttachError> {
        if self.signers().any(|signer| signer == key.key_id()) {
            return Err(AttachError::Twice { key: key.key_id() });
        }
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(AttachError::Full);
        }
        let (len, room) = (statement_len(self.payload.len(), self.signatures.len() + 1), room.min(MAX_STATEMENT));
        if len > room { Err(AttachError::TooLong { len, room }) } else { Ok(()) }
    }

    /// Octets of the statement as it stands in files.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a statement is never empty")]
    pub const fn len(&self) -> usize {
        statement_len(self.payload.len(), self.signatures.len())
    }

    /// The statement as it stands in files; if nobody has signed it, in the unsigned form.
    ///
    /// # Errors
    ///
    /// None: any [`Signable`] has room for one signature.
    pub fn encode(&self) -> Result<Vec<u8>, StatementError> {
        let (mut statement, _) = signed_by_one(self.kind, &self.payload, KeyId([0; 8]), &[0; 64])?;
        statement.truncate(statement_len(self.payload.len(), 0) - 1);
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::keys::SecretKey;

    const KIND: StatementKind = StatementKind::Root;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32]).unwrap()
    }

    fn unsigned(len: usize) -> Signable {
        Signable::new(KIND, vec![7; len]).unwrap()
    }

    #[test]
    fn the_unsigned_form_is_read_here_and_nowhere_else() {
        // Lengths of payload at which their heads change.
        for len in [0, 1, 23, 24, 255, 256, 8000] {
            let bytes = unsigned(len).encode().unwrap();
            assert_eq!(bytes.last(), Some(&0x80));
            assert_eq!(bytes.len(), unsigned(len).len());
            assert_eq!(Signable::parse(KIND, &bytes).unwrap(), unsigned(len));
            assert_eq!(Envelope::parse(&bytes).unwrap_err(), StatementError::Template);
        }
        let bytes = unsigned(9).encode().unwrap();
        for cut in 0..bytes.len() {
            assert!(Signable::parse(KIND, &bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Signable::parse(KIND, &[&bytes[..], &[0x80]].concat()).is_err());
        assert!(Signable::parse(KIND, &[&bytes[..], &[0]].concat()).is_err());
        assert!(Signable::new(KIND, vec![7; MAX_STATEMENT]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(
            len in 0_usize..300,
            count in 0..4_u8,
            changes in vec((any::<Index>(), any::<u8>()), 0..4),
        ) {
            let mut statement = unsigned(len);
            (1..=count).for_each(|seed| statement.sign(&key(seed), MAX_STATEMENT).unwrap());
            let mut bytes = statement.encode().unwrap();
            prop_assert_eq!(Signable::parse(KIND, &bytes).unwrap(), statement);
            for (at, octet) in changes {
                let at = at.index(bytes.len());
                bytes[at] = octet;
            }
            if let Ok(read) = Signable::parse(KIND, &bytes) {
                prop_assert_eq!(read.encode().unwrap(), bytes);
            }
        }
    }

    #[test]
    fn signatures_are_those_of_the_core() {
        let signers: Vec<_> =
            [1, 2, 3].map(|seed| (key(seed).public().key_id(), move |message: &[u8]| key(seed).sign(message))).into();
        let mut statement = unsigned(300);
        for count in 1..=3 {
            statement.sign(&key(u8::try_from(count).unwrap()), MAX_STATEMENT).unwrap();
            let expected = encode_statement(KIND, &[7; 300], &signers[..count]).unwrap();
            assert_eq!(statement.encode().unwrap(), expected);
            assert_eq!(statement.len(), expected.len());
            assert_eq!(Signable::parse(KIND, &expected).unwrap(), statement);
        }
    }

    #[test]
    fn what_others_signed_stays_as_it_was() {
        // The older number of the algorithm, -8, stands in what is signed.
        let mut bytes = encode_statement(KIND, &[7; 9], &[(KeyId([9; 8]), |_: &[u8]| [5; 64])]).unwrap();
        let algorithm = bytes.len() - SIGNATURE_LEN + 4;
        assert_eq!(bytes[algorithm], 0x32);
        bytes[algorithm] = 0x27;
        let mut statement = Signable::parse(KIND, &bytes).unwrap();
        statement.sign(&key(1), MAX_STATEMENT).unwrap();
        let signed = statement.encode().unwrap();
        let signatures = |bytes: &[u8]| bytes[statement_len(9, 0)..].to_vec();
        assert_eq!(signatures(&signed)[..SIGNATURE_LEN], signatures(&bytes));
        assert_eq!(statement.signers().collect::<Vec<_>>(), [KeyId([9; 8]), key(1).public().key_id()]);
    }

    #[test]
    fn a_kind_is_part_of_what_is_signed() {
        let key = key(1).public();
        let tbs = |kind| Signable::new(kind, vec![7; 9]).unwrap().to_be_signed(&key).unwrap();
        let [manifest, root, beacon] = [StatementKind::Manifest, StatementKind::Root, StatementKind::Beacon].map(tbs);
        assert!(manifest != root && root != beacon && manifest != beacon);
    }

    #[test]
    fn a_refused_signature_leaves_it_as_it_was() {
        let mut statement = unsigned(9);
        let signature = sign(&key(1), &statement.to_be_signed(&key(1).public()).unwrap()).unwrap();
        let room = statement_len(9, 1);
        let mut refused = |key: &SecretKey, signature: &[u8; 64], room| {
            let before = statement.clone();
            let code = statement.attach(&key.public(), signature, room).err().map(|error| error.code());
            assert!(code.is_none() || statement == before);
            code
        };
        assert_eq!(refused(&key(1), &signature, room - 1), Some("attach-too-long"));
        assert_eq!(refused(&key(2), &signature, room), Some("attach-invalid"));
        let mut other = signature;
        other[63] ^= 1;
        assert_eq!(refused(&key(1), &other, room), Some("attach-invalid"));
        assert_eq!(refused(&key(1), &signature, room), None);
        assert_eq!(refused(&key(1), &signature, MAX_STATEMENT), Some("attach-twice"));
        for seed in 2..=8 {
            statement.sign(&key(seed), MAX_STATEMENT).unwrap();
        }
        assert_eq!(statement.sign(&key(9), MAX_STATEMENT).unwrap_err().code(), "attach-full");
    }
}
