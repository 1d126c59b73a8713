//! What the page looks like.

use fleetcast_cli::html::{
    Chart, Markup, Notice, State, Tone, facts, figures, html, moment, notices, percent, progress, span, status,
};
use fleetcast_cli::quantity::Rate;
use fleetcast_install::ReleaseId;
use indicatif::{HumanBytes, HumanCount};

use super::notes::Begun;
use super::{Seen, Trend, words};
use crate::events::{Chunks, Release};
use crate::ledger::Entry;

/// Things that happened that are shown at most.
const SHOWN: usize = 20;

type Rows = Vec<(&'static str, Markup)>;

/// The document.
pub(super) fn page(seen: &Seen<'_>, trend: &Trend, started: u64) -> String {
    let traffic = seen.facts.traffic;
    let body = html! {
        (state(seen, trend).show())
        @if let (Some(chunks), Some(begun)) = (seen.facts.chunks, &seen.notes.begun) { (receiving(chunks, begun, trend)) }
        div.charts {
            (Chart { id: "loss", title: "Loss", history: &trend.loss, least: 1.0, show: of_hundred }.draw())
            (Chart { id: "data", title: "Data verified", history: &trend.data, least: 1000.0, show: bits }.draw())
            (Chart { id: "packets", title: "Packets", history: &trend.packets, least: 10.0, show: per_second }.draw())
        }
        @if let Some(losses) = &traffic.layers { (layers(losses)) }
        h2 { "Last events" }
        (notices(&happened(seen)))
        h2 { "Releases" }
        (facts(&releases(seen)))
        h2 { "Trust" }
        (facts(&trust(seen)))
        h2 { "Traffic since the start" }
        (facts(&counts(seen)))
        @if !traffic.dropped.is_empty() { (dropped(seen)) }
    };
    status("Fleetcast receiver", seen.end.is_none(), started, &body)
}

/// How it is doing, by what matters most.
fn state(seen: &Seen<'_>, trend: &Trend) -> State {
    let (facts, notes) = (seen.facts, seen.notes);
    if let Some(end) = seen.end {
        return State::new(Tone::Quiet, "Ended", end);
    }
    let name = notes.begun.as_ref().map(|begun| begun.release.to_string()).unwrap_or_default();
    if let Some(trial) = facts.record.trial() {
        let text = format!("{} stays only if it is committed.", Release::from(&trial.release));
        return State::new(Tone::Busy, "On trial", text);
    }
    let is_unsure = matches!(facts.trusted.freshness, "stale" | "behind");
    match facts.chunks {
        Some(_) if notes.waiting.is_some() => {
            let why = words::waiting(notes.waiting.unwrap_or_default());
            State::new(Tone::Busy, "Complete", format!("{name} is all there and waits to be installed: {why}."))
        }
        Some(chunks) if chunks.have >= chunks.needed => {
            State::new(Tone::Busy, "Complete", format!("{name} is being read back and installed."))
        }
        Some(_) if trend.is_stalled(facts) => {
            State::new(Tone::Warn, "Stalled", format!("Nothing new of {name} comes; see the last events."))
        }
        Some(_) => State::new(Tone::Busy, "Receiving", name),
        None if is_unsure => {
            State::new(Tone::Warn, "Unsure", format!("The device is {}.", words::freshness(facts.trusted.freshness)))
        }
        None => match &facts.record.installed {
            Some(release) => State::new(
                Tone::Good,
                "Installed",
                format!("{} is installed, and no other release is being received.", Release::from(release)),
            ),
            None if trend.is_stalled(facts) => {
                State::new(Tone::Warn, "Stalled", "Nothing that verifies comes; see the last events.")
            }
            None => State::new(Tone::Quiet, "Waiting", "Nothing is installed yet, and no release has come."),
        },
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for show")]
fn receiving(chunks: Chunks, begun: &Begun, trend: &Trend) -> Markup {
    let Chunks { have, needed } = chunks;
    let part = have as f64 / needed.max(1) as f64;
    let left = trend.time_for(needed.saturating_sub(have)).map_or("unknown".into(), span);
    let there = HumanBytes((begun.octets as f64 * part) as u64);
    let rate = trend.data.last().map_or("–".into(), bits);
    let loss = trend.loss.last().map_or("–".into(), of_hundred);
    html! {
        (progress("Part of the release that is there", part))
        (figures(&[
            ("There", html! { (there) }, html! { "of " (HumanBytes(begun.octets)) }),
            ("Time left", html! { (left) }, html! { "if it comes on like this" }),
            ("Data verified", html! { (rate) }, html! { (HumanCount(have)) " of " (HumanCount(needed)) " chunks" }),
            ("Loss", html! { (loss) }, html! { "of what is sent" }),
        ]))
    }
}

fn layers(losses: &[f64]) -> Markup {
    html! {
        h2 { "Layers" }
        p { (losses.len()) " joined. Loss of each in the last seconds:" }
        table {
            thead { tr { th scope="col" { "Layer" } th scope="col" { "Loss" } } }
            tbody {
                @for (number, loss) in losses.iter().enumerate() {
                    tr {
                        th scope="row" { (number) @if number == 0 { " (base)" } }
                        td { (percent(*loss)) }
                    }
                }
            }
        }
    }
}

/// What is remembered and what was told since the start, the newest first.
fn happened(seen: &Seen<'_>) -> Vec<Notice> {
    let mut all: Vec<_> = seen.ledger.entries().map(remembered).chain(seen.notes.notices.iter().cloned()).collect();
    all.sort_by_key(|notice| std::cmp::Reverse(notice.time));
    all.truncate(SHOWN);
    all
}

fn remembered(Entry { time, event }: &Entry) -> Notice {
    let text = |key: &str| event[key].as_str();
    let word = text("event").unwrap_or_default();
    let tone = match word {
        "installed" | "committed" => Tone::Good,
        "alarm" | "given-up" => Tone::Bad,
        "refused" | "abandoned" => Tone::Warn,
        _ => Tone::Quiet,
    };
    let of_release = || {
        let release = event.get("release")?;
        Some(format!("{} (sequence {})", release["version"].as_str()?, release["sequence"]))
    };
    let subject = match (of_release(), event["sequence"].as_u64(), event["version"].as_u64()) {
        (Some(release), ..) => release,
        (None, Some(sequence), _) => format!("sequence {sequence}"),
        (None, None, Some(version)) => format!("version {version}"),
        _ => String::new(),
    };
    let why = text("reason").map(|reason| format!(": {reason}")).unwrap_or_default();
    let code = text("code").map(|code| format!(" ({code})")).unwrap_or_default();
    Notice { time: *time, tone, word: word.into(), text: format!("{subject}{why}{code}") }
}

fn releases(seen: &Seen<'_>) -> Rows {
    let record = seen.facts.record;
    let mut rows = Rows::new();
    if let Some(begun) = seen.notes.begun.as_ref().filter(|_| seen.facts.chunks.is_some()) {
        rows.push(("Being received", html! { (begun.release) ", since " (moment(begun.since)) }));
        rows.push(("Session (TSI)", html! { code { (begun.tsi) } }));
    }
    match &record.installed {
        Some(release) => {
            rows.push(("Installed", known(release)));
            rows.push(("Manifest", html! { code { (release.manifest_hex()) } }));
        }
        None => rows.push(("Installed", html! { "nothing yet" })),
    }
    rows.extend(seen.facts.last_install.map(|time| ("Last install", moment(time))));
    rows.extend(record.trial().map(|trial| ("On trial", known(&trial.release))));
    rows.extend(record.seen.map(|seen| ("Highest seen", html! { "sequence " (seen.sequence) })));
    rows.extend(
        record.failed.as_ref().map(|failed| ("Given up", html! { (known(&failed.release)) ": " (failed.reason) })),
    );
    rows
}

fn known(release: &ReleaseId) -> Markup {
    html! { (Release::from(release)) ", security version " (release.security_version) }
}

fn trust(seen: &Seen<'_>) -> Rows {
    let trusted = seen.facts.trusted;
    let mut rows = vec![match trusted.root.version {
        0 => ("Root", html! { "none: keys alone are trusted" }),
        version => ("Root", html! { "version " (version) }),
    }];
    let keys = &trusted.root.keys;
    for (role, ids) in [
        ("Release keys", &keys.author),
        ("Operator keys", &keys.operator),
        ("Beacon keys", &keys.beacon),
        ("Root keys", &keys.root),
    ] {
        if !ids.is_empty() {
            rows.push((role, html! { code { (ids.join(", ")) } }));
        }
    }
    rows.push(("Freshness", html! { (words::freshness(trusted.freshness)) }));
    if let Some(beacon) = &trusted.beacon {
        rows.push(("Beacon", html! { "of " (moment(beacon.issued)) ", good until " (moment(beacon.until)) }));
        let current = beacon.current.map_or("nothing for this device".into(), |current| format!("sequence {current}"));
        rows.push(("Current by it", html! { (current) }));
    }
    // Without beacons, and a time that the device was made at, it is not known.
    if trusted.freshness != "off" {
        rows.push(("It is at least", moment(trusted.clock)));
    }
    rows
}

fn counts(seen: &Seen<'_>) -> Rows {
    let (traffic, notes) = (seen.facts.traffic, seen.notes);
    let mut rows = Rows::new();
    if let Some((groups, interface)) = &notes.listening {
        rows.push(("Groups", html! { (groups) }));
        rows.push(("Interface", html! { (interface) }));
        rows.push(("Confined", html! { (notes.confined) }));
    }
    let mut count = |name, value: u64, about: &str| rows.push((name, html! { (HumanCount(value)) (about) }));
    count("Packets", traffic.datagrams, "");
    count("Verified", traffic.verified_chunks + traffic.verified_pages, " chunks and pages");
    count("Repeats", traffic.duplicates, " that were there already");
    if traffic.staged > 0 {
        count("Waited", traffic.staged, " for what verifies them");
    }
    if traffic.kernel_drops > 0 {
        let hint = " lost in this device, mostly for a full receive buffer: raise net.core.rmem_max and receive-buffer, or lower the rate";
        count("Lost by the kernel", traffic.kernel_drops, hint);
        count("Receive buffer", notes.receive_buffer as u64, " octets");
    }
    if traffic.overlong > 0 {
        count("Too long", traffic.overlong, ": raise max-packet");
    }
    rows.push(("Loss", html! { (percent(traffic.loss)) " of this release so far" }));
    if let Some(nack) = &traffic.nack {
        rows.push((
            "Requests",
            html! {
                (HumanCount(nack.sent)) " sent, " (HumanCount(nack.suppressed)) " left to others, "
                (HumanCount(nack.unanswered)) " that brought nothing"
            },
        ));
    }
    if let Some(repair) = &traffic.repair {
        rows.push((
            "Web servers",
            html! {
                (HumanCount(repair.requests)) " requests, " (HumanCount(repair.failed)) " failed; "
                (HumanCount(repair.chunks)) " chunks and " (HumanCount(repair.pages)) " pages in " (HumanBytes(repair.octets))
            },
        ));
    }
    rows
}

fn dropped(seen: &Seen<'_>) -> Markup {
    html! {
        h3 { "Packets dropped" }
        table {
            thead { tr { th scope="col" { "Cause" } th scope="col" { "What they were" } th.number scope="col" { "Packets" } } }
            tbody {
                @for (code, count) in &seen.facts.traffic.dropped {
                    tr {
                        th scope="row" { code { (code) } }
                        td { (words::dropped(code)) }
                        td.number { (HumanCount(*count)) }
                    }
                }
            }
        }
    }
}

fn of_hundred(value: f64) -> String {
    percent(value / 100.0)
}

fn bits(value: f64) -> String {
    Rate::of(value).to_string()
}

fn per_second(value: f64) -> String {
    format!("{value:.0}/s")
}
