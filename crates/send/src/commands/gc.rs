//! `gc`: what no channel needs goes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetcast_cli::{CommandError, quantity};
use indicatif::HumanBytes;
use serde::Serialize;

use super::store_arg::{StoreArg, not_stored};
use crate::driver;
use crate::store::gc::{Retention, find, remove};

/// Remove from a store what no channel needs
///
/// Keeps the newest pointers of each channel, with all that they need, all roots and the newest 16 beacons. Removes older pointers and
/// beacons, and then the files that nothing names. Files younger than the grace time are kept: a publisher may be about to name them.
/// What publishers that were broken off have left in a folder goes too; in a bucket that is for a lifecycle rule about incomplete uploads.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  What would go, if the last five releases of each channel and all of this quarter are kept?
    fleetcast-send gc --store /srv/releases --keep 5 --keep-days 90 --dry-run

  Each night:
    fleetcast-send gc --store s3://acme-releases/boards --keep 5

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a file that is kept is damaged: nothing was removed.")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// How many of the newest pointers of each channel are kept, at least 1
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,

    /// Keep also what was published in the last so many days
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    keep_days: u32,

    /// Age from which a file that nothing names is removed: longer than any publisher takes
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = quantity::duration)]
    grace: Duration,

    /// Only list what would go
    #[arg(long)]
    dry_run: bool,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Facts {
    v: u8,
    removed: bool,
    /// `CHANNEL/NUMBER`.
    pointers: Vec<String>,
    /// `CHANNEL/TIME`.
    beacons: Vec<String>,
    files: Vec<String>,
    octets: u64,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let store = self.store.open()?;
        let young = Duration::from_secs(u64::from(self.keep_days) * 86_400);
        let keep = usize::try_from(self.keep).unwrap_or(usize::MAX);
        let now: SystemTime = UNIX_EPOCH + driver::unix_now();
        let garbage = find(&store, Retention { keep, young, grace: self.grace }, now).map_err(not_stored)?;
        let garbage = if self.dry_run { garbage } else { remove(&store, garbage).map_err(not_stored)? };
        let facts = Facts {
            v: 1,
            removed: !self.dry_run,
            pointers: garbage.pointers.iter().map(|(channel, number)| format!("{channel}/{number}")).collect(),
            beacons: garbage.beacons.iter().map(|(channel, time)| format!("{channel}/{time}")).collect(),
            files: garbage.files.iter().chain(&garbage.leftovers).map(|(name, _)| name.clone()).collect(),
            octets: garbage.files.iter().chain(&garbage.leftovers).map(|(_, len)| len).sum(),
        };
        if self.json {
            return fleetcast_cli::out_json(&facts);
        }
        let (pointers, beacons) = (facts.pointers.len(), facts.beacons.len());
        let (files, octets) = (facts.files.len(), HumanBytes(facts.octets));
        let done = if self.dry_run { "would be removed" } else { "removed" };
        fleetcast_cli::note(format_args!("{done}: {pointers} pointers, {beacons} beacons, {files} files, {octets}"));
        let names = facts.pointers.iter().chain(&facts.beacons).chain(&facts.files);
        let lines: Vec<_> = names.flat_map(|name| [name.as_str(), "\n"]).collect();
        fleetcast_cli::out(&lines.concat())
    }
}
