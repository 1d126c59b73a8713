//! Receivers that end before they are done: what was received counts, and nothing else does.

use std::thread;
use std::time::Duration;

use fleetcast_netlab::fleet::{Fleet, count, noise};
use fleetcast_netlab::netns::Signal;

const KILLS: usize = 10;

/// Chunks that may be lost by a kill: 256 KiB that wait for their neighbours, and what came since the last progress event.
const LOST_BY_KILL: u64 = 256 + 256;

#[test]
fn a_receiver_killed_ten_times_loses_only_what_was_on_its_way_to_the_disk() {
    let Some(fleet) = Fleet::new("kills") else { return };
    let release = fleet.release(1, &noise(1, 12 << 20));
    let sender = fleet.host("sender");
    let mut send = fleet.send(&sender, &release, "--rate 20M");
    send.wait_for("ready");
    let device = fleet.device("device", &["app"]);
    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    let (mut had, mut lost) = (0, 0);
    for kill in 0..KILLS {
        let mut run = device.start("--once");
        run.wait_for("ready");
        let wait = random.u64(1..400);
        thread::sleep(Duration::from_millis(wait));
        run.process.kill(Signal::KILL).unwrap();
        assert!(run.process.wait(Duration::from_secs(5)).unwrap().code().is_none(), "killed before it was done");
        let found = run.all("resumed").pop().map_or(0, |resumed| count(&resumed, "have"));
        let has = run.all("progress").pop().map_or(found, |progress| count(&progress, "have"));
        println!("kill {kill} after {wait:3} ms: {found:5} chunks of {had:5} were there again, then {has:5}");
        assert!(found + LOST_BY_KILL >= had, "{found} of {had} chunks came back");
        lost += had.saturating_sub(found);
        had = has;
        assert_eq!(device.installed("app"), None);
    }
    let mut run = device.start("--once");
    let stopped = run.success();
    device.assert_runs(&release);
    let found = count(&run.wait_for("resumed"), "have");
    lost += had.saturating_sub(found);
    let came = count(&stopped, "verified_chunks");
    println!("{lost} of {} chunks were received again; the last run received {came}", release.chunks);
    assert_eq!(came, release.chunks - found, "nothing is received that is there already");
}

#[test]
fn an_interrupt_is_never_a_success_and_the_next_start_goes_on() {
    let Some(fleet) = Fleet::new("interrupt") else { return };
    let release = fleet.release(1, &noise(1, 2 << 20));
    let sender = fleet.host("sender");
    let _send = fleet.send(&sender, &release, "--rate 10M");
    let device = fleet.device("device", &["app"]);
    let mut had = 0;
    for (part, signal, options) in [(4, Signal::INT, "--once"), (2, Signal::TERM, "")] {
        let mut run = device.start(options);
        run.wait_until("progress", |progress| count(progress, "have") > release.chunks / part);
        assert_eq!(run.end(signal), 1);
        let stopped = run.wait_for("stopped");
        let told = run.process.stderr().unwrap();
        assert!(told.contains("the next start goes on from here"), "{told}");
        assert_eq!(device.installed("app"), None);
        if had > 0 {
            assert_eq!(count(&run.wait_for("resumed"), "have"), had, "all of it was kept");
        }
        had = count(&stopped["chunks"], "have");
        assert!((release.chunks / part..release.chunks).contains(&had), "{stopped}");
    }
    let mut run = device.start("--once");
    let stopped = run.success();
    device.assert_runs(&release);
    assert_eq!(count(&run.wait_for("resumed"), "have"), had, "all of it was kept");
    assert_eq!(count(&stopped, "verified_chunks"), release.chunks - had);

    let mut run = device.start("--once");
    run.success();
    assert!(run.all("installed").is_empty(), "it is installed already");
    assert_eq!(device.start("--timeout 1s").exit_code(), 1, "a timeout is no success");
    let mut daemon = device.start("");
    daemon.wait_for("ready");
    assert_eq!(daemon.end(Signal::INT), 1);
    let mut daemon = device.start("");
    daemon.wait_for("ready");
    assert_eq!(daemon.end(Signal::TERM), 0, "nothing was being received");
}
