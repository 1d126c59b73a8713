//! One release through a network that loses packets: who joins when, through how much loss, from how many senders.
#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(clippy::cast_precision_loss, reason = "counts of packets are small")]

use fleetcast_netlab::fleet::{Fleet, Run, count, noise};
use fleetcast_netlab::netns::Signal;
use serde_json::Value;

/// Loss of each of eight receivers, in thousandths.
const LOSSES: [u16; 8] = [0, 10, 30, 50, 80, 120, 160, 200];

/// Packets sent to a receiver from its first to its last, from what came and what its counts say was lost.
fn sent(stopped: &Value) -> f64 {
    count(stopped, "datagrams") as f64 / (1.0 - stopped["loss"].as_f64().unwrap())
}

/// Packets a sender sends a second.
fn pace(run: &mut Run) -> f64 {
    assert_eq!(run.end(Signal::INT), 0);
    let stopped = run.wait_for("stopped");
    count(&stopped, "packets") as f64 / stopped["seconds"].as_f64().unwrap()
}

#[test]
fn eight_receivers_with_up_to_a_fifth_of_loss_end_bit_exact() {
    let Some(fleet) = Fleet::new("loss") else { return };
    let release = fleet.release(1, &noise(1, 4 << 20));
    let sender = fleet.host("sender");
    let mut send = fleet.send(&sender, &release, "--rate 20M");
    send.wait_for("ready");
    let devices: Vec<_> = (0..LOSSES.len()).map(|n| fleet.device(&format!("device-{n}"), &["app"])).collect();
    for (device, loss) in devices.iter().zip(LOSSES) {
        device.host.loss(loss).unwrap();
    }
    let mut runs: Vec<_> = devices.iter().map(|device| device.start("--once")).collect();
    println!("   loss  packets came  sent until complete / image packets  1/(1-loss)");
    for ((device, run), loss) in devices.iter().zip(&mut runs).zip(LOSSES) {
        let stopped = run.success();
        device.assert_runs(&release);
        let (ratio, ideal) = (sent(&stopped) / release.chunks as f64, 1000.0 / f64::from(1000 - loss));
        println!("{:5.1} %  {:12}  {ratio:35.3}  {ideal:10.3}", f64::from(loss) / 10.0, stopped["datagrams"]);
        assert!((0.99 * ideal..1.15 * ideal).contains(&ratio), "{loss} per mille: {ratio}");
    }
}

#[test]
fn who_joins_in_the_middle_of_the_loop_needs_no_more_packets() {
    let Some(fleet) = Fleet::new("late") else { return };
    let release = fleet.release(1, &noise(1, 2 << 20));
    let sender = fleet.host("sender");
    let device = fleet.device("device", &["app"]);
    let mut run = device.start("--once");
    run.wait_for("ready");
    // The first packet there is for it is from the middle.
    let _send = fleet.send(&sender, &release, "--rate 8M --start 0.5");
    let stopped = run.success();
    device.assert_runs(&release);
    let restored = count(&run.wait_for("restored"), "chunks");
    assert!(restored > release.chunks / 2, "it has seen repair chunks only, at first: {restored}");
    assert!(count(&stopped, "datagrams") < release.chunks * 11 / 10, "{stopped}");
}

#[test]
fn two_senders_half_a_cycle_apart_take_about_half_as_long() {
    let Some(fleet) = Fleet::new("two") else { return };
    let release = fleet.release(1, &noise(1, 4 << 20));
    let (left, right) = (fleet.host("left"), fleet.host("right"));
    let mut sends =
        [fleet.send(&left, &release, "--rate 20M --start 0"), fleet.send(&right, &release, "--rate 20M --start 0.5")];
    for send in &mut sends {
        send.wait_for("ready");
    }
    let device = fleet.device("device", &["app"]);
    let stopped = device.start("--once").success();
    device.assert_runs(&release);
    let [a, b] = sends.each_mut().map(pace);
    assert!((0.9..1.1).contains(&(a / b)), "the senders' packets per second: {a} and {b}");
    // At the same pace each has sent half of what came.
    let each = count(&stopped, "datagrams") as f64 / 2.0 / release.chunks as f64;
    println!("each of two senders sent {each:.3} images until the receiver was complete");
    assert!((0.5..0.65).contains(&each), "{each} images from each: {stopped}");
}

#[test]
fn a_sender_that_stops_and_starts_again_elsewhere_is_followed() {
    let Some(fleet) = Fleet::new("again") else { return };
    let release = fleet.release(1, &noise(1, 4 << 20));
    let sender = fleet.host("sender");
    let device = fleet.device("device", &["app"]);
    let mut run = device.start("--once");
    run.wait_for("ready");
    let mut send = fleet.send(&sender, &release, "--rate 20M --start 0");
    run.wait_until("progress", |progress| count(progress, "have") > release.chunks / 3);
    assert_eq!(send.end(Signal::INT), 0, "a clean stop");
    assert_eq!(run.process.try_wait().unwrap(), None);
    let mut send = fleet.send(&sender, &release, "--rate 20M --start 0.5");
    let stopped = run.success();
    device.assert_runs(&release);
    assert!(count(&stopped, "datagrams") < release.chunks * 11 / 10, "{stopped}");
    assert_eq!(send.end(Signal::TERM), 0, "a clean stop");
}

#[test]
fn default_settings_lose_nothing_at_a_bottleneck_of_20_megabits() {
    let Some(fleet) = Fleet::new("bottleneck") else { return };
    let release = fleet.release(1, &noise(1, 3 << 20));
    let sender = fleet.host("sender");
    let device = fleet.device("device", &["app"]);
    // Room for a dozen packets: a burst of 15 would lose some.
    device.host.rate_limit(20, 13_000).unwrap();
    let mut run = device.start("--once");
    run.wait_for("ready");
    let _send = fleet.send(&sender, &release, "");
    let stopped = run.success();
    device.assert_runs(&release);
    let (came, lost) = (count(&stopped, "datagrams"), sent(&stopped) - count(&stopped, "datagrams") as f64);
    println!("{came} packets came for {} of the image, {lost:.0} were lost", release.chunks);
    assert!(lost < 5.0, "{lost} lost: {stopped}");
    assert!(came < release.chunks * 11 / 10, "{stopped}");
}
