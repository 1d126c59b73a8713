//! Metrics for Prometheus: in a file for the node exporter, and on an address if the settings name one.
//!
//! They are made of the counters that events have too, so that none is counted twice.

mod serve;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use fleetcast_cli::metrics::Page;
use fleetcast_cli::{Renewed, clock, families};
use fleetcast_install::Record;

use crate::events::{Chunks, Traffic};
use crate::trusted::Trusted;
use serve::{Board, Server};

/// Where metrics go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// A file whose name ends in `.prom`.
    pub file: Option<PathBuf>,
    /// Time between two writes of it.
    pub interval: Duration,
    /// An address of this device to answer at.
    pub listen: Option<SocketAddr>,
}

families! {
    /// All that a receiver writes.
    ALL:
    BUILD = gauge("fleetcast_recv_build_info", &["version"], "Always 1, of this version of the program.");
    RUNNING = gauge("fleetcast_recv_running", &[], "1 while it runs, 0 once it has ended.");
    START = gauge("fleetcast_recv_start_time_seconds", &[], "When the program was started, Unix time.");
    HEARTBEAT = gauge("fleetcast_recv_heartbeat_timestamp_seconds", &[], "When this was written, Unix time.");
    INSTALLED = gauge("fleetcast_recv_installed_info", &["version", "manifest"], "Always 1, of the committed release: its version and the SHA-256 of its manifest.");
    SEQUENCE = gauge("fleetcast_recv_installed_sequence", &[], "Sequence number of the committed release.");
    SECURITY = gauge("fleetcast_recv_installed_security_version", &[], "Security version of the committed release.");
    LAST_INSTALL = gauge("fleetcast_recv_last_install_timestamp_seconds", &[], "When a release was last installed or committed, if it is remembered, Unix time.");
    ON_TRIAL = gauge("fleetcast_recv_on_trial", &[], "1 while a release is on trial.");
    SEEN = gauge("fleetcast_recv_seen_sequence", &[], "Sequence number of the highest release ever followed.");
    FAILED_SEQUENCE = gauge("fleetcast_recv_given_up_sequence", &[], "Sequence number of the release last given up.");
    FRESHNESS = gauge("fleetcast_recv_freshness", &["state"], "1 for the state that holds: off, waiting, fresh, stale or behind; 0 for the others.");
    ROOT = gauge("fleetcast_recv_root_version", &[], "Version of the root that is trusted; 0 with keys alone.");
    BEACON_EXPIRY = gauge("fleetcast_recv_beacon_expiry_timestamp_seconds", &[], "Until when the newest beacon holds, Unix time.");
    CHUNKS = gauge("fleetcast_recv_verified_chunks", &[], "Chunks of the release being received that are there, of those needed.");
    NEEDED = gauge("fleetcast_recv_needed_chunks", &[], "Chunks that the release being received needs.");
    DATAGRAMS = counter("fleetcast_recv_datagrams_total", &[], "Datagrams that came.");
    VERIFIED = counter("fleetcast_recv_verified_packets_total", &["kind"], "Chunks and pages that verified and were new.");
    DUPLICATES = counter("fleetcast_recv_duplicate_packets_total", &[], "Repeats.");
    STAGED = counter("fleetcast_recv_staged_packets_total", &[], "Packets that waited for a manifest or page.");
    DROPPED = counter("fleetcast_recv_dropped_packets_total", &["code"], "Packets dropped, by cause.");
    KERNEL = counter("fleetcast_recv_kernel_dropped_packets_total", &[], "Arrivals that the kernel dropped, mostly for full buffers.");
    OVERLONG = counter("fleetcast_recv_overlong_datagrams_total", &[], "Datagrams longer than max-packet.");
    LOSS = gauge("fleetcast_recv_loss_ratio", &[], "Share of the packets sent that did not come, 0 to 1, an estimate.");
    LAYER_LOSS = gauge("fleetcast_recv_layer_loss_ratio", &["layer"], "Loss of each layer joined in the last seconds; 0 is the base layer.");
    EVENTS = counter("fleetcast_recv_events_total", &["event"], "Events told, by kind: alarm, refused, given-up, stalled and others.");
    NACK_SENT = counter("fleetcast_recv_nack_requests_total", &[], "Requests sent for what is missing.");
    NACK_SUPPRESSED = counter("fleetcast_recv_nack_suppressed_total", &[], "Requests left out, as somebody else had asked.");
    NACK_UNANSWERED = counter("fleetcast_recv_nack_unanswered_total", &[], "Requests that brought nothing.");
    REPAIR_REQUESTS = counter("fleetcast_recv_repair_requests_total", &[], "Requests to web servers.");
    REPAIR_FAILED = counter("fleetcast_recv_repair_failed_requests_total", &[], "Requests to web servers without a right answer.");
    REPAIR_OCTETS = counter("fleetcast_recv_repair_bytes_total", &[], "Octets that came from web servers.");
    REPAIR_VERIFIED = counter("fleetcast_recv_repair_verified_packets_total", &["kind"], "Chunks and pages of web servers that verified.");
}

/// States of freshness.
const STATES: [&str; 5] = ["off", "waiting", "fresh", "stale", "behind"];

/// What is known of a receiver at a moment.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) is_running: bool,
    pub(crate) record: &'a Record,
    pub(crate) last_install: Option<u64>,
    pub(crate) trusted: &'a Trusted,
    pub(crate) chunks: Option<Chunks>,
    pub(crate) traffic: &'a Traffic,
    pub(crate) events: &'a BTreeMap<&'static str, u64>,
}

/// What must be opened before the process is confined.
#[derive(Debug)]
pub(crate) struct Opened(Option<Server>);

/// Where metrics are shown.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Unix time in seconds.
    started: u64,
    file: Option<Renewed>,
    board: Option<Board>,
}

impl Opened {
    /// Takes the address, if there is one.
    ///
    /// # Errors
    ///
    /// The system's, if it cannot be had.
    pub(crate) fn new(settings: &Settings) -> io::Result<Self> {
        settings.listen.map(Server::bind).transpose().map(Self)
    }

    /// Begins to show. What confines this thread confines those that do it.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread.
    pub(crate) fn show(self, settings: &Settings) -> io::Result<Shown> {
        Ok(Shown {
            started: clock::unix(),
            file: settings.file.clone().map(|path| Renewed::new(path, settings.interval)),
            board: self.0.map(Server::start).transpose()?,
        })
    }
}

impl Shown {
    /// Whether it is time for the facts: each second if somebody may ask for them.
    pub(crate) fn is_due(&self) -> bool {
        self.board.is_some() || self.file.as_ref().is_some_and(Renewed::is_due)
    }

    /// Shows the facts.
    pub(crate) fn show(&mut self, facts: &Facts<'_>) {
        let text = text(facts, self.started);
        if let Some(board) = &self.board {
            board.set(&text);
        }
        if let Some(file) = &mut self.file {
            file.renew(!facts.is_running, || text);
        }
    }
}

fn text(facts: &Facts<'_>, started: u64) -> String {
    let Facts { record, trusted, traffic, .. } = facts;
    let mut page = Page::new(Vec::new());
    page.put(&BUILD, &[env!("CARGO_PKG_VERSION")], 1);
    page.put(&RUNNING, &[], u8::from(facts.is_running));
    page.put(&START, &[], started);
    page.put(&HEARTBEAT, &[], clock::unix());
    if let Some(release) = &record.installed {
        page.put(&INSTALLED, &[&release.version, &release.manifest_hex()], 1);
        page.put(&SEQUENCE, &[], release.sequence);
        page.put(&SECURITY, &[], release.security_version);
    }
    page.put_some(&LAST_INSTALL, facts.last_install);
    page.put(&ON_TRIAL, &[], u8::from(record.trial().is_some()));
    page.put_some(&SEEN, record.seen.map(|seen| seen.sequence));
    page.put_some(&FAILED_SEQUENCE, record.failed.as_ref().map(|failed| failed.release.sequence));
    page.put_each(&FRESHNESS, STATES.map(|state| (state, u8::from(state == trusted.freshness))));
    page.put(&ROOT, &[], trusted.root.version);
    page.put_some(&BEACON_EXPIRY, trusted.beacon.as_ref().map(|beacon| beacon.until));
    page.put_some(&CHUNKS, facts.chunks.map(|chunks| chunks.have));
    page.put_some(&NEEDED, facts.chunks.map(|chunks| chunks.needed));
    page.put(&DATAGRAMS, &[], traffic.datagrams);
    page.put_each(&VERIFIED, [("chunk", traffic.verified_chunks), ("page", traffic.verified_pages)]);
    page.put(&DUPLICATES, &[], traffic.duplicates);
    page.put(&STAGED, &[], traffic.staged);
    page.put_each(&DROPPED, traffic.dropped.iter().map(|(code, count)| (*code, *count)));
    page.put(&KERNEL, &[], traffic.kernel_drops);
    page.put(&OVERLONG, &[], traffic.overlong);
    page.put(&LOSS, &[], traffic.loss);
    for (layer, loss) in traffic.layers.iter().flatten().enumerate() {
        page.put(&LAYER_LOSS, &[&layer.to_string()], loss);
    }
    page.put_each(&EVENTS, facts.events.iter().map(|(kind, count)| (*kind, *count)));
    if let Some(nack) = &traffic.nack {
        page.put(&NACK_SENT, &[], nack.sent);
        page.put(&NACK_SUPPRESSED, &[], nack.suppressed);
        page.put(&NACK_UNANSWERED, &[], nack.unanswered);
    }
    if let Some(repair) = &traffic.repair {
        page.put(&REPAIR_REQUESTS, &[], repair.requests);
        page.put(&REPAIR_FAILED, &[], repair.failed);
        page.put(&REPAIR_OCTETS, &[], repair.octets);
        page.put_each(&REPAIR_VERIFIED, [("chunk", repair.chunks), ("page", repair.pages)]);
    }
    page.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trusted::{BeaconFacts, Roles, RootFacts};
    use crate::{nack, repair};
    use fleetcast_install::ReleaseId;
    use fleetcast_install::record::{Failed, Reason, Seen};

    #[test]
    fn all_families_are_written_when_there_is_something_to_say() {
        let release =
            ReleaseId { sequence: 7, security_version: 2, manifest: [0xab; 32], version: "1.4.0 \"x\"".into() };
        let record = Record {
            seen: Some(Seen { sequence: 8, manifest: [1; 32] }),
            failed: Some(Failed { release: release.clone(), reason: Reason::Health }),
            installed: Some(release),
            ..Record::default()
        };
        let trusted = Trusted {
            root: RootFacts { version: 3, keys: Roles::default() },
            beacon: Some(BeaconFacts { issued: 1, until: 2, root: 3, current: None }),
            freshness: "stale",
            clock: 1,
        };
        let traffic = Traffic {
            layers: Some(vec![0.0, 0.5]),
            dropped: BTreeMap::from([("digest", 9)]),
            nack: Some(nack::Counts::default()),
            repair: Some(repair::Counts::default()),
            ..Traffic::default()
        };
        let facts = Facts {
            is_running: true,
            record: &record,
            last_install: Some(5),
            trusted: &trusted,
            chunks: Some(Chunks { have: 1, needed: 2 }),
            traffic: &traffic,
            events: &BTreeMap::from([("alarm", 1)]),
        };
        let text = text(&facts, 4);
        for family in ALL {
            assert!(text.contains(&format!("# TYPE {} {}\n", family.name, family.kind.word())), "{}", family.name);
        }
        assert_eq!(text.matches("# HELP").count(), ALL.len());
        for line in [
            "fleetcast_recv_installed_sequence 7",
            "fleetcast_recv_freshness{state=\"stale\"} 1",
            "fleetcast_recv_freshness{state=\"fresh\"} 0",
            "fleetcast_recv_dropped_packets_total{code=\"digest\"} 9",
            "fleetcast_recv_layer_loss_ratio{layer=\"1\"} 0.5",
            "fleetcast_recv_events_total{event=\"alarm\"} 1",
            "fleetcast_recv_start_time_seconds 4",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}");
        }
    }
}
