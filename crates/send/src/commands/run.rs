//! `run`: the carousel.

mod course;
mod one;
mod streams;

use std::future::Future;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, FromArgMatches, value_parser};
use fleetcast_cli::journal::{self, LogArgs};
use fleetcast_cli::{CommandError, ErrorKind, quantity};
use fleetcast_net::{OpenError, SendError};
use tokio::signal::unix::{SignalKind, signal};

use crate::driver::RunError;
use crate::pacing::Pace;
use crate::source::CellError;
use crate::watch::WatchArgs;
use one::One;

/// Send a release, for ever or for some cycles
///
/// First checks all of the release and its images, as `check` does, and sends nothing if anything is wrong. Then sends
/// manifest, pages, chunks and repair chunks in an endless loop. Devices may join at any moment. Release and images stay open:
/// replacing one changes nothing until the program is started again, and one that is written to stops the carousel before
/// anything wrong is sent. Roots go along every ten seconds and the beacon every two, both more rarely where the rate is low.
///
/// With --config one process sends several streams, each a channel of a store or a fixed release, to groups of their own. When a
/// channel names another release it is fetched, checked, and takes over between two cells, without a restart, and the roots and beacons
/// of the channel go along as they come; what was fetched is kept, and sent on while the store is out of reach.
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

  Several streams, by a file; releases come from a store:
    fleetcast-send run --config /etc/fleetcast/send.toml

Exit codes: 0 stopped or all cycles sent, 1 failed, or stopped before all --cycles were sent,
2 wrong usage, 3 release, images, roots or beacon refused, before or while they are sent, 78 bad settings.")]
pub(super) struct Args {
    #[command(flatten)]
    what: What,

    #[command(flatten)]
    watch: WatchArgs,

    #[command(flatten)]
    log: LogArgs,

    /// Print events as JSON lines on stdout; a reader that is too slow misses some
    #[arg(long)]
    json: bool,
}

/// Flags, or a file in place of all of them.
#[derive(Debug)]
enum What {
    One(Box<One>),
    Streams(PathBuf),
}

/// Names of the flags that a file takes the place of.
const FLAGS: [&str; 22] = [
    "release",
    "images",
    "trust",
    "threshold",
    "root",
    "beacon",
    "temp_dir",
    "group",
    "layers",
    "interface",
    "rate",
    "packet_delay",
    "start",
    "share",
    "cycles",
    "hops",
    "dscp",
    "source_port",
    "no_loopback",
    "no_gso",
    "nack",
    "nack_share",
];

impl FromArgMatches for What {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.get_one::<PathBuf>("config") {
            Some(path) => Ok(Self::Streams(path.clone())),
            None => One::from_arg_matches(matches).map(|one| Self::One(Box::new(one))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

// By hand, since flags that are needed cannot be derived as needed unless another is there.
impl clap::Args for What {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config").long("config").value_name("FILE").value_parser(value_parser!(PathBuf));
        let config = config.conflicts_with_all(FLAGS).help(
            "Send the streams of this file, in place of what other options say; it reads nothing from the network but its store, and requests if a stream answers them",
        );
        <One as clap::Args>::augment_args(command.arg(config))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        self.log.open(journal::SEND);
        match self.what {
            What::Streams(config) => streams::run(&config, self.json, &self.watch),
            What::One(one) => one.run(self.json, &self.watch),
        }
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

pub(crate) fn rate(text: &str) -> Result<Pace, String> {
    if text == "unlimited" {
        return Ok(Pace::Unlimited);
    }
    let rate = quantity::rate(text)?;
    NonZeroU64::new(rate).map(Pace::Rate).ok_or_else(|| "a rate of 0 sends nothing".into())
}

pub(crate) fn delay(text: &str) -> Result<Pace, String> {
    match quantity::duration(text)? {
        Duration::ZERO => Err("without a delay there is no pace; for benchmarks use --rate unlimited".into()),
        delay => Ok(Pace::Delay(delay)),
    }
}
