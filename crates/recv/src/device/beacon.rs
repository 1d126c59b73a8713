//! The newest beacon, kept across restarts: from then on no older one counts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetcast_core::time::Instant;
use fleetcast_core::trust::MAX_STATEMENT;
use fleetcast_install::{Disk, Fault, durable};

use crate::storage::is_failing;

/// Name of the file.
pub(crate) const BEACON: &str = "beacon";
/// Least time between two writes: flash wears, and what a power cut takes is only that much of time.
const REST: Duration = Duration::from_mins(1);

/// Its file.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    /// A newer one than the file has.
    waiting: Option<Vec<u8>>,
    written: Option<Instant>,
    /// A root has followed: perhaps its signers may not sign beacons any longer.
    is_doubtful: bool,
}

impl Kept {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, waiting: None, written: None, is_doubtful: false }
    }

    /// Takes a later beacon.
    pub(super) fn set(&mut self, statement: &[u8]) {
        self.waiting = Some(statement.to_vec());
    }

    pub(super) const fn doubt(&mut self) {
        self.is_doubtful = true;
    }

    pub(super) const fn take_doubt(&mut self) -> bool {
        std::mem::replace(&mut self.is_doubtful, false)
    }

    /// Writes it, if there is a newer one and the last write is long ago.
    pub(super) fn write<D: Disk>(&mut self, disk: &D, now: Instant) -> Result<(), Fault> {
        let rests = self.written.is_some_and(|written| now.since(written) < REST);
        if self.waiting.is_none() || rests {
            return Ok(());
        }
        // Whether it succeeds or not: a full disk is not to be tried every second.
        self.written = Some(now);
        self.flush(disk)
    }

    /// Writes it, if there is a newer one.
    pub(super) fn flush<D: Disk>(&mut self, disk: &D) -> Result<(), Fault> {
        let Some(statement) = &self.waiting else { return Ok(()) };
        durable::replace(disk, &self.path, statement)?;
        self.waiting = None;
        Ok(())
    }

    /// It counts no longer.
    pub(super) fn forget<D: Disk>(&mut self, disk: &D) -> Result<(), Fault> {
        self.waiting = None;
        match disk.remove(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Fault::Io { operation: "remove", path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// The beacon of a state folder. What cannot be one counts as none.
pub(crate) fn kept<D: Disk>(disk: &D, state: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let max = u32::try_from(MAX_STATEMENT).unwrap_or(u32::MAX);
    match durable::read_bounded(disk, &state.join(BEACON), max) {
        Err(fault) if is_failing(&fault) || matches!(fault, Fault::TooLarge { .. }) => Ok(None),
        read => read,
    }
}
