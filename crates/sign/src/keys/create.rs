//! Key files that did not exist before: all of them, complete and flushed, or none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fleetcast_cli::CommandError;
use fleetcast_cli::keys::{KeyWarning, OTHERS};

/// A key file that could not be made. Nothing was left behind.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct CreateError {
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    #[source]
    pub reason: CreateReason,
}

/// Why a key file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateReason {
    /// Something has that name already.
    #[error("it exists already")]
    Exists,
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl CreateReason {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Exists => "key-exists",
            Self::Io(_) => "key-io",
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Exists => Some("keys are never overwritten: choose another name, or move the old file away"),
            Self::Io(error) => match error.kind() {
                io::ErrorKind::NotFound => Some("the folder must exist; make it with mode 0700"),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("choose a folder that you can write to")
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("make room and run again"),
                _ => None,
            },
        }
    }
}

impl From<CreateError> for CommandError {
    fn from(error: CreateError) -> Self {
        let hint = error.reason.hint();
        Self::failed(error).hint_if(hint)
    }
}

/// A file made just now. It is removed again when dropped, unless [`commit`] kept it.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: File,
    keep: bool,
}

impl NewFile {
    /// Makes a file for a private key, mode 0600 from the start.
    ///
    /// # Errors
    ///
    /// [`CreateReason::Exists`] if anything has that name, a dangling link included, else
    /// [`CreateReason::Io`].
    pub fn private(path: &Path) -> Result<Self, CreateError> {
        Self::create(path, 0o600)
    }

    /// Makes a file for a public key, mode 0644 less the umask.
    ///
    /// # Errors
    ///
    /// As [`private`](Self::private).
    pub fn public(path: &Path) -> Result<Self, CreateError> {
        Self::create(path, 0o644)
    }

    fn create(path: &Path, mode: u32) -> Result<Self, CreateError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let file = file.map_err(|error| {
            let reason = match error.kind() {
                io::ErrorKind::AlreadyExists => CreateReason::Exists,
                _ => CreateReason::Io(error),
            };
            CreateError { path: path.into(), reason }
        })?;
        Ok(Self { path: path.into(), file, keep: false })
    }

    /// Writes the whole content.
    ///
    /// # Errors
    ///
    /// [`CreateReason::Io`].
    pub fn write(&mut self, content: &str) -> Result<(), CreateError> {
        let written = self.file.write_all(content.as_bytes());
        written.map_err(|error| self.failed(error))
    }

    /// Warns if the file system gave others a way in all the same, as FAT does.
    ///
    /// # Errors
    ///
    /// [`CreateReason::Io`].
    pub fn exposed(&self) -> Result<Option<KeyWarning>, CreateError> {
        let metadata = self.file.metadata().map_err(|error| self.failed(error))?;
        let mode = metadata.mode() & 0o7777;
        let path = || self.path.display().to_string();
        Ok((mode & OTHERS != 0).then(|| KeyWarning::Exposed { path: path(), mode }))
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_all()?;
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        match File::open(folder)?.sync_all() {
            // Some file systems have no such operation for folders (fsync(2)).
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            done => done,
        }
    }

    fn failed(&self, error: io::Error) -> CreateError {
        CreateError { path: self.path.clone(), reason: error.into() }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.keep {
            // It is not the first thing to fail here, and the first is what gets told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Flushes the files and their folders, and keeps them.
///
/// # Errors
///
/// [`CreateReason::Io`] for the first that fails; then all of them are removed.
pub fn commit<const N: usize>(mut files: [NewFile; N]) -> Result<(), CreateError> {
    for file in &files {
        file.flush().map_err(|error| file.failed(error))?;
    }
    for file in &mut files {
        file.keep = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_not_committed_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut file = NewFile::private(&path).unwrap();
        file.write("half").unwrap();
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_committed_file_is_private_from_the_start_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut file = NewFile::private(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(file.exposed().unwrap(), None);
        file.write("whole").unwrap();
        commit([file]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }

    #[test]
    fn whatever_has_the_name_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let refused = |path: &Path| NewFile::private(path).unwrap_err().reason.code();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert_eq!(refused(&path), "key-exists");
        assert!(path.is_symlink());
        assert_eq!(refused(folder.path()), "key-exists");
        assert_eq!(refused(&folder.path().join("missing/key")), "key-io");
    }
}
