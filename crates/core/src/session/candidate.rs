//! A genuine release of which no chunk has verified: it may be a replay, and takes nothing's place \[M-6\].

use alloc::vec::Vec;

use super::staging::{Staged, Staging};
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
    /// Whether a page or chunk is of this release.
    pub(super) fn is_right(&self, staging: &Staging, header: Header, payload: &[u8]) -> bool {
        match header.object {
            Object::Page { kind, component, cell } => {
                let tree = self.trees.get(usize::from(component));
                tree.is_some_and(|tree| tree.check_page(kind, cell, payload).is_ok())
            }
            Object::Chunk { .. } => self.check_chunk(staging, header, payload) == Some(Ok(())),
            Object::Statement { .. } => false,
        }
    }

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
        let pages = staging.of_session(header.tsi).filter(|(_, staged)| staged.object == object);
        let check = |(at, page): (usize, Staged)| tree.check_chunk(staging.payload(at, page.len()), slot, chunk);
        // One of several may be of another release with the same TSI.
        pages.map(check).reduce(Result::or).map(|verdict| verdict.map_err(|e| e.code()))
    }
}
