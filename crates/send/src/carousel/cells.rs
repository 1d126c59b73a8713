//! The cells that are sent side by side.

use crate::source::{Cell, CellError, Source};

/// Cells in memory, a fixed number of them.
#[derive(Debug)]
pub(super) struct Cells {
    cells: Vec<Loaded>,
    /// The one that was loaded the longest ago.
    oldest: usize,
}

#[derive(Debug, Default)]
struct Loaded {
    /// Component and index of what is in `cell`.
    of: Option<(u8, u32)>,
    cell: Cell,
}

impl Cells {
    /// Room for so many.
    pub(super) fn new(count: u32) -> Self {
        Self { cells: (0..count).map(|_| Loaded::default()).collect(), oldest: 0 }
    }

    /// A cell, read and checked if it is not there, in place of the one loaded the longest ago.
    ///
    /// # Errors
    ///
    /// Any [`CellError`].
    pub(super) fn load(&mut self, source: &Source, component: u8, cell: u32) -> Result<&Cell, CellError> {
        let wanted = Some((component, cell));
        let is_there = self.cells.iter().position(|loaded| loaded.of == wanted);
        let next = (self.oldest + 1) % self.cells.len().max(1);
        let loaded = self.cells.get_mut(is_there.unwrap_or(self.oldest)).ok_or(CellError::Range { component })?;
        if loaded.of != wanted {
            loaded.of = None;
            source.read(component, cell, &mut loaded.cell)?;
            loaded.of = wanted;
            self.oldest = next;
        }
        Ok(&loaded.cell)
    }
}
