//! A folder with what was fetched: files under the names they have in the store, and for each stream the pointer it went by last, and the
//! roots and the beacon that it took.
//!
//! A file is there whole or not at all. What no stream needs is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fleetcast_core::trust::MAX_STATEMENT;
use tempfile::NamedTempFile;

use crate::store::pointer::Pointer;

/// How names of files that are being written begin.
const PART: &str = ".part-";

/// Most octets of a pointer that is remembered.
const MAX_POINTER: u64 = 4096;

/// A folder of fetched releases.
#[derive(Debug)]
pub struct Cache {
    files: PathBuf,
    streams: PathBuf,
    /// Most octets of all files together.
    size: u64,
    /// The files that each stream needs, with their octets.
    needed: Mutex<BTreeMap<String, Vec<(String, u64)>>>,
    /// Streams that have not told yet what they go on with.
    unheard: Mutex<BTreeSet<String>>,
    /// Locked as long as this is here.
    _lock: File,
}

/// What a cache did not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A file or folder cannot be read or written.
    #[error("cache: cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("cache {} is used by another process: give each a folder of its own", path.display())]
    Used {
        /// The folder.
        path: PathBuf,
    },
    /// What streams need at once is more than it may hold.
    #[error("cache {} may have {size} octets, and {needed} are needed: raise `cache-size`", path.display())]
    Size {
        /// The folder.
        path: PathBuf,
        /// Octets it may have.
        size: u64,
        /// Octets needed.
        needed: u64,
    },
}

impl Cache {
    /// Opens the folder, or makes it, and removes what an interrupted run left half-written. These streams will tell what they
    /// need of it ([`Cache::heard`]).
    ///
    /// # Errors
    ///
    /// [`CacheError`].
    pub fn open(folder: &Path, size: u64, of: BTreeSet<String>) -> Result<Self, CacheError> {
        let [files, streams, lock] = ["files", "streams", "lock"].map(|name| folder.join(name));
        fs::create_dir_all(folder).map_err(at("make folder", folder))?;
        let file = File::create(&lock).map_err(at("make", &lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CacheError::Used { path: folder.into() }),
            Err(TryLockError::Error(error)) => return Err(at("lock", &lock)(error)),
        }
        for path in [&files, &streams] {
            fs::create_dir_all(path).map_err(at("make folder", path))?;
            for entry in fs::read_dir(path).map_err(at("read folder", path))? {
                let entry = entry.map_err(at("read folder", path))?;
                if entry.file_name().as_encoded_bytes().starts_with(PART.as_bytes()) {
                    fs::remove_file(entry.path()).map_err(at("remove", &entry.path()))?;
                }
            }
        }
        Ok(Self { files, streams, size, needed: Mutex::default(), unheard: Mutex::new(of), _lock: file })
    }

    /// Where a file is or would be.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }

    /// Whether a file of this length is there. What is in it is not looked at.
    #[must_use]
    pub fn has(&self, name: &str, len: u64) -> bool {
        fs::metadata(self.path(name)).is_ok_and(|metadata| metadata.is_file() && metadata.len() == len)
    }

    /// Notes that a stream needs these files too, with their octets; they stay until [`Cache::settle`].
    ///
    /// # Errors
    ///
    /// [`CacheError::Size`] if that is too much; nothing is noted then.
    pub fn need(&self, stream: &str, files: &[(String, u64)]) -> Result<(), CacheError> {
        let mut needed = self.needed.lock().unwrap_or_else(PoisonError::into_inner);
        let all: BTreeMap<_, _> = needed.values().flatten().chain(files).map(|(name, len)| (name, len)).collect();
        let total = all.values().copied().fold(0_u64, |total, len| total.saturating_add(*len));
        if total > self.size {
            return Err(CacheError::Size { path: self.files.clone(), size: self.size, needed: total });
        }
        needed.entry(stream.to_owned()).or_default().extend(files.iter().cloned());
        Ok(())
    }

    /// Notes that a stream has told what it goes on with, if it goes on with anything.
    pub fn heard(&self, stream: &str) {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
    }

    /// Removes what nobody notes a need for: what remains of earlier releases, while there may be no room for the next. Nothing, as
    /// long as a stream may need it that has not been heard.
    ///
    /// # Errors
    ///
    /// [`CacheError`].
    pub fn sweep(&self) -> Result<(), CacheError> {
        if !self.unheard.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(());
        }
        let needed = self.needed.lock().unwrap_or_else(PoisonError::into_inner);
        let names: BTreeSet<_> = needed.values().flatten().map(|(name, _)| name.as_str()).collect();
        for entry in fs::read_dir(&self.files).map_err(at("read folder", &self.files))? {
            let entry = entry.map_err(at("read folder", &self.files))?;
            let name = entry.file_name();
            let is_part = name.as_encoded_bytes().starts_with(PART.as_bytes());
            if !is_part && !name.to_str().is_some_and(|name| names.contains(name)) {
                fs::remove_file(entry.path()).map_err(at("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Notes that a stream needs these files and no others, and remembers for it the pointer that names them.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if it cannot be remembered.
    pub fn settle(&self, stream: &str, pointer: &Pointer, files: Vec<(String, u64)>) -> Result<(), CacheError> {
        let path = self.streams.join(format!("{stream}.json"));
        let mut part = part(&self.streams)?;
        part.write_all(&pointer.encode()).map_err(at("write", &path))?;
        keep(part, &path)?;
        self.needed.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.to_owned(), files);
        Ok(())
    }

    /// Notes that a stream needs only what it needed before.
    pub fn forget(&self, stream: &str, before: Vec<(String, u64)>) {
        self.needed.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.to_owned(), before);
    }

    /// What a stream needs.
    #[must_use]
    pub fn needed(&self, stream: &str) -> Vec<(String, u64)> {
        let needed = self.needed.lock().unwrap_or_else(PoisonError::into_inner);
        needed.get(stream).cloned().unwrap_or_default()
    }

    /// The pointer that a stream went by last, if there is one that can be read.
    #[must_use]
    pub fn remembered(&self, stream: &str) -> Option<Pointer> {
        let mut octets = Vec::new();
        let file = File::open(self.streams.join(format!("{stream}.json"))).ok()?;
        file.take(MAX_POINTER).read_to_end(&mut octets).ok()?;
        Pointer::decode(&octets).ok()
    }

    /// Keeps a root or beacon of a stream under this name; it is on the disk then.
    ///
    /// # Errors
    ///
    /// [`CacheError`].
    pub fn keep_notice(&self, stream: &str, name: &str, octets: &[u8]) -> Result<(), CacheError> {
        let path = self.notice_path(stream, name);
        let mut part = part(&self.streams)?;
        part.write_all(octets).map_err(at("write", &path))?;
        keep(part, &path)?;
        let folder = File::open(&self.streams).map_err(at("open", &self.streams))?;
        folder.sync_all().map_err(at("flush", &self.streams))
    }

    /// A root or beacon that is kept for a stream, if there is one that can be read.
    #[must_use]
    pub fn notice(&self, stream: &str, name: &str) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        let file = File::open(self.notice_path(stream, name)).ok()?;
        file.take(MAX_STATEMENT as u64 + 1).read_to_end(&mut octets).ok()?;
        Some(octets)
    }

    fn notice_path(&self, stream: &str, name: &str) -> PathBuf {
        self.streams.join(format!("{stream}.{name}"))
    }

    /// Writes a file by `fill`, which checks it; it is there only if that succeeds.
    ///
    /// # Errors
    ///
    /// That of `fill`, or [`CacheError`].
    pub fn write<E: From<CacheError>>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut File) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut part = part(&self.files)?;
        fill(part.as_file_mut())?;
        Ok(keep(part, &self.path(name))?)
    }

    /// Removes a file that is not what its name says.
    pub fn discard(&self, name: &str) {
        // If it stays, it is found to be wrong again.
        let _ = fs::remove_file(self.path(name));
    }
}

/// A file that is being written.
fn part(folder: &Path) -> Result<NamedTempFile, CacheError> {
    tempfile::Builder::new().prefix(PART).tempfile_in(folder).map_err(at("make a file in", folder))
}

/// Gives a file that is written its name, once all of it is on the disk.
fn keep(part: NamedTempFile, path: &Path) -> Result<(), CacheError> {
    part.as_file().sync_all().map_err(at("flush", path))?;
    part.persist(path).map(drop).map_err(|error| at("keep", path)(error.error))
}

fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &Cache, name: &str, octets: &[u8]) {
        cache.write(name, |file| file.write_all(octets).map_err(at("write", Path::new(name)))).unwrap();
    }

    #[test]
    fn what_no_stream_needs_goes_and_what_one_needs_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 100, BTreeSet::new()).unwrap();
        for name in ["a", "b", "c"] {
            put(&cache, name, &[0; 40]);
        }
        let file = |name: &str| (name.to_owned(), 40);
        cache.need("one", &[file("a")]).unwrap();
        cache.need("two", &[file("a"), file("b")]).unwrap();
        cache.sweep().unwrap();
        assert!(cache.has("a", 40) && cache.has("b", 40) && !cache.has("c", 40));
        // A file that two need counts once; a third one is too much, and then nothing has changed.
        assert!(matches!(cache.need("one", &[file("c")]), Err(CacheError::Size { needed: 120, .. })));
        let pointer = Pointer::new(&[1; 32], 1, "1".into(), 0);
        cache.settle("two", &pointer, vec![file("a")]).unwrap();
        cache.need("one", &[file("c")]).unwrap();
        cache.sweep().unwrap();
        assert!(cache.has("a", 40) && !cache.has("b", 40));
        assert_eq!((cache.remembered("two"), cache.remembered("one")), (Some(pointer), None));
    }

    #[test]
    fn nothing_goes_before_each_stream_has_told_what_it_goes_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 100, ["one", "two"].map(str::to_owned).into()).unwrap();
        put(&cache, "a", &[0; 40]);
        cache.heard("one");
        cache.sweep().unwrap();
        assert!(cache.has("a", 40), "it may be what the other goes on with");
        cache.heard("two");
        cache.sweep().unwrap();
        assert!(!cache.has("a", 40));
    }

    #[test]
    fn a_cache_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 100, BTreeSet::new()).unwrap();
        assert!(matches!(Cache::open(folder.path(), 100, BTreeSet::new()), Err(CacheError::Used { .. })));
        drop(cache);
        Cache::open(folder.path(), 100, BTreeSet::new()).unwrap();
    }

    #[test]
    fn what_fails_half_way_is_not_there_and_leftovers_go_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 100, BTreeSet::new()).unwrap();
        let fails = |_: &mut File| Err(at("write", Path::new("a"))(io::ErrorKind::StorageFull.into()));
        assert!(cache.write::<CacheError>("a", fails).is_err());
        assert_eq!(fs::read_dir(folder.path().join("files")).unwrap().count(), 0);
        File::create(folder.path().join("files/.part-left")).unwrap();
        drop(cache);
        let cache = Cache::open(folder.path(), 100, BTreeSet::new()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("files")).unwrap().count(), 0);
        assert!(!cache.has("a", 0));
    }
}
