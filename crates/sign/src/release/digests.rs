//! The digests of all chunks of an image, source and repair (spec §5 to §7).
//!
//! The salt of the digests depends on the image's SHA-256 \[T-1\], so the image is read twice. The first pass also takes an
//! unsalted fingerprint of each chunk, and the second compares each chunk it reads with that: what is signed is one and
//! the same image even if somebody writes to the file meanwhile.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use fleetcast_core::fec::Encoder;
use fleetcast_core::tree::{Geometry, Hasher};
use sha2::{Digest as _, Sha256};

use super::Progress;
use super::image::{Image, ImageError, ImageReason};

/// Octets read at a time by the first pass.
const SCAN: usize = 4 << 20;
/// Neighbouring blocks are worked on together until their part of a row has this many octets: no page of the system's cache
/// is read for a single chunk. A group of blocks takes 4,096 times this much memory.
const ROW: usize = 4096;
/// Most threads; each has a group of blocks in memory.
const MAX_THREADS: usize = 4;

/// An image after the first pass: its SHA-256 is known.
#[derive(Debug)]
pub struct Scan<'a> {
    image: &'a Image,
    geometry: Geometry,
    sha256: [u8; 32],
    /// Fingerprints of source chunks, with room for repair chunks behind; by position.
    prints: Vec<u8>,
}

impl<'a> Scan<'a> {
    /// Reads the image from start to end.
    ///
    /// # Errors
    ///
    /// [`ImageError`], also if the file is shorter than `geometry` says.
    pub fn new(image: &'a Image, geometry: Geometry, progress: Progress<'_>) -> Result<Self, ImageError> {
        let (chunk_len, digest_len) = (geometry.chunk_len(), geometry.digest_len());
        let print = fingerprint(&geometry);
        let mut prints = vec![0; geometry.chunks() as usize * digest_len];
        let mut places = prints.chunks_exact_mut(digest_len);
        let mut sha256 = Sha256::new();
        let mut buf = vec![0; SCAN.next_multiple_of(chunk_len)];
        let mut offset = 0;
        while offset < geometry.size() {
            let left = usize::try_from(geometry.size() - offset).unwrap_or(usize::MAX).min(buf.len());
            image.read_at(offset, &mut buf[..left])?;
            let padded = left.next_multiple_of(chunk_len);
            buf[left..padded].fill(0);
            thread::scope(|scope| {
                scope.spawn(|| sha256.update(&buf[..left]));
                for (chunk, place) in buf[..padded].chunks_exact(chunk_len).zip(&mut places) {
                    place.copy_from_slice(print.chunk(chunk).as_ref());
                }
            });
            offset += left as u64;
            progress(left as u64);
        }
        Ok(Self { image, geometry, sha256: sha256.finalize().into(), prints })
    }

    /// SHA-256 of the image.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Digests of all chunks by position, `D` octets each: reads the image again, block by block, and encodes it.
    ///
    /// # Errors
    ///
    /// [`ImageError`], with [`ImageReason::Changed`] if the image is not what the first pass read.
    ///
    /// Spec §5 \[G-3 .. G-5\], §6 \[T-2\], §7 \[F-3\].
    pub fn digests(self, hasher: &Hasher, progress: Progress<'_>) -> Result<Vec<u8>, ImageError> {
        let Self { image, geometry, prints, .. } = self;
        let blocks = geometry.blocks();
        let group = u32::try_from(ROW / geometry.chunk_len()).unwrap_or(1).clamp(1, blocks);
        let groups = blocks.div_ceil(group);
        let pass =
            Pass { image, geometry, hasher, print: fingerprint(&geometry), digests: Mutex::new(prints), progress };
        let next = AtomicU32::new(0);
        let work = || {
            let mut worker = Worker::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= groups {
                    return Ok(());
                }
                let first = number * group;
                if let Err(error) = worker.run(&pass, first..blocks.min(first + group)) {
                    next.store(groups, Ordering::Relaxed);
                    return Err(error);
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(groups as usize);
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            let joined = others.into_iter().map(|other| other.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
            joined.fold(own, Result::and)
        })?;
        image.check_unchanged()?;
        Ok(pass.digests.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The hash of fingerprints: that of no release, for there is no sequence 0.
fn fingerprint(geometry: &Geometry) -> Hasher {
    Hasher::new(0, 0, &[0; 32], geometry.digest_len() == 32)
}

/// What all threads of a second pass share.
struct Pass<'a> {
    image: &'a Image,
    geometry: Geometry,
    hasher: &'a Hasher,
    print: Hasher,
    /// Fingerprints until a block is done, digests from then on.
    digests: Mutex<Vec<u8>>,
    progress: Progress<'a>,
}

/// What each thread keeps from group to group.
#[derive(Default)]
struct Worker {
    /// Source chunks of the group: of each of its blocks the first, then of each the second ...
    chunks: Vec<u8>,
    encoder: Encoder,
}

impl Worker {
    fn run(&mut self, pass: &Pass<'_>, group: Range<u32>) -> Result<(), ImageError> {
        self.read(pass, &group)?;
        let width = group.len();
        (0..).zip(group).try_for_each(|(column, block)| self.digest(pass, block, column, width))
    }

    /// Reads all source chunks of the group, the padding of the last one included.
    fn read(&mut self, pass: &Pass<'_>, group: &Range<u32>) -> Result<(), ImageError> {
        let g = &pass.geometry;
        let row_len = group.len() * g.chunk_len();
        // The first block of a group has the most chunks [G-3].
        let rows = g.block(group.start).map_or(0, |size| u32::from(size.source));
        self.chunks.clear();
        self.chunks.resize(rows as usize * row_len, 0);
        let mut done = 0;
        for (row, chunks) in (0..rows).zip(self.chunks.chunks_exact_mut(row_len)) {
            let offset = u64::from(row * g.blocks() + group.start) * g.chunk_len() as u64;
            let left = usize::try_from(g.size() - offset).unwrap_or(usize::MAX).min(row_len);
            pass.image.read_at(offset, &mut chunks[..left])?;
            done += left as u64;
        }
        (pass.progress)(done);
        Ok(())
    }

    /// Compares the source chunks of one block with their fingerprints, and puts the digests of all its chunks in their
    /// places.
    fn digest(&mut self, pass: &Pass<'_>, block: u32, column: usize, width: usize) -> Result<(), ImageError> {
        let g = &pass.geometry;
        let (chunk_len, digest_len) = (g.chunk_len(), g.digest_len());
        let broken = || pass.image.error(ImageReason::Code);
        let (Ok(sbn), Some(size)) = (u16::try_from(block), g.block(block)) else { return Err(broken()) };
        let source_count = usize::from(size.source);
        let place = |position: u32| {
            let start = position as usize * digest_len;
            start..start + digest_len
        };
        let places: Vec<_> = (0..size.source + size.repair).filter_map(|esi| g.position(sbn, esi)).map(place).collect();
        let source = |number: usize| &self.chunks[(number * width + column) * chunk_len..][..chunk_len];
        let own = |number: usize| number * digest_len..(number + 1) * digest_len;
        let shared = || pass.digests.lock().unwrap_or_else(PoisonError::into_inner);

        let mut digests = vec![0; places.len() * digest_len];
        let all = shared();
        places.iter().take(source_count).enumerate().for_each(|(i, at)| {
            digests[own(i)].copy_from_slice(&all[at.clone()]);
        });
        drop(all);
        for number in 0..source_count {
            let digest = &mut digests[own(number)];
            if pass.print.chunk(source(number)).as_ref() != digest {
                return Err(pass.image.error(ImageReason::Changed));
            }
            digest.copy_from_slice(pass.hasher.chunk(source(number)).as_ref());
        }
        let give = |number: u16, chunk: &mut [u8]| {
            chunk.copy_from_slice(source(number.into()));
            Ok::<_, Infallible>(())
        };
        let take = |number: u16, chunk: &[u8]| {
            digests[own(source_count + usize::from(number))].copy_from_slice(pass.hasher.chunk(chunk).as_ref());
            Ok(())
        };
        self.encoder.encode(size, chunk_len, give, take).map_err(|_| broken())?;
        let mut all = shared();
        places.into_iter().enumerate().for_each(|(i, at)| all[at].copy_from_slice(&digests[own(i)]));
        Ok(())
    }
}
