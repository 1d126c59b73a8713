//! The receive session against loss, restarts, other releases and forgers, without a network.
#![expect(clippy::unwrap_used, reason = "test code")]

use fleetcast_core::manifest::Manifest;
use fleetcast_core::session::{Action, Config, Mark, Policy, Receiver, RefuseReason};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Verified, verify};
use fleetcast_core::wire::{HEADER_LEN, Object, Packet, PageKind};
use fleetcast_netlab::release::{self, Release, restore, trust};
use fleetcast_netlab::sim::{Channel, Losses, Store, receive};

const NOW: Instant = Instant::from_micros(0);

fn feed(receiver: &mut Receiver, store: &mut Store, datagram: &[u8]) {
    store.carry_out(receiver.handle_datagram(NOW, 1, datagram));
}

/// All packets of one cycle from `start` on.
fn cycle(release: &Release, start: u64) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for slot in start..start + release.carousel.schedule().cycle() {
        let mut datagram = Vec::new();
        if release.carousel.packet(slot, packets.len().try_into().unwrap(), &mut datagram) {
            packets.push(datagram);
        }
    }
    packets
}

const RELEASES: [&str; 8] = [
    "ok-one-octet",
    "ok-small",
    "ok-no-repair",
    "ok-short-cells",
    "ok-digest-32",
    "ok-two-blocks",
    "ok-three-components",
    "ok-mixed-geometry",
];

#[test]
fn every_release_arrives_bit_exact_through_any_channel_from_any_start() {
    for name in RELEASES {
        let release = Release::of_vector(name);
        for seed in 0..40 {
            let channel = match seed % 4 {
                0 => Channel::Independent(0.0),
                1 => Channel::Independent(0.3),
                2 => Channel::Bursts(0.2),
                _ => Channel::Independent(0.05),
            };
            let mut receiver = release::receiver();
            let mut store = Store::default();
            let start = fastrand::Rng::with_seed(seed).u64(..1_000_000);
            receive(&release.carousel, &mut receiver, &mut store, &mut Losses::new(channel, seed), start);
            restore(&receiver, &mut store);
            assert!(store.images == release.images, "{name}, seed {seed}, {channel:?}");
        }
    }
}

#[test]
fn a_packet_shows_loss_only_if_it_verified_and_was_new() {
    let release = Release::of_vector("ok-small");
    let (mut receiver, mut store) = (release::receiver(), Store::default());
    let packets = cycle(&release, 0);
    let object = |p: &Vec<u8>| Packet::decode(p).unwrap().header.object;
    let statement = packets.iter().position(|p| matches!(object(p), Object::Statement { .. })).unwrap();
    let page = packets.iter().position(|p| matches!(object(p), Object::Page { kind: PageKind::Page, .. })).unwrap();
    let [chunk, other] = [page + 1, page + 2];
    let mut arrival = |packet: &[u8]| {
        feed(&mut receiver, &mut store, packet);
        receiver.arrival().map(|arrival| (arrival.count as usize, arrival.is_proven))
    };
    let mut forged = packets[other].clone();
    forged[HEADER_LEN] ^= 1;
    // Nothing is followed before the manifest, and it tells nothing itself.
    assert_eq!((arrival(&packets[page]), arrival(&packets[statement])), (None, None));
    assert_eq!(arrival(&packets[statement]), Some((statement, false)));
    assert_eq!(arrival(&packets[chunk]), Some((chunk, true)));
    assert_eq!(arrival(&packets[chunk]), Some((chunk, false)));
    assert_eq!(arrival(&packets[page]), Some((page, false)));
    assert_eq!((arrival(&forged), arrival(&packets[other])), (None, Some((other, true))));
    assert_eq!(arrival(&[0; 100]), None);
    // Chunks of a page that has not come wait, and prove nothing.
    let (mut receiver, mut store) = (release::receiver(), Store::default());
    feed(&mut receiver, &mut store, &packets[statement]);
    feed(&mut receiver, &mut store, &packets[chunk]);
    assert!(!receiver.arrival().unwrap().is_proven);
    feed(&mut receiver, &mut store, &packets[page]);
    assert_eq!((receiver.arrival().unwrap().is_proven, receiver.counters().chunks), (true, 1));
}

#[test]
fn without_loss_nothing_is_needed_twice_whatever_the_start() {
    let release = Release::of_vector("ok-two-blocks");
    for start in (0..release.carousel.schedule().cycle()).step_by(97) {
        let mut receiver = release::receiver();
        let mut losses = Losses::new(Channel::Independent(0.0), 0);
        let reception = receive(&release.carousel, &mut receiver, &mut Store::default(), &mut losses, start);
        assert_eq!(reception.chunks, release.carousel.image_packets(), "start {start}");
        // Pages, parity pages and manifests on top; chunks before the first known page come back through parity.
        let ideal = release.carousel.image_packets() * 66 / 64;
        assert!(reception.sent <= ideal + ideal / 100 + 270, "start {start}: {} sent", reception.sent);
    }
}

#[test]
fn packets_in_any_order_and_repeated_do() {
    let release = Release::of_vector("ok-three-components");
    for seed in 0..20 {
        let mut packets = cycle(&release, 0);
        let again = packets.clone();
        packets.extend(again);
        fastrand::Rng::with_seed(seed).shuffle(&mut packets);
        let mut receiver = release::receiver();
        let mut store = Store::default();
        // The buffer for early chunks is bounded, so a random order may need more than one round.
        for packet in packets.iter().cycle().take(10 * packets.len()) {
            feed(&mut receiver, &mut store, packet);
            for (component, cell) in std::mem::take(&mut store.wanted) {
                let page = store.pages.get(&(component, cell)).unwrap().clone();
                store.carry_out(receiver.handle_stored_page(PageKind::Page, component, cell, &page));
            }
        }
        assert!(receiver.is_complete(), "seed {seed}");
        restore(&receiver, &mut store);
        assert!(store.images == release.images, "seed {seed}");
    }
}

#[test]
fn a_fetched_page_is_kept_and_proves_what_waited_for_it_and_a_wrong_one_changes_nothing() {
    let packets = cycle(&Release::of_vector("ok-two-blocks"), 0);
    let (mut receiver, mut store) = (release::receiver(), Store::default());
    let is = |codepoint: u8| move |packet: &&Vec<u8>| packet[3] == codepoint;
    feed(&mut receiver, &mut store, packets.iter().find(is(0)).unwrap());
    let page = &packets.iter().find(is(1)).unwrap()[HEADER_LEN..];
    let first_cell = packets.iter().take_while(|packet| packet[3] != 2);
    let chunks: Vec<_> = first_cell.filter(is(3)).collect();
    for chunk in &chunks {
        feed(&mut receiver, &mut store, chunk);
    }
    let mut wrong = page.to_vec();
    wrong[7] ^= 1;
    for wrong in [&wrong[..], &page[1..], &[]] {
        assert!(receiver.handle_fetched_page(0, 0, wrong).is_err());
    }
    assert!(receiver.handle_fetched_page(0, 1, page).is_err());
    assert!(receiver.handle_fetched_page(9, 0, page).is_err());
    assert_eq!((receiver.progress().unwrap().have, store.pages.len()), (0, 0));
    let before = receiver.missing(0, 0) + receiver.missing(0, 1);
    store.carry_out(receiver.handle_fetched_page(0, 0, page).unwrap());
    assert_eq!(receiver.progress().unwrap().have, chunks.len() as u64);
    let missing = receiver.missing(0, 0) + receiver.missing(0, 1);
    assert_eq!((usize::from(before - missing), receiver.missing(0, 2), receiver.missing(9, 0)), (chunks.len(), 0, 0));
    assert_eq!(store.pages.get(&(0, 0)).map(Vec::as_slice), Some(page));
}

#[test]
fn not_one_forged_byte_is_written_at_ten_times_the_rate() {
    let release = Release::of_vector("ok-two-blocks");
    let (first, last) = (release.images.first().unwrap(), cycle(&Release::of_vector("ok-small"), 0));
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut receiver = release::receiver();
        let mut store = Store::default();
        let start = random.u64(..10_000);
        let mut sent = 0_u64;
        for genuine in cycle(&release, start).iter().cycle() {
            for _ in 0..10 {
                let mut forged = genuine.clone();
                let at = random.usize(..forged.len());
                match random.u8(..6) {
                    0 => forged = std::iter::repeat_with(|| random.u8(..)).take(at + 1).collect(),
                    1 => *forged.get_mut(at).unwrap() ^= 1 << random.u8(..8),
                    // Right header, payload of the forger's: chunks, pages and manifests by turns.
                    2 => forged.iter_mut().skip(HEADER_LEN).for_each(|octet| *octet = random.u8(..)),
                    3 => forged.iter_mut().skip(16).take(4).for_each(|octet| *octet = random.u8(..4)),
                    4 => forged.truncate(at),
                    _ => forged.clone_from(random.choice(&last).unwrap()),
                }
                store.carry_out(receiver.handle_datagram(Instant::from_micros(sent), random.u64(..3), &forged));
            }
            store.carry_out(receiver.handle_datagram(Instant::from_micros(sent), 9, genuine));
            sent += 1;
            for (component, cell) in std::mem::take(&mut store.wanted) {
                if let Some(page) = store.pages.get(&(component, cell)).cloned() {
                    store.carry_out(receiver.handle_stored_page(PageKind::Page, component, cell, &page));
                }
            }
            if let (Some(image), Some(&6)) = (store.images.first(), store.begun.last()) {
                let wrong = |(got, right): (&u8, &u8)| got != right && *got != 0xA5;
                assert!(
                    !sent.is_multiple_of(64) || !image.iter().zip(first).any(wrong),
                    "seed {seed}: a wrong byte in the image"
                );
            }
            if receiver.is_complete() && receiver.manifest().is_some_and(|m| m.sequence == 6) {
                break;
            }
            assert!(sent < 40_000, "seed {seed}: not complete, {:?}", receiver.counters());
        }
        restore(&receiver, &mut store);
        assert!(store.images == release.images, "seed {seed}");
        for code in ["truncated", "version", "length", "chunk-digest", "page-digest", "codepoint"] {
            assert!(receiver.counters().dropped_for(code) > 0, "seed {seed}: {code}: {:?}", receiver.counters());
        }
    }
}

#[test]
fn a_restart_costs_only_what_was_missed() {
    let release = Release::of_vector("ok-two-blocks");
    let packets = cycle(&release, 300);
    let mut receiver = release::receiver();
    let mut store = Store::default();
    let (before, after) = packets.split_at(packets.len() / 3);
    for packet in before {
        feed(&mut receiver, &mut store, packet);
    }
    let had = receiver.counters().chunks;

    let mut receiver = release::receiver();
    let mut begun = Store::default();
    begun.carry_out(receiver.resume(release.carousel.statement()).unwrap());
    assert_eq!(begun.begun, [6]);
    let g = *receiver.geometry(0).unwrap();
    let mut found = 0;
    for cell in 0..g.cells() {
        let Some(page) = store.pages.get(&(0, cell)) else { continue };
        begun.carry_out(receiver.handle_stored_page(PageKind::Page, 0, cell, page));
        let chunks = g.cell_at(cell).unwrap();
        for position in chunks.start..chunks.start + chunks.len {
            let mut chunk = vec![0; g.chunk_len()];
            if let Some((offset, len)) = g.image_range(position) {
                let image = store.images.first().unwrap();
                chunk
                    .iter_mut()
                    .zip(image.iter().skip(offset.try_into().unwrap()).take(len))
                    .for_each(|(a, b)| *a = *b);
            } else {
                let start = (position - g.source_chunks()) as usize * g.chunk_len();
                let repair = store.repair.first().unwrap();
                chunk.iter_mut().zip(repair.iter().skip(start)).for_each(|(a, b)| *a = *b);
            }
            found += u64::from(receiver.handle_stored_chunk(0, position, &chunk));
        }
    }
    assert!(found + 64 >= had, "{found} of {had} chunks came back");
    for packet in after {
        feed(&mut receiver, &mut store, packet);
    }
    assert!(receiver.is_complete(), "one cycle in all is enough");
    restore(&receiver, &mut store);
    assert!(store.images == release.images);
}

#[test]
fn a_damaged_store_is_not_believed() {
    let release = Release::of_vector("ok-small");
    let mut receiver = release::receiver();
    let mut store = Store::default();
    store.carry_out(receiver.resume(release.carousel.statement()).unwrap());
    assert!(!receiver.handle_stored_chunk(0, 0, &release.images.first().unwrap()[..64]), "no page yet");
    let packets = cycle(&release, 1);
    let mut page = packets.first().unwrap().get(HEADER_LEN..).unwrap().to_vec();
    store.carry_out(receiver.handle_stored_page(PageKind::Page, 0, 0, &page));
    assert!(!receiver.handle_stored_chunk(0, 0, &[0; 64]), "another chunk");
    assert!(receiver.handle_stored_chunk(0, 0, &release.images.first().unwrap()[..64]));
    assert!(!receiver.handle_stored_chunk(0, 0, &release.images.first().unwrap()[..64]), "counts once");
    *page.first_mut().unwrap() ^= 1;
    store.carry_out(receiver.handle_stored_page(PageKind::Page, 0, 0, &page));
    assert_eq!(receiver.counters().dropped_for("stored-page"), 1);
}

#[test]
fn a_newer_release_takes_over_only_with_its_first_chunk() {
    let (old, new) = (Release::of_vector("ok-two-blocks"), Release::of_vector("ok-three-components"));
    let mut receiver = release::receiver();
    let mut store = Store::default();
    let old_packets = cycle(&old, 0);
    let new_packets = cycle(&new, 0);
    let (early, late) = old_packets.split_at(100);
    for packet in early {
        feed(&mut receiver, &mut store, packet);
    }
    // Its manifest, replayed without data, changes nothing; nor does its page.
    for packet in new_packets.iter().take(2) {
        feed(&mut receiver, &mut store, packet);
        assert_eq!(store.begun, [6]);
    }
    for packet in late.iter().take(100) {
        feed(&mut receiver, &mut store, packet);
    }
    assert_eq!(receiver.manifest().unwrap().sequence, 6);
    for packet in new_packets.iter().skip(1) {
        feed(&mut receiver, &mut store, packet);
    }
    assert_eq!(store.begun, [6, 7]);
    assert!(receiver.is_complete());
    // And the old one does not come back.
    for packet in &old_packets {
        feed(&mut receiver, &mut store, packet);
    }
    assert_eq!(store.begun, [6, 7]);
    restore(&receiver, &mut store);
    assert!(store.images == new.images);
}

#[test]
fn a_replayed_manifest_without_data_does_not_keep_a_lower_release_out() {
    let (real, replayed) = (Release::of_vector("ok-two-blocks"), Release::of_vector("ok-three-components"));
    let mut receiver = release::receiver();
    let mut store = Store::default();
    // Genuine, with a higher number, and with its pages: but no chunk of it ever comes.
    for packet in cycle(&replayed, 0).iter().take(2) {
        feed(&mut receiver, &mut store, packet);
    }
    assert_eq!((&store.begun[..], &store.followed[..]), (&[7][..], &[][..]));
    for packet in &cycle(&real, 0) {
        feed(&mut receiver, &mut store, packet);
    }
    assert_eq!((&store.begun[..], &store.followed[..]), (&[7, 6][..], &[6][..]));
    assert!(receiver.is_complete());
    restore(&receiver, &mut store);
    assert!(store.images == real.images);
}

#[test]
fn floors_hold_across_a_restart() {
    let (old, new) = (Release::of_vector("ok-small"), Release::of_vector("ok-two-blocks"));
    let manifest: Verified<Manifest> = verify(new.carousel.statement(), &trust()).unwrap();
    let mark = Mark { sequence: 6, digest: *manifest.payload_digest() };
    let refused = |policy, release: &Release| {
        let mut receiver = Receiver::new(Config { trust: trust(), policy, staging: 256, seed: 1 });
        let mut packet = Vec::new();
        assert!(release.carousel.packet(0, 0, &mut packet));
        match receiver.handle_datagram(NOW, 1, &packet).next() {
            Some(Action::Refused { reason, .. }) => Some(reason),
            _ => None,
        }
    };
    let mut policy = release::policy();
    assert_eq!(refused(policy.clone(), &old), None);
    policy.seen = Some(mark);
    assert_eq!(refused(policy.clone(), &old), Some(RefuseReason::Rollback { offered: 2, floor: 6 }));
    assert_eq!(refused(policy.clone(), &new), None, "what was being received goes on");
    policy.seen = Some(Mark { digest: [0; 32], ..mark });
    assert_eq!(refused(policy.clone(), &new), Some(RefuseReason::Equivocation { sequence: 6 }));
    policy.seen = None;
    policy.installed = Some((mark, 3));
    assert_eq!(refused(policy.clone(), &new), Some(RefuseReason::Installed { sequence: 6 }));
    assert_eq!(refused(policy.clone(), &old), Some(RefuseReason::Rollback { offered: 2, floor: 6 }));
    policy.installed = Some((Mark { sequence: 1, ..mark }, 4));
    assert_eq!(refused(policy.clone(), &new), Some(RefuseReason::SecurityVersion { offered: 3, floor: 4 }));
    policy.installed = Some((Mark { sequence: 3, ..mark }, 3));
    let greatest = Release::of_vector("ok-greatest-sequence");
    assert_eq!(
        refused(policy.clone(), &greatest),
        Some(RefuseReason::FarJump { offered: i64::MAX as u64, most: 3 + (1 << 32) })
    );
    policy.installed = None;
    assert_eq!(refused(policy.clone(), &greatest), Some(RefuseReason::From { runs: 0, min: 2, max: 5 }));
    policy.classes.clear();
    assert_eq!(refused(policy.clone(), &new), Some(RefuseReason::Class));
    policy = Policy { vendor: fleetcast_core::manifest::Uuid([0; 16]), ..policy };
    assert_eq!(refused(policy, &new), Some(RefuseReason::Vendor));
    let mut policy = release::policy();
    policy.targets.clear();
    assert_eq!(refused(policy.clone(), &new), Some(RefuseReason::Target { component: 0 }));
    policy = release::policy();
    policy.targets.iter_mut().for_each(|target| target.max_size = 300_032);
    assert_eq!(refused(policy, &new), Some(RefuseReason::Size { component: 0, size: 300_033, max: 300_032 }));
    let policy = Policy { max_packet: 512, ..release::policy() };
    assert!(matches!(refused(policy, &new), Some(RefuseReason::PacketSize { max: 512, .. })));
}
