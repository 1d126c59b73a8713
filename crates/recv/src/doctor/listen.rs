//! Joins as the daemon does, with sockets of its own, and hears for a while.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fleetcast_core::time::Instant;
use fleetcast_core::trust::Trust;
use fleetcast_install::RealFs;
use fleetcast_install::record::Record;
use fleetcast_net::{Interface, JoinError, Membership, ReceiveOptions, Receiver, source_number};

use super::air::Air;
use super::{Finding, Level, tables};
use crate::config::{Config, Feed};
use crate::device;
use crate::ledger;

/// Other senders that are named.
const MAX_STRANGERS: usize = 4;

/// Senders that the settings do not name.
#[derive(Debug, Default)]
struct Strangers(Vec<IpAddr>);

pub(super) async fn listen(
    config: &Config,
    (trust, record): (Trust, &Record),
    interfaces: &[Interface],
    time: Duration,
    findings: &mut Vec<Finding>,
) {
    let options =
        ReceiveOptions { buffer: config.receive_buffer, max_datagram: config.max_packet, ..ReceiveOptions::default() };
    let of = |feed: &Feed| interfaces.iter().flat_map(|interface| feed.memberships(interface)).collect::<Vec<_>>();
    let all: Vec<Membership> = config.feeds.iter().flat_map(of).collect();
    let mut ours = match Receiver::join(&all, &options) {
        Ok(ours) => ours,
        Err(error) => return findings.push(not_joined(error)),
    };
    findings.push(buffer(config, &ours));
    // Whoever else sends to groups with named sources. Without, what is wrong is told by the rest.
    let named: Vec<_> = all.iter().filter(|membership| membership.source.is_some()).cloned().collect();
    let mut others = Receiver::overhear(&named, &options).unwrap_or_else(|_| Receiver::new(&options));
    let (mut air, mut strangers) = (Air::new(trust, device::policy(config, record)), Strangers::default());
    if let Ok(Some(beacon)) = device::kept_beacon(&RealFs, &config.state) {
        air.restore_beacon(&beacon);
    }
    let filtered = reverse_path_drops();
    let start = std::time::Instant::now();
    let end = tokio::time::sleep(time);
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            () = &mut end => break,
            result = ours.receive(|from, datagram| {
                let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                air.take(Instant::from_micros(micros), source_number(from), datagram);
            }) => if let Err(error) = result {
                let seen = format_args!("cannot receive: {error}");
                findings.push(Finding::new(Level::Wrong, "receive", seen).advice("see to the interface"));
                break;
            },
            result = others.receive(|from, _| strangers.note(config, from)) => if result.is_err() {
                others = Receiver::new(&options);
            },
        }
    }
    let is_filtered = reverse_path_drops() > filtered;
    findings.extend(groups(&ours, &others, &strangers, is_filtered, time));
    findings.extend(drops(&ours));
    if ours.heard().any(|(.., heard)| heard > 0) {
        findings.extend(air.findings());
        findings.extend(air.refused_before(&ledger::history(&config.state)));
        findings.extend(air.current(config.freshness, ledger::unix()));
    }
}

fn not_joined(error: JoinError) -> Finding {
    let is_taken = matches!(&error,
        JoinError::Socket { source, .. } if source.kind() == io::ErrorKind::AddrInUse);
    let (code, advice) = match error {
        _ if is_taken => {
            ("port-taken", "another program has the port for itself: `ss -ulpn`; end it, or use another port")
        }
        JoinError::Limit { .. } => (error.code(), "raise the limit by sysctl, or name fewer"),
        _ => (error.code(), "see that the interface is up and takes multicast: `ip link`"),
    };
    Finding::new(Level::Wrong, code, fleetcast_cli::CommandError::failed(error)).advice(advice)
}

fn buffer(config: &Config, ours: &Receiver) -> Finding {
    let granted = ours.granted_buffer().unwrap_or_default();
    let seen = format!("the kernel grants a receive buffer of {granted} octets of {}", config.receive_buffer);
    if granted >= config.receive_buffer {
        return Finding::new(Level::Ok, "receive-buffer", seen);
    }
    Finding::new(Level::Warning, "receive-buffer", seen).advice(format_args!(
        "sysctl -w net.core.rmem_max={}, or give the daemon CAP_NET_ADMIN, if it has not, unlike this program",
        config.receive_buffer
    ))
}

/// What came of each group on each interface.
fn groups(
    ours: &Receiver,
    others: &Receiver,
    strangers: &Strangers,
    is_filtered: bool,
    time: Duration,
) -> Vec<Finding> {
    let is_silent = ours.heard().all(|(.., heard)| heard == 0);
    let level = if is_silent { Level::Wrong } else { Level::Warning };
    let finding = |(group, interface, heard): (SocketAddr, &Interface, u64)| {
        let name = interface.name();
        let is_same = |other: &(SocketAddr, &Interface, u64)| (other.0, other.1.index()) == (group, interface.index());
        if heard > 0 {
            return Finding::new(Level::Ok, "heard", format_args!("packets come to {group} on {name}"));
        }
        if others.heard().any(|other| is_same(&other) && other.2 > 0) && !strangers.0.is_empty() {
            let who: Vec<_> = strangers.0.iter().map(ToString::to_string).collect();
            let seen = format_args!("packets come to {group} on {name}, but only from {}", who.join(", "));
            return Finding::new(level, "other-source", seen).advice("correct `source`, if that is the sender");
        }
        if is_filtered && group.is_ipv4() {
            let seen =
                format_args!("the kernel drops packets on {name} whose source it would not reach there (rp_filter)");
            return Finding::new(level, "rp-filter", seen).advice(format_args!(
                "add a route to the sender over {name}; or sysctl -w net/ipv4/conf/all/rp_filter=0 net/ipv4/conf/{name}/rp_filter=0"
            ));
        }
        let seen = format_args!("nothing came to {group} on {name} in {} s", time.as_secs_f32());
        Finding::new(level, "no-packets", seen).advice(
            "see that the sender runs, that group, port, source and interface are its, that the hop limit reaches here, and that \
             no firewall or switch (IGMP snooping without a querier) is in between",
        )
    };
    ours.heard().map(finding).collect()
}

fn drops(ours: &Receiver) -> Vec<Finding> {
    let dropped = ours.dropped().unwrap_or_default();
    let kernel = (dropped > 0).then(|| {
        let seen = format_args!("{dropped} packets came faster than this device took them");
        Finding::new(Level::Warning, "kernel-drops", seen).advice("raise `receive-buffer`, or send more slowly")
    });
    let overlong = (ours.overlong() > 0).then(|| {
        let seen = format_args!("{} packets are longer than `max-packet`", ours.overlong());
        Finding::new(Level::Warning, "overlong", seen).advice("raise `max-packet`, if the link carries jumbo frames")
    });
    kernel.into_iter().chain(overlong).collect()
}

/// Packets that the kernel dropped so far for where their source is.
fn reverse_path_drops() -> u64 {
    let netstat = fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    tables::counter(&netstat, "IPReversePathFilter").unwrap_or_default()
}

impl Strangers {
    fn note(&mut self, config: &Config, from: SocketAddr) {
        let from = from.ip();
        let is_named = config.feeds.iter().any(|feed| feed.sources.contains(&from));
        if !is_named && self.0.len() < MAX_STRANGERS && !self.0.contains(&from) {
            self.0.push(from);
        }
    }
}
