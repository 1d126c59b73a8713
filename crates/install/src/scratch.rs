//! [`Scratch`]: room for repair chunks and pages while a release is received.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::fault::{At as _, Fault};
use crate::fixed::FixedFile;
use crate::parts;

/// A sparse file of fixed size in the state folder, one for each component of a
/// release. A restart finds it again; what it holds is to be hashed, not believed.
#[derive(Debug)]
pub struct Scratch<D: Disk> {
    disk: D,
    file: FixedFile<D>,
}

impl<D: Disk> Scratch<D> {
    /// Opens or creates the scratch file of a component, of `size` bytes.
    ///
    /// Only what is written occupies room, and that is not known beforehand, so free
    /// room is not checked.
    ///
    /// # Errors
    ///
    /// [`Fault::Locked`] if another process uses it; otherwise what the operating
    /// system says.
    pub fn open(disk: &D, folder: &Path, manifest: &[u8; 32], component: usize, size: u64) -> Result<Self, Fault> {
        let path = parts::scratch(folder, manifest, component);
        Ok(Self { disk: disk.clone(), file: FixedFile::open(disk, path, size)? })
    }

    /// The scratch files of other releases than `keep`.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub fn stale(disk: &D, folder: &Path, keep: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault> {
        parts::stale_scratch(disk, folder, keep)
    }

    /// Removes the scratch files of other releases than `keep` that no process has
    /// open. Returns what it removed.
    ///
    /// # Errors
    ///
    /// [`Fault`]; some may then remain.
    pub fn remove_stale(disk: &D, folder: &Path, keep: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault> {
        parts::remove_unlocked(disk, Self::stale(disk, folder, keep)?)
    }

    /// Writes at an offset in bytes.
    ///
    /// # Errors
    ///
    /// [`Fault::OutOfRange`] with nothing done; otherwise what the operating system says.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.file.write_at(offset, bytes)
    }

    /// Reads from an offset in bytes. What was never written reads as anything.
    ///
    /// # Errors
    ///
    /// [`Fault::OutOfRange`] with nothing done; otherwise what the operating system says.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.file.read_at(offset, buf)
    }

    /// Frees the room from an offset in bytes to the end; it reads as zeros then.
    ///
    /// # Errors
    ///
    /// [`Fault::OutOfRange`] with nothing done; otherwise what the operating system says.
    pub fn clear_from(&mut self, offset: u64) -> Result<(), Fault> {
        self.file.clear_from(offset)
    }

    /// Makes all writes survive a power cut.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub fn flush(&mut self) -> Result<(), Fault> {
        self.file.flush()
    }

    /// Removes the file.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub fn remove(self) -> Result<(), Fault> {
        self.disk.remove(self.file.path()).at("remove", self.file.path())
    }
}
