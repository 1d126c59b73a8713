//! Interfaces, memberships and sockets of this device, before anything is joined.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fleetcast_net::{Interface, InterfaceState};

use super::{Finding, Level, tables};
use crate::config::{Config, Feed};

/// Looks the interfaces up; gives those that can be joined on.
pub(super) fn interfaces(config: &Config, findings: &mut Vec<Finding>) -> Vec<Interface> {
    let mut usable = Vec::new();
    for name in &config.interfaces {
        match Interface::find(name) {
            Ok(interface) => {
                let state = interface.state().ok().flatten();
                let finding = of_interface(&interface, state);
                if finding.level == Level::Ok {
                    usable.push(interface);
                }
                findings.push(finding);
            }
            Err(error) => findings.push(
                Finding::new(Level::Wrong, error.code(), &error)
                    .advice("name an interface there is, or find out why this one is missing: `ip link`"),
            ),
        }
    }
    usable
}

fn of_interface(interface: &Interface, state: Option<InterfaceState>) -> Finding {
    let name = interface.name();
    let wrong = |code, what| Finding::new(Level::Wrong, code, format_args!("interface {name} {what}"));
    match state {
        Some(InterfaceState { is_up: false, .. }) => {
            wrong("interface-down", "is switched off").advice(format_args!("ip link set {name} up"))
        }
        Some(InterfaceState { has_carrier: false, .. }) => {
            wrong("interface-carrier", "is not plugged in").advice("see to the cable, the switch or the radio")
        }
        Some(InterfaceState { has_multicast: false, .. }) => wrong("interface-multicast", "takes no multicast")
            .advice(format_args!("ip link set {name} multicast on; some tunnels and modems cannot")),
        _ => Finding::new(Level::Ok, "interface", format_args!("{interface} is up")),
    }
}

/// What the kernel and other programs do about the groups.
pub(super) fn memberships(config: &Config, interfaces: &[Interface], findings: &mut Vec<Finding>) {
    let read = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    let (igmp, igmp6) = (read("igmp"), read("igmp6"));
    let groups = [tables::groups(&igmp), tables::groups(&igmp6)].concat();
    let sources = [tables::sources(&read("mcfilter")), tables::sources(&read("mcfilter6"))].concat();
    for interface in interfaces {
        for feed in &config.feeds {
            findings.push(joined(feed, interface, &groups, &sources));
        }
        let named = |is_v4| config.feeds.iter().any(|feed| feed.group.is_ipv4() == is_v4 && !feed.sources.is_empty());
        let version = tables::igmp_version(&igmp, interface.index());
        findings.extend(version.filter(|version| *version < 3 && named(true)).map(|got| old_igmp(interface, got)));
        findings.extend(forced(interface, "ipv6", "mld").filter(|_| named(false)).map(|sysctl| {
            let name = interface.name();
            let seen = format_args!("MLDv1 is spoken on {name}, which cannot name sources: {sysctl} = 1");
            Finding::new(Level::Wrong, "mld-version", seen).advice(format_args!("sysctl -w {sysctl}=0"))
        }));
    }
    let (udp, udp6) = (read("udp"), read("udp6"));
    findings
        .extend(config.feeds.iter().filter_map(|feed| shared(feed, if feed.group.is_ipv4() { &udp } else { &udp6 })));
}

/// Whether another program, the daemon above all, has joined a feed.
fn joined(feed: &Feed, interface: &Interface, groups: &[(u32, IpAddr)], sources: &[(u32, IpAddr, IpAddr)]) -> Finding {
    let (group, index, name) = (feed.group.ip(), interface.index(), interface.name());
    let ours: Vec<_> = sources.iter().filter(|(at, of, _)| (*at, *of) == (index, group)).map(|(.., s)| *s).collect();
    let missing: Vec<_> =
        feed.sources.iter().filter(|source| !ours.contains(source)).map(ToString::to_string).collect();
    if !groups.contains(&(index, group)) {
        return Finding::new(Level::Note, "not-joined", format_args!("no program has joined {group} on {name}"))
            .advice("if the daemon should run, see `systemctl status` and its log");
    }
    // Joined for all sources, its table has none.
    if !ours.is_empty() && !missing.is_empty() {
        let seen = format!("{group} is joined on {name}, but not for {}", missing.join(", "));
        return Finding::new(Level::Note, "not-joined", seen).advice("restart the daemon if its settings have changed");
    }
    Finding::new(Level::Ok, "joined", format_args!("{group} is joined on {name}"))
}

fn old_igmp(interface: &Interface, version: u8) -> Finding {
    let name = interface.name();
    let seen = format!("IGMPv{version} is spoken on {name}, which cannot name sources");
    match forced(interface, "ipv4", "igmp") {
        Some(sysctl) => Finding::new(Level::Wrong, "igmp-version", format_args!("{seen}: {sysctl} = {version}"))
            .advice(format_args!("sysctl -w {sysctl}=0")),
        None => Finding::new(Level::Wrong, "igmp-version", format_args!("{seen}: the network asks for it"))
            .advice("have the querier, a router or switch, use IGMPv3"),
    }
}

/// The setting that forces a version of IGMP or MLD, if one does.
fn forced(interface: &Interface, family: &str, protocol: &str) -> Option<String> {
    ["all", interface.name()].into_iter().find_map(|name| {
        let path = format!("/proc/sys/net/{family}/conf/{name}/force_{protocol}_version");
        let value: u8 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
        // Names of interfaces may have dots in them.
        let oldest = if protocol == "mld" { 1..=1 } else { 1..=2 };
        oldest.contains(&value).then(|| format!("net/{family}/conf/{name}/force_{protocol}_version"))
    })
}

/// Who else is on the port.
fn shared(feed: &Feed, udp: &str) -> Option<Finding> {
    let (group, port) = (feed.group.ip(), feed.group.port());
    let any = if group.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let (same, all) = (tables::sockets(udp, group, port), tables::sockets(udp, any, port));
    let seen = match (same, all) {
        (0, 0) => return None,
        (same, 0) => format!("{same} other sockets are bound to {}", feed.group),
        (same, all) => {
            format!("{same} other sockets are bound to {}, and {all} to port {port} of any address", feed.group)
        }
    };
    Some(
        Finding::new(Level::Note, "port-shared", seen).advice(
            "the daemon's is one for each interface; if another program sends there, use another port: `ss -ulpn`",
        ),
    )
}
