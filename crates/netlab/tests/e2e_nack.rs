//! Receivers that ask for what they lack, and a sender that answers: opt-in, suppressed, and of no use to a forger.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fleetcast_core::nack::{Entry, MAX_ENTRIES, encode, release_of};
use fleetcast_core::trust::Envelope;
use fleetcast_netlab::fleet::{Device, Fleet, Release, Run, count, noise, write};
use fleetcast_netlab::netns::{Host, Signal};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The feedback group.
const FEEDBACK: &str = "239.77.1.2:4002";

/// Starts a device that asks `to`.
fn asking(fleet: &Fleet, device: &Device, to: &str) -> Run {
    let path = fleet.path(&format!("{}.toml", device.host.name()));
    write(&path, format!("[nack]\nto = \"{to}\"\nper-minute = 60\n").as_bytes());
    device.start(&format!("--once --config {}", path.display()))
}

/// A release without repair chunks: what is lost must come again.
fn release(fleet: &Fleet, sequence: u64, octets: usize) -> Release {
    fleet.draft(sequence).image("app", &noise(sequence, octets)).repair(0).sign()
}

/// What a sender has told last of requests.
fn nack(run: &mut Run) -> Value {
    assert_eq!(run.end(Signal::INT), 0);
    run.wait_for("stopped")["nack"].clone()
}

/// Requests that a sender takes, and answers it gives, until so many devices that lose a twentieth are complete.
fn requests(devices: usize, is_group: bool) -> Option<(u64, u64)> {
    let fleet = Fleet::new(&format!("nack-{devices}-{is_group}"))?;
    let release = release(&fleet, 1, 4 << 20);
    let sender = fleet.host("sender");
    let devices: Vec<_> = (0..devices).map(|n| fleet.device(&format!("device-{n}"), &["app"])).collect();
    let to = if is_group { FEEDBACK.to_owned() } else { format!("{}:4002", sender.v4()) };
    let mut runs: Vec<_> = devices.iter().map(|device| asking(&fleet, device, &to)).collect();
    for (device, run) in devices.iter().zip(&mut runs) {
        device.host.loss(50).unwrap();
        run.wait_for("ready");
    }
    let mut send = fleet.send(&sender, &release, &format!("--rate 8M --nack {to}"));
    for (device, run) in devices.iter().zip(&mut runs) {
        run.success();
        device.assert_runs(&release);
    }
    let told = nack(&mut send);
    Some((count(&told, "requests"), count(&told, "answers")))
}

#[test]
fn requests_grow_far_slower_than_receivers() {
    let mut rows = Vec::new();
    println!("receivers  requests  answers");
    for devices in [1, 4, 16] {
        let Some((requests, answers)) = requests(devices, true) else { return };
        println!("{devices:9}  {requests:8}  {answers:7}");
        assert!(requests > 0 && answers > 0);
        rows.push(requests);
    }
    let Some((alone, answers)) = requests(16, false) else { return };
    println!("{:9}  {alone:8}  {answers:7}  where nobody hears the others", 16);
    assert!(rows[2] <= rows[0].max(4) * 8, "16 times the receivers, and requests: {rows:?}");
    assert!(rows[2] * 2 < alone, "{rows:?} and {alone}");
}

#[test]
fn a_sender_may_be_asked_by_unicast() {
    let Some(fleet) = Fleet::new("nack-host") else { return };
    let release = release(&fleet, 1, 2 << 20);
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let to = format!("{}:4002", sender.v4());
    device.host.loss(50).unwrap();
    let mut run = asking(&fleet, &device, &to);
    run.wait_for("ready");
    let mut send = fleet.send(&sender, &release, &format!("--rate 8M --nack {to}"));
    let stopped = run.success();
    device.assert_runs(&release);
    let told = nack(&mut send);
    assert!(count(&told, "requests") > 0 && count(&told, "answers") > 0, "{told}");
    assert!(count(&stopped["nack"], "sent") >= count(&told, "requests"), "{stopped}");
}

/// Throws random requests at the feedback group, good ones by form and release, until `stop`. Gives how many.
fn flood(host: &Host, release: &Release, stop: &AtomicBool) -> u64 {
    let socket = host.enter(|| UdpSocket::bind((host.v4(), 0)).unwrap()).unwrap();
    let file = std::fs::read(&release.file).unwrap();
    let statement = &file[12..12 + u32::from_be_bytes(file[8..12].try_into().unwrap()) as usize];
    let digest = Sha256::digest(Envelope::parse(statement).unwrap().payload());
    let release_id = release_of(&digest.into());
    let cells = u32::try_from(release.chunks.div_ceil(64)).unwrap();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let entry = |_| Entry { component: 0, cell: rng.u32(..cells - 1), page: false, slots: rng.u64(1..) };
        let entries: Vec<_> = (0..MAX_ENTRIES).map(entry).collect();
        sent += u64::from(socket.send_to(&encode(&release_id, &entries), FEEDBACK).is_ok());
    }
    sent
}

#[test]
fn a_forged_flood_of_requests_keeps_no_device_from_completing() {
    let Some(fleet) = Fleet::new("nack-flood") else { return };
    let release = release(&fleet, 1, 2 << 20);
    let (sender, forger) = (fleet.host("sender"), fleet.host("forger"));
    let (asks, listens) = (fleet.device("asks", &["app"]), fleet.device("listens", &["app"]));
    let mut runs = [asking(&fleet, &asks, FEEDBACK), listens.start("--once")];
    for (run, device) in runs.iter_mut().zip([&asks, &listens]) {
        device.host.loss(50).unwrap();
        run.wait_for("ready");
    }
    let mut send = fleet.send(&sender, &release, &format!("--rate 8M --nack {FEEDBACK}"));
    send.wait_for("ready");
    let stop = AtomicBool::new(false);
    let thrown = thread::scope(|scope| {
        let thrower = scope.spawn(|| flood(&forger, &release, &stop));
        for (run, device) in runs.iter_mut().zip([&asks, &listens]) {
            run.success();
            device.assert_runs(&release);
        }
        stop.store(true, Ordering::Relaxed);
        thrower.join().unwrap()
    });
    assert_eq!(send.end(Signal::INT), 0);
    let stopped = send.wait_for("stopped");
    let (packets, answers) = (count(&stopped, "packets"), count(&stopped["nack"], "answers"));
    println!("{thrown} forged requests; {answers} answers among {packets} packets: {}", stopped["nack"]);
    assert!(answers > 0, "{stopped}");
    // An answer that was on its way at the end has not been sent.
    assert!((answers - 1) * 4 <= packets, "{stopped}");
    assert!(count(&stopped["nack"]["dropped"], "rate") > 0, "{stopped}");
}

#[test]
fn without_the_option_nothing_is_asked_and_nothing_is_heard() {
    let Some(fleet) = Fleet::new("nack-off") else { return };
    let release = release(&fleet, 1, 1 << 20);
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let mut send = fleet.send(&sender, &release, "--rate 8M");
    send.wait_for("ready");
    let thrower = device.host.enter(|| UdpSocket::bind((device.host.v4(), 0)).unwrap()).unwrap();
    let entry = Entry { component: 0, cell: 0, page: true, slots: 1 };
    for _ in 0..100 {
        thrower.send_to(&encode(&[0; 16], &[entry]), FEEDBACK).unwrap();
    }
    thread::sleep(Duration::from_millis(100));
    let table = |name: &str| {
        let output = sender.run(std::process::Command::new("cat").arg(format!("/proc/net/{name}"))).unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // One socket, into which nothing comes, and no group but the all-hosts group.
    let (udp, groups) = (table("udp"), table("igmp"));
    assert_eq!(udp.lines().count(), 2, "{udp}");
    assert!(udp.lines().nth(1).unwrap().split_ascii_whitespace().nth(4).unwrap().ends_with(":00000000"), "{udp}");
    assert!(!groups.contains("02014DEF"), "{groups}");
    let stopped = device.start("--once").success();
    device.assert_runs(&release);
    assert!(stopped.get("nack").is_none(), "{stopped}");
    assert_eq!(send.end(Signal::INT), 0);
    assert!(send.wait_for("stopped").get("nack").is_none());
}
