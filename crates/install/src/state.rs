//! The state folder and the device record in it.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::durable;
use crate::fault::{At as _, Fault};
use crate::fixed::FixedFile;
use crate::record::{DecodeError, Record, journal};

const RECORD: &str = "record";
/// Who changes the record holds its lock: the daemon and commands may do so side by side.
const LOCK: &str = "lock";
/// Who changes what becomes of a release on trial holds its lock, and asks boot loader or program only then.
const TRIAL_LOCK: &str = "trial-lock";

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
    Ok(Box<Record>),
}

/// Reads the device record without locking or changing anything.
///
/// # Errors
///
/// [`Fault`] if storage fails.
pub fn load<D: Disk>(disk: &D, folder: &Path) -> Result<Loaded, Fault> {
    let max = u32::try_from(journal::FILE).unwrap_or(u32::MAX);
    let Some(bytes) = durable::read_bounded(disk, &folder.join(RECORD), max)? else {
        return Ok(Loaded::Missing);
    };
    Ok(match journal::read(&bytes) {
        Ok(found) => Loaded::Ok(found.record.into()),
        Err(reason) => Loaded::Unreadable { reason },
    })
}

/// A state folder and the record in it.
#[derive(Debug)]
pub struct State<D: Disk> {
    disk: D,
    folder: PathBuf,
    record: Record,
    /// Keeps other daemons out, if this is one.
    _daemon: Option<D::File>,
}

impl<D: Disk> State<D> {
    /// Opens the state folder of a daemon: creates it and the record in it if missing, and keeps other daemons out until
    /// dropped. `seed` is random, for a device that has none yet.
    ///
    /// # Errors
    ///
    /// [`Fault::Locked`] if another receiver uses the folder; [`Fault::Record`] if the
    /// record is unreadable; otherwise what the operating system says.
    pub fn open(disk: D, folder: &Path, seed: [u8; 16]) -> Result<Self, Fault> {
        durable::create_dir(&disk, folder)?;
        let daemon = disk.lock_dir(folder).at("lock", folder)?;
        let mut state = Self { disk, folder: folder.into(), record: Record::default(), _daemon: Some(daemon) };
        {
            let _lock = state.lock()?;
            durable::remove_leftovers(&state.disk, &state.path())?;
            if load(&state.disk, folder)? == Loaded::Missing {
                let new = journal::write(&Record { seed, ..Record::default() }, 1)?;
                durable::replace(&state.disk, &state.path(), &new)?;
            }
            // Whoever made it may have been killed before it was flushed. What we act on must be what stays.
            state.disk.flush_dir(folder).at("flush", folder)?;
        }
        state.update(|_| ())?;
        Ok(state)
    }

    /// Opens the state folder for a command beside a daemon that may run.
    ///
    /// # Errors
    ///
    /// [`Fault::NoState`] if there is no record; [`Fault::Record`] if it is unreadable; otherwise what the operating
    /// system says.
    pub fn attach(disk: D, folder: &Path) -> Result<Self, Fault> {
        let mut state = Self { disk, folder: folder.into(), record: Record::default(), _daemon: None };
        state.refresh()?;
        Ok(state)
    }

    /// The storage this state is on.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The state folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The record, as last read or stored.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Reads the record anew: others may have changed it. True if they have.
    ///
    /// # Errors
    ///
    /// As [`State::attach`].
    pub fn refresh(&mut self) -> Result<bool, Fault> {
        let path = self.path();
        let record = match load(&self.disk, &self.folder)? {
            Loaded::Missing => return Err(Fault::NoState { path }),
            Loaded::Unreadable { reason } => return Err(Fault::Record { path, source: reason }),
            Loaded::Ok(record) => *record,
        };
        let is_other = record != self.record;
        self.record = record;
        Ok(is_other)
    }

    /// Changes the record as it is now, and returns once the change survives a power cut.
    ///
    /// # Errors
    ///
    /// [`Fault::Plan`] if a field is out of its bounds, with nothing changed; otherwise what the operating system says:
    /// the change may then survive or not.
    pub fn update<T>(&mut self, change: impl FnOnce(&mut Record) -> T) -> Result<T, Fault> {
        let path = self.path();
        let _lock = self.lock()?;
        let max = u32::try_from(journal::FILE).unwrap_or(u32::MAX);
        let bytes = durable::read_bounded(&self.disk, &path, max)?.ok_or(Fault::NoState { path: path.clone() })?;
        let found = journal::read(&bytes).map_err(|source| Fault::Record { path: path.clone(), source })?;
        let mut next = found.record.clone();
        let result = change(&mut next);
        if next != found.record || !found.is_whole {
            let counter = found.counter.saturating_add(1);
            self.write(&next, counter, &bytes, &found)?;
        }
        self.record = next;
        Ok(result)
    }

    /// Writes the copy that does not count first, then the other. Where the file fails, another takes its place.
    fn write(&self, next: &Record, counter: u64, bytes: &[u8], found: &journal::Found) -> Result<(), Fault> {
        let path = self.path();
        let copy = next.encode(counter)?;
        let first = journal::stale_copy(bytes, found);
        let in_place = (|| {
            let file = FixedFile::open(&self.disk, path.clone(), journal::FILE as u64)?;
            // The copy that counts may be that of a process killed before it could flush.
            file.flush()?;
            for number in [first, 1 - first] {
                file.write_at((number * journal::AREA) as u64, &copy)?;
                file.flush()?;
            }
            Ok(())
        })();
        match in_place {
            // Other blocks of the storage may be sound.
            Err(fault) if Fault::code(&fault) == "io" => {
                durable::replace(&self.disk, &path, &journal::write(next, counter)?)
            }
            done => done,
        }
    }

    /// Keeps other processes from deciding about a trial until the result is dropped, and reads what they have decided.
    pub(crate) fn lock_trial(&mut self) -> Result<D::File, Fault> {
        let lock = self.wait_lock(TRIAL_LOCK)?;
        self.refresh()?;
        Ok(lock)
    }

    fn lock(&self) -> Result<D::File, Fault> {
        self.wait_lock(LOCK)
    }

    fn wait_lock(&self, name: &str) -> Result<D::File, Fault> {
        let path = self.folder.join(name);
        self.disk.wait_lock(&path).at("lock", &path)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(RECORD)
    }
}
