//! What is kept of one release while it is received: partial images, and in scratch files the repair chunks and pages.
//!
//! Writes wait up to a second for their neighbours; every read flushes them first.

mod runs;

use std::path::Path;

use fleetcast_core::fec::{ChunkIo, Decoder, FecError};
use fleetcast_core::manifest::Manifest;
use fleetcast_core::scratch::{self, Layout};
use fleetcast_core::session::Receiver;
use fleetcast_core::tree::Geometry;
use fleetcast_core::wire::PageKind;
use fleetcast_install::{Disk, Fault, Proven, Scratch, Staging, VerifyError};

pub(crate) use runs::Area;
use runs::{Place, Runs};

/// Octets of memory in which a block is restored, column slice by column slice.
const RESTORE_MEMORY: usize = 4 << 20;

/// Calls of [`Storage::tick`], one a second, after which everything is made to survive a power cut. That blocks the
/// receiving thread: what comes in 10 s at the default rate is on a slow flash (5 MB/s) in the time that the default
/// receive buffer of 4 MiB bridges.
const FLUSH_TICKS: u32 = 10;

/// Storage of one release on its way in.
#[derive(Debug)]
pub(crate) struct Storage<D: Disk> {
    staging: Staging<D>,
    parts: Vec<Part<D>>,
    runs: Runs,
    /// One page slot.
    slot: Vec<u8>,
    /// Something was written since the last flush.
    is_dirty: bool,
    /// Ticks since then.
    ticks: u32,
    room: Room,
}

/// Where a write found no room. What it was to write is lost then: all that is stored must be checked anew.
#[derive(Debug, Default)]
struct Room {
    full: Option<(Area, Fault)>,
    /// Repair chunks have given way already.
    has_given_way: bool,
}

impl Room {
    /// Notes want of room that something can be done about, in place of giving it back.
    fn or_note(&mut self, area: Area, done: Result<(), Fault>) -> Result<(), Fault> {
        match done {
            Err(fault) if is_full(&fault) && !(area == Area::Image && self.has_given_way) => {
                if area == Area::Image || self.full.is_none() {
                    self.full = Some((area, fault));
                }
                Ok(())
            }
            done => done,
        }
    }
}

/// What a component has beside its image.
#[derive(Debug)]
struct Part<D: Disk> {
    geometry: Geometry,
    layout: Layout,
    scratch: Scratch<D>,
}

/// Images that are proven, and the scratch files that are of no more use.
pub(crate) struct Ready<D: Disk> {
    pub(crate) images: Proven<D>,
    pub(crate) scratch: Vec<Scratch<D>>,
}

impl<D: Disk> Storage<D> {
    /// Opens the scratch files beside `staging`, with whatever an earlier run wrote there.
    pub(crate) fn open(
        disk: &D,
        folder: &Path,
        digest: &[u8; 32],
        manifest: &Manifest,
        staging: Staging<D>,
    ) -> Result<Self, Fault> {
        let open = |(number, component): (usize, &fleetcast_core::manifest::Component)| {
            let geometry = component.geometry;
            let layout = Layout::new(&geometry);
            Ok(Part { geometry, layout, scratch: Scratch::open(disk, folder, digest, number, layout.size())? })
        };
        let parts = manifest.components.iter().enumerate().map(open).collect::<Result<_, Fault>>()?;
        Ok(Self {
            staging,
            parts,
            runs: Runs::default(),
            slot: Vec::new(),
            is_dirty: false,
            ticks: 0,
            room: Room::default(),
        })
    }

    /// Writes into an image.
    pub(crate) fn write(&mut self, component: u8, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.push(Place { area: Area::Image, component, offset }, bytes)
    }

    /// Keeps a repair chunk.
    pub(crate) fn store_repair(&mut self, component: u8, number: u32, bytes: &[u8]) -> Result<(), Fault> {
        let offset = self.part(component)?.layout.repair(number.into());
        self.push(Place { area: Area::Scratch, component, offset }, bytes)
    }

    /// Keeps a page or parity page.
    pub(crate) fn store_page(&mut self, kind: PageKind, component: u8, cell: u32, payload: &[u8]) -> Result<(), Fault> {
        scratch::to_slot(payload, &mut self.slot);
        let part = part_of(&mut self.parts, component)?;
        let written = part.scratch.write_at(part.layout.page(kind, cell), &self.slot);
        self.is_dirty = true;
        self.room.or_note(Area::Scratch, written)
    }

    /// Reads a page or parity page into `payload`, empty if there is none or it cannot be read.
    pub(crate) fn read_page(
        &mut self,
        kind: PageKind,
        component: u8,
        cell: u32,
        payload: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let part = self.part(component)?;
        payload.resize(part.layout.slot(), 0);
        if !is_readable(part.scratch.read_at(part.layout.page(kind, cell), payload))? {
            payload.clear();
            return Ok(());
        }
        scratch::from_slot(payload);
        Ok(())
    }

    /// Reads all chunks of a cell into `chunks`, one behind the other, each of full length; none if they cannot be read.
    pub(crate) fn read_cell(&mut self, component: u8, cell: u32, chunks: &mut Vec<u8>) -> Result<(), Fault> {
        self.write_out()?;
        let part = self.part(component)?;
        let Some(positions) = part.geometry.cell_at(cell) else {
            chunks.clear();
            return Ok(());
        };
        // Chunks of a cell lie side by side, in the image as in the scratch file.
        chunks.resize(positions.len as usize * part.geometry.chunk_len(), 0);
        if !is_readable(self.read(component, positions.start, 0, chunks))? {
            chunks.clear();
        }
        Ok(())
    }

    /// To be called about once a second: writes what waits for neighbours, and flushes every so often.
    pub(crate) fn tick(&mut self) -> Result<(), Fault> {
        self.write_out()?;
        self.ticks += 1;
        if self.is_dirty && self.ticks >= FLUSH_TICKS { self.flush() } else { Ok(()) }
    }

    /// Writes what waits for neighbours.
    pub(crate) fn write_out(&mut self) -> Result<(), Fault> {
        let Self { staging, parts, runs, room, .. } = self;
        runs.flush(|place, bytes| room.or_note(place.area, put(staging, parts, place, bytes)))
    }

    /// Makes everything survive a power cut.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        self.write_out()?;
        for part in &mut self.parts {
            // File systems may find out this late that they are full.
            self.room.or_note(Area::Scratch, part.scratch.flush())?;
        }
        self.room.or_note(Area::Image, self.staging.flush())?;
        (self.is_dirty, self.ticks) = (false, 0);
        Ok(())
    }

    /// Restores all missing source chunks from those that `receiver` has. Returns how many.
    pub(crate) fn restore(&mut self, receiver: &Receiver) -> Result<u64, FecError<Fault>> {
        self.write_out().map_err(FecError::Io)?;
        let mut restored = 0;
        for (component, geometry) in (0..).zip(self.parts.iter().map(|part| part.geometry).collect::<Vec<_>>()) {
            let mut decoder = Decoder::within(RESTORE_MEMORY, &geometry);
            let mut io = ComponentIo { storage: self, component };
            for block in 0..geometry.blocks() {
                let have = |position| receiver.has(component, position);
                restored += u64::from(decoder.restore(&geometry, block, have, &mut io)?);
            }
        }
        Ok(restored)
    }

    /// Reads all images back from the storage and compares their SHA-256.
    pub(crate) fn verify(mut self) -> Result<Ready<D>, (Box<Self>, VerifyError)> {
        if let Err(fault) = self.write_out() {
            return Err((Box::new(self), fault.into()));
        }
        match self.staging.verify() {
            Ok(images) => Ok(Ready { images, scratch: self.parts.into_iter().map(|part| part.scratch).collect() }),
            Err(unverified) => Err((Box::new(Self { staging: *unverified.staging, ..self }), unverified.reason)),
        }
    }

    fn push(&mut self, place: Place, bytes: &[u8]) -> Result<(), Fault> {
        let Self { staging, parts, runs, room, .. } = self;
        self.is_dirty = true;
        runs.push(place, bytes, |place, bytes| room.or_note(place.area, put(staging, parts, place, bytes)))
    }

    /// Where there was no room since the last call.
    pub(crate) const fn take_full(&mut self) -> Option<(Area, Fault)> {
        self.room.full.take()
    }

    /// Frees the room of all repair chunks for the images. False if that was done before.
    pub(crate) fn clear_repair(&mut self) -> Result<bool, Fault> {
        if std::mem::replace(&mut self.room.has_given_way, true) {
            return Ok(false);
        }
        self.runs.forget(Area::Scratch);
        for Part { layout, scratch, .. } in &mut self.parts {
            scratch.clear_from(layout.repair(0))?;
        }
        Ok(true)
    }

    /// Its files, to be removed.
    pub(crate) fn into_files(self) -> (Staging<D>, Vec<Scratch<D>>) {
        (self.staging, self.parts.into_iter().map(|part| part.scratch).collect())
    }

    /// Reads from octet `column` of the chunk at `position` on; behind the end of the image there are zeros.
    fn read(&mut self, component: u8, position: u32, column: usize, buf: &mut [u8]) -> Result<(), Fault> {
        let Part { geometry, layout, scratch } = self.part(component)?;
        if let Some(number) = position.checked_sub(geometry.source_chunks()) {
            return scratch.read_at(layout.repair(number.into()) + column as u64, buf);
        }
        let offset = geometry.image_offset(position, column);
        let (image, padding) = buf.split_at_mut(geometry.image_part(offset, buf.len()));
        padding.fill(0);
        if image.is_empty() { Ok(()) } else { self.staging.read_at(component.into(), offset, image) }
    }

    fn part(&self, component: u8) -> Result<&Part<D>, Fault> {
        let none = || Fault::NoComponent { component: component.into(), count: self.parts.len() };
        self.parts.get(usize::from(component)).ok_or_else(none)
    }
}

/// Whether a fault is a failing storage, such as a sector that cannot be read or written.
pub(crate) fn is_failing(fault: &Fault) -> bool {
    fault.code() == "io"
}

/// Whether a fault is want of room.
pub(crate) fn is_full(fault: &Fault) -> bool {
    fault.code() == "no-space"
}

/// Whether something could be read: damage is an answer, all else is an error.
fn is_readable(read: Result<(), Fault>) -> Result<bool, Fault> {
    match read {
        Err(fault) if is_failing(&fault) => Ok(false),
        read => read.map(|()| true),
    }
}

fn part_of<D: Disk>(parts: &mut [Part<D>], component: u8) -> Result<&mut Part<D>, Fault> {
    let none = Fault::NoComponent { component: component.into(), count: parts.len() };
    parts.get_mut(usize::from(component)).ok_or(none)
}

fn put<D: Disk>(staging: &mut Staging<D>, parts: &mut [Part<D>], place: Place, bytes: &[u8]) -> Result<(), Fault> {
    match place.area {
        Area::Image => staging.write_at(place.component.into(), place.offset, bytes),
        Area::Scratch => part_of(parts, place.component)?.scratch.write_at(place.offset, bytes),
    }
}

/// The chunks of one component, for the decoder.
struct ComponentIo<'a, D: Disk> {
    storage: &'a mut Storage<D>,
    component: u8,
}

impl<D: Disk> ChunkIo for ComponentIo<'_, D> {
    type Error = Fault;

    fn read(&mut self, position: u32, column: usize, buf: &mut [u8]) -> Result<(), Fault> {
        self.storage.read(self.component, position, column, buf)
    }

    fn write(&mut self, position: u32, column: usize, bytes: &[u8]) -> Result<(), Fault> {
        let geometry = &self.storage.part(self.component)?.geometry;
        let offset = geometry.image_offset(position, column);
        let image = &bytes[..geometry.image_part(offset, bytes.len())];
        if image.is_empty() {
            return Ok(());
        }
        self.storage.staging.write_at(self.component.into(), offset, image)
    }
}
