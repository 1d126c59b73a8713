//! Captures as they are told to people and programs.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_netlab::capture::{ETHERNET, frame, ip, pcap};
use fleetcast_netlab::command_line::{Done, shipped};
use fleetcast_netlab::release::{Release, facts};
use serde_json::Value;

use super::common::Folder;

/// A release of 200 source and 50 repair chunks.
fn release(key: &str, sequence: u64) -> Release {
    let parameters = Parameters { size: 12_750, chunk: 64, cell: 8, repair: 25, digest: 16, cap_len: 16 };
    let image = (0..12_750_u64).map(|i| u8::try_from((i * i + sequence) % 251).unwrap()).collect();
    Release::signed_by(&[key], &facts(sequence), vec![("rootfs", image, Geometry::new(&parameters).unwrap())])
}

/// Frames of so many packets, one a millisecond; every tenth is lost.
fn frames(release: &Release, source: &str, group: &str, packets: u32) -> Vec<(u64, Vec<u8>)> {
    let [source, group]: [SocketAddr; 2] = [source, group].map(|text| text.parse().unwrap());
    let mut packet = Vec::new();
    let mut one = |count: u32| {
        release.carousel.packet(count.into(), count, &mut packet).then(|| {
            let time = 1_700_000_000_000_000 + u64::from(count) * 1000;
            (time, frame(ETHERNET, &[], &ip(source, group, &packet)))
        })
    };
    (0..packets).filter_map(|count| one(count).filter(|_| count % 10 != 7)).collect()
}

/// A capture of two releases by two senders, a forged chunk, and something else.
fn capture(folder: &Folder) -> PathBuf {
    let (genuine, other) = (release("release", 7), release("stranger", 8));
    let mut all = frames(&genuine, "192.0.2.1:50000", "239.77.1.1:4701", 400);
    all.extend(frames(&other, "[2001:db8::2]:50000", "[ff15::77]:4701", 200));
    let mut forged = all[12].clone();
    *forged.1.last_mut().unwrap() ^= 1;
    let noise = ip("192.0.2.3:53".parse().unwrap(), "192.0.2.4:53".parse().unwrap(), b"no packet");
    all.extend([forged, (1_700_000_000_000_000, frame(ETHERNET, &[], &noise))]);
    all.sort_by_key(|(time, _)| *time);
    folder.write("session.pcap", pcap(ETHERNET, &all))
}

fn key() -> String {
    shipped("keys/UNSAFE-test-release.pub.pem").display().to_string()
}

/// Compares with a file that was reviewed; `UPDATE_SNAPSHOTS=1` rewrites it.
#[track_caller]
fn assert_snapshot(name: &str, told: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        File::create(&path).unwrap().write_all(told.as_bytes()).unwrap();
    }
    assert_eq!(told, fs::read_to_string(path).unwrap(), "{name}");
}

#[test]
fn two_releases_of_two_senders_are_told_as_reviewed() {
    let folder = Folder::default();
    capture(&folder);
    let told = folder.recv(&["dump", "session.pcap", "--trust", &key(), "--require-verified"]).ok().stdout;
    assert_snapshot("dump-trusted.txt", &told);
    let told = folder.recv(&["dump", "session.pcap"]).ok().stdout;
    assert_snapshot("dump-unverified.txt", &told);
    // Nothing is left behind.
    assert_eq!(folder.names(), ["session.pcap"]);
}

#[test]
fn programs_are_told_the_same_as_json_packet_by_packet() {
    let folder = Folder::default();
    let capture = capture(&folder);
    let mut command = folder.command(&["dump", "-", "--json", "--packets", "--trust", &key()]);
    let output = command.stdin(Stdio::from(File::open(capture).unwrap())).output().unwrap();
    let told = Done::from(output).ok().stdout;
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (report, packets) = lines.split_last().unwrap();
    assert!(lines.iter().all(|line| line["v"] == 1));
    assert_eq!((&report["event"], &report["packets"]), (&"report".into(), &packets.len().into()));
    let verdict = |wanted: &str| packets.iter().filter(|line| line["verdict"] == wanted).count();
    assert_eq!(report["senders"][0]["verdicts"]["verified"], verdict("verified"));
    let forged: Vec<_> = packets.iter().filter(|line| line["code"] == "chunk-digest").collect();
    assert_eq!(forged.len(), 1);
    let [kind, block, source] = ["kind", "block", "source"].map(|field| &forged[0][field]);
    assert_eq!((kind, block, source), (&"source-chunk".into(), &0.into(), &"192.0.2.1:50000".into()));
    assert_eq!(report["sessions"][0]["verified"], true);
    assert_eq!(report["sessions"][1]["refused"], "threshold");
    let told = folder.recv(&["dump", "session.pcap", "--packets", "--group", "[ff15::77]:4701"]).ok().stdout;
    let line = told.lines().next().unwrap();
    assert!(line.starts_with("1700000000.000000 [2001:db8::2]:50000 > [ff15::77]:4701 "), "{line}");
    assert!(line.ends_with(" layer 0 #0 manifest: claimed"), "{line}");
    assert!(!told.contains("192.0.2.1"), "{told}");
}

#[test]
fn exit_codes_tell_silence_from_strangers_and_damage() {
    let folder = Folder::default();
    let capture = fs::read(capture(&folder)).unwrap();
    let trust = key();
    folder.write("empty.pcap", pcap(ETHERNET, &[]));
    folder.recv(&["dump", "empty.pcap"]).failed(1, &["nothing of this protocol was seen"]);
    folder.recv(&["dump", "none.pcap"]).failed(1, &["cannot use capture none.pcap: cannot read it: No such file"]);
    folder.write("text.pcap", "no capture");
    folder.recv(&["dump", "text.pcap"]).failed(1, &["text.pcap: it is no capture in the form of pcap or pcapng"]);
    folder.recv(&["dump", "session.pcap", "--require-verified"]).failed(2, &["needs somebody to trust"]);
    folder.recv(&["dump", "session.pcap", "--for", "1s"]).failed(2, &["cannot be used with"]);
    folder.recv(&["dump", "session.pcap", "--trust", "none.pem"]).failed(78, &["none.pem"]);
    folder.recv(&["dump"]).failed(78, &["--interface: interface is not set"]);
    folder.recv(&["dump", "--interface", "lo"]).failed(78, &["--group: groups is not set"]);
    let strangers = ["dump", "session.pcap", "--group", "[ff15::77]:4701", "--trust", &trust, "--require-verified"];
    folder.recv(&strangers).failed(3, &["no release on the air is verified"]);

    folder.write("cut.pcap", &capture[..capture.len() - 3]);
    let cut = folder.recv(&["dump", "cut.pcap"]).ok();
    assert!(cut.stderr.contains("it ends within a record") && cut.stdout.contains("session "), "{cut:?}");
    let mut damaged = capture;
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0xFF);
    folder.write("damaged.pcap", damaged);
    folder.recv(&["dump", "damaged.pcap"]).failed(1, &["it is damaged"]);
}

#[test]
fn settings_of_a_device_say_whom_to_trust() {
    let folder = Folder::default();
    capture(&folder);
    fs::copy(key(), folder.path("release-key.pub.pem")).unwrap();
    let example = fs::read_to_string(shipped("examples/recv.toml")).unwrap();
    folder.write("recv.toml", example);
    let told = folder.recv(&["dump", "session.pcap", "--config", "recv.toml", "--json"]).ok().stdout;
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(report["sessions"][0]["verified"], true);
}
