//! Reading a key file: bounded, into memory that is wiped, with a look at its mode.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::LoadError;

/// Largest key file, in bytes. An encrypted Ed25519 key has about 400.
pub const MAX_KEY_FILE: u64 = 16 * 1024;

/// Permission bits that let somebody else than the owner at a file.
pub(super) const OTHERS: u32 = 0o077;

pub(super) struct KeyFile {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// The permission bits, if others than the owner have any.
    pub(super) exposed: Option<u32>,
}

/// Reads a key file once, so that what is judged is what is used.
pub(super) fn read(path: &Path) -> Result<KeyFile, LoadError> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    // A pipe (`<(...)`) shows a mode that says nothing about who has the key.
    let mode = metadata.mode() & 0o7777;
    let exposed = (metadata.is_file() && mode & OTHERS != 0).then_some(mode);
    let bytes = read_bounded(file, MAX_KEY_FILE)?.ok_or(LoadError::TooLarge { max: MAX_KEY_FILE })?;
    Ok(KeyFile { bytes, exposed })
}

/// Reads all of `file` into memory that is wiped when dropped, or `None` if it has more
/// than `max` bytes.
///
/// The memory is taken once: a growing buffer would leave copies behind.
pub(crate) fn read_bounded(file: impl Read, max: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let room = usize::try_from(max).unwrap_or(usize::MAX).saturating_add(1);
    let mut bytes = Zeroizing::new(vec![0; room]);
    let mut file = file.take(max.saturating_add(1));
    let mut length = 0;
    loop {
        match file.read(bytes.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if length == room {
        return Ok(None);
    }
    bytes.truncate(length);
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_inclusive() {
        let bytes = read_bounded(&[7; 16][..], 16).unwrap().unwrap();
        assert_eq!(*bytes, vec![7; 16]);
        assert!(read_bounded(&[7; 17][..], 16).unwrap().is_none());
        assert!(read_bounded(&[][..], 16).unwrap().unwrap().is_empty());
    }
}
