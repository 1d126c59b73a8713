//! What is stored of a release: checked anew, restored, and read back whole.

use fleetcast_core::fec::{ChunkIo, Decoder, FecError};
use fleetcast_core::wire::PageKind;
use sha2::{Digest as _, Sha256};

use crate::device::{Device, Error};
use crate::keeper::{Keeper, Part};
use crate::storage::{Area, Fault, Storage};

/// Octets of memory in which a block is restored.
const RESTORE_MEMORY: usize = 4 << 20;
/// Octets that are read back at a time.
const READ_BACK: usize = 1 << 16;
/// Cells before and behind the one whose chunks are checked whose pages are handed in first: its own page may follow from a chain of parity
/// pages on either side. The session remembers the pages of more cells than both together.
const CHAIN: u32 = 24;

impl<S: Storage> Device<S> {
    /// Forgets what the session believes to be stored, and checks it anew.
    pub(crate) fn check_anew(&mut self) -> Result<(), Error> {
        self.receiver.recheck();
        self.check_stored()
    }

    /// Hands the session all that is stored, to be hashed: each cell's chunks once the pages around it are known \[I-3\].
    pub(crate) fn check_stored(&mut self) -> Result<(), Error> {
        let mut payload = Vec::new();
        for (component, part) in (0..).zip(self.keeper.parts.clone()) {
            let cells = part.geometry.cells();
            // From CHAIN cells before the first to CHAIN behind the last, round the end.
            for step in 0..cells + 2 * CHAIN {
                let ahead = (step + cells - CHAIN % cells) % cells;
                for kind in [PageKind::Page, PageKind::Parity] {
                    self.keeper.read_page(kind, component, ahead, &mut payload)?;
                    if !payload.is_empty() {
                        self.hand_in(kind, component, ahead, &payload)?;
                    }
                }
                if let Some(cell) = step.checked_sub(2 * CHAIN) {
                    self.check_cell(component, part, cell)?;
                }
            }
        }
        Ok(())
    }

    /// Hands the session a page from the storage.
    pub(crate) fn hand_in(&mut self, kind: PageKind, component: u8, cell: u32, payload: &[u8]) -> Result<(), Error> {
        let Self { receiver, keeper, .. } = self;
        let actions = receiver.handle_stored_page(kind, component, cell, payload);
        let done = actions.for_each(|action| keeper.act(&action));
        self.or_decline(done)
    }

    fn check_cell(&mut self, component: u8, part: Part, cell: u32) -> Result<(), Error> {
        let positions = part.geometry.cell_at(cell).filter(|_| self.receiver.knows_page(component, cell));
        let Some(positions) = positions else { return Ok(()) };
        let mut chunk = vec![0; part.geometry.chunk_len()];
        for position in positions.start..positions.start + positions.len {
            let is_repair = position >= part.geometry.source_chunks();
            if is_repair && !self.keeper.has_repair_room {
                break;
            }
            self.keeper.read_chunk(part, position, 0, &mut chunk)?;
            self.receiver.handle_stored_chunk(component, position, &chunk);
        }
        Ok(())
    }

    /// Restores all missing source chunks. False if that could not be done although enough is there.
    pub(crate) fn restore(&mut self) -> Result<bool, Error> {
        let Self { receiver, keeper, .. } = self;
        for (component, part) in (0..).zip(keeper.parts.clone()) {
            let mut decoder = Decoder::within(RESTORE_MEMORY, &part.geometry);
            let mut io = Chunks { keeper, part };
            for block in 0..part.geometry.blocks() {
                let have = |position| receiver.has(component, position);
                match decoder.restore(&part.geometry, block, have, &mut io) {
                    Ok(_) => {}
                    Err(FecError::Io(fault)) => return Err(fault.into()),
                    Err(FecError::NotEnough) => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Flushes, reads all images back, and compares their SHA-256.
    pub(crate) fn reads_back(&mut self) -> Result<bool, Error> {
        let Self { receiver, keeper, .. } = self;
        keeper.flush()?;
        let Some(manifest) = receiver.manifest() else { return Ok(false) };
        let mut buf = vec![0; READ_BACK];
        for (component, part) in manifest.components.iter().zip(keeper.parts.clone()) {
            let (mut hash, mut offset) = (Sha256::new(), 0);
            while offset < part.geometry.size() {
                let (bytes, _) = buf.split_at_mut(part.geometry.image_part(offset, READ_BACK));
                keeper.storage.read(Area::Image, part.target, offset, bytes)?;
                hash.update(&*bytes);
                offset += bytes.len() as u64;
            }
            let digest: [u8; 32] = hash.finalize().into();
            if digest != component.sha256 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<S: Storage> Keeper<S> {
    /// Reads from octet `column` of the chunk at `position` on; behind the end of the image there are zeros.
    fn read_chunk(&mut self, part: Part, position: u32, column: usize, buf: &mut [u8]) -> Result<(), Fault> {
        let Part { target, geometry, layout } = part;
        if let Some(number) = position.checked_sub(geometry.source_chunks()) {
            let offset = layout.repair(number.into()) + column as u64;
            return self.storage.read(Area::Scratch, target, offset, buf);
        }
        let offset = geometry.image_offset(position, column);
        let (image, padding) = buf.split_at_mut(geometry.image_part(offset, buf.len()));
        padding.fill(0);
        if image.is_empty() { Ok(()) } else { self.storage.read(Area::Image, target, offset, image) }
    }
}

/// The chunks of one component, for the decoder.
struct Chunks<'a, S> {
    keeper: &'a mut Keeper<S>,
    part: Part,
}

impl<S: Storage> ChunkIo for Chunks<'_, S> {
    type Error = Fault;

    fn read(&mut self, position: u32, column: usize, buf: &mut [u8]) -> Result<(), Fault> {
        self.keeper.read_chunk(self.part, position, column, buf)
    }

    fn write(&mut self, position: u32, column: usize, bytes: &[u8]) -> Result<(), Fault> {
        let Part { target, geometry, .. } = self.part;
        let offset = geometry.image_offset(position, column);
        let image = bytes.get(..geometry.image_part(offset, bytes.len())).unwrap_or_default();
        if image.is_empty() { Ok(()) } else { self.keeper.write(Area::Image, target, offset, image) }
    }
}
