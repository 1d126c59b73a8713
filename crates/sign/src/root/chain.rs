//! Roots one after the other, as a device walks them.

use std::path::{Path, PathBuf};

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::trust::{Root, StatementError, Trust, Verified};
use serde::Serialize;

use super::RootFile;

/// Root files in the order of their versions.
#[derive(Debug)]
pub struct Chain(Vec<(PathBuf, Vec<u8>)>);

/// A root that a device with the ones before takes.
#[derive(Clone, Debug, Serialize)]
pub struct Taken {
    /// Where it is.
    pub file: String,
    /// Its version.
    pub version: u16,
    /// The root keys that have signed it, of the root before too.
    pub signed_by: Vec<String>,
    /// Whether floors of releases become void with it; null for the first, which devices are made with.
    pub voids_floors: Option<bool>,
}

/// Where a walk ends too early.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub struct ChainError {
    /// The root that is not taken.
    pub path: PathBuf,
    /// Version of the root before it; 0 for keys alone, `None` if it is the first.
    pub before: Option<u16>,
    /// Why not.
    #[source]
    pub reason: StatementError,
}

impl ChainError {
    /// What the reader can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match (&self.reason, self.before) {
            (StatementError::Threshold { .. }, None) => {
                "enough of its own root keys must sign it: fleetcast-sign root sign; root show says whose are missing"
            }
            (StatementError::Threshold { .. }, Some(_)) => {
                "enough root keys of both roots must sign it: root show --previous says whose are missing"
            }
            (StatementError::RootVersion { .. }, _) => "give all roots from the first to the last one, each once",
            (StatementError::Template, _) => "nobody has signed it, or it is no root file",
            (StatementError::Scope, _) => "roots of different vendors do not follow each other",
            _ => "get the file again",
        }
    }
}

impl From<ChainError> for CommandError {
    fn from(error: ChainError) -> Self {
        let hint = error.hint();
        let code = error.reason.code();
        Self::new(ErrorKind::Refused, format!("refused ({code}): root {}: {}", error, error.reason)).hint(hint)
    }
}

impl Chain {
    /// Puts root files in order. What cannot be read as one comes last, and is refused when it is its turn.
    #[must_use]
    pub fn new(mut files: Vec<(PathBuf, Vec<u8>)>) -> Self {
        files.sort_by_key(|(_, octets)| RootFile::parse(octets).map_or(u16::MAX, |file| file.root().version));
        Self(files)
    }

    /// The files, in order.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.0.iter().map(|(path, octets)| (path.as_path(), octets.as_slice()))
    }

    /// Walks from `trust`, or from the first root as from one that a device is made with.
    ///
    /// Gives the trust at the end; `None` if there is nothing to trust.
    ///
    /// # Errors
    ///
    /// [`ChainError`] at the first root that is not taken.
    pub fn walk(&self, mut trust: Option<Trust>) -> Result<(Option<Trust>, Vec<Taken>), ChainError> {
        let mut taken = Vec::new();
        for (path, octets) in &self.0 {
            let before = trust.as_ref().map(Trust::version);
            let (next, voids_floors) =
                step(trust, octets).map_err(|reason| ChainError { path: path.clone(), before, reason })?;
            taken.extend(next.root().map(|root| Taken::new(path, root, voids_floors)));
            trust = Some(next);
        }
        Ok((trust, taken))
    }
}

fn step(trust: Option<Trust>, octets: &[u8]) -> Result<(Trust, Option<bool>), StatementError> {
    let Some(mut trust) = trust else { return Ok((Trust::from_root(octets)?, None)) };
    let step = trust.step(octets)?;
    Ok((trust, Some(step.voids_floors)))
}

impl Taken {
    fn new(path: &Path, root: &Verified<Root>, voids_floors: Option<bool>) -> Self {
        let signed_by = root.signers().iter().map(ToString::to_string).collect();
        Self { file: path.display().to_string(), version: root.version, signed_by, voids_floors }
    }
}
