//! `status`: which release runs here.

use std::path::PathBuf;

use fleetcast_cli::{CommandError, out, out_json};
use fleetcast_install::record::Seen;
use fleetcast_install::{Disk as _, Loaded, RealFs, Record, load};
use serde::Serialize;

use crate::config::state_folder;
use crate::device::STATEMENT;
use crate::events::Release;

/// Show which release is installed
///
/// Reads the device record, also while a daemon runs.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  fleetcast-recv status --config /etc/fleetcast/recv.toml
  fleetcast-recv status --state /var/lib/fleetcast --json

Exit codes: 0 shown, 1 no state folder or unreadable record, 78 wrong settings.")]
pub(super) struct Args {
    /// Print a JSON document
    #[arg(long)]
    json: bool,

    /// Folder for what must survive a restart
    #[arg(long, value_name = "FOLDER")]
    state: Option<String>,

    /// Settings file that names this folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Status {
    v: u8,
    /// The release that runs, and whose numbers are the rollback floors.
    installed: Option<Installed>,
    /// Sequence number of the highest release ever followed.
    seen: Option<u64>,
    /// A release whose install was interrupted; the next start of the daemon finishes it.
    pending: Option<Release>,
    /// Sequence number of the release being received.
    receiving: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Installed {
    #[serde(flatten)]
    release: Release,
    security_version: u32,
    /// SHA-256 of the manifest payload, lower-case hexadecimal.
    manifest: String,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let folder = state_folder(self.state, self.config)?;
        // A mistyped path is no new device.
        if RealFs.stat(&folder).map_err(CommandError::failed)?.is_none() {
            return Err(CommandError::failed(format!("there is no state folder {}", folder.display()))
                .hint("correct the path; `fleetcast-recv receive` makes the folder"));
        }
        let record = match load(&RealFs, &folder).map_err(CommandError::failed)? {
            Loaded::Ok(record) => record,
            Loaded::Missing => Record::default(),
            Loaded::Unreadable { reason } => {
                let place = folder.display();
                return Err(CommandError::failed(format!("the device record in {place} is unreadable: {reason}"))
                    .hint("restore it, or remove it to let this device accept any release again"));
            }
        };
        let statement = RealFs.stat(&folder.join(STATEMENT)).map_err(CommandError::failed)?;
        let status = Status::new(&record, statement.is_some());
        if self.json { out_json(&status) } else { out(&status.text()) }
    }
}

impl Status {
    fn new(record: &Record, has_statement: bool) -> Self {
        let installed = record.installed.as_ref();
        let seen = record.seen.map(|Seen { sequence, .. }| sequence);
        // A kept statement is that of the highest release seen; one of the installed release awaits its removal.
        let receiving = seen.filter(|&seen| has_statement && installed.is_none_or(|r| r.sequence < seen));
        Self {
            v: 1,
            installed: installed.map(|r| Installed {
                release: r.into(),
                security_version: r.security_version,
                manifest: hex(&r.manifest),
            }),
            seen,
            pending: record.pending.as_ref().map(|plan| (&plan.release).into()),
            receiving,
        }
    }

    fn text(&self) -> String {
        let installed = match &self.installed {
            Some(i) => format!("installed  {}, security version {}\n", i.release, i.security_version),
            None => "installed  nothing yet\n".into(),
        };
        let receiving = self.receiving.map(|sequence| format!("receiving  sequence {sequence}\n"));
        let pending = self
            .pending
            .as_ref()
            .map(|release| format!("pending    {release}: its install was interrupted, the next start finishes it\n"));
        installed + &receiving.unwrap_or_default() + &pending.unwrap_or_default()
    }
}

/// Lower-case hexadecimal digits.
fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}
