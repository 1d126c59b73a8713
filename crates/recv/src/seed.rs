//! Chunks of a new release in images that are there already.
//!
//! An image is a *seed*. Chunks are found by their digests, at any offset that is a multiple of their length. Digests are
//! salted anew in each release, so a seed is hashed once a release, in small steps between datagrams. Memory is bounded:
//! of large seeds only every k-th chunk is in an index, and from there its neighbours are found one by one.

use std::path::{Path, PathBuf};

use fleetcast_core::tree::Hasher;
use fleetcast_install::{Disk, DiskFile as _};

/// Entries of all indexes of a release; 8 octets each.
pub(crate) const ENTRIES: usize = 1 << 18;
/// Octets of a seed that are hashed in one step.
const STEP: usize = 1 << 20;

/// An old image, and where its chunks are.
#[derive(Debug)]
pub(crate) struct Seed<D: Disk> {
    pub(crate) path: PathBuf,
    file: D::File,
    /// Octets.
    size: u64,
    chunk_len: usize,
    /// Every so many chunks are in the index.
    stride: u64,
    /// The next to be hashed.
    next: u64,
    /// Start of a digest and number of the chunk; sorted once all are there.
    index: Vec<(u32, u32)>,
}

/// Divides the room in the index: every k-th chunk of each seed is in it, with the least k that leaves all room enough.
pub(crate) fn share<'a, D: Disk + 'a>(seeds: impl Iterator<Item = &'a mut Seed<D>>, entries: usize) {
    let seeds: Vec<_> = seeds.collect();
    let chunks = seeds.iter().map(|seed| seed.chunks()).sum::<u64>();
    // Each seed may have one more than its part.
    let entries = entries.saturating_sub(seeds.len()).max(1) as u64;
    let stride = if chunks <= entries { 1 } else { chunks.div_ceil(entries) };
    for seed in seeds {
        seed.stride = stride;
    }
}

impl<D: Disk> Seed<D> {
    /// Opens a seed for chunks of `chunk_len` octets.
    pub(crate) fn open(disk: &D, path: &Path, chunk_len: usize) -> std::io::Result<Self> {
        let file = disk.open_seed(path)?;
        let size = file.size()?;
        Ok(Self { path: path.into(), file, size, chunk_len, stride: 1, next: 0, index: Vec::new() })
    }

    /// Whether a chunk that is not in the index is not in the seed.
    pub(crate) const fn has_all(&self) -> bool {
        self.stride == 1
    }

    fn chunks(&self) -> u64 {
        // The index holds numbers of 32 bits; no image has more chunks.
        self.size.div_ceil(self.chunk_len as u64).min(u32::MAX.into())
    }

    /// Hashes a part of it. False once nothing is left.
    pub(crate) fn index_on(&mut self, hasher: &Hasher) -> std::io::Result<bool> {
        if self.next >= self.chunks() {
            return Ok(false);
        }
        if self.index.is_empty() {
            self.index.reserve_exact(usize::try_from(self.chunks().div_ceil(self.stride)).unwrap_or_default());
        }
        let mut chunk = Vec::new();
        for _ in 0..(STEP / self.chunk_len).max(1) {
            if self.next >= self.chunks() {
                break;
            }
            self.read(self.next, &mut chunk)?;
            if let (Ok(number), Some(start)) = (u32::try_from(self.next), start_of(hasher.chunk(&chunk).as_ref())) {
                self.index.push((start, number));
            }
            self.next += self.stride;
        }
        if self.next >= self.chunks() {
            self.index.sort_unstable();
        }
        Ok(true)
    }

    /// A chunk that may have this digest.
    pub(crate) fn find(&self, digest: &[u8]) -> Option<u64> {
        let start = start_of(digest)?;
        let at = self.index.partition_point(|(other, _)| *other < start);
        self.index.get(at).filter(|(other, _)| *other == start).map(|(_, number)| (*number).into())
    }

    /// Reads a chunk, zero-padded; nothing if there is none.
    pub(crate) fn read(&self, number: u64, chunk: &mut Vec<u8>) -> std::io::Result<()> {
        chunk.clear();
        let offset = number.saturating_mul(self.chunk_len as u64);
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        if left > 0 {
            chunk.resize(self.chunk_len, 0);
            self.file.read_at(offset, &mut chunk[..left.min(self.chunk_len)])?;
        }
        Ok(())
    }
}

fn start_of(digest: &[u8]) -> Option<u32> {
    digest.first_chunk().map(|&start| u32::from_be_bytes(start))
}

#[cfg(test)]
mod tests {
    use fleetcast_install::durable;
    use fleetcast_install::sim::SimDisk;

    use super::*;

    fn seed(chunks: u16, entries: usize) -> (Seed<SimDisk>, Hasher) {
        let disk = SimDisk::default();
        let image: Vec<u8> = (0..chunks).flat_map(|number| [number.to_be_bytes(); 32]).flatten().collect();
        durable::replace(&disk, Path::new("/old"), &image[..image.len() - 3]).unwrap();
        let hasher = Hasher::new(1, 0, &[0; 32], false);
        let mut seed = Seed::open(&disk, Path::new("/old"), 64).unwrap();
        share([&mut seed].into_iter(), entries);
        while seed.index_on(&hasher).unwrap() {}
        (seed, hasher)
    }

    #[test]
    fn every_chunk_is_found_if_the_index_has_room_for_it() {
        let (seed, hasher) = seed(1000, 1001);
        assert!(seed.has_all());
        let mut chunk = Vec::new();
        for number in 0..1000 {
            seed.read(number, &mut chunk).unwrap();
            assert_eq!(seed.find(hasher.chunk(&chunk).as_ref()), Some(number));
        }
        seed.read(1000, &mut chunk).unwrap();
        assert!(chunk.is_empty());
    }

    #[test]
    fn an_index_is_no_larger_than_its_room() {
        for entries in [1, 7, 100, 999, 1000] {
            let (seed, _) = seed(1000, entries);
            assert!((1..=entries).contains(&seed.index.capacity()), "{entries}: {}", seed.index.capacity());
            assert!(!seed.has_all());
        }
    }

    #[test]
    fn a_step_hashes_no_more_than_its_part_so_that_packets_need_not_wait() {
        let (mut seed, hasher) = seed(64 * 512, 1);
        for stride in [1, 2] {
            (seed.next, seed.stride, seed.index) = (0, stride, Vec::new());
            assert!(seed.index_on(&hasher).unwrap());
            assert_eq!(seed.index.len(), STEP / 64);
        }
    }

    #[test]
    fn large_and_small_seeds_share_the_room_by_their_size() {
        let (large, _) = seed(1000, 1);
        let (small, _) = seed(10, 1);
        let mut seeds = [large, small];
        share(seeds.iter_mut(), 102);
        let parts: Vec<_> = seeds.iter().map(|seed| seed.chunks().div_ceil(seed.stride)).collect();
        assert_eq!(parts, [91, 1]);
    }
}
