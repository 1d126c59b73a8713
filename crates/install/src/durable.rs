//! Files that are old or new after a power cut, nothing between.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use crate::disk::{Disk, DiskFile as _};
use crate::fault::{At as _, Fault};

/// Replaces the content of a file (or creates it), and returns once that survives a
/// power cut.
///
/// At every moment the name bears all of the old content or all of the new. The file
/// has mode 0600 afterwards.
///
/// # Errors
///
/// [`Fault`]. The content is then still the old one, unless flushing the folder is
/// what failed: then it may be either.
pub fn replace<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let folder = folder_of(path);
    let stem = path.file_name().unwrap_or(OsStr::new(""));
    let (temp, file) = disk.create_temp(folder, stem).at("create a file in", folder)?;
    let renamed = (|| {
        file.write_at(0, bytes).at("write", &temp)?;
        file.flush().at("flush", &temp)?;
        disk.rename(&temp, path).at("replace", path)
    })();
    if renamed.is_err() {
        // The fault above is what matters; a leftover is swept at the next start.
        let _ = disk.remove(&temp);
    }
    renamed?;
    disk.flush_dir(folder).at("flush", folder)
}

/// Removes the temporary files that power cuts during [`replace`] of `path` left.
///
/// Only for a file that nobody else replaces at this moment.
///
/// # Errors
///
/// [`Fault`].
pub fn remove_leftovers<D: Disk>(disk: &D, path: &Path) -> Result<(), Fault> {
    let (folder, Some(stem)) = (folder_of(path), path.file_name()) else {
        return Ok(());
    };
    for name in disk.list(folder).at("list", folder)? {
        let random = name
            .as_encoded_bytes()
            .strip_prefix(b".")
            .and_then(|rest| rest.strip_prefix(stem.as_encoded_bytes()))
            .and_then(|rest| rest.strip_prefix(b"."))
            .and_then(|rest| rest.strip_suffix(b".tmp"));
        if random.is_some_and(|random| !random.contains(&b'.')) {
            let leftover = folder.join(name);
            disk.remove(&leftover).at("remove", &leftover)?;
        }
    }
    Ok(())
}

/// Creates a folder and those above it where missing, with mode 0700, and returns once
/// they survive a power cut. A folder that exists is left as it is.
///
/// # Errors
///
/// [`Fault`].
pub fn create_dir<D: Disk>(disk: &D, path: &Path) -> Result<(), Fault> {
    let above = folder_of(path);
    let exists = |path| disk.stat(path).at("look at", path).map(|found| found.is_some());
    let is_there = exists(path)?;
    if !is_there {
        if above != path && !exists(above)? {
            create_dir(disk, above)?;
        }
        disk.create_dir(path).at("create", path)?;
    }
    // Also when it exists: whoever made it may have been killed before the flush. Where we may not look or write it
    // was not us.
    match disk.flush_dir(above) {
        Err(e) if is_there && matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => Ok(()),
        flushed => flushed.at("flush", above),
    }
}

/// The content of a regular file of at most `max` bytes, `None` if there is none.
///
/// # Errors
///
/// [`Fault::TooLarge`] with nothing read; otherwise what the operating system says.
pub fn read_bounded<D: Disk>(disk: &D, path: &Path, max: u32) -> Result<Option<Vec<u8>>, Fault> {
    if disk.stat(path).at("look at", path)?.is_none() {
        return Ok(None);
    }
    let file = disk.open_read(path).at("open", path)?;
    let size = file.size().at("look at", path)?;
    let max = u64::from(max);
    let Some(size) = usize::try_from(size).ok().filter(|_| size <= max) else {
        return Err(Fault::TooLarge { path: path.into(), max });
    };
    let mut bytes = vec![0; size];
    file.read_at(0, &mut bytes).at("read", path)?;
    Ok(Some(bytes))
}

/// The folder a path is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
    }
}
