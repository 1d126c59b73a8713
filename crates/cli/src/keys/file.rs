//! Reading a key file: bounded, into memory that is wiped, with a look at its mode.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::pem::{self, Block, Label};
use super::{KeyWarning, LoadError, Loaded, PublicKey, unsafe_test};

/// Largest key file, in bytes. An encrypted Ed25519 key has about 400.
pub const MAX_KEY_FILE: u64 = 16 * 1024;

/// Permission bits that let somebody else than the owner at a file.
const OTHERS: u32 = 0o077;

/// The permission bits of an open file that is to be secret, if others than the owner have any.
///
/// A pipe (`<(...)`) shows a mode that says nothing about who has the content.
#[must_use]
pub fn exposed(metadata: &Metadata) -> Option<u32> {
    let mode = metadata.mode() & 0o7777;
    (metadata.is_file() && mode & OTHERS != 0).then_some(mode)
}

/// A key file, read once, so that what is judged is what is used.
pub struct KeyFile {
    path: PathBuf,
    block: Block,
    /// The permission bits, if it holds a private key and others than the owner have any.
    exposed: Option<u32>,
}

impl KeyFile {
    /// Reads the one PEM block of a key file.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if it cannot be read, is too large or is not one PEM block with the label of a key.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
        }
        let exposed = exposed(&metadata);
        let bytes = read_bounded(file, MAX_KEY_FILE)?.ok_or(LoadError::TooLarge { max: MAX_KEY_FILE })?;
        let block = pem::decode(&bytes)?;
        let exposed = exposed.filter(|_| block.label != Label::Public);
        Ok(Self { path: path.into(), block, exposed })
    }

    /// Its PEM block.
    #[must_use]
    pub const fn block(&self) -> &Block {
        &self.block
    }

    /// The last check of a key that was decoded from this file: whether `public`, its public half, is a
    /// published test key.
    ///
    /// # Errors
    ///
    /// [`LoadError::UnsafeTestKey`] in builds that [refuse](unsafe_test::REFUSED) those.
    pub fn admit<K>(&self, key: K, public: &PublicKey) -> Result<Loaded<K>, LoadError> {
        let path = || self.path.display().to_string();
        let exposed = || self.exposed.map(|mode| KeyWarning::Exposed { path: path(), mode });
        let warning = admit(public, path)?.or_else(exposed);
        Ok(Loaded { key, warnings: warning.into_iter().collect() })
    }
}

/// The last check of any public key before it is used: whether it is a published test key, which gets a warning that calls
/// it `name`.
///
/// # Errors
///
/// [`LoadError::UnsafeTestKey`] in builds that [refuse](unsafe_test::REFUSED) those.
pub fn admit(public: &PublicKey, name: impl FnOnce() -> String) -> Result<Option<KeyWarning>, LoadError> {
    let is_test_key = unsafe_test::is_unsafe_test_key(&public.to_bytes());
    refuse_test_key(is_test_key, unsafe_test::REFUSED)?;
    Ok(is_test_key.then(|| KeyWarning::UnsafeTestKey { path: name() }))
}

fn refuse_test_key(is_test_key: bool, refused: bool) -> Result<(), LoadError> {
    if is_test_key && refused { Err(LoadError::UnsafeTestKey) } else { Ok(()) }
}

/// Reads all of `file` into memory that is wiped when dropped, or `None` if it has more
/// than `max` bytes.
///
/// The memory is taken once: a growing buffer would leave copies behind.
///
/// # Errors
///
/// Those of `file`.
pub fn read_bounded(file: impl Read, max: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
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

    #[test]
    fn a_test_key_is_refused_by_release_builds_and_by_no_other() {
        assert!(matches!(refuse_test_key(true, true), Err(LoadError::UnsafeTestKey)));
        assert!(refuse_test_key(true, false).is_ok());
        assert!(refuse_test_key(false, true).is_ok());
        assert_eq!(unsafe_test::REFUSED, !cfg!(debug_assertions));
    }
}
