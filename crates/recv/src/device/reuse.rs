//! Looks for chunks of the release being received in old images, see [`crate::seed`].

mod search;

use std::path::PathBuf;

use fleetcast_core::time::Instant;
use fleetcast_core::wire::PageKind;
use fleetcast_install::Disk;

use super::{Device, DeviceError, Outcome, Tell};
use crate::events::Event;
pub(super) use search::Search;

/// Cells that are searched in one step.
const CELLS: u32 = 8;
/// Cells that are looked at in one step, most of which lack a page or nothing else.
const LOOKS: u32 = 256;

impl<D: Disk> Device<D> {
    /// Whether old images are still to be looked through.
    #[must_use]
    pub fn can_reuse(&self) -> bool {
        let digest = self.followed();
        digest.is_some_and(|digest| self.search.as_ref().is_none_or(|s| s.release != digest || s.has_work()))
    }

    /// Bounds the index of old images, from the next release on: entries of 8 octets.
    pub const fn limit_index(&mut self, entries: usize) {
        self.index_entries = entries;
    }

    /// Looks at `now` through a small part of the old images for chunks of the release being received; to be called while
    /// [`Device::can_reuse`] and nothing else is to be done.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] of the new images. An old one that cannot be read is told and left out.
    pub fn reuse(&mut self, now: Instant, tell: Tell<'_>) -> Result<Outcome, DeviceError> {
        self.now = now;
        let Some(digest) = self.followed() else { return Ok(Outcome::Going) };
        let kept = self.search.take().filter(|search| search.release == digest);
        let mut search = kept.unwrap_or_else(|| self.open_search(digest, tell));
        if !search.index(tell) {
            let mut searched = 0;
            for _ in 0..LOOKS {
                let cell = search.next_cell(|component| Some(self.receiver.geometry(component)?.source_cells()));
                let Some((component, cell)) = cell else { break };
                searched += u32::from(self.search_cell(&mut search, component, cell, tell)?);
                if searched >= CELLS || self.receiver.is_complete() {
                    break;
                }
            }
            if !search.has_work() {
                search.tell_now_and_then(self.now, tell);
            }
        }
        self.search = Some(search);
        self.keeper.is_complete |= self.receiver.is_complete();
        self.settle(tell)
    }

    /// Has the cells looked at whose pages have come, or follow from a parity page that has.
    pub(super) fn note_new_pages(&mut self) {
        for (kind, component, cell) in self.keeper.new_pages.drain(..) {
            let Some(search) = &mut self.search else { continue };
            search.note_page(component, cell);
            let partner = self.receiver.geometry(component).and_then(|geometry| geometry.parity_partner(cell));
            if let (PageKind::Parity, Some(partner)) = (kind, partner) {
                search.note_page(component, partner);
            }
        }
    }

    /// The release that may be completed from old images: a manifest without data wins nothing, so a chunk of it must have
    /// come \[M-6, M-11\], and something must be missing.
    pub(super) fn followed(&self) -> Option<[u8; 32]> {
        let digest = *self.receiver.manifest()?.payload_digest();
        let is_seen = self.keeper.record().seen.is_some_and(|seen| seen.manifest == digest);
        (is_seen && self.keeper.storage.is_some() && !self.receiver.is_complete()).then_some(digest)
    }

    fn open_search(&self, release: [u8; 32], tell: Tell<'_>) -> Search<D> {
        let mut search = Search::new(release);
        let Some(manifest) = self.receiver.manifest() else { return search };
        let targets = manifest.components.iter().map(|component| self.keeper.seeds(&component.target));
        // Those of a release that is being received are sound.
        for (tree, paths) in manifest.trees().unwrap_or_default().iter().zip(targets) {
            // A device may have nothing there yet.
            let may_lack = |path: &PathBuf| !self.config.seeds.contains(path);
            search.open(self.keeper.disk(), tree, &paths, may_lack, tell);
        }
        search.share(self.index_entries);
        search
    }

    /// Looks for the missing chunks of a cell. False if there was nothing to look for.
    fn search_cell(
        &mut self,
        search: &mut Search<D>,
        component: u8,
        cell: u32,
        tell: Tell<'_>,
    ) -> Result<bool, DeviceError> {
        let Some(&geometry) = self.receiver.geometry(component) else { return Ok(false) };
        let Some(cell_at) = geometry.cell_at(cell).filter(|_| cell < geometry.source_cells()) else { return Ok(false) };
        let positions = cell_at.start..cell_at.start + cell_at.len;
        if positions.clone().all(|position| self.receiver.has(component, position)) {
            return Ok(false);
        }
        let loaded = self.load_page(component, cell, tell)?;
        let page = self.receiver.page(component, cell).map(<[u8]>::to_vec);
        if let Some(page) = &page {
            self.search_in_place(search, component, cell)?;
            // Forward, and then backward from what was found.
            let digests = || positions.clone().zip(page.chunks_exact(geometry.digest_len()));
            for (position, digest) in digests() {
                self.search_chunk(search, component, position, Some(digest), tell)?;
            }
            for (position, _) in digests().rev() {
                self.search_chunk(search, component, position, None, tell)?;
            }
        }
        self.release_pages(component, loaded);
        Ok(page.is_some())
    }

    /// Hands in the page of a cell, or what it follows from, if the storage has it. Returns what was handed in, for
    /// [`Device::release_pages`].
    pub(super) fn load_page(
        &mut self,
        component: u8,
        cell: u32,
        tell: Tell<'_>,
    ) -> Result<Vec<(PageKind, u32)>, DeviceError> {
        use PageKind::{Page, Parity};
        let mut loaded = Vec::new();
        let Some(&geometry) = self.receiver.geometry(component) else { return Ok(loaded) };
        let before = geometry.parity_partner(cell).map_or_else(Vec::new, |before| vec![(Page, before)]);
        let behind = geometry.parity_follower(cell).map_or_else(Vec::new, |b| vec![(Page, b), (Parity, b)]);
        let mut payload = Vec::new();
        for way in [vec![(Page, cell)], [before, vec![(Parity, cell)]].concat(), behind] {
            for (kind, other) in way {
                if self.receiver.knows_page(component, cell) {
                    return Ok(loaded);
                }
                self.keeper.storage()?.read_page(kind, component, other, &mut payload)?;
                if payload.is_empty() {
                    break;
                }
                let Self { receiver, keeper, .. } = self;
                let actions = receiver.handle_stored_page(kind, component, other, &payload);
                let done = actions.for_each(|action| keeper.act(&action, tell));
                self.or_decline(done)?;
                loaded.push((kind, other));
            }
        }
        if self.receiver.knows_page(component, cell) && !loaded.contains(&(Page, cell)) {
            loaded.push((Page, cell));
        }
        Ok(loaded)
    }

    /// Releases pages again, last first: chunks on the air need the place.
    pub(super) fn release_pages(&mut self, component: u8, loaded: Vec<(PageKind, u32)>) {
        for (kind, cell) in loaded.into_iter().rev() {
            self.receiver.release_page(kind, component, cell);
        }
    }

    /// What a slot has in this very place from a release before needs no write.
    fn search_in_place(&mut self, search: &mut Search<D>, component: u8, cell: u32) -> Result<(), DeviceError> {
        let Some(&geometry) = self.receiver.geometry(component) else { return Ok(()) };
        let Some(positions) = geometry.cell_at(cell) else { return Ok(()) };
        let mut chunks = Vec::new();
        self.keeper.storage()?.read_cell(component, cell, &mut chunks)?;
        for (position, chunk) in (positions.start..).zip(chunks.chunks_exact(geometry.chunk_len())) {
            if !self.receiver.has(component, position) && self.receiver.handle_stored_chunk(component, position, chunk)
            {
                search.count(geometry.image_range(position));
            }
        }
        Ok(())
    }

    /// Copies a missing chunk from where it may be in the seeds: anywhere by its digest, or only beside the last one found.
    fn search_chunk(
        &mut self,
        search: &mut Search<D>,
        component: u8,
        position: u32,
        digest: Option<&[u8]>,
        tell: Tell<'_>,
    ) -> Result<(), DeviceError> {
        if self.receiver.has(component, position) {
            return Ok(());
        }
        let mut chunk = Vec::new();
        for (nth, number) in search.candidates(component, position, digest) {
            if !search.read(component, nth, number, &mut chunk, tell) {
                return Ok(());
            }
            if !chunk.is_empty() && self.receiver.handle_stored_chunk(component, position, &chunk) {
                search.note_found(component, position, nth, number);
                let range = self.receiver.geometry(component).and_then(|geometry| geometry.image_range(position));
                search.count(range);
                if let Some((offset, length)) = range {
                    let done = self.keeper.storage()?.write(component, offset, chunk.get(..length).unwrap_or_default());
                    self.keeper.note_failing(done)?;
                }
                return Ok(());
            }
        }
        Ok(())
    }
}
