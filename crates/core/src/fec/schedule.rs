//! What is sent when: one pure function from slot number to packet (spec §8 \[C-2, C-3\]).

use alloc::vec::Vec;

use crate::tree::Geometry;
use crate::wire::PageKind;

/// What a slot of the carousel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The carousel of one release.
///
/// Slots are numbered from 0 without end. Every `statement_every`-th is the manifest; the others run through the cells, each as wide as
/// the widest cell of the release with its two pages. Where a cell is shorter, slots are empty and take no time.
#[derive(Clone, Debug)]
pub struct Schedule {
    components: Vec<Geometry>,
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
    /// The carousel of components with these geometries, with a manifest every `statement_every` slots (at least 2), and at least once a
    /// cycle.
    #[must_use]
    pub fn new(components: Vec<Geometry>, statement_every: u32) -> Self {
        let widest = components.iter().map(Geometry::cell).max().unwrap_or(1);
        let cells = components.iter().map(|g| u64::from(g.cells())).sum::<u64>().max(1);
        let cell_slots = u64::from(widest) + 2;
        // At least once a cycle, so that a small release is not many cycles without its manifest.
        let statement_every = u64::from(statement_every.max(2)).min(cells * cell_slots + 1);
        Self { components, statement_every, cell_slots, cells }
    }

    /// Slots in which every packet of the release comes once, from any slot on.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        let data = self.cells * self.cell_slots;
        data + data.div_ceil(self.statement_every - 1)
    }

    /// What `slot` carries; `None` if it is empty.
    #[must_use]
    pub fn at(&self, slot: u64) -> Option<Slot> {
        if slot.is_multiple_of(self.statement_every) {
            return Some(Slot::Statement);
        }
        let data = slot - slot / self.statement_every - 1;
        let (component, cell) = self.cell_at(data / self.cell_slots % self.cells)?;
        let chunks = self.components[usize::from(component)].cell_at(cell)?;
        let place = u32::try_from(data % self.cell_slots).ok()?;
        match place {
            0 => Some(Slot::Page { kind: PageKind::Page, component, cell }),
            _ if place <= chunks.len => Some(Slot::Chunk { component, position: chunks.start + place - 1 }),
            _ if place == chunks.len + 1 => Some(Slot::Page { kind: PageKind::Parity, component, cell }),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
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
