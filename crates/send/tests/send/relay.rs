//! What a relay decides: which packets go on, when and with which count.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use fleetcast_core::freshness::Freshness;
use fleetcast_core::session::{Config, Receiver, VerifierConfig};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::Trust;
use fleetcast_core::wire::{Header, Object, Packet, StatementKind, Tsi};
use fleetcast_netlab::authority::{beacon, root, signed_root};
use fleetcast_netlab::release::{Release, policy, trust};
use fleetcast_netlab::sim::Store;
use fleetcast_send::batch::Batch;
use fleetcast_send::relay::Relay;

const MS: Duration = Duration::from_millis(1);

fn relay(rate: u64) -> Relay {
    trusting(trust(), rate)
}

fn trusting(trust: Trust, rate: u64) -> Relay {
    let config = VerifierConfig { trust, releases: 4, staging: 512, max_packet: 1232, seed: 7 };
    Relay::new(config, NonZeroU64::new(rate).unwrap())
}

/// The packets of a cycle of a release with an image of `size` octets, no two alike.
fn cycle(size: usize) -> Vec<Vec<u8>> {
    let release = Release::generated(size);
    let mut packets = Vec::new();
    for slot in 0..release.carousel.schedule().cycle() {
        let mut packet = Vec::new();
        if release.carousel.packet(slot, 99_000 + u32::try_from(slot).unwrap(), &mut packet) {
            packets.push(packet);
        }
    }
    let manifest = header(&packets[0]).object;
    let mut nth = 0..;
    packets.retain(|packet| nth.next() == Some(0) || header(packet).object != manifest);
    packets
}

fn feed(relay: &mut Relay, now: Duration, packets: &[Vec<u8>]) {
    for packet in packets {
        relay.handle_datagram(now, 1, packet);
    }
}

/// All that may go at `now`.
fn take(relay: &mut Relay, now: Duration) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while relay.next_len(now).is_some() {
        let mut batch = Batch::default();
        relay.next_packet(&mut batch);
        all.extend(batch.first_run().map(|(packet, _)| packet.to_vec()));
    }
    all
}

fn header(packet: &[u8]) -> Header {
    Packet::decode(packet).unwrap().header
}

/// The packet on another layer.
fn on_layer(packet: &[u8], layer: u8) -> Vec<u8> {
    [&Header { layer, ..header(packet) }.encode(), &packet[20..]].concat()
}

fn dropped(relay: &Relay, code: &str) -> u64 {
    relay.dropped().get(code).copied().unwrap_or_default()
}

#[test]
fn packets_go_on_as_they_came_with_counts_of_the_relay_for_each_layer() {
    let packets = cycle(200_000);
    let mut relay = relay(1_000_000_000);
    let mut sent = Vec::new();
    for (nth, packet) in packets.iter().enumerate() {
        // Every third chunk is of layer 5.
        let is_chunk = matches!(header(packet).object, Object::Chunk { .. });
        let packet = on_layer(packet, if is_chunk && nth % 3 == 0 { 5 } else { 0 });
        relay.handle_datagram(MS, 1, &packet);
        for passed in take(&mut relay, MS) {
            sent.push((packet.clone(), passed));
        }
    }
    assert_eq!(sent.len(), packets.len());
    let mut counts = HashMap::<u8, u32>::new();
    // Until the first chunk has verified, those before it wait.
    for (came, went) in &sent[4..] {
        assert!(came[..4] == went[..4] && came[8..] == went[8..]);
        assert_eq!(header(came).layer, header(went).layer);
    }
    for (_, went) in &sent {
        let count = counts.entry(header(went).layer).or_default();
        assert_eq!(header(went).count, *count);
        *count += 1;
    }
    assert!(counts.len() == 2 && counts[&5] > 50, "{counts:?}");
}

#[test]
fn close_flags_are_not_passed_on() {
    let mut relay = relay(1_000_000_000);
    for packet in &mut cycle(200_000) {
        packet[1] |= 3;
        relay.handle_datagram(MS, 1, packet);
    }
    let sent = take(&mut relay, MS);
    assert!(sent.len() > 300 && sent.iter().all(|packet| packet[1] == 0xA0));
}

#[test]
fn a_copy_by_another_way_does_not_go_again_and_the_next_cycle_does() {
    let packets = cycle(200_000);
    let mut relay = relay(1_000_000_000);
    for packet in &packets {
        relay.handle_datagram(MS, 1, packet);
        // A second sender, a little behind, counts for itself.
        relay.handle_datagram(MS * 30, 2, &on_layer(packet, 0));
    }
    assert_eq!(take(&mut relay, MS).len(), packets.len());
    let later = MS * 430;
    feed(&mut relay, later, &packets);
    assert_eq!(take(&mut relay, later).len(), packets.len());
    assert!(dropped(&relay, "duplicate") >= packets.len() as u64 - 4);
}

#[test]
fn what_had_no_room_may_come_again_at_once() {
    // More chunks than may wait from one source.
    let packets = cycle(300_000);
    let mut relay = relay(50_000_000);
    let mut sent = Vec::new();
    for round in 0..20 {
        feed(&mut relay, MS, &packets);
        sent.extend(take(&mut relay, MS));
        assert!(round > 0 || dropped(&relay, "queue-full") > 100, "{:?}", relay.dropped());
    }
    let distinct: HashSet<_> = sent.iter().map(|packet| header(packet).object).collect();
    assert_eq!((sent.len(), distinct.len()), (packets.len(), packets.len()));
}

#[test]
fn what_waited_too_long_for_its_turn_is_dropped() {
    let packets = cycle(50_000);
    let mut relay = relay(1_000_000_000);
    feed(&mut relay, MS, &packets);
    assert!(relay.next_len(MS * 101).is_some());
    assert_eq!(relay.next_len(MS * 102), None);
    assert_eq!(dropped(&relay, "late"), packets.len() as u64);
    // On a slow link a packet takes longer than that.
    let mut slow = self::relay(64_000);
    feed(&mut slow, MS, &packets);
    assert!(slow.next_len(MS * 600).is_some());
}

/// Roots 1 to 3; the release key of the vectors counts from root 3 on.
fn chain() -> [Vec<u8>; 3] {
    let roots = [
        (root(1, &["a"], &["old"], &[]), &["a"][..]),
        (root(2, &["a"], &["old"], &["beacon"]), &["a"]),
        (root(3, &["b"], &["release"], &["beacon"]), &["a", "b"]),
    ];
    roots.map(|(root, names)| signed_root(&root, names))
}

fn statement(tsi: u32, kind: StatementKind, number: u16, statement: &[u8]) -> Vec<u8> {
    let header = Header { layer: 0, count: 0, tsi: Tsi(tsi.to_be_bytes()), object: Object::Statement { kind, number } };
    [&header.encode()[..], statement].concat()
}

#[test]
fn a_beacon_goes_once_a_window_under_whatever_session_it_comes() {
    let [_, second, _] = chain();
    let mut relay = trusting(Trust::from_root(&second).unwrap(), 1_000_000_000);
    let newest = beacon(2, 100, (1, [1; 32]), &["beacon"]);
    for window in 0..5 {
        let now = MS * 500 * window;
        for tsi in 0..1000 {
            relay.handle_datagram(now, tsi.into(), &statement(tsi, StatementKind::Beacon, 0, &newest));
            relay.handle_datagram(now, tsi.into(), &statement(tsi, StatementKind::Root, 2, &second));
        }
        let sent = take(&mut relay, now);
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|packet| packet[20..] == newest[..] || packet[20..] == second[..]));
    }
    assert_eq!((relay.counters().roots, relay.counters().beacons), (5, 5));
    assert_eq!(dropped(&relay, "duplicate"), 2 * 999 * 5);
    // An older one does not go at all.
    let older = beacon(2, 99, (1, [1; 32]), &["beacon"]);
    feed(&mut relay, MS * 9000, &[statement(1, StatementKind::Beacon, 0, &older)]);
    assert!(take(&mut relay, MS * 9000).is_empty() && dropped(&relay, "beacon-replay") == 1);
}

#[test]
fn a_device_behind_a_relay_walks_the_chain_and_takes_the_release_and_the_beacon() {
    let chain = chain();
    let first = || Trust::from_root(&chain[0]).unwrap();
    let mut relay = trusting(first(), 1_000_000_000);
    let mut device = Receiver::new(Config { trust: first(), policy: policy(), staging: 1024, seed: 7 });
    let packets = cycle(200_000);
    let manifest = Packet::decode(&packets[0]).unwrap().payload;
    let digest = *fleetcast_core::trust::parse_unverified::<fleetcast_core::manifest::Manifest>(manifest)
        .unwrap()
        .payload_digest();
    let tsi = u32::from_be_bytes(header(&packets[0]).tsi.0);
    let current = statement(tsi, StatementKind::Beacon, 0, &beacon(3, 1_700_000_100, (1, digest), &["beacon"]));
    let mut store = Store::default();
    for second in 0..20_u32 {
        let now = Duration::from_secs(second.into());
        let mut came = packets.clone();
        came.push(current.clone());
        for (version, root) in (1..).zip(&chain) {
            // Each in a second of its own, and again later: the device may have lost it.
            if second % 5 == u32::from(version) {
                came.push(statement(tsi, StatementKind::Root, version, root));
            }
        }
        feed(&mut relay, now, &came);
        for packet in take(&mut relay, now) {
            let micros = u64::try_from(now.as_micros()).unwrap();
            store.carry_out(device.handle_datagram(Instant::from_micros(micros), 1, &packet));
        }
        if second < 3 {
            assert!(device.manifest().is_none(), "valid by root 3 only");
        }
    }
    assert_eq!((relay.trust().version(), device.trust().version()), (3, 3));
    assert!(device.is_complete());
    let now = Instant::from_micros(20_000_000);
    assert!(matches!(device.freshness(now, None), Freshness::Fresh { .. }), "{:?}", device.freshness(now, None));
}

/// Two relays in a circle, links with a delay of their own: all that is sent on the second link in `cycles` cycles.
fn circle(cycles: u32, delay: Duration, restart_after: Option<Duration>) -> (u64, u64) {
    let packets = cycle(200_000);
    let gap = Duration::from_micros(800);
    let (mut there, mut back) = (relay(20_000_000), relay(20_000_000));
    let mut on_first: VecDeque<(Duration, u64, Vec<u8>)> = VecDeque::new();
    let mut on_second: VecDeque<(Duration, u64, Vec<u8>)> = VecDeque::new();
    let (mut sent_there, mut sent_back) = (0, 0);
    let mut is_restarted = false;
    let steps = u32::try_from(packets.len()).unwrap() * cycles;
    // Ten seconds on, after the last packet of the sender.
    for step in 0..steps + 12_500 {
        let now = gap * step;
        if restart_after.is_some_and(|after| now >= after) && !is_restarted {
            (there, is_restarted) = (relay(20_000_000), true);
        }
        if step < steps {
            let packet = packets[step as usize % packets.len()].clone();
            on_first.push_back((now, 1, packet));
        }
        while on_first.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, source, packet) = on_first.pop_front().unwrap();
            there.handle_datagram(now, source, &packet);
        }
        for packet in take(&mut there, now) {
            sent_there += 1;
            on_second.push_back((now + delay, 2, packet));
        }
        while on_second.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, source, packet) = on_second.pop_front().unwrap();
            back.handle_datagram(now, source, &packet);
        }
        for packet in take(&mut back, now) {
            sent_back += 1;
            let at = on_first.iter().position(|(at, ..)| *at > now + delay).unwrap_or(on_first.len());
            on_first.insert(at, (now + delay, 3, packet));
        }
    }
    assert!(on_first.is_empty() && on_second.is_empty(), "it still goes round, ten seconds after the last packet");
    (sent_there, sent_back)
}

#[test]
fn two_relays_in_a_circle_send_each_packet_once() {
    // A cycle takes about 0.34 s here, less than the window: every other comes in the window of the one before.
    let packets = cycle(200_000).len() as u64;
    for (delay, restart) in [(MS, None), (MS * 90, None), (MS * 150, Some(MS * 1200)), (MS * 60, Some(MS * 777))] {
        let (there, back) = circle(10, delay, restart);
        assert!(there <= 10 * packets && back <= 10 * packets, "{there} there, {back} back, of {packets} a cycle");
        assert!(there > 3 * packets, "{there} of {packets} a cycle");
    }
}
