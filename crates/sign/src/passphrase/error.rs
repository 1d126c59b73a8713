//! Why there is no passphrase or PIN.

use std::fmt;
use std::io;
use std::path::PathBuf;

use fleetcast_cli::CommandError;

use super::{MAX_PASSPHRASE, PASSPHRASE_ENV, PIN_ENV};

/// What the secret opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A key file.
    Passphrase,
    /// A token.
    Pin,
}

impl Sort {
    pub(super) const fn variable(self) -> &'static str {
        match self {
            Self::Passphrase => PASSPHRASE_ENV,
            Self::Pin => PIN_ENV,
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::Passphrase => "--passphrase-file",
            Self::Pin => "--pin-file",
        }
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "passphrase",
            Self::Pin => "PIN",
        })
    }
}

/// Where a secret is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File,
    /// An environment variable: [`PASSPHRASE_ENV`] or [`PIN_ENV`].
    Environment,
    /// Somebody at the terminal.
    Terminal,
}

/// Why there is no passphrase or PIN.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// No file, no variable, and no terminal to ask at.
    #[error("it needs a {sort}, none is given and there is no terminal to ask at")]
    Missing {
        /// Of what.
        sort: Sort,
    },
    /// Nothing where it belongs.
    #[error("the {sort} is empty")]
    Empty {
        /// What is empty.
        sort: Sort,
        /// Where it should have been.
        place: Place,
    },
    /// Longer than [`MAX_PASSPHRASE`].
    #[error("the {sort} is longer than {MAX_PASSPHRASE} bytes")]
    TooLong {
        /// What is.
        sort: Sort,
    },
    /// A file that goes on after its first line.
    #[error("{sort} file {} has more than one line", path.display())]
    Lines {
        /// What it holds.
        sort: Sort,
        /// The file.
        path: PathBuf,
    },
    /// A file that cannot be read.
    #[error("cannot read {sort} file {}", path.display())]
    File {
        /// What it holds.
        sort: Sort,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The terminal failed, or whoever sits there gave up.
    #[error("no {sort} from the terminal")]
    Terminal {
        /// What was asked for.
        sort: Sort,
        /// Why there is none.
        source: io::Error,
    },
    /// Typed differently the second time.
    #[error("the two passphrases differ")]
    Differ,
}

impl PassphraseError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "passphrase-missing",
            Self::Empty { .. } => "passphrase-empty",
            Self::TooLong { .. } => "passphrase-too-long",
            Self::Lines { .. } => "passphrase-lines",
            Self::File { .. } => "passphrase-file",
            Self::Terminal { .. } => "passphrase-terminal",
            Self::Differ => "passphrase-differ",
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { sort } => {
                format!("give {} FILE, set {}, or run it at a terminal", sort.option(), sort.variable())
            }
            Self::Empty { sort, place: Place::File } => {
                format!("put the {sort} on the one line of the file, or leave {} out", sort.option())
            }
            Self::Empty { sort, place: Place::Environment } => {
                format!("set {} to the {sort}, or unset it", sort.variable())
            }
            Self::Empty { sort, place: Place::Terminal } => {
                format!("type the {sort}, then Enter; nothing is shown meanwhile")
            }
            Self::Lines { sort, .. } => format!("the file holds the {sort} alone, on one line"),
            _ => return None,
        })
    }
}

impl From<PassphraseError> for CommandError {
    fn from(error: PassphraseError) -> Self {
        let hint = error.hint();
        Self::failed(error).hint_if(hint)
    }
}
