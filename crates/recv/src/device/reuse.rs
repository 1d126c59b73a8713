//! Looks for chunks of the release being received in old images, see [`crate::seed`].

use std::collections::VecDeque;

use fleetcast_core::tree::{Hasher, Tree};
use fleetcast_core::wire::PageKind;
use fleetcast_install::Disk;

use super::{Device, DeviceError, Outcome, Tell};
use crate::events::Event;
use crate::seed::{ENTRIES, Seed};

/// Cells that are looked at in one step.
const CELLS: u32 = 8;
/// New pages that are remembered; with more, all cells are looked at again.
const NEW_PAGES: usize = 1024;

/// A search, component by component.
#[derive(Debug)]
pub(super) struct Search<D: Disk> {
    parts: Vec<Part<D>>,
    /// The first component and cell not looked at since the indexes are there.
    next: (u8, u32),
    /// Pages that have come since, by component and cell.
    new: VecDeque<(u8, u32)>,
    chunks: u64,
    octets: u64,
    /// Chunks that were told.
    told: u64,
}

#[derive(Debug)]
struct Part<D: Disk> {
    seeds: Vec<Seed<D>>,
    hasher: Hasher,
}

impl<D: Disk> Search<D> {
    /// A page has come.
    pub(super) fn note_page(&mut self, component: u8, cell: u32) {
        if self.new.len() < NEW_PAGES {
            self.new.push_back((component, cell));
        } else {
            self.new.clear();
            self.next = (0, 0);
        }
    }

    pub(super) fn has_work(&self) -> bool {
        usize::from(self.next.0) < self.parts.len() || !self.new.is_empty()
    }

    /// Hashes a part of a seed; false once all are hashed. One that fails is left out.
    fn index(&mut self, tell: Tell<'_>) -> bool {
        for part in &mut self.parts {
            let mut nth = 0;
            while let Some(seed) = part.seeds.get_mut(nth) {
                match seed.index_on(&part.hasher) {
                    Ok(true) => return true,
                    Ok(false) => nth += 1,
                    Err(error) => {
                        tell(left_out(&seed.path, &error));
                        part.seeds.remove(nth);
                    }
                }
            }
        }
        false
    }
}

impl<D: Disk + 'static> Device<D> {
    /// Whether old images are still to be looked through.
    #[must_use]
    pub fn can_reuse(&self) -> bool {
        self.search.as_ref().map_or_else(|| self.is_followed(), Search::has_work)
    }

    /// Looks through a small part of the old images for chunks of the release being received; to be called while
    /// [`Device::can_reuse`] and nothing else is to be done.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] of the new images. An old one that cannot be read is told and left out.
    pub fn reuse(&mut self, tell: Tell<'_>) -> Result<Outcome, DeviceError> {
        // A manifest without data wins nothing: a chunk must have come \[M-6, M-11\].
        if !self.is_followed() || self.receiver.is_complete() {
            return Ok(Outcome::Going);
        }
        let Some(mut search) = self.search.take().or_else(|| self.open_search(tell)) else { return Ok(Outcome::Going) };
        if !search.index(tell) {
            for _ in 0..CELLS {
                let found = match search.new.pop_front() {
                    Some(place) => Some(place),
                    None => self.next_cell(&mut search),
                };
                let Some((component, cell)) = found else { break };
                self.search_cell(&mut search, component, cell, tell)?;
            }
            if search.chunks > search.told && !search.has_work() {
                search.told = search.chunks;
                tell(Event::Reused { chunks: search.chunks, octets: search.octets });
            }
        }
        self.search = Some(search);
        self.keeper.is_complete |= self.receiver.is_complete();
        self.settle(tell)
    }

    fn is_followed(&self) -> bool {
        let seen = self.keeper.record().seen.map(|seen| seen.manifest);
        self.receiver.manifest().is_some_and(|manifest| Some(*manifest.payload_digest()) == seen)
    }

    fn open_search(&self, tell: Tell<'_>) -> Option<Search<D>> {
        let manifest = self.receiver.manifest()?;
        let trees = manifest.trees().ok()?;
        let paths: Vec<_> = manifest.components.iter().map(|component| self.keeper.seeds(&component.target)).collect();
        let entries = ENTRIES / paths.iter().map(Vec::len).sum::<usize>().max(1);
        let mut part = |(tree, paths): (&Tree, Vec<std::path::PathBuf>)| {
            let mut open = |path: &std::path::PathBuf| {
                let length = tree.geometry().chunk_len();
                match Seed::open(self.keeper.disk(), path, length, entries) {
                    Ok(seed) => Some(seed),
                    // A device that has nothing there yet.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.config.seeds.contains(path) => {
                        None
                    }
                    Err(error) => {
                        tell(left_out(path, &error));
                        None
                    }
                }
            };
            Part { seeds: paths.iter().filter_map(&mut open).collect(), hasher: tree.hasher().clone() }
        };
        let parts = trees.iter().zip(paths).map(&mut part).collect();
        Some(Search { parts, next: (0, 0), new: VecDeque::new(), chunks: 0, octets: 0, told: 0 })
    }

    fn next_cell(&self, search: &mut Search<D>) -> Option<(u8, u32)> {
        let (component, cell) = search.next;
        let cells = self.receiver.geometry(component)?.source_cells();
        search.next = if cell + 1 < cells { (component, cell + 1) } else { (component + 1, 0) };
        Some((component, cell))
    }

    fn search_cell(
        &mut self,
        search: &mut Search<D>,
        component: u8,
        cell: u32,
        tell: Tell<'_>,
    ) -> Result<(), DeviceError> {
        let Some(&geometry) = self.receiver.geometry(component) else { return Ok(()) };
        let Some(positions) = geometry.cell_at(cell).filter(|_| cell < geometry.source_cells()) else { return Ok(()) };
        let mut page = Vec::new();
        self.keeper.storage()?.read_page(PageKind::Page, component, cell, &mut page)?;
        if page.is_empty() {
            return Ok(());
        }
        let Self { receiver, keeper, .. } = self;
        let actions = receiver.handle_stored_page(PageKind::Page, component, cell, &page);
        let done = actions.for_each(|action| keeper.act(&action, tell));
        self.or_decline(done)?;
        if !self.receiver.knows_page(component, cell) {
            return Ok(());
        }
        // What a slot has in this very place from a release before needs no write.
        let mut chunks = Vec::new();
        self.keeper.storage()?.read_cell(component, cell, &mut chunks)?;
        for (position, chunk) in (positions.start..).zip(chunks.chunks_exact(geometry.chunk_len())) {
            if !self.receiver.has(component, position) && self.receiver.handle_stored_chunk(component, position, chunk)
            {
                search.count(chunk);
            }
        }
        // Where the last one was found its neighbours are: forward, then backward from it.
        let mut near: Option<(usize, i64)> = None;
        let order: Vec<u32> = (positions.start..positions.start + positions.len).collect();
        for (nth, &position) in order.iter().chain(order.iter().rev()).enumerate() {
            if self.receiver.has(component, position) {
                continue;
            }
            let slot = (position - positions.start) as usize * geometry.digest_len();
            let digest = page.get(slot..slot + geometry.digest_len()).unwrap_or_default();
            let Some(part) = search.parts.get(usize::from(component)) else { break };
            let is_again = nth >= order.len();
            let candidates = part.candidates(position, digest, near, is_again);
            let mut chunk = Vec::new();
            let mut found = None;
            for (seed, number) in candidates {
                let read = part.seeds.get(seed).map_or(Ok(()), |seed| seed.read(number, &mut chunk));
                if read.is_ok() && !chunk.is_empty() && self.receiver.handle_stored_chunk(component, position, &chunk) {
                    found = Some((seed, i64::try_from(number).unwrap_or(0) - i64::from(position)));
                    break;
                }
            }
            if found.is_some() {
                near = found;
                search.count(&chunk);
                if let Some((offset, length)) = geometry.image_range(position) {
                    let done = self.keeper.storage()?.write(component, offset, chunk.get(..length).unwrap_or_default());
                    self.keeper.note_failing(done)?;
                }
            }
        }
        Ok(())
    }
}

impl<D: Disk> Search<D> {
    fn count(&mut self, chunk: &[u8]) {
        self.chunks += 1;
        self.octets += chunk.len() as u64;
    }
}

impl<D: Disk> Part<D> {
    /// Where a chunk may be, by seed and number in it, the likely ones first.
    fn candidates(
        &self,
        position: u32,
        digest: &[u8],
        near: Option<(usize, i64)>,
        is_again: bool,
    ) -> impl Iterator<Item = (usize, u64)> {
        let beside = near.and_then(|(seed, apart)| Some((seed, u64::try_from(i64::from(position) + apart).ok()?)));
        let mut found: Vec<_> = beside.into_iter().collect();
        if !is_again {
            let seeds = || self.seeds.iter().enumerate();
            found.extend(seeds().map(|(nth, _)| (nth, position.into())));
            found.extend(seeds().filter_map(|(nth, seed)| Some((nth, seed.find(digest)?))));
        }
        found.into_iter()
    }
}

fn left_out(path: &std::path::Path, error: &std::io::Error) -> Event {
    Event::Warning { code: "seed", reason: format!("cannot look for chunks in {}: {error}", path.display()) }
}
