//! Bogus statements, each as dear to a receiver as it can be: whatever is cheap to check is right.

use fleetcast_core::release::{HEAD_LEN, decode_head};
use fleetcast_core::trust::{Envelope, KeyId, encode_statement, tsi_of};
use fleetcast_core::wire::{HEADER_LEN, Header, Object, StatementKind};
use sha2::{Digest as _, Sha256};

/// The statement of a release file.
///
/// # Panics
///
/// If it is none.
#[must_use]
pub fn statement_of(release: &[u8]) -> &[u8] {
    let (head, rest) = release.split_first_chunk::<HEAD_LEN>().unwrap();
    &rest[..decode_head(*head).unwrap()]
}

/// Packets with bogus statements of one form, each another.
///
/// Template and TSI are right, and each signature is by a trusted key, as far as can be told without verifying it: its `R` is a point
/// of the curve, and its `S` below the order of the group.
#[derive(Clone, Debug)]
pub struct Bogus {
    packet: Vec<u8>,
    number: u64,
}

impl Bogus {
    /// Another payload in so many signatures by the key that signed the `genuine` statement, in a packet of `len` octets.
    ///
    /// # Panics
    ///
    /// If `genuine` is no statement, or `len` too short for the signatures.
    #[must_use]
    pub fn filling(genuine: &[u8], signatures: usize, len: usize) -> Self {
        let around = fleetcast_core::trust::statement_len(256, signatures) - 256;
        let payload = vec![0xFC; len.checked_sub(HEADER_LEN + around).unwrap()];
        Self::of(genuine, &payload, signatures)
    }

    /// The genuine payload in so many signatures by the key that signed it.
    ///
    /// # Panics
    ///
    /// If `genuine` is no statement.
    #[must_use]
    pub fn around(genuine: &[u8], signatures: usize) -> Self {
        Self::of(genuine, Envelope::parse(genuine).unwrap().payload(), signatures)
    }

    /// One signature that names a key which nobody trusts.
    ///
    /// # Panics
    ///
    /// If `len` is too short.
    #[must_use]
    pub fn by_nobody(genuine: &[u8], len: usize) -> Self {
        let mut bogus = Self::filling(genuine, 1, len);
        // Empty map, null, and the signature with its head are behind the key id.
        let end = bogus.packet.len() - 68;
        bogus.packet[end - 8..end].fill(0);
        bogus
    }

    fn of(genuine: &[u8], payload: &[u8], signatures: usize) -> Self {
        let model = Envelope::parse(genuine).unwrap();
        let model = model.signatures().next().unwrap();
        let mut junk = *model.bytes;
        // The order is above 2^252.
        junk[63] &= 0x0F;
        let signer = (model.kid, |_: &[u8]| junk);
        let signers: Vec<(KeyId, _)> = vec![signer; signatures];
        let kind = StatementKind::Manifest;
        let statement = encode_statement(kind, payload, &signers).unwrap();
        let tsi = tsi_of(&Sha256::digest(payload).into());
        let header = Header { layer: 0, count: 0, tsi, object: Object::MANIFEST };
        Self { packet: [&header.encode()[..], &statement].concat(), number: 0 }
    }

    /// Octets of each packet.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        self.packet.len()
    }

    /// The next packet, as no other was.
    pub fn next_packet(&mut self) -> &[u8] {
        self.number += 1;
        // In the `S` of the last signature.
        let at = self.packet.len() - 32;
        self.packet[at..at + 8].copy_from_slice(&self.number.to_le_bytes());
        &self.packet
    }
}
