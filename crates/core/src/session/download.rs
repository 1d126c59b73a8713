//! One release on its way in: what is there, what is missing, and which page proves it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Work;
use super::bitmap::Bitmap;
use super::pages::{Key, PageCache};
use super::recent::RecentCells;
use crate::manifest::Manifest;
use crate::tree::{Geometry, Tree, TreeError};
use crate::trust::Verified;
use crate::wire::PageKind;

/// A release being received.
#[derive(Debug)]
pub(super) struct Download {
    manifest: Verified<Manifest>,
    components: Vec<State>,
    pages: PageCache,
    /// Blocks of all components that cannot be restored yet.
    open_blocks: u32,
    /// Repair chunks are taken from the air.
    takes_repair: bool,
}

/// What is there of one component.
#[derive(Debug)]
struct State {
    tree: Tree,
    /// Positions of verified chunks.
    have: Bitmap,
    /// Cells whose page the storage has.
    pages: Bitmap,
    /// Per block, chunks still missing until it can be restored.
    missing: Vec<u16>,
    recent: RecentCells,
}

/// Where a chunk stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) position: u32,
    pub(super) cell: u32,
    slot: usize,
    block: u16,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Verified, and marked as there.
    New,
    /// There already, or its block needs no more.
    Duplicate,
    /// Its page is in the storage.
    PageStored,
    /// Its page has not come.
    PageMissing,
}

impl Download {
    /// Allocates all that the release needs. `trees` are the manifest's.
    pub(super) fn new(manifest: Verified<Manifest>, trees: Vec<Tree>) -> Self {
        let pages = PageCache::new(&trees);
        let open_blocks = trees.iter().map(|tree| tree.geometry().blocks()).sum();
        let components = trees.into_iter().map(State::new).collect();
        Self { manifest, components, pages, open_blocks, takes_repair: true }
    }

    pub(super) const fn manifest(&self) -> &Verified<Manifest> {
        &self.manifest
    }

    pub(super) fn geometry(&self, component: u8) -> Option<&Geometry> {
        Some(self.state(component)?.tree.geometry())
    }

    pub(super) fn has(&self, component: u8, position: u32) -> bool {
        self.state(component).is_some_and(|state| state.have.get(position))
    }

    /// Chunks that a block lacks.
    pub(super) fn missing(&self, component: u8, block: u16) -> u16 {
        self.state(component).and_then(|state| state.missing.get(usize::from(block))).map_or(0, |&count| count)
    }

    pub(super) fn knows_page(&self, component: u8, cell: u32) -> bool {
        self.pages.contains(Key { kind: PageKind::Page, component, cell })
    }

    pub(super) fn wants(&self, component: u8, position: u32) -> bool {
        let block = self.geometry(component).and_then(|geometry| geometry.symbol(position)).map(|(block, _)| block);
        let is_open = block.is_some_and(|block| self.missing(component, block) > 0);
        is_open && self.takes(component, position) && !self.has(component, position)
    }

    pub(super) fn lacks_page(&self, component: u8, cell: u32) -> bool {
        let is_stored = self.state(component).is_none_or(|state| state.pages.get(cell));
        !is_stored && !self.knows_page(component, cell)
    }

    pub(super) fn page(&self, component: u8, cell: u32) -> Option<&[u8]> {
        self.pages.get(Key { kind: PageKind::Page, component, cell })
    }

    pub(super) fn release_page(&mut self, kind: PageKind, component: u8, cell: u32) {
        self.pages.remove(Key { kind, component, cell });
    }

    /// Chunks that are needed in all, and how many of them are there.
    pub(super) fn progress(&self) -> (u64, u64) {
        let needed = self.components.iter().map(|state| u64::from(state.tree.geometry().source_chunks())).sum::<u64>();
        let missing = self.components.iter().flat_map(|state| &state.missing).map(|&count| u64::from(count)).sum();
        (needed, needed.saturating_sub(missing))
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.open_blocks == 0
    }

    /// Forgets everything but the manifest: the storage is to be checked anew.
    pub(super) fn reset(&mut self) {
        self.pages.clear();
        self.open_blocks = self.components.iter().map(|state| state.tree.geometry().blocks()).sum();
        for state in &mut self.components {
            *state = State::new(state.tree.clone());
        }
    }

    /// No further repair chunk is taken from the air.
    pub(super) const fn stop_repair(&mut self) {
        self.takes_repair = false;
    }

    /// Whether a chunk of this position is taken from the air.
    pub(super) fn takes(&self, component: u8, position: u32) -> bool {
        self.takes_repair || self.geometry(component).is_some_and(|geometry| position < geometry.source_chunks())
    }

    /// Whether a page is not stored yet, or a parity page may help to a page that is not.
    pub(super) fn wants_page(&self, kind: PageKind, component: u8, cell: u32) -> bool {
        // Of a component that does not exist: let `take_page` say so.
        let Some(state) = self.state(component) else { return true };
        match kind {
            PageKind::Page => !state.pages.get(cell),
            PageKind::Parity => {
                let partner = state.tree.geometry().parity_partner(cell).unwrap_or(cell);
                let is_known = self.pages.contains(Key { kind, component, cell });
                !(is_known || state.pages.get(cell) && state.pages.get(partner))
            }
        }
    }

    /// Checks a page or parity page and takes it; puts the cells whose page is known by it into `ready`.
    pub(super) fn take_page(
        &mut self,
        kind: PageKind,
        component: u8,
        cell: u32,
        payload: &[u8],
        ready: &mut VecDeque<Work>,
    ) -> Result<(), TreeError> {
        let state = self.components.get_mut(usize::from(component)).ok_or(TreeError::Range)?;
        let page = state.tree.check_page(kind, cell, payload)?;
        let key = Key { kind, component, cell };
        if kind == PageKind::Page {
            state.pages.set(cell, true);
        }
        self.pages.take(state.tree.geometry(), key, page, |cell| {
            ready.push_back(Work::Ready { component, cell, slot: 0 });
        });
        Ok(())
    }

    /// A page or parity page of this cell has come from a sender: there it is.
    pub(super) fn note_cell(&mut self, component: u8, cell: u32) {
        if let Some(state) = self.components.get_mut(usize::from(component)) {
            state.recent.note(cell);
        }
    }

    /// The page that a parity page at hand lacks to give another, if it is in the storage.
    pub(super) fn stored_partner(&self, component: u8, cell: u32) -> Option<u32> {
        let state = self.state(component)?;
        let partner = state.tree.geometry().parity_partner(cell)?;
        let is_stored = |cell: &u32| state.pages.get(*cell) && !self.knows_page(component, *cell);
        match (self.knows_page(component, cell), self.knows_page(component, partner)) {
            (false, false) => [cell, partner].into_iter().find(is_stored),
            _ => None,
        }
    }

    /// The storage does not have the page after all.
    pub(super) fn lose_page(&mut self, component: u8, cell: u32) {
        if let Some(state) = self.components.get_mut(usize::from(component)) {
            state.pages.set(cell, false);
        }
    }

    /// Finds a chunk's place; `None` if it has none.
    pub(super) fn place(&self, component: u8, sbn: u16, esi: u16) -> Option<Place> {
        let geometry = self.geometry(component)?;
        let position = geometry.position(sbn, esi)?;
        let (cell, slot) = geometry.slot(position);
        Some(Place { position, cell, slot, block: sbn })
    }

    /// Finds a chunk's place by its position.
    pub(super) fn place_at(&self, component: u8, position: u32) -> Option<Place> {
        let (sbn, esi) = self.geometry(component)?.symbol(position)?;
        self.place(component, sbn, esi)
    }

    /// Checks a chunk, and marks it as there if it is right.
    pub(super) fn take_chunk(&mut self, component: u8, place: Place, chunk: &[u8]) -> Result<Verdict, TreeError> {
        let state = self.components.get_mut(usize::from(component)).ok_or(TreeError::Range)?;
        let missing = state.missing.get_mut(usize::from(place.block)).ok_or(TreeError::Range)?;
        if *missing == 0 || state.have.get(place.position) {
            return Ok(Verdict::Duplicate);
        }
        let expected = state.tree.geometry().chunk_len();
        if chunk.len() != expected {
            return Err(TreeError::Length { got: chunk.len(), expected });
        }
        let Some(page) = self.pages.get(Key { kind: PageKind::Page, component, cell: place.cell }) else {
            let is_stored = state.pages.get(place.cell);
            return Ok(if is_stored { Verdict::PageStored } else { Verdict::PageMissing });
        };
        state.tree.check_chunk(page, place.slot, chunk)?;
        state.have.set(place.position, true);
        *missing = missing.saturating_sub(1);
        if *missing == 0 {
            self.open_blocks = self.open_blocks.saturating_sub(1);
        }
        Ok(Verdict::New)
    }

    /// Whether a chunk of this cell may wait for its page: only near where senders are.
    pub(super) fn is_near(&self, component: u8, cell: u32) -> bool {
        self.state(component).is_some_and(|state| state.recent.is_near(cell, state.tree.geometry().cells()))
    }

    fn state(&self, component: u8) -> Option<&State> {
        self.components.get(usize::from(component))
    }
}

impl State {
    fn new(tree: Tree) -> Self {
        let g = *tree.geometry();
        let missing = (0..g.blocks()).map(|block| g.block(block).map_or(0, |size| size.source)).collect();
        Self {
            tree,
            have: Bitmap::new(g.chunks()),
            pages: Bitmap::new(g.cells()),
            missing,
            recent: RecentCells::default(),
        }
    }
}
