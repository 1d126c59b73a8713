//! [`Faulty`]: a disk whose operations fail from a chosen one on.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use crate::disk::{Disk, DiskFile, Space, Stat};

/// A disk, or one of its files, that counts operations and fails some without doing them.
#[derive(Clone, Debug)]
pub struct Faulty<T> {
    inner: T,
    plan: Arc<FaultPlan>,
}

#[derive(Debug)]
struct FaultPlan {
    done: AtomicU64,
    fail: Range<u64>,
    error: Errno,
}

impl<T> Faulty<T> {
    /// Fails the operations numbered `fail`, from 0, with `error`: all from one on for
    /// a power cut or a kill, one only for a disk that recovers, none to count.
    pub fn new(inner: T, fail: Range<u64>, error: Errno) -> Self {
        let plan = FaultPlan { done: AtomicU64::new(0), fail, error };
        Self { inner, plan: Arc::new(plan) }
    }

    /// Operations so far, failed ones included.
    pub fn operations(&self) -> u64 {
        self.plan.done.load(Ordering::Relaxed)
    }

    fn step(&self) -> io::Result<&T> {
        let number = self.plan.done.fetch_add(1, Ordering::Relaxed);
        if self.plan.fail.contains(&number) {
            return Err(self.plan.error.into());
        }
        Ok(&self.inner)
    }

    fn wrap<U>(&self, inner: U) -> Faulty<U> {
        Faulty { inner, plan: Arc::clone(&self.plan) }
    }
}

impl<D: Disk> Disk for Faulty<D> {
    type File = Faulty<D::File>;

    fn open_read(&self, path: &Path) -> io::Result<Self::File> {
        Ok(self.wrap(self.step()?.open_read(path)?))
    }

    fn open_locked(&self, path: &Path) -> io::Result<Self::File> {
        Ok(self.wrap(self.step()?.open_locked(path)?))
    }

    fn wait_lock(&self, path: &Path) -> io::Result<Self::File> {
        Ok(self.wrap(self.step()?.wait_lock(path)?))
    }

    fn open_slot(&self, path: &Path) -> io::Result<Self::File> {
        Ok(self.wrap(self.step()?.open_slot(path)?))
    }

    fn open_seed(&self, path: &Path) -> io::Result<Self::File> {
        Ok(self.wrap(self.step()?.open_seed(path)?))
    }

    fn stat_slot(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.step()?.stat_slot(path)
    }

    fn create_temp(&self, folder: &Path, stem: &OsStr) -> io::Result<(PathBuf, Self::File)> {
        let (path, file) = self.step()?.create_temp(folder, stem)?;
        Ok((path, self.wrap(file)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?.create_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Self::File> {
        Ok(self.wrap(self.step()?.lock_dir(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?.remove(path)
    }

    fn flush_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?.flush_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.step()?.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.step()?.stat(path)
    }

    fn space(&self, folder: &Path) -> io::Result<Space> {
        self.step()?.space(folder)
    }
}

impl<F: DiskFile> DiskFile for Faulty<F> {
    fn lock(&self) -> io::Result<()> {
        self.step()?.lock()
    }

    fn size(&self) -> io::Result<u64> {
        self.step()?.size()
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.step()?.set_size(size)
    }

    fn clear_tail(&self, offset: u64) -> io::Result<()> {
        self.step()?.clear_tail(offset)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.step()?.set_mode(mode)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.step()?.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.step()?.write_at(offset, bytes)
    }

    fn flush(&self) -> io::Result<()> {
        self.step()?.flush()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.step()?.drop_cache()
    }
}
