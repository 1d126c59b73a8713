//! The carousel's packets against those of an independent implementation.

use std::collections::HashMap;

use fleetcast_core::fec::Schedule;
use fleetcast_core::wire::{Object, Packet};
use fleetcast_netlab::vectors;
use fleetcast_send::batch::Batch;
use fleetcast_send::carousel::{Carousel, Phase};
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
