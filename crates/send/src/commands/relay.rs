//! `relay`: passes on what verified.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::ArgGroup;
use fleetcast_cli::journal::{self, LogArgs};
use fleetcast_cli::{CommandError, ErrorKind, quantity};
use fleetcast_core::session::VerifierConfig;
use fleetcast_net::{
    Interface, JoinError, Membership, ReceiveOptions, SendOptions, Sender, UnicastError, UnicastReceiver, UnicastSender,
};

use super::path::PathArgs;
use super::release::{trusted_keys, trusted_root};
use super::run::{not_opened, stop_signal};
use crate::pacing::{Pace, Pacer};
use crate::relay::downstream::{Downstream, send_buffer};
use crate::relay::report::{Event, Ready, Reporter};
use crate::relay::upstream::{Groups, Upstream, hears};
use crate::relay::{Relay, driver};
use crate::watch::{Relayed, Watch, WatchArgs};

/// Packets that may wait for a page.
const STAGING: usize = 512;

/// Least rate in bits a second; below it a packet takes too long to tell copies from repeats.
const MIN_RATE: u64 = 64_000;

/// Pass on what a sender multicasts, to networks that its multicast does not reach
///
/// Hears groups on an interface, or another relay by unicast, checks every packet as a device does, and sends on what is genuine and
/// nothing else: to a local group, or by unicast to other relays. Packets stay as they are but for their count. It holds public keys only,
/// or a root, passes on roots and beacons too, and drops a release when a root ends the trust in its keys. Its memory does not grow with
/// the images. What cannot be sent in time is dropped, chunks before manifests and pages: the carousel repeats it.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(group(ArgGroup::new("trusted").required(true).multiple(true)))]
#[command(group(ArgGroup::new("heard").required(true).multiple(true)))]
#[command(group(ArgGroup::new("destinations").required(true).multiple(true)))]
#[command(after_help = "\
Examples:
  From eth0 to a site's own link, at most 5 Mbit/s:
    fleetcast-send relay --trust release-key.pub.pem \\
        --upstream 239.255.70.67:4701 --upstream-interface eth0 \\
        --group 239.255.70.67:4701 --interface eth1 --rate 5M

  Through a network without multicast. Near the sender:
    fleetcast-send relay --trust release-key.pub.pem \\
        --upstream 239.255.70.67:4701 --upstream-interface eth0 --to 198.51.100.20:4701
  and at the site, 198.51.100.20, which hears 192.0.2.10 only:
    fleetcast-send relay --trust release-key.pub.pem --listen 198.51.100.20:4701 --from 192.0.2.10 \\
        --group 239.255.70.67:4701 --interface eth1

A packet that comes twice within 0.4 s, by two ways or from two senders, goes on once; so relays in a circle do no harm.
Events (--json): ready, release, root, progress (each second), quiet, warning, rejoined, reopened, stopped.
Exit codes: 0 stopped by SIGINT or SIGTERM, 1 failed, 2 wrong usage, 3 root refused.")]
pub(super) struct Args {
    /// Public key that must have signed a release; may be repeated
    #[arg(long, value_name = "FILE", group = "trusted")]
    trust: Vec<PathBuf>,

    /// How many of the keys must have signed
    #[arg(long, value_name = "M", default_value_t = 1)]
    threshold: u8,

    /// Root to start from, with all that follow it as they come: give the oldest that a device behind the relay was made with,
    /// for older ones are not passed on. It walks anew at each start
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trust", "threshold"], group = "trusted")]
    root: Option<PathBuf>,

    /// Multicast group and UDP port to hear; may be repeated, as for a session in layers
    #[arg(long, value_name = "ADDR:PORT", requires = "upstream_interface", group = "heard")]
    upstream: Vec<SocketAddr>,

    /// Interface to hear the groups on, by its name or one of its addresses
    #[arg(long, value_name = "NAME", requires = "upstream")]
    upstream_interface: Option<String>,

    /// Hear the groups from this sender only (source-specific multicast)
    #[arg(long, value_name = "ADDR", requires = "upstream")]
    upstream_source: Option<IpAddr>,

    /// Own address and UDP port to hear a copy by unicast at
    #[arg(long, value_name = "ADDR:PORT", requires = "from", group = "heard")]
    listen: Option<SocketAddr>,

    /// The only host that is heard at --listen: the kernel drops what comes from others
    #[arg(long, value_name = "ADDR", requires = "listen")]
    from: Option<IpAddr>,

    /// Multicast group and UDP port to send to
    #[arg(long, value_name = "ADDR:PORT", requires = "interface", group = "destinations")]
    group: Option<SocketAddr>,

    /// Interface to send to the group through, by its name or one of its addresses
    #[arg(long, value_name = "NAME", requires = "group")]
    interface: Option<String>,

    /// Host and UDP port to send a copy to by unicast; may be repeated
    #[arg(long, value_name = "ADDR:PORT", group = "destinations")]
    to: Vec<SocketAddr>,

    /// Most bits of UDP payload per second to the group and to each host, 64k or more, and no more than the slowest way there
    /// takes. What comes faster is dropped
    #[arg(long, value_name = "RATE", default_value = "10M", value_parser = rate)]
    rate: NonZeroU64,

    /// Most releases at once: those with the highest sequence numbers of those that are on the air
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    releases: u8,

    /// Octets of UDP payload of the largest packet; releases with larger ones are not passed on
    #[arg(long, value_name = "OCTETS", default_value_t = 1500, value_parser = clap::value_parser!(u16).range(84..=8972))]
    max_packet: u16,

    #[command(flatten)]
    path: PathArgs,

    #[command(flatten)]
    watch: WatchArgs,

    #[command(flatten)]
    log: LogArgs,

    /// Print events as JSON lines on stdout; a reader that is too slow misses some
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        self.log.open(journal::RELAY);
        let trust = match &self.root {
            Some(path) => trusted_root(path)?,
            None => trusted_keys(&self.trust, self.threshold)?,
        };
        let seed = getrandom::u64();
        let seed = seed.map_err(|e| CommandError::failed(format!("no random numbers from the system: {e}")))?;
        let config = VerifierConfig {
            trust,
            releases: self.releases.into(),
            staging: STAGING,
            max_packet: self.max_packet.into(),
            seed,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| CommandError::failed(format!("cannot start: {e}")))?;
        runtime.block_on(self.relay(config))
    }

    async fn relay(&self, config: VerifierConfig) -> Result<(), CommandError> {
        let mut watch = Watch::new(&self.watch, Relayed::default())?;
        let memberships = self.memberships()?;
        let (rate, root) = (self.rate.get(), config.trust.version());
        let mut ready = Ready { upstream: Vec::new(), downstream: Vec::new(), rate, root };
        let mut downstream = self.downstream(&memberships, &mut ready)?;
        let mut upstream = self.upstream(memberships, &mut ready)?;
        let stop = stop_signal().map_err(|e| CommandError::failed(format!("cannot watch for signals: {e}")))?;
        let reporter = Reporter::new(self.json);
        let mut tell = |event: &_| {
            watch.note(event);
            reporter.tell(event);
        };
        tell(&Event::Ready(ready));
        let pacer = Pacer::new(Pace::Rate(self.rate), config.max_packet, std::time::Duration::ZERO);
        let mut relay = Relay::new(config, self.rate);
        let end = driver::run(&mut relay, &mut upstream, &mut downstream, pacer, stop, &mut tell).await;
        end.map_err(CommandError::failed)
    }

    fn memberships(&self) -> Result<Vec<Membership>, CommandError> {
        let Some(name) = &self.upstream_interface else { return Ok(Vec::new()) };
        let interface = find(name, "--upstream-interface")?;
        let membership = |group: &SocketAddr| Membership {
            group: group.ip(),
            port: group.port(),
            source: self.upstream_source,
            interface: interface.clone(),
        };
        Ok(self.upstream.iter().map(membership).collect())
    }

    fn upstream(&self, memberships: Vec<Membership>, ready: &mut Ready) -> Result<Upstream, CommandError> {
        let options = ReceiveOptions { max_datagram: self.max_packet.into(), ..ReceiveOptions::default() };
        let name = |m: &Membership| format!("{} on {}", SocketAddr::new(m.group, m.port), m.interface.name());
        ready.upstream.extend(memberships.iter().map(name));
        let groups = match memberships.as_slice() {
            [] => None,
            _ => Some(Groups::join(memberships, options.clone()).map_err(not_joined)?),
        };
        let unicast = match (self.listen, self.from) {
            (Some(address), Some(peer)) => {
                ready.upstream.push(format!("{peer} at {address}"));
                Some(UnicastReceiver::listen(address, peer, &options).map_err(no_unicast)?)
            }
            _ => None,
        };
        Ok(Upstream::new(groups, unicast))
    }

    fn downstream(&self, memberships: &[Membership], ready: &mut Ready) -> Result<Downstream, CommandError> {
        let buffer = send_buffer(self.rate);
        let usage = |text: String| Err(CommandError::new(ErrorKind::Usage, text));
        let group = match (self.group, &self.interface) {
            (Some(group), Some(name)) => {
                let interface = find(name, "--interface")?;
                if hears(memberships, group, &interface) {
                    let name = interface.name();
                    return usage(format!("{group} on {name} is upstream and downstream: the relay would hear itself"));
                }
                ready.downstream.push(format!("{group} on {}", interface.name()));
                let options = SendOptions { buffer: Some(buffer), ..self.path.options(group, interface) };
                Some(Sender::open(&options).map_err(not_opened)?)
            }
            _ => None,
        };
        let mut hosts = Vec::new();
        for (nth, &to) in self.to.iter().enumerate() {
            if self.listen == Some(to) {
                return usage(format!("{to} is what the relay listens on: it would hear itself"));
            }
            if self.to.iter().take(nth).any(|other| *other == to) {
                return usage(format!("--to {to} is there twice"));
            }
            ready.downstream.push(to.to_string());
            hosts.push(UnicastSender::open(to, self.path.dscp, buffer).map_err(no_unicast)?);
        }
        Ok(Downstream::new(group, hosts))
    }
}

fn find(name: &str, option: &str) -> Result<Interface, CommandError> {
    Interface::find(name).map_err(|e| CommandError::failed(e).hint(format!("name one of them: {option} NAME")))
}

fn not_joined(error: JoinError) -> CommandError {
    let kind = if matches!(error, JoinError::Group(_)) { ErrorKind::Usage } else { ErrorKind::Failed };
    CommandError::new(kind, error)
}

fn no_unicast(error: UnicastError) -> CommandError {
    let kind = if matches!(error, UnicastError::Socket { .. }) { ErrorKind::Failed } else { ErrorKind::Usage };
    CommandError::new(kind, error)
}

fn rate(text: &str) -> Result<NonZeroU64, String> {
    let rate = quantity::rate(text)?;
    NonZeroU64::new(rate)
        .filter(|rate| rate.get() >= MIN_RATE)
        .ok_or_else(|| "a relay needs a rate of 64k or more".into())
}
