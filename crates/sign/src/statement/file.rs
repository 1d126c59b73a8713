//! Files that hold a statement to sign: release files, and statement files of roots and beacons.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fleetcast_cli::CommandError;
use fleetcast_cli::keys::read_bounded;
use fleetcast_core::beacon::Beacon;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::release::{HEAD_LEN, Layout, MAGIC, encode_head};
use fleetcast_core::tree::Geometry;
use fleetcast_core::trust::{MAX_STATEMENT, Root, StatementError, Unverified};
use fleetcast_core::wire::{HEADER_LEN, StatementKind};

use super::Signable;
use crate::beside;
use crate::release::{ReleaseFile, VerifyError, check_pages};

/// Decodes a statement, to see whether it is of a kind.
type Decode = fn(&Signable) -> Result<(), StatementError>;

/// Kinds whose statements are files of their own. What says which is the content: only one of them decodes.
const KINDS: [(StatementKind, Decode); 2] = [
    (StatementKind::Root, |statement| statement.decode::<Root>().map(drop)),
    (StatementKind::Beacon, |statement| statement.decode::<Beacon>().map(drop)),
];

/// A file with one statement in it.
#[derive(Debug)]
pub struct StatementFile {
    path: PathBuf,
    /// What a link leads to: it is what gets replaced.
    target: PathBuf,
    /// The statement as it stands there.
    pub statement: Signable,
    /// The manifest, if it is a release file, and the octets of statement in it.
    release: Option<(Unverified<Manifest>, usize)>,
}

/// A file whose statement cannot be signed, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign {}", path.display())]
pub struct StatementFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub reason: StatementFileReason,
}

/// Why the statement of a file cannot be signed. But for [`Unflushed`](Self::Unflushed), the file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatementFileReason {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It starts as a release file and is none, or its pages are not those of its manifest.
    #[error(transparent)]
    Release(#[from] VerifyError),
    /// It is something else.
    #[error("it is no release file, and no statement file")]
    Statement(#[from] StatementError),
    /// The file is written, and a power cut may still bring back what it was.
    #[error("its folder cannot be flushed")]
    Unflushed(#[source] io::Error),
}

impl StatementFileReason {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "statement-io",
            Self::Release(error) => error.code(),
            Self::Statement(error) => error.code(),
            Self::Unflushed(_) => "statement-unflushed",
        }
    }
}

impl From<StatementFileError> for CommandError {
    fn from(error: StatementFileError) -> Self {
        let hint = match error.reason {
            StatementFileReason::Release(_) => Some("get the file again, or make it anew: fleetcast-sign create"),
            StatementFileReason::Unflushed(_) => Some("test the storage of this machine"),
            StatementFileReason::Io(_) | StatementFileReason::Statement(_) => None,
        };
        Self::failed(error).hint_if(hint)
    }
}

impl StatementFile {
    /// Reads the statement of a release file or statement file, be it signed or not.
    ///
    /// # Errors
    ///
    /// [`StatementFileError`].
    pub fn open(path: &Path) -> Result<Self, StatementFileError> {
        Self::read(path).map_err(|reason| StatementFileError { path: path.into(), reason })
    }

    fn read(path: &Path) -> Result<Self, StatementFileReason> {
        let target = fs::canonicalize(path)?;
        let beginning = read_bounded(File::open(&target)?, MAX_STATEMENT as u64)?;
        match beginning {
            Some(statement) if !statement.starts_with(&MAGIC) => {
                Ok(Self { path: path.into(), target, statement: of_some_kind(&statement)?, release: None })
            }
            _ => {
                let file = ReleaseFile::open(&target).map_err(VerifyError::File)?;
                let statement =
                    Signable::parse(StatementKind::Manifest, file.statement()).map_err(VerifyError::Statement)?;
                let manifest = statement.decode::<Manifest>().map_err(VerifyError::Statement)?;
                let len = file.statement().len();
                file.check_len(&Layout::new(len, &manifest)).map_err(VerifyError::File)?;
                Ok(Self { path: path.into(), target, statement, release: Some((manifest, len)) })
            }
        }
    }

    /// The manifest, if it is a release file.
    #[must_use]
    pub fn manifest(&self) -> Option<&Unverified<Manifest>> {
        self.release.as_ref().map(|(manifest, _)| manifest)
    }

    /// Octets that the statement may have so that no packet has more than `packet` octets of UDP payload, or than the
    /// largest one of the release has anyway.
    #[must_use]
    pub fn room(&self, packet: usize) -> usize {
        let largest = self.release.as_ref().map(|(manifest, len)| {
            let packets = manifest.components.iter().map(|component| Geometry::max_packet_len(&component.geometry));
            packets.chain([HEADER_LEN + len]).max().unwrap_or_default()
        });
        packet.max(largest.unwrap_or_default()).saturating_sub(HEADER_LEN).min(MAX_STATEMENT)
    }

    /// Puts the statement with its signatures in the place of what the file has, in one step.
    ///
    /// A release file is read again and all its pages are checked before it gets its name.
    ///
    /// # Errors
    ///
    /// [`StatementFileError`].
    pub fn save(&self) -> Result<(), StatementFileError> {
        self.write().map_err(|reason| StatementFileError { path: self.path.clone(), reason })
    }

    fn write(&self) -> Result<(), StatementFileReason> {
        let statement = self.statement.encode()?;
        let mode = fs::metadata(&self.target)?.permissions().mode();
        let mut file = beside::new_file(&self.target, mode & 0o777)?;
        let out = file.as_file_mut();
        if let Some((_, len)) = &self.release {
            out.write_all(&encode_head(u32::try_from(statement.len()).unwrap_or(u32::MAX)))?;
            out.write_all(&statement)?;
            let mut rest = File::open(&self.target)?;
            rest.seek(SeekFrom::Start((HEAD_LEN + len) as u64))?;
            io::copy(&mut rest, out)?;
        } else {
            out.write_all(&statement)?;
        }
        out.sync_all()?;
        if let Some((manifest, _)) = &self.release {
            check_pages(&ReleaseFile::open(file.path()).map_err(VerifyError::File)?, manifest)?;
        }
        file.persist(&self.target).map_err(|error| error.error)?;
        beside::flush_folder(&self.target).map_err(StatementFileReason::Unflushed)
    }
}

/// Finds out which kind a statement is of.
fn of_some_kind(statement: &[u8]) -> Result<Signable, StatementError> {
    let mut refusal = StatementError::Schema;
    for (kind, decode) in KINDS {
        let signable = Signable::parse(kind, statement)?;
        match decode(&signable) {
            Ok(()) => return Ok(signable),
            // That it has other fields than this kind says less than that one of them is wrong.
            Err(StatementError::Schema) => {}
            Err(other) => refusal = other,
        }
    }
    Err(refusal)
}
