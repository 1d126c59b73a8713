//! What unlocks a key: a file, the environment, or somebody at the terminal.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use fleetcast_cli::keys::{exposed, read_bounded};
use fleetcast_cli::{self as cli, CommandError};
use signal_hook::{consts::SIGINT, flag};
use zeroize::Zeroizing;

/// Environment variable that holds the passphrase.
pub const PASSPHRASE_ENV: &str = "FLEETCAST_KEY_PASSPHRASE";

/// Longest passphrase, in bytes; OpenSSL takes no longer ones.
pub const MAX_PASSPHRASE: usize = 1023;

/// Where a passphrase is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A passphrase file.
    File,
    /// [`PASSPHRASE_ENV`].
    Environment,
    /// Somebody at the terminal.
    Terminal,
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// No file, no variable, and no terminal to ask at.
    #[error("it needs a passphrase, none is given and there is no terminal to ask at")]
    Missing,
    /// Nothing where a passphrase belongs.
    #[error("the passphrase is empty")]
    Empty {
        /// Where it should have been.
        place: Place,
    },
    /// Longer than [`MAX_PASSPHRASE`].
    #[error("the passphrase is longer than {MAX_PASSPHRASE} bytes")]
    TooLong,
    /// A passphrase file that goes on after its first line.
    #[error("passphrase file {} has more than one line", path.display())]
    Lines {
        /// The file.
        path: PathBuf,
    },
    /// A passphrase file that cannot be read.
    #[error("cannot read passphrase file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The terminal failed, or whoever sits there gave up.
    #[error("no passphrase from the terminal")]
    Terminal(#[source] io::Error),
    /// Typed differently the second time.
    #[error("the two passphrases differ")]
    Differ,
}

impl PassphraseError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "passphrase-missing",
            Self::Empty { .. } => "passphrase-empty",
            Self::TooLong => "passphrase-too-long",
            Self::Lines { .. } => "passphrase-lines",
            Self::File { .. } => "passphrase-file",
            Self::Terminal(_) => "passphrase-terminal",
            Self::Differ => "passphrase-differ",
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing => {
                Some(format!("give --passphrase-file FILE, set {PASSPHRASE_ENV}, or run it at a terminal"))
            }
            Self::Empty { place: Place::File } => {
                Some("put the passphrase on the one line of the file, or leave --passphrase-file out".into())
            }
            Self::Empty { place: Place::Environment } => {
                Some(format!("set {PASSPHRASE_ENV} to the passphrase, or unset it"))
            }
            Self::Empty { place: Place::Terminal } => {
                Some("type the passphrase, then Enter; nothing is shown meanwhile".into())
            }
            Self::Lines { .. } => Some("the file holds the passphrase alone, on one line".into()),
            _ => None,
        }
    }
}

impl From<PassphraseError> for CommandError {
    fn from(error: PassphraseError) -> Self {
        let hint = error.hint();
        Self::failed(error).hint_if(hint)
    }
}

/// A passphrase: 1 to [`MAX_PASSPHRASE`] bytes, wiped when dropped; so is every clone.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes the bytes of a passphrase that were found at `place`.
    ///
    /// # Errors
    ///
    /// [`PassphraseError::Empty`], [`PassphraseError::TooLong`].
    pub fn new(bytes: Vec<u8>, place: Place) -> Result<Self, PassphraseError> {
        let bytes = Zeroizing::new(bytes);
        match bytes.len() {
            0 => Err(PassphraseError::Empty { place }),
            1..=MAX_PASSPHRASE => Ok(Self(bytes)),
            _ => Err(PassphraseError::TooLong),
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
    match given(file)? {
        Some(passphrase) => Ok(passphrase),
        None => prompt(&format!("Passphrase of {}: ", key.display())),
    }
}

/// The passphrase from `file`, else from the environment; `None` if neither is there.
///
/// # Errors
///
/// Any [`PassphraseError`] of a file or variable that is there and useless.
pub fn given(file: Option<&Path>) -> Result<Option<Passphrase>, PassphraseError> {
    match (file, std::env::var_os(PASSPHRASE_ENV)) {
        (Some(path), _) => from_file(path).map(Some),
        (None, Some(value)) => Passphrase::new(value.into_vec(), Place::Environment).map(Some),
        (None, None) => Ok(None),
    }
}

/// Asks for a new passphrase at the terminal, twice.
///
/// # Errors
///
/// [`PassphraseError::Differ`] and those of [`obtain`].
pub fn prompt_new(key: &Path) -> Result<Passphrase, PassphraseError> {
    let first = prompt(&format!("New passphrase of {}: ", key.display()))?;
    let second = prompt("The same again: ")?;
    if first.as_bytes() == second.as_bytes() { Ok(first) } else { Err(PassphraseError::Differ) }
}

/// Warns on stderr if others may read the file: whoever reads it opens the key.
fn from_file(path: &Path) -> Result<Passphrase, PassphraseError> {
    let failed = |source| PassphraseError::File { path: path.into(), source };
    // Two more for the line end.
    let max = MAX_PASSPHRASE as u64 + 2;
    let file = File::open(path).map_err(failed)?;
    if let Some(mode) = exposed(&file.metadata().map_err(failed)?) {
        let path = path.display();
        cli::warn(format_args!(
            "passphrase file {path} is open to other users (mode {mode:04o}); run: chmod 600 {path}"
        ));
    }
    let bytes = read_bounded(file, max).map_err(failed)?.ok_or(PassphraseError::TooLong)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.contains(&b'\n') {
        return Err(PassphraseError::Lines { path: path.into() });
    }
    Passphrase::new(line.to_vec(), Place::File)
}

/// Asks at the terminal, with nothing shown, whatever stdin and stdout are.
fn prompt(question: &str) -> Result<Passphrase, PassphraseError> {
    if File::open("/dev/tty").is_err() {
        return Err(PassphraseError::Missing);
    }
    set_interrupt(false);
    let answer = rpassword::prompt_password(question);
    set_interrupt(true);
    Passphrase::new(answer.map_err(PassphraseError::Terminal)?.into_bytes(), Place::Terminal)
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
        match from_file(file.path()) {
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
        let error = from_file(Path::new("/nonexistent/passphrase")).err().unwrap();
        assert_eq!(error.code(), "passphrase-file");
    }
}
