//! A genuine release of which no chunk has verified: it may be a replay, and takes nothing's place \[M-6\].

use alloc::vec::Vec;

use super::staging::Staging;
use crate::manifest::Manifest;
use crate::tree::Tree;
use crate::trust::Verified;
use crate::wire::{Header, Object, PageKind};

/// Pages of a candidate that are kept until its first chunk.
pub(super) const CANDIDATE_PAGES: usize = 8;

/// A release whose verified pages are among the staged packets, until its first chunk verifies.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) manifest: Verified<Manifest>,
    pub(super) trees: Vec<Tree>,
}

impl Candidate {
    /// Checks a chunk against the staged pages, or gives the word for why it is dropped; `None` if its page is not among them.
    pub(super) fn check_chunk(
        &self,
        staging: &Staging,
        header: Header,
        chunk: &[u8],
    ) -> Option<Result<(), &'static str>> {
        let Object::Chunk { component, sbn, esi } = header.object else { return None };
        let Some(tree) = self.trees.get(usize::from(component)) else { return Some(Err("range")) };
        let Some(position) = tree.geometry().position(sbn, esi) else { return Some(Err("range")) };
        let (cell, slot) = tree.geometry().slot(position);
        let object = Object::Page { kind: PageKind::Page, component, cell };
        let (page_slot, page) = staging.of_session(header.tsi).find(|(_, staged)| staged.object == object)?;
        Some(tree.check_chunk(staging.payload(page_slot, page.len()), slot, chunk).map_err(|e| e.code()))
    }
}
