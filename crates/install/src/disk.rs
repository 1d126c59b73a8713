//! The storage operations an install is made of.
//!
//! One method is one operation a power cut can precede. Nothing here flushes on its
//! own: what a caller needs to survive a power cut it flushes, file or folder.

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

/// What [`Disk::stat`] says about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Bytes of the file, holes included.
    pub size: u64,
    /// Bytes of storage the file occupies already.
    pub allocated: u64,
}

/// What bears a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A block device.
    Block,
    /// Anything else: a folder, link, pipe or other device.
    Other,
}

/// Room on the file system that holds a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Tells file systems apart.
    pub device: u64,
    /// Bytes this process may still write.
    pub free: u64,
}

/// A file system, by path. Paths follow no symbolic link in their last part.
///
/// # Errors
///
/// Every method: the operating system's error, with nothing done.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods")]
pub trait Disk: Clone + Debug {
    /// An open file.
    type File: DiskFile;

    /// Opens a regular file for reading.
    fn open_read(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens a regular file for reading and writing, creates it with mode 0600 if
    /// missing, and locks it against every other opener until it is dropped.
    /// [`io::ErrorKind::WouldBlock`] if another holds the lock.
    fn open_locked(&self, path: &Path) -> io::Result<Self::File>;
    /// As [`Disk::open_locked`], but waits for the lock. For files that nobody renames or removes.
    fn wait_lock(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens a slot for reading and writing, and locks it against every other opener until it is dropped: a regular file,
    /// created with mode 0600 if missing, or a block device, which must not be mounted or otherwise in use
    /// ([`io::ErrorKind::ResourceBusy`]). Follows links: device names that stay the same are links.
    fn open_slot(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens a regular file or block device for reading, links followed.
    fn open_seed(&self, path: &Path) -> io::Result<Self::File>;
    /// What bears a name, links followed; `None` if nothing does.
    fn stat_slot(&self, path: &Path) -> io::Result<Option<Stat>>;
    /// Creates `.<stem>.<random>.tmp` in `folder` with mode 0600.
    fn create_temp(&self, folder: &Path, stem: &OsStr) -> io::Result<(PathBuf, Self::File)>;
    /// Creates a folder with mode 0700.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Locks a folder against every other locker until the result is dropped.
    /// [`io::ErrorKind::WouldBlock`] if another holds the lock.
    fn lock_dir(&self, path: &Path) -> io::Result<Self::File>;
    /// Gives a file another name in the same folder, replacing what bears it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder survive a power cut.
    fn flush_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// What bears a name; `None` if nothing does.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;
    /// Room on the file system of a folder.
    fn space(&self, folder: &Path) -> io::Result<Space>;
}

/// An open file. Offsets and sizes are in bytes.
///
/// # Errors
///
/// Every method: the operating system's error.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods")]
pub trait DiskFile: Debug {
    /// Locks the file against every other locker until it is dropped.
    /// [`io::ErrorKind::WouldBlock`] if another holds the lock.
    fn lock(&self) -> io::Result<()>;
    /// Size of the file, holes included, or of the block device.
    fn size(&self) -> io::Result<u64>;
    /// Cuts the file, or lengthens it by a hole that reads as zeros.
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Makes everything from `offset` to the end of a block device read as zeros. What does that without writing is
    /// preferred; flash need not wear for it.
    fn clear_tail(&self, offset: u64) -> io::Result<()>;
    /// Sets the permission bits.
    fn set_mode(&self, mode: u32) -> io::Result<()>;
    /// Fills `buf` from `offset`; [`io::ErrorKind::UnexpectedEof`] if the file ends first.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes content, size and mode survive a power cut; the name needs [`Disk::flush_dir`].
    fn flush(&self) -> io::Result<()>;
    /// Forgets cached pages, so that the next read comes from the storage itself.
    /// Unflushed pages stay.
    fn drop_cache(&self) -> io::Result<()>;
}
