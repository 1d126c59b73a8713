//! The endless loop of packets of one release (spec §8 \[C-2, C-3\]).

use fleetcast_core::fec::{Schedule, Slot};
use fleetcast_core::tree::Geometry;
use fleetcast_core::wire::{COUNT_MASK, HEADER_LEN, Header, Object, StatementKind, Tsi};

use crate::batch::Batch;
use crate::source::{Cell, CellError, Source};

/// A point of a cycle, in 2^32nds of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phase(pub u32);

/// Gives the packets of a release one after the other, from some phase of the cycle on. The first is the manifest, whatever
/// the phase.
///
/// A cycle carries each chunk, page and parity page once, and manifests between them.
#[derive(Debug)]
pub struct Carousel {
    source: Source,
    tsi: Tsi,
    schedule: Schedule,
    /// The slot after `next`.
    slot: u64,
    /// What comes next.
    next: Slot,
    /// Packets so far; modulo 2^28 it is in each header \[W-5\].
    count: u32,
    cell: Cell,
    /// What is sent out of turn.
    other: Cell,
    /// Component and index of what is in `cell`.
    loaded: Option<(u8, u32)>,
    /// Packets so far without manifests.
    carried: u64,
}

impl Carousel {
    /// The carousel of a release with a manifest at least every `statement_every` packets, from `phase` on.
    #[must_use]
    pub fn new(source: Source, phase: Phase, statement_every: u32) -> Self {
        let schedule = Schedule::new(source.release().geometries().copied().collect(), statement_every);
        let slot = (u128::from(schedule.cycle()) * u128::from(phase.0)) >> 32;
        let slot = u64::try_from(slot).unwrap_or_default();
        let begins_with_manifest = schedule.at(slot) == Some(Slot::Statement);
        Self {
            tsi: source.release().manifest().tsi(),
            source,
            schedule,
            slot: slot + u64::from(begins_with_manifest),
            next: Slot::Statement,
            count: 0,
            cell: Cell::default(),
            other: Cell::default(),
            loaded: None,
            carried: 0,
        }
    }

    /// What is sent.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Cycles completed, and what part of the next is.
    #[must_use]
    pub fn progress(&self) -> (u64, f64) {
        let cycle = self.source.volume().packets.max(1);
        #[expect(clippy::cast_precision_loss, reason = "a part for people to read")]
        let part = (self.carried % cycle) as f64 / cycle as f64;
        (self.carried / cycle, part)
    }

    /// Octets of the next packet.
    #[must_use]
    pub fn next_len(&self) -> usize {
        self.len_of(self.next)
    }

    /// Octets of the packet of a slot.
    #[must_use]
    pub fn len_of(&self, slot: Slot) -> usize {
        let payload = match slot {
            Slot::Statement => Some(self.source.release().statement().len()),
            Slot::Page { kind, component, cell } => {
                self.geometry(component).and_then(|geometry| geometry.page_payload_len(kind, cell))
            }
            Slot::Chunk { component, .. } => self.geometry(component).map(Geometry::chunk_len),
        };
        HEADER_LEN + payload.unwrap_or_default()
    }

    /// Adds the next packet to `batch`.
    ///
    /// # Errors
    ///
    /// Any [`CellError`]: release or images are not what they were. The packet stays the next one; what is in `batch` is
    /// still right.
    pub fn next_packet(&mut self, batch: &mut Batch) -> Result<(), CellError> {
        let (object, payload) = match self.next {
            Slot::Statement => {
                let object = Object::Statement { kind: StatementKind::Manifest };
                (object, self.source.release().statement())
            }
            Slot::Page { kind, component, cell } => {
                self.load(component, cell)?;
                (Object::Page { kind, component, cell }, self.cell.page(kind))
            }
            Slot::Chunk { component, position } => {
                let no_chunk = || CellError::Range { component };
                let geometry = self.geometry(component).ok_or_else(no_chunk)?;
                let (cell, slot) = geometry.slot(position);
                let (sbn, esi) = geometry.symbol(position).ok_or_else(no_chunk)?;
                self.load(component, cell)?;
                (Object::Chunk { component, sbn, esi }, self.cell.chunk(slot).ok_or_else(no_chunk)?)
            }
        };
        batch.push(&header(&mut self.count, self.tsi, object), payload);
        self.carried += u64::from(self.next != Slot::Statement);
        self.next = self.next_slot();
        Ok(())
    }

    /// Adds a packet out of turn to `batch`. The next one of the loop is the same as before.
    ///
    /// # Errors
    ///
    /// As [`Carousel::next_packet`].
    pub fn packet_of(&mut self, slot: Slot, batch: &mut Batch) -> Result<(), CellError> {
        let Self { source, other, .. } = self;
        let (object, payload) = match slot {
            Slot::Statement => (Object::Statement { kind: StatementKind::Manifest }, source.release().statement()),
            Slot::Page { kind, component, cell } => {
                source.read_slot(component, cell, None, other)?;
                (Object::Page { kind, component, cell }, other.page(kind))
            }
            Slot::Chunk { component, position } => {
                let no_chunk = || CellError::Range { component };
                let geometry = source.release().geometries().nth(component.into()).ok_or_else(no_chunk)?;
                let (cell, slot) = geometry.slot(position);
                let (sbn, esi) = geometry.symbol(position).ok_or_else(no_chunk)?;
                source.read_slot(component, cell, Some(slot), other)?;
                (Object::Chunk { component, sbn, esi }, other.chunk(0).ok_or_else(no_chunk)?)
            }
        };
        batch.push(&header(&mut self.count, self.tsi, object), payload);
        Ok(())
    }

    /// What the next slot carries that is not empty.
    fn next_slot(&mut self) -> Slot {
        loop {
            let slot = self.schedule.at(self.slot);
            self.slot += 1;
            if let Some(slot) = slot {
                return slot;
            }
        }
    }

    fn load(&mut self, component: u8, cell: u32) -> Result<(), CellError> {
        if self.loaded != Some((component, cell)) {
            self.loaded = None;
            self.source.read(component, cell, &mut self.cell)?;
            self.loaded = Some((component, cell));
        }
        Ok(())
    }

    fn geometry(&self, component: u8) -> Option<&Geometry> {
        self.source.release().geometries().nth(component.into())
    }
}

/// The header of the next packet, whatever it carries: all are counted \[W-5\].
fn header(count: &mut u32, tsi: Tsi, object: Object) -> [u8; HEADER_LEN] {
    let header = Header { layer: 0, count: *count, tsi, object };
    *count = (*count + 1) & COUNT_MASK;
    header.encode()
}
