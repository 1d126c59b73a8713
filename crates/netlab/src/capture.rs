//! Captures of datagrams that no network has carried: pcap and pcapng.

use std::net::{IpAddr, SocketAddr};

use etherparse::PacketBuilder;

/// Link types of captures.
pub const ETHERNET: u32 = 1;
/// Bare IP.
pub const RAW_IP: u32 = 101;
/// Linux cooked, v1.
pub const COOKED: u32 = 113;
/// Linux cooked, v2.
pub const COOKED_2: u32 = 276;

const MAGIC: u32 = 0xA1B2_C3D4;

/// A UDP datagram by IP.
///
/// # Panics
///
/// If it is too long, or the addresses are of two families.
#[must_use]
pub fn ip(source: SocketAddr, group: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let builder = match (source.ip(), group.ip()) {
        (IpAddr::V4(source), IpAddr::V4(group)) => PacketBuilder::ipv4(source.octets(), group.octets(), 1),
        (IpAddr::V6(source), IpAddr::V6(group)) => PacketBuilder::ipv6(source.octets(), group.octets(), 1),
        _ => panic!("{source} does not send to {group}"),
    };
    let mut octets = Vec::new();
    builder.udp(source.port(), group.port()).write(&mut octets, payload).unwrap();
    octets
}

/// The frame of a link type around IP, with these VLAN tags if it is Ethernet.
///
/// # Panics
///
/// For a link type that is none of those here.
#[must_use]
pub fn frame(link: u32, vlans: &[u16], ip: &[u8]) -> Vec<u8> {
    let ether_type = if ip[0] >> 4 == 6 { [0x86, 0xDD] } else { [0x08, 0x00] };
    let head = match link {
        RAW_IP => vec![],
        ETHERNET => {
            let tags = vlans.iter().flat_map(|vlan| [[0x81, 0x00], vlan.to_be_bytes()].concat());
            [0x01, 0, 0x5E, 1, 1, 1, 2, 0, 0, 0, 0, 1].into_iter().chain(tags).chain(ether_type).collect()
        }
        COOKED => [&[0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &ether_type].concat(),
        COOKED_2 => [&ether_type[..], &[0, 0, 0, 0, 0, 2, 0, 1, 2, 6, 2, 0, 0, 0, 0, 1, 0, 0]].concat(),
        _ => panic!("link type {link}"),
    };
    [&head, ip].concat()
}

/// A pcap file of frames, each with its time in microseconds.
///
/// # Panics
///
/// If a frame is too long.
#[must_use]
pub fn pcap(link: u32, frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let words = [MAGIC, 2 | 4 << 16, 0, 0, 0xFFFF, link];
    let mut octets: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for (time, frame) in frames {
        let len = u32::try_from(frame.len()).unwrap();
        let [seconds, micros] = [time / 1_000_000, time % 1_000_000].map(|part| u32::try_from(part).unwrap());
        octets.extend([seconds, micros, len, len].iter().flat_map(|word| word.to_le_bytes()));
        octets.extend(frame);
    }
    octets
}

/// A pcapng file of frames, each with its link type and its time in microseconds; every link type is an interface of its own
/// with another resolution of time. A block of another kind is in front of each.
///
/// # Panics
///
/// If a frame is too long, or a time has too many ticks.
#[must_use]
pub fn pcapng(frames: &[(u32, u64, Vec<u8>)]) -> Vec<u8> {
    // Big-endian, unlike pcap.
    let block = |kind: u32, body: &[u8]| {
        let len = u32::try_from(body.len().next_multiple_of(4) + 12).unwrap().to_be_bytes();
        let pad = vec![0; body.len().next_multiple_of(4) - body.len()];
        [&kind.to_be_bytes()[..], &len, body, &pad, &len].concat()
    };
    let mut octets = block(0x0A0D_0D0A, &[&[0x1A, 0x2B, 0x3C, 0x4D, 0, 1, 0, 0][..], &[0xFF; 8]].concat());
    let mut links: Vec<u32> = Vec::new();
    for (link, time, frame) in frames {
        let interface = links.iter().position(|known| known == link).unwrap_or_else(|| {
            let [.., high, low] = link.to_be_bytes();
            // Powers of 10, then of 2.
            let resolution = if links.len().is_multiple_of(2) { 9 } else { 0x80 + 20 };
            octets.extend(block(1, &[high, low, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, resolution, 0, 0, 0, 0, 0, 0, 0]));
            links.push(*link);
            links.len() - 1
        });
        let ticks = if interface.is_multiple_of(2) {
            time * 1000
        } else {
            u64::try_from((u128::from(*time) << 20).div_ceil(1_000_000)).unwrap()
        };
        let len = u32::try_from(frame.len()).unwrap().to_be_bytes();
        octets.extend(block(5, &[0; 12]));
        let head = [&u32::try_from(interface).unwrap().to_be_bytes()[..], &ticks.to_be_bytes(), &len, &len].concat();
        octets.extend(block(6, &[head, frame.clone()].concat()));
    }
    octets
}
