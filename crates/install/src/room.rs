//! Whether images fit, file system by file system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, Space};
use crate::fault::{At as _, Fault};

/// What is needed on each file system, and what there is.
#[derive(Debug, Default)]
pub(crate) struct Rooms(BTreeMap<u64, Room>);

#[derive(Debug)]
struct Room {
    folder: PathBuf,
    needed: u64,
    available: u64,
}

impl Rooms {
    /// Bytes that will be written in a folder.
    pub(crate) fn need<D: Disk>(&mut self, disk: &D, folder: &Path, bytes: u64) -> Result<(), Fault> {
        let Space { device, free } = disk.space(folder).at("look at", folder)?;
        let room = self.0.entry(device).or_insert(Room { folder: folder.into(), needed: 0, available: free });
        room.needed = room.needed.saturating_add(bytes);
        Ok(())
    }

    /// Bytes that will be freed in a folder.
    pub(crate) fn free<D: Disk>(&mut self, disk: &D, folder: &Path, bytes: u64) -> Result<(), Fault> {
        let Space { device, .. } = disk.space(folder).at("look at", folder)?;
        if let Some(room) = self.0.get_mut(&device) {
            room.available = room.available.saturating_add(bytes);
        }
        Ok(())
    }

    /// Refuses what does not fit.
    pub(crate) fn check(self) -> Result<(), Fault> {
        match self.0.into_values().find(|room| room.needed > room.available) {
            Some(Room { folder, needed, available }) => Err(Fault::NoRoom { folder, needed, available }),
            None => Ok(()),
        }
    }
}
