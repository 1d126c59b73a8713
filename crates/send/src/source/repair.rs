//! Computing the repair chunks of an image into a file.

use std::io;
use std::os::unix::fs::FileExt;

use fleetcast_core::fec::{Encoder, FecError};
use fleetcast_core::tree::{BlockSize, Geometry};

use super::{Component, read_padded};

/// Why the repair chunks of an image were not computed.
#[derive(Debug)]
pub(super) enum RepairError {
    /// The image cannot be read.
    Image {
        /// Where, in octets.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file for the repair chunks cannot be written.
    File(io::Error),
}

/// Computes all repair chunks of an image and writes them in send order \[G-5\]. Tells `advance` the octets computed.
///
/// One block after the other, so that memory depends on the size of a block alone. A block is spread over the whole image
/// and the whole file: it is read once in order before, and read in order ever after.
pub(super) fn encode(
    encoder: &mut Encoder,
    geometry: &Geometry,
    component: &Component,
    advance: &mut dyn FnMut(u64),
) -> Result<(), RepairError> {
    let chunk_len = geometry.chunk_len();
    for block in 0..geometry.blocks() {
        // Chunk number `row` of this block is this chunk of the image, or of the file \[G-3, G-4\].
        let offset = |row: u16| (u64::from(row) * u64::from(geometry.blocks()) + u64::from(block)) * chunk_len as u64;
        let Some(size @ BlockSize { repair, .. }) = geometry.block(block) else { break };
        let read = |row, chunk: &mut [u8]| {
            let offset = offset(row);
            read_padded(&component.image, chunk, offset).map_err(|source| RepairError::Image { offset, source })
        };
        let write = |row, chunk: &[u8]| component.repair.write_all_at(chunk, offset(row)).map_err(RepairError::File);
        encoder.encode(size, chunk_len, read, write).map_err(|error| match error {
            FecError::Io(error) => error,
            FecError::NotEnough => RepairError::File(io::Error::other("a block of this size cannot be coded")),
        })?;
        advance(u64::from(repair) * chunk_len as u64);
    }
    Ok(())
}
