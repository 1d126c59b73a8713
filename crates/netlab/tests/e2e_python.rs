//! The receiver of `examples/python-receiver`, which shares no code with ours, on a device of the fleet.
#![expect(clippy::unwrap_used, reason = "test code")]

mod forger;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::fleet::{CLASS, Device, Fleet, GROUP, PATIENCE, VENDOR, count, noise};
use fleetcast_netlab::netns::{INTERFACE, Process};
use serde_json::Value;

use forger::{Defer, forge};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python-receiver")
}

/// An interpreter with the packages that the receiver needs; `None`, said loudly, where there is none. In CI there must be.
fn python() -> Option<&'static str> {
    let has_packages = |python: &&str| {
        Command::new(python).args(["-c", "import cbor2, cryptography"]).output().is_ok_and(|run| run.status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has_packages);
    if found.is_none() {
        let missing = "a python3 with cbor2 and cryptography (packages python3-cbor2, python3-cryptography)";
        assert!(env::var_os("CI").is_none(), "missing: {missing}");
        eprintln!("SKIPPED: a test of the Python receiver; missing: {missing}");
    }
    found
}

/// Starts the Python receiver on the host of `device`, for one install, and waits until it listens. `options` are apart by blanks.
#[track_caller]
fn start(device: &Device, python: &str, options: &str) -> Process {
    let mut command = Command::new(python);
    command.arg("-B").arg(folder().join("receiver.py")).args(["--once", "--timeout", "100"]);
    command.args(["--vendor", VENDOR, "--class", CLASS, "--group", GROUP, "--interface", INTERFACE]);
    command.arg("--state").arg(device.state());
    command.arg("--target").arg(format!("app={}", device.target("app").display()));
    let mut process = device.host.spawn(command.args(options.split_ascii_whitespace())).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !process.stdout().unwrap().contains(r#""event": "ready""#) {
        assert!(process.try_wait().unwrap().is_none() && Instant::now() < deadline, "{}", process.stderr().unwrap());
        thread::sleep(Duration::from_millis(10));
    }
    process
}

/// Waits until it has installed, and gives all that it told.
#[track_caller]
fn success(process: &mut Process) -> Vec<Value> {
    let status = process.wait(PATIENCE).unwrap();
    let told = process.stdout().unwrap();
    assert!(status.success(), "{status}: {told}\n{}", process.stderr().unwrap());
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn all<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn the_python_receiver_installs_through_loss_forgeries_and_a_rotated_root() {
    let Some(python) = python() else { return };
    let Some(fleet) = Fleet::new("python") else { return };
    let as_made = format!("--root {}", fleet.root(1).display());
    let _ = fleet.root(2);
    let draft = |sequence, key| fleet.draft(sequence).keys(&[key]).image("app", &noise(sequence, 600_000)).sign();
    let (release, stolen) = (draft(7, "release-2"), draft(99, "release-1"));
    let beacon = fleet.beacon("current", 2, &[&release], "1h").display().to_string();
    let [head, thief, liar] = ["head", "thief", "liar"].map(|name| fleet.host(name));
    let device = fleet.device("device", &["app"]);
    device.host.loss(50).unwrap();

    let (is_over, forgeries) = (AtomicBool::new(false), AtomicU64::new(0));
    let events = thread::scope(|scope| {
        let _end = Defer(|| is_over.store(true, Ordering::Relaxed));
        scope.spawn(|| forge(&liar, &is_over, &forgeries));
        let mut run = start(&device, python, &as_made);
        let _send = fleet.send(&head, &release, &format!("--rate 4M {} --beacon {beacon}", fleet.roots(1..=2)));
        success(&mut run)
    });
    device.assert_runs(&release);
    assert_eq!(all(&events, "root").iter().map(|event| count(event, "version")).collect::<Vec<_>>(), [2]);
    assert!(count(all(&events, "complete")[0], "restored") > 0, "with 5 % of loss some chunks are restored");
    let states: Vec<_> = all(&events, "freshness").iter().map(|event| event["state"].as_str().unwrap()).collect();
    assert_eq!(states.last(), Some(&"fresh"), "{states:?}");
    let stopped = all(&events, "stopped")[0];
    println!("{} forged, {stopped}", forgeries.load(Ordering::Relaxed));
    assert!(forgeries.load(Ordering::Relaxed) > release.chunks / 2);
    for code in ["version", "chunk-digest", "page-digest"] {
        assert!(stopped["dropped"][code].as_u64().is_some_and(|n| n > 0), "no {code}: {stopped}");
    }

    // The root is kept: what the first release key signs gets nothing in.
    let _thief = fleet.send(&thief, &stolen, "--rate 4M");
    let mut run = start(&device, python, &format!("{as_made} --timeout 3"));
    assert_eq!(run.wait(PATIENCE).unwrap().code(), Some(1));
    let told = run.stdout().unwrap();
    assert!(told.contains(r#""root": 2"#) && told.contains(r#""threshold": "#) && !told.contains("begin"), "{told}");
    device.assert_runs(&release);
}

#[test]
fn the_python_receiver_installs_by_bare_keys_from_one_source_of_an_ipv6_group() {
    let Some(python) = python() else { return };
    let Some(fleet) = Fleet::new("python-v6") else { return };
    let (release, other) = (fleet.release(1, &noise(1, 100_000)), fleet.release(2, &noise(2, 100_000)));
    let [head, second] = ["head", "second"].map(|name| fleet.host(name));
    let device = fleet.device("device", &["app"]);
    let (key, group) = (fleet.key("release").1.display().to_string(), "[ff3e::8000:1]:4000");
    // A newer release, from a source that has not been joined.
    let _other = fleet.send(&second, &other, &format!("--rate 4M --group {group}"));
    let options = format!("--trust {key} --group {group} --source {}", head.v6());
    let mut run = start(&device, python, &options);
    let _send = fleet.send(&head, &release, &format!("--rate 4M --group {group}"));
    let events = success(&mut run);
    device.assert_runs(&release);
    assert_eq!(all(&events, "freshness")[0]["state"], "off");
    assert_eq!(all(&events, "stopped")[0]["dropped"], serde_json::json!({}), "nothing of the other source");
}
