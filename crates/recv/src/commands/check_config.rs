//! `check-config`: is a settings file good?

use std::path::PathBuf;

use fleetcast_cli::{CommandError, out};

use crate::config::Settings;
use crate::trusted::RootFacts;

/// Check a settings file
///
/// Checks all that can be checked without a network, and opens the files of root or keys. What is wrong is told with the line and the
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
        out(&format!("{place}: good; {}\n", RootFacts::from(&config.trust)))
    }
}
