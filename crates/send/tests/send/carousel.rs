//! The carousel's packets against those of an independent implementation.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::Duration;

use fleetcast_core::fec::{Layers, Schedule, layer_rate};
use fleetcast_core::wire::{Object, Packet};
use fleetcast_netlab::vectors;
use fleetcast_send::batch::Batch;
use fleetcast_send::carousel::{Carousel, Phase};
use fleetcast_send::clock::Clock;
use fleetcast_send::pacing::Pace;
use proptest::prelude::*;

use super::fixture::Release;

/// The next `count` packets.
fn packets(carousel: &mut Carousel, count: usize) -> Vec<Vec<u8>> {
    let mut batch = Batch::default();
    let next = |_| {
        batch.clear();
        let octets = carousel.next_len();
        carousel.next_packet(&mut batch).unwrap();
        let (packet, segment) = batch.first_run().unwrap();
        assert_eq!((packet.len(), segment), (octets, octets));
        packet.to_vec()
    };
    (0..count).map(next).collect()
}

fn is_manifest(packet: &[u8]) -> bool {
    matches!(Packet::decode(packet).unwrap().header.object, Object::Statement { .. })
}

/// A packet without its count.
fn uncounted(packet: &[u8]) -> Vec<u8> {
    [&packet[..4], &packet[8..]].concat()
}

#[test]
fn packets_out_of_turn_are_those_of_the_loop_and_do_not_disturb_it() {
    for name in ["ok-three-components", "ok-mixed-geometry"] {
        let release = Release::of(name);
        let mut loop_only = Carousel::new(release.open().unwrap(), Phase(0), 256);
        let mut carousel = Carousel::new(release.open().unwrap(), Phase(0), 256);
        let schedule = Schedule::new(carousel.source().release().geometries().copied().collect(), 256);
        let slots: Vec<_> = (0..schedule.cycle()).filter_map(|slot| schedule.at(slot)).collect();
        let expected = packets(&mut loop_only, slots.len());
        let mut batch = Batch::default();
        // Backwards, so that none is what is loaded already.
        for (number, slot) in slots.iter().enumerate().rev() {
            batch.clear();
            carousel.packet_of(*slot, &mut batch).unwrap();
            let (packet, _) = batch.first_run().unwrap();
            assert_eq!(uncounted(packet), uncounted(&expected[number]), "{name}: {slot:?}");
            assert_eq!(packet.len(), carousel.len_of(*slot));
        }
        assert_eq!(carousel.progress(), (0, 0.0));
        let after = packets(&mut carousel, slots.len());
        for (number, (packet, expected)) in after.iter().zip(&expected).enumerate() {
            assert_eq!(uncounted(packet), uncounted(expected), "{name}");
            assert_eq!(Packet::decode(packet).unwrap().header.count as usize, slots.len() + number, "all are counted");
        }
    }
}

#[test]
fn a_cycle_is_that_of_the_session_vector_octet_by_octet() {
    let vector = vectors::one("session/ok-cycle");
    let mut rest = &vector.body[..];
    let mut expected = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk() {
        let (packet, after) = after.split_at(u16::from_be_bytes(*len).into());
        expected.push(packet.to_vec());
        rest = after;
    }
    assert_eq!(expected.len(), usize::try_from(vector.number("packets")).unwrap());

    let source = Release::of("ok-three-components").open().unwrap();
    let (volume, max_packet) = (source.volume(), source.max_packet());
    let got = packets(&mut Carousel::new(source, Phase(0), 256), expected.len());
    // The manifests stand elsewhere: between short cells the carousel's slots are empty. All else is in the same order.
    let data = |packets: &[Vec<u8>]| -> Vec<_> {
        packets.iter().filter(|packet| !is_manifest(packet)).map(|packet| uncounted(packet)).collect()
    };
    let (got_data, expected_data) = (data(&got), data(&expected));
    for (number, (got, expected)) in got_data.iter().zip(&expected_data).enumerate() {
        assert!(got == expected, "packet {number} differs");
    }
    assert_eq!(volume.packets, expected_data.len() as u64);
    assert_eq!(volume.octets, expected_data.iter().map(|packet| packet.len() as u64 + 4).sum::<u64>());
    assert_eq!(max_packet, expected.iter().map(Vec::len).max().unwrap());
    let manifest = expected.iter().find(|packet| is_manifest(packet)).unwrap();
    assert!(got.iter().filter(|packet| is_manifest(packet)).all(|got| uncounted(got) == uncounted(manifest)));
    // Each packet counts, whatever it carries.
    for (number, packet) in (0..).zip(&got) {
        let header = Packet::decode(packet).unwrap().header;
        assert_eq!((header.layer, header.count), (0, number));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn from_any_phase_a_cycle_has_every_packet_once_and_enough_manifests(phase: u32, every in 2_u32..300) {
        for name in ["ok-mixed-geometry", "ok-one-octet", "ok-no-repair"] {
            let source = Release::of(name).open().unwrap();
            let whole = source.volume().packets;
            let mut carousel = Carousel::new(source, Phase(phase), every);
            let mut times: HashMap<Vec<u8>, u32> = HashMap::new();
            let mut since_manifest = None;
            while carousel.progress().0 < 2 {
                let packet = packets(&mut carousel, 1).remove(0);
                if is_manifest(&packet) {
                    since_manifest = Some(0);
                } else {
                    let since = since_manifest.as_mut().expect("the first packet is the manifest");
                    *since += 1;
                    prop_assert!(*since < every);
                    *times.entry(uncounted(&packet)).or_default() += 1;
                }
            }
            prop_assert_eq!(times.len() as u64, whole);
            prop_assert!(times.values().all(|&times| times == 2));
        }
    }
}

#[test]
fn phases_differ_by_what_they_say() {
    let first_chunk = |phase| {
        let source = Release::of("ok-two-blocks").open().unwrap();
        let mut carousel = Carousel::new(source, Phase(phase), 256);
        let packets = packets(&mut carousel, 4);
        packets.iter().find_map(|packet| match Packet::decode(packet).unwrap().header.object {
            Object::Chunk { sbn, esi, .. } => Some(u32::from(esi) * 2 + u32::from(sbn)),
            _ => None,
        })
    };
    assert_eq!(first_chunk(0), Some(0));
    // A cycle of 4,689 source and 2,345 repair chunks.
    let half = first_chunk(1 << 31).unwrap();
    assert!((3400..3600).contains(&half), "{half}");
}

/// Sends on `layers` layers for a cycle: the packets of each layer, and the octets of pauses and packets together.
fn layered(name: &str, layers: Layers, phase: Phase) -> (Vec<Vec<Vec<u8>>>, u64) {
    let mut carousel = Carousel::layered(Release::of(name).open().unwrap(), layers, phase, 64);
    let mut sent = vec![Vec::new(); layers.count().into()];
    let mut load = 0;
    let mut batch = Batch::default();
    while carousel.progress().0 == 0 {
        batch.clear();
        load += carousel.next_len() as u64;
        let (layer, len) = (carousel.next_layer(), carousel.next_len());
        carousel.next_packet(&mut batch).unwrap();
        if let Some((packet, _)) = batch.first_run() {
            assert!(packet.len() <= len);
            sent[layer].push(packet.to_vec());
        }
    }
    (sent, load)
}

#[test]
fn each_layer_carries_the_whole_release_as_often_as_its_rate_and_counts_for_itself() {
    for name in ["ok-mixed-geometry", "ok-digest-32", "ok-one-octet", "ok-short-cells"] {
        let whole = Release::of(name).open().unwrap().volume().packets;
        for (count, phase) in [(1, 0), (2, 77_777_777), (4, u32::MAX), (8, 1 << 31)] {
            let layers = Layers::new(count).unwrap();
            let (sent, _) = layered(name, layers, Phase(phase));
            let mut times: HashMap<_, u64> = HashMap::new();
            for (layer, packets) in (0..).zip(&sent) {
                let mut own = 0_u64;
                for (number, packet) in (0..).zip(packets) {
                    let header = Packet::decode(packet).unwrap().header;
                    assert_eq!((header.layer, header.count), (layer, number), "{name}");
                    if !is_manifest(packet) {
                        own += 1;
                        // Without the layer, which is in the count.
                        *times.entry(uncounted(packet)).or_default() += 1;
                    }
                }
                // Where it starts within a frame, a layer may have a packet more or less.
                let expected = whole * u64::from(layer_rate(layer));
                assert!(own.abs_diff(expected) <= 64, "{name}, {count} layers: {own} on layer {layer} of {expected}");
            }
            assert_eq!(times.len() as u64, whole, "{name}, {count} layers");
            assert!(times.values().all(|&times| times == u64::from(layers.rate())), "{name}, {count} layers");
        }
    }
}

#[test]
fn a_cycle_takes_what_its_load_says() {
    for name in ["ok-mixed-geometry", "ok-digest-32", "ok-short-cells"] {
        for count in [1, 4] {
            let layers = Layers::new(count).unwrap();
            let told = Carousel::layered(Release::of(name).open().unwrap(), layers, Phase(0), 64).load().octets;
            let (_, took) = layered(name, layers, Phase(0));
            // But for the first manifest, and pauses behind the last packet.
            let apart = told.abs_diff(took);
            assert!(
                apart <= told / 200 + 2 * 1232 * u64::from(layers.rate()),
                "{name}, {count} layers: {took} of {told}"
            );
        }
    }
}

/// Sends for so many cycles by a clock that goes `slowness` times as fast as packets at 10 Mbit/s, and says how often the
/// clock moved the carousel.
fn send_by_clock(carousel: &mut Carousel, cycles: u64, unix: &mut Duration, slowness: u64) -> u64 {
    let mut batch = Batch::default();
    let mut moved = 0;
    let until = carousel.progress().0 + cycles;
    while carousel.progress().0 < until {
        batch.clear();
        moved += u64::from(carousel.is_between_cells() && carousel.follow(*unix).is_some());
        *unix += Duration::from_nanos(carousel.next_len() as u64 * 800 * slowness);
        carousel.next_packet(&mut batch).unwrap();
    }
    moved
}

#[test]
fn a_clock_that_is_set_moves_the_carousel_once_a_cycle_at_most() {
    for count in [1, 4] {
        let layers = Layers::new(count).unwrap();
        let mut carousel = Carousel::layered(Release::of("ok-two-blocks").open().unwrap(), layers, Phase(0), 64);
        let pace = Pace::Rate(NonZeroU64::new(10_000_000).unwrap());
        let clock = Clock::new(carousel.load(), pace, Phase(0)).unwrap();
        let mut unix = Duration::from_hours(500_000);
        carousel.lock(clock, unix);
        assert_eq!(send_by_clock(&mut carousel, 3, &mut unix, 1), 0, "{count} layers: a clock that goes right");
        // Set by a part of a cycle that is none of a whole one.
        unix += Duration::from_nanos(carousel.load().octets * 800 * 37 / 100);
        assert_eq!(send_by_clock(&mut carousel, 3, &mut unix, 1), 1, "{count} layers: a clock that is set");
        // A machine with a third of its rate: a whole cycle goes between two moves.
        let moved = send_by_clock(&mut carousel, 6, &mut unix, 3);
        assert!((1..=6).contains(&moved), "{count} layers: {moved} moves");
    }
}

#[test]
fn a_carousel_whose_image_changes_stops_before_the_change_goes_out() {
    let release = Release::of("ok-short-cells");
    let mut carousel = Carousel::new(release.open().unwrap(), Phase(0), 256);
    let mut batch = Batch::default();
    for _ in 0..100 {
        carousel.next_packet(&mut batch).unwrap();
    }
    release.flip("rootfs.img", 50_000);
    let error = loop {
        if let Err(error) = carousel.next_packet(&mut batch) {
            break error;
        }
    };
    assert_eq!(error.code(), "chunk-digest");
    // The cell with the change was not begun: its cells have 8 chunks of 64 octets.
    let sent = batch.runs().flat_map(|(octets, segment)| octets.chunks(segment)).filter_map(|packet| {
        match Packet::decode(packet).unwrap().header.object {
            Object::Chunk { esi, .. } => Some(esi),
            _ => None,
        }
    });
    assert_eq!(u32::from(sent.max().unwrap()), 50_000 / 512 * 8 - 1);
    assert!(carousel.next_packet(&mut batch).is_err(), "it goes on");
}
