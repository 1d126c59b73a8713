//! `root diff`: what a root changes.

use std::path::PathBuf;

use fleetcast_cli::CommandError;

use super::super::form_args::FormArgs;
use super::Opened;
use crate::html::changes_document;
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

    #[command(flatten)]
    form: FormArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let [a, b] = [Opened::open(&self.a)?, Opened::open(&self.b)?];
        let diff = Diff::new(&a.root, &b.root);
        self.form.tell(&diff, || diff.to_string(), || changes_document(&self.a, &self.b, &diff.section()))
    }
}
