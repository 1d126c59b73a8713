//! What the doctor of the receiver finds in networks that are wrong in one way each.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use fleetcast_netlab::fleet::{Device, Fleet, Run, count, noise, run};
use fleetcast_netlab::netns::{Host, Signal};
use serde_json::Value;

/// Runs a command of a shell in a host.
fn sh(host: &Host, command: &str) {
    run(Command::new("ip").args(["netns", "exec", host.namespace(), "sh", "-c", command]));
}

/// The level of a finding; the same for all of that code.
fn level<'a>(report: &'a Value, code: &str) -> Option<&'a str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["code"] == code).map(|finding| finding["level"].as_str().unwrap())
}

/// Fails the test unless the doctor ends with `exit` and has found all of `expected`, which are level and code.
#[track_caller]
fn finds(device: &Device, options: &str, exit: i32, expected: &[(&str, &str)]) -> Value {
    let (code, report) = device.doctor(options);
    for (wanted, code) in expected {
        assert_eq!(level(&report, code), Some(*wanted), "{code}: {report}");
    }
    assert_eq!(code, exit, "{report}");
    report
}

/// A bench with a release on the air.
fn bench(name: &str) -> Option<(Fleet, Host, Device, Run)> {
    let fleet = Fleet::new(name)?;
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let mut send = fleet.send(&sender, &fleet.release(5, &noise(5, 4 << 20)), "--rate 4M");
    send.wait_for("ready");
    Some((fleet, sender, device, send))
}

#[test]
fn a_healthy_device_is_told_so_beside_its_daemon_which_is_not_disturbed() {
    let Some((fleet, _sender, device, mut send)) = bench("healthy") else { return };
    finds(&device, "--for 3s", 0, &[("ok", "release"), ("ok", "loss"), ("ok", "heard"), ("note", "not-joined")]);
    let mut daemon = device.start("");
    daemon.wait_until("progress", |progress| count(progress, "have") > 100);
    let told = finds(&device, "--for 3s", 0, &[("ok", "release"), ("ok", "joined"), ("note", "port-shared")]);
    assert_eq!(told["verdict"], "note");
    daemon.wait_for("installed");
    finds(&device, "--for 3s", 0, &[("ok", "installed"), ("ok", "loss")]);
    assert_eq!(daemon.end(Signal::TERM), 0);
    let record = device.target("app").parent().unwrap().join("state/record");
    let before = fs::read(&record).unwrap();

    send.end(Signal::INT);
    let _send = fleet.send(&fleet.host("old"), &fleet.release(4, &noise(4, 1 << 20)), "--rate 4M");
    finds(&device, "--for 3s", 3, &[("refused", "rollback")]);
    assert!(fs::read(&record).unwrap() == before);
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    finds(&device, "--for 100ms", 1, &[("wrong", "record")]);
}

#[test]
fn releases_of_others_are_refused_and_it_is_told_whose_they_are() {
    let Some((fleet, _sender, device, mut send)) = bench("refused") else { return };
    finds(&device, "--for 3s --class board-b", 3, &[("refused", "class")]);
    finds(&device, "--for 3s --vendor other.example", 3, &[("refused", "vendor")]);
    // Its chunks are longer than that.
    finds(&device, "--for 3s --max-packet 1000", 3, &[("refused", "packet-size"), ("warning", "overlong")]);
    send.end(Signal::INT);
    let alien = fleet.draft(9).image("app", &noise(9, 1 << 20)).keys(&["stranger"]).sign();
    let _send = fleet.send(&fleet.host("stranger"), &alien, "--rate 4M");
    finds(&device, "--for 3s", 3, &[("refused", "unknown-key")]);
}

#[test]
fn silence_strangers_and_what_is_no_release_are_told_apart() {
    let Some((fleet, sender, device, mut send)) = bench("silence") else { return };
    finds(&device, "--for 2s --source 10.77.0.99", 1, &[("wrong", "other-source")]);
    finds(&device, "--for 1s --group 239.77.1.2:4000", 1, &[("wrong", "no-packets")]);
    // One of two groups is enough.
    let both = "--for 3s --group 239.77.1.1:4000 --group [ff15::77]:4000";
    finds(&device, both, 0, &[("ok", "heard"), ("warning", "no-packets"), ("ok", "release")]);
    send.end(Signal::INT);

    let ssm = fleet.send(&sender, &fleet.release(6, &noise(6, 1 << 20)), "--group 232.77.1.1:4000 --rate 4M");
    let elsewhere = "--for 2s --group 232.77.1.1:4000 --source 10.77.0.99";
    let told = finds(&device, elsewhere, 1, &[("wrong", "other-source")]);
    assert!(told.to_string().contains(&sender.v4().to_string()), "{told}");
    drop(ssm);

    let socket = sender.enter(|| UdpSocket::bind((sender.v4(), 0)).unwrap()).unwrap();
    // A chunk by its header: version, flags and length of it, code point, then count, TSI, TOI and place.
    let mut chunk = [0_u8; 84];
    chunk[..4].copy_from_slice(&[0x10, 0xA0, 4, 3]);
    chunk[15] = 1;
    for (packet, expected) in [(&[7; 100][..], "not-fleetcast"), (&chunk, "no-manifest")] {
        thread::scope(|scope| {
            let told = scope.spawn(|| finds(&device, "--for 2s", 1, &[("wrong", expected)]));
            while !told.is_finished() {
                socket.send_to(packet, (Ipv4Addr::new(239, 77, 1, 1), 4000)).unwrap();
                thread::sleep(Duration::from_millis(10));
            }
            told.join().unwrap();
        });
    }
}

#[test]
fn interfaces_and_the_kernels_settings_are_looked_at() {
    let Some((fleet, sender, device, _send)) = bench("host") else { return };
    let (host, bridge) = (&device.host, &fleet.lab.namespaces()[0]);
    let first = |options: &str, code| finds(&device, &format!("--for 200ms {options}"), 1, &[("wrong", code)]);
    first("--interface nosuch0", "interface-unknown");
    for (wrong, code, right) in [
        ("ip link set eth0 down", "interface-down", "ip link set eth0 up"),
        ("ip link set eth0 multicast off", "interface-multicast", "ip link set eth0 multicast on"),
        (
            "echo 0 > /proc/sys/net/ipv4/igmp_max_memberships",
            "join-limit",
            "echo 20 > /proc/sys/net/ipv4/igmp_max_memberships",
        ),
    ] {
        sh(host, wrong);
        first("", code);
        sh(host, right);
    }
    run(Command::new("ip").args(["-netns", bridge, "link", "set", "p2", "down"]));
    first("", "interface-carrier");
    run(Command::new("ip").args(["-netns", bridge, "link", "set", "p2", "up"]));

    let (four, six) = (format!("--source {}", sender.v4()), format!("--group [ff35::1]:5 --source {}", sender.v6()));
    sh(host, "echo 2 > /proc/sys/net/ipv4/conf/eth0/force_igmp_version");
    let told = first(&format!("--group 232.77.1.1:4000 {four}"), "igmp-version");
    assert!(told.to_string().contains("net/ipv4/conf/eth0/force_igmp_version"), "{told}");
    // In other groups sources are sorted out here.
    finds(&device, &format!("--for 3s {four}"), 0, &[("warning", "igmp-version"), ("ok", "release")]);
    sh(host, "echo 0 > /proc/sys/net/ipv4/conf/eth0/force_igmp_version");
    sh(host, "echo 1 > /proc/sys/net/ipv6/conf/all/force_mld_version");
    first(&six, "mld-version");

    // Another program has the port, and shares it with nobody.
    let taken = host.enter(|| UdpSocket::bind(("0.0.0.0", 4000)).unwrap()).unwrap();
    first("", "port-taken");
    drop(taken);

    // The switch asks in the old way.
    run(Command::new("ip").args(["-netns", bridge, "link", "set", "br0", "type", "bridge", "mcast_igmp_version", "2"]));
    fleet.lab.snooping(true).unwrap();
    let told = first(&format!("--group 232.77.1.1:4000 {four}"), "igmp-version");
    assert!(told.to_string().contains("somebody on the network asks that way"), "{told}");
}

#[test]
fn packets_that_the_kernel_drops_are_told_with_the_cause() {
    let Some((fleet, sender, device, mut send)) = bench("drops") else { return };
    let host = &device.host;
    host.loss(200).unwrap();
    finds(&device, "--for 3s", 0, &[("warning", "loss"), ("ok", "release")]);
    host.loss(0).unwrap();

    // Without the right to more, what the system grants is what there is.
    let mut doctor = Command::new("setpriv");
    let inner = device.command(&["doctor", "--json", "--for", "100ms"], "--receive-buffer 64M");
    doctor.arg("--bounding-set=-net_admin").arg(inner.get_program()).args(inner.get_args());
    let report: Value = serde_json::from_slice(&host.run(&doctor).unwrap().stdout).unwrap();
    assert_eq!(level(&report, "receive-buffer"), Some("warning"), "{report}");
    assert!(report.to_string().contains("net.core.rmem_max"), "{report}");
    send.end(Signal::INT);

    let fast = fleet.send(&sender, &fleet.release(6, &noise(6, 8 << 20)), "--rate 100M");
    finds(&device, "--for 2s --receive-buffer 1", 0, &[("warning", "kernel-drops")]);
    drop(fast);

    // A source that the device would not reach by this interface, or by any.
    sh(&sender, "ip addr add 10.99.0.1/24 dev eth0");
    sh(host, "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter");
    let mut send = fleet.send(&sender, &fleet.release(7, &noise(7, 1 << 20)), "--interface 10.99.0.1 --rate 4M");
    send.wait_for("ready");
    finds(&device, "--for 2s", 1, &[("wrong", "rp-filter")]);
    sh(host, "ip route add 10.99.0.0/24 dev eth0");
    finds(&device, "--for 3s", 0, &[("ok", "release")]);
}
