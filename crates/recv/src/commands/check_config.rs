//! `check-config`: is a settings file good?

use std::path::PathBuf;

use fleetcast_cli::{CommandError, out};
use fleetcast_core::wire::StatementKind;

use crate::config::Settings;

/// Check a settings file
///
/// Checks all that can be checked without a network, and opens the key files. What is wrong is told with the line and the
/// key. A file is checked as it stands: what it leaves to flags is missing.
#[derive(clap::Args, Debug)]
#[command(after_help = "Exit codes: 0 good, 78 wrong.")]
pub(super) struct Args {
    /// Settings file; see examples/recv.toml
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let place = self.file.display().to_string();
        let config = Settings::of_file(self.file).load()?;
        let keys: Vec<_> = config.trust.keys_for(StatementKind::Manifest).map(|key| key.key_id().to_string()).collect();
        out(&format!("{place}: good; trusted keys: {}\n", keys.join(", ")))
    }
}
