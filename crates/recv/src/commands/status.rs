//! `status`: what is installed here, what is on trial, and what was refused.

use std::fmt::Write as _;
use std::path::PathBuf;

use fleetcast_cli::{CommandError, ErrorKind, out, out_json};
use fleetcast_install::record::{Floors, Phase, Seen, Slot};
use fleetcast_install::{Disk as _, Loaded, RealFs, Record, ReleaseId, load};
use serde::Serialize;
use serde_json::Value;

use crate::config::{Settings, folders};
use crate::device::{STATEMENT, trusted_at_rest};
use crate::events::Release;
use crate::ledger::{self, Entry};

/// Show what is installed, on trial, being received, and was refused; and who is trusted
///
/// Reads the device record, also while a daemon runs. How far the daemon is, whether what it knows is current, and what it
/// has counted since its start, is shown if it has a runtime folder; without one, or before the first start, whom the
/// device trusts is found out from its settings.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  fleetcast-recv status --config /etc/fleetcast/recv.toml
  fleetcast-recv status --state /var/lib/fleetcast --json

Exit codes: 0 shown, 1 no state folder or unreadable record, 6 shown, but the device is stale or behind: it does not
know what is current; 78 wrong settings.")]
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
    /// Version of the newest root that was followed; 0 for none.
    followed_root: u16,
    /// The numbers of the installed release are no floors, until another is committed.
    are_floors_void: bool,
    /// Whom the device trusts, its newest beacon, freshness and clock, if that is known.
    trust: Option<Value>,
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
        let (folder, runtime) = folders(self.state, self.runtime, self.config.clone())?;
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
        let trust = daemon.as_ref().and_then(trust_of).or_else(|| trust_at_rest(self.config?, &record));
        let status = Status::new(&record, statement.is_some(), daemon, ledger::history(&folder), trust);
        if self.json {
            out_json(&status)?;
        } else {
            out(&status.text())?;
        }
        status.conclude()
    }
}

/// What a daemon has told, aged since then: it may not run any longer.
fn trust_of(daemon: &Value) -> Option<Value> {
    let mut trust = daemon.get("trust")?.clone();
    let since = ledger::since_boot().as_secs().saturating_sub(daemon["since_boot"].as_u64()?);
    let clock = trust["clock"].as_u64()?.saturating_add(since);
    trust["clock"] = clock.into();
    if trust["freshness"] == "fresh" && trust["beacon"]["until"].as_u64()? < clock {
        trust["freshness"] = "stale".into();
    }
    Some(trust)
}

fn trust_at_rest(config: PathBuf, record: &Record) -> Option<Value> {
    let config = Settings::of_file(config).load().ok()?;
    let trusted = trusted_at_rest(&RealFs, &config, record, ledger::unix()).ok()?;
    serde_json::to_value(trusted).ok()
}

impl Status {
    fn new(
        record: &Record,
        has_statement: bool,
        daemon: Option<Value>,
        history: Vec<Entry>,
        trust: Option<Value>,
    ) -> Self {
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
            followed_root: record.root,
            are_floors_void: record.floors != Floors::Hold,
            trust,
        }
    }

    /// What the exit code tells.
    fn conclude(&self) -> Result<(), CommandError> {
        let freshness = self.trust.as_ref().and_then(|trust| trust["freshness"].as_str()).unwrap_or_default();
        let reason = match freshness {
            "stale" => "stale: what is current is not known any longer, as no new beacon came",
            "behind" => "behind: a root is missing, and nothing is installed until it comes",
            _ => return Ok(()),
        };
        Err(CommandError::new(ErrorKind::Stale, reason).hint("see what is sent with `fleetcast-recv doctor`"))
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
        if self.are_floors_void {
            line("floors", "void until another release is committed: the keys that set them are revoked".into());
        }
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
        if let Some(trust) = &self.trust {
            tell_trust(trust, &mut line);
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

fn tell_trust(trust: &Value, line: &mut dyn FnMut(&str, String)) {
    let keys = |role: &str| {
        let ids = trust["root"]["keys"][role].as_array().map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    match trust["root"]["version"].as_u64() {
        Some(0) | None => line("root", "none: keys alone are trusted".into()),
        Some(version) => line("root", format!("version {version}")),
    }
    for role in ["root", "author", "operator", "beacon"] {
        let ids = keys(role);
        if !ids.is_empty() {
            line("", format!("{role:<9}{ids}"));
        }
    }
    if let beacon @ Value::Object(_) = &trust["beacon"] {
        let (issued, until) = (&beacon["issued"], &beacon["until"]);
        let current = beacon["current"].as_u64();
        let current = current.map_or("nothing for this device".into(), |current| format!("sequence {current}"));
        line("beacon", format!("of Unix time {issued}, good until {until}; current: {current}"));
    }
    let freshness = trust["freshness"].as_str().unwrap_or_default();
    if freshness != "off" {
        line("freshness", format!("{freshness}; it is Unix time {} or later", trust["clock"]));
    }
}

impl From<&ReleaseId> for Known {
    fn from(release: &ReleaseId) -> Self {
        Self { release: release.into(), security_version: release.security_version, manifest: release.manifest_hex() }
    }
}
