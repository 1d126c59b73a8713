//! Which releases a device follows, installs and refuses.
#![expect(clippy::unwrap_used, reason = "test code")]

use fleetcast_netlab::fleet::{Device, Fleet, Run, count, noise, write};
use fleetcast_netlab::netns::Signal;

/// Sequence numbers of the events of a kind.
fn sequences(run: &Run, kind: &str) -> Vec<u64> {
    let sequence = |event: &serde_json::Value| event["release"]["sequence"].as_u64().unwrap();
    run.all(kind).iter().map(sequence).collect()
}

/// Codes of the releases that a receiver has refused.
fn refused(run: &Run, kind: &str) -> Vec<String> {
    run.all(kind).iter().map(|event| event["code"].as_str().unwrap().to_owned()).collect()
}

/// Starts a receiver that has five seconds, in which it must not install anything.
fn start_briefly(device: &Device, options: &str) -> Run {
    device.start(&format!("--once --timeout 5s {options}"))
}

/// Runs a receiver for five seconds, in which it must not install anything.
fn fails(device: &Device, options: &str) -> Run {
    let before = device.installed("app");
    let mut run = start_briefly(device, options);
    assert_eq!(run.exit_code(), 1);
    assert!(device.installed("app") == before, "the target was touched");
    run
}

#[test]
fn a_newer_release_that_comes_midway_takes_over() {
    let Some(fleet) = Fleet::new("newer") else { return };
    let (old, new) = (fleet.release(1, &noise(1, 4 << 20)), fleet.release(2, &noise(2, 2 << 20)));
    let (first, second) = (fleet.host("first"), fleet.host("second"));
    let _old = fleet.send(&first, &old, "--rate 15M");
    let device = fleet.device("device", &["app"]);
    let mut run = device.start("--once");
    run.wait_until("progress", |progress| count(progress, "have") > old.chunks / 3);
    let _new = fleet.send(&second, &new, "--rate 15M");
    run.success();
    device.assert_runs(&new);
    assert_eq!(sequences(&run, "begin"), [1, 2]);
    assert_eq!(sequences(&run, "installed"), [2]);
    // Still on the air, and still older.
    let run = fails(&device, "--group 239.77.1.2:4000");
    assert!(run.all("refused").is_empty(), "another group");
    device.assert_runs(&new);
}

#[test]
fn a_daemon_installs_one_release_after_the_other_and_none_twice() {
    let Some(fleet) = Fleet::new("daemon") else { return };
    let (old, new) = (fleet.release(1, &noise(1, 1 << 20)), fleet.release(2, &noise(2, 1 << 20)));
    let (first, second) = (fleet.host("first"), fleet.host("second"));
    let _old = fleet.send(&first, &old, "--rate 20M");
    let device = fleet.device("device", &["app"]);
    let mut run = device.start("");
    run.wait_for("installed");
    device.assert_runs(&old);
    let mut new_send = fleet.send(&second, &new, "--rate 20M --cycles 2");
    run.wait_until("installed", |installed| installed["release"]["sequence"] == 2);
    device.assert_runs(&new);
    new_send.success();
    assert_eq!(run.end(Signal::TERM), 0);
    assert_eq!(sequences(&run, "installed"), [1, 2]);
    // That each is on the air still once it is installed is nothing to tell.
    assert_eq!(refused(&run, "refused"), ["rollback"], "{:?}", run.events());
}

#[test]
fn what_is_not_for_the_device_is_refused_by_its_cause() {
    let Some(fleet) = Fleet::new("refused") else { return };
    let release = fleet.release(1, &noise(1, 1 << 20));
    let sender = fleet.host("sender");
    let _send = fleet.send(&sender, &release, "--rate 10M");
    let stranger = format!("--trust {}", fleet.key("stranger").1.display());
    let cases = [
        (stranger.as_str(), "app", "threshold"),
        ("--class board-b", "app", "class"),
        ("--vendor other.example", "app", "vendor"),
        ("--max-size app=1048575", "app", "size"),
        ("--max-packet 1000", "app", "packet-size"),
        ("", "boot", "target"),
    ];
    let devices = cases.map(|(_, target, code)| fleet.device(code, &[target]));
    let start = |(device, (options, target, _)): (&Device, &(&str, &str, _))| {
        write(&device.target(target), b"what runs");
        start_briefly(device, options)
    };
    let mut runs: Vec<_> = devices.iter().zip(&cases).map(start).collect();
    for ((run, device), (_, target, code)) in runs.iter_mut().zip(&devices).zip(cases) {
        assert_eq!(run.exit_code(), 1, "{code}");
        let stopped = run.wait_for("stopped");
        assert!(count(&stopped["dropped"], code) > 0, "{stopped}");
        // Nothing is known of who wrote what no trusted key has signed.
        let told: &[&str] = if code == "threshold" { &[] } else { &[code] };
        assert_eq!(refused(run, "refused"), told);
        assert!(run.all("begin").is_empty(), "{code}");
        assert_eq!(device.installed(target).unwrap(), b"what runs", "{code}");
    }
    // And nothing of it all is remembered.
    devices[1].start("--once").success();
    devices[1].assert_runs(&release);
}

#[test]
fn an_older_release_or_another_of_the_same_number_is_refused_after_an_install() {
    let Some(fleet) = Fleet::new("rollback") else { return };
    let (old, new) = (fleet.release(1, &noise(1, 1 << 20)), fleet.release(2, &noise(2, 1 << 20)));
    let sender = fleet.host("sender");
    let device = fleet.device("device", &["app"]);
    let mut send = fleet.send(&sender, &new, "--rate 20M");
    device.start("--once").success();
    device.assert_runs(&new);
    send.end(Signal::INT);

    let mut send = fleet.send(&sender, &old, "--rate 20M");
    let run = fails(&device, "");
    assert_eq!(refused(&run, "refused"), ["rollback"]);
    send.end(Signal::INT);

    // The same key has signed two releases with one number.
    let twin = fleet.draft(2).image("app", &noise(3, 1 << 20)).sign();
    let _send = fleet.send(&sender, &twin, "--rate 20M");
    let run = fails(&device, "");
    assert_eq!(refused(&run, "alarm"), ["equivocation"]);
    assert!(run.all("begin").is_empty());
}

#[test]
fn the_old_image_stays_whole_until_the_new_one_replaces_it() {
    let Some(fleet) = Fleet::new("whole") else { return };
    let (old, new) = (noise(1, 2 << 20), noise(2, 2 << 20));
    let release = fleet.release(1, &new);
    let sender = fleet.host("sender");
    let device = fleet.device("device", &["app"]);
    write(&device.target("app"), &old);
    let mut run = device.start("--once");
    run.wait_for("ready");
    let _send = fleet.send(&sender, &release, "--rate 10M");
    let mut looks = 0;
    while run.process.try_wait().unwrap().is_none() {
        let installed = device.installed("app").unwrap();
        looks += u32::from(installed == old);
        assert!(installed == old || installed == new, "neither the old nor the new image");
    }
    run.success();
    device.assert_runs(&release);
    assert!(looks > 20, "looked {looks} times");
}
