//! Requests for packets that a receiver lacks: one datagram from receivers to senders and to each other (spec §16).
//!
//! Nothing in a request is authenticated. All that may follow from one is that a packet of a signed release is sent once
//! more, or that a receiver asks later.

use alloc::vec::Vec;
use core::fmt;

use crate::reader::Reader;
use crate::tree::{Geometry, MAX_CELL};
use crate::wire::MAX_COMPONENTS;

/// Octets of the largest request \[N-1\].
pub const MAX_LEN: usize = 1232;
/// Most entries of a request \[N-3\].
pub const MAX_ENTRIES: usize = (MAX_LEN - HEAD_LEN) / ENTRY_LEN;

/// Octets before the entries: the mark (4) and the release (16).
const HEAD_LEN: usize = 20;
/// Octets of an entry.
const ENTRY_LEN: usize = 13;
/// What a request begins with: `FCN`, and the version. No packet begins with its first octet.
const MARK: [u8; 4] = *b"FCN\x01";
/// In the first octet of an entry: the page is wanted too.
const PAGE: u8 = 0x80;

/// Names a release in a request: the first 16 octets of SHA-256 of its manifest payload, of which the first 4 are its TSI.
pub type Release = [u8; 16];

/// What is wanted of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Component number, 0..=7.
    pub component: u8,
    /// Cell index.
    pub cell: u32,
    /// The page is wanted.
    pub page: bool,
    /// Bit `1 << slot` for each chunk wanted.
    pub slots: u64,
}

/// A request whose form was checked. Whether there are such cells and slots is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The release it is about.
    pub release: Release,
    entries: &'a [[u8; ENTRY_LEN]],
}

/// Why a datagram is no request. It is dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NackError {
    /// It ends before its first entry does, or within another \[N-3\].
    Truncated,
    /// It is longer than a request may be \[N-1\].
    Length {
        /// Octets as received.
        got: usize,
    },
    /// It does not begin as a request of this version does \[N-2\].
    Mark,
    /// A reserved bit of an entry is set \[N-4\].
    Reserved,
    /// An entry wants nothing \[N-4\].
    Empty,
    /// Entries do not ascend by component and cell \[N-4\].
    Order,
}

impl NackError {
    /// The word for it in counters and vectors (spec §12).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Length { .. } => "length",
            Self::Mark => "mark",
            Self::Reserved => "reserved",
            Self::Empty => "empty",
            Self::Order => "order",
        }
    }
}

impl fmt::Display for NackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl core::error::Error for NackError {}

impl<'a> Request<'a> {
    /// Checks the form of a datagram.
    ///
    /// # Errors
    ///
    /// The first [`NackError`] in the order of its variants; those of entries for the first entry that is wrong.
    ///
    /// Spec §16 \[N-1 .. N-4\].
    pub fn decode(datagram: &'a [u8]) -> Result<Self, NackError> {
        let mut r = Reader::new(datagram);
        let truncated = |_| NackError::Truncated;
        let mark: [u8; 4] = r.array().map_err(truncated)?;
        let release = r.array().map_err(truncated)?;
        let (entries, rest) = r.rest().as_chunks::<ENTRY_LEN>();
        if entries.is_empty() || !rest.is_empty() {
            return Err(NackError::Truncated);
        }
        if datagram.len() > MAX_LEN {
            return Err(NackError::Length { got: datagram.len() });
        }
        if mark != MARK {
            return Err(NackError::Mark);
        }
        let request = Self { release, entries };
        let mut before = None;
        for (octets, entry) in entries.iter().zip(request.entries()) {
            let [first, ..] = *octets;
            if first & !PAGE >= COMPONENTS {
                return Err(NackError::Reserved);
            }
            if !entry.page && entry.slots == 0 {
                return Err(NackError::Empty);
            }
            if before.replace((entry.component, entry.cell)) >= Some((entry.component, entry.cell)) {
                return Err(NackError::Order);
            }
        }
        Ok(request)
    }

    /// What is wanted, by component and cell.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        self.entries.iter().map(|&[first, c0, c1, c2, c3, s0, s1, s2, s3, s4, s5, s6, s7]| Entry {
            component: first & !PAGE,
            cell: u32::from_be_bytes([c0, c1, c2, c3]),
            page: first & PAGE != 0,
            slots: u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        })
    }
}

/// Components there can be.
#[expect(clippy::cast_possible_truncation, reason = "it is 8")]
const COMPONENTS: u8 = MAX_COMPONENTS as u8;

impl Entry {
    /// Whether a component has this cell, and the cell these slots \[N-5\].
    #[must_use]
    pub fn exists_in(&self, geometry: &Geometry) -> bool {
        geometry.cell_at(self.cell).is_some_and(|cell| self.slots & !all_slots(cell.len) == 0)
    }
}

/// The bits of the first `len` slots of a cell.
#[must_use]
pub const fn all_slots(len: u32) -> u64 {
    match u64::MAX.checked_shr(MAX_CELL.saturating_sub(len)) {
        Some(slots) => slots,
        None => 0,
    }
}

/// The datagram that asks for `entries` of a release: of those that ask for something, the first of each cell, and no more than
/// [`MAX_ENTRIES`] of the lowest cells. Empty if there is none.
///
/// Spec §16 \[N-1 .. N-4\].
#[must_use]
pub fn encode(release: &Release, entries: &[Entry]) -> Vec<u8> {
    let mut entries: Vec<_> = entries.iter().filter(|entry| entry.page || entry.slots != 0).collect();
    entries.sort_by_key(|entry| (entry.component, entry.cell));
    entries.dedup_by_key(|entry| (entry.component, entry.cell));
    let mut datagram = Vec::new();
    if entries.is_empty() {
        return datagram;
    }
    datagram.extend_from_slice(&MARK);
    datagram.extend_from_slice(release);
    for entry in entries.into_iter().take(MAX_ENTRIES) {
        datagram.push(entry.component | if entry.page { PAGE } else { 0 });
        datagram.extend_from_slice(&entry.cell.to_be_bytes());
        datagram.extend_from_slice(&entry.slots.to_be_bytes());
    }
    datagram
}

/// The name of a release in requests, from the SHA-256 of its manifest payload.
#[must_use]
pub fn release_of(payload_digest: &[u8; 32]) -> Release {
    payload_digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Packet;
    use std::vec;

    fn entry(component: u8, cell: u32, slots: u64) -> Entry {
        Entry { component, cell, page: false, slots }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_in_order() {
        let wanted = [entry(7, 9, 1 << 63), Entry { page: true, ..entry(0, 2, 0) }, entry(0, 1, 6), entry(3, 0, 0)];
        let datagram = encode(&[5; 16], &wanted);
        let request = Request::decode(&datagram).unwrap();
        assert_eq!(request.release, [5; 16]);
        let [last, middle, first, _] = wanted;
        assert_eq!(request.entries().collect::<Vec<_>>(), [first, middle, last]);
        assert!(encode(&[5; 16], &[entry(0, 0, 0)]).is_empty());
    }

    #[test]
    fn the_largest_request_fits_and_is_no_packet() {
        let wanted: Vec<_> = (0..200).map(|cell| entry(0, cell, 1)).collect();
        let datagram = encode(&[5; 16], &wanted);
        assert!(datagram.len() <= MAX_LEN && datagram.len() + ENTRY_LEN > MAX_LEN);
        assert_eq!(Request::decode(&datagram).unwrap().entries().count(), MAX_ENTRIES);
        assert!(Packet::decode(&datagram).is_err());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_of_a_request_is_refused_or_another_request() {
        let datagram = encode(&[5; 16], &[entry(0, 1, 1), entry(0, 2, 3)]);
        for len in 0..datagram.len() {
            let cut = Request::decode(datagram.get(..len).unwrap());
            assert_eq!(cut.is_ok(), len == HEAD_LEN + ENTRY_LEN, "{len} octets");
        }
        let whole = Request::decode(&datagram).unwrap();
        for bit in 0..datagram.len() * 8 {
            let mut flipped = datagram.clone();
            *flipped.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            if let Ok(other) = Request::decode(&flipped) {
                assert_ne!(other, whole);
                assert_eq!(encode(&other.release, &other.entries().collect::<Vec<_>>()), flipped);
            }
        }
    }

    #[test]
    fn slots_that_a_cell_does_not_have_are_told_apart() {
        assert_eq!([0, 1, 8, 63, 64].map(all_slots), [0, 1, 0xFF, u64::MAX >> 1, u64::MAX]);
        let p = crate::tree::Parameters { size: 64 * 70, chunk: 64, cell: 64, repair: 0, digest: 16, cap_len: 16 };
        let g = Geometry::new(&p).unwrap();
        let exists = vec![(0, u64::MAX, true), (1, 0b11_1111, true), (1, 0b100_0000, false), (2, 1, false)];
        for (cell, slots, expected) in exists {
            assert_eq!(entry(0, cell, slots).exists_in(&g), expected, "cell {cell}, slots {slots:b}");
        }
    }
}
