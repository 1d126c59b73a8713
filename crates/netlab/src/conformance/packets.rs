//! Releases for the cases, their packets, and what can be done to these.

use fleetcast_core::beacon::Beacon;
use fleetcast_core::manifest::{Component, Token};
use fleetcast_core::tree::{Geometry, Hasher, Parameters};
use fleetcast_core::trust::{Envelope, encode_statement, tsi_of};
use fleetcast_core::wire::{HEADER_LEN, Header, Object, Packet, PageKind, StatementKind};
use fleetcast_sign::release::Pages;
use sha2::{Digest as _, Sha256};

use crate::authority;
use crate::release::{Facts, Release, facts};

pub(super) type Packets = Vec<Vec<u8>>;

/// Octets of an image unless said: the last chunk is not full.
pub(super) const SIZE: usize = 30_001;

/// How an image is cut.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub(super) chunk: u64,
    pub(super) cell: u64,
    pub(super) repair: u64,
    pub(super) digest: u64,
    /// Height of the cap over the root of the tree.
    pub(super) cap: u32,
}

/// Four cells of source chunks and four of repair chunks, by [`SIZE`].
pub(super) const CUT: Cut = Cut { chunk: 1024, cell: 8, repair: 100, digest: 16, cap: 0 };

impl Cut {
    pub(super) fn of(self, size: usize) -> Geometry {
        let Self { chunk, cell, repair, digest, cap } = self;
        let parameters = Parameters { size: size as u64, chunk, cell, repair, digest, cap_len: 0 };
        Geometry::with_cap_level(&parameters, cap).unwrap()
    }
}

/// An image without a meaning, another for each seed.
pub(super) fn image(seed: u64, size: usize) -> Vec<u8> {
    let mut image = vec![0; size];
    fastrand::Rng::with_seed(seed).fill(&mut image);
    image
}

/// A release for the slot.
pub(super) fn release(sequence: u64) -> Release {
    stated(&facts(sequence))
}

/// The same, with all that a manifest may say.
pub(super) fn stated(facts: &Facts) -> Release {
    signed(&["release"], facts)
}

/// The same, signed by these keys.
pub(super) fn signed(names: &[&str], facts: &Facts) -> Release {
    Release::signed_by(names, facts, vec![("slot", image(facts.sequence, SIZE), CUT.of(SIZE))])
}

/// A release for the slot with an image of this size, cut so.
pub(super) fn shaped(sequence: u64, size: usize, cut: Cut) -> Release {
    Release::made(sequence, vec![("slot", image(sequence, size), cut.of(size))])
}

/// One cycle of the carousel, the manifest first.
pub(super) fn cycle(release: &Release) -> Packets {
    let mut packets = Packets::new();
    for slot in 0..release.carousel.schedule().cycle() {
        let mut datagram = Vec::new();
        if release.carousel.packet(slot, u32::try_from(packets.len()).unwrap(), &mut datagram) {
            packets.push(datagram);
        }
    }
    packets
}

/// Two cycles: whatever a receiver leaves for later comes again.
pub(super) fn whole(release: &Release) -> Packets {
    twice(&cycle(release))
}

pub(super) fn twice(packets: &Packets) -> Packets {
    [&packets[..], packets].concat()
}

pub(super) fn object(packet: &[u8]) -> Object {
    Packet::decode(packet).unwrap().header.object
}

pub(super) fn is_chunk(packet: &[u8]) -> bool {
    matches!(object(packet), Object::Chunk { .. })
}

pub(super) fn is_statement(packet: &[u8]) -> bool {
    matches!(object(packet), Object::Statement { .. })
}

/// Whether it is a source chunk of `release`, which has one block and one component.
pub(super) fn source_number(release: &Release, packet: &[u8]) -> Option<u32> {
    let g = release.manifest().components[0].geometry;
    match object(packet) {
        Object::Chunk { esi, .. } if u32::from(esi) < g.source_chunks() => Some(esi.into()),
        _ => None,
    }
}

/// Those packets that `is_wanted`.
pub(super) fn only(packets: &Packets, is_wanted: impl Fn(&[u8]) -> bool) -> Packets {
    packets.iter().filter(|packet| is_wanted(packet)).cloned().collect()
}

/// Each packet as `change` leaves it.
pub(super) fn each(packets: &Packets, change: impl Fn(&mut Vec<u8>)) -> Packets {
    let mut packets = packets.clone();
    packets.iter_mut().for_each(change);
    packets
}

/// The payload of the manifest of `release`.
pub(super) fn payload(release: &Release) -> Vec<u8> {
    Envelope::parse(release.carousel.statement()).unwrap().payload().to_vec()
}

/// `packets` with another statement in place of the manifest's, all under the TSI of `payload`.
pub(super) fn restated(packets: &Packets, statement: &[u8], payload: &[u8]) -> Packets {
    each(packets, |packet| {
        if is_statement(packet) {
            packet.truncate(HEADER_LEN);
            packet.extend_from_slice(statement);
        }
        packet[8..12].copy_from_slice(&tsi_of(&Sha256::digest(payload).into()).0);
    })
}

/// Whole packets of a release as [`release`] makes it, its manifest's payload changed and signed anew.
pub(super) fn repaid(sequence: u64, change: impl Fn(&mut Vec<u8>)) -> Packets {
    let release = release(sequence);
    let mut payload = payload(&release);
    change(&mut payload);
    let statement = authority::sign(StatementKind::Manifest, &payload, &["release"]);
    restated(&whole(&release), &statement, &payload)
}

/// A packet with a statement.
pub(super) fn statement_packet(kind: StatementKind, number: u16, statement: &[u8]) -> Vec<u8> {
    let payload = Envelope::parse(statement).unwrap().payload();
    let object = Object::Statement { kind, number };
    let header = Header { layer: 0, count: 0, tsi: tsi_of(&Sha256::digest(payload).into()), object };
    [&header.encode()[..], statement].concat()
}

/// The statement that `names` sign for another kind than it is sent as.
pub(super) fn signed_as(kind: StatementKind, payload: &[u8], names: &[&str]) -> Vec<u8> {
    authority::sign(kind, payload, names)
}

/// A statement whose signatures are those octets, under the kid of key `name`.
pub(super) fn with_signature(kind: StatementKind, payload: &[u8], name: &str, signature: [u8; 64]) -> Vec<u8> {
    encode_statement(kind, payload, &[(authority::public(name).key_id(), move |_: &[u8]| signature)]).unwrap()
}

/// A packet with a beacon, signed by these keys.
pub(super) fn beacon_packet(beacon: &Beacon, names: &[&str]) -> Vec<u8> {
    let statement = authority::sign(StatementKind::Beacon, &beacon.encode().unwrap(), names);
    statement_packet(StatementKind::Beacon, 0, &statement)
}

/// One cycle of a release whose manifest names another image than its pages and chunks are of.
pub(super) fn misnamed(sequence: u64) -> Packets {
    let g = Cut { repair: 0, ..CUT }.of(SIZE);
    let (slot, sha256) = (Token::new("slot").unwrap(), [9; 32]);
    let hasher = Hasher::new(sequence, 0, &sha256, false);
    let mut chunks = image(sequence, SIZE);
    chunks.resize(g.source_chunks() as usize * g.chunk_len(), 0);
    let chunks: Vec<_> = chunks.chunks(g.chunk_len()).collect();
    let digests: Vec<u8> = chunks.iter().flat_map(|chunk| hasher.chunk(chunk).as_ref().to_vec()).collect();
    let pages = Pages::new(&g, &hasher, &digests);
    let cap = pages.cap().to_vec();
    let component = Component { name: slot.clone(), target: slot, sha256, geometry: g, cap };
    let payload = facts(sequence).manifest(vec![component]).encode().unwrap();
    let manifest = authority::sign(StatementKind::Manifest, &payload, &["release"]);
    let mut packets = vec![statement_packet(StatementKind::Manifest, 0, &manifest)];
    let tsi = tsi_of(&Sha256::digest(&payload).into());
    let mut push = |object, payload: &[u8]| {
        let header = Header { layer: 0, count: 0, tsi, object };
        packets.push([&header.encode()[..], payload].concat());
    };
    for cell in 0..g.cells() {
        let page = pages.payload(PageKind::Page, cell);
        push(Object::Page { kind: PageKind::Page, component: 0, cell }, &page);
    }
    for (position, chunk) in (0..).zip(chunks) {
        let (sbn, esi) = g.symbol(position).unwrap();
        push(Object::Chunk { component: 0, sbn, esi }, chunk);
    }
    packets
}
