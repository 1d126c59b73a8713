//! What is sent when, and on which layer: one pure function from slot number to packet (spec §8 \[C-2, C-3, C-7\]).

use alloc::vec::Vec;

use super::layers::{Layers, layer_rate, prefix_rate};
use crate::tree::Geometry;
use crate::wire::PageKind;

/// What a slot of the carousel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The manifest.
    Statement,
    /// A page or parity page.
    Page {
        /// Which of both.
        kind: PageKind,
        /// Component number.
        component: u8,
        /// Cell index.
        cell: u32,
    },
    /// A chunk.
    Chunk {
        /// Component number.
        component: u8,
        /// Position in send order \[G-5\].
        position: u32,
    },
}

/// The carousel of one release, on one or several layers.
///
/// Slots are numbered from 0 without end. Every `statement_every`-th is the manifest; the others run through the cells, each as wide as the
/// widest cell of the release with its two pages. Where a cell is shorter, slots are empty.
///
/// Of several layers, the slots that are not the manifest's stand in frames, and each layer has as many of a frame as its rate tells. As many
/// cells as a frame has slots are a group and go through the frames side by side: a frame carries one packet of each. From one pass over all
/// groups to the next the cells change layers, so that whoever hears the lowest layers, however many, hears every packet once before any
/// comes again. The last group may have too few cells; the missing ones are empty slots. Manifests go to the layers by turns, as often as
/// their rates tell. Of one layer, a frame is a slot and a group is a cell.
#[derive(Clone, Debug)]
pub struct Schedule {
    components: Vec<Geometry>,
    layers: Layers,
    statement_every: u64,
    cell_slots: u64,
    cells: u64,
}

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "cells of a release stay below 2^26, products of two such counts below 2^53; divisors are at least 1; component numbers come from this release"
)]
impl Schedule {
    /// The carousel of components with these geometries on one layer, with a manifest every `statement_every` slots (at least 2), and at
    /// least once a cycle.
    #[must_use]
    pub fn new(components: Vec<Geometry>, statement_every: u32) -> Self {
        Self::layered(components, statement_every, Layers::ONE)
    }

    /// The same on several layers; on each of them every `statement_every`-th packet is the manifest.
    #[must_use]
    pub fn layered(components: Vec<Geometry>, statement_every: u32, layers: Layers) -> Self {
        let widest = components.iter().map(Geometry::cell).max().unwrap_or(1);
        let cells = components.iter().map(|g| u64::from(g.cells())).sum::<u64>().max(1);
        let mut schedule = Self { components, layers, statement_every: 0, cell_slots: u64::from(widest) + 2, cells };
        // At least once a cycle, so that a small release is not many cycles without its manifest.
        schedule.statement_every = u64::from(statement_every.max(2)).min(schedule.pass() + 1);
        schedule
    }

    /// The layers it is sent on.
    #[must_use]
    pub const fn layers(&self) -> Layers {
        self.layers
    }

    /// Slots in which every packet of the release comes once on the base layer, and so as often as a frame has slots on all of them
    /// together; from any slot on.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        self.round(1)
    }

    /// Slots in which every packet of the release comes once on the first `layers` layers together, from any frame on; if there are not so
    /// many, on all.
    #[must_use]
    pub fn round(&self, layers: u8) -> u64 {
        let passes = u64::from(self.layers.rate() / prefix_rate(layers.min(self.layers.count())));
        let data = self.pass() * passes;
        data + data.div_ceil(self.statement_every - 1)
    }

    /// Layer of a slot.
    #[must_use]
    pub fn layer(&self, slot: u64) -> u8 {
        self.layers.of_slot(self.data_slot(slot).unwrap_or(slot / self.statement_every)).0
    }

    /// The frame of a slot, counted without end; `None` if it is the manifest's.
    #[must_use]
    pub fn frame(&self, slot: u64) -> Option<u64> {
        Some(self.data_slot(slot)? / self.width())
    }

    /// Whether the cells of a group begin with this frame.
    #[must_use]
    pub fn begins_group(&self, frame: u64) -> bool {
        frame.is_multiple_of(self.cell_slots)
    }

    /// Frames of a pass over all groups; every pass has as many, and the same packets in each.
    #[must_use]
    pub fn pass_frames(&self) -> u64 {
        self.pass() / self.width()
    }

    /// The packets of a frame.
    pub fn packets(&self, frame: u64) -> impl Iterator<Item = Slot> {
        let first = frame * self.width();
        (first..first + self.width()).filter_map(|data| self.data(data))
    }

    /// Manifests of a cycle, on average and rounded down.
    #[must_use]
    pub fn manifests(&self) -> u64 {
        self.cycle_data() / (self.statement_every - 1)
    }

    /// The slot that comes after so many 2^32nds of a cycle.
    #[must_use]
    pub fn slot_at(&self, phase: u32) -> u64 {
        let data = (u128::from(self.cycle_data()) * u128::from(phase)) >> 32;
        let data = u64::try_from(data).unwrap_or_default();
        data + data / (self.statement_every - 1) + 1
    }

    /// How many 2^32nds of a cycle come before a slot.
    #[must_use]
    pub fn phase(&self, slot: u64) -> u32 {
        let data = (slot - slot.div_ceil(self.statement_every)) % self.cycle_data();
        u32::try_from((u128::from(data) << 32) / u128::from(self.cycle_data())).unwrap_or_default()
    }

    /// What `slot` carries; `None` if it is empty.
    #[must_use]
    pub fn at(&self, slot: u64) -> Option<Slot> {
        self.data_slot(slot).map_or(Some(Slot::Statement), |data| self.data(data))
    }

    /// What the slot carries before which so many are not the manifest's.
    fn data(&self, data: u64) -> Option<Slot> {
        let (layer, number) = self.layers.of_slot(data);
        let first = if layer == 0 { 0 } else { u64::from(layer_rate(layer)) };
        let (pass, frame) = (data / self.pass(), data / self.width());
        let place = (first + number) ^ reversed(pass, self.layers.count() - 1);
        let group = frame / self.cell_slots % self.groups();
        let (component, cell) = self.cell_at(group * self.width() + place)?;
        let chunks = self.components[usize::from(component)].cell_at(cell)?;
        let place = u32::try_from(frame % self.cell_slots).ok()?;
        match place {
            0 => Some(Slot::Page { kind: PageKind::Page, component, cell }),
            _ if place <= chunks.len => Some(Slot::Chunk { component, position: chunks.start + place - 1 }),
            _ if place == chunks.len + 1 => Some(Slot::Page { kind: PageKind::Parity, component, cell }),
            _ => None,
        }
    }

    /// How many slots before this one are not the manifest's; `None` if this one is.
    fn data_slot(&self, slot: u64) -> Option<u64> {
        (!slot.is_multiple_of(self.statement_every)).then(|| slot - slot / self.statement_every - 1)
    }

    /// Slots of a frame, and cells of a group.
    fn width(&self) -> u64 {
        self.layers.rate().into()
    }

    fn groups(&self) -> u64 {
        self.cells.div_ceil(self.width())
    }

    /// Slots of a cycle, without manifests.
    fn cycle_data(&self) -> u64 {
        self.pass() * self.width()
    }

    /// Slots of a pass over all groups, without manifests.
    fn pass(&self) -> u64 {
        self.groups() * self.width() * self.cell_slots
    }

    /// Component and cell that come `order`-th of all cells \[C-2\].
    fn cell_at(&self, order: u64) -> Option<(u8, u32)> {
        (0..self.components.len()).find_map(|component| {
            let cells = u64::from(self.components[component].cells());
            // `order_of` grows with the cell: search for the cell that comes at `order`.
            let (mut low, mut high) = (0, cells);
            while low < high {
                let middle = low.midpoint(high);
                if self.order_of(component, middle) < order { low = middle + 1 } else { high = middle }
            }
            let found = low < cells && self.order_of(component, low) == order;
            found.then_some((u8::try_from(component).ok()?, u32::try_from(low).ok()?))
        })
    }

    /// How many cells of all components come before `cell` of `component`.
    fn order_of(&self, component: usize, cell: u64) -> u64 {
        let own = u64::from(self.components[component].cells());
        let before = |(other, geometry): (usize, &Geometry)| {
            let bound = (2 * cell + 1) * u64::from(geometry.cells());
            // Cells k of the other with (2k+1) * own below `bound`, or equal to it where the other has precedence.
            let odd = match other.cmp(&component) {
                core::cmp::Ordering::Less => bound / own,
                core::cmp::Ordering::Equal => return cell,
                core::cmp::Ordering::Greater => bound.div_ceil(own) - 1,
            };
            odd.div_ceil(2)
        };
        self.components.iter().enumerate().map(before).sum()
    }
}

/// The lowest `bits` bits of a number, fewer than 64, in reverse.
fn reversed(number: u64, bits: u8) -> u64 {
    // In two steps: all 64 bits at once cannot be shifted out.
    (number.reverse_bits() >> 1) >> 63_u32.saturating_sub(bits.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::MAX_LAYERS;
    use crate::tree::Parameters;
    use std::collections::HashSet;
    use std::vec;

    fn geometry(size: u64, cell: u64, repair: u64) -> Geometry {
        let p = Parameters { size, chunk: 64, cell, repair, digest: 16, cap_len: 16 };
        Geometry::new(&p).unwrap()
    }

    #[test]
    fn a_cycle_from_any_slot_carries_every_packet_once() {
        let components = vec![geometry(64 * 777, 64, 100), geometry(1, 8, 100), geometry(64 * 100, 24, 33)];
        let packets: usize = components.iter().map(|g| usize::try_from(g.chunks() + 2 * g.cells()).unwrap()).sum();
        let schedule = Schedule::new(components, 16);
        for start in [0, 1, 15, 16, 17, 1000, 123_456_789] {
            let sent: vec::Vec<_> = (start..start + schedule.cycle())
                .filter_map(|s| schedule.at(s))
                .filter(|s| *s != Slot::Statement)
                .collect();
            let distinct: HashSet<_> = sent.iter().map(|slot| std::format!("{slot:?}")).collect();
            assert_eq!(distinct.len(), packets, "from slot {start}");
            assert!(sent.len() <= packets + 32, "from slot {start}: {} packets", sent.len());
        }
    }

    /// The first slot of a frame, from `slot` on.
    #[expect(clippy::arithmetic_side_effects, reason = "test code")]
    fn frame_from(schedule: &Schedule, slot: u64) -> u64 {
        let begins = |&slot: &u64| schedule.data_slot(slot).is_some_and(|data| data.is_multiple_of(schedule.width()));
        (slot..slot + 2 * schedule.width() + 2).find(begins).unwrap()
    }

    /// How often the first `layers` layers carry a packet again, manifests left out, from `start` on until every packet has come, and
    /// the slots that takes.
    #[expect(clippy::arithmetic_side_effects, reason = "test code")]
    fn until_complete(schedule: &Schedule, layers: u8, start: u64) -> (usize, u64) {
        let packets: u64 = schedule.components.iter().map(|g| u64::from(g.chunks()) + 2 * u64::from(g.cells())).sum();
        let (mut seen, mut again) = (HashSet::new(), 0);
        for slot in start..start + 2 * schedule.round(layers) {
            match schedule.at(slot) {
                Some(carried) if schedule.layer(slot) < layers && carried != Slot::Statement => {
                    again += usize::from(!seen.insert(carried));
                    if seen.len() as u64 == packets {
                        return (again, slot + 1 - start);
                    }
                }
                _ => {}
            }
        }
        panic!("{} of {packets} after two rounds", seen.len());
    }

    #[test]
    fn any_prefix_of_layers_from_any_start_repeats_nothing_until_all_has_come() {
        let releases = [
            vec![geometry(64 * 777, 64, 100)],
            vec![geometry(64 * 501, 16, 100), geometry(1, 8, 100), geometry(64 * 100, 24, 33)],
            vec![geometry(64 * 8 * 9, 8, 0), geometry(64 * 131, 8, 7)],
            vec![geometry(1, 8, 0)],
        ];
        for (number, components) in releases.iter().enumerate() {
            for count in 1..=MAX_LAYERS {
                let all = Layers::new(count).unwrap();
                let schedule = Schedule::layered(components.clone(), 16, all);
                for layers in 1..=count {
                    for near in [0, 15, 16, 99, 12_345, 123_456_789] {
                        let start = frame_from(&schedule, near);
                        let (again, slots) = until_complete(&schedule, layers, start);
                        assert_eq!(again, 0, "release {number}, {layers} of {count} layers from slot {start}");
                        assert!(slots <= schedule.round(layers), "release {number}, {layers} of {count} layers");
                    }
                }
            }
        }
    }

    #[test]
    fn a_phase_names_the_same_place_in_every_cycle() {
        for count in [1, 4] {
            let layers = Layers::new(count).unwrap();
            let schedule = Schedule::layered(vec![geometry(64 * 777, 64, 50)], 16, layers);
            // 15 cycles: a sixteenth of the slots is the manifest.
            let later = schedule.cycle_data() * 16;
            let slots_apart = u32::MAX / u32::try_from(schedule.cycle_data()).unwrap() + 1;
            for phase in [0, 1, 1 << 20, 1 << 31, u32::MAX] {
                let slot = schedule.slot_at(phase);
                let near = schedule.phase(slot);
                assert!(near <= phase && phase - near <= slots_apart, "{phase} is {near}");
                assert_ne!(schedule.at(slot), Some(Slot::Statement));
                assert_eq!(schedule.at(slot), schedule.at(slot + later));
                assert_eq!(schedule.phase(slot + later), near);
            }
        }
    }

    #[test]
    fn who_starts_within_a_frame_gets_at_most_that_frame_again() {
        let schedule = Schedule::layered(vec![geometry(64 * 777, 64, 50)], 16, Layers::new(4).unwrap());
        for layers in 1..=4 {
            for start in [1, 7, 134, 8_005, 123_456_789] {
                let (again, slots) = until_complete(&schedule, layers, start);
                assert!(
                    again <= 8 && slots <= schedule.round(layers) + 8,
                    "{layers} layers from slot {start}: {again}"
                );
            }
        }
    }

    #[test]
    fn every_so_many_packets_of_a_layer_are_the_manifest() {
        let components = vec![geometry(64 * 777, 64, 50)];
        for count in [1, 4] {
            let schedule = Schedule::layered(components.clone(), 16, Layers::new(count).unwrap());
            for layer in 0..count {
                let own = (0..).filter(|&slot| schedule.layer(slot) == layer);
                let manifest = |&slot: &u64| schedule.at(slot) == Some(Slot::Statement);
                let rate = usize::try_from(layer_rate(layer)).unwrap();
                assert_eq!(own.take(16 * 100 * rate).filter(manifest).count(), 100 * rate, "layer {layer} of {count}");
            }
        }
    }

    #[test]
    fn cells_of_several_components_interleave_in_proportion() {
        let schedule = Schedule::new(vec![geometry(64 * 800, 8, 0), geometry(64 * 200, 8, 0)], 256);
        let order: vec::Vec<_> = (0..125).map(|i| schedule.cell_at(i).unwrap()).collect();
        for window in order.chunks(5) {
            assert_eq!(window.iter().filter(|(component, _)| *component == 1).count(), 1, "{order:?}");
        }
        assert!(schedule.cell_at(125).is_none());
    }

    #[test]
    fn the_order_is_that_of_the_spec() {
        let schedule =
            Schedule::new(vec![geometry(64 * 56, 8, 50), geometry(64 * 24, 8, 50), geometry(64, 8, 100)], 256);
        let mut cells: vec::Vec<(u64, u64, u8, u32)> = vec![];
        for (c, g) in (0..).zip(&schedule.components) {
            cells.extend((0..g.cells()).map(|j| (u64::from(2 * j + 1), u64::from(g.cells()), c, j)));
        }
        cells.sort_by(|a, b| (a.0 * b.1, a.2).cmp(&(b.0 * a.1, b.2)));
        let got: vec::Vec<_> = (0..schedule.cells).map(|i| schedule.cell_at(i).unwrap()).collect();
        assert_eq!(got, cells.iter().map(|&(_, _, c, j)| (c, j)).collect::<vec::Vec<_>>());
    }
}
