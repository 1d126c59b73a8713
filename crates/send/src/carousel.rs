//! The endless loop of packets of one release (spec §8 \[C-2, C-3, C-7\]).

mod cells;

use std::time::Duration;

use fleetcast_core::fec::{Layers, Schedule, Slot};
use fleetcast_core::tree::Geometry;
use fleetcast_core::wire::{COUNT_MASK, HEADER_LEN, Header, Object, Tsi};

use crate::batch::Batch;
use crate::clock::{Clock, Load};
use crate::source::{Cell, CellError, Source};

use cells::Cells;

/// How far the place may be from what the clock tells: 1/64 of a cycle.
const TOLERANCE: u32 = 1 << 26;

/// A point of a cycle, in 2^32nds of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phase(pub u32);

/// Gives the packets of a release one after the other, from some phase of the cycle on. The first is the manifest, whatever
/// the phase.
///
/// A cycle carries each chunk, page and parity page once on the base layer, and on the others as often as their rates tell;
/// manifests come between them.
///
/// Where a layer has nothing to send while another has, there is a pause as long as the other's packet: no layer is ever
/// faster than its share of the rate, and all keep step.
#[derive(Debug)]
pub struct Carousel {
    source: Source,
    tsi: Tsi,
    schedule: Schedule,
    /// The slot after `next`.
    slot: u64,
    next: Next,
    /// The frame of the last slot that had one, and octets of its longest packet.
    frame: Option<(u64, usize)>,
    /// Packets so far on each layer; modulo 2^28 they are in the headers \[W-5\].
    counts: Vec<u32>,
    cells: Cells,
    /// What is sent out of turn.
    other: Cell,
    /// Packets so far without manifests.
    carried: u64,
    clock: Option<Clock>,
    /// `carried` when the place was last set.
    set: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
struct Next {
    layer: u8,
    /// `None` for a pause.
    slot: Option<Slot>,
    /// Octets it takes as long as.
    len: usize,
    /// Whether the cells sent before it are complete, and others begin with it.
    is_between_cells: bool,
}

impl Carousel {
    /// The carousel of a release on one layer, with a manifest at least every `statement_every` packets, from `phase` on.
    #[must_use]
    pub fn new(source: Source, phase: Phase, statement_every: u32) -> Self {
        Self::layered(source, Layers::ONE, phase, statement_every)
    }

    /// The same on several layers, with a manifest at least every `statement_every` packets of each.
    #[must_use]
    pub fn layered(source: Source, layers: Layers, phase: Phase, statement_every: u32) -> Self {
        let geometries = source.release().geometries().copied().collect();
        let mut carousel = Self {
            tsi: source.release().manifest().tsi(),
            schedule: Schedule::layered(geometries, statement_every, layers),
            slot: 0,
            next: Next { layer: 0, slot: None, len: 0, is_between_cells: false },
            frame: None,
            counts: vec![0; layers.count().into()],
            cells: Cells::new(layers.rate()),
            other: Cell::default(),
            carried: 0,
            clock: None,
            set: 0,
            source,
        };
        carousel.go_to(phase);
        carousel
    }

    /// The layers it is sent on.
    #[must_use]
    pub const fn layers(&self) -> Layers {
        self.schedule.layers()
    }

    /// What a cycle takes, on average.
    #[must_use]
    pub fn load(&self) -> Load {
        let width = u64::from(self.layers().rate());
        let frames = (0..self.schedule.pass_frames()).map(|frame| self.longest(frame)).filter(|&longest| longest > 0);
        // All passes of a cycle have the same frames.
        let data = frames.fold(Load::default(), |load, longest| Load {
            slots: load.slots + width * width,
            octets: load.octets + width * width * longest as u64,
        });
        let manifests = self.schedule.manifests();
        let octets = manifests.saturating_mul(self.len_of(Slot::Statement) as u64);
        Load { slots: data.slots + manifests, octets: data.octets + octets }
    }

    /// Sets the place by a clock, and has [`Carousel::follow`] keep to it. `unix` is the time since the beginning of 1970.
    pub fn lock(&mut self, clock: Clock, unix: Duration) {
        self.clock = Some(clock);
        self.go_to(clock.phase(unix));
    }

    /// Whether what comes next begins a cell on every layer, and so is a place to [`Carousel::follow`] the clock.
    #[must_use]
    pub const fn is_between_cells(&self) -> bool {
        self.next.is_between_cells
    }

    /// Goes to the place that the clock tells, if this one is further from it than 1/64 of a cycle; returns how far ahead it went
    /// then, round the cycle.
    ///
    /// At most once a cycle, so that whoever hears only this sender gets a whole cycle in between, whatever the clock does
    /// and however much slower than its rate this machine is. The pace is the same as ever: a clock that is set causes
    /// neither a burst nor a stall.
    pub fn follow(&mut self, unix: Duration) -> Option<Phase> {
        let told = self.clock?.phase(unix);
        let ahead = told.0.wrapping_sub(self.schedule.phase(self.slot));
        let off = ahead.min(ahead.wrapping_neg());
        if off <= TOLERANCE || self.carried - self.set < self.cycle_packets() {
            return None;
        }
        self.go_to(told);
        Some(Phase(ahead))
    }

    /// Makes the manifest the next packet, and what is at `phase` the one after it.
    fn go_to(&mut self, phase: Phase) {
        self.slot = self.schedule.slot_at(phase.0);
        self.set = self.carried;
        let len = self.len_of(Slot::Statement);
        self.next = Next { layer: 0, slot: Some(Slot::Statement), len, is_between_cells: false };
    }

    /// What is sent.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Cycles completed, and what part of the next is.
    #[must_use]
    pub fn progress(&self) -> (u64, f64) {
        let cycle = self.cycle_packets();
        #[expect(clippy::cast_precision_loss, reason = "a part for people to read")]
        let part = (self.carried % cycle) as f64 / cycle as f64;
        (self.carried / cycle, part)
    }

    /// Octets of the next packet; of a pause, those it takes as long as.
    #[must_use]
    pub const fn next_len(&self) -> usize {
        self.next.len
    }

    /// Layer of the next packet.
    #[must_use]
    pub fn next_layer(&self) -> usize {
        self.next.layer.into()
    }

    /// Adds the next packet to `batch`; nothing if it is a pause.
    ///
    /// # Errors
    ///
    /// Any [`CellError`]: release or images are not what they were. The packet stays the next one; what is in `batch` is
    /// still right.
    pub fn next_packet(&mut self, batch: &mut Batch) -> Result<(), CellError> {
        if let Some(slot) = self.next.slot {
            self.push(slot, batch)?;
        }
        self.next = self.next_slot();
        Ok(())
    }

    fn push(&mut self, slot: Slot, batch: &mut Batch) -> Result<(), CellError> {
        let (object, payload) = match slot {
            Slot::Statement => (Object::MANIFEST, self.source.release().statement()),
            Slot::Page { kind, component, cell } => {
                (Object::Page { kind, component, cell }, self.cells.load(&self.source, component, cell)?.page(kind))
            }
            Slot::Chunk { component, position } => {
                let no_chunk = || CellError::Range { component };
                let geometry = self.geometry(component).ok_or_else(no_chunk)?;
                let (cell, slot) = geometry.slot(position);
                let (sbn, esi) = geometry.symbol(position).ok_or_else(no_chunk)?;
                let chunk = self.cells.load(&self.source, component, cell)?.chunk(slot).ok_or_else(no_chunk)?;
                (Object::Chunk { component, sbn, esi }, chunk)
            }
        };
        batch.push(&header(&mut self.counts, self.next.layer, self.tsi, object), payload);
        self.carried += u64::from(slot != Slot::Statement);
        Ok(())
    }

    /// Adds a packet out of turn to `batch`, that of layer 0. What comes next is the same as before.
    ///
    /// # Errors
    ///
    /// As [`Carousel::next_packet`].
    pub fn packet_of(&mut self, slot: Slot, batch: &mut Batch) -> Result<(), CellError> {
        let Self { source, other, .. } = self;
        let (object, payload) = match slot {
            Slot::Statement => (Object::MANIFEST, source.release().statement()),
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
        batch.push(&header(&mut self.counts, 0, self.tsi, object), payload);
        Ok(())
    }

    /// Adds a statement other than the manifest to `batch`, that of layer 0. What comes next is the same as before.
    pub fn push_statement(&mut self, object: Object, statement: &[u8], batch: &mut Batch) {
        batch.push(&header(&mut self.counts, 0, self.tsi, object), statement);
    }

    /// What the next slot that takes time is.
    fn next_slot(&mut self) -> Next {
        loop {
            let at = self.slot;
            self.slot += 1;
            let (layer, slot) = (self.schedule.layer(at), self.schedule.at(at));
            let Some(frame) = self.schedule.frame(at) else {
                return Next { layer, slot, len: self.len_of(Slot::Statement), is_between_cells: false };
            };
            let (longest, is_new) = match self.frame {
                Some((same, longest)) if same == frame => (longest, false),
                _ => (self.longest(frame), true),
            };
            self.frame = Some((frame, longest));
            if longest > 0 {
                let is_between_cells = is_new && self.schedule.begins_group(frame);
                return Next { layer, slot, len: longest, is_between_cells };
            }
        }
    }

    /// Octets of the longest packet of a frame; 0 if it has none.
    fn longest(&self, frame: u64) -> usize {
        self.schedule.packets(frame).map(|slot| self.len_of(slot)).max().unwrap_or(0)
    }

    /// Octets of a packet.
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

    /// Packets of a cycle, manifests left out.
    fn cycle_packets(&self) -> u64 {
        (self.source.volume().packets * u64::from(self.layers().rate())).max(1)
    }

    fn geometry(&self, component: u8) -> Option<&Geometry> {
        self.source.release().geometries().nth(component.into())
    }
}

/// The header of the next packet of a layer, whatever it carries: all are counted \[W-5\].
fn header(counts: &mut [u32], layer: u8, tsi: Tsi, object: Object) -> [u8; HEADER_LEN] {
    let count = counts.get(usize::from(layer)).copied().unwrap_or_default();
    if let Some(next) = counts.get_mut(usize::from(layer)) {
        *next = (count + 1) & COUNT_MASK;
    }
    Header { layer, count, tsi, object }.encode()
}
