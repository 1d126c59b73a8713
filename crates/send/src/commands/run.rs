//! `run`: the carousel.

mod groups;

use std::future::Future;
use std::num::NonZeroU64;
use std::time::Duration;

use fleetcast_cli::{CommandError, ErrorKind, quantity};
use fleetcast_core::fec::layer_rate;
use fleetcast_core::nack::release_of;
use fleetcast_net::{Interface, OpenError, SendError, SendOptions, Sender};
use tokio::signal::unix::{SignalKind, signal};

use super::path::PathArgs;
use super::release::ReleaseArgs;
use crate::carousel::{Carousel, Phase};
use crate::clock::{Clock, Share};
use crate::driver::{self, Desk, End, Plan, RunError};
use crate::nack::Answers;
use crate::notices::Notices;
use crate::pacing::Pace;
use crate::report::{Event, Layer, Rate, Ready, Reporter};
use crate::source::{CellError, Source};
use crate::watch::{Stream, Watch, WatchArgs};
use groups::{GroupArgs, Groups};

/// Send a release, for ever or for some cycles
///
/// First checks all of the release and its images, as `check` does, and sends nothing if anything is wrong. Then sends
/// manifest, pages, chunks and repair chunks in an endless loop. Devices may join at any moment. Release and images stay open:
/// replacing one changes nothing until the program is started again, and one that is written to stops the carousel before
/// anything wrong is sent. Roots go along every ten seconds and the beacon every two, both more rarely where the rate is low.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  At 20 Mbit/s of UDP payload, until SIGINT or SIGTERM:
    fleetcast-send run app.fleetcast --image app.img --group 239.255.70.67:4701 \\
        --interface eth1 --rate 20M

  Two images over IPv6, ten times, beyond the first router:
    fleetcast-send run box.fleetcast --image boot=boot.img --image rootfs=rootfs.img \\
        --group '[ff15::80]:5000' --interface eth1 --hops 8 --cycles 10

  The first of two senders that halve the time devices need; the other has --sender 1/2:
    fleetcast-send run app.fleetcast --image app.img --group 239.255.70.67:4701 \\
        --interface eth2 --sender 0/2

  On four layers: 239.255.70.67 and .68 at 1 Mbit/s each, .69 at 2 and .70 at 4 Mbit/s:
    fleetcast-send run app.fleetcast --image app.img --group 239.255.70.67:4701 --layers 4 \\
        --interface eth1 --rate 8M

  With the roots that lead to the keys that sign today, and a beacon that a timer signs anew:
    fleetcast-send run app.fleetcast --image app.img --group 239.255.70.67:4701 --interface eth1 \\
        --root 1.root --root 2.root --root 3.root --beacon current.beacon

  Answer devices that ask for what they lack, with a tenth of the packets at most:
    fleetcast-send run app.fleetcast --image app.img --group 239.255.70.67:4701 \\
        --interface eth1 --nack 239.255.70.68:4702 --nack-share 10

Exit codes: 0 stopped or all cycles sent, 1 failed, or stopped before all --cycles were sent,
2 wrong usage, 3 release, images, roots or beacon refused, before or while they are sent.")]
pub(super) struct Args {
    #[command(flatten)]
    release: ReleaseArgs,

    #[command(flatten)]
    groups: GroupArgs,

    /// Interface to send through, by its name or one of its addresses
    #[arg(long, value_name = "NAME")]
    interface: String,

    /// Bits of UDP payload per second, such as 10M, or `unlimited` for benchmarks; that of all layers together, whatever
    /// their number
    #[arg(long, value_name = "RATE", default_value = "10M", value_parser = rate)]
    rate: Pace,

    /// Time from one packet to the next, such as 800us, instead of a rate. It is kept on average, and never cut by more
    /// than a ninth: a machine too slow for it sends less
    #[arg(long, value_name = "TIME", value_parser = delay, conflicts_with = "rate")]
    packet_delay: Option<Pace>,

    /// Where in the cycle to start: from 0 up to 1, or `random`. It is tied to no clock, only to when the program starts
    #[arg(long, value_name = "FRACTION", default_value = "random", value_parser = start)]
    start: Start,

    /// Be sender I of N, counted from 0, at most 16, that keep apart by the clock without knowing of each other: the place
    /// in the cycle is that of the system's clock, and a part of a cycle more. All need the same release, rate and layers,
    /// and clocks that agree to a small part of a cycle. If the clock is set, or this machine is too slow, the place is set
    /// anew, at most once a cycle; the rate never changes
    #[arg(long = "sender", value_name = "I/N", conflicts_with = "start")]
    share: Option<Share>,

    /// Send the whole release this often, then end; without it, for ever. Of several layers, so often on the base layer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    cycles: Option<u64>,

    #[command(flatten)]
    path: PathArgs,

    /// Answer requests of receivers for what they lack: join this feedback group on the interface, or listen at this address of
    /// this host. Without it, nothing is read from the network. Only with one layer
    #[arg(long, value_name = "ADDR:PORT")]
    nack: Option<std::net::SocketAddr>,

    /// Most packets of 100 that are answers, 1 to 50
    #[arg(long, value_name = "PERCENT", default_value_t = 25, requires = "nack",
        value_parser = clap::value_parser!(u8).range(1..=50))]
    nack_share: u8,

    #[command(flatten)]
    watch: WatchArgs,

    /// Print events as JSON lines on stdout; a reader that is too slow misses some
    #[arg(long)]
    json: bool,
}

/// Where in the cycle to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Random,
    At(Phase),
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| CommandError::failed(format!("cannot start: {e}")))?;
        // Before the images, which take long to check.
        let groups = self.groups.groups()?;
        let watch = Watch::new(&self.watch, Stream::default())?;
        let sender = runtime.block_on(async { self.sender(&groups) })?;
        let (source, notices) = self.release.open(self.json)?;
        runtime.block_on(self.send(&groups, sender, source, notices, watch))
    }

    fn sender(&self, groups: &Groups) -> Result<Sender, CommandError> {
        if self.share.is_some() && self.pace() == Pace::Unlimited {
            let error = "--sender needs a rate: no clock tells where an unlimited one is";
            return Err(CommandError::new(ErrorKind::Usage, error));
        }
        let interface = Interface::find(&self.interface)
            .map_err(|e| CommandError::failed(e).hint("name one of them: --interface NAME"))?;
        let options = SendOptions { upper_groups: groups.upper.clone(), ..self.path.options(groups.base, interface) };
        Sender::open(&options).map_err(not_opened)
    }

    fn pace(&self) -> Pace {
        self.packet_delay.unwrap_or(self.rate)
    }

    async fn send(
        &self,
        groups: &Groups,
        mut sender: Sender,
        source: Source,
        mut notices: Option<Notices>,
        mut watch: Watch<Stream>,
    ) -> Result<(), CommandError> {
        let (pace, layers) = (self.pace(), groups.layers);
        let stop = stop_signal().map_err(|e| CommandError::failed(format!("cannot watch for signals: {e}")))?;
        let desk = self.desk(groups, &source, sender.interface())?;
        let reporter = Reporter::new(self.json);
        let mut tell = |event: &_| {
            watch.note(event);
            reporter.tell(event);
        };
        tell(&Event::Ready(self.ready(&source, &sender, groups, notices.as_ref())));
        if let Some(notices) = &mut notices {
            for concern in notices.concerns(source.release().manifest(), driver::unix_now()) {
                tell(&concern);
            }
        }

        let every = pace.part(layers.rate()).statement_every(source.max_packet());
        let mut carousel = Carousel::layered(source, layers, self.start.phase()?, every);
        if let Some(share) = self.share {
            let clock = Clock::new(carousel.load(), pace, share.ahead(layers));
            let clock = clock.ok_or_else(|| CommandError::failed("at this rate a cycle has no length for --sender"))?;
            carousel.lock(clock, driver::unix_now());
        }
        let plan = Plan { pace, cycles: self.cycles, desk, notices };
        let end = driver::run(&mut carousel, &mut sender, plan, stop, &mut tell).await;
        match (end, self.cycles) {
            (Ok(End::Stopped), Some(cycles)) => {
                Err(CommandError::failed(format!("stopped with {} of {cycles} cycles complete", carousel.progress().0)))
            }
            (Ok(_), _) => Ok(()),
            (Err(error), _) => Err(broken_off(error)),
        }
    }

    /// Where requests come to, if they are wanted.
    fn desk(&self, groups: &Groups, source: &Source, interface: &Interface) -> Result<Option<Desk>, CommandError> {
        let Some(at) = self.nack else { return Ok(None) };
        if !groups.upper.is_empty() {
            let reason = "answers would exceed the rate of the base layer: leave out --nack, or send on one layer";
            return Err(CommandError::new(ErrorKind::Usage, reason));
        }
        let seed =
            getrandom::u64().map_err(|e| CommandError::failed(format!("no random numbers from the system: {e}")))?;
        let release = release_of(source.release().manifest().payload_digest());
        let answers = Answers::new(release, source.release().geometries().copied().collect(), self.nack_share, seed);
        Desk::open(at, interface, answers).map(Some).map_err(CommandError::failed)
    }

    fn ready(&self, source: &Source, sender: &Sender, groups: &Groups, notices: Option<&Notices>) -> Ready {
        let manifest = source.release().manifest();
        let layer = |(number, group): (u8, std::net::SocketAddr)| Layer {
            group: group.to_string(),
            pace: told(self.pace().part(groups.layers.rate() / layer_rate(number))),
        };
        Ready {
            version: manifest.version.to_string(),
            sequence: manifest.sequence,
            tsi: manifest.tsi().to_string(),
            verified: self.release.verifies(),
            group: groups.base.to_string(),
            layers: if groups.upper.is_empty() { Vec::new() } else { (0..).zip(groups.iter()).map(layer).collect() },
            interface: self.interface.clone(),
            source: sender.local_addr().map(|address| address.to_string()).unwrap_or_default(),
            pace: told(self.pace()),
            cycle_packets: source.volume().packets,
            cycle_octets: source.volume().octets,
            max_packet: source.max_packet(),
            roots: notices.map(Notices::versions).unwrap_or_default(),
            beacon: notices.and_then(Notices::facts),
            nack: self.nack.map(|at| at.to_string()),
        }
    }
}

impl Start {
    fn phase(self) -> Result<Phase, CommandError> {
        match self {
            Self::At(phase) => Ok(phase),
            Self::Random => match getrandom::u32() {
                Ok(phase) => Ok(Phase(phase)),
                Err(e) => Err(CommandError::failed(format!("no random numbers from the system: {e}"))
                    .hint("name a place in the cycle: --start 0.5")),
            },
        }
    }
}

/// A pace, for people.
fn told(pace: Pace) -> String {
    match pace {
        Pace::Rate(rate) => Rate(rate.get()).to_string(),
        Pace::Delay(delay) => format!("one packet per {delay:?}"),
        Pace::Unlimited => "unlimited rate".into(),
    }
}

/// Ready when SIGINT or SIGTERM has come.
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

pub(super) fn not_opened(error: OpenError) -> CommandError {
    let is_usage = matches!(error, OpenError::Group(_) | OpenError::Family { .. });
    let kind = if is_usage { ErrorKind::Usage } else { ErrorKind::Failed };
    CommandError::new(kind, error)
}

fn broken_off(error: RunError) -> CommandError {
    let hint = match &error {
        RunError::Source(CellError::Image { .. } | CellError::Page { .. } | CellError::Repair { .. }) => {
            Some("a file was written to while it was being sent; put new images in new files and start again")
        }
        RunError::Send(SendError::TooLong { .. }) => {
            Some("raise the interface's MTU, or make the release for it: fleetcast-sign create --packet, --chunk")
        }
        _ => None,
    };
    let kind = match &error {
        RunError::Source(error) if error.is_refusal() => ErrorKind::Refused,
        _ => ErrorKind::Failed,
    };
    let told = CommandError::new(kind, error);
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

fn rate(text: &str) -> Result<Pace, String> {
    if text == "unlimited" {
        return Ok(Pace::Unlimited);
    }
    let rate = quantity::rate(text)?;
    NonZeroU64::new(rate).map(Pace::Rate).ok_or_else(|| "a rate of 0 sends nothing".into())
}

fn delay(text: &str) -> Result<Pace, String> {
    match quantity::duration(text)? {
        Duration::ZERO => Err("without a delay there is no pace; for benchmarks use --rate unlimited".into()),
        delay => Ok(Pace::Delay(delay)),
    }
}

fn start(text: &str) -> Result<Start, String> {
    if text == "random" {
        return Ok(Start::Random);
    }
    let form = || format!("{text:?} is no place in a cycle: write a number from 0 up to 1, such as 0.25, or `random`");
    let part: f64 = text.parse().map_err(|_| form())?;
    if !(0.0..1.0).contains(&part) {
        return Err(form());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^32 since `part` is below 1")]
    let phase = (part * 2_f64.powi(32)) as u32;
    Ok(Start::At(Phase(phase)))
}
