//! The kernel's tables of memberships, sockets and counters. What does not read as it should is left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Groups joined, with the index of the interface: of `/proc/net/igmp`, or of `/proc/net/igmp6`.
pub(super) fn groups(igmp: &str) -> Vec<(u32, IpAddr)> {
    let mut interface = None;
    let mut groups = Vec::new();
    for line in igmp.lines() {
        let mut words = line.split_ascii_whitespace();
        if line.starts_with('\t') {
            // Below its interface: the address as the number that its octets are in memory.
            let group = words.next().and_then(|word| u32::from_str_radix(word, 16).ok());
            let group = group.map(|word| Ipv4Addr::from(word.to_ne_bytes()).into());
            groups.extend(interface.zip(group));
        } else {
            interface = words.next().and_then(|word| word.parse().ok());
            // All in one line: index, name, address.
            let group = words.nth(1).and_then(v6);
            groups.extend(interface.zip(group.map(IpAddr::V6)));
        }
    }
    groups
}

/// Sources that are asked for by name, with group and index of the interface: of `/proc/net/mcfilter` or `mcfilter6`.
pub(super) fn sources(mcfilter: &str) -> Vec<(u32, IpAddr, IpAddr)> {
    let address = |word: &str| match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok().map(|number| Ipv4Addr::from(number).into()),
        None => v6(word).map(IpAddr::V6),
    };
    let row = |line: &str| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        // The name of the interface may have blanks cut off or in it, nothing else may.
        let [.., group, source, included, _excluded] = words[..] else { return None };
        let index = words.first()?.parse().ok()?;
        (included.parse::<u64>().ok()? > 0).then_some((index, address(group)?, address(source)?))
    };
    mcfilter.lines().filter_map(row).collect()
}

/// Version of IGMP that is spoken on an interface: of `/proc/net/igmp`.
pub(super) fn igmp_version(igmp: &str, index: u32) -> Option<u8> {
    let row = |line: &&str| line.split_ascii_whitespace().next().is_some_and(|word| word.parse() == Ok(index));
    let line = igmp.lines().filter(|line| !line.starts_with('\t')).find(row)?;
    line.split_ascii_whitespace().last()?.strip_prefix('V')?.parse().ok()
}

/// A counter of `/proc/net/netstat`.
pub(super) fn counter(netstat: &str, name: &str) -> Option<u64> {
    let lines: Vec<_> = netstat.lines().collect();
    lines.chunks_exact(2).find_map(|pair| {
        let at = pair[0].split_ascii_whitespace().position(|word| word == name)?;
        pair[1].split_ascii_whitespace().nth(at)?.parse().ok()
    })
}

/// How many sockets are bound to an address and port: of `/proc/net/udp`, or of `/proc/net/udp6`.
pub(super) fn sockets(udp: &str, address: IpAddr, port: u16) -> usize {
    let bytes: Vec<u8> = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    // Four octets each, as the number that they are in memory.
    let word = |octets: &[u8]| u32::from_ne_bytes(octets.try_into().unwrap_or_default());
    let words: Vec<_> = bytes.chunks_exact(4).map(|octets| format!("{:08X}", word(octets))).collect();
    let local = format!("{}:{port:04X}", words.concat());
    udp.lines().filter(|line| line.split_ascii_whitespace().nth(1) == Some(&local)).count()
}

/// 32 hexadecimal digits.
fn v6(word: &str) -> Option<Ipv6Addr> {
    let number = (word.len() == 32).then(|| u128::from_str_radix(word, 16).ok()).flatten()?;
    Some(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a little-endian kernel writes it.
    const IGMP: &str = "\
Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3
\t\t\t\t010000E0     1 0:00000000\t\t0
77\teth0      :     2      V2
\t\t\t\t434646EF     1 0:00000000\t\t0
\t\t\t\t010000E0     1 0:00000000\t\t0
";
    const IGMP6: &str = "\
1    lo              ff020000000000000000000000000001     1 0000000C 0
77   eth0            ff150000000000000000000000000077     1 00000004 0
";
    const MCFILTER: &str = "\
Idx Device        MCA        SRC    INC    EXC
 77   eth0 0xe8010101 0x0a090009      1      0
 77   eth0 0xe8010102 0x0a090009      0      1
";
    const MCFILTER6: &str = "\
Idx Device                Multicast Address                   Source Address    INC    EXC
 77   eth0 ff350000000000000000000080000001 fd000000000000000000000000000001      1      0
";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn groups_are_read_with_their_interfaces() {
        let expected = [(1, ip("224.0.0.1")), (77, ip("239.70.70.67")), (77, ip("224.0.0.1"))];
        assert_eq!(groups(IGMP), expected);
        assert_eq!(groups(IGMP6), [(1, ip("ff02::1")), (77, ip("ff15::77"))]);
        assert!(groups("").is_empty() && groups("x\n\ty\n\t\n7 \n").is_empty());
    }

    #[test]
    fn only_included_sources_are_asked_for() {
        assert_eq!(sources(MCFILTER), [(77, ip("232.1.1.1"), ip("10.9.0.9"))]);
        assert_eq!(sources(MCFILTER6), [(77, ip("ff35::8000:1"), ip("fd00::1"))]);
        assert!(sources("1 2 3\na b c d e f\n").is_empty());
    }

    #[test]
    fn the_version_is_that_of_the_interface() {
        assert_eq!((igmp_version(IGMP, 1), igmp_version(IGMP, 77), igmp_version(IGMP, 2)), (Some(3), Some(2), None));
    }

    #[test]
    fn counters_are_found_by_name() {
        let netstat = "TcpExt: A IPReversePathFilter\nTcpExt: 1 22\nIpExt: InMcastPkts\nIpExt: 9\n";
        assert_eq!(counter(netstat, "IPReversePathFilter"), Some(22));
        assert_eq!(counter(netstat, "InMcastPkts"), Some(9));
        assert_eq!((counter(netstat, "B"), counter("A", "A"), counter("A\n", "A")), (None, None, None));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets_are_counted_by_address_and_port() {
        let udp = "  sl  local_address rem_address\n 1: 434646EF:125D 00000000:0000 07\n 2: 434646EF:125D x\n 3: 00000000:125D x\n";
        assert_eq!((sockets(udp, ip("239.70.70.67"), 4701), sockets(udp, ip("0.0.0.0"), 4701)), (2, 1));
        let udp6 = " 1: 000015FF000000000000000077000000:125D x\n";
        assert_eq!((sockets(udp6, ip("ff15::77"), 4701), sockets(udp6, ip("ff15::77"), 4702)), (1, 0));
    }
}
