//! Where releases wait for head-ends: a folder or a bucket that publishers write and head-ends read (`spec/store.md`).
//!
//! A store is not trusted: what comes from it is verified as if anyone had made it. All that is asked of it is that a file appears
//! whole or not at all, and that of two who create the same file one is told that it exists.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`mod@place`] | which store a text names |
//! | [`mod@pointer`] | channels, and which release one names |
//! | [`mod@notices`] | roots and beacons of a channel |
//! | [`publish`] | puts a release under a channel |
//! | [`gc`] | removes what no channel needs |

pub mod gc;
pub mod notices;
pub mod place;
pub mod pointer;
pub mod publish;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::SystemTime;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, WriteMultipart,
};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

/// Octets of a part of a large file. Stores take up to 10,000 parts and want 5 MiB at least: an image may have 16 GiB.
const PART: usize = 8 << 20;

/// Parts on their way at once.
const PARTS: usize = 4;

/// Most files of a folder that are looked at, so that a store cannot fill the memory.
const MAX_ENTRIES: usize = 100_000;

/// Most characters that are told of what a store says.
const MAX_TOLD: usize = 1000;

/// The folder of releases and images, under the names that receivers ask web servers for \[H-2\].
pub const FILES: &str = "files";

/// A store that can be read and written.
#[derive(Debug)]
pub struct Store {
    /// As it was named; it holds no secret.
    name: String,
    /// The folder, if it is one.
    folder: Option<PathBuf>,
    inner: Box<dyn ObjectStore>,
    prefix: Path,
    /// Its own, since callers wait for each call.
    runtime: Runtime,
}

/// A file in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the folder.
    pub name: String,
    /// Octets.
    pub len: u64,
    /// When it was written, by the store's clock.
    pub written: SystemTime,
}

/// What a store did not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The text names no store.
    #[error("{text:?} names no store: {reason}")]
    Name {
        /// The text, without what may be a secret.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be reached, or refuses.
    #[error("store {store}: {path}: {reason}")]
    Access {
        /// The store.
        store: String,
        /// What was asked for.
        path: String,
        /// What it said, without secrets.
        reason: String,
    },
    /// A file there is not what its name or a channel says.
    #[error("store {store}: {path} {reason}")]
    Content {
        /// The store.
        store: String,
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A file here cannot be read or written.
    #[error("{what}")]
    Local {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StoreError {
    /// Stable word for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "store-name",
            Self::Access { .. } => "store-access",
            Self::Content { .. } => "store-content",
            Self::Local { .. } => "local",
        }
    }
}

impl Store {
    /// How it was named.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates a file of these octets; `false` if there is one already, which stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn create(&self, path: &str, octets: Vec<u8>) -> Result<bool, StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let at = self.at(path);
        match self.runtime.block_on(self.inner.put_opts(&at, PutPayload::from(octets), options)) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    /// The first octets of a file, `most` at most; `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, StoreError> {
        self.check_kind(path)?;
        let attempt = async {
            let mut stream = self.inner.get_opts(&self.at(path), GetOptions::default()).await?.into_stream();
            let mut octets = Vec::new();
            while let Some(part) = stream.try_next().await? {
                octets.extend_from_slice(part.get(..part.len().min(most - octets.len())).unwrap_or_default());
                if octets.len() >= most {
                    break;
                }
            }
            Ok(octets)
        };
        self.found(path, self.runtime.block_on(attempt))
    }

    /// Octets of a file; `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn len(&self, path: &str) -> Result<Option<u64>, StoreError> {
        let len = self.runtime.block_on(self.inner.head(&self.at(path))).map(|meta| meta.size);
        self.found(path, len)
    }

    /// The files in a folder, in no order.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if there are more than 100,000.
    pub fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        self.list_at_most(MAX_ENTRIES, folder)
    }

    fn list_at_most(&self, most: usize, folder: &str) -> Result<Vec<Entry>, StoreError> {
        let at = self.at(folder);
        let failed = |error: Error| self.failed(folder, &error);
        self.runtime.block_on(async {
            let mut listed = self.inner.list(Some(&at));
            let (mut entries, mut seen) = (Vec::new(), 0);
            while let Some(meta) = listed.try_next().await.map_err(failed)? {
                seen += 1;
                if seen > most {
                    return Err(self.content(folder, &format!("has more than {most} files")));
                }
                // What is in folders of it is not looked at.
                let Some(name) = meta.location.filename().filter(|name| at.clone().join(*name) == meta.location) else {
                    continue;
                };
                entries.push(Entry { name: name.to_owned(), len: meta.size, written: meta.last_modified.into() });
            }
            Ok(entries)
        })
    }

    /// The folders in a folder.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let listed = self.runtime.block_on(self.inner.list_with_delimiter(Some(&self.at(folder))));
        let listed = listed.map_err(|error| self.failed(folder, &error))?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// The greatest numbers that names in a folder have by `number`, the greatest first and at most so many. Files whose path is not
    /// greater than `after` may be left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn greatest(
        &self,
        folder: &str,
        after: Option<&str>,
        most: usize,
        number: &dyn Fn(&str) -> Option<u64>,
    ) -> Result<Vec<u64>, StoreError> {
        let at = self.at(folder);
        let attempt = async {
            let mut entries = match after {
                Some(after) => self.inner.list_with_offset(Some(&at), &self.at(after)),
                None => self.inner.list(Some(&at)),
            };
            let mut found = BTreeSet::new();
            while let Some(entry) = entries.try_next().await? {
                let is_in_folder =
                    entry.location.prefix_matches(&at) && entry.location.parts().count() == at.parts().count() + 1;
                found.extend(entry.location.filename().filter(|_| is_in_folder).and_then(number));
                if found.len() > most {
                    found.pop_first();
                }
            }
            Ok(found)
        };
        let found = self.runtime.block_on(attempt).map_err(|error| self.failed(folder, &error))?;
        Ok(found.into_iter().rev().collect())
    }

    /// Puts a file whole, in place of what may be there; nothing of it is to be seen before. It must have this SHA-256.
    ///
    /// `advance` is given the octets read.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing has changed then.
    pub fn upload(
        &self,
        path: &str,
        file: &File,
        sha256: [u8; 32],
        advance: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        let failed = |error: Error| self.failed(path, &error);
        self.runtime.block_on(async {
            let upload = self.inner.put_multipart(&self.at(path)).await.map_err(failed)?;
            let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
            match self.write_parts(path, file, sha256, &mut writer, advance).await {
                Ok(()) => writer.finish().await.map(drop).map_err(failed),
                Err(error) => {
                    // The first error is what matters; a store forgets parts that nothing came of.
                    let _ = writer.abort().await;
                    Err(error)
                }
            }
        })
    }

    async fn write_parts(
        &self,
        path: &str,
        mut file: &File,
        sha256: [u8; 32],
        writer: &mut WriteMultipart,
        advance: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        let mut digest = Sha256::new();
        let mut buf = vec![0; 256 << 10];
        loop {
            let count = file
                .read(&mut buf)
                .map_err(|source| StoreError::Local { what: format!("cannot read what goes to {path}"), source })?;
            let octets = buf.get(..count).unwrap_or_default();
            if octets.is_empty() {
                break;
            }
            digest.update(octets);
            writer.wait_for_capacity(PARTS).await.map_err(|error| self.failed(path, &error))?;
            writer.write(octets);
            advance(count as u64);
        }
        if <[u8; 32]>::from(digest.finalize()) == sha256 {
            return Ok(());
        }
        Err(self.content(path, "was written to here while it was put there"))
    }

    /// Copies a file of the store of exactly `len` octets, and gives its SHA-256; it reads no more than one part beyond.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; also if there is no such file, or it has another length.
    pub fn download(
        &self,
        path: &str,
        len: u64,
        to: &mut dyn std::io::Write,
        stop: &dyn Fn() -> bool,
    ) -> Result<[u8; 32], StoreError> {
        self.check_kind(path)?;
        self.runtime.block_on(async {
            let failed = |error: Error| self.failed(path, &error);
            let got = self.inner.get_opts(&self.at(path), GetOptions::default()).await.map_err(failed)?;
            if got.meta.size != len {
                return Err(self.content(path, &format!("has {} octets, and {len} are expected", got.meta.size)));
            }
            let mut stream = got.into_stream();
            let (mut digest, mut left) = (Sha256::new(), len);
            while let Some(part) = stream.try_next().await.map_err(failed)? {
                left = left
                    .checked_sub(part.len() as u64)
                    .ok_or_else(|| self.content(path, "is longer than it was said to be"))?;
                to.write_all(&part)
                    .map_err(|source| StoreError::Local { what: format!("cannot keep {path} here"), source })?;
                digest.update(&part);
                if stop() {
                    return Err(self.content(path, "is wanted no more"));
                }
            }
            if left == 0 { Ok(digest.finalize().into()) } else { Err(self.content(path, "ends early")) }
        })
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn remove(&self, path: &str) -> Result<(), StoreError> {
        match self.runtime.block_on(self.inner.delete(&self.at(path))) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    /// Files of a folder that somebody began to write and did not end: their names have `#` and a number behind. Buckets hide theirs.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn leftovers(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        let Some(root) = &self.folder else { return Ok(Vec::new()) };
        let failed = |error: io::Error| StoreError::Access {
            store: self.name.clone(),
            path: folder.into(),
            reason: error.to_string(),
        };
        let mut found = Vec::new();
        let entries = match fs::read_dir(root.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // Gone since: its writer has ended.
            let Ok(metadata) = entry.metadata() else { continue };
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if metadata.is_file() && is_leftover(&name) {
                found.push(Entry { name, len: metadata.len(), written: metadata.modified().map_err(failed)? });
            }
        }
        Ok(found)
    }

    /// Removes one of the [leftovers](Self::leftovers).
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn remove_leftover(&self, path: &str) -> Result<(), StoreError> {
        match self.folder.as_ref().map(|root| fs::remove_file(root.join(path))) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Access { store: self.name.clone(), path: path.into(), reason: error.to_string() })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn content(&self, path: &str, reason: &str) -> StoreError {
        StoreError::Content { store: self.name.clone(), path: path.into(), reason: reason.into() }
    }

    /// Refuses what is no file in a folder: to open a pipe would wait for ever.
    fn check_kind(&self, path: &str) -> Result<(), StoreError> {
        match self.folder.as_ref().map(|root| fs::metadata(root.join(path))) {
            Some(Ok(metadata)) if !metadata.is_file() => Err(self.content(path, "is no file")),
            _ => Ok(()),
        }
    }

    fn at(&self, path: &str) -> Path {
        path.split('/').fold(self.prefix.clone(), Path::join)
    }

    fn found<T>(&self, path: &str, result: Result<T, Error>) -> Result<Option<T>, StoreError> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    fn failed(&self, path: &str, error: &Error) -> StoreError {
        StoreError::Access { store: self.name.clone(), path: path.into(), reason: told(error) }
    }
}

/// Whether a file of a folder is one that is being written: then its name is not yet its own.
fn is_leftover(name: &str) -> bool {
    let number = name.split_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// An error with its causes, without what stands behind the `?` of a URL: that may be a key.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            // Writing to a string does not fail.
            let _ = write!(text, ": {more}");
        }
        cause = error.source();
    }
    plain(&without_queries(&text))
}

/// What a store said, on one line that is not too long: it may be a whole page, or control a terminal.
fn plain(text: &str) -> String {
    let is_plain = |c: char| !c.is_control();
    text.chars().take(MAX_TOLD).map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

/// Cuts each URL in a text at its query.
fn without_queries(text: &str) -> String {
    let cut = |word: &str| match word.split_once('?') {
        Some((url, _)) if url.contains("://") => format!("{url}?... "),
        _ => word.to_owned(),
    };
    text.split_inclusive(char::is_whitespace).map(cut).collect()
}

/// SHA-256 of a file, from where it is read next.
pub(crate) fn sha256_of(mut file: &File) -> std::io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut buf = vec![0; 256 << 10];
    loop {
        match file.read(&mut buf)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(buf.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_says_fits_on_a_line() {
        let told = plain(&format!("403: <html>\n\u{1b}[2J\u{9b}2J {}", "x".repeat(10 * MAX_TOLD)));
        assert!(told.starts_with("403: <html>  [2J 2J xx") && told.len() == MAX_TOLD, "{told}");
    }

    #[test]
    fn a_list_has_an_end_and_shows_no_files_of_folders_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().display().to_string().parse::<place::Place>().unwrap().open().unwrap();
        fs::create_dir_all(folder.path().join("few/in")).unwrap();
        for path in ["few/a", "few/in/b"] {
            File::create(folder.path().join(path)).unwrap();
        }
        let names = store.list_at_most(2, "few").unwrap().into_iter().map(|entry| entry.name).collect::<Vec<_>>();
        assert_eq!((names, store.folders("few").unwrap()), (vec!["a".into()], vec!["in".into()]));
        assert!(store.list("none").unwrap().is_empty());
        assert!(store.list_at_most(1, "few").unwrap_err().to_string().ends_with("few has more than 1 files"));
    }

    #[test]
    fn a_pipe_in_a_store_is_no_file_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().display().to_string().parse::<place::Place>().unwrap().open().unwrap();
        let mut make = std::process::Command::new("mkfifo");
        assert!(make.arg(folder.path().join("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("device")).unwrap();
        for path in ["pipe", "device"] {
            let refused = store.read(path, 1).unwrap_err().to_string();
            assert!(refused.ends_with("is no file"), "{refused}");
            assert!(store.download(path, 1, &mut io::sink(), &|| false).is_err());
        }
    }

    #[test]
    fn queries_of_urls_are_not_told() {
        let text = "error sending request for url (https://a.example/b?sig=secret&x=1) after 3 tries, why?";
        let told = without_queries(text);
        assert!(!told.contains("secret") && told.ends_with("why?"), "{told}");
        assert!(told.contains("https://a.example/b?... after"), "{told}");
    }
}
