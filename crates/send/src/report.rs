//! What the operator is told: lines and a progress bar for people, JSON lines for programs.
//!
//! As JSON each event is one line on stdout with `"v": 1` and `"event"`; fields are only ever added within a version.

use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleetcast_cli::journal::{self, Priority};
pub use fleetcast_cli::quantity::Rate;
use fleetcast_cli::{Lines, Service};
use fleetcast_core::beacon::Beacon;
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use strum::VariantNames;

use crate::watch::{Streams, Watch};
use crate::{nack, statements};

/// Version of the JSON form.
const VERSION: u8 = 1;

/// Steps of the progress bar.
const STEPS: u64 = 1000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, VariantNames)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// All is checked and the socket is open; the first packet is next.
    Ready(Ready),
    /// How far it is; every second.
    Progress(Progress),
    /// A cycle is complete.
    Cycle {
        /// Cycles completed.
        cycles: u64,
        /// What was sent until then.
        #[serde(flatten)]
        sent: Sent,
    },
    /// A channel names a release that is fetched now.
    Fetching {
        /// The channel.
        channel: String,
        /// Number of its pointer.
        number: u64,
        /// Version of the release.
        version: String,
        /// Its sequence number.
        sequence: u64,
        /// Octets that the store has to give.
        octets: u64,
    },
    /// The store answers again.
    Reached {
        /// Attempts that failed before.
        failed: u32,
    },
    /// Another release is sent from now on.
    Switched {
        /// Its version.
        version: String,
        /// Its sequence number.
        sequence: u64,
        /// Its TSI, by which packet tools know the session.
        tsi: String,
        /// Packets of a cycle on the base layer, manifests left out.
        cycle_packets: u64,
        /// Octets of UDP payload of a cycle on the base layer, manifests left out.
        cycle_octets: u64,
    },
    /// Another beacon is sent from now on.
    Beacon(BeaconFacts),
    /// More roots are sent from now on.
    Roots {
        /// Versions of all of them, in order.
        roots: Vec<u16>,
    },
    /// Something is wrong that does not keep the carousel from going on; if the system cannot send for now, it waits where it is and
    /// tries again.
    Warning {
        /// The word for it.
        code: &'static str,
        /// What, and how often so far.
        reason: String,
    },
    /// The interface was found again after it was gone or had another address; the carousel goes on.
    Reopened {
        /// Its name.
        interface: String,
        /// Source address and port.
        source: String,
    },
    /// The end.
    Stopped {
        /// `cycles`, `signal`, or the word for an error.
        reason: &'static str,
        /// Cycles completed.
        cycles: u64,
        /// What was sent in all.
        #[serde(flatten)]
        sent: Sent,
        /// What of it went on each layer, from the base layer up; empty if there is only one.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        layers: Vec<LayerSent>,
        /// What of it went out of turn.
        #[serde(flatten)]
        beside: Beside,
    },
}

impl Event {
    /// How much it matters to people; none for mere progress, which they are not told in lines.
    #[must_use]
    pub const fn priority(&self) -> Option<Priority> {
        match self {
            Self::Progress(_) | Self::Cycle { .. } => None,
            Self::Warning { .. } => Some(Priority::Warning),
            Self::Ready(_) | Self::Switched { .. } | Self::Stopped { .. } => Some(Priority::Notice),
            Self::Fetching { .. }
            | Self::Reached { .. }
            | Self::Beacon(_)
            | Self::Roots { .. }
            | Self::Reopened { .. } => Some(Priority::Info),
        }
    }

    /// Whether another one like it will follow.
    const fn is_passing(&self) -> bool {
        matches!(self, Self::Progress(_) | Self::Cycle { .. })
    }
}

/// What is going to be sent, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ready {
    /// Version of the release.
    pub version: String,
    /// Sequence number of the release.
    pub sequence: u64,
    /// Its TSI, by which packet tools know the session.
    pub tsi: String,
    /// Whether signatures were verified here.
    pub verified: bool,
    /// Group and port; of several layers those of the base layer.
    pub group: String,
    /// The layers, from the base layer up, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// Name of the interface.
    pub interface: String,
    /// Source address and port.
    pub source: String,
    /// The pace, as it was asked for; of all layers together.
    pub pace: String,
    /// Packets of a cycle on the base layer, manifests left out.
    pub cycle_packets: u64,
    /// Octets of UDP payload of a cycle on the base layer, manifests left out.
    pub cycle_octets: u64,
    /// Octets of UDP payload of the longest packet.
    pub max_packet: usize,
    /// Versions of the roots that are sent, in order, if there are some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<u16>,
    /// The beacon, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beacon: Option<BeaconFacts>,
    /// Where requests are heard, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nack: Option<String>,
}

/// A beacon, in seconds of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BeaconFacts {
    /// When it was made.
    pub issued: u64,
    /// Until when it holds.
    pub until: u64,
    /// Version of the newest root, by what it says.
    pub root: u16,
}

impl From<&Beacon> for BeaconFacts {
    fn from(beacon: &Beacon) -> Self {
        Self { issued: beacon.issued, until: beacon.until, root: beacon.root }
    }
}

/// Says how long it is good for.
impl fmt::Display for BeaconFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let validity = Duration::from_secs(self.until.saturating_sub(self.issued));
        write!(f, "beacon issued at {}, good for {}", self.issued, HumanDuration(validity))
    }
}

/// A layer of several.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Group and port.
    pub group: String,
    /// Its part of the pace.
    pub pace: String,
}

/// What was handed to the system on one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayerSent {
    /// Packets.
    pub packets: u64,
    /// Octets of UDP payload.
    pub octets: u64,
}

/// What was handed to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// Octets of UDP payload.
    pub octets: u64,
    /// Attempts that failed and were repeated.
    pub failed: u64,
    /// Seconds since the start.
    pub seconds: f64,
}

/// What went between the packets of the carousel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Beside {
    /// Roots and beacons, if there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statements: Option<statements::Counts>,
    /// Requests and answers, if requests are heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nack: Option<nack::Counts>,
}

/// How far the carousel is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// Cycles completed.
    pub cycles: u64,
    /// Part of the current cycle that is sent, 0.0 to 1.0.
    pub part: f64,
    /// Bits of UDP payload per second, since the last event.
    pub rate: u64,
    /// What was sent so far.
    #[serde(flatten)]
    pub sent: Sent,
    /// What of it went on each layer, from the base layer up; empty if there is only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerSent>,
    /// What of it went out of turn.
    #[serde(flatten)]
    pub beside: Beside,
}

/// An event of any command as a line of JSON.
pub(crate) fn json_line(event: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, E> {
        v: u8,
        #[serde(flatten)]
        event: &'a E,
    }
    // An event holds nothing that JSON cannot.
    serde_json::to_string(&Line { v: VERSION, event }).unwrap_or_default()
}

/// Where events go, and the service manager that is told how it goes.
#[derive(Debug)]
pub struct Reporter {
    form: Form,
    service: Service,
}

#[derive(Debug)]
enum Form {
    /// JSON lines on stdout.
    Json(Lines),
    /// A bar on the terminal, lines around it.
    Terminal(ProgressBar),
    /// Lines on stderr or in the journal, none for mere progress.
    Lines,
}

impl Reporter {
    /// JSON if asked for, a bar if stderr is a terminal, else lines.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let form = if json {
            Form::Json(Lines::new())
        } else if std::io::stderr().is_terminal() && !journal::is_open() {
            Form::Terminal(bar(Some(STEPS), "{msg:>12} [{bar:30}] {percent:>3} %  {prefix}"))
        } else {
            Form::Lines
        };
        Self { form, service: Service::of_environment() }
    }

    /// Tells an event. As JSON, the ones like which another will follow are dropped while a reader of stdout does not read:
    /// it does not stop the carousel.
    pub fn tell(&self, event: &Event) {
        match event {
            Event::Ready(_) => self.service.ready(),
            Event::Progress(progress) => self.service.turns(progress),
            Event::Stopped { .. } => self.service.stopping(),
            _ => {}
        }
        match &self.form {
            Form::Json(lines) => {
                let line = json_line(event);
                if event.is_passing() { lines.offer(line) } else { lines.send(line) }
            }
            Form::Terminal(bar) => tell_beside(bar, event),
            Form::Lines => tell_line(event, "", || json_line(event)),
        }
    }
}

/// Where events of several streams go: JSON lines on stdout with the name of the stream, or lines on stderr or in the journal that
/// begin with it.
#[derive(Clone, Debug)]
pub struct StreamReporter {
    stream: String,
    json: Option<Arc<Lines>>,
    watch: Arc<Mutex<Watch<Streams>>>,
    number: usize,
}

impl StreamReporter {
    /// Tells events of the stream of this name, as JSON if there are lines for it, and has it watched as the stream of this number.
    #[must_use]
    pub const fn new(
        stream: String,
        json: Option<Arc<Lines>>,
        watch: Arc<Mutex<Watch<Streams>>>,
        number: usize,
    ) -> Self {
        Self { stream, json, watch, number }
    }

    /// Notes, for who watches, how many looks at the store have failed in a row, and the word for why the last did, if it did.
    pub fn looked(&self, failed: u32, why: Option<&'static str>) {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).state_mut().looked(self.number, failed, why);
    }

    /// Tells an event.
    pub fn tell(&self, event: &Event) {
        #[derive(Serialize)]
        struct Named<'a> {
            stream: &'a str,
            #[serde(flatten)]
            event: &'a Event,
        }
        // A stream whose thread has panicked is told of no more; the others are.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).note((self.number, event));
        let json = || json_line(&Named { stream: &self.stream, event });
        match &self.json {
            Some(lines) if event.is_passing() => lines.offer(json()),
            Some(lines) => lines.send(json()),
            None => tell_line(event, &format!("{}: ", self.stream), json),
        }
    }
}

/// A progress bar for octets checked, on the terminal if there is one.
#[must_use]
pub fn check_bar(json: bool) -> ProgressBar {
    if json {
        return ProgressBar::hidden();
    }
    octets_bar("checking")
}

/// A progress bar for octets, on the terminal if there is one.
pub(crate) fn octets_bar(what: &'static str) -> ProgressBar {
    bar(Some(0), "{msg:>12} [{bar:30}] {percent:>3} %  {binary_bytes_per_sec}, {eta} left").with_message(what)
}

/// A line on the terminal that changes, of so many steps, if they are known.
pub(crate) fn bar(steps: Option<u64>, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(steps, ProgressDrawTarget::stderr()).with_style(style)
}

fn tell_beside(bar: &ProgressBar, event: &Event) {
    match event {
        Event::Progress(progress) => {
            bar.set_message(format!("cycle {}", progress.cycles + 1));
            bar.set_prefix(format!("{}, {} packets", Rate(progress.rate), HumanCount(progress.sent.packets)));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a part of at most 1"
            )]
            bar.set_position((progress.part * STEPS as f64) as u64);
        }
        Event::Stopped { .. } => {
            bar.finish_and_clear();
            tell_line(event, "", || json_line(event));
        }
        _ => bar.suspend(|| tell_line(event, "", || json_line(event))),
    }
}

/// Tells an event as a line for people, if it is one, that begins with `who`; `json` makes its line of JSON.
fn tell_line(event: &Event, who: &str, json: impl FnOnce() -> String) {
    if let Some(priority) = event.priority() {
        fleetcast_cli::tell(priority, json, format_args!("{who}{event}"));
    }
}

/// What people are told of it.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Progress(progress) => progress.fmt(f),
            Self::Cycle { cycles, sent } => write!(f, "cycles complete: {cycles}, {sent}"),
            Self::Warning { reason, .. } => f.write_str(reason),
            Self::Ready(ready) => ready.fmt(f),
            Self::Fetching { channel, version, sequence, octets, .. } => {
                let octets = HumanBytes(*octets);
                write!(f, "channel {channel} names release {version} (sequence {sequence}): fetching {octets}")
            }
            Self::Reached { failed } => write!(f, "the store answers again, after {failed} attempts that failed"),
            Self::Switched { version, sequence, tsi, cycle_octets, .. } => {
                let octets = HumanBytes(*cycle_octets);
                write!(f, "sending release {version} (sequence {sequence}), session {tsi}, {octets} a cycle")
            }
            Self::Reopened { interface, source } => {
                write!(f, "found interface {interface} again, sending from {source}")
            }
            Self::Beacon(beacon) => write!(f, "sending another {beacon}"),
            Self::Roots { roots } => write!(f, "sending roots up to {}", roots.last().copied().unwrap_or_default()),
            Self::Stopped { reason, cycles, sent, beside, .. } => {
                write!(f, "stopped ({reason}), cycles complete: {cycles}, {sent}")?;
                let asked = beside.nack.as_ref();
                asked.map_or(Ok(()), |nack| write!(f, ", {} requests, {} answers", nack.requests, nack.answers))
            }
        }
    }
}

/// Two lines for people, and one each for layers if there are several, roots, and where requests are heard.
impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signatures = if self.verified { "signatures verified" } else { "signatures not checked here" };
        writeln!(f, "release {} (sequence {}), session {}, {signatures}", self.version, self.sequence, self.tsi)?;
        let (packets, octets) = (HumanCount(self.cycle_packets), HumanBytes(self.cycle_octets));
        write!(f, "sending to {} through {} at {}: ", self.group, self.interface, self.pace)?;
        write!(f, "{packets} packets, {octets} a cycle")?;
        for (number, Layer { group, pace }) in self.layers.iter().enumerate() {
            write!(f, "\nlayer {number}: {group} at {pace}")?;
        }
        match &self.roots[..] {
            [] => {}
            [root] => write!(f, "\nroot {root}")?,
            [first, .., last] => write!(f, "\nroots {first} to {last}")?,
        }
        self.beacon.map_or(Ok(()), |beacon| write!(f, ", {beacon}"))?;
        self.nack.as_ref().map_or(Ok(()), |at| write!(f, "\nanswering requests to {at}"))
    }
}

/// `cycle 3, 10.00 Mbit/s, ...`
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cycle {}, {}, {}", self.cycles + 1, Rate(self.rate), self.sent)
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::try_from_secs_f64(self.seconds).unwrap_or_default();
        write!(f, "{} packets, {} in {}", HumanCount(self.packets), HumanBytes(self.octets), HumanDuration(time))?;
        if self.failed > 0 { write!(f, ", {} attempts failed", HumanCount(self.failed)) } else { Ok(()) }
    }
}
