//! Statement files: the octets of one statement (spec §10 \[X-3\]).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use fleetcast_cli::{CommandError, keys};
use fleetcast_core::trust::{MAX_STATEMENT, StatementError};

use crate::report::Event;

/// A file that cannot be sent as a root or beacon, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {what} {}", path.display())]
pub struct FileError {
    /// `root` or `beacon`.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub reason: FileReason,
}

/// What is wrong with a statement file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileReason {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is refused.
    #[error("{0} ({code})", code = .0.code())]
    Statement(#[from] StatementError),
    /// The beacon is not later than the one that is sent.
    #[error("it was issued no later than the one that is sent, so devices refuse it (beacon-replay)")]
    Replay,
    /// It does not fit a packet.
    #[error("its packet would have {octets} octets, and there is room for {room} (packet-size)")]
    PacketSize {
        /// Octets of the packet.
        octets: usize,
        /// Octets that it may have.
        room: usize,
    },
    /// It has a key whose private half is published.
    #[error("it has an UNSAFE test key, whose private half is published (key-unsafe-test)")]
    UnsafeTestKey,
}

impl FileReason {
    /// Stable word for this reason; that of spec §12 where there is one.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "read",
            Self::Statement(error) => error.code(),
            Self::Replay => "beacon-replay",
            Self::PacketSize { .. } => "packet-size",
            Self::UnsafeTestKey => "key-unsafe-test",
        }
    }
}

/// A file that is no good, while others are.
impl From<FileError> for Event {
    fn from(error: FileError) -> Self {
        let code = error.reason.code();
        Self::Warning { code, reason: format!("{}; the last good one is sent on", CommandError::failed(error)) }
    }
}

/// Reads a statement file.
pub(crate) fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    let open = || File::open(path);
    open().map_err(FileReason::Io).and_then(read_open).map_err(|reason| FileError { what, path: path.into(), reason })
}

/// Reads an open statement file.
pub(super) fn read_open(file: File) -> Result<Vec<u8>, FileReason> {
    let octets = keys::read_bounded(file, MAX_STATEMENT as u64)?;
    Ok(octets.ok_or(StatementError::Template)?.to_vec())
}
