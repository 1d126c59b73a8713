//! Files that get their name only once they are complete.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fleetcast_cli::CommandError;
use tempfile::NamedTempFile;

/// An empty file in the folder of `path`, under a name of its own, with `mode` less the umask. It is removed when
/// dropped; if the process is killed, a file `.fleetcast-sign.*.tmp` stays.
///
/// # Errors
///
/// Those of the file system.
pub(crate) fn new_file(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".fleetcast-sign.").suffix(".tmp").permissions(Permissions::from_mode(mode));
    builder.tempfile_in(folder(path))
}

/// What to do with a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone and fail.
    Keep,
    /// Put the new one in its place, in one step.
    Replace,
}

/// Writes a small file in one step, flushed with its folder.
///
/// # Errors
///
/// [`CommandError`]; whatever had the name is as it was, unless only the folder cannot be flushed.
pub(crate) fn write(path: &Path, octets: &[u8], existing: Existing) -> Result<(), CommandError> {
    let attempt = || {
        let mut file = new_file(path, 0o666)?;
        file.write_all(octets)?;
        file.as_file().sync_all()?;
        match existing {
            Existing::Keep => file.persist_noclobber(path).map_err(|error| error.error)?,
            Existing::Replace => file.persist(path).map_err(|error| error.error)?,
        };
        flush_folder(path)
    };
    attempt().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => CommandError::failed(format!("{} exists already", path.display()))
            .hint("choose another name, or replace it with --force"),
        _ => CommandError::failed(format!("cannot write {}: {error}", path.display())),
    })
}

/// Flushes the folder of `path`, so that a power cut does not take the name away again.
///
/// # Errors
///
/// Those of the file system.
pub(crate) fn flush_folder(path: &Path) -> io::Result<()> {
    match File::open(folder(path))?.sync_all() {
        // Some file systems have no such operation for folders (fsync(2)).
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
