//! `run` with flags: one release, for ever or for some cycles.

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_net::{Interface, SendOptions, Sender};

use super::course::{Course, ready};
use super::{broken_off, delay, not_opened, rate, stop_signal};
use crate::carousel::Phase;
use crate::clock::Share;
use crate::commands::groups::{GroupArgs, Groups};
use crate::commands::nack::NackArgs;
use crate::commands::path::PathArgs;
use crate::commands::release::ReleaseArgs;
use crate::driver::{self, Desk, End, Plan};
use crate::notices::Notices;
use crate::pacing::Pace;
use crate::report::{Event, Ready, Reporter};
use crate::source::Source;
use crate::watch::{Streams, Watch, WatchArgs};

#[derive(clap::Args, Debug)]
pub(super) struct One {
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

    #[command(flatten)]
    nack: NackArgs,
}

/// Where in the cycle to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Random,
    At(Phase),
}

impl One {
    pub(super) fn run(self, json: bool, watch: &WatchArgs) -> Result<(), CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| CommandError::failed(format!("cannot start: {e}")))?;
        // Before the images, which take long to check.
        let groups = self.groups.groups()?;
        let net = runtime.block_on(async { self.net(&groups) })?;
        let place = [groups.base.to_string(), net.0.interface().name().to_owned()];
        let watch = Watch::new(watch, Streams::of([(String::new(), place)]))?;
        let (source, notices) = self.release.open(json)?;
        runtime.block_on(self.send(&groups, net, source, notices, json, watch))
    }

    /// What sends, and where requests come to, if they are wanted.
    fn net(&self, groups: &Groups) -> Result<(Sender, Option<Desk>), CommandError> {
        let nack = self.nack.nack(groups)?;
        if self.share.is_some() && self.pace() == Pace::Unlimited {
            let error = "--sender needs a rate: no clock tells where an unlimited one is";
            return Err(CommandError::new(ErrorKind::Usage, error));
        }
        let interface = Interface::find(&self.interface)
            .map_err(|e| CommandError::failed(e).hint("name one of them: --interface NAME"))?;
        let options = SendOptions { upper_groups: groups.upper.clone(), ..self.path.options(groups.base, interface) };
        let sender = Sender::open(&options).map_err(not_opened)?;
        let desk = nack.map(|nack| nack.open(sender.interface())).transpose()?;
        Ok((sender, desk))
    }

    fn pace(&self) -> Pace {
        self.packet_delay.unwrap_or(self.rate)
    }

    async fn send(
        &self,
        groups: &Groups,
        (mut sender, desk): (Sender, Option<Desk>),
        source: Source,
        mut notices: Option<Notices>,
        json: bool,
        mut watch: Watch<Streams>,
    ) -> Result<(), CommandError> {
        let (pace, layers) = (self.pace(), groups.layers);
        let stop = stop_signal().map_err(|e| CommandError::failed(format!("cannot watch for signals: {e}")))?;
        let reporter = Reporter::new(json);
        let mut tell = |event: &Event| {
            watch.note((0, event));
            reporter.tell(event);
        };
        let ready = ready(&source, &sender, groups, pace, notices.as_ref(), desk.as_ref());
        tell(&Event::Ready(Ready { verified: self.release.verifies(), ..ready }));
        if let Some(notices) = &mut notices {
            for concern in notices.concerns(source.release(), driver::unix_now()) {
                tell(&concern);
            }
        }

        let course = Course { layers, pace, share: self.share, phase: self.start.phase()? };
        let carousel = course.carousel(source);
        let mut carousel =
            carousel.ok_or_else(|| CommandError::failed("at this rate a cycle has no length for --sender"))?;
        let plan = Plan { pace, cycles: self.cycles, desk, notices, next: None };
        let end = driver::run(&mut carousel, &mut sender, plan, stop, &mut tell).await;
        match (end, self.cycles) {
            (Ok(End::Stopped), Some(cycles)) => {
                Err(CommandError::failed(format!("stopped with {} of {cycles} cycles complete", carousel.progress().0)))
            }
            (Ok(_), _) => Ok(()),
            (Err(error), _) => Err(broken_off(error)),
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
