//! The state folder and the device record in it.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::durable;
use crate::fault::{At as _, Fault};
use crate::record::{DecodeError, MAX_RECORD, Record};

const RECORD: &str = "record";

/// What a state folder holds, for those who only look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// No record: a new device.
    Missing,
    /// A record that says nothing: its floors are lost, and nothing may be installed.
    Unreadable {
        /// What is wrong with it.
        reason: DecodeError,
    },
    /// The record.
    Ok(Record),
}

/// Reads the device record without locking or changing anything.
///
/// # Errors
///
/// [`Fault`] if storage fails.
pub fn load<D: Disk>(disk: &D, folder: &Path) -> Result<Loaded, Fault> {
    let Some(bytes) = durable::read_bounded(disk, &folder.join(RECORD), MAX_RECORD)? else {
        return Ok(Loaded::Missing);
    };
    Ok(match Record::decode(&bytes) {
        Ok(record) => Loaded::Ok(record),
        Err(reason) => Loaded::Unreadable { reason },
    })
}

/// The state folder of one receiver, locked, and the record in it.
#[derive(Debug)]
pub struct State<D: Disk> {
    disk: D,
    folder: PathBuf,
    record: Record,
    _lock: D::File,
}

impl<D: Disk> State<D> {
    /// Opens a state folder, creates it if missing, and locks it until dropped.
    ///
    /// A missing record is that of a new device.
    ///
    /// # Errors
    ///
    /// [`Fault::Locked`] if another receiver uses the folder; [`Fault::Record`] if the
    /// record is unreadable; otherwise what the operating system says.
    pub fn open(disk: D, folder: &Path) -> Result<Self, Fault> {
        durable::create_dir(&disk, folder)?;
        let lock = disk.lock_dir(folder).at("lock", folder)?;
        let path = folder.join(RECORD);
        durable::remove_leftovers(&disk, &path)?;
        let record = match load(&disk, folder)? {
            Loaded::Missing => Record::default(),
            Loaded::Unreadable { reason } => return Err(Fault::Record { path, source: reason }),
            Loaded::Ok(record) => record,
        };
        // A receiver killed between rename and flush leaves a record that we can read
        // and a power cut still undoes. What we act on must be what stays.
        disk.flush_dir(folder).at("flush", folder)?;
        Ok(Self { disk, folder: folder.into(), record, _lock: lock })
    }

    /// The storage this state is on.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The state folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The record, as last stored.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Replaces the record, and returns once that survives a power cut.
    ///
    /// # Errors
    ///
    /// [`Fault::Plan`] if a field is out of its bounds; otherwise what the operating
    /// system says. [`State::record`] is then the old one.
    pub fn store(&mut self, next: Record) -> Result<(), Fault> {
        let bytes = next.encode()?;
        durable::replace(&self.disk, &self.folder.join(RECORD), &bytes)?;
        self.record = next;
        Ok(())
    }
}
