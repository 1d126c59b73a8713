//! Bytes nobody meant: whatever comes, no panic, and nothing is taken for what it is not.
#![expect(clippy::unwrap_used, reason = "test code")]

use ed25519_dalek::{Signer as _, SigningKey};
use fleetcast_core::beacon::{Beacon, Current};
use fleetcast_core::manifest::{Component, Manifest, Share, Token, Uuid};
use fleetcast_core::nack::{self, Request};
use fleetcast_core::release::{HEAD_LEN, decode_head};
use fleetcast_core::session::{Config, Policy, Receiver, Target, Wave};
use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_core::trust::{Grant, PublicKey, Root, StatementError, Trust, TrustedKeys, Verified, encode_statement};
use fleetcast_core::wire::{Header, Packet, StatementKind};
use proptest::prelude::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey::from_bytes(key(seed).verifying_key().to_bytes()).unwrap()
}

fn trust() -> Trust {
    TrustedKeys::new(vec![public(1), public(2)], 2).unwrap().into()
}

fn verify(statement: &[u8], trust: &Trust) -> Result<Verified<Manifest>, StatementError> {
    fleetcast_core::trust::verify(statement, trust)
}

fn manifest(size: u64) -> Manifest {
    let p = Parameters { size, chunk: 1024, cell: 64, repair: 100, digest: 16, cap_len: 16 };
    let rootfs = Token::new("rootfs").unwrap();
    let geometry = Geometry::new(&p).unwrap();
    let component = Component { name: rootfs.clone(), target: rootfs, sha256: [9; 32], geometry, cap: vec![4; 16] };
    Manifest {
        sequence: 3,
        security_version: 1,
        version: Token::new("1.0").unwrap(),
        vendor: Uuid([1; 16]),
        classes: vec![Uuid([2; 16])],
        components: vec![component],
        from: None,
        hardware: Some((1, 3)),
        waves: vec![Share { share: 10, time: 5 }, Share { share: 1000, time: 6 }],
    }
}

/// A root by which the two keys sign everything.
fn root(version: u16) -> Root {
    let role = || TrustedKeys::new(vec![public(1), public(2)], 2).unwrap();
    let classes = Some(vec![Uuid([1; 16]), Uuid([2; 16])]);
    let grant = Grant { classes, targets: Token::new("rootfs").map(|t| vec![t]), ..Grant::everything(role()) };
    let grants =
        vec![grant, Grant { operator: TrustedKeys::new(vec![public(3)], 1).ok(), ..Grant::everything(role()) }];
    Root { version, vendor: Uuid([1; 16]), issued: 5, root: role(), grants, beacon: Some(role()) }
}

/// These octets with some of them changed.
fn changed(mut octets: Vec<u8>, flips: Vec<(usize, u8)>) -> Vec<u8> {
    for (at, with) in flips {
        let len = octets.len();
        *octets.get_mut(at % len).unwrap() ^= with;
    }
    octets
}

fn signed(payload: &[u8]) -> Vec<u8> {
    signed_as(StatementKind::Manifest, payload)
}

fn signed_as(kind: StatementKind, payload: &[u8]) -> Vec<u8> {
    let signer = |seed| (public(seed).key_id(), move |message: &[u8]| key(seed).sign(message).to_bytes());
    encode_statement(kind, payload, &[signer(1), signer(2)]).unwrap()
}

proptest! {
    #[test]
    fn a_request_that_decodes_encodes_to_the_same_octets(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..110),
        has_form in any::<bool>(),
    ) {
        if has_form && bytes.len() >= 33 {
            bytes[..4].copy_from_slice(b"FCN\x01");
            bytes.truncate(20 + (bytes.len() - 20) / 13 * 13);
            for (number, entry) in (0..).zip(bytes[20..].chunks_mut(13)) {
                entry[0] = entry[0] & 0x80 | number;
            }
        }
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert!(Packet::decode(&bytes).is_err());
            prop_assert_eq!(nack::encode(&request.release, &request.entries().collect::<Vec<_>>()), bytes);
        } else {
            prop_assert!(!has_form || bytes.len() < 33 || bytes[20..].chunks(13).any(|entry| entry[5..] == [0; 8]));
        }
    }

    #[test]
    fn a_packet_that_decodes_encodes_to_the_same_header(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut datagram = bytes;
        // Mostly headers that nearly fit, else nothing gets beyond the first octet.
        if datagram.len() > 8 {
            let first = datagram.split_at_mut(4).0;
            first.copy_from_slice(&[0x10, 0xA0, 4, first.last().unwrap() % 5]);
        }
        if let Ok(packet) = Packet::decode(&datagram) {
            let sent: Vec<u8> = packet.header.encode().into_iter().chain(packet.payload.iter().copied()).collect();
            prop_assert_eq!(&sent, &datagram);
            prop_assert_eq!(Packet::decode(&sent).unwrap().header, Header { ..packet.header });
        }
    }

    #[test]
    fn no_payload_decodes_but_the_one_it_encodes_to(flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let payload = changed(manifest(5000).encode().unwrap(), flips);
        // Properly signed, so that everything behind the signature is reached.
        if let Ok(verified) = verify(&signed(&payload), &trust()) {
            prop_assert_eq!(verified.encode().unwrap(), payload);
        }
    }

    #[test]
    fn arbitrary_signed_payloads_are_refused_or_canonical(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(verified) = verify(&signed(&payload), &trust()) {
            prop_assert_eq!(verified.encode().unwrap(), payload);
        }
    }

    #[test]
    fn no_root_decodes_but_the_one_it_encodes_to(flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let payload = changed(root(2).encode().unwrap(), flips);
        let statement = signed_as(StatementKind::Root, &payload);
        let anchor = Trust::from_root(&signed_as(StatementKind::Root, &root(1).encode().unwrap())).unwrap();
        if let Ok(verified) = fleetcast_core::trust::verify::<Root>(&statement, &anchor) {
            prop_assert_eq!(verified.encode().unwrap(), payload);
        }
    }

    #[test]
    fn no_beacon_decodes_but_the_one_it_encodes_to(flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let current = [1, 2].map(|class| Current { class: Uuid([class; 16]), sequence: 7, digest: [8; 32], security_version: 1 });
        let beacon = Beacon { vendor: Uuid([1; 16]), issued: 1000, until: 2000, root: 3, current: current.to_vec() };
        let payload = changed(beacon.encode().unwrap(), flips);
        let anchor = Trust::from_root(&signed_as(StatementKind::Root, &root(1).encode().unwrap())).unwrap();
        if let Ok(verified) = fleetcast_core::trust::verify::<Beacon>(&signed_as(StatementKind::Beacon, &payload), &anchor) {
            prop_assert_eq!(verified.encode().unwrap(), payload);
        }
    }

    #[test]
    fn a_statement_with_any_octet_changed_is_refused(at in any::<usize>(), with in 1..=255_u8) {
        let mut statement = signed(&manifest(5000).encode().unwrap());
        prop_assert!(verify(&statement, &trust()).is_ok());
        let len = statement.len();
        *statement.get_mut(at % len).unwrap() ^= with;
        prop_assert!(verify(&statement, &trust()).is_err(), "octet {} changed by {with:02x}", at % len);
    }

    #[test]
    fn geometry_places_every_chunk_once(
        size in 1..3_000_000_u64, chunk in 1..32_u64, cell in 1..=8_u64, repair in 0..=100_u64, full in any::<bool>(),
    ) {
        let digest = if full { 32 } else { 16 };
        let p = Parameters { size, chunk: chunk * 64, cell: cell * 8, repair, digest, cap_len: 0 };
        let g = Geometry::with_cap_level(&p, 0).unwrap();
        let mut covered = 0;
        for index in 0..g.cells() {
            let cell = g.cell_at(index).unwrap();
            prop_assert_eq!(cell.start, covered);
            prop_assert!((1..=g.cell()).contains(&cell.len));
            covered += cell.len;
        }
        prop_assert_eq!(covered, g.chunks());
        prop_assert_eq!(g.cell_at(g.cells()), None);
        for position in 0..g.chunks() {
            let (sbn, esi) = g.symbol(position).unwrap();
            prop_assert_eq!(g.position(sbn, esi), Some(position));
        }
        prop_assert_eq!(g.symbol(g.chunks()), None);
        let sizes = (0..g.blocks()).map(|block| g.block(block).unwrap());
        let (source, repair) = sizes.fold((0, 0), |(s, r), size| (s + u32::from(size.source), r + u32::from(size.repair)));
        prop_assert_eq!((source, repair), (g.source_chunks(), g.repair_chunks()));
        let (offset, len) = g.image_range(g.source_chunks() - 1).unwrap();
        prop_assert_eq!(offset + len as u64, size);
    }

    #[test]
    fn a_receiver_survives_anything(seed in any::<u64>(), datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 1..200)) {
        let payload = manifest(100_000).encode().unwrap();
        let statement = signed(&payload);
        let rootfs = Target { name: Token::new("rootfs").unwrap(), max_size: 1 << 20 };
        let policy = Policy {
            vendor: Uuid([1; 16]), classes: vec![Uuid([2; 16])], targets: vec![rootfs], installed: None, seen: None, max_packet: 1500,
            trial: None, failed: None, hardware: Some(2), wave: Wave::Seed([1; 16]), has_floors: true, built: 0,
        };
        let mut receiver = Receiver::new(Config { trust: trust(), policy, staging: 64, seed });
        receiver.resume(&statement).unwrap().for_each(|_| Ok::<_, ()>(())).unwrap();
        let tsi = receiver.manifest().unwrap().tsi();
        for (number, mut datagram) in (0..).zip(datagrams) {
            // Right session, right shape: only what is behind the header is not.
            if let Some((head, _)) = datagram.split_first_chunk_mut::<20>() {
                let [.., codepoint] = head.first_chunk_mut::<4>().unwrap();
                *codepoint %= 4;
                let toi = if *codepoint == 0 { 0 } else { 1 + u8::from(*codepoint != 3) };
                head.first_chunk_mut::<3>().unwrap().copy_from_slice(&[0x10, 0xA0, 4]);
                head.get_mut(8..12).unwrap().copy_from_slice(&tsi.0);
                head.get_mut(12..16).unwrap().copy_from_slice(&[0, 0, 0, toi]);
                head.get_mut(16..18).unwrap().fill(0);
            }
            let mut actions = receiver.handle_datagram(Instant::from_micros(number), number % 5, &datagram);
            prop_assert!(actions.next().is_none());
        }
        prop_assert_eq!(receiver.counters().chunks, 0);
    }
}

#[test]
fn heads_of_release_files_are_bounded() {
    let mut head = [0; HEAD_LEN];
    head.first_chunk_mut::<8>().unwrap().copy_from_slice(&fleetcast_core::release::MAGIC);
    assert_eq!(decode_head(head), Ok(0));
    head.last_chunk_mut::<4>().unwrap().copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(decode_head(head).unwrap_err().code(), "truncated");
}
