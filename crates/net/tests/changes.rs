//! Memberships that come and go while a receiver runs.
#![expect(clippy::unwrap_used, reason = "test code")]

mod cable;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::IpAddr;

use cable::{drain, find, on_a_cable, sh, to};
use fleetcast_net::{JoinError, Membership, ReceiveOptions, Receiver, Sender};

/// A group and two addresses to send from, of each family.
const FAMILIES: [[&str; 3]; 2] = [["239.1.2.3", "10.77.0.1", "10.77.0.9"], ["ff15::77", "fd77::1", "fd77::9"]];

/// `group` on `va`, from all of `sources`, or from any if there are none.
fn from(group: &str, sources: &[&str]) -> Vec<Membership> {
    on("va", group, sources)
}

fn on(interface: &str, group: &str, sources: &[&str]) -> Vec<Membership> {
    let one = |source| Membership { group: group.parse().unwrap(), port: 5000, source, interface: find(interface) };
    if sources.is_empty() { vec![one(None)] } else { sources.iter().map(|s| one(Some(s.parse().unwrap()))).collect() }
}

fn second_addresses() {
    sh("ip addr add 10.77.0.9/24 dev va");
    sh("ip addr add fd77::9/64 dev va nodad");
}

async fn send(group: &str, source: &str) {
    Sender::open(&to(group, source)).unwrap().send(b"x", 0).await.unwrap();
}

/// Who is heard of those who send one datagram each to `group`.
async fn heard(receiver: &mut Receiver, group: &str, senders: &[&str]) -> Vec<IpAddr> {
    for sender in senders {
        send(group, sender).await;
    }
    drain(receiver).await.into_iter().map(|(from, _)| from).collect()
}

#[test]
fn the_sources_of_a_group_change_in_every_way() {
    on_a_cable(async || {
        second_addresses();
        for [group, one, two] in FAMILIES {
            let mut receiver = Receiver::new(&ReceiveOptions::default());
            let both = [one, two];
            let steps: [&[&str]; 8] = [&[one], &both, &[two], &[], &[one], &[], &both, &both];
            for sources in steps {
                receiver.change(&from(group, sources)).unwrap();
                let expected = if sources.is_empty() { &both } else { sources };
                let expected: Vec<IpAddr> = expected.iter().map(|s| s.parse().unwrap()).collect();
                assert_eq!(heard(&mut receiver, group, &both).await, expected, "{group} {sources:?}");
            }
            // Whoever wants all of them has them all.
            receiver.change(&[from(group, &[one]), from(group, &[])].concat()).unwrap();
            assert_eq!(heard(&mut receiver, group, &both).await.len(), 2);
            receiver.change(&[]).unwrap();
            assert!(heard(&mut receiver, group, &both).await.is_empty());
        }
    });
}

#[test]
fn what_stays_loses_nothing_whatever_else_comes_and_goes() {
    on_a_cable(async || {
        second_addresses();
        for [group, one, two] in FAMILIES {
            let other = FAMILIES.into_iter().find(|family| family[0] != group).unwrap();
            let lists = [
                from(group, &[one]),
                from(group, &[two, one]),
                [from(other[0], &[]), from(group, &[one])].concat(),
                [from(group, &[one]), on("vb", group, &[one])].concat(),
            ];
            let mut receiver = Receiver::join(&lists[0], &ReceiveOptions::default()).unwrap();
            let mut sender = Sender::open(&to(group, one)).unwrap();
            for nth in 0..200_u8 {
                sender.send(&[nth], 0).await.unwrap();
                receiver.change(&lists[usize::from(nth) % lists.len()]).unwrap();
                if nth % 50 == 0 {
                    receiver.refresh(|group, _, _| group.ip().to_string() == other[0]).unwrap();
                }
            }
            let came: Vec<_> = drain(&mut receiver).await.into_iter().map(|(_, datagram)| datagram[0]).collect();
            assert_eq!(came.into_iter().filter(|nth| *nth < 200).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_group_on_two_interfaces_is_heard_on_both_and_left_on_one() {
    on_a_cable(async || {
        // What arrives from the other end comes from an address of this host, and is wanted all the same.
        for (name, key, value) in [("all", "rp_filter", "0"), ("vb", "rp_filter", "0"), ("vb", "accept_local", "1")] {
            set(&format!("net/ipv4/conf/{name}/{key}"), value);
        }
        for [group, one, _] in FAMILIES {
            let both = [on("va", group, &[]), on("vb", group, &[])].concat();
            let mut receiver = Receiver::join(&both, &ReceiveOptions::default()).unwrap();
            assert_eq!(heard(&mut receiver, group, &[one]).await.len(), 2, "{group}");
            receiver.change(&both[1..]).unwrap();
            assert_eq!(heard(&mut receiver, group, &[one]).await.len(), 1, "{group}");
        }
    });
}

#[test]
fn memberships_that_are_reported_anew_are_heard_as_before() {
    on_a_cable(async || {
        second_addresses();
        for [group, one, two] in FAMILIES {
            for sources in [&[][..], &[one]] {
                let mut receiver = Receiver::join(&from(group, sources), &ReceiveOptions::default()).unwrap();
                let mut told = Vec::new();
                for _ in 0..3 {
                    let came = heard(&mut receiver, group, &[one, two]).await.len();
                    assert_eq!(came, if sources.is_empty() { 2 } else { 1 }, "{group} {sources:?}");
                    receiver
                        .refresh(|group, interface, heard| {
                            told.push((group.ip().to_string(), interface.name().to_owned()));
                            heard > 0
                        })
                        .unwrap();
                }
                assert_eq!(told, vec![(group.to_owned(), "va".to_owned()); 3]);
            }
        }
    });
}

#[test]
fn limits_of_the_kernel_are_told_by_their_names_and_what_fits_is_heard() {
    on_a_cable(async || {
        second_addresses();
        set("net/ipv4/igmp_max_msf", "2");
        let limit = |error: JoinError| match error {
            JoinError::Limit { sources, sysctl, .. } => (sources, sysctl, error.code()),
            other => panic!("{other}"),
        };
        let mut receiver = Receiver::new(&ReceiveOptions::default());
        let sources = ["10.77.0.1", "10.77.0.9", "10.77.0.10"];
        let error = receiver.change(&from("232.1.2.3", &sources)).unwrap_err();
        assert!(error.to_string().contains("raise the limit net.ipv4.igmp_max_msf"), "{error}");
        assert_eq!(limit(error), (2, "net.ipv4.igmp_max_msf", "join-limit"));
        assert_eq!(heard(&mut receiver, "232.1.2.3", &sources[..2]).await.len(), 2);
        // As many others fit in their place.
        receiver.change(&from("232.1.2.3", &sources[1..])).unwrap();
        assert_eq!(heard(&mut receiver, "232.1.2.3", &sources[..2]).await.len(), 1);
        set("net/ipv4/igmp_max_msf", "3");
        receiver.change(&from("232.1.2.3", &sources)).unwrap();

        set("net/ipv4/igmp_max_memberships", "0");
        let mut none = Receiver::new(&ReceiveOptions::default());
        let error = none.change(&from("239.1.2.3", &[])).unwrap_err();
        assert_eq!(limit(error), (0, "net.ipv4.igmp_max_memberships", "join-limit"));

        // That of IPv6 is one for all of the host: its default.
        let many: Vec<_> = (1..=1000).map(|n| format!("fd77::{n:x}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let error = Receiver::join(&from("ff35::77", &many), &ReceiveOptions::default()).unwrap_err();
        assert_eq!(limit(error).1, "net.ipv6.mld_max_msf");
    });
}

/// Sets a value of `/proc/sys`.
fn set(name: &str, value: &str) {
    let mut file = OpenOptions::new().write(true).open(format!("/proc/sys/{name}")).unwrap();
    file.write_all(value.as_bytes()).unwrap();
}
