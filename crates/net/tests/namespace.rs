//! What loopback cannot show: IPv6, MTU, link state, firewall.
#![expect(clippy::unwrap_used, reason = "test code")]

mod cable;

use std::net::IpAddr;
use std::time::Duration;

use cable::{drain, find, on_a_cable, sh, to};
use fleetcast_net::{Membership, ReceiveOptions, Receiver, SendError, SendOptions, Sender};

fn join(group: &str, source: Option<&str>, interface: &str) -> Receiver {
    let membership = Membership {
        group: group.parse().unwrap(),
        port: 5000,
        source: source.map(|source| source.parse().unwrap()),
        interface: find(interface),
    };
    Receiver::join(&[membership], &ReceiveOptions::default()).unwrap()
}

#[test]
fn ipv6_any_source_and_source_specific_groups_cross_the_cable() {
    on_a_cable(async || {
        let mut any = join("ff15::77", None, "vb");
        let mut link_local = join("ff12::77", None, "vb");
        let mut right = join("ff35::8000:77", Some("fd77::1"), "vb");
        let mut wrong = join("ff35::8000:77", Some("fd77::9"), "vb");
        let train: Vec<u8> = (0..100u8).flat_map(|i| [i; 1000]).collect();
        for group in ["ff15::77", "ff12::77", "ff35::8000:77"] {
            let options = SendOptions { dscp: 10, ..to(group, "fd77::1") };
            Sender::open(&options).unwrap().send(&train, 1000).await.unwrap();
        }
        for receiver in [&mut any, &mut link_local, &mut right] {
            let got = drain(receiver).await;
            let from: IpAddr = "fd77::1".parse().unwrap();
            assert_eq!(got.len(), 100);
            assert!(got.iter().zip(train.chunks(1000)).all(|((f, d), sent)| *f == from && d == sent));
        }
        assert!(drain(&mut wrong).await.is_empty());
    });
}

#[test]
fn a_group_joined_on_one_interface_is_not_heard_on_another() {
    on_a_cable(async || {
        for group in ["239.1.2.3", "ff15::77"] {
            // Loopback delivers to `va` itself; the cable leads to `vb`.
            let mut here = join(group, None, "va");
            let mut elsewhere = join(group, None, "lo");
            Sender::open(&to(group, "va")).unwrap().send(b"x", 0).await.unwrap();
            assert_eq!(drain(&mut here).await.len(), 1, "{group}");
            assert!(drain(&mut elsewhere).await.is_empty(), "{group}");
        }
    });
}

#[test]
fn without_loopback_this_host_hears_nothing_of_what_it_sends() {
    on_a_cable(async || {
        for group in ["239.1.2.3", "ff15::77"] {
            let mut here = join(group, None, "va");
            let options = SendOptions { loopback: false, ..to(group, "va") };
            Sender::open(&options).unwrap().send(b"x", 0).await.unwrap();
            assert!(drain(&mut here).await.is_empty(), "{group}");
        }
    });
}

#[test]
fn a_datagram_beyond_the_mtu_is_too_long_and_never_fragmented() {
    on_a_cable(async || {
        for (group, limit) in [("239.1.2.3", 1400 - 28), ("ff15::77", 1400 - 48)] {
            for gso in [true, false] {
                let mut receiver = join(group, None, "va");
                let mut sender = Sender::open(&SendOptions { gso, ..to(group, "va") }).unwrap();
                assert_eq!(sender.max_datagram().unwrap(), limit);
                for datagrams in [1, 10] {
                    let error = sender.send(&vec![0; (limit + 1) * datagrams], limit + 1).await.unwrap_err();
                    assert!(
                        matches!(error, SendError::TooLong { bytes, fits } if (bytes, fits) == (limit + 1, limit)),
                        "{error:?}"
                    );
                }
                let train = sender.max_segments(limit);
                assert_eq!(train > 1, gso, "the failure must not switch GSO off");
                sender.send(&vec![0; limit * 10], limit).await.unwrap();
                assert_eq!(drain(&mut receiver).await.len(), 10);
            }
        }
    });
}

#[test]
fn a_link_that_goes_down_and_comes_back_is_a_transient_error() {
    on_a_cable(async || {
        // (what breaks it, what mends it)
        for (broken, mended) in [
            ("ip link set va down", "ip link set va up"),
            ("ip addr del 10.77.0.1/24 dev va", "ip addr add 10.77.0.1/24 dev va"),
            ("nft add chain inet wall out { type filter hook output priority 0 ; policy drop ; }", "nft flush ruleset"),
        ] {
            for gso in [true, false] {
                let mut sender = Sender::open(&SendOptions { gso, ..to("239.1.2.3", "va") }).unwrap();
                let at_first = sender.max_segments(1000);
                sender.send(&[0; 3000], 1000).await.unwrap();
                sh("nft add table inet wall");
                sh(broken);
                let error = sender.send(&[0; 3000], 1000).await.unwrap_err();
                assert!(matches!(error, SendError::Transient(_)), "{broken}: {error:?}");
                sh(mended);
                sender.send(&[0; 3000], 1000).await.unwrap();
                assert_eq!(sender.max_segments(1000), at_first);
            }
        }
    });
}

#[test]
fn a_sender_finds_an_interface_that_was_made_anew_or_has_another_address() {
    on_a_cable(async || {
        let remade = [
            "ip link del va",
            "ip link add va mtu 1400 type veth peer name vb mtu 1400",
            "ip addr add 10.77.0.9/24 dev va",
            "ip link set va up",
            "ip link set vb up",
        ];
        let renumbered = ["ip addr del 10.77.0.9/24 dev va", "ip addr add 10.77.0.5/24 dev va"];
        for (broken, address) in [(&remade[..], "10.77.0.9"), (&renumbered, "10.77.0.5")] {
            // A port of its own must be free to be taken again.
            let mut sender = Sender::open(&SendOptions { source_port: 5001, ..to("239.1.2.3", "va") }).unwrap();
            sender.send(b"x", 0).await.unwrap();
            assert!(!sender.reopen().unwrap(), "nothing has changed");
            let (first, rest) = broken.split_first().unwrap();
            sh(first);
            let error = sender.reopen().unwrap_err();
            assert!(["interface-unknown", "open-no-address"].contains(&error.code()), "{error}");
            for command in rest {
                sh(command);
            }
            let error = sender.send(b"x", 0).await.unwrap_err();
            assert!(matches!(error, SendError::Transient(_)), "{error:?}");
            assert!(sender.reopen().unwrap());
            assert_eq!(sender.local_addr().unwrap(), format!("{address}:5001").parse().unwrap());
            let mut here = join("239.1.2.3", None, "va");
            sender.send(b"x", 0).await.unwrap();
            assert_eq!(drain(&mut here).await.len(), 1);
        }
    });
}

#[test]
fn an_interface_without_carrier_is_not_running() {
    on_a_cable(async || {
        let (cable, lo) = (find("va"), find("lo"));
        let running = || cable.is_running().unwrap();
        assert!(running() && lo.is_running().unwrap());
        sh("ip link set vb down");
        // The kernel tells of a carrier a moment later.
        while running() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sh("ip link set vb up");
        while !running() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sh("ip link set va down");
        assert!(!running());
        sh("ip link del va");
        assert!(!running());
    });
}

#[test]
fn a_sender_on_an_interface_without_ipv4_address_is_refused() {
    on_a_cable(async || {
        sh("ip addr flush dev va");
        let error = Sender::open(&to("239.1.2.3", "va")).unwrap_err();
        assert_eq!(error.code(), "open-no-address", "{error}");
    });
}
