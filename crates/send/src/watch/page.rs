//! The page for browsers: how `run` and `relay` are doing.

use fleetcast_cli::clock;
use fleetcast_cli::html::{
    Chart, History, Markup, Notice, State, Tone, facts, figures, html, moment, notices, progress, span, status,
};
use fleetcast_cli::quantity::Rate;
use indicatif::{HumanBytes, HumanCount};

use super::{Relayed, Store, Stream, Warnings};
use crate::report::{Progress, Ready};

type Rows = Vec<(&'static str, Markup)>;

/// The page of streams of one program.
pub(super) fn run(streams: &[Stream], started: u64) -> String {
    let is_running = streams.iter().any(|stream| stream.stopped.is_none());
    let body = html! {
        @for (number, stream) in streams.iter().enumerate() {
            section.stream {
                h2 { @if stream.name.is_empty() { "Stream" } @else { "Stream " (stream.name) } }
                (of_stream(number, stream))
            }
        }
    };
    status("Fleetcast sender", is_running, started, &body)
}

fn of_stream(number: usize, stream: &Stream) -> Markup {
    let rate = |history| rate_chart(&format!("rate-{number}"), history);
    html! {
        (state(stream).show())
        @if let Some(ready) = &stream.ready {
            @if let Some(sent) = &stream.progress { (cycle(ready, sent)) }
            div.charts { (rate(&stream.rate)) }
            h3 { "Release" }
            (facts(&release(ready)))
            h3 { "Where it goes" }
            (facts(&place(ready)))
            @if !ready.layers.is_empty() { (layers(ready, stream.progress.as_ref())) }
            @if !ready.roots.is_empty() || ready.beacon.is_some() {
                h3 { "Roots and beacon" }
                (facts(&statements(ready, stream.progress.as_ref())))
            }
        }
        h3 { "Last warnings" }
        (warnings(&stream.warnings))
    }
}

fn state(stream: &Stream) -> State {
    if let Some(end) = stream.stopped {
        return State::new(Tone::Quiet, "Ended", format!("It sends nothing any more ({end})."));
    }
    let sent = stream.ready.as_ref().map(|ready| format!("{} (sequence {})", ready.version, ready.sequence));
    if !stream.turns() {
        return State::new(Tone::Bad, "Hangs", "Its loop has not turned for ten seconds: a file may not be readable.");
    }
    match (&stream.store, sent) {
        (Store::Fails(code), Some(sent)) => {
            let text = format!("{sent} is sent on; what the channel names cannot be had ({code}), and is tried again.");
            State::new(Tone::Warn, "Sending", text)
        }
        (Store::Fails(code), None) => {
            let text =
                format!("Nothing is sent yet: what the channel names cannot be had ({code}), and is tried again.");
            State::new(Tone::Bad, "Waiting", text)
        }
        (Store::Fetches { release, octets }, Some(sent)) => {
            let text = format!("{sent}, while {release} is fetched: {}.", HumanBytes(*octets));
            State::new(Tone::Busy, "Sending", text)
        }
        (Store::Fetches { release, octets }, None) => {
            State::new(Tone::Busy, "Fetching", format!("{release}: {}.", HumanBytes(*octets)))
        }
        (Store::Quiet, Some(sent)) => State::new(Tone::Good, "Sending", sent),
        (Store::Quiet, None) => State::new(Tone::Quiet, "Waiting", "There is nothing to send yet."),
    }
}

fn cycle(ready: &Ready, sent: &Progress) -> Markup {
    // A cycle is one of the base layer, and takes what it takes as fast as that has gone so far.
    let base = sent.layers.first().map_or(sent.sent.octets, |base| base.octets);
    let is_known = base > 0 && sent.sent.seconds >= 1.0;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for show"
    )]
    let seconds = is_known.then(|| (ready.cycle_octets as f64 * sent.sent.seconds / base as f64) as u64);
    html! {
        (progress("Part of this cycle that is sent", sent.part))
        (figures(&[
            ("Cycle", html! { (HumanCount(sent.cycles + 1)) }, html! { (HumanCount(sent.cycles)) " complete" }),
            ("Time of a cycle", html! { (seconds.map_or("–".into(), span)) }, html! { (HumanBytes(ready.cycle_octets)) }),
            ("Rate", html! { (Rate(sent.rate)) }, html! { "of " (ready.pace) }),
            ("Sent", html! { (HumanBytes(sent.sent.octets)) }, html! { (HumanCount(sent.sent.packets)) " packets" }),
        ]))
        @if sent.sent.failed > 0 { p.warn { (HumanCount(sent.sent.failed)) " attempts to send failed and were repeated." } }
    }
}

fn release(ready: &Ready) -> Rows {
    let signatures = if ready.verified { "verified here" } else { "not checked here" };
    vec![
        ("Version", html! { (ready.version) " (sequence " (ready.sequence) ")" }),
        ("Session (TSI)", html! { code { (ready.tsi) } }),
        ("Signatures", html! { (signatures) }),
        ("A cycle", html! { (HumanCount(ready.cycle_packets)) " packets, " (HumanBytes(ready.cycle_octets)) }),
    ]
}

fn place(ready: &Ready) -> Rows {
    let mut rows = vec![
        ("Group", html! { (ready.group) }),
        ("Interface", html! { (ready.interface) }),
        ("Source", html! { (ready.source) }),
        ("Longest packet", html! { (ready.max_packet) " octets of UDP payload" }),
    ];
    rows.extend(ready.nack.as_ref().map(|nack| ("Requests", html! { "heard at " (nack) })));
    rows
}

fn layers(ready: &Ready, progress: Option<&Progress>) -> Markup {
    let sent = |number: usize| progress.and_then(|progress| progress.layers.get(number));
    html! {
        h3 { "Layers" }
        table {
            thead { tr {
                th scope="col" { "Layer" } th scope="col" { "Group" } th.number scope="col" { "Pace" } th.number scope="col" { "Packets" }
            } }
            tbody {
                @for (number, layer) in ready.layers.iter().enumerate() {
                    tr {
                        th scope="row" { (number) @if number == 0 { " (base)" } }
                        td { (layer.group) }
                        td.number { (layer.pace) }
                        td.number { (HumanCount(sent(number).map_or(0, |sent| sent.packets))) }
                    }
                }
            }
        }
    }
}

fn statements(ready: &Ready, progress: Option<&Progress>) -> Rows {
    let mut rows = Rows::new();
    if let [first, .., last] = ready.roots[..] {
        rows.push(("Roots", html! { "versions " (first) " to " (last) }));
    } else if let [root] = ready.roots[..] {
        rows.push(("Root", html! { "version " (root) }));
    }
    if let Some(beacon) = ready.beacon {
        let now = clock::unix();
        rows.push(("Beacon of", moment(beacon.issued)));
        rows.push((
            "Good until",
            html! {
                (moment(beacon.until)) ", "
                @match beacon.until.checked_sub(now) {
                    Some(left) => { (span(left)) " left" },
                    None => strong.bad { "past: devices that watch it install nothing" },
                }
            },
        ));
    }
    if let Some(counts) = progress.and_then(|progress| progress.beside.statements) {
        rows.push(("Sent", html! { (HumanCount(counts.roots)) " roots, " (HumanCount(counts.beacons)) " beacons" }));
    }
    rows
}

/// The page of a relay.
pub(super) fn relay(relayed: &Relayed, started: u64) -> String {
    let Relayed { ready, progress, stopped, .. } = relayed;
    let progress = progress.clone().unwrap_or_default();
    let totals = &progress.totals;
    let state = match (stopped, &progress.releases[..]) {
        (Some(end), _) => State::new(Tone::Quiet, "Ended", format!("It passes nothing on any more ({end}).")),
        (None, []) => State::new(Tone::Quiet, "Waiting", "No release has come yet."),
        (None, releases) => {
            let all: Vec<_> = releases.iter().map(u64::to_string).collect();
            let word = if all.len() == 1 { "the release with sequence" } else { "the releases with sequences" };
            State::new(Tone::Good, "Passing on", format!("{word} {}", all.join(", ")))
        }
    };
    let mut rows = Rows::new();
    if let Some(ready) = ready {
        rows.push(("From", html! { (ready.upstream.join(", ")) }));
        rows.push(("To", html! { (ready.downstream.join(", ")) }));
        rows.push(("Most to each", html! { (Rate(ready.rate)) }));
        let root = progress.root.max(ready.root);
        rows.push(("Root", html! { @if root > 0 { "version " (root) } @else { "none: keys alone are trusted" } }));
    }
    rows.push(("Statements", html! { (HumanCount(totals.roots)) " roots, " (HumanCount(totals.beacons)) " beacons" }));
    let body = html! {
        (state.show())
        (figures(&[
            ("Came", html! { (HumanCount(totals.received)) }, html! { "packets" }),
            ("Verified", html! { (HumanCount(totals.verified)) }, html! { "packets" }),
            ("Sent", html! { (HumanBytes(totals.octets)) }, html! { (HumanCount(totals.packets)) " packets" }),
            ("Rate", html! { (Rate(progress.rate)) }, html! { "to all together" }),
        ]))
        div.charts { (rate_chart("rate", &relayed.rate)) }
        h2 { "Where it goes" }
        (facts(&rows))
        h2 { "Last warnings" }
        (warnings(&relayed.warnings))
        h2 { "Dropped" }
        @if totals.kernel_drops > 0 {
            p { (HumanCount(totals.kernel_drops)) " packets by the kernel: for a full buffer, or from other hosts than --from." }
        }
        @if totals.failed > 0 { p { (HumanCount(totals.failed)) " packets that the system did not take." } }
        @if totals.dropped.is_empty() { p.quiet { "Nothing for a cause of its own." } } @else {
            table {
                thead { tr { th scope="col" { "Cause" } th.number scope="col" { "Packets" } } }
                tbody {
                    @for (code, count) in &totals.dropped {
                        tr { th scope="row" { code { (code) } } td.number { (HumanCount(*count)) } }
                    }
                }
            }
        }
    };
    status("Fleetcast relay", stopped.is_none(), started, &body)
}

fn rate_chart(id: &str, history: &History) -> Markup {
    Chart { id, title: "Rate", history, least: 1000.0, show: |bits| Rate::of(bits).to_string() }.draw()
}

fn warnings(warnings: &Warnings) -> Markup {
    let notice = |warning: &super::Warning| Notice {
        time: warning.time,
        tone: Tone::Warn,
        word: warning.code.into(),
        text: warning.reason.clone(),
    };
    notices(&warnings.newest.iter().map(notice).collect::<Vec<_>>())
}
