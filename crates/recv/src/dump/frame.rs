//! From a captured frame to the UDP datagram in it.

use std::net::{IpAddr, SocketAddr};

use fleetcast_core::reader::{Reader, Truncated};

const UDP: u8 = 17;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86DD;
/// Tags of VLANs: 802.1Q, 802.1ad, and what was used before that.
const VLAN: [u16; 3] = [0x8100, 0x88A8, 0x9100];
/// Most VLAN tags, or IPv6 extension headers, of a frame.
const MAX_HEADERS: usize = 8;
const UDP_HEADER: u16 = 8;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Udp(Datagram<'a>),
    /// A part of a datagram that was cut up by IP: no packet of this protocol is.
    Fragment,
    /// Something else, or too little of it was captured.
    Other,
}

/// A UDP datagram, or as much of it as was captured. Checksums are not looked at: where cards compute them, they are wrong in
/// captures of what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) group: SocketAddr,
    /// Octets of its payload.
    pub(crate) octets: usize,
    /// Those that are here.
    pub(crate) payload: &'a [u8],
}

/// Finds the datagram in a frame of this link type.
pub(crate) fn find(link: u32, frame: &[u8]) -> Found<'_> {
    in_link(link, &mut Reader::new(frame)).unwrap_or(Found::Other)
}

fn in_link<'a>(link: u32, r: &mut Reader<'a>) -> Result<Found<'a>, Truncated> {
    match link {
        // BSD's loopback: the family of addresses, in whatever order.
        0 | 108 => r.take(4).and_then(|_| in_ip(r)),
        // Ethernet.
        1 => r.take(12).and_then(|_| in_ether_type(r)),
        // Bare IP, by its various names.
        12 | 14 | 101 | 228 | 229 => in_ip(r),
        // Linux cooked, v1.
        113 => r.take(14).and_then(|_| in_ether_type(r)),
        // Linux cooked, v2: the type comes first.
        276 => {
            let [a, b] = r.array()?;
            r.take(18)?;
            in_type(u16::from_be_bytes([a, b]), r)
        }
        _ => Ok(Found::Other),
    }
}

fn in_ether_type<'a>(r: &mut Reader<'a>) -> Result<Found<'a>, Truncated> {
    let kind = u16::from_be_bytes(r.array()?);
    in_type(kind, r)
}

fn in_type<'a>(mut kind: u16, r: &mut Reader<'a>) -> Result<Found<'a>, Truncated> {
    for _ in 0..MAX_HEADERS {
        if !VLAN.contains(&kind) {
            break;
        }
        r.take(2)?;
        kind = u16::from_be_bytes(r.array()?);
    }
    if [IPV4, IPV6].contains(&kind) { in_ip(r) } else { Ok(Found::Other) }
}

fn in_ip<'a>(r: &mut Reader<'a>) -> Result<Found<'a>, Truncated> {
    match r.rest().first().map(|octet| octet >> 4) {
        Some(4) => in_ipv4(r),
        Some(6) => in_ipv6(r),
        _ => Ok(Found::Other),
    }
}

fn in_ipv4<'a>(r: &mut Reader<'a>) -> Result<Found<'a>, Truncated> {
    let [version_and_words, _tos, _, _, _, _, f0, f1, _ttl, protocol, _, _] = r.array()?;
    let (source, group): ([u8; 4], [u8; 4]) = (r.array()?, r.array()?);
    r.take((usize::from(version_and_words & 0x0F) * 4).checked_sub(20).ok_or(Truncated)?)?;
    if protocol != UDP {
        return Ok(Found::Other);
    }
    // More fragments, or not the first.
    if u16::from_be_bytes([f0, f1]) & 0x3FFF != 0 {
        return Ok(Found::Fragment);
    }
    in_udp(source.into(), group.into(), r)
}

fn in_ipv6<'a>(r: &mut Reader<'a>) -> Result<Found<'a>, Truncated> {
    let [_, _, _, _, _, _, mut next, _hops] = r.array()?;
    let (source, group): ([u8; 16], [u8; 16]) = (r.array()?, r.array()?);
    for _ in 0..MAX_HEADERS {
        match next {
            UDP => return in_udp(source.into(), group.into(), r),
            // Hop by hop, routing, destination options.
            0 | 43 | 60 => {
                let [following, words] = r.array()?;
                r.take(6 + usize::from(words) * 8)?;
                next = following;
            }
            44 => {
                let [following, _, o0, o1] = r.array()?;
                r.take(4)?;
                if u16::from_be_bytes([o0, o1]) & 0xFFF9 != 0 {
                    let is_ours = following == UDP;
                    return Ok(if is_ours { Found::Fragment } else { Found::Other });
                }
                next = following;
            }
            _ => break,
        }
    }
    Ok(Found::Other)
}

fn in_udp<'a>(source: IpAddr, group: IpAddr, r: &mut Reader<'a>) -> Result<Found<'a>, Truncated> {
    let [s0, s1, g0, g1, l0, l1, _, _] = r.array()?;
    let octets = u16::from_be_bytes([l0, l1]).checked_sub(UDP_HEADER).ok_or(Truncated)?.into();
    let payload = r.rest();
    Ok(Found::Udp(Datagram {
        source: SocketAddr::new(source, u16::from_be_bytes([s0, s1])),
        group: SocketAddr::new(group, u16::from_be_bytes([g0, g1])),
        octets,
        // Short frames of Ethernet are filled up.
        payload: payload.get(..octets).unwrap_or(payload),
    }))
}
