//! The receive session against those who know the protocol: genuine packets at the wrong time, and statements that look genuine.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::HashMap;

use fleetcast_core::manifest::{Manifest, Token};
use fleetcast_core::session::{Action, Config, Mark, Receiver};
use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_core::trust::{Envelope, tsi_of, verify};
use fleetcast_core::wire::{HEADER_LEN, Object, Packet, PageKind, StatementKind};
use fleetcast_netlab::authority;
use fleetcast_netlab::bogus::Bogus;
use fleetcast_netlab::release::{self, Facts, Release, trust};
use fleetcast_netlab::sim::Store;
use sha2::{Digest as _, Sha256};

const NOW: Instant = Instant::from_micros(0);

/// A release of one image in small chunks and cells of 8, without repair chunks.
fn made(sequence: u64, chunks: usize) -> Release {
    versioned(sequence, chunks, release::facts(sequence).version)
}

fn versioned(sequence: u64, chunks: usize, version: Token) -> Release {
    let mut image = vec![0; chunks * 64];
    fastrand::Rng::with_seed(sequence).fill(&mut image);
    let size = image.len() as u64;
    let parameters = Parameters { size, chunk: 64, cell: 8, repair: 0, digest: 16, cap_len: 16 };
    let facts = Facts { version, ..release::facts(sequence) };
    Release::with_facts(&facts, vec![("rootfs", image, Geometry::new(&parameters).unwrap())])
}

/// Releases 10 and 11 under one TSI: names of their versions are tried until two agree.
fn of_one_tsi() -> [Release; 2] {
    let (first, second) = (made(10, 64), made(11, 128));
    let tsis = |release: &Release| {
        let mut manifest: Manifest = (*verify::<Manifest>(release.carousel.statement(), &trust()).unwrap()).clone();
        (0..200_000).map(move |version| {
            manifest.version = Token::new(&format!("{version}")).unwrap();
            (tsi_of(&Sha256::digest(manifest.encode().unwrap()).into()).0, manifest.version.clone())
        })
    };
    let known: HashMap<_, _> = tsis(&first).collect();
    let versions = tsis(&second).find_map(|(tsi, version)| Some([known.get(&tsi)?.clone(), version]));
    let [one, other] = versions.unwrap();
    [versioned(10, 64, one), versioned(11, 128, other)]
}

/// All packets of one cycle.
fn cycle(release: &Release) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for slot in 0..release.carousel.schedule().cycle() {
        let mut datagram = Vec::new();
        if release.carousel.packet(slot, packets.len().try_into().unwrap(), &mut datagram) {
            packets.push(datagram);
        }
    }
    packets
}

fn object(packet: &[u8]) -> Object {
    Packet::decode(packet).unwrap().header.object
}

fn is_statement(packet: &[u8]) -> bool {
    matches!(object(packet), Object::Statement { .. })
}

/// Page packets in order of their cells, and chunk packets in order of sending.
fn pages_and_chunks(packets: &[Vec<u8>]) -> (Vec<&Vec<u8>>, Vec<&Vec<u8>>) {
    let of = |wanted: fn(&Object) -> bool| packets.iter().filter(move |packet| wanted(&object(packet))).collect();
    (
        of(|object| matches!(object, Object::Page { kind: PageKind::Page, .. })),
        of(|object| matches!(object, Object::Chunk { .. })),
    )
}

/// Feeds a packet, and every stored page that is asked for.
fn feed(receiver: &mut Receiver, store: &mut Store, source: u64, now: Instant, packet: &[u8]) {
    store.carry_out(receiver.handle_datagram(now, source, packet));
    for (component, cell) in std::mem::take(&mut store.wanted) {
        let page = store.pages.get(&(component, cell)).unwrap().clone();
        store.carry_out(receiver.handle_stored_page(PageKind::Page, component, cell, &page));
    }
}

/// The manifest packet with one more signature in its statement, by nobody.
fn wrapped(manifest: &[u8], junk: u64) -> Vec<u8> {
    let signatures = manifest.len() - 1 - 83;
    assert_eq!(manifest[signatures], 0x81, "one signature");
    let mut packet = manifest.to_vec();
    packet[signatures] = 0x82;
    packet.extend([0x84, 0x4D, 0xA2, 1, 0x32, 4, 0x48, 1, 2, 3, 4, 5, 6, 7, 8, 0xA0, 0xF6, 0x58, 0x40]);
    packet.extend([9; 56]);
    packet.extend(junk.to_be_bytes());
    Envelope::parse(&packet[HEADER_LEN..]).unwrap();
    packet
}

/// A seed of its own for each of many receivers.
fn seed(number: u64) -> u64 {
    fastrand::Rng::with_seed(number).u64(..)
}

#[test]
fn a_flood_of_bogus_statements_costs_few_verifications_and_keeps_no_other_source_out() {
    let manifest = &cycle(&made(6, 64))[0];
    let mut reached = 0;
    for number in 0..100 {
        let config = Config { trust: trust(), policy: release::policy(), staging: 256, seed: seed(number) };
        let (mut receiver, mut store) = (Receiver::new(config), Store::default());
        let mut random = fastrand::Rng::with_seed(number);
        for i in 0..2_000 {
            // A known kid and payload, a junk signature: all cheap checks pass.
            let mut forged = manifest.clone();
            forged.iter_mut().rev().take(8).for_each(|octet| *octet = random.u8(..));
            feed(&mut receiver, &mut store, 1, Instant::from_micros(i * 1_000), &forged);
        }
        let verified = receiver.counters().dropped_for("threshold");
        assert!((8..=24).contains(&verified), "{verified} verifications in two seconds");
        assert_eq!(receiver.counters().dropped_for("budget"), 2_000 - verified);
        assert!(store.begun.is_empty());
        // The flood goes on.
        feed(&mut receiver, &mut store, 2, Instant::from_micros(2_000_000), manifest);
        reached += u32::from(store.begun == [6]);
    }
    // Of 16 buckets the two sources share one now and then.
    assert!(reached > 80, "{reached} of 100 receivers");
}

#[test]
fn fifty_thousand_statements_of_all_kinds_a_second_share_one_budget() {
    let root = authority::root(1, &["root-1"], &["release"], &["beacon-1"]);
    let trust = authority::trust(&root, &["root-1"]);
    let config = Config { trust, policy: release::policy(), staging: 256, seed: 7 };
    let mut receiver = Receiver::new(config);
    let object = |kind, number| Object::Statement { kind, number };
    let kinds = [
        (Object::MANIFEST, "release"),
        (object(StatementKind::Root, 2), "root-1"),
        (object(StatementKind::Beacon, 0), "beacon-1"),
    ];
    let mut forms = kinds.map(|(object, key)| Bogus::filling(1232, object, authority::public(key).key_id(), 1));
    for i in 0..50_000 {
        let now = Instant::from_micros(i as u64 * 20);
        assert!(receiver.handle_datagram(now, 1, forms[i % 3].next_packet()).next().is_none());
    }
    let (verified, spared) = (receiver.counters().dropped_for("threshold"), receiver.counters().dropped_for("budget"));
    assert!((8..=16).contains(&verified), "{verified} verifications in a second");
    assert_eq!(verified + spared + receiver.counters().dropped_for("refused-before"), 50_000);
}

#[test]
fn statements_with_many_signatures_cost_as_much_as_they_take() {
    let release = made(6, 64);
    let manifest = &cycle(&release)[0];
    // All eight claim to be by the trusted key.
    let signature = manifest[manifest.len() - 83..].to_vec();
    let mut receiver = release::receiver();
    let mut store = Store::default();
    for junk in 0..10_u8 {
        let mut packet = manifest[..manifest.len() - 84].to_vec();
        packet.push(0x88);
        for nth in 0..8 {
            packet.extend(&signature);
            let last = packet.len() - 1;
            packet[last] ^= 1 + 8 * junk + nth;
        }
        feed(&mut receiver, &mut store, 1, NOW, &packet);
    }
    assert_eq!(receiver.counters().dropped_for("threshold"), 1);
    assert_eq!(receiver.counters().dropped_for("budget"), 9);
}

#[test]
fn junk_around_a_genuine_manifest_does_not_blind_to_it() {
    let (lower, higher) = (made(11, 64), made(15, 64));
    let (lower_cycle, higher_cycle) = (cycle(&lower), cycle(&higher));
    let mut receiver = release::receiver();
    let mut store = Store::default();
    let mut feed = |packet: &[u8]| feed(&mut receiver, &mut store, 1, NOW, packet);
    feed(&wrapped(&higher_cycle[0], 0));
    feed(&higher_cycle[0]);
    // Nothing of it has verified, so another takes over; then the highest comes after all.
    for packet in lower_cycle.iter().take(3).chain(&higher_cycle) {
        feed(packet);
    }
    assert_eq!((&store.begun[..], &store.followed[..]), (&[15, 11, 15][..], &[11, 15][..]));
    assert!(receiver.is_complete());
}

#[test]
fn the_highest_release_waits_for_its_chunk_however_many_manifests_are_replayed() {
    let (old, new) = (made(10, 64), made(40, 64));
    let replayed: Vec<_> = (11..31).map(|sequence| cycle(&made(sequence, 64)).swap_remove(0)).collect();
    let mut receiver = release::receiver();
    let mut store = Store::default();
    cycle(&old).iter().take(5).for_each(|packet| feed(&mut receiver, &mut store, 1, NOW, packet));
    let mut now = 0;
    for packet in &cycle(&new) {
        feed(&mut receiver, &mut store, 1, Instant::from_micros(now), packet);
        for manifest in &replayed {
            now += 200_000;
            feed(&mut receiver, &mut store, 2, Instant::from_micros(now), manifest);
        }
    }
    assert_eq!(store.begun, [10, 40]);
    assert!(receiver.is_complete());
    assert!(receiver.counters().dropped_for("outnumbered") > 0);
}

#[test]
fn a_manifest_that_is_refused_is_reported_once_whatever_signatures_are_around_it() {
    let manifest = &cycle(&made(5, 64))[0];
    let mut policy = release::policy();
    policy.seen = Some(Mark { sequence: 9, digest: [0; 32] });
    let mut receiver = Receiver::new(Config { trust: trust(), policy, staging: 256, seed: 1 });
    let mut reports = 0;
    for junk in 0..1_000 {
        let packet = wrapped(manifest, junk);
        let mut actions = receiver.handle_datagram(Instant::from_micros(junk * 1_000_000), 1, &packet);
        while let Some(action) = actions.next() {
            reports += u32::from(matches!(action, Action::Refused { sequence: 5, .. }));
        }
    }
    assert_eq!(reports, 1);
    assert_eq!(receiver.counters().dropped_for("refused-before"), 999);
}

#[test]
fn pages_that_waited_are_handed_out_whole_and_the_first_chunk_after_them() {
    let (old_cycle, new_cycle) = (cycle(&made(10, 64)), cycle(&made(11, 64 * 8)));
    let (pages, chunks) = pages_and_chunks(&new_cycle);
    for number in 0..200 {
        for (staging, waiting) in [(16, &[0, 1, 2, 3][..]), (256, &[0, 30])] {
            let config = Config { trust: trust(), policy: release::policy(), staging, seed: seed(number) };
            let (mut receiver, mut store) = (Receiver::new(config), Store::default());
            old_cycle.iter().take(5).for_each(|packet| feed(&mut receiver, &mut store, 1, NOW, packet));
            feed(&mut receiver, &mut store, 1, NOW, &new_cycle[0]);
            for &cell in waiting {
                feed(&mut receiver, &mut store, 1, NOW, pages[cell]);
            }
            let cell = *waiting.last().unwrap();
            let mut has_followed = false;
            let mut actions = receiver.handle_datagram(NOW, 1, chunks[8 * cell]);
            while let Some(action) = actions.next() {
                match action {
                    Action::StorePage { cell, payload, .. } => {
                        assert!(payload == &pages[cell as usize][HEADER_LEN..], "seed {number}: page of cell {cell}");
                    }
                    Action::Follow { manifest } => has_followed = manifest.sequence == 11,
                    _ => {}
                }
            }
            assert!(has_followed, "seed {number}: the chunk that made it begin was lost");
        }
    }
}

#[test]
fn a_page_that_never_comes_follows_from_parity_pages_in_any_round() {
    let release = made(10, 8 * 400);
    let packets = cycle(&release);
    let is = |packet: &[u8], kind: PageKind, cells: &[u32]| matches!(object(packet), Object::Page { kind: k, cell, .. } if k == kind && cells.contains(&cell));
    let mut receiver = release::receiver();
    let mut store = Store::default();
    for round in 0..2 {
        for packet in &packets {
            // In the first round both parity pages that would give it are lost too.
            let is_lost = is(packet, PageKind::Page, &[100]) || round == 0 && is(packet, PageKind::Parity, &[100, 103]);
            if !is_lost {
                feed(&mut receiver, &mut store, 1, NOW, packet);
            }
        }
        assert_eq!(receiver.is_complete(), round == 1, "round {round}: {:?}", receiver.progress());
    }
}

#[test]
fn forged_chunks_of_old_cells_do_not_decide_what_may_wait() {
    let release = made(10, 8 * 400);
    let packets = cycle(&release);
    let (_, chunks) = pages_and_chunks(&packets);
    let mut receiver = release::receiver();
    let mut store = Store::default();
    let mut forged = chunks.iter().skip(7).step_by(8).cycle();
    for packet in &packets {
        match object(packet) {
            // These pages are lost and follow from parity pages; chunks wait for them.
            Object::Page { kind: PageKind::Page, cell, .. } if cell >= 350 && cell % 7 == 0 => continue,
            // A chunk of each cell is missing, so that there is something to forge.
            Object::Chunk { esi, .. } if esi < 8 * 320 && esi % 8 == 7 => continue,
            Object::Chunk { esi, .. } if esi >= 8 * 350 => {
                for _ in 0..4 {
                    let mut packet = (*forged.next().unwrap()).clone();
                    packet[HEADER_LEN] ^= 1;
                    feed(&mut receiver, &mut store, 2, NOW, &packet);
                }
            }
            _ => {}
        }
        feed(&mut receiver, &mut store, 1, NOW, packet);
    }
    let progress = receiver.progress().unwrap();
    assert_eq!(progress.needed - progress.have, 320, "{:?}", receiver.counters());
}

#[test]
fn manifests_of_one_number_wait_side_by_side_and_the_one_with_data_wins() {
    let (first, twin) = (made(10, 64), made(10, 128));
    let (first, twin) = (cycle(&first), cycle(&twin));
    let mut receiver = release::receiver();
    let mut store = Store::default();
    feed(&mut receiver, &mut store, 1, NOW, &first[0]);
    twin.iter().filter(|packet| !is_statement(packet)).for_each(|p| feed(&mut receiver, &mut store, 1, NOW, p));
    assert!(store.followed.is_empty());
    for packet in &twin {
        feed(&mut receiver, &mut store, 1, NOW, packet);
    }
    assert!(receiver.is_complete() && store.followed == [10]);
    assert_eq!(receiver.counters().dropped_for("equivocation"), 0);
    feed(&mut receiver, &mut store, 1, NOW, &first[0]);
    assert_eq!(receiver.counters().dropped_for("equivocation"), 1);
}

#[test]
fn releases_of_one_tsi_are_told_apart_by_what_verifies() {
    let [old, new] = of_one_tsi().map(|release| cycle(&release));
    let tsi = |packets: &[Vec<u8>]| Packet::decode(&packets[0]).unwrap().header.tsi;
    assert_eq!(tsi(&old), tsi(&new));
    let mut receiver = release::receiver();
    let mut store = Store::default();
    for packet in &old[..30] {
        feed(&mut receiver, &mut store, 1, NOW, packet);
    }
    for (old, new) in old.iter().skip(30).cycle().zip(&new) {
        feed(&mut receiver, &mut store, 1, NOW, old);
        feed(&mut receiver, &mut store, 2, NOW, new);
    }
    assert_eq!(store.followed, [10, 11], "{:?}", receiver.counters());
    assert!(receiver.is_complete(), "{:?}", receiver.counters());
}
