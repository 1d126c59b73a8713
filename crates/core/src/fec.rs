//! The erasure code and the order of sending (spec §7, §8).
//!
//! Columns of a block are independent of each other, so a block is restored in slices: memory depends on the width of
//! a slice, not on the size of block or image.

mod layers;
mod schedule;

pub use layers::{Layers, MAX_LAYERS, layer_rate, prefix_rate};
pub use schedule::{Schedule, Slot};

use alloc::vec;
use core::fmt;

use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{
    DecoderWork, EncoderWork, HighRateDecoder, HighRateEncoder, RateDecoder as _, RateEncoder as _,
};

use crate::tree::{BlockSize, Geometry};

/// Where the chunks of one component are kept.
pub trait ChunkIo {
    /// What can go wrong with it.
    type Error;

    /// Reads part of a chunk, from octet `column` on. What lies behind the end of the image reads as zero.
    ///
    /// # Errors
    ///
    /// Those of the storage.
    fn read(&mut self, position: u32, column: usize, buf: &mut [u8]) -> Result<(), Self::Error>;

    /// Writes part of a source chunk, from octet `column` on. What lies behind the end of the image is left out.
    ///
    /// # Errors
    ///
    /// Those of the storage.
    fn write(&mut self, position: u32, column: usize, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Why a block was not coded.
#[derive(Debug)]
pub enum FecError<E> {
    /// Fewer than K chunks of the block are there, or the block does not exist.
    NotEnough,
    /// The storage failed.
    Io(E),
}

impl<E: fmt::Display> fmt::Display for FecError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEnough => f.write_str("too few chunks to restore a block"),
            Self::Io(e) => e.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for FecError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotEnough => None,
            Self::Io(e) => e.source(),
        }
    }
}

impl<E> From<reed_solomon_simd::Error> for FecError<E> {
    fn from(_: reed_solomon_simd::Error) -> Self {
        Self::NotEnough
    }
}

/// Makes the repair chunks of blocks; keeps its working space, about one block, from call to call.
#[derive(Default)]
pub struct Encoder {
    work: EncoderWork,
}

impl Encoder {
    /// Encodes one block: asks `source` for each source chunk of `chunk_len` octets and hands each repair chunk to
    /// `repair`, both by their number in the block.
    ///
    /// # Errors
    ///
    /// [`FecError::Io`] with whatever a closure fails with.
    ///
    /// Spec §7 \[F-3\].
    pub fn encode<E>(
        &mut self,
        size: BlockSize,
        chunk_len: usize,
        mut source: impl FnMut(u16, &mut [u8]) -> Result<(), E>,
        mut repair: impl FnMut(u16, &[u8]) -> Result<(), E>,
    ) -> Result<(), FecError<E>> {
        if size.repair == 0 {
            return Ok(());
        }
        let mut coder = HighRateEncoder::new(
            size.source.into(),
            size.repair.into(),
            chunk_len,
            DefaultEngine::new(),
            Some(core::mem::take(&mut self.work)),
        )?;
        let mut chunk = vec![0; chunk_len];
        for number in 0..size.source {
            source(number, &mut chunk).map_err(FecError::Io)?;
            coder.add_original_shard(&chunk)?;
        }
        for (number, chunk) in (0..).zip(coder.encode()?.recovery_iter()) {
            repair(number, chunk).map_err(FecError::Io)?;
        }
        self.work = coder.into_parts().1;
        Ok(())
    }
}

/// Restores missing source chunks; keeps its working space, 2 * 4096 slices at most, from call to call.
pub struct Decoder {
    slice: usize,
    work: DecoderWork,
}

impl Decoder {
    /// A decoder that works on slices of `slice` octets, rounded up to a multiple of 64.
    #[must_use]
    pub fn new(slice: usize) -> Self {
        Self { slice: slice.max(1).next_multiple_of(64), work: DecoderWork::new() }
    }

    /// A decoder for the blocks of this geometry whose slices take about `memory` octets in all. They are as wide as that allows, for each costs a
    /// read of every chunk: 512 octets for the largest blocks in 4 MiB.
    #[must_use]
    pub fn within(memory: usize, geometry: &Geometry) -> Self {
        // The first block is the largest. The decoder works on powers of two.
        let shards = geometry.block(0).map_or(1, |size| {
            usize::from(size.source).saturating_add(usize::from(size.repair).next_power_of_two()).next_power_of_two()
        });
        Self::new(memory.checked_div(shards).unwrap_or(memory))
    }

    /// Restores all source chunks of `block` that `have` (by position) lacks, from any K it has.
    ///
    /// Returns how many it restored.
    ///
    /// # Errors
    ///
    /// [`FecError::NotEnough`] if fewer than K chunks are there; nothing is written then. [`FecError::Io`] if the storage fails.
    ///
    /// Spec §7 \[F-4\].
    pub fn restore<I: ChunkIo>(
        &mut self,
        geometry: &Geometry,
        block: u32,
        have: impl Fn(u32) -> bool,
        io: &mut I,
    ) -> Result<u32, FecError<I::Error>> {
        let size = geometry.block(block).ok_or(FecError::NotEnough)?;
        let sbn = u16::try_from(block).or(Err(FecError::NotEnough))?;
        let positions = |first: u16, count: u16| {
            (0..count).filter_map(move |i| Some((i, geometry.position(sbn, first.checked_add(i)?)?)))
        };
        let source = || positions(0, size.source);
        let missing = source().filter(|&(_, position)| !have(position)).count();
        if missing == 0 {
            return Ok(0);
        }
        let repair = || positions(size.source, size.repair).filter(|&(_, position)| have(position)).take(missing);
        if repair().count() < missing {
            return Err(FecError::NotEnough);
        }
        for column in (0..geometry.chunk_len()).step_by(self.slice) {
            let width = self.slice.min(geometry.chunk_len().saturating_sub(column));
            let mut buf = vec![0; width];
            let mut coder = HighRateDecoder::new(
                size.source.into(),
                size.repair.into(),
                width,
                DefaultEngine::new(),
                Some(core::mem::take(&mut self.work)),
            )?;
            for (number, position) in source().filter(|&(_, position)| have(position)) {
                io.read(position, column, &mut buf).map_err(FecError::Io)?;
                coder.add_original_shard(number.into(), &buf)?;
            }
            for (number, position) in repair() {
                io.read(position, column, &mut buf).map_err(FecError::Io)?;
                coder.add_recovery_shard(number.into(), &buf)?;
            }
            for (number, bytes) in coder.decode()?.restored_original_iter() {
                let esi = u16::try_from(number).or(Err(FecError::NotEnough))?;
                let position = geometry.position(sbn, esi).ok_or(FecError::NotEnough)?;
                io.write(position, column, bytes).map_err(FecError::Io)?;
            }
            self.work = coder.into_parts().1;
        }
        u32::try_from(missing).or(Err(FecError::NotEnough))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Parameters;

    #[test]
    fn slices_are_as_wide_as_memory_allows() {
        let slice = |size: u64, repair: u64| {
            let parameters = Parameters { size, chunk: 1024, cell: 8, repair, digest: 16, cap_len: 16 };
            Decoder::within(4 << 20, &Geometry::new(&parameters).unwrap()).slice
        };
        assert_eq!(slice(4096 << 10, 100), 512);
        assert_eq!(slice(6000 << 10, 30), 1024);
        assert_eq!(slice(100 << 10, 20), 16 << 10);
    }
}
