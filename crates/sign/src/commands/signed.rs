//! What a file says, and who has signed it, as the signing commands show it.

use std::fmt;
use std::path::Path;

use fleetcast_cli::{self as cli, CommandError, hex};
use fleetcast_core::trust::Root;
use fleetcast_core::wire::StatementKind;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::statement::StatementFile;

/// The statement in a file.
#[derive(Serialize)]
pub(super) struct Signed {
    file: String,
    /// `manifest`, `root` or `beacon`.
    kind: &'static str,
    /// Version of a release or root.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Sequence number of a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// SHA-256 of what is signed, the same for all keys.
    payload_digest: String,
    /// Ids of the keys that the signatures name, in order.
    signatures: Vec<String>,
    statement_octets: usize,
}

impl Signed {
    pub(super) fn new(path: &Path, file: &StatementFile) -> Self {
        let manifest = file.manifest();
        let root = file.statement.decode::<Root>();
        Self {
            file: path.display().to_string(),
            kind: name(file.statement.kind()),
            version: manifest
                .map(|manifest| manifest.version.to_string())
                .or(root.map(|root| root.version.to_string()).ok()),
            sequence: manifest.map(|manifest| manifest.sequence),
            payload_digest: hex(&Sha256::digest(file.statement.payload())),
            signatures: file.statement.signers().map(|key| key.to_string()).collect(),
            statement_octets: file.statement.len(),
        }
    }

    /// Prints it, as JSON or for people.
    pub(super) fn tell(&self, json: bool) -> Result<(), CommandError> {
        if json { cli::out_json(self) } else { cli::out(&self.to_string()) }
    }
}

impl fmt::Display for Signed {
    /// Aligned lines, the last one ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |key: &str, value: &dyn fmt::Display| writeln!(f, "{key:<18}{value}");
        line("kind", &self.kind)?;
        self.version.iter().try_for_each(|version| line("version", version))?;
        self.sequence.iter().try_for_each(|sequence| line("sequence", sequence))?;
        line("payload", &self.payload_digest)?;
        self.signatures.iter().try_for_each(|key| line("signed by", key))?;
        line("statement", &format_args!("{} octets", self.statement_octets))
    }
}

/// A kind of statement in words.
pub(super) const fn name(kind: StatementKind) -> &'static str {
    match kind {
        StatementKind::Manifest => "manifest",
        StatementKind::Root => "root",
        StatementKind::Beacon => "beacon",
    }
}
