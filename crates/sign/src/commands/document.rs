//! Files that are told apart by their content: releases, roots, beacons.

use std::path::Path;

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::trust::StatementError;

use crate::statement::{Signable, StatementFile, StatementFileError, StatementFileReason};

/// The root or beacon in a file; `None` if it is a release file, or what nobody can tell from a broken one.
///
/// # Errors
///
/// [`CommandError`] if it is a broken root or beacon.
pub(super) fn root_or_beacon(path: &Path) -> Result<Option<Signable>, CommandError> {
    match StatementFile::open(path) {
        Ok(file) if file.manifest().is_none() => Ok(Some(file.statement)),
        Err(error) if matches!(error.reason, StatementFileReason::Statement(ref r) if *r != StatementError::Template) => {
            Err(refused(path, error))
        }
        _ => Ok(None),
    }
}

/// A file with any statement.
///
/// # Errors
///
/// [`CommandError`] if it has none, or cannot be read.
pub(super) fn open(path: &Path) -> Result<StatementFile, CommandError> {
    StatementFile::open(path).map_err(|error| refused(path, error))
}

fn refused(path: &Path, error: StatementFileError) -> CommandError {
    let path = path.display();
    match error.reason {
        StatementFileReason::Io(error) => CommandError::failed(format!("cannot read {path}: {error}")),
        StatementFileReason::Release(error) => error.into(),
        StatementFileReason::Statement(ref error) => {
            CommandError::new(ErrorKind::Refused, format!("refused ({}): {path}: {error}", error.code()))
                .hint("give a release file, a root file or a beacon")
        }
        _ => error.into(),
    }
}
