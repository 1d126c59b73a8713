//! `root bump`: the root that is to follow.

use std::path::PathBuf;

use fleetcast_cli::{self as cli, CommandError};

use super::super::check_out;
use super::{IssuedArg, Opened, advise};
use crate::beside::{self, Existing};
use crate::root::Standing;
use crate::time;

/// Write the root that is to follow: the next version, unsigned, with the same roles
///
/// Then edit it, and have it signed by enough root keys of both. Devices that have the old one take it when they hear it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Begin a rotation:
    fleetcast-sign root bump 1.root --out 2.root")]
pub(super) struct Args {
    /// Root file of the version before
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// Root file to write, such as 2.root
    #[arg(long, value_name = "NEW")]
    out: PathBuf,

    #[command(flatten)]
    issued: IssuedArg,

    /// Replace the root file if it exists
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        check_out(&self.out, [self.old.as_path()])?;
        let old = Opened::open(&self.old)?;
        let (version, issued) = (old.root.root().version, self.issued.get());
        if !Standing::new(&old.root, None)?.is_complete {
            cli::warn(format_args!(
                "root {version} is not signed by enough of its root keys: nothing can follow it yet"
            ));
        }
        if issued < old.root.root().issued {
            let before = time::text(old.root.root().issued);
            cli::warn(format_args!(
                "it is issued before root {version} ({before}): is the clock of this machine right?"
            ));
        }
        let root = old.root.bump(issued)?;
        let existing = if self.force { Existing::Replace } else { Existing::Keep };
        beside::write(&self.out, &root.encode()?, existing)?;
        advise(&self.out, &root, "edit it, then sign it: fleetcast-sign root sign --previous");
        cli::out(&format!("root {}\n", root.root().version))
    }
}
