//! `root sign`: signatures on a root.

use std::path::PathBuf;

use fleetcast_cli::{self as cli, CommandError};
use fleetcast_core::trust::Trust;

use super::super::signer_args::SignerArgs;
use super::{Opened, PreviousArgs, show};
use crate::root::{RootError, Standing, check_room};

/// Sign a root, and say whose signatures are still missing
///
/// Signatures are added to those that are there, so the file can go from one person to the next. A key signs that has the
/// role root in this root or in the one before. `fleetcast-sign prepare` and `attach` do the same where key and file cannot
/// come together.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  The first root, by one person after the other:
    fleetcast-sign root sign 1.root --key ann.pem
    fleetcast-sign root sign 1.root --key bob.pem

  The next one, with the root that devices have at hand:
    fleetcast-sign root sign 2.root --previous 1.root --key ann.pem

  The first root for devices that were made with a release key alone:
    fleetcast-sign root sign 1.root --trust release-key.pub.pem --key release-key.pem")]
pub(super) struct Args {
    /// Root file to sign
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    previous: PreviousArgs,

    /// Print a JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    signers: SignerArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        self.signers.check()?;
        let opened = Opened::open(&self.file)?;
        let previous = self.previous.load()?;
        let mut root = opened.root.clone();
        Standing::new(&root, previous.as_ref())?;
        if let Some(previous) = &previous {
            check_room(&root, previous)?;
        } else if root.root().version > 1 {
            cli::note(
                "the root before is not looked at; give it with --previous to know whether devices take this one",
            );
        }
        let previous_role = previous.as_ref().map(Trust::root_role);
        for signer in self.signers.load()? {
            let (public, key) = (signer.public(), signer.public().key_id());
            let roles = [Some(&root.root().root), previous_role];
            if !roles.into_iter().flatten().any(|role| role.keys().contains(&public)) {
                return Err(RootError::Foreign { key, has_previous: previous.is_some() }.into());
            }
            if root.signers().any(|named| named == key) {
                cli::note(format_args!("key {key} has signed it already"));
                continue;
            }
            root.sign(&signer)?;
        }
        opened.replace(&root)?;
        show(&root, Standing::new(&root, previous.as_ref())?, self.json)
    }
}
