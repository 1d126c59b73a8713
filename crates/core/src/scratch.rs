//! Where things lie in the scratch space of a component: what a receiver keeps beside the image. Pure arithmetic; callers do the I/O.

use alloc::vec::Vec;

use crate::tree::Geometry;
use crate::wire::PageKind;

/// Octets in front of a page: the length of its payload, big-endian, 0 if there is none.
const LENGTH: usize = 2;
/// Repair chunks start at a multiple of this, so that a chunk does not straddle one disk block more than it must.
const ALIGN: u64 = 4096;

/// Makes `slot` what a page is kept as.
pub fn to_slot(payload: &[u8], slot: &mut Vec<u8>) {
    // Longer ones do not verify and never come here; cut short they would not either.
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    slot.clear();
    slot.extend_from_slice(&length.to_be_bytes());
    slot.extend_from_slice(payload);
}

/// Leaves of a slot as it was read the payload, or nothing if there is no page in it.
pub fn from_slot(slot: &mut Vec<u8>) {
    let length = slot.first_chunk().map_or(0, |&length: &[u8; LENGTH]| u16::from_be_bytes(length));
    slot.drain(..LENGTH.min(slot.len()));
    // A length that cannot be is damage: no page.
    slot.truncate(if usize::from(length) <= slot.len() { length.into() } else { 0 });
}

/// Slots of all pages, slots of all parity pages, then the repair chunks by number. Slots have one size, so the place of
/// everything follows from the geometry; what was never written is a hole and reads as zeros: no page.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    cells: u64,
    slot: usize,
    chunk: u64,
    repair_chunks: u64,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "below 2^26 slots of less than 2^14 octets and 2^24 chunks of as many"
)]
impl Layout {
    /// The layout for a component of this geometry.
    #[must_use]
    pub fn new(g: &Geometry) -> Self {
        Self {
            cells: g.cells().into(),
            slot: LENGTH + g.max_page_payload_len(),
            chunk: g.chunk_len() as u64,
            repair_chunks: g.repair_chunks().into(),
        }
    }

    /// Octets of all.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.repair(0) + self.repair_chunks * self.chunk
    }

    /// Octets of a page's slot.
    #[must_use]
    pub const fn slot(&self) -> usize {
        self.slot
    }

    /// Offset of the slot of a page or parity page.
    #[must_use]
    pub fn page(&self, kind: PageKind, cell: u32) -> u64 {
        let before = if kind == PageKind::Page { 0 } else { self.cells };
        (before + u64::from(cell)) * self.slot as u64
    }

    /// Offset of the repair chunk with this number; of the first, octets of all slots.
    #[must_use]
    pub const fn repair(&self, number: u64) -> u64 {
        (2 * self.cells * self.slot as u64).next_multiple_of(ALIGN) + number * self.chunk
    }
}
