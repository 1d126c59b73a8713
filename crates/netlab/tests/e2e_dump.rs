//! What `fleetcast-recv dump` counts, from a capture and live, is what was sent, lost and forged, and what tshark counts.
#![expect(clippy::unwrap_used, reason = "test code")]

#[expect(dead_code, reason = "it has more than is needed here")]
mod wireshark;

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_core::wire::Packet;
use fleetcast_netlab::fleet::{Fleet, GROUP, PATIENCE, count, noise, program};
use fleetcast_netlab::netns::{Host, INTERFACE, Process, Signal};
use serde_json::Value;

use wireshark::{require_tshark, tshark};

/// A command of the receiver, with options apart by blanks.
fn dump(options: &str) -> Command {
    let mut command = Command::new(program("recv"));
    command.args(["dump", "--json"]).args(options.split_ascii_whitespace());
    command
}

/// Waits until `is_so`.
#[track_caller]
fn wait(process: &mut Process, is_so: impl Fn(&Process) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(process) {
        assert!(process.try_wait().unwrap().is_none() && Instant::now() < deadline, "{}", process.stderr().unwrap());
        thread::sleep(Duration::from_millis(20));
    }
}

fn capture(host: &Host, file: &str) -> Process {
    let mut command = Command::new("dumpcap");
    command.args(["-q", "-B", "32", "-f", "udp", "-i", INTERFACE, "-w", file]);
    let mut process = host.spawn(&command).unwrap();
    wait(&mut process, |process| process.stderr().unwrap().contains("File:"));
    process
}

/// What a sender sent, as the report has it.
fn sender<'a>(report: &'a Value, host: &Host) -> &'a Value {
    let of = |sender: &&Value| sender["source"].as_str().unwrap().starts_with(&format!("{}:", host.v4()));
    report["senders"].as_array().unwrap().iter().find(of).unwrap()
}

#[test]
fn a_capture_is_counted_as_the_sender_counts_it_and_as_tshark_does() {
    if !require_tshark() {
        return;
    }
    let Some(fleet) = Fleet::new("dump") else { return };
    let root = fleet.root(1);
    let draft = |sequence| fleet.draft(sequence).keys(&["release-1"]).chunk(512);
    let releases = [draft(7).image("app", &noise(1, 1 << 20)).sign(), draft(8).image("app", &noise(2, 1 << 19)).sign()];
    let beacon = fleet.beacon("current", 1, &[&releases[0]], "1h").display().to_string();
    let (one, two, probe) = (fleet.host("one"), fleet.host("two"), fleet.host("probe"));
    let file = fleet.path("session.pcapng").display().to_string();
    let mut capturing = capture(&probe, &file);
    let options = format!("--root {} --beacon {beacon} --cycles 1 --rate 8M", root.display());
    let mut sends = [
        fleet.send(&one, &releases[0], &format!("{options} --layers 3")),
        fleet.send(&two, &releases[1], &format!("--cycles 1 --rate 8M --group {GROUP}")),
    ];
    let stopped = sends.each_mut().map(|send| send.success());
    // What was sent last is read from the kernel by then.
    thread::sleep(Duration::from_millis(500));
    capturing.kill(Signal::INT).unwrap();
    assert!(capturing.wait(PATIENCE).unwrap().success());

    let trust = format!("{file} --require-verified --root {}", root.display());
    let output = probe.run(&dump(&trust)).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let flows = report["senders"].as_array().unwrap();
    let sum = |host: &Host, field: &str| {
        let own = flows.iter().filter(|f| f["source"].as_str().unwrap().starts_with(&format!("{}:", host.v4())));
        own.map(|flow| count(flow, field)).sum::<u64>()
    };
    for (host, stopped) in [&one, &two].into_iter().zip(&stopped) {
        for field in ["packets", "octets"] {
            assert_eq!(sum(host, field), count(stopped, field), "{}: {stopped}", host.name());
        }
    }
    for flow in flows {
        assert_eq!(
            (&flow["loss"]["lost"], flow["verdicts"]["dropped"].as_object().unwrap().len()),
            (&0.into(), 0),
            "{flow}"
        );
    }
    let rows = tshark(file.as_ref(), &["-Y", "udp.dstport == 4000"], &["udp.length", "ip.src"]);
    assert_eq!(rows.len() as u64, count(&report, "packets"));
    let octets: u64 = rows.iter().map(|row| row["udp.length"].parse::<u64>().unwrap() - 8).sum();
    assert_eq!(octets, flows.iter().map(|flow| count(flow, "octets")).sum::<u64>());
    let sessions: Vec<_> = report["sessions"].as_array().unwrap().iter().collect();
    assert!(sessions.len() == 2 && sessions.iter().all(|session| session["verified"] == true), "{report}");
    assert_eq!((&report["beacons"][0]["state"], &report["beacons"][0]["verified"]), (&"good".into(), &true.into()));
    assert_eq!((&report["roots"][0]["version"], &report["roots"][0]["verified"]), (&1.into(), &true.into()));
}

#[test]
fn live_a_lossy_link_and_a_forger_are_told_and_nothing_can_be_opened() {
    let Some(fleet) = Fleet::new("dump-live") else { return };
    let release = fleet.release(5, &noise(5, 1 << 20));
    let (sending, forging, watching) = (fleet.host("sender"), fleet.host("forger"), fleet.host("watcher"));
    watching.loss(100).unwrap();
    let key = fleet.key("release").1.display().to_string();
    let options = format!("--group {GROUP} --interface {INTERFACE} --trust {key} --for 5s --packets");
    let mut watch = watching.spawn(&dump(&options)).unwrap();
    let mut send = fleet.send(&sending, &release, "--rate 8M");
    send.wait_for("ready");
    wait(&mut watch, |process| process.stdout().unwrap().contains("source-chunk"));
    let status = fs::read_to_string(format!("/proc/{}/status", watch.id())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    // What is heard is sent again, with an octet turned over.
    let line = watch.stdout().unwrap();
    let line = line.lines().find(|line| line.contains("source-chunk")).unwrap();
    let heard: Value = serde_json::from_str(line).unwrap();
    let place = |field| u16::try_from(count(&heard, field)).unwrap().to_be_bytes();
    let mut chunk = vec![0; 20 + 1024];
    chunk[..4].copy_from_slice(&[0x10, 0xA0, 4, 3]);
    let session = u32::from_str_radix(heard["session"].as_str().unwrap(), 16).unwrap();
    chunk[8..12].copy_from_slice(&session.to_be_bytes());
    chunk[15] = 1;
    chunk[16..18].copy_from_slice(&place("block"));
    chunk[18..20].copy_from_slice(&place("symbol"));
    assert!(Packet::decode(&chunk).is_ok());
    let socket = forging.enter(|| UdpSocket::bind((forging.v4(), 0)).unwrap()).unwrap();
    for _ in 0..50 {
        socket.send_to(&chunk, (Ipv4Addr::new(239, 77, 1, 1), 4000)).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    let status = watch.wait(PATIENCE).unwrap();
    assert!(status.success(), "{}", watch.stderr().unwrap());
    let told = watch.stdout().unwrap();
    let report: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();

    let genuine = sender(&report, &sending);
    assert!(count(&genuine["verdicts"], "verified") > 500, "{genuine}");
    assert!(genuine["verdicts"]["dropped"].as_object().unwrap().is_empty(), "{genuine}");
    let [counted, lost] = ["sent", "lost"].map(|field| count(&genuine["loss"], field));
    assert!(lost * 20 > counted && lost * 20 < counted * 3, "a tenth is lost: {lost} of {counted}");
    let forger = sender(&report, &forging);
    assert_eq!(count(&forger["verdicts"], "verified"), 0);
    assert!(forger["verdicts"]["dropped"]["chunk-digest"].as_u64().unwrap() > 20, "{forger}");
    assert_eq!(report["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(report["sessions"][0]["verified"], true);
}
