//! [`RealFs`]: the operating system's file system.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::io::{Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{self, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::disk::{Disk, DiskFile, Kind, Space, Stat};

/// No block device has larger blocks.
const BLOCK: u64 = 4096;
/// Zeros written in one step.
const ZEROS: usize = 1 << 20;

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Disk for RealFs {
    type File = File;

    fn open_read(&self, path: &Path) -> io::Result<File> {
        open_regular(path, OFlags::RDONLY)
    }

    fn open_locked(&self, path: &Path) -> io::Result<File> {
        // Whoever held the lock before may have renamed or removed the file between
        // our open and our lock; what we hold then bears the name no more.
        for _ in 0..8 {
            let file = match open_regular(path, OFlags::RDWR | OFlags::CREATE) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    // Cut off between taking a read-only mode and the rename.
                    open_regular(path, OFlags::RDONLY)?.set_mode(0o600)?;
                    open_regular(path, OFlags::RDWR)?
                }
                opened => opened?,
            };
            DiskFile::lock(&file)?;
            let held = file.metadata()?;
            match std::fs::symlink_metadata(path) {
                Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => {
                    return Ok(file);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn wait_lock(&self, path: &Path) -> io::Result<File> {
        let file = open_regular(path, OFlags::RDWR | OFlags::CREATE)?;
        fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn open_slot(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let is_block = self.stat_slot(path)?.is_some_and(|found| found.kind == Kind::Block);
        if is_block && is_read_only(&std::fs::metadata(path)?) {
            return Err(Errno::ROFS.into());
        }
        // Of a block device, EXCL means: not while it is mounted or part of something else, see open(2).
        let flags = flags | if is_block { OFlags::EXCL } else { OFlags::CREATE };
        let file = File::from(fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
        if kind_of(&file.metadata()?) == Kind::Other {
            return Err(Errno::ISDIR.into());
        }
        DiskFile::lock(&file)?;
        Ok(file)
    }

    fn open_seed(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(fs::open(path, flags, Mode::empty())?);
        if kind_of(&file.metadata()?) == Kind::Other { Err(Errno::ISDIR.into()) } else { Ok(file) }
    }

    fn stat_slot(&self, path: &Path) -> io::Result<Option<Stat>> {
        let Some(mut stat) = stat_of(std::fs::metadata(path))? else { return Ok(None) };
        if stat.kind == Kind::Block {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
            stat.size = DiskFile::size(&File::from(fs::open(path, flags, Mode::empty())?))?;
        }
        Ok(Some(stat))
    }

    fn create_temp(&self, folder: &Path, stem: &OsStr) -> io::Result<(PathBuf, File)> {
        let mut prefix = OsString::from(".");
        prefix.push(stem);
        prefix.push(".");
        let temp = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".tmp")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        let (file, path) = temp.keep().map_err(|failed| failed.error)?;
        Ok((path, file))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        Ok(fs::mkdir(path, Mode::RWXU)?)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<File> {
        let folder = open_dir(path)?;
        DiskFile::lock(&folder)?;
        Ok(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(fs::rename(from, to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn flush_dir(&self, path: &Path) -> io::Result<()> {
        match fs::fsync(open_dir(path)?) {
            // This file system has no such operation (squashfs, sysfs, ...), so there is nothing to wait for.
            Err(Errno::INVAL) => Ok(()),
            flushed => Ok(flushed?),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        stat_of(std::fs::symlink_metadata(path))
    }

    fn space(&self, folder: &Path) -> io::Result<Space> {
        let folder = open_dir(folder)?;
        let room = fs::fstatvfs(&folder)?;
        Ok(Space { device: folder.metadata()?.dev(), free: room.f_bavail.saturating_mul(room.f_frsize) })
    }
}

impl DiskFile for File {
    fn lock(&self) -> io::Result<()> {
        Ok(fs::flock(self, FlockOperation::NonBlockingLockExclusive)?)
    }

    fn size(&self) -> io::Result<u64> {
        let found = self.metadata()?;
        if kind_of(&found) == Kind::Block {
            let mut device = self;
            return device.seek(SeekFrom::End(0));
        }
        Ok(found.len())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn clear_tail(&self, offset: u64) -> io::Result<()> {
        let size = DiskFile::size(self)?;
        // Devices clear whole blocks only.
        let aligned = offset.next_multiple_of(BLOCK).min(size);
        write_zeros(self, offset..aligned)?;
        if aligned >= size {
            return Ok(());
        }
        let how = fs::FallocateFlags::PUNCH_HOLE | fs::FallocateFlags::KEEP_SIZE;
        match fs::fallocate(self, how, aligned, size - aligned) {
            Ok(()) => Ok(()),
            // Not every device can.
            Err(_) => write_zeros(self, aligned..size),
        }
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.set_permissions(Permissions::from_mode(mode))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buf, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(fs::fadvise(self, 0, None, fs::Advice::DontNeed)?)
    }
}

/// Opens a regular file. `NONBLOCK`, so that a pipe at this name cannot hang us;
/// on a regular file it means nothing.
fn open_regular(path: &Path, how: OFlags) -> io::Result<File> {
    let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::ISDIR.into()) }
}

fn kind_of(found: &std::fs::Metadata) -> Kind {
    match found.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_block_device() => Kind::Block,
        _ => Kind::Other,
    }
}

fn stat_of(found: io::Result<std::fs::Metadata>) -> io::Result<Option<Stat>> {
    match found {
        Ok(found) => Ok(Some(Stat {
            kind: kind_of(&found),
            mode: found.mode() & 0o7777,
            size: found.len(),
            // POSIX leaves the unit open; Linux counts 512 bytes, see stat(2).
            allocated: found.blocks().saturating_mul(512),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a block device refuses to be written. The kernel opens it for writing all the same, and the first write fails.
fn is_read_only(device: &std::fs::Metadata) -> bool {
    let (major, minor) = (fs::major(device.rdev()), fs::minor(device.rdev()));
    // Where that cannot be read, the write will tell.
    std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/ro")).is_ok_and(|text| text.trim() == "1")
}

fn write_zeros(file: &File, mut range: Range<u64>) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    while !range.is_empty() {
        let step = usize::try_from(range.end - range.start).map_or(ZEROS, |left| left.min(ZEROS));
        file.write_all_at(&zeros[..step], range.start)?;
        range.start += step as u64;
    }
    Ok(())
}

fn open_dir(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(fs::open(path, flags, Mode::empty())?))
}
