//! A release that is passed on: what it takes to check its packets, and no more.

use alloc::vec;
use alloc::vec::Vec;

use super::candidate::Candidate;
use super::pages::{Key, PageCache};
use super::recent::RecentCells;
use crate::manifest::Manifest;
use crate::time::Instant;
use crate::tree::{Tree, TreeError};
use crate::trust::Verified;
use crate::wire::PageKind;

/// A release of which a chunk has verified.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) manifest: Verified<Manifest>,
    trees: Vec<Tree>,
    pages: PageCache,
    /// For each component.
    recent: Vec<RecentCells>,
    /// When the newest chunk verified.
    pub(super) last: Instant,
}

impl Carried {
    pub(super) fn new(Candidate { manifest, trees }: Candidate, now: Instant) -> Self {
        let (pages, recent) = (PageCache::new(&trees), vec![RecentCells::default(); trees.len()]);
        Self { manifest, trees, pages, recent, last: now }
    }

    /// Checks a page or parity page and takes it; gives the cells whose page is known by it.
    pub(super) fn take_page(&mut self, key: Key, payload: &[u8]) -> Result<Vec<u32>, TreeError> {
        let tree = self.trees.get(usize::from(key.component)).ok_or(TreeError::Range)?;
        let page = tree.check_page(key.kind, key.cell, payload)?;
        let mut known = Vec::new();
        self.pages.take(tree.geometry(), key, page, |cell| known.push(cell));
        if let Some(recent) = self.recent.get_mut(usize::from(key.component)) {
            recent.note(key.cell);
        }
        Ok(known)
    }

    /// Cell of a chunk and its slot there.
    pub(super) fn slot(&self, component: u8, sbn: u16, esi: u16) -> Option<(u32, usize)> {
        let geometry = self.trees.get(usize::from(component))?.geometry();
        Some(geometry.slot(geometry.position(sbn, esi)?))
    }

    /// Whether a chunk is known to be right; `false` if its page is not here.
    pub(super) fn check_chunk(&self, component: u8, cell: u32, slot: usize, chunk: &[u8]) -> Result<bool, TreeError> {
        let tree = self.trees.get(usize::from(component)).ok_or(TreeError::Range)?;
        let expected = tree.geometry().chunk_len();
        if chunk.len() != expected {
            return Err(TreeError::Length { got: chunk.len(), expected });
        }
        let page = self.pages.get(Key { kind: PageKind::Page, component, cell });
        page.map_or(Ok(false), |page| tree.check_chunk(page, slot, chunk).map(|()| true))
    }

    /// Whether a chunk of this cell may wait for its page.
    pub(super) fn is_near(&self, component: u8, cell: u32) -> bool {
        let component = usize::from(component);
        let (Some(tree), Some(recent)) = (self.trees.get(component), self.recent.get(component)) else { return false };
        recent.is_near(cell, tree.geometry().cells())
    }
}
