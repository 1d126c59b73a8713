//! What a device keeps to be asked about later: the newest refusals, alarms and installs, in the state folder; and how the
//! running daemon is doing, in the runtime folder.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) use fleetcast_cli::clock::{since_boot, unix};
use fleetcast_install::{Fault, RealFs, durable};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::events::{Chunks, Event, Traffic};
use crate::trusted::Trusted;

/// Name of the file in the state folder.
pub(crate) const HISTORY: &str = "history";
/// Name of the file in the runtime folder.
pub(crate) const RUNTIME: &str = "recv.json";
/// Events that are kept.
const KEPT: usize = 16;
/// Least time between two writes: anyone can cause refusals, and flash wears.
const REST: Duration = Duration::from_mins(1);
/// Octets of either file, at most.
const MAX_FILE: u32 = 64 << 10;

/// The newest events worth remembering, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: VecDeque<Entry>,
    /// When a release was last installed or committed, as far as that is known.
    last_install: Option<u64>,
    is_changed: bool,
    written: Option<Instant>,
}

/// An event and when it was told.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Entry {
    /// Unix time in seconds, by the device's clock.
    pub(crate) time: u64,
    /// The event, as in the JSON lines of `receive`.
    #[serde(flatten)]
    pub(crate) event: Value,
}

/// How a daemon is doing.
#[derive(Debug, Serialize)]
pub(crate) struct Running<'a> {
    pub(crate) v: u8,
    pub(crate) pid: u32,
    /// Unix time in seconds.
    pub(crate) time: u64,
    /// Seconds since the system was started.
    pub(crate) since_boot: u64,
    pub(crate) chunks: Option<Chunks>,
    pub(crate) trust: &'a Trusted,
    #[serde(flatten)]
    pub(crate) traffic: &'a Traffic,
}

impl Ledger {
    /// That of a state folder. What cannot be read is forgotten: nothing is decided by it.
    pub(crate) fn load(state: &Path) -> Self {
        let entries: VecDeque<_> = history(state).into();
        let is_install = |entry: &&Entry| matches!(entry.event["event"].as_str(), Some("installed" | "committed"));
        let last_install = entries.iter().find(is_install).map(|entry| entry.time);
        Self { entries, last_install, ..Self::default() }
    }

    /// Takes an event, if it is worth remembering.
    pub(crate) fn note(&mut self, told: &Event) {
        let is_kept = matches!(
            told,
            Event::Refused { .. }
                | Event::Alarm { .. }
                | Event::Installed { .. }
                | Event::OnTrial { .. }
                | Event::Committed { .. }
                | Event::GivenUp { .. }
                | Event::Abandoned { .. }
                | Event::Root { .. }
        );
        let Some(event) = is_kept.then(|| serde_json::to_value(told).ok()).flatten() else { return };
        if matches!(told, Event::Installed { .. } | Event::Committed { .. }) {
            self.last_install = Some(unix());
        }
        // Told again after a restart, or because a remembered one was forgotten.
        self.entries.retain(|entry| entry.event != event);
        self.entries.truncate(KEPT - 1);
        self.entries.push_front(Entry { time: unix(), event });
        self.is_changed = true;
    }

    /// What is remembered, the newest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// When a release was last installed or committed, in seconds of Unix time, if that is known.
    pub(crate) const fn last_install(&self) -> Option<u64> {
        self.last_install
    }

    /// Writes what is new, at most once a minute unless `now`.
    pub(crate) fn write(&mut self, state: &Path, now: bool) -> Result<(), Fault> {
        let rests = self.written.is_some_and(|written| written.elapsed() < REST);
        if !self.is_changed || rests && !now {
            return Ok(());
        }
        // Whether it succeeds or not: a full disk is not to be tried every second.
        self.written = Some(Instant::now());
        let json = serde_json::to_vec(&self.entries).unwrap_or_default();
        durable::replace(&RealFs, &state.join(HISTORY), &json)?;
        self.is_changed = false;
        Ok(())
    }
}

/// The events kept in a state folder, the newest first.
pub(crate) fn history(state: &Path) -> Vec<Entry> {
    let read = durable::read_bounded(&RealFs, &state.join(HISTORY), MAX_FILE);
    read.ok().flatten().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
}

/// Tells how the daemon is doing.
pub(crate) fn publish(runtime: &Path, running: &Running<'_>) -> Result<(), Fault> {
    let json = serde_json::to_vec(running).unwrap_or_default();
    durable::replace(&RealFs, &runtime.join(RUNTIME), &json)
}

/// How the daemon is doing; `None` if none runs.
pub(crate) fn running(runtime: &Path) -> Option<Value> {
    let json = durable::read_bounded(&RealFs, &runtime.join(RUNTIME), MAX_FILE).ok()??;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_events_are_kept_once_each_and_survive() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::load(folder.path());
        let refused = |sequence| Event::Refused { sequence, code: "class", reason: "it is for others".into() };
        (0..40).for_each(|sequence| ledger.note(&refused(sequence)));
        ledger.note(&refused(30));
        ledger.note(&Event::Restarting);
        ledger.write(folder.path(), false).unwrap();
        ledger.note(&refused(50));
        ledger.write(folder.path(), false).unwrap();
        let sequences =
            || history(folder.path()).iter().map(|entry| entry.event["sequence"].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!(sequences()[..3], [30, 39, 38], "written at most once a minute");
        assert_eq!(sequences().len(), KEPT);
        ledger.write(folder.path(), true).unwrap();
        assert_eq!(sequences()[..2], [50, 30]);
        durable::replace(&RealFs, &folder.path().join(HISTORY), b"{").unwrap();
        assert!(history(folder.path()).is_empty());
    }

    #[test]
    fn what_cannot_be_written_is_told_once_a_minute_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let mut ledger = Ledger::load(&gone);
        ledger.note(&Event::Refused { sequence: 1, code: "class", reason: "it is for others".into() });
        assert_eq!(ledger.write(&gone, false).unwrap_err().code(), "missing-folder");
        ledger.write(&gone, false).unwrap();
        ledger.write(folder.path(), true).unwrap();
        assert_eq!(history(folder.path()).len(), 1);
    }
}
