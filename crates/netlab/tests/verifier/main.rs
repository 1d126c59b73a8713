//! The verifier of a relay: all that is genuine passes, as it came, and nothing else.
#![expect(clippy::unwrap_used, reason = "test code")]

mod trust;

use std::collections::HashSet;

use fleetcast_core::session::{Verifier, VerifierConfig};
use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_core::wire::{HEADER_LEN, Object, Packet, PageKind};
use fleetcast_netlab::release::{Release, trust};

fn verifier(releases: usize) -> Verifier {
    Verifier::new(VerifierConfig { trust: trust(), releases, staging: 64, max_packet: 1232, seed: 7 })
}

/// A release of one image in small chunks and cells of 8, as many repair chunks as source chunks.
fn made(sequence: u64, chunks: usize) -> Release {
    let mut image = vec![0; chunks * 64];
    fastrand::Rng::with_seed(sequence).fill(&mut image);
    let size = image.len() as u64;
    let parameters = Parameters { size, chunk: 64, cell: 8, repair: 100, digest: 16, cap_len: 16 };
    Release::made(sequence, vec![("rootfs", image, Geometry::new(&parameters).unwrap())])
}

/// All packets of one cycle; the manifest is the first.
fn cycle(release: &Release) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for slot in 0..release.carousel.schedule().cycle() {
        let mut datagram = Vec::new();
        if release.carousel.packet(slot, 0, &mut datagram) {
            packets.push(datagram);
        }
    }
    packets.sort_by_key(|packet| !is_statement(packet));
    packets
}

fn is_statement(packet: &[u8]) -> bool {
    matches!(Packet::decode(packet).unwrap().header.object, Object::Statement { .. })
}

fn is_page(packet: &[u8], wanted: PageKind) -> bool {
    matches!(Packet::decode(packet).unwrap().header.object, Object::Page { kind, .. } if kind == wanted)
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

/// Feeds a datagram and gives what passes.
fn feed(verifier: &mut Verifier, now: Instant, source: u64, datagram: &[u8]) -> Vec<Vec<u8>> {
    let mut passed = Vec::new();
    if let Ok(packet) = Packet::decode(datagram) {
        verifier.handle_packet(now, source, packet, &mut |packet| {
            passed.push([&packet.header.encode()[..], packet.payload].concat());
        });
    }
    passed
}

fn sorted(packets: &[Vec<u8>]) -> Vec<&Vec<u8>> {
    let mut sorted: Vec<_> = packets.iter().collect();
    sorted.sort();
    sorted
}

fn feed_all(verifier: &mut Verifier, now: Instant, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    datagrams.iter().flat_map(|datagram| feed(verifier, now, 1, datagram)).collect()
}

/// Sequences of what is carried, ascending.
fn carried(verifier: &Verifier) -> Vec<u64> {
    let mut all: Vec<_> = verifier.manifests().map(|manifest| manifest.sequence).collect();
    all.sort_unstable();
    all
}

/// The manifest packet with one more signature in its statement, by nobody: it verifies all the same.
fn wrapped(manifest: &[u8], junk: u64) -> Vec<u8> {
    let signatures = manifest.len() - 1 - 83;
    assert_eq!(manifest[signatures], 0x81, "one signature");
    let mut packet = manifest.to_vec();
    packet[signatures] = 0x82;
    packet.extend([0x84, 0x4D, 0xA2, 1, 0x32, 4, 0x48, 1, 2, 3, 4, 5, 6, 7, 8, 0xA0, 0xF6, 0x58, 0x40]);
    packet.extend([9; 56]);
    packet.extend(junk.to_be_bytes());
    packet
}

#[test]
fn every_packet_of_a_cycle_passes_once_as_it_came_and_in_order() {
    let packets = cycle(&made(1, 72));
    let mut verifier = verifier(4);
    // The manifest and the first page wait for the first chunk; from then on each goes at once.
    assert!(feed_all(&mut verifier, at(0), &packets) == packets);
    assert!(feed_all(&mut verifier, at(0), &packets) == packets);
    assert_eq!(verifier.counters().dropped().count(), 0);
}

#[test]
fn no_packet_with_a_wrong_bit_passes() {
    let packets = cycle(&made(1, 40));
    let mut verifier = verifier(4);
    feed_all(&mut verifier, at(0), &packets);
    let genuine: HashSet<_> = packets.iter().map(Vec::as_slice).collect();
    // The packet count, which is nobody's to trust, and the close flags, which a decoder ignores, are left out.
    let bits = |packet: &[u8]| (0..packet.len() * 8).filter(|bit| !matches!(bit / 8, 1 | 4..8)).collect::<Vec<_>>();
    let mut seconds = 0;
    for packet in &packets {
        for bit in bits(packet) {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 0x80 >> (bit % 8);
            seconds += 1;
            let passed = feed(&mut verifier, at(seconds), 2, &forged);
            assert!(!passed.contains(&forged) && passed.iter().all(|p| genuine.contains(&p[..])), "bit {bit}");
        }
    }
    // Those were many seconds, and not one of them in vain for the genuine ones.
    assert!(feed_all(&mut verifier, at(seconds), &packets) == packets);
}

#[test]
fn a_chunk_whose_page_is_lost_passes_with_the_parity_page() {
    let packets = cycle(&made(1, 72));
    let mut verifier = verifier(4);
    let lost = packets.iter().filter(|packet| is_page(packet, PageKind::Page)).nth(7).unwrap();
    let came: Vec<_> = packets.iter().filter(|packet| *packet != lost).cloned().collect();
    let passed = feed_all(&mut verifier, at(0), &came);
    assert_eq!(verifier.counters().staged, 8, "the chunks of a cell");
    // They waited, and follow the parity page of their cell.
    assert!(passed != came);
    assert!(sorted(&passed) == sorted(&came), "{} of {}", passed.len(), came.len());
}

#[test]
fn forged_chunks_that_wait_do_not_pass_with_the_genuine_ones() {
    let packets = cycle(&made(1, 72));
    let mut verifier = verifier(4);
    let lost = packets.iter().filter(|packet| is_page(packet, PageKind::Page)).nth(7).unwrap();
    let mut passed = Vec::new();
    for packet in packets.iter().filter(|packet| *packet != lost) {
        let mut forged = packet.clone();
        *forged.last_mut().unwrap() ^= 1;
        passed.extend(feed(&mut verifier, at(0), 2, &forged));
        passed.extend(feed(&mut verifier, at(0), 1, packet));
    }
    let genuine: HashSet<_> = packets.iter().filter(|packet| *packet != lost).collect();
    assert_eq!(passed.iter().collect::<HashSet<_>>(), genuine);
    assert_eq!(passed.len(), genuine.len());
}

#[test]
fn a_manifest_in_other_signatures_passes_only_if_it_verifies() {
    let packets = cycle(&made(1, 40));
    let mut verifier = verifier(4);
    feed_all(&mut verifier, at(0), &packets);
    let manifest = &packets[0];
    let variant = wrapped(manifest, 1);
    assert!(feed(&mut verifier, at(1), 2, &variant) == [variant.clone()]);
    // The payload is known; the only trusted signature around it is not right.
    for mut forged in [manifest.clone(), variant] {
        let at_signature = manifest.len() - 10;
        forged[at_signature] ^= 1;
        assert!(feed(&mut verifier, at(2), 2, &forged).is_empty());
    }
    assert_eq!(verifier.counters().dropped_for("threshold"), 2);
    // Whoever sends such variants uses up nobody else's verifications.
    for junk in 0..1000 {
        feed(&mut verifier, at(3), 2, &wrapped(manifest, junk + 2));
    }
    assert!(verifier.counters().dropped_for("budget") > 900);
    assert!(feed(&mut verifier, at(3), 1, manifest) == [manifest.clone()]);
}

#[test]
fn manifests_without_chunks_displace_nothing_that_is_carried() {
    let mut verifier = verifier(2);
    let own = cycle(&made(50, 40));
    feed_all(&mut verifier, at(0), &own);
    for sequence in 60..90 {
        let replay = cycle(&made(sequence, 9));
        let pages: Vec<_> = replay.iter().filter(|p| is_statement(p) || is_page(p, PageKind::Page)).cloned().collect();
        assert!(feed_all(&mut verifier, at(sequence - 60), &pages) == Vec::<Vec<u8>>::new());
    }
    assert!(feed_all(&mut verifier, at(30), &own) == own);
    assert_eq!(carried(&verifier), [50]);
    // They hold the places of those that wait for a chunk, but not for ever.
    let low = cycle(&made(1, 20));
    assert!(feed_all(&mut verifier, at(30), &low).is_empty());
    assert!(verifier.counters().dropped_for("outnumbered") > 0);
    assert!(feed_all(&mut verifier, at(40), &low) == low);
    assert_eq!(carried(&verifier), [1, 50]);
}

#[test]
fn the_newest_releases_with_chunks_are_carried_and_an_idle_one_gives_way() {
    let mut verifier = verifier(2);
    let releases: Vec<_> = (1..=4).map(|sequence| cycle(&made(sequence, 40))).collect();
    feed_all(&mut verifier, at(0), &releases[1]);
    feed_all(&mut verifier, at(0), &releases[2]);
    assert_eq!(carried(&verifier), [2, 3]);
    feed_all(&mut verifier, at(1), &releases[3]);
    assert_eq!(carried(&verifier), [3, 4]);
    // A lower one is left alone as long as both are on the air.
    assert!(feed_all(&mut verifier, at(2), &releases[0]).is_empty());
    assert!(verifier.counters().dropped_for("outnumbered") > 0);
    assert_eq!(carried(&verifier), [3, 4]);
    feed_all(&mut verifier, at(50), &releases[3]);
    feed_all(&mut verifier, at(70), &releases[0]);
    assert_eq!(carried(&verifier), [1, 4]);
    assert!(feed_all(&mut verifier, at(71), &releases[0]) == releases[0]);
}

#[test]
fn a_release_with_packets_too_large_is_refused_once() {
    let config = VerifierConfig { trust: trust(), releases: 4, staging: 64, max_packet: 200, seed: 7 };
    let mut verifier = Verifier::new(config);
    let packets = cycle(&made(1, 1000));
    assert!(feed_all(&mut verifier, at(0), &packets).is_empty());
    let is_large = |packet: &Vec<u8>| packet.len() > HEADER_LEN + 180;
    assert!(packets.iter().skip(1).any(is_large), "no packet is too large");
    assert_eq!(verifier.counters().dropped_for("packet-size"), 1);
    assert!(carried(&verifier).is_empty());
}
