//! The core against every vector of the spec: an implementation that shares no code with it wrote them.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::convert::Infallible;
use std::time::Duration;

use fleetcast_core::fec::{ChunkIo, Decoder, Encoder, Layers, Schedule, Slot};
use fleetcast_core::manifest::Manifest;
use fleetcast_core::nack::{self, NackError, Request};
use fleetcast_core::release::{HEAD_LEN, Layout, ReleaseError, decode_head};
use fleetcast_core::tree::{Geometry, Parameters, Tree, TreeError, xor};
use fleetcast_core::trust::{StatementError, Verified, verify};
use fleetcast_core::wire::{HEADER_LEN, Header, Object, Packet, PacketError, PageKind};
use fleetcast_netlab::vectors::{self, Vector, image, layer, one, unhex};
use fleetcast_send::nack::Answers;
use sha2::{Digest as _, Sha256};

fn describe(header: &Header, payload: &[u8]) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("layer", header.layer.to_string()),
        ("count", header.count.to_string()),
        ("tsi", header.tsi.to_string()),
        ("payload-length", payload.len().to_string()),
    ];
    match header.object {
        Object::Statement { kind, number } => {
            fields.push(("kind", "statement".into()));
            fields.push(("statement-kind", (kind as u8).to_string()));
            fields.push(("statement-number", number.to_string()));
        }
        Object::Page { kind, component, cell } => {
            fields.push(("kind", if kind == PageKind::Page { "page" } else { "parity-page" }.into()));
            fields.push(("component", component.to_string()));
            fields.push(("cell", cell.to_string()));
        }
        Object::Chunk { component, sbn, esi } => {
            fields.push(("kind", "chunk".into()));
            fields.push(("component", component.to_string()));
            fields.push(("sbn", sbn.to_string()));
            fields.push(("esi", esi.to_string()));
        }
    }
    fields
}

#[test]
fn packets_decode_as_the_vectors_say() {
    for v in layer("packet") {
        let got = Packet::decode(&v.body);
        assert_eq!(got.as_ref().map_or_else(PacketError::code, |_| "ok"), v.get("expect"), "{}", v.name);
        let Ok(packet) = got else { continue };
        for (key, value) in describe(&packet.header, packet.payload) {
            assert_eq!(value, v.get(key), "{}: {key}", v.name);
        }
        let mut sent = packet.header.encode().to_vec();
        sent[1] |= v.body[1] & 3;
        assert_eq!(sent, v.body[..HEADER_LEN], "{}", v.name);
    }
}

#[test]
fn requests_decode_as_the_vectors_say() {
    for v in layer("nack") {
        let got = Request::decode(&v.body);
        assert_eq!(got.as_ref().map_or_else(NackError::code, |_| "ok"), v.get("expect"), "{}", v.name);
        let Ok(request) = got else { continue };
        assert_eq!(request.release[..], unhex(v.get("release")), "{}", v.name);
        let entries: Vec<_> = request.entries().collect();
        let line = |e: &nack::Entry| {
            format!("{}, {}, {}, {:016x}", e.component, e.cell, if e.page { "page" } else { "-" }, e.slots)
        };
        assert_eq!(entries.iter().map(line).collect::<Vec<_>>(), v.all("entry").collect::<Vec<_>>(), "{}", v.name);
        assert_eq!(nack::encode(&request.release, &entries), v.body, "{}", v.name);
    }
}

#[test]
fn a_sender_takes_requests_as_the_vectors_say() {
    for v in layer("nack-sender") {
        let release = unhex(v.get("release")).try_into().unwrap();
        let mut answers = Answers::new(release, geometries(&v), 50, 7);
        answers.handle_datagram(Duration::ZERO, [192, 0, 2, 1].into(), &v.body);
        let counts = answers.counts();
        let got = counts.dropped.keys().next().copied().unwrap_or("ok");
        assert_eq!(got, v.get("expect"), "{}", v.name);
        assert_eq!(counts.requests == 1, v.is_good(), "{}", v.name);
    }
}

#[test]
fn statements_verify_as_the_vectors_say() {
    for v in layer("statement") {
        let Some(trust) = v.trust() else {
            assert_eq!(v.get("expect"), "threshold", "{}", v.name);
            continue;
        };
        let got: Result<Verified<Manifest>, _> = verify(&v.body, &trust);
        assert_eq!(got.as_ref().map_or_else(StatementError::code, |_| "ok"), v.get("expect"), "{}", v.name);
        let Ok(manifest) = got else { continue };
        assert_eq!(manifest.payload_digest()[..], unhex(v.get("manifest-digest")), "{}", v.name);
        assert_eq!(manifest.tsi().to_string(), v.get("tsi"), "{}", v.name);
        let payload = manifest.encode().unwrap();
        assert_eq!(Sha256::digest(payload)[..], manifest.payload_digest()[..], "{} encodes again", v.name);
    }
}

#[test]
fn the_cddl_takes_every_good_statement_and_no_payload_of_another_shape() {
    let cddl = std::fs::read_to_string(vectors::folder().join("../fleetcast.cddl")).unwrap();
    for v in layer("statement") {
        let got = cddl_cat::validate_cbor_bytes("statement", &cddl, &v.body);
        match v.get("expect") {
            "ok" => assert!(got.is_ok(), "{}: {got:?}", v.name),
            "schema" | "structure-version" => assert!(got.is_err(), "{}", v.name),
            // Encodings, signatures and limits are beyond what a schema says.
            _ => {}
        }
    }
}

#[test]
fn geometries_are_those_of_the_vectors() {
    for v in layer("geometry") {
        let p = Parameters {
            size: v.number("size"),
            chunk: v.number("chunk"),
            cell: v.number("cell"),
            repair: v.number("repair"),
            digest: v.number("digest"),
            cap_len: usize::try_from(v.number("cap-nodes") * v.number("digest")).unwrap(),
        };
        let g = Geometry::new(&p).unwrap_or_else(|e| panic!("{}: {e}", v.name));
        let last_repair = if g.cells() > g.source_cells() { g.cell_at(g.cells() - 1).unwrap().len } else { 0 };
        let packet = |kind| HEADER_LEN + g.page_payload_len(kind, 0).unwrap();
        let expected: [(&str, u64); 13] = [
            ("source", g.source_chunks().into()),
            ("blocks", g.blocks().into()),
            ("repair-chunks", g.repair_chunks().into()),
            ("cells", g.cells().into()),
            ("source-cells", g.source_cells().into()),
            ("last-source-cell", g.cell_at(g.source_cells() - 1).unwrap().len.into()),
            ("last-repair-cell", last_repair.into()),
            ("height", g.height().into()),
            ("path", u64::from(g.path_digests()) * v.number("digest")),
            ("page-packet", packet(PageKind::Page) as u64),
            ("parity-packet", packet(PageKind::Parity) as u64),
            ("record", g.max_page_payload_len() as u64),
            ("cap-nodes", g.cap_len() as u64 / v.number("digest")),
        ];
        for (key, value) in expected {
            assert_eq!(value, v.number(key), "{}: {key}", v.name);
        }
        for (key, block) in [("first-block", 0), ("last-block", g.blocks() - 1)] {
            let size = g.block(block).unwrap();
            let numbers: Vec<u16> = v.get(key).split([' ', ',']).filter_map(|n| n.parse().ok()).collect();
            assert_eq!(numbers, [size.source, size.repair], "{}: {key}", v.name);
        }
        for line in v.all("position") {
            let n: Vec<u32> = line.split([' ', ',']).filter_map(|n| n.parse().ok()).collect();
            let (sbn, esi) = g.symbol(n[0]).unwrap();
            let (cell, slot) = g.slot(n[0]);
            assert_eq!(
                [u32::from(sbn), u32::from(esi), cell, u32::try_from(slot).unwrap()],
                n[1..],
                "{}: {line}",
                v.name
            );
            assert_eq!(g.position(sbn, esi), Some(n[0]), "{}: {line}", v.name);
        }
    }
}

/// A block in memory, as if it were a whole component with one block.
struct Memory {
    chunks: Vec<Vec<u8>>,
}

impl ChunkIo for Memory {
    type Error = Infallible;
    fn read(&mut self, position: u32, column: usize, buf: &mut [u8]) -> Result<(), Infallible> {
        buf.copy_from_slice(&self.chunks[position as usize][column..column + buf.len()]);
        Ok(())
    }
    fn write(&mut self, position: u32, column: usize, bytes: &[u8]) -> Result<(), Infallible> {
        self.chunks[position as usize][column..column + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

#[test]
fn repair_chunks_are_those_of_the_formula_and_restore_every_block() {
    for v in layer("fec") {
        let (k, r, t) = (v.number("k"), v.number("r"), v.number("chunk"));
        let len = usize::try_from(t).unwrap();
        let (source, repair) = v.body.split_at(usize::try_from(k * t).unwrap());
        let size = fleetcast_core::tree::BlockSize { source: k.try_into().unwrap(), repair: r.try_into().unwrap() };
        let mut made = Vec::new();
        Encoder::default()
            .encode(
                size,
                len,
                |number, chunk| {
                    chunk.copy_from_slice(&source[usize::from(number) * len..][..len]);
                    Ok::<_, Infallible>(())
                },
                |_, chunk| {
                    made.extend_from_slice(chunk);
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(made, repair, "{}", v.name);

        // A component of one block whose percentage gives this R, where there is one.
        let Some(percent) = (0..=100).find(|percent| (k * percent).div_ceil(100) == r) else { continue };
        let p = Parameters { size: k * t, chunk: t, cell: 8, repair: percent, digest: 16, cap_len: 16 };
        let g = Geometry::new(&p).unwrap();
        // The first R lost, the last R lost, and every other: by turns through all of them.
        let all = usize::try_from(k + r).unwrap();
        let lost = usize::try_from(r).unwrap();
        for (first, step) in [(0, 1), (all - lost, 1), (all / 2, 1), (0, 2)] {
            let gone: Vec<usize> = (0..lost).map(|i| (first + i * step) % all).collect();
            let mut io = Memory { chunks: v.body.chunks(len).map(<[u8]>::to_vec).collect() };
            for &i in &gone {
                io.chunks[i].fill(0xEE);
            }
            let have = |position: u32| !gone.contains(&(position as usize));
            let missing = gone.iter().filter(|&&i| i < usize::try_from(k).unwrap()).count();
            let mut decoder = Decoder::new(if t > 64 { 128 } else { 64 });
            let restored = decoder.restore(&g, 0, have, &mut io).unwrap_or_else(|e| panic!("{}: {e}", v.name));
            assert_eq!(restored as usize, missing, "{}", v.name);
            assert!(io.chunks[..usize::try_from(k).unwrap()].concat() == source, "{}: lost {gone:?}", v.name);
        }
    }
}

/// A release file taken apart and checked whole, as a sender must \[C-1\].
struct Opened {
    trees: Vec<Tree>,
    layout: Layout,
}

fn open(file: &[u8]) -> Result<Opened, &'static str> {
    let truncated = ReleaseError::Truncated.code();
    if file.len() < HEAD_LEN && fleetcast_core::release::MAGIC.starts_with(&file[..file.len().min(8)]) {
        return Err(truncated);
    }
    let len = decode_head(*file.first_chunk().ok_or(truncated)?).map_err(|e| e.code())?;
    let statement = file.get(HEAD_LEN..HEAD_LEN + len).ok_or(truncated)?;
    let key = one("release/ok-small");
    assert_eq!(key.get("key"), "release");
    let trust = one("statement/ok-minimal").trust().unwrap();
    let manifest: Verified<Manifest> = verify(statement, &trust).map_err(|e| e.code())?;
    let layout = Layout::new(len, &manifest);
    layout.check_len(file.len() as u64).map_err(|e| e.code())?;
    let opened = Opened { trees: manifest.trees().unwrap(), layout };
    for (c, tree) in (0..).zip(&opened.trees) {
        for cell in 0..tree.geometry().cells() {
            tree.check_page(PageKind::Page, cell, opened.record(file, c, cell)).map_err(|e| e.code())?;
        }
    }
    Ok(opened)
}

impl Opened {
    fn record<'a>(&self, file: &'a [u8], component: u8, cell: u32) -> &'a [u8] {
        let offset = usize::try_from(self.layout.record_offset(component, cell).unwrap()).unwrap();
        let len = self.trees[usize::from(component)].geometry().page_payload_len(PageKind::Page, cell).unwrap();
        &file[offset..offset + len]
    }

    /// The parity payload of a cell \[T-4, T-7\].
    fn parity(&self, file: &[u8], component: u8, cell: u32) -> Vec<u8> {
        let tree = &self.trees[usize::from(component)];
        let g = tree.geometry();
        let page = |cell| &self.record(file, component, cell)[..g.page_len(PageKind::Page, cell).unwrap()];
        let mut parity = page(cell).to_vec();
        parity.resize(g.page_len(PageKind::Parity, cell).unwrap(), 0);
        if let Some(partner) = g.parity_partner(cell) {
            xor(&mut parity, page(partner));
        }
        parity.extend_from_slice(tree.hasher().page(PageKind::Page, page(cell)).as_ref());
        parity.extend_from_slice(&self.record(file, component, cell)[page(cell).len() + g.digest_len()..]);
        parity
    }
}

#[test]
fn release_files_check_as_the_vectors_say() {
    for v in layer("release") {
        let got = open(&v.body);
        assert_eq!(got.as_ref().map_or_else(|code| *code, |_| "ok"), v.get("expect"), "{}", v.name);
        let Ok(opened) = got else { continue };
        let mut parities = Sha256::new();
        for (c, (tree, line)) in (0..).zip(opened.trees.iter().zip(v.all("component"))) {
            let g = tree.geometry();
            let fields: Vec<_> = line.split(',').collect();
            let mut image = image(fields[3], fields[2].parse().unwrap());
            image.resize(g.chunk_len() * g.source_chunks() as usize, 0);
            for (position, chunk) in (0..).zip(image.chunks(g.chunk_len())) {
                let (cell, slot) = g.slot(position);
                tree.check_chunk(opened.record(&v.body, c, cell), slot, chunk).unwrap();
            }
            for cell in 0..g.cells() {
                let parity = opened.parity(&v.body, c, cell);
                assert!(tree.check_page(PageKind::Parity, cell, &parity).is_ok(), "{}: X of {c}/{cell}", v.name);
                parities.update(parity);
            }
        }
        assert_eq!(parities.finalize()[..], unhex(v.get("parity-sha256")), "{}", v.name);
    }
}

#[test]
fn the_cycle_of_the_vectors_is_the_schedule() {
    let v = one("session/ok-cycle");
    let release = one(v.get("release"));
    let opened = open(&release.body).unwrap();
    let geometries = opened.trees.iter().map(|tree| *tree.geometry()).collect();
    // The vector has a manifest before every 255 packets that are really sent; slots count empty ones too.
    let schedule = Schedule::new(geometries, u32::MAX);
    let mut slots = (0..schedule.cycle()).filter_map(|slot| schedule.at(slot)).filter(|slot| *slot != Slot::Statement);
    let packets = v.parts();
    assert_eq!(packets.len() as u64, v.number("packets"));
    for (number, packet) in packets.iter().enumerate() {
        let packet = Packet::decode(packet).unwrap();
        let expected = if (number as u64).is_multiple_of(v.number("statement-every")) {
            Slot::Statement
        } else {
            slots.next().unwrap()
        };
        let got = match packet.header.object {
            Object::Statement { .. } => Slot::Statement,
            Object::Page { kind, component, cell } => Slot::Page { kind, component, cell },
            Object::Chunk { component, sbn, esi } => {
                let position = opened.trees[usize::from(component)].geometry().position(sbn, esi).unwrap();
                Slot::Chunk { component, position }
            }
        };
        assert_eq!(got, expected, "packet {number}");
    }
    assert_eq!(slots.next(), None);
}

/// The `component` lines of a vector without octets.
fn geometries(v: &Vector) -> Vec<Geometry> {
    let geometry = |line: &str| {
        let numbers: Vec<u64> = line.split(',').map(|n| n.parse().unwrap()).collect();
        let [size, chunk, cell, repair, digest] = numbers.try_into().unwrap();
        let cap_len = usize::try_from(digest).unwrap();
        Geometry::new(&Parameters { size, chunk, cell, repair, digest, cap_len }).unwrap()
    };
    v.all("component").map(geometry).collect()
}

#[test]
fn slots_carry_what_the_vectors_say_on_the_layers_they_say() {
    for v in layer("schedule") {
        let layers = Layers::new(v.get("layers").parse().unwrap()).unwrap();
        let schedule = Schedule::layered(geometries(&v), v.get("statement-every").parse().unwrap(), layers);
        for line in v.all("slot") {
            let (number, _) = line.split_once(' ').unwrap();
            let slot: u64 = number.parse().unwrap();
            let carried = match schedule.at(slot) {
                None => "empty".into(),
                Some(Slot::Statement) => "manifest".into(),
                Some(Slot::Page { kind: PageKind::Page, component, cell }) => format!("page {component} {cell}"),
                Some(Slot::Page { kind: PageKind::Parity, component, cell }) => {
                    format!("parity-page {component} {cell}")
                }
                Some(Slot::Chunk { component, position }) => format!("chunk {component} {position}"),
            };
            assert_eq!(format!("{slot} {} {carried}", schedule.layer(slot)), line, "{}", v.name);
        }
    }
}

#[test]
fn packets_of_a_session_check_as_the_vectors_say() {
    for v in layer("session").iter().filter(|v| v.get("expect") != "ok") {
        let release = one(v.get("release"));
        let opened = open(&release.body).unwrap();
        let packet = Packet::decode(&v.body).unwrap();
        let got = match packet.header.object {
            Object::Statement { .. } => panic!("{}: a statement", v.name),
            Object::Page { kind, component, cell } => opened
                .trees
                .get(usize::from(component))
                .ok_or(TreeError::Range)
                .and_then(|tree| tree.check_page(kind, cell, packet.payload).map(|_| ())),
            Object::Chunk { component, sbn, esi } => {
                let place = |tree: &Tree| tree.geometry().position(sbn, esi).map(|p| tree.geometry().slot(p));
                match opened.trees.get(usize::from(component)).and_then(|tree| Some((tree, place(tree)?))) {
                    None => Err(TreeError::Range),
                    Some((tree, (cell, slot))) => {
                        tree.check_chunk(opened.record(&release.body, component, cell), slot, packet.payload)
                    }
                }
            }
        };
        assert_eq!(got.map_or_else(|e| e.code(), |()| "ok"), v.get("expect"), "{}", v.name);
    }
}

#[test]
fn every_layer_of_the_vectors_is_tested_here() {
    let folders = std::fs::read_dir(vectors::folder()).unwrap().map(|f| f.unwrap().path());
    let holds_vectors = |folder: &std::path::PathBuf| {
        folder.is_dir()
            && std::fs::read_dir(folder).unwrap().any(|f| f.unwrap().path().extension().is_some_and(|e| e == "vec"))
    };
    let mut found: Vec<_> =
        folders.filter(holds_vectors).map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    found.sort();
    let here = ["fec", "geometry", "nack", "nack-sender", "packet", "release", "schedule", "session", "statement"];
    let trust = ["beacon", "beacon-policy", "freshness", "policy", "root", "walk"];
    let mut tested = here.to_vec();
    // In `vectors_trust.rs`, and the last in the unit tests of `fleetcast-recv`.
    tested.extend(trust);
    tested.push("dns");
    tested.sort_unstable();
    assert_eq!(found, tested);
}
