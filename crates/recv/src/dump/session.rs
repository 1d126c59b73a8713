//! A release on the air, and what agrees with its manifest.

use std::collections::{HashMap, VecDeque};

use fleetcast_core::manifest::{Component, Manifest};
use fleetcast_core::tree::{Geometry, Tree, TreeError};
use fleetcast_core::trust::KeyId;
use fleetcast_core::wire::{HEADER_LEN, Object, PageKind, Tsi};

use super::Kind;
use super::flow::Span;

/// Pages that are kept of a session, the newest: chunks follow theirs soon.
const MAX_PAGES: usize = 256;

/// Who stands behind a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Enough of those trusted, these.
    Verified(Vec<KeyId>),
    /// Not enough of those trusted, or it is wrong in itself: the word for why.
    Refused(&'static str),
    /// Nobody was named to trust.
    Unverified,
}

impl Standing {
    pub(super) const fn is_verified(&self) -> bool {
        matches!(self, Self::Verified(_))
    }
}

/// One release.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) tsi: Tsi,
    pub(super) payload_digest: [u8; 32],
    pub(super) manifest: Manifest,
    /// The whole statement: that which verified, if one did.
    pub(super) statement: Vec<u8>,
    pub(super) standing: Standing,
    /// What came of it, but for what was dropped.
    pub(super) span: Span,
    /// Chunks among it that agree with the manifest.
    pub(super) chunks: u64,
    trees: Vec<Tree>,
    pages: HashMap<(u8, u32), Vec<u8>>,
    /// The same, the oldest first.
    order: VecDeque<(u8, u32)>,
}

/// Packets, and their octets of UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) packets: u64,
    pub(super) octets: u64,
}

impl Session {
    /// `None` for a geometry that cannot be.
    pub(super) fn new(
        manifest: Manifest,
        payload_digest: [u8; 32],
        statement: &[u8],
        standing: Standing,
    ) -> Option<Self> {
        let [a, b, c, d, ..] = payload_digest;
        Some(Self {
            tsi: Tsi([a, b, c, d]),
            payload_digest,
            trees: manifest.trees().ok()?,
            manifest,
            statement: statement.into(),
            standing,
            span: Span::default(),
            chunks: 0,
            pages: HashMap::new(),
            order: VecDeque::new(),
        })
    }

    /// What a packet carries, as far as only the release says it.
    pub(super) fn kind(&self, object: Object) -> Option<Kind> {
        let Object::Chunk { component, sbn, esi } = object else { return None };
        let block = self.trees.get(usize::from(component))?.geometry().block(sbn.into())?;
        Some(if esi < block.source { Kind::SourceChunk } else { Kind::RepairChunk })
    }

    /// Whether a page, parity page or chunk agrees with the manifest; `None` if the page of the chunk has not come.
    pub(super) fn check(&mut self, object: Object, payload: &[u8]) -> Result<Option<()>, TreeError> {
        match object {
            Object::Statement { .. } => Ok(Some(())),
            Object::Page { kind, component, cell } => {
                let tree = self.trees.get(usize::from(component)).ok_or(TreeError::Range)?;
                let page = tree.check_page(kind, cell, payload)?;
                if kind == PageKind::Page && !self.pages.contains_key(&(component, cell)) {
                    self.pages.insert((component, cell), page.into());
                    self.order.push_back((component, cell));
                    if self.order.len() > MAX_PAGES {
                        self.order.pop_front().map(|oldest| self.pages.remove(&oldest));
                    }
                }
                Ok(Some(()))
            }
            Object::Chunk { component, sbn, esi } => {
                let tree = self.trees.get(usize::from(component)).ok_or(TreeError::Range)?;
                let geometry = tree.geometry();
                let (cell, slot) = geometry.slot(geometry.position(sbn, esi).ok_or(TreeError::Range)?);
                let expected = geometry.chunk_len();
                if payload.len() != expected {
                    return Err(TreeError::Length { got: payload.len(), expected });
                }
                let Some(page) = self.pages.get(&(component, cell)) else { return Ok(None) };
                tree.check_chunk(page, slot, payload)?;
                self.chunks += 1;
                Ok(Some(()))
            }
        }
    }

    /// One cycle of the carousel, manifests left out.
    pub(super) fn cycle(&self) -> Traffic {
        let add = |sum: Traffic, component: &Component| {
            let one = Traffic::cycle(&component.geometry);
            Traffic { packets: sum.packets + one.packets, octets: sum.octets + one.octets }
        };
        self.manifest.components.iter().fold(Traffic::default(), add)
    }

    /// Source chunks of all components: what a device needs of chunks of whatever kind.
    pub(super) fn source_chunks(&self) -> u64 {
        self.manifest.components.iter().map(|component| u64::from(component.geometry.source_chunks())).sum()
    }

    /// Whether lost chunks are made up for by repair chunks.
    pub(super) fn has_repair(&self) -> bool {
        self.manifest.components.iter().all(|component| component.geometry.repair_chunks() > 0)
    }
}

impl Traffic {
    /// Cells with their pages and parity pages. Few cells are short, and only those are looked at one by one: a manifest
    /// that nobody verified can have millions.
    fn cycle(g: &Geometry) -> Self {
        let (cells, chunks) = (u64::from(g.cells()), u64::from(g.chunks()));
        let page = |kind, cell| g.page_payload_len(kind, cell).unwrap_or_default();
        let full = 2 * g.max_page_payload_len();
        let ends = [g.source_cells().checked_sub(1), g.cells().checked_sub(1).filter(|&last| last >= g.source_cells())];
        let lacks =
            ends.into_iter().flatten().map(|cell| full - page(PageKind::Page, cell) - page(PageKind::Parity, cell));
        let lacking = lacks.map(|len| len as u64).sum::<u64>();
        let pages = cells * (full + 2 * HEADER_LEN) as u64 - lacking;
        Self { packets: chunks + 2 * cells, octets: chunks * (HEADER_LEN + g.chunk_len()) as u64 + pages }
    }
}

#[cfg(test)]
mod tests {
    use fleetcast_core::tree::Parameters;

    use super::*;

    #[test]
    fn a_cycle_is_what_all_its_packets_come_to() {
        for (size, repair) in [(1, 0), (1, 100), (64 * 100, 0), (64 * 100, 10), (64 * 64, 100), (64 * 9000 + 1, 33)] {
            let parameters = Parameters { size, chunk: 64, cell: 64, repair, digest: 16, cap_len: 16 };
            let g = Geometry::new(&parameters).unwrap();
            let page = |kind, cell| HEADER_LEN + g.page_payload_len(kind, cell).unwrap();
            let cell = |cell| {
                let chunks = g.cell_at(cell).unwrap().len as usize;
                chunks * (HEADER_LEN + 64) + page(PageKind::Page, cell) + page(PageKind::Parity, cell)
            };
            let octets = (0..g.cells()).map(cell).sum::<usize>() as u64;
            let packets = u64::from(g.chunks() + 2 * g.cells());
            assert_eq!(Traffic::cycle(&g), Traffic { packets, octets }, "{size} {repair}");
        }
    }
}
