//! The metrics of `run` and `relay`. Streams are told apart by group and interface, relays by what they hear and where it goes,
//! so that several programs may write to one folder.

use fleetcast_cli::metrics::Page;
use fleetcast_cli::{clock, families};

use super::{Relayed, Stream};

/// Labels of every sample of `run`.
pub const RUN_LABELS: [&str; 2] = ["group", "interface"];
/// One more, in front of these, with `run --config`: the name of the stream.
pub const STREAM_LABEL: &str = "stream";
/// Labels of every sample of `relay`.
pub const RELAY_LABELS: [&str; 2] = ["upstream", "downstream"];

families! {
    /// All that `run` writes.
    RUN:
    BUILD = gauge("fleetcast_send_build_info", &["version"], "Always 1, of this version of the program.");
    RUNNING = gauge("fleetcast_send_running", &[], "1 while it sends, 0 before there is a release and once it has ended.");
    START = gauge("fleetcast_send_start_time_seconds", &[], "When the program was started, Unix time.");
    HEARTBEAT = gauge("fleetcast_send_heartbeat_timestamp_seconds", &[], "When this was written, Unix time.");
    RELEASE = gauge("fleetcast_send_release_info", &["version", "tsi"], "Always 1, of the release that is sent.");
    SEQUENCE = gauge("fleetcast_send_release_sequence", &[], "Sequence number of the release that is sent.");
    PACKETS = counter("fleetcast_send_packets_total", &[], "Packets handed to the system.");
    OCTETS = counter("fleetcast_send_payload_bytes_total", &[], "UDP payload handed to the system.");
    FAILED = counter("fleetcast_send_failed_attempts_total", &[], "Attempts to send that failed and were repeated.");
    LAYER_PACKETS = counter("fleetcast_send_layer_packets_total", &["layer"], "Packets of a layer, if there are several; 0 is the base layer.");
    LAYER_OCTETS = counter("fleetcast_send_layer_payload_bytes_total", &["layer"], "UDP payload of a layer, if there are several.");
    CYCLES = counter("fleetcast_send_cycles_total", &[], "Cycles of the carousel completed.");
    PART = gauge("fleetcast_send_cycle_progress_ratio", &[], "Part of the current cycle that is sent, 0 to 1.");
    CYCLE_PACKETS = gauge("fleetcast_send_cycle_packets", &[], "Packets of a cycle on the base layer, manifests left out.");
    CYCLE_OCTETS = gauge("fleetcast_send_cycle_payload_bytes", &[], "UDP payload of a cycle on the base layer, manifests left out.");
    STATEMENTS = counter("fleetcast_send_statements_total", &["kind"], "Roots and beacons sent out of turn.");
    ROOT = gauge("fleetcast_send_root_version", &[], "Version of the newest root that is sent, if roots are.");
    ISSUED = gauge("fleetcast_send_beacon_issued_timestamp_seconds", &[], "When the beacon that is sent was made, Unix time.");
    EXPIRY = gauge("fleetcast_send_beacon_expiry_timestamp_seconds", &[], "Until when the beacon that is sent holds, Unix time.");
    REQUESTS = counter("fleetcast_send_nack_requests_total", &[], "Requests of receivers taken, if they are heard.");
    ANSWERS = counter("fleetcast_send_nack_answers_total", &[], "Packets sent once more for requests.");
    REQUESTS_DROPPED = counter("fleetcast_send_nack_dropped_total", &["code"], "Requests dropped, by cause.");
    LOOKS = gauge("fleetcast_send_failed_looks", &[], "Looks at the store in a row that failed, if the stream follows a channel; 0 if the last one went well.");
    WARNINGS = counter("fleetcast_send_warnings_total", &["code"], "Warnings told, by cause.");
}

families! {
    /// All that `relay` writes.
    RELAY:
    RELAY_BUILD = gauge("fleetcast_relay_build_info", &["version"], "Always 1, of this version of the program.");
    RELAY_RUNNING = gauge("fleetcast_relay_running", &[], "1 while it runs, 0 once it has ended.");
    RELAY_START = gauge("fleetcast_relay_start_time_seconds", &[], "When the program was started, Unix time.");
    RELAY_HEARTBEAT = gauge("fleetcast_relay_heartbeat_timestamp_seconds", &[], "When this was written, Unix time.");
    RELAY_RECEIVED = counter("fleetcast_relay_received_packets_total", &[], "Datagrams that came.");
    RELAY_VERIFIED = counter("fleetcast_relay_verified_packets_total", &[], "Packets that verified.");
    RELAY_STATEMENTS = counter("fleetcast_relay_statements_total", &["kind"], "Roots and beacons that verified.");
    RELAY_PACKETS = counter("fleetcast_relay_packets_total", &[], "Packets sent, to all destinations together.");
    RELAY_OCTETS = counter("fleetcast_relay_payload_bytes_total", &[], "UDP payload sent, to all destinations together.");
    RELAY_FAILED = counter("fleetcast_relay_failed_packets_total", &[], "Packets that the system did not take.");
    RELAY_DROPPED = counter("fleetcast_relay_dropped_packets_total", &["code"], "Datagrams dropped, by cause.");
    RELAY_KERNEL = counter("fleetcast_relay_kernel_dropped_packets_total", &[], "Datagrams that the kernel dropped before they came.");
    RELAY_RELEASES = gauge("fleetcast_relay_releases", &[], "Releases that are passed on.");
    RELAY_NEWEST = gauge("fleetcast_relay_newest_release_sequence", &[], "Highest sequence number of the releases that are passed on.");
    RELAY_ROOT = gauge("fleetcast_relay_root_version", &[], "Version of the newest root; 0 with keys alone.");
    RELAY_WARNINGS = counter("fleetcast_relay_warnings_total", &["code"], "Warnings told, by cause.");
}

/// The metrics of streams of one program.
pub(super) fn run(streams: &[Stream], started: u64) -> String {
    let mut page = Page::new(Vec::new());
    for stream in streams {
        put_stream(&mut page, stream, started);
    }
    page.to_string()
}

fn put_stream<'a>(page: &mut Page<'a>, stream: &'a Stream, started: u64) {
    let labels = RUN_LABELS.into_iter().zip(stream.place.iter().map(String::as_str));
    let name = (!stream.name.is_empty()).then_some((STREAM_LABEL, &*stream.name));
    page.set_labels(name.into_iter().chain(labels).collect());
    page.put(&BUILD, &[env!("CARGO_PKG_VERSION")], 1);
    page.put(&RUNNING, &[], u8::from(stream.ready.is_some() && stream.stopped.is_none()));
    page.put(&START, &[], started);
    page.put(&HEARTBEAT, &[], clock::unix());
    if let Some(ready) = &stream.ready {
        page.put(&RELEASE, &[&ready.version, &ready.tsi], 1);
        page.put(&SEQUENCE, &[], ready.sequence);
        page.put(&CYCLE_PACKETS, &[], ready.cycle_packets);
        page.put(&CYCLE_OCTETS, &[], ready.cycle_octets);
        page.put_some(&ROOT, ready.roots.last());
        page.put_some(&ISSUED, ready.beacon.map(|beacon| beacon.issued));
        page.put_some(&EXPIRY, ready.beacon.map(|beacon| beacon.until));
    }
    let progress = stream.progress.as_ref();
    let sent = progress.map(|progress| progress.sent).unwrap_or_default();
    page.put(&PACKETS, &[], sent.packets);
    page.put(&OCTETS, &[], sent.octets);
    page.put(&FAILED, &[], sent.failed);
    page.put(&CYCLES, &[], progress.map_or(0, |progress| progress.cycles));
    page.put(&PART, &[], progress.map_or(0.0, |progress| progress.part));
    for (layer, sent) in progress.iter().flat_map(|progress| progress.layers.iter().enumerate()) {
        page.put(&LAYER_PACKETS, &[&layer.to_string()], sent.packets);
        page.put(&LAYER_OCTETS, &[&layer.to_string()], sent.octets);
    }
    if let Some(counts) = progress.and_then(|progress| progress.beside.statements) {
        page.put_each(&STATEMENTS, [("root", counts.roots), ("beacon", counts.beacons)]);
    }
    if let Some(counts) = progress.and_then(|progress| progress.beside.nack.as_ref()) {
        page.put(&REQUESTS, &[], counts.requests);
        page.put(&ANSWERS, &[], counts.answers);
        page.put_each(&REQUESTS_DROPPED, counts.dropped.iter().map(|(code, count)| (*code, *count)));
    }
    page.put_some(&LOOKS, stream.failed_looks);
    page.put_each(&WARNINGS, stream.warnings.counts.iter().map(|(code, count)| (*code, *count)));
}

/// The metrics of a relay.
pub(super) fn relay(relayed: &Relayed, started: u64) -> String {
    let Some(ready) = &relayed.ready else { return String::new() };
    let places = [ready.upstream.join(", "), ready.downstream.join(", ")];
    let mut page = Page::new(RELAY_LABELS.into_iter().zip(places.iter().map(String::as_str)).collect());
    let progress = relayed.progress.clone().unwrap_or_default();
    let totals = &progress.totals;
    page.put(&RELAY_BUILD, &[env!("CARGO_PKG_VERSION")], 1);
    page.put(&RELAY_RUNNING, &[], u8::from(relayed.stopped.is_none()));
    page.put(&RELAY_START, &[], started);
    page.put(&RELAY_HEARTBEAT, &[], clock::unix());
    page.put(&RELAY_RECEIVED, &[], totals.received);
    page.put(&RELAY_VERIFIED, &[], totals.verified);
    page.put_each(&RELAY_STATEMENTS, [("root", totals.roots), ("beacon", totals.beacons)]);
    page.put(&RELAY_PACKETS, &[], totals.packets);
    page.put(&RELAY_OCTETS, &[], totals.octets);
    page.put(&RELAY_FAILED, &[], totals.failed);
    page.put_each(&RELAY_DROPPED, totals.dropped.iter().map(|(code, count)| (*code, *count)));
    page.put(&RELAY_KERNEL, &[], totals.kernel_drops);
    page.put(&RELAY_RELEASES, &[], progress.releases.len());
    page.put_some(&RELAY_NEWEST, progress.releases.iter().max());
    page.put(&RELAY_ROOT, &[], progress.root.max(ready.root));
    page.put_each(&RELAY_WARNINGS, relayed.warnings.counts.iter().map(|(code, count)| (*code, *count)));
    page.to_string()
}
