//! What the operator of a relay is told: lines for people, JSON lines for programs.
//!
//! As JSON each event is one line on stdout with `"v": 1` and `"event"`; fields are only ever added within a version.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;

use fleetcast_cli::journal::{self, Priority};
use fleetcast_cli::{Lines, Service, tell};
use indicatif::{HumanBytes, HumanCount, ProgressBar};
use serde::Serialize;
use strum::VariantNames;

use crate::report::{Rate, bar, json_line};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, VariantNames)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// All sockets are open.
    Ready(Ready),
    /// Packets of this release go on from now on.
    Release {
        /// Version of the release.
        version: String,
        /// Sequence number of the release.
        sequence: u64,
        /// Its TSI, by which packet tools know the session.
        tsi: String,
    },
    /// A root has followed; from now on its keys count.
    Root {
        /// Its version.
        version: u16,
    },
    /// What it does; every second.
    Progress(Progress),
    /// Nothing has verified for a while.
    Quiet {
        /// For so many seconds.
        seconds: u64,
        /// What is known about why.
        reason: String,
    },
    /// Something is wrong that does not keep the relay from going on.
    Warning {
        /// The word for it.
        code: &'static str,
        /// What.
        reason: String,
    },
    /// The upstream interface was made anew, and its groups are joined again.
    Rejoined {
        /// Its name.
        interface: String,
    },
    /// The downstream interface was found again after it was gone or had another address.
    Reopened {
        /// Its name.
        interface: String,
    },
    /// The end.
    Stopped {
        /// `signal`, or the word for an error.
        reason: &'static str,
        /// What was done in all.
        #[serde(flatten)]
        totals: Totals,
    },
}

impl Event {
    /// How much it matters to people; none for mere progress, which they are not told in lines.
    #[must_use]
    pub const fn priority(&self) -> Option<Priority> {
        match self {
            Self::Progress(_) => None,
            Self::Quiet { .. } | Self::Warning { .. } => Some(Priority::Warning),
            Self::Ready(_) | Self::Release { .. } | Self::Root { .. } | Self::Stopped { .. } => Some(Priority::Notice),
            Self::Rejoined { .. } | Self::Reopened { .. } => Some(Priority::Info),
        }
    }
}

/// From where to where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ready {
    /// What is heard: groups with their interface, or an address with the only host it hears.
    pub upstream: Vec<String>,
    /// Where it goes: a group with its interface, and hosts.
    pub downstream: Vec<String>,
    /// Most bits of UDP payload a second, to each.
    pub rate: u64,
    /// Version of the root it begins with; 0 with keys alone.
    pub root: u16,
}

/// What was done so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Datagrams that came.
    pub received: u64,
    /// Packets that verified.
    pub verified: u64,
    /// Roots among them.
    pub roots: u64,
    /// Beacons among them.
    pub beacons: u64,
    /// Packets sent, to all destinations together.
    pub packets: u64,
    /// Their octets of UDP payload.
    pub octets: u64,
    /// Packets that the system did not take.
    pub failed: u64,
    /// Datagrams dropped, by cause.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Datagrams that the kernel dropped before they came: for full buffers, or from other hosts than `--from`.
    pub kernel_drops: u64,
    /// Seconds since the start.
    pub seconds: f64,
}

/// What it does.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Bits of UDP payload per second since the last event, to all destinations together.
    pub rate: u64,
    /// Sequence numbers of the releases that go on.
    pub releases: Vec<u64>,
    /// Version of the newest root; 0 with keys alone.
    pub root: u16,
    /// What was done so far.
    #[serde(flatten)]
    pub totals: Totals,
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
    /// A line on the terminal that changes, other lines above it.
    Terminal(ProgressBar),
    /// Lines on stderr or in the journal, none for mere progress.
    Lines,
}

impl Reporter {
    /// JSON if asked for, a line that changes if stderr is a terminal, else lines.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let form = if json {
            Form::Json(Lines::new())
        } else if std::io::stderr().is_terminal() && !journal::is_open() {
            Form::Terminal(bar(None, "{msg}"))
        } else {
            Form::Lines
        };
        Self { form, service: Service::of_environment() }
    }

    /// Tells an event. As JSON, the ones like which another will follow are dropped while a reader of stdout does not read.
    pub fn tell(&self, event: &Event) {
        match event {
            Event::Ready(_) => self.service.ready(),
            Event::Progress(progress) => self.service.turns(progress),
            Event::Stopped { .. } => self.service.stopping(),
            _ => {}
        }
        match (&self.form, event) {
            (Form::Json(lines), _) => {
                let line = json_line(event);
                if let Event::Progress(_) = event { lines.offer(line) } else { lines.send(line) }
            }
            (Form::Terminal(bar), Event::Progress(progress)) => bar.set_message(progress.to_string()),
            (Form::Terminal(bar), Event::Stopped { .. }) => {
                bar.finish_and_clear();
                tell_line(event);
            }
            (Form::Terminal(bar), _) => bar.suspend(|| tell_line(event)),
            (Form::Lines, _) => tell_line(event),
        }
    }
}

/// Tells an event as a line for people, if it is one.
fn tell_line(event: &Event) {
    if let Some(priority) = event.priority() {
        tell(priority, || json_line(event), event);
    }
}

/// What people are told of it.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Progress(progress) => progress.fmt(f),
            Self::Ready(Ready { upstream, downstream, rate, root }) => {
                write!(f, "from {} to {} at {}", upstream.join(", "), downstream.join(", "), Rate(*rate))?;
                if *root > 0 { write!(f, ", from root {root} on") } else { Ok(()) }
            }
            Self::Root { version } => write!(f, "root {version} has followed: its keys count now"),
            Self::Release { version, sequence, tsi } => {
                write!(f, "passing on release {version} (sequence {sequence}), session {tsi}")
            }
            Self::Quiet { seconds, reason } => write!(f, "nothing has verified for {seconds} s: {reason}"),
            Self::Warning { reason, .. } => f.write_str(reason),
            Self::Rejoined { interface } => write!(f, "found interface {interface} again and joined its groups"),
            Self::Reopened { interface } => write!(f, "found interface {interface} again, sending through it"),
            Self::Stopped { reason, totals } => write!(f, "stopped ({reason}), {totals}"),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", Rate(self.rate), self.totals)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [received, verified, packets] = [self.received, self.verified, self.packets].map(HumanCount);
        write!(f, "{received} came, {verified} verified, {packets} sent ({})", HumanBytes(self.octets))?;
        let dropped = self.dropped.values().sum::<u64>() + self.failed + self.kernel_drops;
        if dropped > 0 { write!(f, ", {} dropped", HumanCount(dropped)) } else { Ok(()) }
    }
}
