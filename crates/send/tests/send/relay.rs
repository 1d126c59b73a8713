//! What a relay decides: which packets go on, when and with which count.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use fleetcast_core::session::VerifierConfig;
use fleetcast_core::wire::{Header, Object, Packet};
use fleetcast_netlab::release::{Release, trust};
use fleetcast_send::batch::Batch;
use fleetcast_send::relay::Relay;

const MS: Duration = Duration::from_millis(1);

fn relay(rate: u64) -> Relay {
    let config = VerifierConfig { trust: trust(), releases: 4, staging: 512, max_packet: 1232, seed: 7 };
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
