//! `root diff`: what a root changes.

use std::path::PathBuf;

use fleetcast_cli::{self as cli, CommandError};

use super::Opened;
use crate::root::Diff;

/// Show what differs between two roots
///
/// Roles, keys and thresholds; signatures do not count. Exit code 0 whether they differ or not: `same` in the JSON document
/// tells.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Before you sign:
    fleetcast-sign root diff 1.root 2.root")]
pub(super) struct Args {
    /// Root file
    #[arg(value_name = "A")]
    a: PathBuf,

    /// Root file to compare with it
    #[arg(value_name = "B")]
    b: PathBuf,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let [a, b] = [Opened::open(&self.a)?, Opened::open(&self.b)?];
        let diff = Diff::new(&a.root, &b.root);
        if self.json { cli::out_json(&diff) } else { cli::out(&diff.to_string()) }
    }
}
