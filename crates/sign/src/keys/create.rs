//! Key files that did not exist before: they get their names once all of them are complete and flushed.
//!
//! A command that fails leaves none of them. One that is killed, or loses power, leaves of each nothing or all; only
//! files under temporary names, with the modes of the keys, may be left over.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fleetcast_cli::CommandError;
use fleetcast_cli::keys::{KeyWarning, exposed};
use tempfile::NamedTempFile;

use crate::beside;

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

/// A key file in the making, under a temporary name until [`commit`]; removed when dropped before that.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: NamedTempFile,
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
        let attempt = || match fs::symlink_metadata(path) {
            Ok(_) => Err(CreateReason::Exists),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Err(_) => Ok(beside::new_file(path, mode)?),
        };
        let file = attempt().map_err(|reason| CreateError { path: path.into(), reason })?;
        Ok(Self { path: path.into(), file })
    }

    /// Writes the whole content.
    ///
    /// # Errors
    ///
    /// [`CreateReason::Io`].
    pub fn write(&mut self, content: &str) -> Result<(), CreateError> {
        let written = self.file.as_file_mut().write_all(content.as_bytes());
        written.map_err(|error| failed(&self.path, error))
    }

    /// Warns if the file system gave others a way in all the same, as FAT does.
    ///
    /// # Errors
    ///
    /// [`CreateReason::Io`].
    pub fn exposed(&self) -> Result<Option<KeyWarning>, CreateError> {
        let metadata = self.file.as_file().metadata().map_err(|error| failed(&self.path, error))?;
        Ok(exposed(&metadata).map(|mode| KeyWarning::Exposed { path: self.path.display().to_string(), mode }))
    }

    /// Gives it its name, which nothing else may have got by now.
    fn name(self) -> Result<Named, CreateError> {
        let Self { path, file } = self;
        match file.persist_noclobber(&path) {
            Ok(_) => Ok(Named { path, keep: false }),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(CreateError { path, reason: CreateReason::Exists })
            }
            Err(error) => Err(failed(&path, error.error)),
        }
    }
}

/// A key file that just got its name. It is removed when dropped, unless it is to be kept.
struct Named {
    path: PathBuf,
    keep: bool,
}

impl Drop for Named {
    fn drop(&mut self) {
        if !self.keep {
            // It is not the first thing to fail here, and the first is what gets told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn failed(path: &Path, error: io::Error) -> CreateError {
    CreateError { path: path.into(), reason: error.into() }
}

/// Flushes the files, gives them their names in this order, and flushes their folders.
///
/// # Errors
///
/// [`CreateReason`] of the first that fails; then all of them are removed.
pub fn commit<const N: usize>(files: [NewFile; N]) -> Result<(), CreateError> {
    for NewFile { path, file } in &files {
        file.as_file().sync_all().map_err(|error| failed(path, error))?;
    }
    let mut named = Vec::new();
    for file in files {
        named.push(file.name()?);
    }
    for Named { path, .. } in &named {
        beside::flush_folder(path).map_err(|error| failed(path, error))?;
    }
    for file in &mut named {
        file.keep = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Names and modes of all files in a folder.
    fn files(folder: &Path) -> Vec<(String, u32)> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let file =
            |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().mode() & 0o7777);
        let mut files: Vec<_> = entries.map(file).collect();
        files.sort();
        files
    }

    #[test]
    fn a_file_that_was_not_committed_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = NewFile::private(&folder.path().join("key")).unwrap();
        file.write("half").unwrap();
        drop(file);
        assert_eq!(files(folder.path()), []);
    }

    #[test]
    fn a_kill_leaves_the_name_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut file = NewFile::private(&path).unwrap();
        file.write("half").unwrap();
        // A killed process removes nothing.
        std::mem::forget(file);
        assert!(!path.exists());
        let left = files(folder.path());
        assert!(left.len() == 1 && left[0].0.starts_with(".fleetcast-sign.") && left[0].1 == 0o600, "{left:?}");

        let mut file = NewFile::private(&path).unwrap();
        file.write("whole").unwrap();
        commit([file]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }

    #[test]
    fn a_committed_file_is_private_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut file = NewFile::private(&path).unwrap();
        assert_eq!(file.exposed().unwrap(), None);
        file.write("whole").unwrap();
        commit([file]).unwrap();
        assert_eq!(files(folder.path()), [("key".into(), 0o600)]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }

    #[test]
    fn a_name_taken_in_the_meantime_takes_the_other_file_away_too() {
        let folder = tempfile::tempdir().unwrap();
        let [private, public] = ["key", "pub"].map(|name| folder.path().join(name));
        let made = [NewFile::private(&private).unwrap(), NewFile::public(&public).unwrap()];
        fs::create_dir(&public).unwrap();
        let error = commit(made).unwrap_err();
        assert_eq!((error.path, error.reason.code()), (public, "key-exists"));
        assert_eq!(files(folder.path()).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["pub"]);
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
