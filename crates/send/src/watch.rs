//! What others see of a run: a file of metrics, a page for browsers, and a file that `status` shows. All are made of the events that
//! are told.

pub mod metrics;
mod page;
pub mod status;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleetcast_cli::html::{self, History};
use fleetcast_cli::{CommandError, ErrorKind, Renewed, clock, quantity};
use serde::Serialize;

use crate::relay::report as relay;
use crate::report::{Event, Progress, Ready};

/// How long a loop may not turn; it tells every second how far it is.
const TURN: Duration = Duration::from_secs(10);

/// Least time between two writes for `status` that are not at once: each of several streams tells every second how far it is.
const PAUSE: Duration = Duration::from_millis(900);

/// Warnings that `status` shows.
const KEPT: usize = 8;

/// Where others look.
#[derive(clap::Args, Clone, Debug)]
pub struct WatchArgs {
    /// Write metrics for Prometheus to this file, whose name must end in .prom: in the folder of the node exporter's textfile
    /// collector. Nothing is listened to for it
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,

    /// Time between two writes of the metrics, 1s or more
    #[arg(long, value_name = "TIME", default_value = "15s", requires = "metrics", value_parser = quantity::duration)]
    metrics_interval: Duration,

    /// Write a page for browsers to this file, whose name must end in .html, every other second
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,

    /// Folder in memory to tell in how it goes, for `fleetcast-send status`; one for each program that runs
    #[arg(long, value_name = "FOLDER")]
    runtime: Option<PathBuf>,
}

/// Keeps what was told, and writes it where others look.
#[derive(Debug)]
pub struct Watch<S> {
    state: S,
    /// Unix time in seconds.
    started: u64,
    metrics: Option<Renewed>,
    page: Option<Renewed>,
    status: Option<Renewed>,
}

/// What is watched: events come in, and files come out.
pub trait Watched {
    /// What it is told.
    type Event<'a>;

    /// Takes an event; tells when it is worth writing.
    fn note(&mut self, event: Self::Event<'_>) -> Write;

    /// The text of the metrics, of a program that has `started` then.
    fn metrics(&self, started: u64) -> String;

    /// The page for browsers.
    fn page(&self, started: u64) -> String;

    /// The document for `status`.
    fn status(&self, started: u64) -> String;
}

/// When an event is worth writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// With the next one that is.
    Later,
    /// If it is time.
    Due,
    /// At once.
    Now,
}

/// The streams of one program, by number.
#[derive(Clone, Debug)]
pub struct Streams(Vec<Stream>);

/// A stream of packets, as it was told.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stream {
    /// Its name; empty if it is the only one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Group and interface.
    #[serde(skip)]
    place: [String; 2],
    /// When its loop turned last.
    #[serde(skip)]
    turned: Option<Instant>,
    /// What is sent, and how. Roots, beacon and interface are the newest.
    pub ready: Option<Ready>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// Why it has ended.
    pub stopped: Option<&'static str>,
    /// Looks at the store in a row that failed, if it follows a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_looks: Option<u32>,
    /// The newest warnings, the newest first.
    pub warnings: Warnings,
    #[serde(skip)]
    store: Store,
    /// Bits a second.
    #[serde(skip)]
    rate: History,
}

/// What is known of the store that a stream follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Store {
    /// Nothing, or that there is nothing new.
    #[default]
    Quiet,
    /// It gives this release, of so many octets.
    Fetches { release: String, octets: u64 },
    /// What it should give cannot be had, and the word for why.
    Fails(&'static str),
}

/// A relay, as it was told.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Relayed {
    /// From where to where.
    pub ready: Option<relay::Ready>,
    /// What it does.
    pub progress: Option<relay::Progress>,
    /// Why it has ended.
    pub stopped: Option<&'static str>,
    /// The newest warnings, the newest first.
    pub warnings: Warnings,
    /// Bits a second.
    #[serde(skip)]
    rate: History,
}

/// Warnings, of which the newest are shown and all counted.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Warnings {
    newest: VecDeque<Warning>,
    #[serde(skip)]
    counts: BTreeMap<&'static str, u64>,
}

/// A warning, and when it was told.
#[derive(Clone, Debug, Serialize)]
struct Warning {
    /// Unix time in seconds.
    time: u64,
    code: &'static str,
    reason: String,
}

impl Warnings {
    fn note(&mut self, code: &'static str, reason: &str) {
        *self.counts.entry(code).or_default() += 1;
        self.newest.truncate(KEPT - 1);
        self.newest.push_front(Warning { time: clock::unix(), code, reason: reason.to_owned() });
    }
}

impl<S: Watched> Watch<S> {
    /// Begins to write where the arguments say.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if a file or folder makes no sense.
    pub fn new(args: &WatchArgs, state: S) -> Result<Self, CommandError> {
        let usage = |text: String| Err(CommandError::new(ErrorKind::Usage, text));
        let page = args.page.as_deref();
        if let Some(path) = page.filter(|path| path.extension().is_none_or(|end| end != "html")) {
            return usage(format!(
                "--page {}: browsers show files by their ending, which must be .html",
                path.display()
            ));
        }
        if let Some(path) = args.metrics.as_ref().filter(|path| path.extension().is_none_or(|end| end != "prom")) {
            return usage(format!(
                "--metrics {}: the node exporter reads files that end in .prom only",
                path.display()
            ));
        }
        if args.metrics_interval < Duration::from_secs(1) {
            return usage("--metrics-interval: shorter than 1s".into());
        }
        if let Some(folder) = args.runtime.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(CommandError::failed(format!("--runtime {}: there is no such folder", folder.display())));
        }
        Ok(Self {
            state,
            started: clock::unix(),
            metrics: args.metrics.clone().map(|path| Renewed::new(path, args.metrics_interval)),
            page: page.map(|path| html::page(path.into())),
            status: args.runtime.as_ref().map(|folder| Renewed::new(folder.join(status::FILE), PAUSE)),
        })
    }

    /// What was told so far.
    pub const fn state(&self) -> &S {
        &self.state
    }

    /// The same, for what no event tells.
    pub const fn state_mut(&mut self) -> &mut S {
        &mut self.state
    }

    /// Takes an event, and writes what is due.
    pub fn note(&mut self, event: S::Event<'_>) {
        let write = self.state.note(event);
        if write != Write::Later {
            self.write(write == Write::Now);
        }
    }

    /// Writes what is due though nothing happens: so that others see that it runs.
    pub fn beat(&mut self) {
        self.write(false);
    }

    fn write(&mut self, at_once: bool) {
        let Self { state, started, metrics, page, status } = self;
        if let Some(status) = status {
            status.renew(at_once, || state.status(*started));
        }
        if let Some(metrics) = metrics {
            metrics.renew(at_once, || state.metrics(*started));
        }
        if let Some(page) = page {
            page.renew(at_once, || state.page(*started));
        }
    }
}

impl Streams {
    /// Streams of these names, each with group and interface: known though nothing may be sent for long.
    pub fn of(streams: impl IntoIterator<Item = (String, [String; 2])>) -> Self {
        let stream = |(name, place)| Stream { name, place, ..Stream::default() };
        Self(streams.into_iter().map(stream).collect())
    }

    /// Notes how many looks of a stream at its store have failed in a row, and the word for why the last did, if it did.
    pub fn looked(&mut self, number: usize, failed: u32, why: Option<&'static str>) {
        if let Some(stream) = self.0.get_mut(number) {
            stream.failed_looks = Some(failed);
            stream.store = why.map_or(Store::Quiet, Store::Fails);
        }
    }

    /// Whether the loop of each stream that sends has turned within the last ten seconds.
    #[must_use]
    pub fn all_turn(&self) -> bool {
        self.0.iter().all(|stream| stream.stopped.is_some() || stream.turns())
    }
}

/// `2 streams, 1 of them without a release`
impl fmt::Display for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.len(), if self.0.len() == 1 { "stream" } else { "streams" })?;
        match self.0.iter().filter(|stream| stream.ready.is_none()).count() {
            0 => Ok(()),
            waiting => write!(f, ", {waiting} of them without a release"),
        }
    }
}

impl Watched for Streams {
    type Event<'a> = (usize, &'a Event);

    fn note(&mut self, (number, event): (usize, &Event)) -> Write {
        self.0.get_mut(number).map_or(Write::Later, |stream| stream.note(event))
    }

    fn metrics(&self, started: u64) -> String {
        metrics::run(&self.0, started)
    }

    fn page(&self, started: u64) -> String {
        page::run(&self.0, started)
    }

    fn status(&self, started: u64) -> String {
        status::document("run", started, &self.0)
    }
}

impl Stream {
    /// Whether its loop has turned within the last ten seconds, if it has begun.
    fn turns(&self) -> bool {
        self.turned.is_none_or(|turned| turned.elapsed() < TURN)
    }

    fn note(&mut self, event: &Event) -> Write {
        match event {
            Event::Ready(ready) => {
                self.ready = Some(ready.clone());
                self.turned = Some(Instant::now());
                return Write::Now;
            }
            Event::Progress(progress) => {
                self.progress = Some(progress.clone());
                self.turned = Some(Instant::now());
                note_rate(&mut self.rate, progress.rate);
                return Write::Due;
            }
            Event::Stopped { reason, cycles, sent, layers, beside } => {
                let part = self.progress.as_ref().map_or(0.0, |progress| progress.part);
                let (sent, layers, beside) = (*sent, layers.clone(), beside.clone());
                self.progress = Some(Progress { cycles: *cycles, part, rate: 0, sent, layers, beside });
                self.stopped = Some(reason);
                return Write::Now;
            }
            Event::Warning { code, reason } => {
                self.warnings.note(code, reason);
                return Write::Now;
            }
            Event::Beacon(beacon) => {
                if let Some(ready) = &mut self.ready {
                    ready.beacon = Some(*beacon);
                }
            }
            Event::Roots { roots } => {
                if let Some(ready) = &mut self.ready {
                    ready.roots.clone_from(roots);
                }
            }
            Event::Reopened { source, .. } => {
                if let Some(ready) = &mut self.ready {
                    ready.source.clone_from(source);
                }
            }
            Event::Fetching { version, sequence, octets, .. } => {
                let release = format!("{version} (sequence {sequence})");
                self.store = Store::Fetches { release, octets: *octets };
                return Write::Due;
            }
            Event::Reached { .. } => return Write::Due,
            Event::Switched { version, sequence, tsi, cycle_packets, cycle_octets } => {
                if let Some(ready) = &mut self.ready {
                    let (version, tsi) = (version.clone(), tsi.clone());
                    let (cycle_packets, cycle_octets) = (*cycle_packets, *cycle_octets);
                    *ready = Ready { version, sequence: *sequence, tsi, cycle_packets, cycle_octets, ..ready.clone() };
                }
                return Write::Now;
            }
            Event::Cycle { .. } => {}
        }
        Write::Later
    }
}

#[expect(clippy::cast_precision_loss, reason = "for show")]
fn note_rate(history: &mut History, rate: u64) {
    history.note(clock::since_boot(), Some(rate as f64));
}

impl Watched for Relayed {
    type Event<'a> = &'a relay::Event;

    fn note(&mut self, event: &relay::Event) -> Write {
        match event {
            relay::Event::Ready(ready) => {
                self.ready = Some(ready.clone());
                return Write::Now;
            }
            relay::Event::Progress(progress) => {
                self.progress = Some(progress.clone());
                note_rate(&mut self.rate, progress.rate);
                return Write::Due;
            }
            relay::Event::Stopped { reason, totals } => {
                let last = self.progress.take().unwrap_or_default();
                self.progress = Some(relay::Progress { rate: 0, totals: totals.clone(), ..last });
                self.stopped = Some(reason);
                return Write::Now;
            }
            relay::Event::Warning { code, reason } => self.warnings.note(code, reason),
            relay::Event::Quiet { reason, .. } => self.warnings.note("quiet", reason),
            relay::Event::Release { .. }
            | relay::Event::Root { .. }
            | relay::Event::Rejoined { .. }
            | relay::Event::Reopened { .. } => {}
        }
        Write::Later
    }

    fn metrics(&self, started: u64) -> String {
        metrics::relay(self, started)
    }

    fn page(&self, started: u64) -> String {
        page::relay(self, started)
    }

    fn status(&self, started: u64) -> String {
        status::document("relay", started, std::slice::from_ref(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{BeaconFacts, Beside, Layer, LayerSent, Sent};
    use crate::{nack, statements};
    use fleetcast_cli::metrics::Family;
    use serde_json::Value;

    fn assert_all(families: &[&Family], text: &str) {
        for family in families {
            assert!(text.contains(&format!("# TYPE {} {}\n", family.name, family.kind.word())), "{}", family.name);
        }
        assert_eq!(text.matches("# HELP").count(), families.len());
    }

    fn stream() -> Stream {
        let layer = |group: &str| Layer { group: group.into(), pace: "1 Mbit/s".into() };
        let ready = Ready {
            version: "1.4.0".into(),
            sequence: 7,
            tsi: "0badcafe".into(),
            verified: true,
            group: "239.1.1.1:4000".into(),
            layers: vec![layer("239.1.1.1:4000"), layer("239.1.1.2:4000")],
            interface: "eth1".into(),
            source: "192.0.2.1:5000".into(),
            pace: "2 Mbit/s".into(),
            cycle_packets: 100,
            cycle_octets: 100_000,
            max_packet: 1232,
            roots: vec![1, 2],
            beacon: Some(BeaconFacts { issued: 5, until: 6, root: 2 }),
            nack: None,
        };
        let beside = Beside {
            statements: Some(statements::Counts { roots: 3, beacons: 4 }),
            nack: Some(nack::Counts { dropped: BTreeMap::from([("rate", 2)]), ..nack::Counts::default() }),
        };
        let progress = Progress {
            cycles: 1,
            part: 0.5,
            rate: 2_000_000,
            sent: Sent { packets: 150, octets: 150_000, failed: 1, seconds: 2.0 },
            layers: vec![LayerSent { packets: 100, octets: 100_000 }, LayerSent { packets: 50, octets: 50_000 }],
            beside,
        };
        let place = [ready.group.clone(), ready.interface.clone()];
        let mut stream = Stream { place, failed_looks: Some(2), ..Stream::default() };
        assert_eq!(stream.note(&Event::Ready(ready)), Write::Now);
        assert_eq!(stream.note(&Event::Warning { code: "send-transient", reason: "no carrier".into() }), Write::Now);
        assert_eq!(stream.note(&Event::Progress(progress)), Write::Due);
        stream
    }

    #[test]
    fn all_families_of_run_are_written_and_several_streams_fit_on_a_page() {
        let (mut stream, mut other) = (stream(), stream());
        other.name = "beta".into();
        let text = metrics::run(&[stream.clone(), other], 1);
        assert_all(metrics::RUN, &text);
        for line in [
            "fleetcast_send_packets_total{group=\"239.1.1.1:4000\",interface=\"eth1\"} 150",
            "fleetcast_send_packets_total{stream=\"beta\",group=\"239.1.1.1:4000\",interface=\"eth1\"} 150",
            "fleetcast_send_layer_packets_total{group=\"239.1.1.1:4000\",interface=\"eth1\",layer=\"1\"} 50",
            "fleetcast_send_warnings_total{group=\"239.1.1.1:4000\",interface=\"eth1\",code=\"send-transient\"} 1",
            "fleetcast_send_running{group=\"239.1.1.1:4000\",interface=\"eth1\"} 1",
            "fleetcast_send_failed_looks{group=\"239.1.1.1:4000\",interface=\"eth1\"} 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}");
        }
        let Progress { cycles, sent, layers, beside, .. } = stream.progress.clone().unwrap();
        stream.note(&Event::Stopped { reason: "signal", cycles, sent, layers, beside });
        let text = metrics::run(&[stream], 1);
        assert!(text.contains("fleetcast_send_running{group=\"239.1.1.1:4000\",interface=\"eth1\"} 0\n"), "{text}");
    }

    #[test]
    fn each_stream_is_told_by_its_name_and_another_release_takes_the_place_of_the_first() {
        let place = || ["239.1.1.1:4000", "eth1"].map(str::to_owned);
        let mut streams = Streams::of(["stable", "beta"].map(|name| (name.to_owned(), place())));
        let ready = stream().ready.unwrap();
        streams.note((1, &Event::Ready(ready)));
        assert_eq!(streams.to_string(), "2 streams, 1 of them without a release");
        let tsi = "0ddba115".to_owned();
        let switched = Event::Switched { version: "2".into(), sequence: 8, tsi, cycle_packets: 9, cycle_octets: 10 };
        assert_eq!(streams.note((1, &switched)), Write::Now);
        let status: Value = serde_json::from_str(&streams.status(1)).unwrap();
        assert_eq!((&status["streams"][0]["name"], &status["streams"][0]["ready"]), (&"stable".into(), &Value::Null));
        assert_eq!(
            (&status["streams"][1]["ready"]["sequence"], &status["streams"][1]["ready"]["tsi"]),
            (&8.into(), &"0ddba115".into())
        );
        assert_eq!(streams.note((2, &switched)), Write::Later, "there is no such stream");
        // Before there is anything to send, operators see that it waits, and for what.
        streams.looked(0, 3, Some("store-access"));
        let text = streams.metrics(1);
        for (name, value) in [("running", 0), ("failed_looks", 3), ("packets_total", 0)] {
            let labels = "{stream=\"stable\",group=\"239.1.1.1:4000\",interface=\"eth1\"}";
            assert!(text.contains(&format!("\nfleetcast_send_{name}{labels} {value}\n")), "{text}");
        }
        assert!(!text.contains("fleetcast_send_release_sequence{stream=\"stable\""), "{text}");
    }

    #[test]
    fn a_stream_whose_loop_does_not_turn_is_noticed_unless_it_has_ended_or_not_begun() {
        let mut streams = Streams(vec![stream(), Stream::default()]);
        assert!(streams.all_turn());
        streams.0[0].turned = Instant::now().checked_sub(TURN);
        assert!(!streams.all_turn());
        streams.0[0].stopped = Some("signal");
        assert!(streams.all_turn());
    }

    #[test]
    fn all_families_of_relay_are_written() {
        let mut relayed = Relayed::default();
        let places = |place: &str| vec![place.to_owned()];
        let (upstream, downstream) = (places("239.1.1.1:4000 on eth0"), places("198.51.100.2:4000"));
        relayed.note(&relay::Event::Ready(relay::Ready { upstream, downstream, rate: 1, root: 0 }));
        relayed.note(&relay::Event::Quiet { seconds: 10, reason: "no packet comes at all".into() });
        let totals = relay::Totals { dropped: BTreeMap::from([("digest", 2)]), ..relay::Totals::default() };
        relayed.note(&relay::Event::Progress(relay::Progress { rate: 5, releases: vec![6, 7], root: 3, totals }));
        let text = metrics::relay(&relayed, 1);
        assert_all(metrics::RELAY, &text);
        assert!(text.contains(
            "newest_release_sequence{upstream=\"239.1.1.1:4000 on eth0\",downstream=\"198.51.100.2:4000\"} 7\n"
        ));
        let status: Value = serde_json::from_str(&relayed.status(1)).unwrap();
        assert_eq!(status["streams"][0]["warnings"][0]["code"], "quiet");
        let html = relayed.page(1);
        for text in ["sequences 6, 7", "198.51.100.2:4000", "no packet comes at all", "digest"] {
            assert!(html.contains(text), "{text}: {html}");
        }
    }

    #[test]
    fn the_page_has_all_streams_and_tells_how_the_store_does() {
        let mut streams = Streams(vec![stream(), Stream { name: "<beta>".into(), ..Stream::default() }]);
        let html = streams.page(1);
        for text in ["1.4.0 (sequence 7)", "2.00 Mbit/s", "239.1.1.2:4000", "no carrier", "Stream &lt;beta&gt;"] {
            assert!(html.contains(text), "{text}: {html}");
        }
        assert!(html.contains("There is nothing to send yet.") && html.contains("http-equiv=\"refresh\""), "{html}");
        let told = |streams: &mut Streams, event: &Event| {
            streams.note((1, event));
            page::run(&streams.0[1..], 1)
        };
        let warning = |code| Event::Warning { code, reason: String::new() };
        let (channel, version) = ("stable".into(), "2".into());
        let fetching = Event::Fetching { channel, number: 1, version, sequence: 8, octets: 1 << 20 };
        let html = told(&mut streams, &fetching);
        assert!(html.contains("Fetching") && html.contains("2 (sequence 8): 1.00 MiB"), "{html}");
        assert!(!told(&mut streams, &warning("clock")).contains("cannot be had"));
        streams.looked(1, 1, Some("threshold"));
        assert!(told(&mut streams, &warning("threshold")).contains("cannot be had (threshold)"));
        streams.looked(1, 0, None);
        assert!(!told(&mut streams, &Event::Reached { failed: 2 }).contains("cannot be had"));
        let (sent, layers, beside) = (Sent::default(), vec![], Beside::default());
        let html = told(&mut streams, &Event::Stopped { reason: "signal", cycles: 1, sent, layers, beside });
        assert!(html.contains("(signal)") && !html.contains("http-equiv=\"refresh\""), "{html}");
    }

    #[test]
    fn streams_that_tell_in_turn_are_written_once_a_second_and_what_matters_at_once() {
        struct Counted(std::cell::Cell<u32>);
        impl Watched for Counted {
            type Event<'a> = Write;

            fn note(&mut self, event: Write) -> Write {
                event
            }

            fn metrics(&self, _: u64) -> String {
                String::new()
            }

            fn page(&self, _: u64) -> String {
                String::new()
            }

            fn status(&self, _: u64) -> String {
                self.0.set(self.0.get() + 1);
                String::new()
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let runtime = Some(folder.path().to_owned());
        let args = WatchArgs { metrics: None, metrics_interval: TURN, page: None, runtime };
        let mut watch = Watch::new(&args, Counted(0.into())).unwrap();
        (0..64).for_each(|_| watch.note(Write::Due));
        assert_eq!(watch.state().0.get(), 1);
        watch.note(Write::Now);
        watch.beat();
        assert_eq!(watch.state().0.get(), 2);
        std::thread::sleep(PAUSE);
        watch.beat();
        assert_eq!(watch.state().0.get(), 3);
    }

    #[test]
    fn few_warnings_are_kept_and_all_counted() {
        let mut warnings = Warnings::default();
        (0..100).for_each(|number| warnings.note("send-transient", &number.to_string()));
        assert_eq!((warnings.newest.len(), &*warnings.newest[0].reason), (KEPT, "99"));
        assert_eq!(warnings.counts["send-transient"], 100);
    }
}
