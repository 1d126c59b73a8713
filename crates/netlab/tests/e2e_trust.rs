//! Keys that are replaced, people who must sign together, and beacons, with the real programs over real multicast.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::fleet::{Device, Fleet, PATIENCE, Release, Run, VENDOR, count, noise, program};
use fleetcast_netlab::netns::{Host, Signal};
use serde_json::Value;

/// Longest that a receiver may take to hear what it must refuse.
const BRIEFLY: &str = "--once --timeout 8s";

fn states(run: &Run) -> Vec<String> {
    run.all("freshness").iter().map(|event| event["state"].as_str().unwrap().to_owned()).collect()
}

fn versions(run: &Run) -> Vec<u64> {
    run.all("root").iter().map(|event| count(event, "version")).collect()
}

/// What `status` says, and its exit code. Options are those of the daemon that it takes too.
fn status(device: &Device, options: &str) -> (Value, i32) {
    let mut command = Command::new(program("recv"));
    command.args(["status", "--json", "--state"]).arg(device.state()).args(options.split_ascii_whitespace());
    let output = device.host.run(&command).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

/// A head-end in a thief's hands: it looks at no root.
fn send_as_thief(fleet: &Fleet, host: &Host, release: &Release, options: &str) -> Run {
    fleet.send(host, release, &format!("--rate 10M {options}"))
}

/// Waits until `status` tells this freshness, and ends with this exit code: the daemon writes once a second.
#[track_caller]
fn wait_for_status(device: &Device, options: &str, freshness: &str, code: i32) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (told, got) = status(device, options);
        if told["daemon"]["trust"]["freshness"] == freshness {
            assert_eq!(got, code);
            return;
        }
        assert!(Instant::now() < deadline, "{told}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_device_that_slept_through_four_rotations_walks_them_and_a_thief_with_the_old_key_gets_nothing_in() {
    let Some(fleet) = Fleet::new("rotation") else { return };
    let roots: Vec<_> = (1..=5).map(|version| fleet.root(version)).collect();
    let draft = |sequence, key| fleet.draft(sequence).keys(&[key]).image("app", &noise(sequence, 1 << 20)).sign();
    let (first, last, stolen) = (draft(1, "release-1"), draft(2, "release-5"), draft(99, "release-1"));
    let device = fleet.device("device", &["app"]);
    let as_made = format!("--root {}", roots[0].display());

    // As it was made: the release of root 1.
    let old = fleet.host("old");
    let beacon = fleet.beacon("old", 1, &[&first], "1h").display().to_string();
    let send = fleet.send(&old, &first, &format!("--rate 20M {} --beacon {beacon}", fleet.roots(1..=1)));
    let mut run = device.start(&format!("--once {as_made}"));
    run.success();
    device.assert_runs(&first);
    assert_eq!(states(&run), ["waiting", "fresh"]);
    drop(send);

    // It sleeps, and wakes to roots 2 to 5 and a release under root 5; a thief uses the first release key.
    let thief = fleet.host("thief");
    let _thief = send_as_thief(&fleet, &thief, &stolen, "");
    let head = fleet.host("head");
    let beacon = fleet.beacon("new", 5, &[&last], "1h").display().to_string();
    let send = fleet.send(&head, &last, &format!("--rate 20M {} --beacon {beacon}", fleet.roots(1..=5)));
    let mut run = device.start(&as_made);
    run.wait_for("installed");
    device.assert_runs(&last);
    assert_eq!(versions(&run), [2, 3, 4, 5]);
    assert_eq!(run.end(Signal::TERM), 0);
    let installed: Vec<_> = run.all("installed").iter().map(|event| count(&event["release"], "sequence")).collect();
    assert_eq!(installed, [2], "and nothing of the thief");
    let stopped = run.all("stopped").pop().unwrap();
    assert!(count(&stopped["dropped"], "threshold") > 0, "{stopped}");

    // The roots are kept: the thief alone is refused from the first packet on.
    drop(send);
    let mut run = device.start(&format!("{BRIEFLY} {as_made}"));
    assert_eq!(run.exit_code(), 1);
    assert!(run.all("begin").is_empty() && versions(&run).is_empty(), "{:?}", run.events());
    device.assert_runs(&last);
}

#[test]
fn roots_cross_a_relay_that_started_from_the_first() {
    let Some(fleet) = Fleet::new("relayed") else { return };
    let roots: Vec<_> = (1..=3).map(|version| fleet.root(version)).collect();
    let release = fleet.draft(7).keys(&["release-3"]).image("app", &noise(7, 1 << 20)).sign();
    let (head, site) = (fleet.host("head"), fleet.host("site"));
    let beacon = fleet.beacon("current", 3, &[&release], "1h").display().to_string();
    let _send = fleet.send(&head, &release, &format!("--rate 20M {} --beacon {beacon}", fleet.roots(1..=3)));
    let as_made = format!("--root {}", roots[0].display());
    let interface = fleetcast_netlab::netns::INTERFACE;
    let _relay = fleet.relay(
        &site,
        &format!(
            "{as_made} --upstream 239.77.1.1:4000 --upstream-interface {interface} --group 239.77.1.2:4000 --interface \
             {interface} --rate 20M"
        ),
    );
    let device = fleet.device("device", &["app"]);
    let mut run = device.start(&format!("--once --group 239.77.1.2:4000 {as_made}"));
    run.success();
    device.assert_runs(&release);
    assert_eq!(versions(&run), [2, 3]);
}

#[test]
fn a_release_that_only_the_author_has_signed_is_neither_sent_nor_taken() {
    let Some(fleet) = Fleet::new("together") else { return };
    for name in ["root", "author", "operator"] {
        let _ = fleet.key(name);
    }
    fleet.sign(&format!(
        "root init 1.root --vendor {VENDOR} --root-key root.pub.pem --release-key author.pub.pem --operator-key \
         operator.pub.pem"
    ));
    fleet.sign("root sign 1.root --key root.pem");
    let draft = |sequence, keys: &[&'static str]| {
        fleet.draft(sequence).keys(keys).image("app", &noise(sequence, 1 << 20)).sign()
    };
    let (half, whole) = (draft(2, &["author"]), draft(1, &["author", "operator"]));
    let head = fleet.host("head");
    let roots = fleet.roots(1..=1);
    assert_eq!(fleet.send(&head, &half, &format!("--rate 20M {roots}")).exit_code(), 3);
    // Somebody sends it all the same.
    let thief = fleet.host("thief");
    let _thief = send_as_thief(&fleet, &thief, &half, "");
    let device = fleet.device("device", &["app"]);
    let mut run = device.start(&format!("{BRIEFLY} {roots}"));
    assert_eq!(run.exit_code(), 1);
    assert!(run.all("begin").is_empty());
    assert_eq!(device.installed("app"), None);
    // Beside what both have signed it does no harm.
    let _send = fleet.send(&head, &whole, &format!("--rate 20M {roots}"));
    device.start(&format!("--once {roots}")).success();
    device.assert_runs(&whole);
}

#[test]
fn a_frozen_carousel_is_noticed_and_what_comes_then_waits_for_a_beacon_that_holds() {
    let Some(fleet) = Fleet::new("frozen") else { return };
    let _ = fleet.root(1);
    let roots = fleet.roots(1..=1);
    let draft = |sequence| fleet.draft(sequence).keys(&["release-1"]).image("app", &noise(sequence, 1 << 20)).sign();
    let (old, new) = (draft(1), draft(2));
    let device = fleet.device("device", &["app"]);
    // The daemon makes it.
    let runtime = fleet.path("runtime");
    let of_status = format!("--runtime {}", runtime.display());
    let options = format!("{of_status} {roots}");

    // Recorded while it was genuine, and played again and again.
    let recorded = fleet.beacon("recorded", 1, &[&old], "20s").display().to_string();
    let attacker = fleet.host("attacker");
    let frozen = fleet.send(&attacker, &old, &format!("--rate 20M {roots} --beacon {recorded}"));
    let mut run = device.start(&options);
    run.wait_for("installed");
    device.assert_runs(&old);
    run.wait_until("freshness", |event| event["state"] == "stale");
    wait_for_status(&device, &of_status, "stale", 6);
    drop(frozen);

    // A release that comes now is received, and held until it is known that it is current.
    let head = fleet.host("head");
    let beacon = fleet.path("current.beacon");
    fs::copy(&recorded, &beacon).unwrap();
    let _send = fleet.send(&head, &new, &format!("--rate 20M {roots} --beacon {}", beacon.display()));
    run.wait_until("waiting", |event| event["code"] == "stale");
    assert_eq!(device.installed("app"), Some(fs::read(&old.images[0].1).unwrap()));
    let _ = fleet.beacon("current", 1, &[&new], "1h");
    run.wait_until("installed", |event| count(&event["release"], "sequence") == 2);
    device.assert_runs(&new);
    assert_eq!(states(&run), ["waiting", "fresh", "stale", "fresh"]);
    wait_for_status(&device, &of_status, "fresh", 0);
    assert_eq!(run.end(Signal::TERM), 0);
}
