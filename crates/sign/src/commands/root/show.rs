//! `root show`: what a root says, and how far it is signed.

use std::path::PathBuf;

use fleetcast_cli::{self as cli, CommandError};

use super::super::form_args::FormArgs;
use super::{Opened, PreviousArgs, show};
use crate::root::{Diff, Shown, Standing};

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
    fleetcast-sign root show --json 1.root | jq .is_complete

  For all who are to sign it, with what it changes:
    fleetcast-sign root show --html 2.root --previous 1.root > 2.root.html")]
pub(super) struct Args {
    /// Root file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    previous: PreviousArgs,

    #[command(flatten)]
    form: FormArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let opened = Opened::open(&self.file)?;
        let previous = self.previous.load()?;
        let standing = Standing::new(&opened.root, previous.as_ref())?;
        if !self.form.html {
            return show(&opened.root, standing, self.form.json);
        }
        let changes = self.previous.root()?.map(|before| Diff::new(&before, &opened.root).says.section());
        let document =
            standing.notice().changes(changes).document(&self.file, &Shown::new(&opened.root, Some(standing))?);
        cli::out(&document)
    }
}
