//! A release on several layers, and from senders that keep apart by the clock.
#![expect(clippy::cast_precision_loss, reason = "counts of packets are small")]

use fleetcast_netlab::fleet::{Fleet, count, noise};
use fleetcast_netlab::netns::Signal;

/// Groups of four layers, from the base layer up.
const GROUPS: [&str; 4] = ["239.77.1.1:4000", "239.77.1.2:4000", "239.77.1.3:4000", "239.77.1.4:4000"];

#[test]
fn with_loss_who_hears_all_layers_and_who_hears_only_the_base_layer_both_complete() {
    let Some(fleet) = Fleet::new("layers") else { return };
    let release = fleet.release(1, &noise(1, 3 << 20));
    let (sender, all, base) = (fleet.host("sender"), fleet.device("all", &["app"]), fleet.device("base", &["app"]));
    all.host.loss(50).unwrap();
    base.host.loss(50).unwrap();
    let groups = GROUPS.map(|group| format!("--group {group}")).join(" ");
    let mut runs = [all.start(&format!("--once {groups}")), base.start("--once")];
    for run in &mut runs {
        run.wait_for("ready");
    }
    let mut send = fleet.send(&sender, &release, "--layers 4 --rate 40M");
    let [all_stopped, base_stopped] = runs.each_mut().map(|run| run.success());
    all.assert_runs(&release);
    base.assert_runs(&release);
    // No layer repeats what another has sent: both need as many packets as of a single layer.
    for stopped in [all_stopped, base_stopped] {
        let ratio = count(&stopped, "datagrams") as f64 / release.chunks as f64;
        println!("{ratio:.3} packets came for each of the image");
        assert!((1.0..1.25).contains(&ratio), "{ratio}: {stopped}");
    }
    assert_eq!(send.end(Signal::INT), 0);
    // 1, 1, 2 and 4 parts, but for the last frame.
    let stopped = send.wait_for("stopped");
    let packets: Vec<_> = stopped["layers"].as_array().unwrap().iter().map(|layer| count(layer, "packets")).collect();
    let base = packets[0] as f64;
    for (packets, part) in packets.iter().zip([1.0, 1.0, 2.0, 4.0]) {
        assert!((0.9..1.1).contains(&(*packets as f64 / part / base)), "{stopped}");
    }
    assert_eq!(packets.len(), 4);
}

#[test]
fn of_two_senders_by_the_clock_one_may_die_and_the_device_completes() {
    let Some(fleet) = Fleet::new("clock") else { return };
    let release = fleet.release(1, &noise(1, 6 << 20));
    let (left, right, device) = (fleet.host("left"), fleet.host("right"), fleet.device("device", &["app"]));
    let mut sends = [
        fleet.send(&left, &release, "--rate 10M --sender 0/2"),
        fleet.send(&right, &release, "--rate 10M --sender 1/2"),
    ];
    for send in &mut sends {
        send.wait_for("ready");
    }
    let mut run = device.start("--once");
    run.wait_until("progress", |progress| count(progress, "have") > release.chunks / 2);
    // By then each has sent a quarter of an image: had they sent the same, there would be none of the rest.
    let [_, dying] = &mut sends;
    dying.process.kill(Signal::KILL).unwrap();
    let stopped = run.success();
    device.assert_runs(&release);
    let ratio = count(&stopped, "datagrams") as f64 / release.chunks as f64;
    println!("{ratio:.3} packets came for each of the image");
    assert!((1.0..1.15).contains(&ratio), "{ratio}: {stopped}");
}
