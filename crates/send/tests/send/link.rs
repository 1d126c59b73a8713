//! `fleetcast-send run` on a link that fails, is narrow, or speaks IPv6.

use std::net::{Ipv6Addr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_core::wire::Packet;
use fleetcast_netlab::netns::{Host, INTERFACE, INTERFACE_INDEX, Lab, Process, Signal, require_netns};
use serde_json::Value;

use super::fixture::Release;

const WAIT: Duration = Duration::from_secs(20);

fn start(host: &Host, release: &Release, group: &str, more: &[&str]) -> Process {
    let to = ["--group", group, "--interface", INTERFACE];
    host.spawn(&release.send("run", &[&to[..], more].concat())).unwrap()
}

fn ip(host: &Host, args: &[&str]) {
    let output = host.run(Command::new("ip").args(args)).unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Sets the first host's port of the bridge up or down, which the host sees as its carrier.
fn lab_port(lab: &Lab, to: &str) {
    let bridge = &lab.namespaces()[0];
    let args = ["-netns", bridge, "link", "set", "p1", to];
    assert!(Command::new("ip").args(args).status().unwrap().success());
}

/// Waits until the last event that `find` picks satisfies `is_enough`.
fn wait_for(process: &Process, find: &str, is_enough: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let stdout = process.stdout().unwrap();
        // The last line may not be whole yet.
        let mut events = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        match events.rfind(|event| event["event"] == find) {
            Some(event) if is_enough(&event) => return event,
            _ => assert!(since.elapsed() < WAIT, "no {find} in {stdout} {}", process.stderr().unwrap()),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_link_that_goes_down_makes_the_carousel_wait() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("send-down").unwrap();
    let host = lab.host("sender").unwrap();
    let release = Release::of("ok-two-blocks");
    let mut process = start(&host, &release, "239.77.0.1:4077", &["--json", "--rate", "2M"]);
    wait_for(&process, "progress", |event| event["packets"] != 0);
    ip(&host, &["link", "set", INTERFACE, "down"]);
    let warning = wait_for(&process, "warning", |_| true);
    assert_eq!(warning["code"], "send-transient");
    let down = wait_for(&process, "progress", |event| event["failed"].as_u64().unwrap() > 10);
    ip(&host, &["link", "set", INTERFACE, "up"]);
    let more = down["packets"].as_u64().unwrap() + 1000;
    let up = wait_for(&process, "progress", |event| event["packets"].as_u64().unwrap() > more);
    // What the link's absence cost is not made up for.
    assert!(up["rate"].as_u64().unwrap() < 2_100_000, "{up}");
    process.kill(Signal::INT).unwrap();
    assert!(process.wait(WAIT).unwrap().success());
    let stdout = process.stdout().unwrap();
    assert_eq!(stdout.matches("\"warning\"").count(), 1, "{stdout}");
}

#[test]
fn a_link_without_carrier_makes_the_carousel_wait() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("send-carrier").unwrap();
    let host = lab.host("sender").unwrap();
    let release = Release::of("ok-two-blocks");
    lab_port(&lab, "down");
    let mut process = start(&host, &release, "239.77.0.1:4077", &["--json", "--rate", "50M", "--cycles", "2"]);
    let warning = wait_for(&process, "warning", |_| true);
    assert_eq!(warning["code"], "send-transient");
    assert!(warning["reason"].as_str().unwrap().contains("eth0 is down or has no carrier"), "{warning}");
    let down = wait_for(&process, "progress", |event| event["failed"].as_u64().unwrap() > 10);
    assert_eq!(down["packets"], 0);
    lab_port(&lab, "up");
    assert!(process.wait(WAIT).unwrap().success());
    wait_for(&process, "stopped", |event| event["reason"] == "cycles");
}

#[test]
fn what_waited_for_the_link_is_followed_by_no_burst() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("send-burst").unwrap();
    let host = lab.host("sender").unwrap();
    let release = Release::of("ok-two-blocks");
    lab_port(&lab, "down");
    let mut process = start(&host, &release, "239.77.0.1:4077", &["--json", "--packet-delay", "4s"]);
    // The first packet waits until the second might go, too.
    wait_for(&process, "progress", |event| event["seconds"].as_f64().unwrap() > 4.5);
    lab_port(&lab, "up");
    let first = wait_for(&process, "progress", |event| event["packets"] != 0);
    assert_eq!(first["packets"], 1);
    process.kill(Signal::INT).unwrap();
    assert!(process.wait(WAIT).unwrap().success());
}

#[test]
fn an_interface_made_anew_is_found_again() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("send-anew").unwrap();
    let host = lab.host("sender").unwrap();
    let release = Release::of("ok-two-blocks");
    let mut process = start(&host, &release, "239.77.0.1:4077", &["--json", "--rate", "2M", "--source-port", "4078"]);
    wait_for(&process, "progress", |event| event["packets"] != 0);
    ip(&host, &["link", "del", INTERFACE]);
    wait_for(&process, "warning", |event| event["code"] == "interface-unknown");
    ip(&host, &["link", "add", INTERFACE, "type", "veth", "peer", "name", "far"]);
    ip(&host, &["addr", "add", "10.78.0.1/16", "dev", INTERFACE]);
    ip(&host, &["link", "set", INTERFACE, "up"]);
    ip(&host, &["link", "set", "far", "up"]);
    let reopened = wait_for(&process, "reopened", |_| true);
    assert_eq!((&reopened["interface"], &reopened["source"]), (&INTERFACE.into(), &"10.78.0.1:4078".into()));
    let gone = wait_for(&process, "progress", |_| true);
    let more = gone["packets"].as_u64().unwrap() + 200;
    wait_for(&process, "progress", |event| event["packets"].as_u64().unwrap() > more);
    process.kill(Signal::INT).unwrap();
    assert!(process.wait(WAIT).unwrap().success());
}

#[test]
fn a_link_too_narrow_for_the_release_is_told_before_anything_is_sent() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("send-mtu").unwrap();
    let host = lab.host("sender").unwrap();
    ip(&host, &["link", "set", INTERFACE, "mtu", "1000"]);
    let release = Release::of("ok-digest-32");
    let mut process = start(&host, &release, "239.77.0.1:4077", &[]);
    assert_eq!(process.wait(WAIT).unwrap().code(), Some(1));
    let stderr = process.stderr().unwrap();
    for part in ["1044 bytes does not fit the link, which takes 972", "hint: raise the interface's MTU", "0 packets"] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
}

#[test]
fn ipv6_groups_are_served() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("send-ipv6").unwrap();
    let (host, device) = (lab.host("sender").unwrap(), lab.host("device").unwrap());
    let group: Ipv6Addr = "ff15::77".parse().unwrap();
    let open = || {
        let socket = UdpSocket::bind((group, 4077)).unwrap();
        socket.join_multicast_v6(&group, INTERFACE_INDEX).unwrap();
        socket.set_read_timeout(Some(WAIT)).unwrap();
        socket
    };
    let socket = device.enter(open).unwrap();
    let release = Release::of("ok-digest-32");
    let mut process = start(&host, &release, "[ff15::77]:4077", &["--cycles", "1", "--rate", "5M"]);
    let mut buffer = [0; 2000];
    for number in 0..100 {
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(from.ip(), host.v6());
        assert_eq!(Packet::decode(&buffer[..len]).unwrap().header.count, number);
    }
    assert!(process.wait(WAIT).unwrap().success());
}
