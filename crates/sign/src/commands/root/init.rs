//! `root init`: the first root.

use std::path::PathBuf;

use fleetcast_cli::{self as cli, CommandError, ErrorKind, identity};
use fleetcast_core::trust::Root;

use super::super::check_out;
use super::{GrantArgs, IssuedArg, advise, public_keys};
use crate::beside::{self, Existing};
use crate::root::{Role, RootFile, Shown, keys_of};

/// Write the first root, version 1, unsigned
///
/// It has one grant; `root add-grant` adds others. Sign it with `root sign`; a root file is no root before enough of its
/// root keys have signed it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  One key for all, and a beacon:
    fleetcast-sign root init 1.root --vendor acme.example --root-key root.pub.pem \\
      --release-key release.pub.pem --beacon-key beacon.pub.pem

  Releases need an author and an operator; this grant is for one class:
    fleetcast-sign root init 1.root --vendor acme.example --root-threshold 2 \\
      --root-key ann.pub.pem --root-key bob.pub.pem --root-key cem.pub.pem \\
      --release-key author.pub.pem --operator-key operator.pub.pem --class board-a")]
pub(super) struct Args {
    /// Root file to write, such as 1.root
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Who makes the devices: a domain name, or its UUID
    #[arg(long, value_name = "NAME")]
    vendor: String,

    /// Public key that signs roots; give it again for more
    #[arg(long = "root-key", value_name = "FILE", required = true)]
    root_keys: Vec<PathBuf>,

    /// How many of them must sign a root
    #[arg(long, value_name = "M", default_value_t = 1)]
    root_threshold: u8,

    #[command(flatten)]
    grant: GrantArgs,

    /// Public key that signs beacons; give it again for more. Without one there are no beacons
    #[arg(long = "beacon-key", value_name = "FILE")]
    beacon_keys: Vec<PathBuf>,

    /// How many of them must sign a beacon
    #[arg(long, value_name = "M", default_value_t = 1, requires = "beacon_keys")]
    beacon_threshold: u8,

    #[command(flatten)]
    issued: IssuedArg,

    /// Replace the root file if it exists
    #[arg(long)]
    force: bool,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let keys = self.root_keys.iter().chain(&self.beacon_keys).chain(self.grant.files());
        check_out(&self.file, keys.map(PathBuf::as_path))?;
        let vendor = identity::vendor(&self.vendor).map_err(|message| CommandError::new(ErrorKind::Usage, message))?;
        let beacon = (!self.beacon_keys.is_empty()).then(|| {
            Ok::<_, CommandError>(keys_of(Role::Beacon, public_keys(&self.beacon_keys)?, self.beacon_threshold)?)
        });
        let root = RootFile::new(Root {
            version: 1,
            vendor,
            issued: self.issued.get(),
            root: keys_of(Role::Root, public_keys(&self.root_keys)?, self.root_threshold)?,
            grants: vec![self.grant.grant(vendor, 1)?],
            beacon: beacon.transpose()?,
        })?;
        let existing = if self.force { Existing::Replace } else { Existing::Keep };
        beside::write(&self.file, &root.encode()?, existing)?;
        advise(&self.file, &root, "sign it: fleetcast-sign root sign");
        let shown = Shown::new(&root, None)?;
        if self.json { cli::out_json(&shown) } else { cli::out(&shown.to_string()) }
    }
}
