//! Captures in every form, packets of every kind, and garbage.

use std::net::SocketAddr;

use fleetcast_core::nack;
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_core::wire::{Header, Object, StatementKind, Tsi};
use fleetcast_netlab::authority::{beacon, root, signed_root};
use fleetcast_netlab::capture::{COOKED, COOKED_2, ETHERNET, RAW_IP, frame as framed, ip, pcap, pcapng};
use fleetcast_netlab::release::{Release, facts, trust};
use proptest::prelude::*;

use super::*;

const V4: (&str, &str) = ("192.0.2.1:50000", "239.77.1.1:4701");
const V6: (&str, &str) = ("[2001:db8::1]:50000", "[ff15::77]:4701");

fn place(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn datagram((source, group): (&str, &str), payload: &[u8]) -> Vec<u8> {
    ip(place(source), place(group), payload)
}

/// A release of 200 source and 50 repair chunks of 64 octets.
fn release(names: &[&str], sequence: u64) -> Release {
    let parameters = Parameters { size: 12_750, chunk: 64, cell: 8, repair: 25, digest: 16, cap_len: 16 };
    let image = (0..12_750_u32).flat_map(|i| i.to_be_bytes()[3..].to_vec()).collect();
    Release::signed_by(names, &facts(sequence), vec![("rootfs", image, Geometry::new(&parameters).unwrap())])
}

/// Packets of slots, counted from 0.
fn packets(release: &Release, slots: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for slot in slots {
        let (mut packet, count) = (Vec::new(), u32::try_from(packets.len()).unwrap());
        if release.carousel.packet(slot, count, &mut packet) {
            packets.push(packet);
        }
    }
    packets
}

fn statement(kind: StatementKind, number: u16, statement: &[u8]) -> Vec<u8> {
    let header = Header { layer: 0, count: 0, tsi: Tsi([7; 4]), object: Object::Statement { kind, number } };
    [&header.encode()[..], statement].concat()
}

/// What comes of packets 1 ms apart.
fn dump(trust: Option<Trust>, packets: &[Vec<u8>]) -> Dump {
    let mut dump = Dump::new(trust, vec![]);
    for (packet, millis) in packets.iter().zip(0..) {
        dump.now = 1_700_000_000_000_000 + millis * 1000;
        let (source, group) = (place(V4.0), place(V4.1));
        dump.take(Datagram { source, group, octets: packet.len(), payload: packet });
    }
    dump
}

/// Time, link type and octets.
type Read = (Option<u64>, u32, Vec<u8>);

fn frames(capture: &[u8]) -> Result<Vec<Read>, CaptureError> {
    let mut capture = Capture::open(capture)?;
    let mut frames = Vec::new();
    while let Some(frame) = capture.next_frame()? {
        frames.push((frame.time, frame.link, frame.octets.to_vec()));
    }
    Ok(frames)
}

#[test]
fn frames_and_their_times_are_read_from_captures_of_both_forms() {
    let times = [1_700_000_000_000_001, 1_700_000_000_999_999, 3];
    let list: Vec<_> =
        times.into_iter().zip([1, 2, 3]).map(|(time, len)| (time, vec![len; usize::from(len)])).collect();
    let read = frames(&pcap(RAW_IP, &list)).unwrap();
    assert_eq!(read, list.iter().map(|(time, frame)| (Some(*time), RAW_IP, frame.clone())).collect::<Vec<_>>());

    let mixed: Vec<_> = list
        .iter()
        .zip([ETHERNET, COOKED_2, ETHERNET])
        .map(|((time, frame), link)| (link, *time, frame.clone()))
        .collect();
    let read = frames(&pcapng(&mixed)).unwrap();
    assert_eq!(read, mixed.iter().map(|(link, time, frame)| (Some(*time), *link, frame.clone())).collect::<Vec<_>>());

    // Nanoseconds, the other octet order.
    let mut swapped = 0xA1B2_3C4D_u32.to_be_bytes().to_vec();
    swapped.extend([0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 101]);
    swapped.extend([0, 0, 0, 1, 0, 0, 0x0B, 0xB8, 0, 0, 0, 1, 0, 0, 0, 9, 0x77]);
    assert_eq!(frames(&swapped).unwrap(), [(Some(1_000_003), 101, vec![0x77])]);

    // A simple packet has no time; a second section describes its interfaces anew.
    let mut simple = pcapng(&[(RAW_IP, 5, vec![1])]);
    simple.extend([0, 0, 0, 3, 0, 0, 0, 20, 0, 0, 0, 2, 8, 9, 0, 0, 0, 0, 0, 20]);
    simple.extend(pcapng(&[(COOKED, 6, vec![2])]));
    let read = frames(&simple).unwrap();
    assert_eq!(read, [(Some(5), RAW_IP, vec![1]), (None, RAW_IP, vec![8, 9]), (Some(6), COOKED, vec![2])]);
}

#[test]
fn captures_that_are_none_damaged_or_cut_off_are_told_apart() {
    for none in [&b""[..], b"\xd4", b"GIF89a", &[0; 100]] {
        assert!(matches!(frames(none), Err(CaptureError::Magic)), "{none:?}");
    }
    for whole in [pcap(RAW_IP, &[(1, vec![0; 40])]), pcapng(&[(RAW_IP, 1, vec![0; 40])])] {
        assert!(frames(&whole).is_ok());
        let (mut ends, mut cuts) = (0, 0);
        for len in 4..whole.len() {
            match frames(&whole[..len]) {
                Ok(_) => ends += 1,
                Err(CaptureError::Cut) => cuts += 1,
                other => panic!("{len}: {other:?}"),
            }
        }
        // Between two records, or blocks.
        assert_eq!((ends, cuts), (if whole[0] == 0x0A { 3 } else { 1 }, whole.len() - 4 - ends), "{ends}");
    }
    let mut long = pcap(RAW_IP, &[(1, vec![0; 40])]);
    long[24 + 8..24 + 12].fill(0xFF);
    assert!(matches!(frames(&long), Err(CaptureError::Damaged(_))));
    let mut stranger = pcapng(&[(RAW_IP, 1, vec![0; 40])]);
    let at = stranger.windows(4).rposition(|word| word == [0, 0, 0, 6]).unwrap();
    stranger[at + 11] = 1;
    assert!(matches!(frames(&stranger), Err(CaptureError::Damaged(_))));
}

#[test]
fn datagrams_are_found_behind_every_link_layer() {
    for (source, group) in [V4, V6] {
        let ip = datagram((source, group), b"payload");
        let found = Datagram { source: place(source), group: place(group), octets: 7, payload: b"payload" };
        for link in [ETHERNET, RAW_IP, COOKED, COOKED_2] {
            assert_eq!(frame::find(link, &framed(link, &[], &ip)), Found::Udp(found), "{link}");
        }
        assert_eq!(frame::find(ETHERNET, &framed(ETHERNET, &[5, 6], &ip)), Found::Udp(found));
        assert_eq!(frame::find(0, &[&[2, 0, 0, 0][..], &ip].concat()), Found::Udp(found));
        // Short frames are filled up; a snap length cuts.
        assert_eq!(frame::find(RAW_IP, &[&ip[..], &[0; 20]].concat()), Found::Udp(found));
        let cut = Datagram { payload: b"pay", ..found };
        assert_eq!(frame::find(RAW_IP, &ip[..ip.len() - 4]), Found::Udp(cut));
        for len in 0..ip.len() - 7 {
            assert_eq!(frame::find(RAW_IP, &ip[..len]), Found::Other, "{len}");
        }
        assert_eq!(frame::find(147, &ip), Found::Other);
    }
}

#[test]
fn options_and_extension_headers_are_passed_over_and_fragments_are_told() {
    let mut with_options = datagram(V4, b"x");
    with_options[0] = 0x46;
    with_options.splice(20..20, [1, 1, 1, 1]);
    assert!(matches!(frame::find(RAW_IP, &with_options), Found::Udp(found) if found.payload == b"x"));
    let mut with_hops = datagram(V6, b"x");
    with_hops[6] = 0;
    with_hops.splice(40..40, [17, 0, 5, 2, 0, 0, 1, 0]);
    assert!(matches!(frame::find(RAW_IP, &with_hops), Found::Udp(found) if found.payload == b"x"));

    let mut first = datagram(V4, b"x");
    first[6] = 0x20;
    let mut later = datagram(V4, b"x");
    later[7] = 5;
    let mut v6 = datagram(V6, b"x");
    v6[6] = 44;
    let whole = [&v6[..40], &[17, 0, 0, 0, 0, 0, 0, 1], &v6[40..]].concat();
    v6.splice(40..40, [17, 0, 0, 9, 0, 0, 0, 1]);
    for fragment in [first, later, v6] {
        assert_eq!(frame::find(RAW_IP, &fragment), Found::Fragment);
    }
    // A fragment that is all of it.
    assert!(matches!(frame::find(RAW_IP, &whole), Found::Udp(found) if found.payload == b"x"));
    let mut tcp = datagram(V4, b"x");
    tcp[9] = 6;
    assert_eq!(frame::find(RAW_IP, &tcp), Found::Other);
}

#[test]
fn a_genuine_release_verifies_by_its_key_and_only_agrees_with_itself_without() {
    let release = release(&["release"], 1);
    let packets = packets(&release, 0..600);
    let report = dump(Some(trust()), &packets).report();
    let sender = &report.senders[0];
    assert_eq!(sender.verdicts.verified, packets.len() as u64);
    assert!(report.sessions[0].vouched.verified && report.is_any_verified());
    let cycle = report.sessions[0].cycle;
    assert_eq!(cycle.packets, 200 + 50 + 2 * (25 + 7));
    // A packet a millisecond.
    assert!((sender.amount.packets_per_second.unwrap() - 1000.0).abs() < 1e-6);

    let report = dump(None, &packets).report();
    let verdicts = &report.senders[0].verdicts;
    assert_eq!((verdicts.verified, verdicts.claimed), (0, packets.len() as u64));
    assert!(!report.sessions[0].vouched.verified && !report.is_any_verified());
    assert!(report.to_string().contains("NOTHING IS VERIFIED"), "{report}");
}

#[test]
fn what_is_forged_is_told_by_its_code_and_what_cannot_be_judged_by_why() {
    let release = release(&["release"], 1);
    let genuine = packets(&release, 0..100);
    let at = genuine.iter().position(|packet| packet[3] == 1).unwrap();
    let mut page = genuine[at].clone();
    page[30] ^= 1;
    let mut chunk = genuine[at + 1].clone();
    chunk[30] ^= 1;
    let mut nowhere = genuine[at + 1].clone();
    nowhere[16] = 9;
    let mut manifest = genuine[0].clone();
    assert_eq!(manifest[3], 0);
    let last = manifest.len() - 1;
    manifest[last] ^= 1;
    let mut tsi = genuine[0].clone();
    tsi[8] ^= 1;
    let mut version = chunk.clone();
    version[0] = 0x20;
    let early = genuine[at + 1].clone();
    let all = [
        &[early, genuine[0].clone(), genuine[at + 1].clone()],
        &genuine[at..=at],
        &[page, chunk, nowhere, manifest, tsi, version],
    ]
    .concat();
    let report = dump(Some(trust()), &all).report();
    let verdicts = &report.senders[0].verdicts;
    assert_eq!(verdicts.verified, 2, "{verdicts:?}");
    assert_eq!(verdicts.unjudged.iter().collect::<Vec<_>>(), [(&"no-page", &1), (&"other-session", &1)]);
    let dropped: Vec<_> = verdicts.dropped.iter().map(|(code, n)| (*code, *n)).collect();
    let expected =
        [("chunk-digest", 1), ("page-digest", 1), ("range", 1), ("threshold", 1), ("tsi", 1), ("version", 1)];
    assert_eq!(dropped, expected);
    // The forged signature does not take the genuine one's place.
    assert_eq!(report.sessions.len(), 1);
    assert!(report.sessions[0].vouched.verified);
}

#[test]
fn a_release_of_strangers_is_told_as_refused_and_its_packets_as_its_own_claim() {
    let stranger = release(&["stranger"], 9);
    let report = dump(Some(trust()), &packets(&stranger, 0..300)).report();
    let session = &report.sessions[0];
    assert_eq!((session.vouched.verified, session.vouched.refused), (false, Some("threshold")));
    let verdicts = &report.senders[0].verdicts;
    assert!(verdicts.verified == 0 && verdicts.claimed > 200 && verdicts.dropped["threshold"] > 1, "{verdicts:?}");
    assert!(!report.is_any_verified() && report.to_string().contains("NOT VERIFIED, refused (threshold)"), "{report}");
}

#[test]
fn roots_are_walked_and_what_they_revoke_counts_no_longer() {
    let first = root(1, &["root-1"], &["release"], &["beacon"]);
    let second = root(2, &["root-2"], &["release-2"], &["beacon"]);
    let (one, two) = (signed_root(&first, &["root-1"]), signed_root(&second, &["root-1", "root-2"]));
    let forged = signed_root(&second, &["stranger", "root-2"]);
    let packet = |version, octets: &[u8]| statement(StatementKind::Root, version, octets);
    let trust = || Some(Trust::from_root(&one).unwrap());
    let (old, new) = (release(&["release"], 1), release(&["release-2"], 2));
    let now = 1_700_000_000;
    let beacons = |root| statement(StatementKind::Beacon, 0, &beacon(root, now - 9, (1, [1; 32]), &["beacon"]));
    let mut all = packets(&old, 0..40);
    let genuine = all.len() as u64;
    all.extend([packet(2, &forged), packet(3, &two), packet(1, &one), beacons(2)]);
    let report = dump(trust(), &all).report();
    assert_eq!(report.senders[0].verdicts.verified, genuine + 2);
    assert_eq!(
        report.senders[0].verdicts.dropped.iter().collect::<Vec<_>>(),
        [(&"root-version", &1), (&"threshold", &1)]
    );
    assert_eq!((report.beacons[0].state, report.beacons[0].vouched.verified), ("behind", true));

    all.extend([packet(2, &two), packet(2, &two), packet(1, &one)]);
    all.extend(packets(&new, 0..40));
    let report = dump(trust(), &all).report();
    assert_eq!(report.trust.as_ref().unwrap().version, 2);
    assert_eq!(report.beacons[0].state, "good");
    let sessions: Vec<_> =
        report.sessions.iter().map(|s| (s.sequence, s.vouched.verified, s.vouched.refused)).collect();
    assert_eq!(sessions, [(2, true, None), (1, false, Some("threshold"))]);
    let roots: Vec<_> = report.roots.iter().map(|r| (r.root.version, r.vouched.verified)).collect();
    assert_eq!(roots, [(2, true), (1, true)]);
}

#[test]
fn requests_and_other_traffic_are_no_packets_and_a_sender_of_ours_is_known_by_its_first() {
    let chunk = packets(&release(&["release"], 1), 0..3).remove(2);
    let request = nack::encode(&[1; 16], &[nack::Entry { component: 0, cell: 1, page: true, slots: 0 }]);
    let report = dump(None, &[b"hello".to_vec(), request, chunk, b"hello".to_vec()]).report();
    assert_eq!((report.others.datagrams, report.others.requests, report.packets), (1, 1, 2));
    assert_eq!(report.senders[0].verdicts.dropped["truncated"], 1);
    assert!(dump(None, &[b"hello".to_vec()]).report().is_empty());
    let mut asked = Dump::new(None, vec![place(V4.1)]);
    for group in [V4.1, "239.77.1.2:4701"] {
        asked.take(Datagram { source: place(V4.0), group: place(group), octets: 5, payload: b"hello" });
    }
    let report = asked.report();
    assert_eq!((report.packets, report.others.datagrams, report.is_empty()), (1, 1, true));
}

#[test]
fn packets_cut_by_a_snap_length_are_counted_and_not_judged() {
    let genuine = packets(&release(&["release"], 1), 0..20);
    let mut dump = Dump::new(Some(trust()), vec![]);
    for packet in &genuine {
        let ip = datagram(V4, packet);
        dump.take_frame(RAW_IP, &ip[..28 + 30]);
    }
    let report = dump.report();
    assert_eq!(report.senders[0].verdicts.unjudged["truncated"], genuine.len() as u64);
    assert_eq!(report.senders[0].amount.octets, genuine.iter().map(|packet| packet.len() as u64).sum::<u64>());
}

#[test]
fn floods_of_senders_sessions_and_statements_find_their_bounds() {
    let genuine = packets(&release(&["release"], 500), 0..300);
    let mut dump = Dump::new(Some(trust()), vec![]);
    let mut take = |source: SocketAddr, packet: &[u8]| {
        dump.take(Datagram { source, group: place(V4.1), octets: packet.len(), payload: packet });
    };
    for sequence in 1..100 {
        let stranger = release(&["stranger"], sequence);
        for packet in packets(&stranger, 0..30) {
            take(place("192.0.2.9:9"), &packet);
        }
        let beacon = beacon(1, 1_700_000_000 + sequence, (1, [1; 32]), &["stranger"]);
        take(place("192.0.2.9:9"), &statement(StatementKind::Beacon, 0, &beacon));
    }
    for packet in &genuine {
        take(place(V4.0), packet);
    }
    for port in 1..1000 {
        take(SocketAddr::new(place("192.0.2.9:9").ip(), port), &genuine[1]);
    }
    let report = dump.report();
    assert!(report.senders.len() == 256 && report.sessions.len() == 17 && report.beacons.len() == 32);
    assert!(report.others.untold_packets > 700 && report.others.untold_statements > 100);
    let sender = report.senders.iter().find(|sender| sender.source == place(V4.0)).unwrap();
    assert_eq!(sender.verdicts.verified, genuine.len() as u64);
    assert!(report.sessions[0].vouched.verified);
}

#[test]
fn senders_of_nothing_right_give_way_to_one_that_comes_late() {
    let genuine = packets(&release(&["release"], 1), 0..50);
    let mut dump = Dump::new(Some(trust()), vec![place(V4.1)]);
    let mut take = |source: SocketAddr, packet: &[u8]| {
        dump.take(Datagram { source, group: place(V4.1), octets: packet.len(), payload: packet });
    };
    let mut flood = (1..20_000).map(|port| SocketAddr::new(place("192.0.2.9:9").ip(), port));
    flood.by_ref().take(600).for_each(|source| take(source, b"nonsense"));
    for packet in &genuine {
        take(place(V4.0), packet);
        flood.by_ref().take(300).for_each(|source| take(source, b"nonsense"));
    }
    let report = dump.report();
    let sender = report.senders.iter().find(|sender| sender.source == place(V4.0)).unwrap();
    assert_eq!((report.senders.len(), sender.verdicts.verified), (256, genuine.len() as u64));
    assert_eq!(report.others.untold_packets, 600 + 50 * 300 - 255);
}

#[test]
fn signatures_are_verified_up_to_a_budget_and_pages_are_kept_up_to_a_bound() {
    let manifest = packets(&release(&["release"], 1), 0..3).remove(0);
    let forged = |octet: u8| [&manifest[..manifest.len() - 1], &[manifest[manifest.len() - 1] ^ octet]].concat();
    let report = dump(Some(trust()), &(1..=100).map(forged).collect::<Vec<_>>()).report();
    let verdicts = &report.senders[0].verdicts;
    assert_eq!((verdicts.dropped["threshold"], verdicts.unjudged["budget"]), (64, 36));

    let parameters = Parameters { size: 64 * 8 * 300, chunk: 64, cell: 8, repair: 0, digest: 16, cap_len: 16 };
    let image = (0..64 * 8 * 300_u32).flat_map(|i| i.to_be_bytes()[3..].to_vec()).collect();
    let long =
        Release::signed_by(&["release"], &facts(1), vec![("rootfs", image, Geometry::new(&parameters).unwrap())]);
    let all = packets(&long, 0..5000);
    let first = all.iter().position(|packet| packet[3] == 1).unwrap();
    let pages = all.iter().filter(|packet| packet[3] == 1).take(300).cloned();
    let early = [all[0].clone(), all[first].clone(), all[first + 1].clone()].into_iter();
    let report = dump(Some(trust()), &early.chain(pages).chain([all[first + 1].clone()]).collect::<Vec<_>>()).report();
    assert_eq!((report.sessions[0].chunks, report.senders[0].verdicts.unjudged["no-page"]), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_octets_make_it_fail(
        octets in proptest::collection::vec(any::<u8>(), 0..300),
        at in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        link in prop::sample::select(vec![0, ETHERNET, RAW_IP, COOKED, COOKED_2, 9]),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut dump = Dump::new(None, vec![]);
        dump.take_frame(link, &octets);
        for mut capture in [
            pcap(RAW_IP, &[(1, octets.clone()), (2, datagram(V4, &octets))]),
            pcapng(&[(link, 1, octets.clone()), (RAW_IP, 2, datagram(V6, &octets))]),
        ] {
            for (index, octet) in &at {
                let index = index.index(capture.len());
                capture[index] = *octet;
            }
            capture.truncate(cut.index(capture.len()) + 1);
            let _ = read(&capture[..], &mut dump, &mut |line| {
                assert!(!line.to_string().is_empty());
                Ok(())
            });
        }
        prop_assert!(!dump.report().to_string().is_empty());
    }
}
