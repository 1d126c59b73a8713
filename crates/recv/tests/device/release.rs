//! Makes small signed releases, with images that no vector has.

use ed25519_dalek::{Signer as _, SigningKey};
use fleetcast_core::fec::Encoder;
use fleetcast_core::manifest::{Component, Manifest, Token, Uuid};
use fleetcast_core::release::encode_head;
use fleetcast_core::tree::{Digest, Geometry, Hasher, Parameters, xor};
use fleetcast_core::trust::{PublicKey, TrustedKeys, encode_statement};
use fleetcast_core::wire::{PageKind, StatementKind};
use fleetcast_netlab::sim::Carousel;
use sha2::{Digest as _, Sha256};

/// The vendor and class of the vectors, so that one device takes both.
pub(crate) const VENDOR: Uuid = Uuid(*b"\xbc\xc1\x69\x65\x6f\x3a\x53\x38\x9d\x83\xd8\xb5\x65\xc6\x3b\xc7");
pub(crate) const CLASS: Uuid = Uuid(*b"\xbe\xeb\x81\x2d\xff\x36\x5b\x67\x83\x7e\xf9\x54\xc8\x59\xed\x52");

/// The key of the vectors; everyone has it.
fn key() -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest("fleetcast UNSAFE test release").into())
}

/// Trusts that key.
pub(crate) fn trust() -> TrustedKeys {
    TrustedKeys::new(vec![PublicKey::from_bytes(key().verifying_key().to_bytes()).unwrap()], 1).unwrap()
}

/// The carousel of a release of images for these targets.
pub(crate) fn make(sequence: u64, images: &[(&str, Vec<u8>)], chunk: u64, cell: u64, repair: u64) -> Carousel {
    let mut records = Vec::new();
    let components = (0..).zip(images).map(|(number, (target, image))| {
        let size = image.len() as u64;
        let geometry = Geometry::new(&Parameters { size, chunk, cell, repair, digest: 16, cap_len: 16 }).unwrap();
        let sha256 = Sha256::digest(image).into();
        let hasher = Hasher::new(sequence, number, &sha256, false);
        let (cap, own) = tree(&geometry, &hasher, &chunks(&geometry, image));
        records.extend(own);
        let token = Token::new(target).unwrap();
        Component { name: token.clone(), target: token, sha256, geometry, cap: cap.as_ref().to_vec() }
    });
    let manifest = Manifest {
        sequence,
        security_version: 1,
        version: Token::new(&format!("{sequence}.0")).unwrap(),
        vendor: VENDOR,
        classes: vec![CLASS],
        components: components.collect(),
        from: None,
    };
    let sign = |message: &[u8]| key().sign(message).to_bytes();
    let signers = [(trust().keys().first().unwrap().key_id(), sign)];
    let statement = encode_statement(StatementKind::Manifest, &manifest.encode().unwrap(), &signers).unwrap();
    let mut file = encode_head(statement.len().try_into().unwrap()).to_vec();
    file.extend(statement);
    file.extend(records);
    let images: Vec<_> = images.iter().map(|(_, image)| image.clone()).collect();
    Carousel::new(&file, &images, &trust())
}

/// All chunks in send order.
fn chunks(g: &Geometry, image: &[u8]) -> Vec<Vec<u8>> {
    let t = g.chunk_len();
    let mut padded = image.to_vec();
    padded.resize(g.source_chunks() as usize * t, 0);
    let mut chunks: Vec<_> = padded.chunks(t).map(<[u8]>::to_vec).collect();
    chunks.resize(g.chunks() as usize, vec![]);
    for block in 0..g.blocks() {
        let size = g.block(block).unwrap();
        let at = |esi| g.position(block.try_into().unwrap(), esi).unwrap() as usize;
        let mut repair = vec![];
        let source = |esi, chunk: &mut [u8]| {
            chunk.copy_from_slice(&chunks[at(esi)]);
            Ok::<_, ()>(())
        };
        let keep = |number, chunk: &[u8]| {
            repair.push((at(size.source + number), chunk.to_vec()));
            Ok(())
        };
        Encoder::default().encode(size, t, source, keep).unwrap();
        for (at, chunk) in repair {
            chunks[at] = chunk;
        }
    }
    chunks
}

/// The root, and the records of the release file.
fn tree(g: &Geometry, hasher: &Hasher, chunks: &[Vec<u8>]) -> (Digest, Vec<u8>) {
    let page = |cell| {
        let cell = g.cell_at(cell).unwrap();
        let own = &chunks[cell.start as usize..][..cell.len as usize];
        own.iter().flat_map(|chunk| hasher.chunk(chunk).as_ref().to_vec()).collect::<Vec<u8>>()
    };
    let parity = |cell| {
        let mut parity = page(cell);
        parity.resize(g.page_len(PageKind::Parity, cell).unwrap(), 0);
        if let Some(partner) = g.parity_partner(cell) {
            xor(&mut parity, &page(partner));
        }
        hasher.page(PageKind::Parity, &parity).as_ref().to_vec()
    };
    let leaf = |cell| hasher.leaf(cell, hasher.page(PageKind::Page, &page(cell)).as_ref(), &parity(cell));
    let digests = |level: Vec<Digest>| level.iter().map(|digest| digest.as_ref().to_vec()).collect::<Vec<_>>();
    let mut levels = vec![digests((0..g.cells()).map(leaf).collect())];
    levels[0].resize(1 << g.height(), vec![0; 16]);
    for level in 1..=g.height() {
        let below = &levels[level as usize - 1];
        let node = |(index, pair): (u32, &[Vec<u8>])| hasher.node(level.try_into().unwrap(), index, &pair[0], &pair[1]);
        levels.push(digests((0..).zip(below.chunks(2)).map(node).collect()));
    }
    let mut records = vec![];
    for cell in 0..g.cells() {
        let start = records.len();
        records.extend(page(cell));
        records.extend(parity(cell));
        (0..g.height()).for_each(|level| records.extend(&levels[level as usize][(cell >> level) as usize ^ 1]));
        records.resize(start + g.max_page_payload_len(), 0);
    }
    let root = hasher_root(hasher, &levels, leaf(0));
    (root, records)
}

/// The digest at the top: the only leaf, or the node of its two children.
fn hasher_root(hasher: &Hasher, levels: &[Vec<Vec<u8>>], only_leaf: Digest) -> Digest {
    match levels {
        [.., below, _] => hasher.node((levels.len() - 1).try_into().unwrap(), 0, &below[0], &below[1]),
        _ => only_leaf,
    }
}
