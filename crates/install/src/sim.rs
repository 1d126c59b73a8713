//! [`SimDisk`]: a disk whose power can be cut.
//!
//! It keeps two states of every file and folder: as the running system sees it, and as
//! it was when last flushed. A reboot starts from the latter and applies any subset of
//! the changes since, in any combination: half a write, a rename without the one
//! before it, a new name without its content.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::disk::{Disk, DiskFile, Kind, Space, Stat};

const ROOT: usize = 0;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<Inner>>);

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    node: usize,
    locks: Mutex<bool>,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    nodes: Vec<Node>,
    locked: BTreeSet<usize>,
    temps: u32,
    /// Bytes told to be free; `None` for plenty.
    free: Option<u64>,
    /// Bytes that may be used; `None` for plenty.
    capacity: Option<usize>,
    bad: Vec<Bad>,
    /// Block devices, by their nodes; those in use by others.
    blocks: BTreeMap<usize, bool>,
}

/// Bytes of a file that cannot be read or written.
#[derive(Clone, Debug)]
struct Bad {
    node: usize,
    bytes: Range<u64>,
    kind: BadKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BadKind {
    /// Unreadable until written to.
    Heals,
    /// Neither readable nor writable.
    Fails,
    /// Not writable for want of room.
    NoRoom,
}

/// A file or folder: as it is, as it was last flushed, and what happened between.
#[derive(Clone, Debug)]
struct Node {
    now: Content,
    flushed: Content,
    since: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    File { bytes: Vec<u8>, mode: u32 },
    Folder(BTreeMap<OsString, usize>),
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
    Mode(u32),
    Link { name: OsString, node: usize },
    Rename { from: OsString, to: OsString, node: usize },
    Unlink(OsString),
}

impl Default for SimDisk {
    fn default() -> Self {
        let root = Node::new(Content::Folder(BTreeMap::new()));
        Self(Arc::new(Mutex::new(Inner { nodes: vec![root], ..Inner::default() })))
    }
}

impl SimDisk {
    /// How many changes a power cut may keep or lose.
    #[must_use]
    pub fn unflushed(&self) -> usize {
        self.inner().nodes.iter().map(|node| node.since.len()).sum()
    }

    /// The disk after a power cut that kept the unflushed changes `keep` says yes to,
    /// numbered from 0. This disk stays as it is, to be cut in other ways.
    #[must_use]
    pub fn reboot(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut inner = self.inner().clone();
        let mut number = 0;
        for node in &mut inner.nodes {
            for change in std::mem::take(&mut node.since) {
                if keep(number) {
                    node.flushed.apply(change);
                }
                number += 1;
            }
            node.now = node.flushed.clone();
        }
        inner.locked.clear();
        Self(Arc::new(Mutex::new(inner)))
    }

    /// A copy of the disk as it is, unflushed changes included, with nothing open: what
    /// the next process finds when this one is killed.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut inner = self.inner().clone();
        inner.locked.clear();
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Says how much room there is from now on; nothing enforces it.
    pub fn set_free(&self, free: u64) {
        self.inner().free = Some(free);
    }

    /// Makes bytes of a file unreadable. Writing to them mends them if `heals`, else fails too.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn spoil(&self, path: &Path, bytes: Range<u64>, heals: bool) -> io::Result<()> {
        self.inner().spoil(path, bytes, if heals { BadKind::Heals } else { BadKind::Fails })
    }

    /// Makes writes to bytes of a file fail for want of room.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn no_room(&self, path: &Path, bytes: Range<u64>) -> io::Result<()> {
        self.inner().spoil(path, bytes, BadKind::NoRoom)
    }

    /// Bytes of all files that are not zero: zeros count as holes.
    #[must_use]
    pub fn used(&self) -> usize {
        self.files().values().flat_map(|(_, bytes)| bytes).filter(|byte| **byte != 0).count()
    }

    /// Makes writes fail that would use more than this, see [`SimDisk::used`].
    pub fn set_capacity(&self, capacity: usize) {
        self.inner().capacity = Some(capacity);
    }

    /// Makes a file a block device of its size, `busy` if something else uses it.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn set_block(&self, path: &Path, busy: bool) -> io::Result<()> {
        let mut inner = self.inner();
        let node = inner.find(path)?;
        inner.blocks.insert(node, busy);
        Ok(())
    }

    /// Every file with its mode and content.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let inner = self.inner();
        let mut files = BTreeMap::new();
        let mut folders = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, node)) = folders.pop() {
            match inner.nodes.get(node).map(|node| &node.now) {
                Some(Content::Folder(names)) => {
                    folders.extend(names.iter().map(|(name, node)| (path.join(name), *node)));
                }
                Some(Content::File { bytes, mode }) => {
                    files.insert(path, (*mode, bytes.clone()));
                }
                None => {}
            }
        }
        files
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, node: usize) -> SimFile {
        SimFile { disk: self.clone(), node, locks: Mutex::new(false) }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open_read(&self, path: &Path) -> io::Result<SimFile> {
        let mut inner = self.inner();
        let node = inner.find(path)?;
        inner.file(node)?;
        Ok(self.opened(node))
    }

    fn open_locked(&self, path: &Path) -> io::Result<SimFile> {
        let mut inner = self.inner();
        let node = match inner.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => inner.create(path)?,
            found => found?,
        };
        inner.file(node)?;
        drop(inner);
        let file = self.opened(node);
        file.lock()?;
        Ok(file)
    }

    fn wait_lock(&self, path: &Path) -> io::Result<SimFile> {
        self.open_locked(path)
    }

    fn open_slot(&self, path: &Path) -> io::Result<SimFile> {
        let mut inner = self.inner();
        if let Ok(node) = inner.find(path)
            && inner.blocks.get(&node) == Some(&true)
        {
            return Err(Errno::BUSY.into());
        }
        drop(inner);
        self.open_locked(path)
    }

    fn open_seed(&self, path: &Path) -> io::Result<SimFile> {
        self.open_read(path)
    }

    fn stat_slot(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.stat(path)
    }

    fn create_temp(&self, folder: &Path, stem: &OsStr) -> io::Result<(PathBuf, SimFile)> {
        let mut inner = self.inner();
        inner.temps += 1;
        let mut name = OsString::from(".");
        name.push(stem);
        name.push(format!(".{:08}.tmp", inner.temps));
        let path = folder.join(name);
        let node = inner.create(&path)?;
        drop(inner);
        Ok((path, self.opened(node)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner().link(path, Content::Folder(BTreeMap::new())).map(drop)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<SimFile> {
        let node = self.inner().find(path)?;
        let file = self.opened(node);
        file.lock()?;
        Ok(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        let node = inner.find(from)?;
        let (folder, from) = inner.parent(from)?;
        let (target, to) = inner.parent(to)?;
        if folder != target {
            return Err(Errno::XDEV.into());
        }
        inner.change(folder, Change::Rename { from, to, node })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.find(path)?;
        let (folder, name) = inner.parent(path)?;
        inner.change(folder, Change::Unlink(name))
    }

    fn flush_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        let node = inner.find(path)?;
        inner.flush(node)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut inner = self.inner();
        let node = inner.find(path)?;
        Ok(inner.folder(node)?.keys().cloned().collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let mut inner = self.inner();
        let node = match inner.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            node => node?,
        };
        let kind = if inner.blocks.contains_key(&node) { Kind::Block } else { Kind::File };
        Ok(Some(match &inner.node(node)?.now {
            Content::File { bytes, mode } => {
                let size = bytes.len() as u64;
                Stat { kind, mode: *mode, size, allocated: size }
            }
            Content::Folder(_) => Stat { kind: Kind::Other, mode: 0o700, size: 0, allocated: 0 },
        }))
    }

    fn space(&self, folder: &Path) -> io::Result<Space> {
        self.inner().find(folder)?;
        Ok(Space { device: 1, free: self.inner().free.unwrap_or(u32::MAX.into()) })
    }
}

impl DiskFile for SimFile {
    fn lock(&self) -> io::Result<()> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if !*locks && !self.disk.inner().locked.insert(self.node) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        *locks = true;
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.inner().file(self.node)?.len() as u64)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| Errno::FBIG)?;
        let mut inner = self.disk.inner();
        if inner.blocks.contains_key(&self.node) {
            return Err(Errno::INVAL.into());
        }
        inner.change(self.node, Change::Size(size))
    }

    fn clear_tail(&self, offset: u64) -> io::Result<()> {
        let tail = self.size()?.saturating_sub(offset);
        self.write_at(offset, &vec![0; usize::try_from(tail).map_err(|_| Errno::FBIG)?])
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.disk.inner().change(self.node, Change::Mode(mode))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut inner = self.disk.inner();
        if inner.bad.iter().any(|bad| bad.kind != BadKind::NoRoom && bad.hits(self.node, offset, buf.len())) {
            return Err(Errno::IO.into());
        }
        let bytes = inner.file(self.node)?;
        let found = usize::try_from(offset)
            .ok()
            .and_then(|at| bytes.get(at..)?.get(..buf.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(|_| Errno::FBIG)?;
        let mut inner = self.disk.inner();
        if let Some(capacity) = inner.capacity {
            let old = inner.file(self.node)?;
            let old = old.get(at..old.len().min(at + bytes.len())).unwrap_or_default();
            let old = old.iter().filter(|byte| **byte != 0).count();
            drop(inner);
            if self.disk.used() - old + bytes.len() > capacity {
                return Err(Errno::NOSPC.into());
            }
            inner = self.disk.inner();
        }
        inner.bad.retain(|bad| !(bad.kind == BadKind::Heals && bad.hits(self.node, offset, bytes.len())));
        if let Some(bad) = inner.bad.iter().find(|bad| bad.hits(self.node, offset, bytes.len())) {
            return Err(if bad.kind == BadKind::NoRoom { Errno::NOSPC } else { Errno::IO }.into());
        }
        // Two halves that reach the disk apart: so a subset of changes has torn writes.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for (at, half) in [(at, first), (at + first.len(), second)] {
            if !half.is_empty() {
                inner.change(self.node, Change::Write { at, bytes: half.into() })?;
            }
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.disk.inner().flush(self.node)
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if *self.locks.lock().unwrap_or_else(PoisonError::into_inner) {
            self.disk.inner().locked.remove(&self.node);
        }
    }
}

impl Inner {
    fn node(&mut self, node: usize) -> io::Result<&mut Node> {
        self.nodes.get_mut(node).ok_or(Errno::NOENT.into())
    }

    fn file(&mut self, node: usize) -> io::Result<&[u8]> {
        match &self.node(node)?.now {
            Content::File { bytes, .. } => Ok(bytes),
            Content::Folder(_) => Err(Errno::ISDIR.into()),
        }
    }

    fn folder(&mut self, node: usize) -> io::Result<&BTreeMap<OsString, usize>> {
        match &self.node(node)?.now {
            Content::Folder(names) => Ok(names),
            Content::File { .. } => Err(Errno::NOTDIR.into()),
        }
    }

    fn find(&mut self, path: &Path) -> io::Result<usize> {
        let mut node = ROOT;
        for part in path.components() {
            if let Component::Normal(name) = part {
                node = *self.folder(node)?.get(name).ok_or(Errno::NOENT)?;
            }
        }
        Ok(node)
    }

    fn parent(&mut self, path: &Path) -> io::Result<(usize, OsString)> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::INVAL.into());
        };
        Ok((self.find(folder)?, name.into()))
    }

    fn spoil(&mut self, path: &Path, bytes: Range<u64>, kind: BadKind) -> io::Result<()> {
        let node = self.find(path)?;
        self.bad.push(Bad { node, bytes, kind });
        Ok(())
    }

    fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.link(path, Content::File { bytes: Vec::new(), mode: 0o600 })
    }

    fn link(&mut self, path: &Path, content: Content) -> io::Result<usize> {
        let (folder, name) = self.parent(path)?;
        if self.folder(folder)?.contains_key(&name) {
            return Err(Errno::EXIST.into());
        }
        let node = self.nodes.len();
        self.nodes.push(Node::new(content));
        self.change(folder, Change::Link { name, node })?;
        Ok(node)
    }

    fn change(&mut self, node: usize, change: Change) -> io::Result<()> {
        let node = self.node(node)?;
        node.now.apply(change.clone());
        node.since.push(change);
        Ok(())
    }

    fn flush(&mut self, node: usize) -> io::Result<()> {
        let node = self.node(node)?;
        node.flushed = node.now.clone();
        node.since.clear();
        Ok(())
    }
}

impl Bad {
    fn hits(&self, node: usize, offset: u64, len: usize) -> bool {
        self.node == node && self.bytes.start < offset + len as u64 && offset < self.bytes.end
    }
}

impl Node {
    /// A new file or folder is empty, whether flushed or not.
    fn new(content: Content) -> Self {
        Self { now: content.clone(), flushed: content, since: Vec::new() }
    }
}

impl Content {
    fn apply(&mut self, change: Change) {
        match (self, change) {
            (Self::File { bytes, .. }, Change::Write { at, bytes: new }) => {
                let end = at + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                if let Some(place) = bytes.get_mut(at..end) {
                    place.copy_from_slice(&new);
                }
            }
            (Self::File { bytes, .. }, Change::Size(size)) => bytes.resize(size, 0),
            (Self::File { mode, .. }, Change::Mode(new)) => *mode = new,
            (Self::Folder(names), Change::Link { name, node }) => {
                names.insert(name, node);
            }
            (Self::Folder(names), Change::Rename { from, to, node }) => {
                names.remove(&from);
                names.insert(to, node);
            }
            (Self::Folder(names), Change::Unlink(name)) => {
                names.remove(&name);
            }
            // Changes are recorded on the kind of node they are for.
            (Self::File { .. } | Self::Folder(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> SimDisk {
        let disk = SimDisk::default();
        let file = disk.open_locked(Path::new("/a")).unwrap();
        file.write_at(0, b"old!").unwrap();
        file.flush().unwrap();
        disk.flush_dir(Path::new("/")).unwrap();
        file.write_at(0, b"new!").unwrap();
        disk
    }

    fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
        disk.files().get(Path::new(path)).map(|(_, bytes)| bytes.clone())
    }

    #[test]
    fn an_unflushed_write_survives_wholly_torn_or_not_at_all() {
        let disk = written();
        assert_eq!(disk.unflushed(), 2);
        let after = |keep: usize| content(&disk.reboot(|n| keep >> n & 1 == 1), "/a").unwrap();
        let all: Vec<_> = (0..4).map(after).collect();
        assert_eq!(all, [b"old!", b"ned!", b"olw!", b"new!"]);
    }

    #[test]
    fn names_survive_only_with_their_folder() {
        let disk = written();
        disk.open_locked(Path::new("/b")).unwrap().flush().unwrap();
        disk.rename(Path::new("/a"), Path::new("/c")).unwrap();
        let lost = disk.reboot(|_| false);
        assert_eq!(lost.files().keys().collect::<Vec<_>>(), [Path::new("/a")]);
        disk.flush_dir(Path::new("/")).unwrap();
        let kept = disk.reboot(|_| false);
        assert_eq!(kept.files().keys().collect::<Vec<_>>(), [Path::new("/b"), Path::new("/c")]);
        assert_eq!(content(&kept, "/c").unwrap(), b"old!");
    }

    #[test]
    fn renames_survive_in_any_order() {
        let disk = SimDisk::default();
        for name in ["/a", "/b"] {
            disk.open_locked(Path::new(name)).unwrap();
        }
        disk.flush_dir(Path::new("/")).unwrap();
        disk.rename(Path::new("/a"), Path::new("/x")).unwrap();
        disk.rename(Path::new("/b"), Path::new("/y")).unwrap();
        let second = disk.reboot(|number| number == 1);
        assert_eq!(second.files().keys().collect::<Vec<_>>(), [Path::new("/a"), Path::new("/y")]);
    }
}
