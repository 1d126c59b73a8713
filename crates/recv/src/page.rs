//! A page about the receiver for a browser: one file, written anew every other second, of the facts that metrics are made of and of the
//! events that are told.

mod draw;
mod notes;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use fleetcast_cli::html::{self, History};
use fleetcast_cli::{Renewed, clock};

use crate::ledger::Ledger;
use crate::metrics::Facts;
pub(crate) use notes::Notes;

/// How much a rate that is measured counts for the one that is shown.
const WEIGHT: f64 = 0.2;

/// Where the page goes, and what it has of the past.
#[derive(Debug)]
pub(crate) struct Page {
    file: Renewed,
    /// Unix time in seconds.
    started: u64,
    trend: Trend,
}

/// What changes from one page to the next.
#[derive(Debug, Default)]
struct Trend {
    /// The counts of the last page.
    last: Option<Counts>,
    /// Percent of the packets that did not come.
    loss: History,
    /// Bits of chunks that verified, a second.
    data: History,
    /// Datagrams a second.
    packets: History,
    /// Chunks a second, over some time: for the time that is left.
    chunks: Option<f64>,
    /// How often it has been told that nothing verifies, and what had verified by then.
    stall: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Time since the start of the system.
    at: Duration,
    datagrams: u64,
    chunks: u64,
    /// Packets sent, and those of them that came.
    sent_and_came: (u64, u64),
}

/// All that is known of a receiver at a moment.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) facts: &'a Facts<'a>,
    /// Packets sent for the release being received, as far as that is known, and those of them that came.
    pub(crate) sent_and_came: (u64, u64),
    pub(crate) notes: &'a Notes,
    pub(crate) ledger: &'a Ledger,
    /// Why the program ends, if it does.
    pub(crate) end: Option<&'a str>,
}

impl Page {
    /// A page in this file. What confines this thread confines the one that writes.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { file: html::page(path), started: clock::unix(), trend: Trend::default() }
    }

    /// Whether it is time to write it.
    pub(crate) fn is_due(&self) -> bool {
        self.file.is_due()
    }

    /// Writes it.
    pub(crate) fn show(&mut self, seen: &Seen<'_>) {
        self.trend.note(clock::since_boot(), seen);
        self.file.renew(true, || draw::page(seen, &self.trend, self.started));
    }
}

impl Trend {
    #[expect(clippy::cast_precision_loss, reason = "for show")]
    fn note(&mut self, at: Duration, seen: &Seen<'_>) {
        let (traffic, chunks) = (seen.facts.traffic, seen.facts.chunks);
        let (datagrams, verified) = (traffic.datagrams, traffic.verified_chunks);
        let last = self.last.replace(Counts { at, datagrams, chunks: verified, sent_and_came: seen.sent_and_came });
        let stalls = seen.facts.events.get("stalled").copied().unwrap_or_default();
        if stalls != self.stall.0 {
            self.stall = (stalls, verified + traffic.verified_pages);
        }
        let Some(last) = last else { return };
        let seconds = at.saturating_sub(last.at).as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        self.packets.note(at, Some(rate(datagrams, last.datagrams)));
        let [(sent, came), (sent_before, came_before)] = [seen.sent_and_came, last.sent_and_came];
        // Another session counts from 0.
        let is_same = sent >= sent_before && came >= came_before;
        let (sent, came) = if is_same { (sent - sent_before, came - came_before) } else { (sent, came) };
        let missing = sent.saturating_sub(came) as f64;
        self.loss.note(at, (sent > 0).then(|| missing / sent as f64 * 100.0));
        let new = rate(verified, last.chunks);
        let octets = seen.notes.chunk().filter(|_| chunks.is_some());
        self.data.note(at, octets.map(|octets| new * octets * 8.0));
        self.chunks = chunks.map(|_| self.chunks.map_or(new, |old| old + (new - old) * WEIGHT));
    }

    /// Whether nothing has verified since it was told that nothing does.
    fn is_stalled(&self, facts: &Facts<'_>) -> bool {
        self.stall.0 > 0 && self.stall.1 == facts.traffic.verified_chunks + facts.traffic.verified_pages
    }

    /// Seconds until so many chunks are there, if they come on as they came.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for show"
    )]
    fn time_for(&self, chunks: u64) -> Option<u64> {
        self.chunks.filter(|rate| *rate > 1e-3).map(|rate| (chunks as f64 / rate).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::events::{Chunks, Event, Release, Traffic};
    use crate::trusted::{Roles, RootFacts, Trusted};
    use fleetcast_install::Record;

    /// Pages of a reception, each two seconds after the one before, with so many chunks, packets sent and stalls told.
    fn pages(moments: &[(u64, u64, u64)], end: Option<&str>) -> (Trend, String) {
        let (mut trend, mut notes) = (Trend::default(), Notes::default());
        let release = Release { sequence: 7, version: "<b>1.7".into() };
        notes.note(&Event::Begin { release, tsi: "0badcafe".into(), needed: 1000, octets: 1_000_000 });
        notes.note(&Event::Warning { code: "receive-buffer", reason: "it is <small>".into() });
        let root = RootFacts { version: 0, keys: Roles::default() };
        let trusted = Trusted { root, beacon: None, freshness: "off", clock: 1 };
        let mut html = String::new();
        for (at, &(have, sent, stalls)) in (0..).step_by(2).zip(moments) {
            let traffic = Traffic {
                datagrams: have,
                verified_chunks: have,
                dropped: BTreeMap::from([("chunk-digest", 9)]),
                layers: Some(vec![0.25]),
                ..Traffic::default()
            };
            let facts = Facts {
                is_running: end.is_none(),
                record: &Record::default(),
                last_install: None,
                trusted: &trusted,
                chunks: Some(Chunks { have, needed: 1000 }),
                traffic: &traffic,
                events: &BTreeMap::from([("stalled", stalls)]),
            };
            let (sent_and_came, ledger) = ((sent, have), &Ledger::default());
            let seen = Seen { facts: &facts, sent_and_came, notes: &notes, ledger, end };
            trend.note(Duration::from_secs(at), &seen);
            html = draw::page(&seen, &trend, 1);
        }
        (trend, html)
    }

    #[test]
    fn loss_rate_and_time_left_are_those_of_the_time_between_two_pages() {
        let (trend, html) = pages(&[(100, 100, 0), (300, 350, 0)], None);
        assert_eq!((trend.loss.last(), trend.packets.last()), (Some(20.0), Some(100.0)));
        assert_eq!((trend.data.last(), trend.time_for(700)), (Some(800_000.0), Some(7)));
        for text in ["Receiving", "30.0 %", "0:07", "800.00 kbit/s", "25.0 %", "data that are not those of the signed"]
        {
            assert!(html.contains(text), "{text}: {html}");
        }
        // Another session counts anew.
        let (trend, _) = pages(&[(100, 100, 0), (100, 20_000, 0), (110, 10, 0)], None);
        assert_eq!(trend.loss.last(), Some(0.0));
    }

    #[test]
    fn a_stall_is_told_until_something_verifies_again_and_so_is_the_end() {
        let stalled = |moments: &[_]| pages(moments, None).1.contains("Nothing new of");
        assert!(stalled(&[(1, 1, 0), (1, 1, 1), (1, 1, 1)]));
        assert!(!stalled(&[(1, 1, 0), (1, 1, 1), (2, 2, 1)]));
        assert!(stalled(&[(1, 1, 1), (2, 2, 1), (2, 2, 2)]));
        let (_, html) = pages(&[(1, 1, 0)], Some("the disk <died>"));
        assert!(html.contains("the disk &lt;died&gt;") && !html.contains("http-equiv=\"refresh\""), "{html}");
    }

    #[test]
    fn what_strangers_wrote_stays_text() {
        let (_, html) = pages(&[(1, 1, 0)], None);
        assert!(html.contains("&lt;b&gt;1.7 (sequence 7)") && html.contains("it is &lt;small&gt;"), "{html}");
        assert!(!html.contains("<b>") && !html.contains("<small>"));
    }
}
