//! What a sender is to the network: groups of both families, deaf, and never the source of a wrong octet.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use fleetcast_netlab::fleet::{Fleet, count, noise, write};
use fleetcast_netlab::netns::{Host, Signal};

/// Lines of a table of `/proc/net` in a host, without its head, each by columns. `ss` reads the same.
fn sockets(host: &Host, table: &str) -> Vec<Vec<String>> {
    let output = host.run(Command::new("cat").arg(format!("/proc/net/{table}"))).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().skip(1).map(|line| line.split_ascii_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn groups_of_both_families_work() {
    let Some(fleet) = Fleet::new("families") else { return };
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    for (sequence, group) in [(1, "[ff15::77]:4000"), (2, "[ff05::77:1]:4001"), (3, "239.255.77.1:4002")] {
        let release = fleet.release(sequence, &noise(sequence, 300_000));
        let options = format!("--group {group}");
        let _send = fleet.send(&sender, &release, &format!("{options} --rate 20M"));
        device.start(&format!("--once {options}")).success();
        device.assert_runs(&release);
    }
}

#[test]
fn with_a_source_only_that_sender_is_heard() {
    let Some(fleet) = Fleet::new("source") else { return };
    let (sender, stranger, device) = (fleet.host("sender"), fleet.host("stranger"), fleet.device("device", &["app"]));
    let alien = fleet.draft(9).image("app", &noise(9, 300_000)).keys(&["stranger"]).sign();
    let sources = [(1, "232.77.1.1:4000", sender.v4().to_string()), (2, "[ff35::77]:4000", sender.v6().to_string())];
    for (sequence, group, source) in sources {
        let release = fleet.release(sequence, &noise(sequence, 300_000));
        let options = format!("--group {group}");
        let mut noise = fleet.send(&stranger, &alien, &format!("{options} --rate 10M"));
        noise.wait_for("ready");
        let _send = fleet.send(&sender, &release, &format!("{options} --rate 5M"));
        let stopped = device.start(&format!("--once {options} --source {source}")).success();
        device.assert_runs(&release);
        assert!(stopped["dropped"].as_object().unwrap().is_empty(), "{stopped}");
    }
}

#[test]
fn a_sender_works_behind_a_firewall_that_lets_nothing_in_and_has_nothing_open() {
    let Some(fleet) = Fleet::new("deaf") else { return };
    let release = fleet.release(1, &noise(1, 1 << 20));
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let mut send = fleet.send(&sender, &release, "--rate 10M");
    let source: SocketAddr = send.wait_for("ready")["source"].as_str().unwrap().parse().unwrap();

    // Nothing is in the way, as an ordinary socket shows: it is the sender's that takes nothing.
    let ordinary = sender.enter(|| UdpSocket::bind((sender.v4(), 0)).unwrap()).unwrap();
    let thrower = device.host.enter(|| UdpSocket::bind((device.host.v4(), 4000)).unwrap()).unwrap();
    let ports = [source.port(), ordinary.local_addr().unwrap().port()];
    for port in ports.repeat(50) {
        thrower.send_to(&[0x10; 1000], (sender.v4(), port)).unwrap();
    }
    thread::sleep(Duration::from_millis(100));
    let open = sockets(&sender, "udp");
    assert_eq!(open.len(), 2, "{open:?}");
    let [queue, control] = ports.map(|port| {
        let end = format!(":{port:04X}");
        let socket = open.iter().find(|columns| columns[1].ends_with(&end)).unwrap();
        socket[4].split_once(':').unwrap().1
    });
    assert_eq!(queue, "00000000", "octets that wait to be read: {open:?}");
    assert_ne!(control, "00000000", "octets that wait to be read: {open:?}");
    for table in ["udp6", "tcp", "tcp6", "raw", "raw6", "packet", "udplite"] {
        assert!(sockets(&sender, table).is_empty(), "{table}");
    }

    let rules = "add table inet deaf; add chain inet deaf in { type filter hook input priority 0; policy drop; }";
    assert!(sender.run(Command::new("nft").arg(rules)).unwrap().status.success());
    device.start("--once").success();
    device.assert_runs(&release);
    assert_eq!(send.end(Signal::INT), 0);
}

#[test]
fn an_image_written_to_under_the_sender_stops_it_before_a_wrong_octet_goes_out() {
    let Some(fleet) = Fleet::new("swapped") else { return };
    let image = noise(1, 3 << 20);
    let release = fleet.release(1, &image);
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let mut send = fleet.send(&sender, &release, "--rate 10M --start 0");
    let mut run = device.start("");
    run.wait_until("progress", |progress| count(progress, "have") > release.chunks / 4);
    let path = &release.images[0].1;
    write(path, &noise(2, image.len()));
    assert_eq!(send.exit_code(), 3);
    let told = send.process.stderr().unwrap();
    assert!(told.contains(&path.display().to_string()) && told.contains("app"), "{told}");
    assert_eq!(run.end(Signal::INT), 1);
    let partial = device.partial("app").unwrap();
    let wrong = partial.iter().zip(&image).position(|(is, should)| is != should && *is != 0);
    assert_eq!(wrong, None, "first wrong octet");
    assert_eq!(device.installed("app"), None);

    // Nothing starts with a wrong image; with the right one back, the device goes on.
    let mut send = fleet.send(&sender, &release, "");
    assert_eq!(send.exit_code(), 3);
    assert!(send.all("ready").is_empty());
    write(path, &image);
    let _send = fleet.send(&sender, &release, "--rate 10M");
    let mut run = device.start("--once");
    run.success();
    assert!(count(&run.wait_for("resumed"), "have") > release.chunks / 4);
    device.assert_runs(&release);
}

#[test]
fn an_image_replaced_under_the_sender_changes_nothing_until_it_is_started_again() {
    let Some(fleet) = Fleet::new("replaced") else { return };
    let release = fleet.release(1, &noise(1, 1 << 20));
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let mut send = fleet.send(&sender, &release, "--rate 10M");
    send.wait_for("ready");
    let path = &release.images[0].1;
    let right = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    write(path, &noise(2, right.len()));
    device.start("--once").success();
    assert!(device.installed("app") == Some(right));
    assert_eq!(send.end(Signal::TERM), 0);
}
