//! `beacon`: which releases are current.

use std::path::PathBuf;
use std::time::Duration;

use fleetcast_cli::{self as cli, CommandError, quantity};
use fleetcast_core::beacon::Beacon;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::{Trust, Verified, verify};
use fleetcast_core::wire::StatementKind;

use super::root::IssuedArg;
use super::signer_args::SignerArgs;
use super::trust_args::chain;
use crate::beacon::{BeaconError, Shown, beacon};
use crate::beside::{self, Existing};
use crate::release::{ReleaseFile, VerifyError};
use crate::root::ROOM;
use crate::statement::{Signable, StatementFile};

/// Make and sign a beacon: which releases are current, for a short time
///
/// Devices whose root has a beacon role install nothing unless they hear that it is current. The beacon names the newest root
/// and, for each class of each release given, sequence number, security version and manifest. It is made anew by a timer well
/// before it runs out, on a machine that is online, with a key that can do nothing else; packaging/beacon has such a timer.
///
/// The file is replaced in one step, and `fleetcast-send run --beacon` reads it again when it changes.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Hourly, by a timer:
    fleetcast-sign beacon --root 1.root --root 2.root --key beacon.pem \\
      --release 1.2.3.fleetcast --valid 24h --out current.beacon

  Devices with a release before 1.2.0 must take 1.2.0 first, which needs --from in 1.2.3:
    fleetcast-sign beacon --root 1.root --key beacon.pem \\
      --release 1.2.0.fleetcast --release 1.2.3.fleetcast --out current.beacon")]
pub(super) struct Args {
    /// Root file; give all that follow too, and the last one decides
    #[arg(long = "root", value_name = "FILE", required = true)]
    roots: Vec<PathBuf>,

    /// Sign nothing: `sign` and `attach` put signatures on the file later, here or elsewhere
    #[arg(long, conflicts_with_all = ["keys", "commands"])]
    unsigned: bool,

    /// Release file that is current for its classes; give it again for more
    #[arg(long = "release", value_name = "RELEASE", required = true)]
    releases: Vec<PathBuf>,

    /// How long it holds, such as 30min or 24h, up to 2160h (90 days)
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, default_value = "24h")]
    valid: Duration,

    #[command(flatten)]
    issued: IssuedArg,

    /// Beacon file to write; a beacon that is there is replaced if this one is issued later
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Print a JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    signers: SignerArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        if !self.unsigned {
            self.signers.check()?;
        }
        let none = || CommandError::failed("no root to trust");
        let trust = chain(&self.roots)?.walk(None)?.0.ok_or_else(none)?;
        let releases = self.releases(&trust)?;
        let beacon = beacon(&trust, &releases, self.issued.get(), self.valid.as_secs())?;
        let existing = self.check_out(&beacon)?;
        let payload = beacon.encode().map_err(BeaconError::Invalid)?;
        let mut statement = Signable::new(StatementKind::Beacon, payload).map_err(BeaconError::Invalid)?;
        if !self.unsigned {
            self.sign(&trust, &mut statement)?;
        }
        beside::write(&self.out, &statement.encode().map_err(BeaconError::Invalid)?, existing)?;
        let signed = if self.unsigned { "unsigned; sign it: fleetcast-sign sign" } else { "signed" };
        cli::note(format_args!("written, {signed}: {}", self.out.display()));
        let shown = Shown::new(&statement).map_err(BeaconError::Invalid)?;
        if self.json { cli::out_json(&shown) } else { cli::out(&shown.to_string()) }
    }

    /// The manifests of the releases, as devices with the last root take them.
    fn releases(&self, trust: &Trust) -> Result<Vec<Verified<Manifest>>, CommandError> {
        let manifest = |path: &PathBuf| {
            let file = ReleaseFile::open(path).map_err(VerifyError::File)?;
            Ok(verify(file.statement(), trust).map_err(VerifyError::Statement)?)
        };
        self.releases.iter().map(manifest).collect()
    }

    /// What becomes of a file that has the name already.
    fn check_out(&self, beacon: &Beacon) -> Result<Existing, CommandError> {
        if std::fs::symlink_metadata(&self.out).is_err() {
            return Ok(Existing::Keep);
        }
        let before = StatementFile::open(&self.out).ok().and_then(|file| file.statement.decode::<Beacon>().ok());
        let Some(before) = before else {
            let message = format!("{} is there, and is no beacon", self.out.display());
            return Err(CommandError::failed(message).hint("choose another name, or remove it"));
        };
        if beacon.issued <= before.issued {
            return Err(BeaconError::NotLater { issued: beacon.issued, before: before.issued }.into());
        }
        Ok(Existing::Replace)
    }

    /// Signs, and verifies as a device does.
    fn sign(&self, trust: &Trust, statement: &mut Signable) -> Result<(), CommandError> {
        for signer in self.signers.load()? {
            let public = signer.public();
            if !trust.keys_for(StatementKind::Beacon).any(|key| *key == public) {
                return Err(BeaconError::Foreign { key: public.key_id(), root: trust.version() }.into());
            }
            statement.sign(&signer, ROOM)?;
        }
        let octets = statement.encode().map_err(BeaconError::Invalid)?;
        verify::<Beacon>(&octets, trust).map_err(|reason| BeaconError::Unsigned { reason })?;
        Ok(())
    }
}
