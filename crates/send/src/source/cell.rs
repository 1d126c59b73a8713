//! Reading one cell: its page, parity page and chunks, each checked before anyone sees it.

use std::ops::Range;

use fleetcast_core::tree::{Tree, TreeError, xor};
use fleetcast_core::wire::{HEADER_LEN, PageKind};

use super::{CellError, Component, Source, read_padded};

/// The payloads of one cell, all checked against the manifest.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    page: Vec<u8>,
    parity: Vec<u8>,
    chunks: Vec<u8>,
    chunk_len: usize,
    /// The page that is the other half of the parity page; here only to be used again.
    partner: Vec<u8>,
}

impl Cell {
    /// Payload of the page or parity page \[T-6, T-7\].
    #[must_use]
    pub fn page(&self, kind: PageKind) -> &[u8] {
        match kind {
            PageKind::Page => &self.page,
            PageKind::Parity => &self.parity,
        }
    }

    /// The chunk in a slot, padding included; `None` if there is no such slot.
    #[must_use]
    pub fn chunk(&self, slot: usize) -> Option<&[u8]> {
        self.chunks.chunks_exact(self.chunk_len.max(1)).nth(slot)
    }

    /// All chunks back to back.
    #[must_use]
    pub fn chunks(&self) -> &[u8] {
        &self.chunks
    }

    /// Packets that carry it: two pages and its chunks.
    pub(super) fn packets(&self) -> u64 {
        2 + (self.chunks.len() / self.chunk_len.max(1)) as u64
    }

    /// Octets of those packets.
    pub(super) fn octets(&self) -> u64 {
        let payloads = self.page.len() + self.parity.len() + self.chunks.len();
        payloads as u64 + self.packets() * HEADER_LEN as u64
    }
}

impl Source {
    /// Reads a cell into `cell` and checks all of it. After an error `cell` is not to be used.
    ///
    /// # Errors
    ///
    /// Any [`CellError`].
    ///
    /// Spec §6 \[T-4, T-6 .. T-9\].
    pub fn read(&self, component: u8, index: u32, cell: &mut Cell) -> Result<(), CellError> {
        let missing = || CellError::Range { component };
        let files = self.components.get(usize::from(component)).ok_or_else(missing)?;
        let tree = self.release.tree(component).ok_or_else(missing)?;
        self.read_pages(component, tree, index, cell)?;
        self.read_chunks(component, files, tree, index, 0..usize::MAX, cell)
    }

    /// As [`Source::read`], but only the pages of the cell, and the chunk in one slot, if one is given, as its only chunk: what one
    /// packet out of turn needs.
    ///
    /// # Errors
    ///
    /// Any [`CellError`].
    pub fn read_slot(&self, component: u8, index: u32, slot: Option<usize>, cell: &mut Cell) -> Result<(), CellError> {
        let missing = || CellError::Range { component };
        let files = self.components.get(usize::from(component)).ok_or_else(missing)?;
        let tree = self.release.tree(component).ok_or_else(missing)?;
        self.read_pages(component, tree, index, cell)?;
        let first = slot.unwrap_or_default();
        self.read_chunks(component, files, tree, index, first..first + usize::from(slot.is_some()), cell)
    }

    fn read_pages(&self, component: u8, tree: &Tree, index: u32, cell: &mut Cell) -> Result<(), CellError> {
        let geometry = tree.geometry();
        let refused = |_: TreeError| self.page_error(component, index);
        let no_page = || refused(TreeError::Range);
        let payload_len = geometry.page_payload_len(PageKind::Page, index).ok_or_else(no_page)?;
        cell.page.resize(payload_len, 0);
        self.release.read_record(component, index, &mut cell.page)?;
        let page = tree.check_page(PageKind::Page, index, &cell.page).map_err(refused)?;

        let path = cell.page.get(page.len() + geometry.digest_len()..).unwrap_or_default();
        cell.parity.clear();
        cell.parity.extend_from_slice(page);
        cell.parity.resize(geometry.page_len(PageKind::Parity, index).ok_or_else(no_page)?, 0);
        if let Some(partner) = geometry.parity_partner(index) {
            let len = geometry.page_len(PageKind::Page, partner).ok_or_else(no_page)?;
            cell.partner.resize(len, 0);
            self.release.read_record(component, partner, &mut cell.partner)?;
            xor(&mut cell.parity, &cell.partner);
        }
        cell.parity.extend_from_slice(tree.hasher().page(PageKind::Page, page).as_ref());
        cell.parity.extend_from_slice(path);
        // The partner was not checked alone: this does it, for the leaf binds the exclusive or.
        tree.check_page(PageKind::Parity, index, &cell.parity).map_err(refused)?;
        Ok(())
    }

    fn read_chunks(
        &self,
        component: u8,
        files: &Component,
        tree: &Tree,
        index: u32,
        slots: Range<usize>,
        cell: &mut Cell,
    ) -> Result<(), CellError> {
        let geometry = tree.geometry();
        let place = geometry.cell_at(index).ok_or(CellError::Range { component })?;
        let (file, first) = match place.start.checked_sub(geometry.source_chunks()) {
            None => (&files.image, place.start),
            Some(number) => (&files.repair, number),
        };
        cell.chunk_len = geometry.chunk_len();
        let slots = slots.start..slots.end.min(place.len as usize);
        cell.chunks.resize(slots.len() * cell.chunk_len, 0);
        let offset = (u64::from(first) + slots.start as u64) * cell.chunk_len as u64;
        read_padded(file, &mut cell.chunks, offset).map_err(|source| self.read_error(component, offset, source))?;
        let page = cell.page.get(..place.len as usize * geometry.digest_len()).unwrap_or_default();
        for (nth, (slot, chunk)) in slots.zip(cell.chunks.chunks_exact(cell.chunk_len)).enumerate() {
            if tree.check_chunk(page, slot, chunk).is_err() {
                let offset = offset + (nth * cell.chunk_len) as u64;
                return Err(self.chunk_error(component, index < geometry.source_cells(), offset));
            }
        }
        Ok(())
    }

    fn page_error(&self, component: u8, cell: u32) -> CellError {
        CellError::Page {
            path: self.release.path().into(),
            offset: self.release.record_offset(component, cell).unwrap_or_default(),
            component: self.name(component),
            cell,
        }
    }

    fn chunk_error(&self, component: u8, is_source: bool, offset: u64) -> CellError {
        let name = self.name(component);
        if is_source {
            CellError::Image { component: name, path: self.image_path(component), offset }
        } else {
            CellError::Repair { component: name, offset }
        }
    }
}
