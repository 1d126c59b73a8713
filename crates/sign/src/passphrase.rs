//! What unlocks a key file or a token: a secret from a file, the environment, or somebody at the terminal.

mod error;

use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use fleetcast_cli as cli;
use fleetcast_cli::keys::{exposed, read_bounded};
use signal_hook::{consts::SIGINT, flag};
use zeroize::Zeroizing;

pub use error::{PassphraseError, Place, Sort};

/// Environment variable that holds the passphrase.
pub const PASSPHRASE_ENV: &str = "FLEETCAST_KEY_PASSPHRASE";
/// Environment variable that holds the PIN.
pub const PIN_ENV: &str = "FLEETCAST_PKCS11_PIN";

/// Longest passphrase, in bytes; OpenSSL takes no longer ones.
pub const MAX_PASSPHRASE: usize = 1023;

/// A passphrase or PIN: 1 to [`MAX_PASSPHRASE`] bytes, wiped when dropped; so is every clone.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes the bytes of a passphrase that were found at `place`.
    ///
    /// # Errors
    ///
    /// [`PassphraseError::Empty`], [`PassphraseError::TooLong`].
    pub fn new(bytes: Vec<u8>, place: Place) -> Result<Self, PassphraseError> {
        Self::of(Sort::Passphrase, bytes, place)
    }

    fn of(sort: Sort, bytes: Vec<u8>, place: Place) -> Result<Self, PassphraseError> {
        let bytes = Zeroizing::new(bytes);
        match bytes.len() {
            0 => Err(PassphraseError::Empty { sort, place }),
            1..=MAX_PASSPHRASE => Ok(Self(bytes)),
            _ => Err(PassphraseError::TooLong { sort }),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The passphrase of the key in `key`: from `file`, else the environment, else asked for at the terminal.
///
/// # Errors
///
/// Any [`PassphraseError`] but [`Differ`](PassphraseError::Differ).
pub fn obtain(file: Option<&Path>, key: &Path) -> Result<Passphrase, PassphraseError> {
    find(Sort::Passphrase, file, || format!("Passphrase of {}: ", key.display()))
}

/// The PIN of a token: from `file`, else the environment, else asked for at the terminal.
///
/// # Errors
///
/// Any [`PassphraseError`] but [`Differ`](PassphraseError::Differ).
pub fn obtain_pin(file: Option<&Path>, token: &str) -> Result<Passphrase, PassphraseError> {
    find(Sort::Pin, file, || format!("PIN of {token}: "))
}

/// The passphrase from `file`, else from the environment; `None` if neither is there.
///
/// # Errors
///
/// Any [`PassphraseError`] of a file or variable that is there and useless.
pub fn given(file: Option<&Path>) -> Result<Option<Passphrase>, PassphraseError> {
    look(Sort::Passphrase, file)
}

/// Asks for a new passphrase at the terminal, twice.
///
/// # Errors
///
/// [`PassphraseError::Differ`] and those of [`obtain`].
pub fn prompt_new(key: &Path) -> Result<Passphrase, PassphraseError> {
    let first = prompt(Sort::Passphrase, &format!("New passphrase of {}: ", key.display()))?;
    let second = prompt(Sort::Passphrase, "The same again: ")?;
    if first.as_bytes() == second.as_bytes() { Ok(first) } else { Err(PassphraseError::Differ) }
}

fn find(sort: Sort, file: Option<&Path>, question: impl FnOnce() -> String) -> Result<Passphrase, PassphraseError> {
    match look(sort, file)? {
        Some(secret) => Ok(secret),
        None => prompt(sort, &question()),
    }
}

fn look(sort: Sort, file: Option<&Path>) -> Result<Option<Passphrase>, PassphraseError> {
    match (file, std::env::var_os(sort.variable())) {
        (Some(path), _) => from_file(sort, path).map(Some),
        (None, Some(value)) => Passphrase::of(sort, value.into_vec(), Place::Environment).map(Some),
        (None, None) => Ok(None),
    }
}

/// Warns on stderr if others may read the file: whoever reads it opens the key.
fn from_file(sort: Sort, path: &Path) -> Result<Passphrase, PassphraseError> {
    let failed = |source| PassphraseError::File { sort, path: path.into(), source };
    // Two more for the line end.
    let max = MAX_PASSPHRASE as u64 + 2;
    let file = File::open(path).map_err(failed)?;
    if let Some(mode) = exposed(&file.metadata().map_err(failed)?) {
        let path = path.display();
        cli::warn(format_args!("{sort} file {path} is open to other users (mode {mode:04o}); run: chmod 600 {path}"));
    }
    let bytes = read_bounded(file, max).map_err(failed)?.ok_or(PassphraseError::TooLong { sort })?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.contains(&b'\n') {
        return Err(PassphraseError::Lines { sort, path: path.into() });
    }
    Passphrase::of(sort, line.to_vec(), Place::File)
}

/// Asks at the terminal, with nothing shown, whatever stdin and stdout are.
fn prompt(sort: Sort, question: &str) -> Result<Passphrase, PassphraseError> {
    if File::open("/dev/tty").is_err() {
        return Err(PassphraseError::Missing { sort });
    }
    set_interrupt(false);
    let answer = rpassword::prompt_password(question);
    set_interrupt(true);
    let answer = answer.map_err(|source| PassphraseError::Terminal { sort, source })?;
    Passphrase::of(sort, answer.into_bytes(), Place::Terminal)
}

/// Whether SIGINT ends the process.
///
/// The prompt raises it on ^C while the terminal is still mute; held off, the prompt restores
/// the terminal and returns an error. A handler cannot be taken away again without SIGINT
/// being ignored from then on, so there is one, with a switch.
fn set_interrupt(ends: bool) {
    static SWITCH: LazyLock<Option<Arc<AtomicBool>>> = LazyLock::new(|| {
        let switch = Arc::new(AtomicBool::new(true));
        flag::register_conditional_default(SIGINT, Arc::clone(&switch)).ok().map(|_| switch)
    });
    if let Some(switch) = &*SWITCH {
        switch.store(ends, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn from(content: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        match from_file(Sort::Passphrase, file.path()) {
            Ok(passphrase) => Ok(passphrase.as_bytes().to_vec()),
            Err(error) => Err(error.code()),
        }
    }

    #[test]
    fn a_passphrase_file_is_one_line() {
        for file in ["se cret", "se cret\n", "se cret\r\n"] {
            assert_eq!(from(file.as_bytes()).unwrap(), b"se cret", "{file:?}");
        }
        assert_eq!(from(b" \xff\n").unwrap(), b" \xff", "bytes, not text");
        assert_eq!(from(b""), Err("passphrase-empty"));
        assert_eq!(from(b"\n"), Err("passphrase-empty"));
        assert_eq!(from(b"one\ntwo\n"), Err("passphrase-lines"));
        assert_eq!(from(b"one\n\n"), Err("passphrase-lines"));
    }

    #[test]
    fn the_length_limit_is_inclusive() {
        let long = vec![b'x'; MAX_PASSPHRASE];
        assert_eq!(from(&[&long[..], b"\r\n"].concat()).unwrap(), long);
        assert_eq!(from(&[&long[..], b"x"].concat()), Err("passphrase-too-long"));
        assert_eq!(from(&[b'x'; 5000]), Err("passphrase-too-long"));
    }

    #[test]
    fn a_missing_file_is_not_a_missing_passphrase() {
        let error = from_file(Sort::Passphrase, Path::new("/nonexistent/passphrase")).err().unwrap();
        assert_eq!(error.code(), "passphrase-file");
    }
}
