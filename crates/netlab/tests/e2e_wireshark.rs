//! What Wireshark shows of a session, by the dissector of `examples/wireshark` and by its own of ALC, is what we read ourselves.
#![expect(clippy::unwrap_used, reason = "test code")]

mod wireshark;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_core::manifest::Manifest;
use fleetcast_core::nack::{self, Entry};
use fleetcast_core::tree::{Cell, Tree};
use fleetcast_core::trust::{Envelope, Trust, verify};
use fleetcast_core::wire::{HEADER_LEN, Header, Object, Packet, PageKind, StatementKind, Tsi};
use fleetcast_netlab::command_line::shipped;
use fleetcast_netlab::fleet::{Fleet, PATIENCE, noise};
use fleetcast_netlab::netns::{Host, INTERFACE, INTERFACE_INDEX, Process, Signal};
use fleetcast_netlab::vectors;
use sha2::{Digest as _, Sha256};

use wireshark::expected::{ALC_FIELDS, FIELDS, expected, expected_alc};
use wireshark::{Datagram, Fields, details, dissect, read, require_tshark, tshark, write};

/// Group of the layers from the base layer up, by IPv4, and of the only layer by IPv6.
const GROUPS: [&str; 2] = ["239.77.1.1:4000", "[ff15::77]:4000"];
/// Where requests go, in both families.
const FEEDBACK: u16 = 4002;
/// The port of the captures that no network has carried.
const PORT: u16 = 4701;
const OURS: &str = "udp.port==4701,fleetcast";

/// Listens on a host until it is ended.
fn capture(host: &Host, file: &Path) -> Process {
    let mut command = Command::new("dumpcap");
    command.args(["-q", "-P", "-B", "32", "-f", "udp", "-i", INTERFACE, "-w"]).arg(file);
    let process = host.spawn(&command).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !process.stderr().unwrap().contains("File:") {
        assert!(Instant::now() < deadline, "{}", process.stderr().unwrap());
        thread::sleep(Duration::from_millis(20));
    }
    process
}

/// Requests of a host to a group by IPv4, and to another host by IPv6.
fn ask(host: &Host, to: &Host, release: &nack::Release) {
    let entry = |component, cell, page, slots| Entry { component, cell, page, slots };
    let one = nack::encode(release, &[entry(0, 5, true, 0)]);
    let many =
        nack::encode(release, &[entry(0, 1, true, u64::MAX >> 1), entry(0, 7, false, 1 << 40), entry(1, 0, false, 1)]);
    let (v4, v6) =
        host.enter(|| (UdpSocket::bind((host.v4(), 0)).unwrap(), UdpSocket::bind(("::", 0)).unwrap())).unwrap();
    let group: SocketAddr = ([239, 77, 1, 99], FEEDBACK).into();
    let unicast = SocketAddrV6::new(to.v6(), FEEDBACK, 0, INTERFACE_INDEX);
    for request in [one, many] {
        v4.send_to(&request, group).unwrap();
        v6.send_to(&request, unicast).unwrap();
    }
}

#[test]
fn every_packet_of_a_session_is_read_as_we_read_it_by_our_dissector_and_that_of_alc() {
    if !require_tshark() {
        return;
    }
    let Some(fleet) = Fleet::new("wireshark") else { return };
    let root = fleet.root(1);
    // Two blocks of one component, with different numbers of repair chunks; and a component of few cells.
    let draft = fleet.draft(7).keys(&["release-1"]).chunk(64).repair(1);
    let release = draft.image("app", &noise(1, 64 * 4801)).image("boot", &noise(2, 10)).sign();
    let beacon = fleet.beacon("current", 1, &[&release], "1h").display().to_string();
    let (four, six) = (fleet.host("four"), fleet.host("six"));
    let (asker, probe) = (fleet.host("asker"), fleet.host("probe"));
    let file = fleet.path("session.pcap");
    let capturing = capture(&probe, &file);

    let options = format!("--root {} --beacon {beacon} --cycles 1", root.display());
    let layers = fleet.send(&four, &release, &format!("{options} --rate 8M --layers 3 --group {}", GROUPS[0]));
    let single = fleet.send(&six, &release, &format!("{options} --rate 4M --group {}", GROUPS[1]));
    let mut sends = [layers, single];
    let statement = statement(&release.file);
    let release_id = nack::release_of(&Sha256::digest(Envelope::parse(&statement).unwrap().payload()).into());
    sends[0].wait_for("ready");
    thread::sleep(Duration::from_millis(500));
    ask(&asker, &probe, &release_id);
    for send in &mut sends {
        send.success();
    }
    end(capturing);

    let datagrams = read(&file);
    let trust = Trust::from_root(&fs::read(root).unwrap()).unwrap();
    let trees = verify::<Manifest>(&statement, &trust).unwrap().trees().unwrap();
    compare(&file, &datagrams, &trees);
    compare_alc(&file, &datagrams);
    assert_all_kinds(&datagrams);
}

/// The statement of a release file.
fn statement(release: &Path) -> Vec<u8> {
    let file = fs::read(release).unwrap();
    file[12..12 + u32::from_be_bytes(file[8..12].try_into().unwrap()) as usize].to_vec()
}

#[track_caller]
fn end(mut capturing: Process) {
    // What was sent last is read from the kernel by then.
    thread::sleep(Duration::from_millis(500));
    capturing.kill(Signal::INT).unwrap();
    let status = capturing.wait(PATIENCE).unwrap();
    assert!(status.success(), "{}", capturing.stderr().unwrap());
}

fn compare(file: &Path, datagrams: &[Datagram], trees: &[Tree]) {
    let rows = dissect(file, &[], &FIELDS);
    let mut known: &[Tree] = &[];
    for Datagram { frame, payload, .. } in datagrams {
        if Packet::decode(payload).is_ok_and(|packet| packet.header.object == Object::MANIFEST) {
            known = trees;
        }
        assert_eq!(rows[frame - 1], expected(payload, known), "frame {frame}");
    }
    println!("{} of {} frames compared", datagrams.len(), rows.len());
}

fn compare_alc(file: &Path, datagrams: &[Datagram]) {
    let rows = tshark(file, &["-d", "udp.port==4000,alc"], &ALC_FIELDS);
    let packets = datagrams.iter().filter(|datagram| Packet::decode(&datagram.payload).is_ok());
    for Datagram { frame, payload, .. } in packets {
        assert_eq!(rows[frame - 1], expected_alc(payload), "frame {frame}");
    }
}

/// A comparison of what is not there would prove nothing.
fn assert_all_kinds(datagrams: &[Datagram]) {
    let seen: BTreeSet<_> = datagrams
        .iter()
        .map(|Datagram { is_v6, payload, .. }| match Packet::decode(payload) {
            Ok(packet) => (*is_v6, payload[3], payload[16] * u8::from(payload[3] == 0), packet.header.layer),
            Err(_) => (*is_v6, 0xFF, 0, 0),
        })
        .collect();
    for is_v6 in [false, true] {
        for statement in 0..3 {
            assert!(seen.contains(&(is_v6, 0, statement, 0)), "{seen:?}");
        }
        for layer in 0..if is_v6 { 1 } else { 3 } {
            assert!((1..4).all(|codepoint| seen.contains(&(is_v6, codepoint, 0, layer))), "{seen:?}");
        }
        assert!(seen.contains(&(is_v6, 0xFF, 0, 0)), "a request: {seen:?}");
    }
}

/// Codes of expert info and of the field, frame by frame, of payloads in a capture that is made of them.
fn codes(name: &str, payloads: &[&[u8]], options: &[&str]) -> Vec<Option<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    write(&file, PORT, payloads);
    let datagrams: Vec<_> = read(&file).into_iter().map(|datagram| datagram.payload).collect();
    assert_eq!(datagrams, payloads, "the reader reads what the writer wrote");
    let rows = dissect(&file, options, &["fleetcast.code", "_ws.expert.message", "_ws.col.Protocol"]);
    assert_eq!(rows.len(), payloads.len());
    let code = |row: &Fields| {
        let code = row.get("fleetcast.code").cloned();
        let message = row.get("_ws.expert.message").map_or("", String::as_str);
        assert!(code.as_ref().is_none_or(|code| message.contains(&format!("{code}: "))), "{row:?}");
        (row["_ws.col.Protocol"] == "Fleetcast").then(|| code.unwrap_or_default())
    };
    rows.iter().map(code).collect()
}

#[test]
fn the_cycle_of_the_vectors_is_read_as_we_read_it_and_digests_are_labelled_with_their_chunks() {
    if !require_tshark() {
        return;
    }
    let cycle = vectors::one("session/ok-cycle");
    let trust = vectors::one("statement/ok-minimal").trust().unwrap();
    let packets = cycle.parts();
    let trees = verify::<Manifest>(&packets[0][HEADER_LEN..], &trust).unwrap().trees().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cycle.pcap");
    write(&file, PORT, &packets);
    let datagrams = read(&file);
    compare(&file, &datagrams, &trees);

    let mut labels = Vec::new();
    for datagram in &datagrams {
        let object = Packet::decode(&datagram.payload).unwrap().header.object;
        if let Object::Page { kind: PageKind::Page, component, cell } = object {
            let geometry = trees[usize::from(component)].geometry();
            let Cell { start, len } = geometry.cell_at(cell).unwrap();
            labels.extend((0..len).map(|slot| {
                let (block, symbol) = geometry.symbol(start + slot).unwrap();
                let (kind, number) = match (start + slot).checked_sub(geometry.source_chunks()) {
                    Some(number) => ("repair", number),
                    None => ("source", start + slot),
                };
                format!("(slot {slot}: {kind} chunk {number} (block {block}, ESI {symbol}))")
            }));
        }
    }
    let told = details(&file, "fleetcast.kind == \"Page\"");
    let told: Vec<_> = told.lines().filter_map(|line| Some(&line[line.find("(slot ")?..])).collect();
    assert_eq!(told, labels);
}

#[test]
fn packets_of_the_vectors_that_break_a_rule_are_marked_with_its_code() {
    if !require_tshark() {
        return;
    }
    // Wireshark gives no dissector an empty datagram.
    let vectors: Vec<_> = vectors::layer("packet").into_iter().filter(|vector| !vector.body.is_empty()).collect();
    let payloads: Vec<_> = vectors.iter().map(|vector| vector.body.as_slice()).collect();
    let decoded = codes("packets.pcap", &payloads, &["-d", OURS]);
    let found = codes("found.pcap", &payloads, &[]);
    assert!(vectors.len() > 70);
    for ((vector, decoded), found) in vectors.iter().zip(decoded).zip(found) {
        let is_good = vector.get("expect") == "ok";
        // What good vectors carry is of random octets, and so no statement.
        let fields = expected(&vector.body, &[]);
        let code = fields.get("fleetcast.code").cloned().unwrap_or_default();
        assert!(if is_good { ["", "template"].contains(&code.as_str()) } else { code == vector.get("expect") });
        assert_eq!(decoded, Some(code.clone()), "{}", vector.name);
        assert_eq!(found, is_good.then_some(code), "{}: found on any port if nothing is wrong", vector.name);
    }
}

#[test]
fn requests_of_the_vectors_that_break_a_rule_are_marked_with_its_code() {
    if !require_tshark() {
        return;
    }
    let vectors: Vec<_> = vectors::layer("nack").into_iter().filter(|vector| !vector.body.is_empty()).collect();
    let payloads: Vec<_> = vectors.iter().map(|vector| vector.body.as_slice()).collect();
    assert!(vectors.len() > 20);
    for (vector, told) in vectors.iter().zip(codes("requests.pcap", &payloads, &["-d", OURS])) {
        let code = match vector.get("expect") {
            "ok" => "",
            // Without the three letters of the mark it can as well be a broken packet.
            "mark" if !vector.body.starts_with(b"FCN") => Packet::decode(&vector.body).unwrap_err().code(),
            code => code,
        };
        assert_eq!(told.as_deref(), Some(code), "{}", vector.name);
    }
}

#[test]
fn packets_that_do_not_fit_the_manifest_of_the_capture_are_marked_with_their_code() {
    if !require_tshark() {
        return;
    }
    let vectors = vectors::layer("session");
    let cycle = vectors.iter().find(|vector| vector.name == "session/ok-cycle").unwrap();
    let manifest_len = usize::from(u16::from_be_bytes([cycle.body[0], cycle.body[1]]));
    let manifest = &cycle.body[2..2 + manifest_len];
    let mut other_session = manifest.to_vec();
    other_session[8] ^= 1;
    let bad: Vec<_> = vectors.iter().filter(|vector| vector.get("expect") != "ok").collect();
    let mut payloads = vec![&other_session[..], manifest];
    payloads.extend(bad.iter().map(|vector| vector.body.as_slice()));

    let told = codes("session.pcap", &payloads, &[]);
    assert_eq!(told[..2], [Some("tsi".to_owned()), Some(String::new())]);
    for (vector, told) in bad.iter().zip(&told[2..]) {
        let code = match vector.get("expect") {
            // Digests are not looked at.
            "page-digest" | "chunk-digest" => "",
            code => code,
        };
        assert_eq!(told.as_deref(), Some(code), "{}", vector.name);
    }
}

/// Good and bad datagrams, manifests among them that lie under their TSI whatever they say, with octets changed and cut off.
fn damaged(count: usize) -> Vec<Vec<u8>> {
    let header = |kind, number| {
        let object = Object::Statement { kind, number };
        Header { layer: 0, count: 0, tsi: Tsi([0; 4]), object }.encode()
    };
    let kinds = [StatementKind::Manifest, StatementKind::Root, StatementKind::Beacon];
    let mut seeds: Vec<_> =
        ["nack", "session"].into_iter().flat_map(vectors::layer).map(|vector| vector.body).collect();
    for ((layer, kind), number) in ["statement", "root", "beacon"].into_iter().zip(kinds).zip([0, 1, 0]) {
        seeds.extend(vectors::layer(layer).iter().map(|vector| [&header(kind, number)[..], &vector.body].concat()));
    }
    seeds.retain(|seed| !seed.is_empty() && seed.len() < 10_000);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut one = || {
        let mut datagram = seeds[rng.usize(..seeds.len())].clone();
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(..datagram.len());
            datagram[at] = rng.u8(..);
        }
        if rng.u8(..) < 64 {
            datagram.truncate(rng.usize(1..=datagram.len()));
        }
        if let Some(Ok(envelope)) = datagram.get(HEADER_LEN..).map(Envelope::parse) {
            let digest = Sha256::digest(envelope.payload());
            datagram[8..12].copy_from_slice(&digest[..4]);
        }
        datagram
    };
    std::iter::repeat_with(&mut one).take(count).collect()
}

#[test]
fn no_datagram_makes_the_dissector_fail() {
    if !require_tshark() {
        return;
    }
    let datagrams = damaged(5000);
    let payloads: Vec<_> = datagrams.iter().map(Vec::as_slice).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("damaged.pcap");
    write(&file, PORT, &payloads);
    let rows = dissect(&file, &["-d", OURS], &["fleetcast.code", "_ws.expert.message"]);
    assert_eq!(rows.len(), datagrams.len());
    for (row, datagram) in rows.iter().zip(datagrams) {
        assert!(!row.values().any(|value| value.contains("Lua")), "{row:?}: {datagram:02x?}");
    }
}

#[test]
fn every_filter_of_the_readme_is_one() {
    if !require_tshark() {
        return;
    }
    let readme = fs::read_to_string(shipped("examples/wireshark/README.md")).unwrap();
    let words = readme.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
    let names = words.filter(|word| word.starts_with("fleetcast.") && *word != "fleetcast.lua");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `fleetcast")?.split('`').next());
    let filters: BTreeSet<_> = names.map(str::to_owned).chain(rows.map(|row| format!("(fleetcast{row})"))).collect();
    assert!(filters.len() > 40, "{filters:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.pcap");
    write(&file, PORT, &[]);
    // A field that does not exist is an error.
    let any = filters.into_iter().collect::<Vec<_>>().join(" || ");
    assert!(dissect(&file, &["-Y", &any], &["frame.number"]).is_empty());
}
