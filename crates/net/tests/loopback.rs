//! Real sockets on the loopback interface, IPv4.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use fleetcast_net::{
    GroupError, Interface, JoinError, MAX_DATAGRAM, Membership, OpenError, ReceiveOptions, Receiver, SendError,
    SendOptions, Sender,
};
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use tokio::time::timeout;

/// A group of this process alone; each test has a port of its own.
fn group(number: u8) -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // Administratively scoped (RFC 2365); process ids have 22 bits.
    Ipv4Addr::new(239, 192 + high, middle, low ^ number)
}

fn lo() -> Interface {
    Interface::find("lo").unwrap()
}

fn any_source(group: Ipv4Addr, port: u16) -> Membership {
    Membership { group: group.into(), port, source: None, interface: lo() }
}

fn options(group: Ipv4Addr, port: u16) -> SendOptions {
    SendOptions::new(SocketAddr::new(group.into(), port), lo())
}

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(20), test).await.unwrap() })
}

/// `count` datagrams of `size` bytes, each with its number and other content.
fn train(count: usize, size: usize) -> Vec<u8> {
    let byte = |i: usize| u8::try_from((i / size * 7 + i % size) % 251).unwrap();
    (0..count * size).map(byte).collect()
}

/// Receives until nothing has come for 200 ms.
async fn drain(receiver: &mut Receiver) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Ok(result) =
        timeout(Duration::from_millis(200), receiver.receive(|_, datagram| all.push(datagram.to_vec()))).await
    {
        result.unwrap();
    }
    all
}

#[test]
fn a_train_arrives_datagram_by_datagram_whatever_is_offloaded() {
    run(async {
        for (number, gso, gro) in [(0, true, true), (1, true, false), (2, false, true), (3, false, false)] {
            let port = 47_110 + u16::from(number);
            let receive = ReceiveOptions { gro, ..ReceiveOptions::default() };
            let mut receiver = Receiver::join(&[any_source(group(number), port)], &receive).unwrap();
            let mut sender = Sender::open(&SendOptions { gso, ..options(group(number), port) }).unwrap();
            assert_eq!(sender.max_segments(1044), if gso { 62 } else { 1 });

            // More than one train, and a short last datagram.
            let mut sent = train(150, 1044);
            sent.truncate(149 * 1044 + 17);
            sender.send(&sent, 1044).await.unwrap();
            sender.send(b"alone", 0).await.unwrap();

            let got = drain(&mut receiver).await;
            let expected: Vec<_> = sent.chunks(1044).chain([&b"alone"[..]]).map(<[u8]>::to_vec).collect();
            assert_eq!(got.len(), expected.len(), "gso {gso} gro {gro}");
            assert!(got == expected, "content differs, gso {gso} gro {gro}");
            assert_eq!((receiver.overlong(), receiver.dropped().unwrap()), (0, 0));
        }
    });
}

#[test]
fn the_source_address_is_the_interfaces_and_the_port_the_one_asked_for() {
    run(async {
        let mut receiver = Receiver::join(&[any_source(group(0), 47_120)], &ReceiveOptions::default()).unwrap();
        let mut sender = Sender::open(&SendOptions { source_port: 47_121, ..options(group(0), 47_120) }).unwrap();
        sender.send(b"x", 0).await.unwrap();
        let mut from = Vec::new();
        receiver.receive(|address, _| from.push(address)).await.unwrap();
        assert_eq!(from, ["127.0.0.1:47121".parse().unwrap()]);
        assert_eq!(sender.local_addr().unwrap(), from[0]);
    });
}

#[test]
fn another_group_or_unicast_on_the_same_port_is_not_heard() {
    run(async {
        let port = 47_130;
        let mut ours = Receiver::join(&[any_source(group(0), port)], &ReceiveOptions::default()).unwrap();
        // Somebody else on this host joins the other group.
        let mut theirs = Receiver::join(&[any_source(group(1), port)], &ReceiveOptions::default()).unwrap();
        let mut to_theirs = Sender::open(&options(group(1), port)).unwrap();
        to_theirs.send(b"theirs", 0).await.unwrap();
        let unicast = UdpSocket::bind("127.0.0.1:0").unwrap();
        unicast.send_to(b"unicast", (Ipv4Addr::LOCALHOST, port)).unwrap();
        let mut to_ours = Sender::open(&options(group(0), port)).unwrap();
        to_ours.send(b"ours", 0).await.unwrap();
        assert_eq!(drain(&mut ours).await, [b"ours"]);
        assert_eq!(drain(&mut theirs).await, [b"theirs"]);
    });
}

#[test]
fn two_receivers_of_one_group_and_port_both_hear_everything() {
    run(async {
        let join = || Receiver::join(&[any_source(group(0), 47_140)], &ReceiveOptions::default()).unwrap();
        let (mut first, mut second) = (join(), join());
        let mut sender = Sender::open(&options(group(0), 47_140)).unwrap();
        sender.send(&train(100, 500), 500).await.unwrap();
        assert_eq!(drain(&mut first).await.len(), 100);
        assert_eq!(drain(&mut second).await.len(), 100);
    });
}

#[test]
fn only_the_source_named_is_heard() {
    run(async {
        let [_, _, middle, low] = std::process::id().to_be_bytes();
        let group = Ipv4Addr::new(232, 77, middle, low);
        let join = |source: &str, port| {
            let membership = Membership { source: Some(source.parse().unwrap()), ..any_source(group, port) };
            Receiver::join(&[membership], &ReceiveOptions::default()).unwrap()
        };
        let mut right = join("127.0.0.1", 47_150);
        let mut wrong = join("127.0.0.9", 47_151);
        for port in [47_150, 47_151] {
            Sender::open(&options(group, port)).unwrap().send(b"x", 0).await.unwrap();
        }
        assert_eq!(drain(&mut right).await, [b"x"]);
        assert!(drain(&mut wrong).await.is_empty());
    });
}

#[test]
fn a_busy_group_does_not_keep_others_waiting() {
    run(async {
        let receive = ReceiveOptions { gro: false, ..ReceiveOptions::default() };
        let memberships = [any_source(group(0), 47_160), any_source(group(1), 47_161)];
        let mut receiver = Receiver::join(&memberships, &receive).unwrap();
        let mut busy = Sender::open(&options(group(0), 47_160)).unwrap();
        busy.send(&train(3000, 100), 100).await.unwrap();
        let mut quiet = Sender::open(&options(group(1), 47_161)).unwrap();
        quiet.send(b"quiet", 0).await.unwrap();

        let mut heard = Vec::new();
        while !heard.contains(&b"quiet".to_vec()) {
            receiver.receive(|_, datagram| heard.push(datagram.to_vec())).await.unwrap();
        }
        assert!(heard.len() < 700, "waited for {} others", heard.len());
        assert_eq!(heard.len() + drain(&mut receiver).await.len(), 3001);
    });
}

#[test]
fn a_wait_that_is_given_up_loses_nothing() {
    run(async {
        let mut receiver = Receiver::join(&[any_source(group(0), 47_170)], &ReceiveOptions::default()).unwrap();
        let mut sender = Sender::open(&options(group(0), 47_170)).unwrap();
        let mut count = 0;
        for _ in 0..50 {
            let given_up = timeout(Duration::from_micros(100), receiver.receive(|_, _| count += 1)).await;
            sender.send(b"x", 0).await.unwrap();
            assert!(given_up.is_err() || count > 0);
        }
        assert_eq!(count + drain(&mut receiver).await.len(), 50);
    });
}

#[test]
fn overlong_datagrams_are_counted_and_empty_ones_delivered() {
    run(async {
        for (number, gro) in [(0, true), (1, false)] {
            let receive = ReceiveOptions { max_datagram: 100, gro, ..ReceiveOptions::default() };
            let mut receiver = Receiver::join(&[any_source(group(number), 47_180)], &receive).unwrap();
            let other = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut sender = Sender::open(&options(group(number), 47_180)).unwrap();
            sender.send(&train(3, 101), 101).await.unwrap();
            sender.send(&train(1, MAX_DATAGRAM), 0).await.unwrap();
            sender.send(&train(2, 100), 100).await.unwrap();
            socket2::SockRef::from(&other).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
            other.send_to(b"", (group(number), 47_180)).unwrap();
            let lengths: Vec<_> = drain(&mut receiver).await.iter().map(Vec::len).collect();
            assert_eq!(lengths, [100, 100, 0], "gro {gro}");
            assert_eq!(receiver.overlong(), 4);
        }
    });
}

#[test]
fn drops_for_a_full_buffer_are_told() {
    run(async {
        let receive = ReceiveOptions { buffer: 64 << 10, gro: false, ..ReceiveOptions::default() };
        let mut receiver = Receiver::join(&[any_source(group(0), 47_190)], &receive).unwrap();
        assert_eq!(receiver.granted_buffer().unwrap(), 64 << 10);
        let mut sender = Sender::open(&options(group(0), 47_190)).unwrap();
        sender.send(&train(1000, 1000), 1000).await.unwrap();
        let heard = drain(&mut receiver).await.len();
        assert!((1..1000).contains(&heard), "{heard}");
        assert_eq!(receiver.dropped().unwrap(), 1000 - u64::try_from(heard).unwrap());
    });
}

/// Bytes waiting in, and arrivals dropped at, the IPv4 UDP socket with this local port.
fn queue_and_drops(port: u16) -> (u64, u64) {
    let table = std::fs::read_to_string("/proc/thread-self/net/udp").unwrap();
    let line = table.lines().find(|line| line.contains(&format!(":{port:04X} 00000000"))).unwrap();
    let fields: Vec<_> = line.split_whitespace().collect();
    let (_, queued) = fields[4].split_once(':').unwrap();
    (u64::from_str_radix(queued, 16).unwrap(), fields.last().unwrap().parse().unwrap())
}

#[test]
fn the_kernel_drops_what_is_sent_at_the_source_port() {
    run(async {
        let sender = Sender::open(&options(group(0), 47_200)).unwrap();
        let at = sender.local_addr().unwrap();
        let ordinary = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            ordinary.send_to(b"hello?", at).unwrap();
            ordinary.send_to(b"hello?", ordinary.local_addr().unwrap()).unwrap();
        }
        assert_eq!(queue_and_drops(at.port()), (0, 10));
        // The same look at a socket without the filter shows that the look is sound.
        let (queued, drops) = queue_and_drops(ordinary.local_addr().unwrap().port());
        assert!(queued > 0 && drops == 0, "{queued} {drops}");
    });
}

#[test]
fn a_datagram_that_fits_no_packet_is_too_long() {
    run(async {
        for gso in [true, false] {
            let mut sender = Sender::open(&SendOptions { gso, ..options(group(0), 47_210) }).unwrap();
            assert_eq!(sender.max_datagram().unwrap(), MAX_DATAGRAM);
            let error = sender.send(&vec![0; MAX_DATAGRAM + 1], 0).await.unwrap_err();
            assert!(
                matches!(error, SendError::TooLong { bytes, fits: MAX_DATAGRAM } if bytes == MAX_DATAGRAM + 1),
                "{error:?}"
            );
        }
    });
}

#[test]
fn what_cannot_be_a_group_is_refused() {
    run(async {
        let unicast = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
        let membership = Membership { group: unicast, ..any_source(group(0), 47_220) };
        let error = Receiver::join(&[membership], &ReceiveOptions::default()).unwrap_err();
        assert!(matches!(error, JoinError::Group(GroupError::NotMulticast { group }) if group == unicast));

        let to_unicast = SendOptions::new(SocketAddr::new(unicast, 47_220), lo());
        let error = Sender::open(&to_unicast).unwrap_err();
        assert!(matches!(error, OpenError::Group(GroupError::NotMulticast { group }) if group == unicast));

        let error = Sender::open(&SendOptions { dscp: 64, ..options(group(0), 47_220) }).unwrap_err();
        assert_eq!(error.code(), "open-dscp");
        assert_eq!(Receiver::join(&[], &ReceiveOptions::default()).unwrap_err().code(), "join-empty");
    });
}

#[test]
fn hops_and_dscp_are_on_every_datagram_alone_or_in_a_train() {
    run(async {
        // An ordinary socket that asks for the IP header fields of what it receives.
        let port = 47_230;
        let socket = UdpSocket::bind((group(0), port)).unwrap();
        socket.join_multicast_v4(&group(0), &Ipv4Addr::LOCALHOST).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        setsockopt(&socket, sockopt::IpRecvTos, &true).unwrap();
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true).unwrap();
        let mut sender = Sender::open(&SendOptions { dscp: 46, hops: 7, ..options(group(0), port) }).unwrap();
        sender.send(b"alone", 0).await.unwrap();
        sender.send(&train(3, 200), 200).await.unwrap();
        for length in [5, 200, 200, 200] {
            let mut buffer = [0; 1000];
            let mut space = cmsg_space!(u8, i32);
            let mut slices = [std::io::IoSliceMut::new(&mut buffer)];
            let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty()).unwrap();
            assert_eq!(message.bytes, length);
            let fields: Vec<_> = message.cmsgs().unwrap().collect();
            assert!(fields.contains(&ControlMessageOwned::Ipv4Tos(46 << 2)), "{fields:?}");
            assert!(fields.contains(&ControlMessageOwned::Ipv4Ttl(7)), "{fields:?}");
        }
    });
}
