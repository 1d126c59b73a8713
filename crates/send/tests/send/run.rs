//! `fleetcast-send run` on the loopback interface, heard by real receivers.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Child;
use std::time::Duration;

use fleetcast_core::wire::{Object, Packet};
use fleetcast_net::{Interface, Membership, ReceiveOptions, Receiver};
use fleetcast_netlab::command_line::Done;
use fleetcast_send::batch::Batch;
use fleetcast_send::carousel::{Carousel, Phase};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::timeout;

use super::fixture::Release;

/// A group of this process alone; each test has a port of its own.
fn group() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(239, 192 + high, middle, low)
}

pub(crate) fn to(port: u16) -> Vec<String> {
    vec!["--group".into(), format!("{}:{port}", group()), "--interface".into(), "lo".into()]
}

pub(crate) fn args<'a>(to: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    to.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

pub(crate) fn block_on<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(30), test).await.unwrap() })
}

pub(crate) fn join(port: u16) -> Receiver {
    let interface = Interface::find("lo").unwrap();
    let membership = Membership { group: group().into(), port, source: None, interface };
    Receiver::join(&[membership], &ReceiveOptions::default()).unwrap()
}

/// Receives until nothing has come for half a second.
pub(crate) async fn drain(receiver: &mut Receiver) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let wait = Duration::from_millis(500);
    while let Ok(result) = timeout(wait, receiver.receive(|_, datagram| all.push(datagram.to_vec()))).await {
        result.unwrap();
    }
    all
}

pub(crate) fn end(child: Child) -> Done {
    child.wait_with_output().unwrap().into()
}

pub(crate) fn spawn(release: &Release, args: &[&str]) -> Child {
    release.send("run", args).spawn().unwrap()
}

pub(crate) fn interrupt(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

pub(crate) fn events(stdout: &str) -> Vec<Value> {
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["v"] == 1));
    events
}

/// All packets of a cycle without their counts, and how often each may come in `cycles`.
fn cycle(release: &Release, cycles: u32) -> HashMap<Vec<u8>, u32> {
    let mut carousel = Carousel::new(release.open().unwrap(), Phase(0), 256);
    let mut batch = Batch::default();
    while carousel.progress().0 == 0 {
        carousel.next_packet(&mut batch).unwrap();
    }
    let packets = batch.runs().flat_map(|(octets, segment)| octets.chunks(segment));
    packets.map(|packet| (uncounted(packet), cycles)).collect()
}

fn uncounted(packet: &[u8]) -> Vec<u8> {
    [&packet[..4], &packet[8..]].concat()
}

fn is_manifest(packet: &[u8]) -> bool {
    matches!(Packet::decode(packet).unwrap().header.object, Object::Statement { .. })
}

#[test]
fn cycles_are_exact_with_and_without_offload() {
    block_on(async {
        for (port, more) in [(47_310, &["--no-gso"][..]), (47_311, &[])] {
            let release = Release::of("ok-mixed-geometry");
            let mut receiver = join(port);
            let (to, pace) = (to(port), ["--cycles", "3", "--rate", "20M", "--json"]);
            let child = spawn(&release, &args(&to, &[&pace[..], more].concat()));
            let heard = drain(&mut receiver).await;
            let done = end(child).ok();
            let mut left = cycle(&release, 3);
            left.retain(|packet, _| packet[3] != 0);
            for (number, packet) in (0..).zip(&heard) {
                assert_eq!(Packet::decode(packet).unwrap().header.count, number, "lost or out of order");
                if !is_manifest(packet) {
                    *left.get_mut(&uncounted(packet)).unwrap() -= 1;
                }
            }
            assert!(left.values().all(|&times| times == 0), "missing packets");
            let events = events(&done.stdout);
            let last = events.last().unwrap();
            assert_eq!(
                (&last["event"], &last["reason"], &last["cycles"]),
                (&"stopped".into(), &"cycles".into(), &3.into())
            );
            assert_eq!(last["packets"], heard.len());
            assert_eq!(last["octets"], heard.iter().map(Vec::len).sum::<usize>());
            assert_eq!(events[0]["event"], "ready");
            assert_eq!(events.iter().filter(|event| event["event"] == "cycle").count(), 3);
        }
    });
}

#[test]
fn each_layer_goes_to_a_group_of_its_own_from_one_source_and_is_told_of() {
    block_on(async {
        let release = Release::of("ok-mixed-geometry");
        let base = group();
        let interface = Interface::find("lo").unwrap();
        let mut receivers: Vec<_> = (0..3)
            .map(|layer| {
                let group = Ipv4Addr::from_bits(base.to_bits() + layer).into();
                let membership = Membership { group, port: 47_380, source: None, interface: interface.clone() };
                Receiver::join(&[membership], &ReceiveOptions::default()).unwrap()
            })
            .collect();
        let to = to(47_380);
        let child = spawn(&release, &args(&to, &["--layers", "3", "--cycles", "1", "--rate", "8M", "--json"]));
        let mut heard = vec![Vec::new(); 3];
        let mut sources = Vec::new();
        let wait = Duration::from_millis(500);
        for (receiver, heard) in receivers.iter_mut().zip(&mut heard) {
            let mut take = |from: std::net::SocketAddr, datagram: &[u8]| {
                sources.push(from);
                heard.push(datagram.to_vec());
            };
            while let Ok(result) = timeout(wait, receiver.receive(&mut take)).await {
                result.unwrap();
            }
        }
        let done = end(child).ok();
        sources.dedup();
        assert_eq!(sources.len(), 1, "{sources:?}");
        for (layer, heard) in (0..).zip(&heard) {
            for (number, packet) in (0..).zip(heard) {
                let header = Packet::decode(packet).unwrap().header;
                assert_eq!((header.layer, header.count), (layer, number), "lost or out of order");
            }
        }
        // The base layer carries the release whole.
        let mut left = cycle(&release, 1);
        left.retain(|packet, _| packet[3] != 0);
        let whole = left.len();
        for packet in &heard[0] {
            left.remove(&uncounted(packet));
        }
        assert!(left.len() <= 1, "{} of {whole} missing", left.len());
        let events = events(&done.stdout);
        assert_eq!(events[0]["layers"].as_array().unwrap().len(), 3);
        assert_eq!(events[0]["layers"][2]["group"], format!("{}:47380", Ipv4Addr::from_bits(base.to_bits() + 2)));
        assert_eq!(events[0]["layers"][2]["pace"], "4.00 Mbit/s");
        let told = events.last().unwrap()["layers"].as_array().unwrap();
        let packets: Vec<_> = told.iter().map(|layer| layer["packets"].as_u64().unwrap()).collect();
        assert_eq!(packets, heard.iter().map(|heard| heard.len() as u64).collect::<Vec<_>>());
    });
}

#[test]
fn groups_that_do_not_fit_the_layers_and_a_share_without_a_rate_are_wrong_usage() {
    let release = Release::of("ok-small");
    let to = to(47_390);
    for (more, part) in [
        (&["--group", "239.1.2.3:1", "--layers", "3"][..], "2 groups for 3 layers"),
        (&["--group", "[ff15::1]:1"], "another address family"),
        (&["--layers", "9"], "9 is not in 1..=8"),
        (&["--sender", "2/2"], "counted from 0"),
        (&["--sender", "0/2", "--start", "0.5"], "cannot be used with"),
        (&["--sender", "0/2", "--rate", "unlimited"], "--sender needs a rate"),
    ] {
        Done::run(&mut release.send("run", &args(&to, more))).failed(2, &[part]);
    }
}

#[test]
fn the_rate_is_kept() {
    let release = Release::of("ok-digest-32");
    let to = to(47_320);
    // The default is 10 Mbit/s.
    let bits = |last: &Value| last["octets"].as_f64().unwrap() * 8.0;
    let packets = |last: &Value| last["packets"].as_f64().unwrap();
    for (pace, sent, asked) in [
        (&[][..], &bits as &dyn Fn(&Value) -> f64, 10_000_000.0),
        (&["--rate", "100M"], &bits, 100_000_000.0),
        (&["--packet-delay", "2ms"], &packets, 500.0),
    ] {
        let measure = || {
            let child = spawn(&release, &args(&to, &[pace, &["--json"]].concat()));
            std::thread::sleep(Duration::from_millis(2300));
            interrupt(&child, Signal::TERM);
            let events = events(&end(child).ok().stdout);
            assert!(events.iter().any(|event| event["event"] == "progress"));
            let last = events.last().unwrap();
            assert_eq!(last["reason"], "signal");
            let got = sent(last) / last["seconds"].as_f64().unwrap();
            assert!(got < asked * 1.01, "{got} instead of {asked}");
            got
        };
        // A busy machine may take the time to send away, now and then. How exact it is, the pacer's own tests show.
        assert!((0..5).any(|_| measure() > asked * 0.9), "never {asked}");
    }
}

#[test]
fn a_signal_ends_an_endless_carousel_well_and_a_counted_one_not() {
    let release = Release::of("ok-two-blocks");
    let to = to(47_330);
    for (signal, cycles, code) in [
        (Signal::INT, &[][..], 0),
        (Signal::TERM, &[], 0),
        (Signal::INT, &["--cycles", "1000"], 1),
        (Signal::TERM, &["--cycles", "1000", "--rate", "unlimited"], 1),
        (Signal::INT, &["--packet-delay", "1h"], 0),
    ] {
        let mut child = spawn(&release, &args(&to, cycles));
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        while !told.contains("sending to 239.") {
            assert!(stderr.read_line(&mut told).unwrap() > 0, "{told}");
        }
        interrupt(&child, signal);
        stderr.read_to_string(&mut told).unwrap();
        let done = Done { stderr: told, ..end(child) };
        assert_eq!(done.code, Some(code), "{done:?}");
        assert!(done.stderr.contains("stopped (signal)"), "{done:?}");
        assert_eq!(done.stderr.contains("of 1000 cycles complete"), code == 1, "{done:?}");
        assert!(done.stdout.is_empty(), "{done:?}");
    }
}

#[test]
fn a_file_written_to_midway_stops_the_carousel_and_nothing_wrong_is_heard() {
    block_on(async {
        let release = Release::of("ok-two-blocks");
        let right = cycle(&release, 0);
        let mut receiver = join(47_340);
        let to = to(47_340);
        let child = spawn(&release, &args(&to, &["--rate", "4M", "--start", "0"]));
        let mut heard = Vec::new();
        while heard.len() < 200 {
            receiver.receive(|_, packet| heard.push(packet.to_vec())).await.unwrap();
        }
        let size = usize::try_from(fs::metadata(release.path("rootfs.img")).unwrap().len()).unwrap();
        release.folder.write("rootfs.img", vec![7; size]);
        heard.extend(drain(&mut receiver).await);
        end(child).failed(3, &["before it sent anything wrong: image rootfs.img", "put new images in new files"]);
        assert!(heard.iter().all(|packet| right.contains_key(&uncounted(packet))), "something wrong was sent");
    });
}

#[test]
fn nothing_is_sent_if_the_check_fails() {
    block_on(async {
        let release = Release::of("ok-small");
        release.flip("rootfs.img", 999);
        let mut receiver = join(47_350);
        Done::run(&mut release.send("run", &args(&to(47_350), &["--cycles", "1"]))).failed(3, &["rootfs.img"]);
        assert!(drain(&mut receiver).await.is_empty());
    });
}

#[test]
fn group_and_interface_are_looked_at_before_the_images() {
    let release = Release::of("ok-small");
    release.flip("rootfs.img", 999);
    for (group, interface, code, part) in
        [("10.0.0.1:4701", "lo", 2, "10.0.0.1"), ("239.1.2.3:4701", "nosuch0", 1, "nosuch0")]
    {
        Done::run(&mut release.send("run", &["--group", group, "--interface", interface])).failed(code, &[part]);
    }
}

#[test]
fn a_reader_of_events_that_stalls_stops_neither_packets_nor_signals() {
    block_on(async {
        let release = Release::of("ok-small");
        let mut receiver = join(47_370);
        let to = to(47_370);
        let mut child = spawn(&release, &args(&to, &["--json", "--rate", "100M"]));
        // Each cycle is an event of about 100 octets; a pipe takes 64 KiB.
        let cycle = u32::try_from(release.open().unwrap().volume().packets).unwrap();
        let mut sent = 0;
        while sent < 2_000 * cycle {
            receiver.receive(|_, packet| sent = Packet::decode(packet).unwrap().header.count).await.unwrap();
        }
        interrupt(&child, Signal::TERM);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success(), "{status}");
        let events = events(&end(child).stdout);
        assert_eq!(events[0]["event"], "ready");
        assert!(events.len() < 2_000, "the pipe was never full");
    });
}

#[test]
fn what_is_sent_at_its_port_never_arrives() {
    block_on(async {
        let release = Release::of("ok-small");
        let mut receiver = join(47_360);
        let to = to(47_360);
        let child = spawn(&release, &args(&to, &["--source-port", "47361"]));
        let mut from = None;
        receiver.receive(|address, _| from = Some(address)).await.unwrap();
        let from = from.unwrap();
        assert_eq!(from.port(), 47_361);
        let ordinary = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            ordinary.send_to(b"hello?", from).unwrap();
        }
        let table = fs::read_to_string("/proc/thread-self/net/udp").unwrap();
        let line = table.lines().find(|line| line.contains(&format!(":{:04X} 00000000", from.port()))).unwrap();
        let fields: Vec<_> = line.split_whitespace().collect();
        // Octets waiting to be read, and arrivals dropped.
        assert_eq!((fields[4].split_once(':').unwrap().1, *fields.last().unwrap()), ("00000000", "10"));
        interrupt(&child, Signal::INT);
        end(child).ok();
    });
}
