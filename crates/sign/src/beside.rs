//! Files that get their name only once they are complete.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
