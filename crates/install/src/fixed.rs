//! A locked file of a fixed size, with every position checked.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::disk::{Disk, DiskFile as _};
use crate::durable::folder_of;
use crate::fault::{At as _, Fault};

/// Bytes read in one step while hashing.
const STEP: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct FixedFile<D: Disk> {
    path: PathBuf,
    file: D::File,
    size: u64,
    /// A device: its name is not ours to flush.
    is_device: bool,
}

impl<D: Disk> FixedFile<D> {
    /// Opens or creates a file for this process alone, and gives it its size without
    /// occupying room. What it held stays.
    pub(crate) fn open(disk: &D, path: PathBuf, size: u64) -> Result<Self, Fault> {
        let file = disk.open_locked(&path).at("open", &path)?;
        // It may have another mode from an install that was begun.
        file.set_mode(0o600).at("set the mode of", &path)?;
        if file.size().at("look at", &path)? != size {
            file.set_size(size).at("set the size of", &path)?;
        }
        Ok(Self { path, file, size, is_device: false })
    }

    /// Opens a slot for an image of `size` bytes; what it holds stays, and so does its size. See [`FixedFile::fit`].
    pub(crate) fn open_slot(disk: &D, path: PathBuf, size: u64, is_device: bool) -> Result<Self, Fault> {
        let file = match disk.open_slot(&path) {
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => return Err(Fault::SlotReadOnly { path }),
            opened => opened.at("open", &path)?,
        };
        Ok(Self { path, file, size, is_device })
    }

    /// The folder whose flush makes its name survive a power cut.
    pub(crate) fn folder(&self) -> Option<&Path> {
        (!self.is_device).then(|| folder_of(&self.path))
    }

    /// Gives a file the size of its image; a device has its own.
    pub(crate) fn fit(&self) -> Result<(), Fault> {
        if !self.is_device && self.file.size().at("look at", &self.path)? != self.size {
            self.file.set_size(self.size).at("set the size of", &self.path)?;
        }
        Ok(())
    }

    /// Makes what a block device has behind the image read as zeros.
    pub(crate) fn clear_tail(&self) -> Result<(), Fault> {
        if !self.is_device {
            return Ok(());
        }
        self.file.clear_tail(self.size).at("clear the end of", &self.path)
    }

    /// Opens a file for reading, as it is and unlocked: a target may be a program that
    /// runs. `None` if there is none.
    pub(crate) fn open_read(disk: &D, path: &Path) -> Result<Option<Self>, Fault> {
        if disk.stat(path).at("look at", path)?.is_none() {
            return Ok(None);
        }
        let file = disk.open_read(path).at("open", path)?;
        let size = file.size().at("look at", path)?;
        Ok(Some(Self { path: path.into(), file, size, is_device: false }))
    }

    pub(crate) fn lock(&self) -> Result<(), Fault> {
        self.file.lock().at("lock", &self.path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.check(offset, bytes.len())?;
        self.file.write_at(offset, bytes).at("write", &self.path)
    }

    pub(crate) fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.check(offset, buf.len())?;
        self.file.read_at(offset, buf).at("read", &self.path)
    }

    /// Makes a hole from an offset to the end: frees its room, and it reads as zeros.
    pub(crate) fn clear_from(&self, offset: u64) -> Result<(), Fault> {
        self.check(offset, 0)?;
        self.file.set_size(offset).at("set the size of", &self.path)?;
        self.file.set_size(self.size).at("set the size of", &self.path)
    }

    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Fault> {
        self.file.set_mode(mode).at("set the mode of", &self.path)
    }

    pub(crate) fn flush(&self) -> Result<(), Fault> {
        self.file.flush().at("flush", &self.path)
    }

    /// SHA-256 of the file as the storage has it, not as the page cache does, in 1 MiB of memory.
    pub(crate) fn sha256(&self) -> Result<[u8; 32], Fault> {
        // Dirty pages cannot be dropped, hence the flush.
        self.flush()?;
        self.file.drop_cache().at("drop the cache of", &self.path)?;
        let mut buf = vec![0; STEP];
        let mut hash = Sha256::new();
        let mut offset = 0;
        while offset < self.size {
            let left = usize::try_from(self.size - offset).unwrap_or(STEP);
            let step = &mut buf[..left.min(STEP)];
            self.read_at(offset, step)?;
            hash.update(&*step);
            offset += step.len() as u64;
        }
        Ok(hash.finalize().into())
    }

    /// Whether the file is this image.
    pub(crate) fn is(&self, size: u64, sha256: &[u8; 32]) -> Result<bool, Fault> {
        Ok(self.size == size && self.sha256()? == *sha256)
    }

    fn check(&self, offset: u64, length: usize) -> Result<(), Fault> {
        let length = length as u64;
        match offset.checked_add(length) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(Fault::OutOfRange { path: self.path.clone(), offset, length, size: self.size }),
        }
    }
}
