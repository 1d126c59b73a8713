//! Interfaces, memberships and sockets of this device, before anything is joined.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fleetcast_net::{Interface, InterfaceState, check_membership};

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
        let (name, igmp_version) = (interface.name(), tables::igmp_version(&igmp, interface.index()));
        findings.extend(igmp_version.filter(|version| *version < 3).and_then(|version| {
            let by = forced(interface, "ipv4", "igmp", 2);
            no_sources(config, true, &format!("IGMPv{version} is spoken on {name}"), by)
        }));
        findings.extend(
            forced(interface, "ipv6", "mld", 1)
                .and_then(|sysctl| no_sources(config, false, &format!("MLDv1 is spoken on {name}"), Some(sysctl))),
        );
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

/// An old protocol cannot tell the network which sources are wanted; `by` is the setting that forces it. What is said of it,
/// if any are named for groups of the family.
fn no_sources(config: &Config, is_v4: bool, spoken: &str, by: Option<String>) -> Option<Finding> {
    let named = |feed: &&Feed| feed.group.is_ipv4() == is_v4 && !feed.sources.is_empty();
    let needs_one = |feed: &Feed| check_membership(feed.group, None).is_err();
    let feeds: Vec<_> = config.feeds.iter().filter(named).collect();
    let level = match feeds.iter().any(|feed| needs_one(feed)) {
        _ if feeds.is_empty() => return None,
        true => Level::Wrong,
        // They are sorted out here.
        false => Level::Warning,
    };
    let code = if is_v4 { "igmp-version" } else { "mld-version" };
    let seen = format!("{spoken}, which cannot ask the network for sources");
    Some(match by {
        Some(sysctl) => Finding::new(level, code, format_args!("{seen}; {sysctl} forces it"))
            .advice(format_args!("sysctl -w {sysctl}=0")),
        None => Finding::new(level, code, format_args!("{seen}; somebody on the network asks that way"))
            .advice("have the querier, a router or switch, use IGMPv3"),
    })
}

/// The setting that forces version `newest` of a protocol, or an older one, if one does.
fn forced(interface: &Interface, family: &str, protocol: &str, newest: u8) -> Option<String> {
    ["all", interface.name()].into_iter().find_map(|name| {
        // With slashes, for names of interfaces may have dots in them.
        let sysctl = format!("net/{family}/conf/{name}/force_{protocol}_version");
        let value: u8 = fs::read_to_string(format!("/proc/sys/{sysctl}")).ok()?.trim().parse().ok()?;
        (1..=newest).contains(&value).then_some(sysctl)
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
