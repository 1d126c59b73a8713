//! The release in the slot: which of its pages and chunks are there, and all reading and writing of them.

use alloc::vec;

use fleetcast_core::manifest::Manifest;
use fleetcast_core::tree::{Geometry, Tree};
use fleetcast_core::trust::Verified;
use fleetcast_core::wire::PageKind;
use sha2::{Digest as _, Sha256};

use crate::bits::Bits;
use crate::flash::{Fault, Flash, Layout, Region, SECTOR, is_blank};
use crate::receiver::Stop;

/// A chunk packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) component: u8,
    pub(crate) sbn: u16,
    pub(crate) esi: u16,
    pub(crate) bytes: &'a [u8],
}

/// Where a source chunk belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) position: u32,
    pub(crate) cell: u32,
    pub(crate) slot: usize,
}

impl Chunk<'_> {
    /// Where it belongs; repair chunks are of no use.
    pub(crate) fn place(&self, g: &Geometry) -> Result<Place, Stop> {
        let position = g.position(self.sbn, self.esi).filter(|_| self.component == 0).ok_or(Stop::Drop("range"))?;
        if position >= g.source_chunks() {
            return Err(Stop::Unused);
        }
        let (cell, slot) = g.slot(position);
        Ok(Place { position, cell, slot })
    }
}

/// The tree of the only image.
pub(crate) fn tree_of(manifest: &Manifest) -> Result<Tree, Stop> {
    manifest.trees().ok().and_then(|trees| trees.into_iter().next()).ok_or(Stop::Drop("geometry"))
}

/// Checks a page; those of repair chunks are of no use.
pub(crate) fn check_page(tree: &Tree, cell: u32, payload: &[u8]) -> Result<(), Stop> {
    let g = tree.geometry();
    if (g.source_cells()..g.cells()).contains(&cell) {
        return Err(Stop::Unused);
    }
    tree.check_page(PageKind::Page, cell, payload)?;
    Ok(())
}

/// Whether there is room for a release: one image, of whole chunks to a sector.
pub(crate) fn fits(layout: &Layout, manifest: &Manifest) -> bool {
    let [component] = manifest.components.as_slice() else { return false };
    let g = &component.geometry;
    let has_room = |region: Region, stride: u32, count: u32| {
        SECTOR.is_multiple_of(stride) && u64::from(stride) * u64::from(count) <= u64::from(region.len)
    };
    has_room(layout.slot, chunk_stride(g), g.source_chunks())
        && has_room(layout.pages, page_stride(g), g.source_cells())
}

fn chunk_stride(g: &Geometry) -> u32 {
    u32::try_from(g.chunk_len()).unwrap_or(u32::MAX)
}

/// Pages lie apart by a power of two, so none lies across sectors.
fn page_stride(g: &Geometry) -> u32 {
    u32::try_from(g.max_page_payload_len().next_power_of_two()).unwrap_or(u32::MAX)
}

#[derive(Debug)]
pub(crate) struct Download {
    manifest: Verified<Manifest>,
    tree: Tree,
    layout: Layout,
    pages: Bits,
    chunks: Bits,
    missing: u32,
}

impl Download {
    /// Finds out what there is of a release for which there is room, and erases all else.
    pub(crate) fn open(flash: &mut impl Flash, layout: Layout, manifest: Verified<Manifest>) -> Result<Self, Stop> {
        let tree = tree_of(&manifest)?;
        let g = *tree.geometry();
        let (pages, chunks) = (Bits::new(g.source_cells()), Bits::new(g.source_chunks()));
        let mut download = Self { manifest, tree, layout, pages, chunks, missing: 0 };
        download.find_pages(flash)?;
        reclaim(flash, layout.pages.start, page_stride(&g), g.source_cells(), &mut download.pages)?;
        download.find_chunks(flash)?;
        reclaim(flash, layout.slot.start, chunk_stride(&g), g.source_chunks(), &mut download.chunks)?;
        download.missing = g.source_chunks() - download.chunks.count();
        Ok(download)
    }

    pub(crate) fn manifest(&self) -> &Verified<Manifest> {
        &self.manifest
    }

    /// Chunks that have not come.
    pub(crate) fn missing(&self) -> u32 {
        self.missing
    }

    pub(crate) fn take_page(&mut self, flash: &mut impl Flash, cell: u32, payload: &[u8]) -> Result<(), Stop> {
        if self.pages.has(cell) {
            return Err(Stop::Duplicate);
        }
        check_page(&self.tree, cell, payload)?;
        flash.write(self.page_at(cell), payload)?;
        self.pages.set(cell, true);
        Ok(())
    }

    pub(crate) fn take_chunk(&mut self, flash: &mut impl Flash, chunk: &Chunk<'_>) -> Result<(), Stop> {
        let place = chunk.place(self.tree.geometry())?;
        if self.chunks.has(place.position) {
            return Err(Stop::Duplicate);
        }
        self.check_chunk(flash, place, chunk.bytes)?;
        let (_, len) = self.tree.geometry().image_range(place.position).ok_or(Stop::Unused)?;
        flash.write(self.chunk_at(place.position), chunk.bytes.get(..len).unwrap_or_default())?;
        self.chunks.set(place.position, true);
        self.missing -= 1;
        Ok(())
    }

    /// Compares the image, as it reads back, with the manifest (spec §9 \[I-1\]).
    pub(crate) fn check_image(&self, flash: &impl Flash) -> Result<(), Fault> {
        let mut hash = Sha256::new();
        let mut buf = [0; 256];
        let mut at = self.layout.slot.start;
        let mut left = self.tree.geometry().size();
        while left > 0 {
            let len = left.min(buf.len() as u64);
            let part = buf.get_mut(..usize::try_from(len).unwrap_or_default()).ok_or(Fault)?;
            flash.read(at, part)?;
            hash.update(&*part);
            at += 256;
            left -= len;
        }
        let digest: [u8; 32] = hash.finalize().into();
        let is_right = self.manifest.components.iter().all(|component| component.sha256 == digest);
        if is_right { Ok(()) } else { Err(Fault) }
    }

    fn find_pages(&mut self, flash: &impl Flash) -> Result<(), Fault> {
        let g = *self.tree.geometry();
        let mut buf = vec![0; g.max_page_payload_len()];
        for cell in 0..g.source_cells() {
            let len = g.page_payload_len(PageKind::Page, cell).unwrap_or_default();
            let payload = buf.get_mut(..len).unwrap_or_default();
            flash.read(self.page_at(cell), payload)?;
            self.pages.set(cell, self.tree.check_page(PageKind::Page, cell, payload).is_ok());
        }
        Ok(())
    }

    fn find_chunks(&mut self, flash: &impl Flash) -> Result<(), Stop> {
        let g = *self.tree.geometry();
        let mut chunk = vec![0; g.chunk_len()];
        for position in 0..g.source_chunks() {
            let (cell, slot) = g.slot(position);
            let (_, len) = g.image_range(position).unwrap_or_default();
            let (image, padding) = chunk.split_at_mut_checked(len).unwrap_or_default();
            flash.read(self.chunk_at(position), image)?;
            padding.fill(0);
            match self.check_chunk(flash, Place { position, cell, slot }, &chunk) {
                Ok(()) => self.chunks.set(position, true),
                Err(Stop::Fault) => return Err(Stop::Fault),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Checks a chunk by its page, of which no more than the one digest is read.
    fn check_chunk(&self, flash: &impl Flash, place: Place, chunk: &[u8]) -> Result<(), Stop> {
        if !self.pages.has(place.cell) {
            return Err(Stop::Drop("no-page"));
        }
        let len = self.tree.geometry().digest_len();
        let mut digest = [0; 32];
        let digest = digest.get_mut(..len).unwrap_or_default();
        let offset = u32::try_from(place.slot * len).map_err(|_| Stop::Fault)?;
        flash.read(self.page_at(place.cell) + offset, digest)?;
        Ok(self.tree.check_chunk(digest, 0, chunk)?)
    }

    fn page_at(&self, cell: u32) -> u32 {
        self.layout.pages.start + cell * page_stride(self.tree.geometry())
    }

    fn chunk_at(&self, position: u32) -> u32 {
        self.layout.slot.start + position * chunk_stride(self.tree.geometry())
    }
}

/// Erases what is neither kept nor blank: it is of another release, or power has failed in the middle of a write.
fn reclaim(flash: &mut impl Flash, start: u32, stride: u32, count: u32, kept: &mut Bits) -> Result<(), Fault> {
    for number in 0..count {
        let at = start + number * stride;
        if kept.has(number) || is_blank(flash, at, stride)? {
            continue;
        }
        let sector = at - (at - start) % SECTOR;
        flash.erase(sector)?;
        let first = (sector - start) / stride;
        (first..first + SECTOR / stride).for_each(|lost| kept.set(lost, false));
    }
    Ok(())
}
