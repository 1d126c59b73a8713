//! `root show`: what a root says, and how far it is signed.

use std::path::PathBuf;

use fleetcast_cli::CommandError;

use super::{Opened, PreviousArgs, show};
use crate::root::Standing;

/// Show roles, thresholds and keys of a root, and whose signatures are there and missing
///
/// With --previous it says too whether devices that have that root take this one, and whether their rollback floors become
/// void. Always exit code 0; `root verify` is what refuses.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Whose signatures are missing?
    fleetcast-sign root show 2.root --previous 1.root

  Is it complete, for a script?
    fleetcast-sign root show --json 1.root | jq .is_complete")]
pub(super) struct Args {
    /// Root file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    previous: PreviousArgs,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let opened = Opened::open(&self.file)?;
        let previous = self.previous.load()?;
        show(&opened.root, Standing::new(&opened.root, previous.as_ref())?, self.json)
    }
}
