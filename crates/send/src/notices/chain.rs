//! Roots, each signed by the one before it (spec §17 \[K-6, K-10\]).

use std::path::{Path, PathBuf};

use fleetcast_cli::keys::KeyWarning;
use fleetcast_cli::keys::unsafe_test::{self, is_unsafe_test_key};
use fleetcast_core::trust::{Root, StatementError, Trust, Verified, parse_unverified};

use super::file::{FileError, FileReason, read};

/// Roots that follow each other, verified.
#[derive(Clone, Debug)]
pub struct Chain {
    /// In order of version, one more each.
    roots: Vec<SentRoot>,
    trust: Trust,
}

/// A root as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRoot {
    /// Its version.
    pub version: u16,
    /// The statement.
    pub statement: Vec<u8>,
}

impl Chain {
    /// Reads roots in order of version. The first is verified by itself, each other by the one before it.
    ///
    /// # Errors
    ///
    /// [`FileError`] with the first file that cannot be read or is refused; all versions are looked at before any signature, so
    /// that a root that is left out is told as such.
    pub fn open(paths: &[PathBuf]) -> Result<Self, FileError> {
        let mut roots: Vec<SentRoot> = Vec::with_capacity(paths.len());
        for path in paths {
            let statement = read("root", path)?;
            let root = parse_unverified::<Root>(&statement).map_err(|e| refused(path, e))?;
            let next = roots.last().map_or(root.version, |last| last.version.saturating_add(1));
            if root.version != next {
                return Err(refused(path, StatementError::RootVersion { got: root.version, next }));
            }
            check_keys(path, &root)?;
            roots.push(SentRoot { version: root.version, statement });
        }
        let mut trust: Option<Trust> = None;
        for (path, root) in paths.iter().zip(&roots) {
            let result = match &mut trust {
                None => Trust::from_root(&root.statement).map(|first| trust = Some(first)),
                Some(trust) => trust.step(&root.statement).map(drop),
            };
            result.map_err(|e| refused(path, e))?;
        }
        let no_root = || FileError { what: "root", path: PathBuf::new(), reason: StatementError::Template.into() };
        Ok(Self { roots, trust: trust.ok_or_else(no_root)? })
    }

    /// Roots that were chosen otherwise or are yet to come: the first that follows is valid by these keys \[K-8\], or after this root.
    #[must_use]
    pub fn of(trust: Trust) -> Self {
        let root = |root: &Verified<Root>| SentRoot { version: root.version, statement: root.statement().to_vec() };
        Self { roots: trust.root().map(root).into_iter().collect(), trust }
    }

    /// Adds the root that follows.
    ///
    /// # Errors
    ///
    /// [`StatementError`] if it does not; nothing has changed then.
    pub fn step(&mut self, statement: &[u8]) -> Result<(), StatementError> {
        self.trust.step(statement)?;
        self.roots.push(SentRoot { version: self.trust.version(), statement: statement.to_vec() });
        Ok(())
    }

    /// What devices trust that have walked to one of the roots, the last first.
    #[must_use]
    pub fn trusts(&self) -> Vec<Trust> {
        let before = self.roots.iter().rev().skip(1);
        // Each of them was verified.
        let before = before.filter_map(|root| Trust::from_root(&root.statement).ok());
        [self.trust.clone()].into_iter().chain(before).collect()
    }

    /// The roots, in order of version.
    #[must_use]
    pub fn roots(&self) -> &[SentRoot] {
        &self.roots
    }

    /// What a device trusts that has walked to the last of them.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }
}

fn refused(path: &Path, error: StatementError) -> FileError {
    FileError { what: "root", path: path.into(), reason: error.into() }
}

/// Warns of a test key, or refuses it in builds that do.
fn check_keys(path: &Path, root: &Root) -> Result<(), FileError> {
    if !root.keys().iter().any(|key| is_unsafe_test_key(&key.to_bytes())) {
        return Ok(());
    }
    if unsafe_test::REFUSED {
        return Err(FileError { what: "root", path: path.into(), reason: FileReason::UnsafeTestKey });
    }
    fleetcast_cli::warn(KeyWarning::UnsafeTestKey { path: path.display().to_string() });
    Ok(())
}
