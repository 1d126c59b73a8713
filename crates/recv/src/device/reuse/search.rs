//! How far the search for a release's chunks in old images is.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Hasher, Tree};
use fleetcast_install::Disk;

use super::{Event, Tell};
use crate::seed::{self, Seed};

/// New pages that are remembered; with more, all cells are looked at again.
const NEW_PAGES: usize = 1024;
/// Time between two tellings of how much was found.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// A search, component by component.
#[derive(Debug)]
pub(in crate::device) struct Search<D: Disk> {
    /// SHA-256 of the payload of the release's manifest.
    pub(super) release: [u8; 32],
    parts: Vec<Part<D>>,
    /// The first component and cell not looked at since the indexes are there.
    next: (u8, u32),
    /// Pages that have come since, by component and cell.
    new: VecDeque<(u8, u32)>,
    chunks: u64,
    octets: u64,
    /// Chunks that were told, and when.
    told: u64,
    told_at: Option<Instant>,
    /// Seeds that cannot be used, and were told.
    left_out: Vec<PathBuf>,
}

#[derive(Debug)]
struct Part<D: Disk> {
    /// Those left out are `None`.
    seeds: Vec<Option<Seed<D>>>,
    hasher: Hasher,
    /// Where the last chunk was found: the seed, and the distance from the place in the image to that in the seed.
    near: Option<(usize, i64)>,
}

impl<D: Disk> Search<D> {
    pub(super) fn new(release: [u8; 32]) -> Self {
        Self {
            release,
            parts: Vec::new(),
            next: (0, 0),
            new: VecDeque::new(),
            chunks: 0,
            octets: 0,
            told: 0,
            told_at: None,
            left_out: Vec::new(),
        }
    }

    /// Opens the seeds of the next component.
    pub(super) fn open(
        &mut self,
        disk: &D,
        tree: &Tree,
        paths: &[PathBuf],
        may_lack: impl Fn(&PathBuf) -> bool,
        tell: Tell<'_>,
    ) {
        let mut seeds = Vec::new();
        for path in paths {
            match Seed::open(disk, path, tree.geometry().chunk_len()) {
                Ok(seed) => seeds.push(Some(seed)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_lack(path) => {}
                Err(error) => self.leave_out(path.clone(), &error, tell),
            }
        }
        self.parts.push(Part { seeds, hasher: tree.hasher().clone(), near: None });
    }

    /// Divides an index of `entries` among the seeds.
    pub(super) fn share(&mut self, entries: usize) {
        seed::share(self.parts.iter_mut().flat_map(|part| &mut part.seeds).flatten(), entries);
    }

    /// A page has come.
    pub(in crate::device) fn note_page(&mut self, component: u8, cell: u32) {
        if self.new.len() < NEW_PAGES {
            self.new.push_back((component, cell));
        } else {
            self.again();
        }
    }

    /// Chunks may be missing that were there: all cells are looked at again.
    pub(in crate::device) fn again(&mut self) {
        self.new.clear();
        self.next = (0, 0);
    }

    pub(super) fn has_work(&self) -> bool {
        usize::from(self.next.0) < self.parts.len() || !self.new.is_empty()
    }

    /// Hashes a part of a seed; false once all are hashed. One that fails is left out.
    pub(super) fn index(&mut self, tell: Tell<'_>) -> bool {
        for part in 0..self.parts.len() {
            for nth in 0..self.parts[part].seeds.len() {
                let Part { seeds, hasher, .. } = &mut self.parts[part];
                let Some(seed) = &mut seeds[nth] else { continue };
                match seed.index_on(hasher) {
                    Ok(true) => return true,
                    Ok(false) => {}
                    Err(error) => {
                        let path = seed.path.clone();
                        seeds[nth] = None;
                        self.leave_out(path, &error, tell);
                    }
                }
            }
        }
        false
    }

    /// The next component and cell to look at; a component has `cells` of them.
    pub(super) fn next_cell(&mut self, cells: impl Fn(u8) -> Option<u32>) -> Option<(u8, u32)> {
        if let Some(new) = self.new.pop_front() {
            return Some(new);
        }
        let (component, cell) = self.next;
        let cells = cells(component).filter(|_| usize::from(component) < self.parts.len())?;
        self.next = if cell + 1 < cells { (component, cell + 1) } else { (component + 1, 0) };
        Some((component, cell))
    }

    /// Where a chunk may be, by seed and number in it, the likely ones first; without a digest only beside the last one.
    pub(super) fn candidates(&self, component: u8, position: u32, digest: Option<&[u8]>) -> Vec<(usize, u64)> {
        let Some(part) = self.parts.get(usize::from(component)) else { return Vec::new() };
        let sampled = |nth: usize| part.seeds.get(nth).and_then(Option::as_ref).is_some_and(|seed| !seed.has_all());
        // Of a seed that is in the index as a whole there is nothing to guess.
        let near = part.near.filter(|&(nth, _)| sampled(nth));
        let beside = near.and_then(|(nth, apart)| Some((nth, u64::try_from(i64::from(position) + apart).ok()?)));
        let mut found: Vec<_> = beside.into_iter().collect();
        if let Some(digest) = digest {
            found.extend((0..part.seeds.len()).filter(|&nth| sampled(nth)).map(|nth| (nth, position.into())));
            let seeds = part.seeds.iter().enumerate();
            found.extend(seeds.filter_map(|(nth, seed)| Some((nth, seed.as_ref()?.find(digest)?))));
            // The same place need not be read twice.
            found.dedup();
        }
        found
    }

    /// Reads a chunk of a seed. False if that failed; the seed is left out then.
    pub(super) fn read(&mut self, component: u8, nth: usize, number: u64, chunk: &mut Vec<u8>, tell: Tell<'_>) -> bool {
        let Some(slot) = self.parts.get_mut(usize::from(component)).and_then(|part| part.seeds.get_mut(nth)) else {
            return false;
        };
        let Some(seed) = slot else { return false };
        match seed.read(number, chunk) {
            Ok(()) => true,
            Err(error) => {
                let path = seed.path.clone();
                *slot = None;
                self.leave_out(path, &error, tell);
                false
            }
        }
    }

    /// A chunk was found.
    pub(super) fn note_found(&mut self, component: u8, position: u32, nth: usize, number: u64) {
        if let (Some(part), Ok(number)) = (self.parts.get_mut(usize::from(component)), i64::try_from(number)) {
            part.near = Some((nth, number - i64::from(position)));
        }
    }

    /// Counts a chunk that was found, by its range in the image.
    pub(super) fn count(&mut self, range: Option<(u64, usize)>) {
        self.chunks += 1;
        self.octets += range.map_or(0, |(_, length)| length as u64);
    }

    /// Tells how much was found, if that is new.
    pub(in crate::device) fn tell(&mut self, tell: Tell<'_>) {
        if self.chunks > self.told {
            self.told = self.chunks;
            tell(Event::Reused { chunks: self.chunks, octets: self.octets });
        }
    }

    /// As [`Search::tell`], but not with every page that comes.
    pub(super) fn tell_now_and_then(&mut self, now: Instant, tell: Tell<'_>) {
        if self.told_at.is_none_or(|at| now.since(at) >= TELL_AFTER) && self.chunks > self.told {
            self.told_at = Some(now);
            self.tell(tell);
        }
    }

    fn leave_out(&mut self, path: PathBuf, error: &std::io::Error, tell: Tell<'_>) {
        if !self.left_out.contains(&path) {
            let reason = format!("cannot look for chunks in {}: {error}; going on without it", path.display());
            tell(Event::Warning { code: "seed", reason });
            self.left_out.push(path);
        }
    }
}
