//! What to ask for: pure.

use std::ops::Range;

use fleetcast_core::tree::Geometry;

/// The first run of chunks of a cell that are to be fetched, as positions: those that are not there, and no more of a block
/// than it lacks, for any K chunks restore it \[F-4\]. `None` if the cell has none.
pub(crate) fn needed_run(
    geometry: &Geometry,
    cell: u32,
    has: impl Fn(u32) -> bool,
    missing: impl Fn(u16) -> u16,
) -> Option<Range<u32>> {
    let positions = geometry.cell_at(cell).map(|at| at.start..at.start + at.len)?;
    // Neighbours are of different blocks if there are several.
    let mut asked: Vec<(u16, u16)> = Vec::new();
    let mut is_needed = |position: u32| {
        let Some((block, _)) = geometry.symbol(position).filter(|_| !has(position)) else { return false };
        let index = asked.iter().position(|&(other, _)| other == block).unwrap_or_else(|| {
            asked.push((block, 0));
            asked.len() - 1
        });
        let (_, count) = &mut asked[index];
        *count += 1;
        *count <= missing(block)
    };
    let start = positions.clone().find(|&position| is_needed(position))?;
    let end = (start + 1..positions.end).find(|&position| !is_needed(position)).unwrap_or(positions.end);
    Some(start..end)
}

/// Where the search for what to ask is: a walk over all source cells, twice and again. The first walk of two passes over
/// cells whose page is not there: chunks of others may do for their blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Pages are asked for.
    pub(crate) wants_pages: bool,
    /// Component number.
    pub(crate) component: u8,
    /// Cell index.
    pub(crate) cell: u32,
}

impl Cursor {
    /// The cell to look at; a component has `cells` of them, the one behind the last has none.
    pub(crate) fn settle(&mut self, cells: impl Fn(u8) -> Option<u32>) -> (u8, u32) {
        // Each component has a cell, so two steps lead to one.
        for _ in 0..2 {
            match cells(self.component) {
                Some(count) if self.cell < count => break,
                Some(_) => (self.component, self.cell) = (self.component.saturating_add(1), 0),
                None => *self = Self { wants_pages: !self.wants_pages, component: 0, cell: 0 },
            }
        }
        (self.component, self.cell)
    }

    /// Goes on to the next cell.
    pub(crate) const fn step(&mut self) {
        self.cell = self.cell.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use fleetcast_core::tree::Parameters;

    use super::*;

    /// Chunks of 64 octets, cells of 8.
    fn geometry(chunks: u64) -> Geometry {
        let parameters = Parameters { size: chunks * 64, chunk: 64, cell: 8, repair: 100, digest: 16, cap_len: 16 };
        Geometry::new(&parameters).unwrap()
    }

    /// All runs of a component, as if each were fetched; `have` and `missing` change as they are.
    fn runs(geometry: &Geometry, have: &mut [bool], missing: &mut [u16]) -> Vec<Range<u32>> {
        let mut runs = Vec::new();
        for cell in 0..geometry.source_cells() {
            while let Some(run) =
                needed_run(geometry, cell, |position| have[position as usize], |block| missing[usize::from(block)])
            {
                for position in run.clone() {
                    assert!(!std::mem::replace(&mut have[position as usize], true));
                    missing[usize::from(geometry.symbol(position).unwrap().0)] -= 1;
                }
                runs.push(run);
            }
        }
        runs
    }

    #[test]
    fn neighbours_are_asked_for_together_within_a_cell() {
        let geometry = geometry(30);
        let lost = [3, 4, 5, 7, 8, 9, 29];
        let mut have: Vec<_> = (0..30).map(|position| !lost.contains(&position)).collect();
        assert_eq!(runs(&geometry, &mut have, &mut [7]), [3..6, 7..8, 8..10, 29..30]);
    }

    #[test]
    fn of_a_block_only_as_many_as_it_lacks_are_asked_for() {
        let geometry = geometry(30);
        let mut have = [false; 30];
        // 25 repair chunks have come.
        assert_eq!(runs(&geometry, &mut have, &mut [5]), vec![0..5]);
        assert_eq!(runs(&geometry, &mut have, &mut [0]), []);
    }

    #[test]
    fn each_block_is_looked_at_alone() {
        // Three blocks: position i is of block i mod 3.
        let geometry = geometry(4096 * 2 + 4);
        assert_eq!(geometry.blocks(), 3);
        let (mut have, mut missing) = (vec![false; 8196], vec![0, 2, 2732]);
        let runs = runs(&geometry, &mut have, &mut missing);
        assert_eq!(runs[..4], [1..3, 4..6, 8..9, 11..12]);
        assert_eq!(missing, [0, 0, 0]);
    }

    #[test]
    fn the_walk_visits_every_cell_of_every_component_in_both_turns() {
        let cells = |component| [Some(2), Some(1)].get(usize::from(component)).copied().flatten();
        let mut cursor = Cursor::default();
        let mut seen = Vec::new();
        for _ in 0..7 {
            let (component, cell) = cursor.settle(cells);
            seen.push((cursor.wants_pages, component, cell));
            cursor.step();
        }
        let walk = |pages| [(pages, 0, 0), (pages, 0, 1), (pages, 1, 0)];
        assert_eq!(seen, [&walk(false)[..], &walk(true), &walk(false)[..1]].concat());
    }
}
