//! Where senders are in the loop, by the cells whose pages came last.

/// Cells of a component around which chunks may wait for their page, each way.
const NEAR_CELLS: u32 = 16;
/// Newest verified cells of a component that are remembered: as many senders at other places of the loop.
const RECENT: usize = 8;

/// The newest verified cells of one component.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentCells([Option<u32>; RECENT]);

impl RecentCells {
    /// A page or parity page of this cell has come from a sender: there it is.
    pub(super) fn note(&mut self, cell: u32) {
        if !self.0.contains(&Some(cell)) {
            self.0.rotate_right(1);
            let [first, ..] = &mut self.0;
            *first = Some(cell);
        }
    }

    /// Whether `cell`, of `cells` in a loop, is near where a sender is; every one is as long as that is not known.
    pub(super) fn is_near(&self, cell: u32, cells: u32) -> bool {
        let mut recent = self.0.iter().flatten().peekable();
        let is_close = |other: &u32| {
            let apart = other.abs_diff(cell);
            apart.min(cells.saturating_sub(apart)) <= NEAR_CELLS
        };
        recent.peek().is_none() || recent.any(is_close)
    }
}
