//! Bogus statements, each as dear to a receiver as it can be: whatever is cheap to check is right.

use fleetcast_core::release::{HEAD_LEN, decode_head};
use fleetcast_core::trust::{KeyId, encode_statement, statement_len, tsi_of};
use fleetcast_core::wire::{HEADER_LEN, Header, Object};
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
/// Template and TSI are right, and nothing but verifying them tells that the signatures are not: `R` is a point of the curve, and `S` below
/// the order of the group.
#[derive(Clone, Debug)]
pub struct Bogus {
    packet: Vec<u8>,
    number: u64,
}

impl Bogus {
    /// Statements with this payload in so many signatures by this key; `object` says which kind.
    ///
    /// # Panics
    ///
    /// If `object` is no statement, or it would be too long.
    #[must_use]
    pub fn around(payload: &[u8], object: Object, kid: KeyId, signatures: usize) -> Self {
        let Object::Statement { kind, .. } = object else { panic!("{object:?} is no statement") };
        // The base point, and 0.
        let mut junk = [0; 64];
        junk[..32].fill(0x66);
        junk[0] = 0x58;
        let statement = encode_statement(kind, payload, &vec![(kid, |_: &[u8]| junk); signatures]).unwrap();
        let header = Header { layer: 0, count: 0, tsi: tsi_of(&Sha256::digest(payload).into()), object };
        Self { packet: [&header.encode()[..], &statement].concat(), number: 0 }
    }

    /// The same around a payload with which each packet has `len` octets.
    ///
    /// # Panics
    ///
    /// As [`Bogus::around`], or if `len` is too short for it.
    #[must_use]
    pub fn filling(len: usize, object: Object, kid: KeyId, signatures: usize) -> Self {
        let around = statement_len(256, signatures) - 256;
        let payload = vec![0xFC; len.checked_sub(HEADER_LEN + around).unwrap()];
        Self::around(&payload, object, kid, signatures)
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
