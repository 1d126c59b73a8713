//! An image of more than 4 GiB: every offset and size has 64 bits, and none is cut.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use fleetcast_core::manifest::{Manifest, Token};
use fleetcast_core::release::{HEAD_LEN, Layout, decode_head};
use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_core::trust::{Verified, verify};
use fleetcast_core::wire::{Header, Object, PageKind};
use fleetcast_install::RealFs;
use fleetcast_netlab::release::{Image, Input, facts, signed, trust};
use fleetcast_recv::config::Config;
use fleetcast_recv::device::{Device, Outcome};
use fleetcast_recv::events::Event;

use super::bench::config;

const T: u64 = 8192;
const SIZE: u64 = (1 << 32) + 70 * T + 13;

/// Chunks that are not zero, with what they hold: at the begin, on both sides of 4 GiB, and at the end.
fn marks() -> [(u64, u8); 5] {
    [(0, 1), ((1 << 32) / T - 1, 2), ((1 << 32) / T, 3), ((1 << 32) / T + 1, 4), (SIZE / T, 5)]
}

#[test]
fn an_image_of_more_than_four_gibibytes_is_received_and_installed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut new = File::create(path("new")).unwrap();
    new.set_len(SIZE).unwrap();
    for (number, octet) in marks() {
        new.seek(SeekFrom::Start(number * T)).unwrap();
        new.write_all(&vec![octet; usize::try_from(T.min(SIZE - number * T)).unwrap()]).unwrap();
    }
    let parameters = Parameters { size: SIZE, chunk: T, cell: 64, repair: 0, digest: 16, cap_len: 16 };
    let geometry = Geometry::new(&parameters).unwrap();
    let name = Token::new("rootfs").unwrap();
    let image = Image::open(&path("new")).unwrap();
    let file = signed(&facts(1), &[Input { name: name.clone(), target: name, image, geometry }]);
    let len = decode_head(*file.first_chunk().unwrap()).unwrap();
    let statement = &file[HEAD_LEN..HEAD_LEN + len];
    let manifest: Verified<Manifest> = verify(statement, &trust()).unwrap();
    let layout = Layout::new(len, &manifest);

    let mut config = Config { state: path("state"), max_packet: 8972, ..config() };
    config.targets[0].path = path("rootfs.img");
    config.targets.truncate(1);
    let backend = config.install.backend(&RealFs, &config.targets);
    let mut events = Vec::new();
    let mut tell = |event| events.push(event);
    let (mut device, _) = Device::open(&RealFs, backend, &config, [7; 16], &mut tell).unwrap();
    let mut count = 0;
    let mut outcome = Outcome::Going;
    let mut feed = |object, payload: &[u8]| {
        count += 1;
        let header = Header { layer: 0, count, tsi: manifest.tsi(), object };
        let packet = [&header.encode()[..], payload].concat();
        outcome = device.handle(Instant::from_micros(u64::from(count) * 100), 1, &packet, &mut tell).unwrap();
        while outcome == Outcome::Going && device.can_reuse() {
            outcome = device.reuse(Instant::from_micros(u64::from(count) * 100), &mut tell).unwrap();
        }
        outcome
    };
    feed(Object::MANIFEST, statement);
    let mut chunk = vec![0; usize::try_from(T).unwrap()];
    let mut done = Outcome::Going;
    for cell in 0..geometry.cells() {
        let offset = usize::try_from(layout.record_offset(0, cell).unwrap()).unwrap();
        let length = geometry.page_payload_len(PageKind::Page, cell).unwrap();
        done = feed(Object::Page { kind: PageKind::Page, component: 0, cell }, &file[offset..offset + length]);
        let positions = geometry.cell_at(cell).unwrap();
        for (number, octet) in marks() {
            let position = u32::try_from(number).unwrap();
            if (positions.start..positions.start + positions.len).contains(&position) {
                chunk.fill(0);
                chunk[..usize::try_from(T.min(SIZE - number * T)).unwrap()].fill(octet);
                let (sbn, esi) = geometry.symbol(position).unwrap();
                done = feed(Object::Chunk { component: 0, sbn, esi }, &chunk);
            }
        }
    }
    assert_eq!(done, Outcome::Installed);
    // All else was there: a hole reads as zeros.
    assert!(events.iter().any(|event| matches!(event, Event::Reused { .. })));
    let mut found = File::open(path("rootfs.img")).unwrap();
    assert_eq!(found.metadata().unwrap().len(), SIZE);
    let mut octet = [0];
    for (number, expected) in marks() {
        found.seek(SeekFrom::Start(number * T)).unwrap();
        found.read_exact(&mut octet).unwrap();
        assert_eq!(octet[0], expected, "chunk {number}");
    }
}
