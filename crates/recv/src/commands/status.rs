//! `status`: what is installed here, what is on trial, and what was refused.

use std::fmt::Write as _;
use std::path::PathBuf;

use fleetcast_cli::{CommandError, out, out_json};
use fleetcast_install::record::{Phase, Seen, Slot};
use fleetcast_install::{Disk as _, Loaded, RealFs, Record, ReleaseId, load};
use serde::Serialize;
use serde_json::Value;

use crate::config::folders;
use crate::device::STATEMENT;
use crate::events::Release;
use crate::ledger::{self, Entry};

/// Show what is installed, on trial, being received, and was refused
///
/// Reads the device record, also while a daemon runs. How far the daemon is, and what it has counted since its start, is
/// shown if it has a runtime folder.
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

    /// Folder where the daemon tells how it is doing
    #[arg(long, value_name = "FOLDER")]
    runtime: Option<String>,

    /// Settings file that names these folders
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Status {
    v: u8,
    /// The committed release, whose numbers are the rollback floors.
    installed: Option<Known>,
    /// `idle`, `installing`, `switching`, `trial` or `returning`.
    phase: &'static str,
    /// A release that is not committed.
    trial: Option<OnTrial>,
    /// What was proven to be in the slots, if there are slots.
    slots: Option<Slots>,
    /// The release last given up: it is not installed again.
    failed: Option<Failed>,
    /// Sequence number of the highest release ever followed.
    seen: Option<u64>,
    /// A release whose install was interrupted; the next start of the daemon finishes it.
    pending: Option<Release>,
    /// Sequence number of the release being received.
    receiving: Option<u64>,
    /// How the daemon is doing: progress, and counters since its start.
    daemon: Option<Value>,
    /// The newest refusals, alarms and installs, the newest first.
    history: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Known {
    #[serde(flatten)]
    release: Release,
    security_version: u32,
    /// SHA-256 of the manifest payload, lower-case hexadecimal.
    manifest: String,
}

#[derive(Debug, Serialize)]
struct OnTrial {
    #[serde(flatten)]
    release: Known,
    slot: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Slots {
    a: Option<Known>,
    b: Option<Known>,
}

#[derive(Debug, Serialize)]
struct Failed {
    #[serde(flatten)]
    release: Known,
    code: &'static str,
    reason: String,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let (folder, runtime) = folders(self.state, self.runtime, self.config)?;
        // A mistyped path is no new device.
        if RealFs.stat(&folder).map_err(CommandError::failed)?.is_none() {
            return Err(CommandError::failed(format!("there is no state folder {}", folder.display()))
                .hint("correct the path; `fleetcast-recv receive` makes the folder"));
        }
        let record = match load(&RealFs, &folder).map_err(CommandError::failed)? {
            Loaded::Ok(record) => *record,
            Loaded::Missing => Record::default(),
            Loaded::Unreadable { reason } => {
                let place = folder.display();
                return Err(CommandError::failed(format!("the device record in {place} is unreadable: {reason}"))
                    .hint("restore it, or remove it to let this device accept any release again"));
            }
        };
        let statement = RealFs.stat(&folder.join(STATEMENT)).map_err(CommandError::failed)?;
        let daemon = runtime.as_deref().and_then(ledger::running);
        let status = Status::new(&record, statement.is_some(), daemon, ledger::history(&folder));
        if self.json { out_json(&status) } else { out(&status.text()) }
    }
}

impl Status {
    fn new(record: &Record, has_statement: bool, daemon: Option<Value>, history: Vec<Entry>) -> Self {
        let installed = record.installed.as_ref();
        let seen = record.seen.map(|Seen { sequence, .. }| sequence);
        // A kept statement is that of the highest release seen; one of the installed release awaits its removal.
        let is_new = |seen: &u64| has_statement && installed.is_none_or(|r| r.sequence < *seen);
        let [a, b] = [Slot::A, Slot::B].map(|slot| record.slot(slot).map(Known::from));
        Self {
            v: 1,
            installed: installed.map(Known::from),
            phase: match record.phase {
                Phase::Idle => "idle",
                Phase::Installing(_) => "installing",
                Phase::Switching(_) => "switching",
                Phase::Trial(_) => "trial",
                Phase::Returning(..) => "returning",
            },
            trial: record
                .trial()
                .map(|trial| OnTrial { release: (&trial.release).into(), slot: trial.slot.map(Slot::name) }),
            slots: (a.is_some() || b.is_some()).then_some(Slots { a, b }),
            failed: record.failed.as_ref().map(|failed| Failed {
                release: (&failed.release).into(),
                code: failed.reason.code(),
                reason: failed.reason.to_string(),
            }),
            seen,
            pending: record.pending().map(|plan| (&plan.release).into()),
            receiving: seen.filter(is_new),
            daemon,
            history,
        }
    }

    fn text(&self) -> String {
        let mut text = match &self.installed {
            Some(i) => format!("installed  {}, security version {}\n", i.release, i.security_version),
            None => "installed  nothing yet\n".into(),
        };
        let mut line = |label: &str, value: String| {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{label:<11}{value}");
        };
        if let Some(trial) = &self.trial {
            let slot = trial.slot.map(|slot| format!(" in slot {slot}")).unwrap_or_default();
            let end = if self.phase == "returning" { ": it is being given up" } else { ": commit it or roll it back" };
            line("on trial", format!("{}{slot}{end}", trial.release.release));
        }
        if let Some(slots) = &self.slots {
            for (label, slot) in [("slot a", &slots.a), ("slot b", &slots.b)] {
                line(label, slot.as_ref().map_or("nothing proven".into(), |known| known.release.to_string()));
            }
        }
        if let Some(failed) = &self.failed {
            line("given up", format!("{}: {} ({})", failed.release.release, failed.reason, failed.code));
        }
        if let Some(sequence) = self.receiving {
            line("receiving", format!("sequence {sequence}"));
        }
        if let Some(daemon) = &self.daemon {
            let chunks = &daemon["chunks"];
            if let (Some(have), Some(needed)) = (chunks["have"].as_u64(), chunks["needed"].as_u64()) {
                line("progress", format!("{have} of {needed} chunks"));
            }
            if let Some(losses) = daemon["layers"].as_array() {
                let percent = |loss: &Value| format!("{:.1} %", loss.as_f64().unwrap_or_default() * 100.0);
                let each: Vec<_> = losses.iter().map(percent).collect();
                line("layers", format!("{} joined; loss of each {}", losses.len(), each.join(", ")));
            }
            let count = |key: &str| daemon[key].as_u64().unwrap_or_default();
            let (came, chunks, pages) = (count("datagrams"), count("verified_chunks"), count("verified_pages"));
            line(
                "daemon",
                format!("process {}, {came} packets, {chunks} chunks and {pages} pages verified", daemon["pid"]),
            );
            if let repair @ Value::Object(_) = &daemon["repair"] {
                let count = |key: &str| repair[key].as_u64().unwrap_or_default();
                let (requests, octets, failed) = (count("requests"), count("octets"), count("failed"));
                let (chunks, pages) = (count("chunks"), count("pages"));
                line(
                    "fetched",
                    format!(
                        "{chunks} chunks and {pages} pages in {octets} octets; {failed} of {requests} requests failed"
                    ),
                );
            }
        }
        if let Some(nack) = self.daemon.as_ref().and_then(|daemon| daemon.get("nack")) {
            let count = |key: &str| nack[key].as_u64().unwrap_or_default();
            let (sent, heard, held) = (count("sent"), count("heard"), count("suppressed"));
            line("requests", format!("{sent} sent, {heard} of others heard, {held} left to others"));
        }
        if let Some(release) = &self.pending {
            line("pending", format!("{release}: its install was interrupted, the next start finishes it"));
        }
        let refused = |entry: &&Entry| matches!(entry.event["event"].as_str(), Some("refused" | "alarm"));
        if let Some(Entry { time, event }) = self.history.iter().find(refused) {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let (reason, code) = (text("reason"), text("code"));
            line("refused", format!("sequence {}: {reason} ({code}), at Unix time {time}", event["sequence"]));
        }
        text
    }
}

impl From<&ReleaseId> for Known {
    fn from(release: &ReleaseId) -> Self {
        Self { release: release.into(), security_version: release.security_version, manifest: release.manifest_hex() }
    }
}
