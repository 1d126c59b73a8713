//! Sessions as capture files: classic pcap, Ethernet, IPv4, UDP.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;

use super::script::{Sent, Session};
use crate::capture::{ETHERNET, pcap};

/// Where everything is sent in captures.
pub(super) const GROUP: ([u8; 4], u16) = ([239, 255, 70, 67], 4701);

/// When the first packet of a case was sent, in Unix time.
pub(super) const START: u64 = 1_800_000_000;

/// The address of a sender in captures, one of those for documentation.
pub(super) fn address(sender: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, sender + 1)
}

/// The capture of a session.
pub(super) fn capture(session: &Session) -> Vec<u8> {
    let frame = |sent: &Sent| (START * 1_000_000 + sent.micros, frame(sent.sender, &sent.datagram));
    pcap(ETHERNET, &session.sent.iter().map(frame).collect::<Vec<_>>())
}

fn frame(sender: u8, datagram: &[u8]) -> Vec<u8> {
    let (group, port) = GROUP;
    let [_, b, c, d] = group;
    // RFC 1112 section 6.4.
    let to = [0x01, 0x00, 0x5E, b & 0x7F, c, d];
    let builder = PacketBuilder::ethernet2([0x02, 0, 0, 0, 0, sender + 1], to);
    let builder = builder.ipv4(address(sender).octets(), group, 1).udp(49_152 + u16::from(sender), port);
    let mut frame = Vec::with_capacity(builder.size(datagram.len()));
    builder.write(&mut frame, datagram).unwrap();
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_has_every_datagram_at_its_time() {
        let session = Session::of(&vec![vec![7; 30]]).pause(3).from(1, &vec![vec![8; 5]]);
        let file = capture(&session);
        assert_eq!(file.len(), 24 + 2 * (16 + 14 + 20 + 8) + 30 + 5);
        assert_eq!(&file[..4], b"\xd4\xc3\xb2\xa1");
        let second = &file[24 + 16 + 42 + 30..];
        assert_eq!(second[..4], u32::try_from(START + 3).unwrap().to_le_bytes());
        assert_eq!(&second[16 + 26..16 + 34], &[192, 0, 2, 2, 239, 255, 70, 67]);
        assert_eq!(&second[second.len() - 5..], &[8; 5]);
    }
}
