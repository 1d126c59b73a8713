//! What becomes of a device whose network interface is replaced under it.

use fleetcast_netlab::fleet::{Fleet, Run, count, noise};
use fleetcast_netlab::netns::Signal;

#[test]
fn a_device_listens_on_several_interfaces_and_on_one_that_comes_later() {
    let Some(fleet) = Fleet::new("interfaces") else { return };
    let releases = [1, 2, 3].map(|sequence| fleet.release(sequence, &noise(sequence, 300_000)));
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let mut run = device.start("--interface eth0 --interface cable1");
    assert_eq!(run.wait_for("ready")["interface"], "eth0, cable1");
    run.wait_until("warning", |warning| warning["code"] == "interface-gone");
    let wait = |run: &mut Run, sequence: u64| {
        run.wait_until("installed", |installed| count(&installed["release"], "sequence") == sequence);
    };

    let mut send = fleet.send(&sender, &releases[0], "--rate 10M");
    wait(&mut run, 1);
    send.end(Signal::INT);
    fleet.lab.cable(1, [&sender, &device.host]).unwrap();
    assert_eq!(run.wait_for("rejoined")["interface"], "cable1");
    let mut send = fleet.send(&sender, &releases[1], "--rate 10M --interface cable1");
    wait(&mut run, 2);
    send.end(Signal::INT);

    // With one gone, the other is heard as before.
    device.host.remove_interface().unwrap();
    let _send = fleet.send(&sender, &releases[2], "--rate 10M --interface cable1");
    wait(&mut run, 3);
    device.assert_runs(&releases[2]);
    assert_eq!(run.end(Signal::TERM), 0);
}

#[test]
fn a_device_hears_again_after_its_interface_was_replaced() {
    let Some(fleet) = Fleet::new("interface") else { return };
    let (old, new) = (fleet.release(1, &noise(1, 1 << 20)), fleet.release(2, &noise(2, 1 << 20)));
    let sender = fleet.host("sender");
    let device = fleet.device("device", &["app"]);
    let mut run = device.start("");
    let mut send = fleet.send(&sender, &old, "--rate 20M");
    run.wait_for("installed");
    send.end(Signal::INT);
    // With the installed release heard, silence is no reason to look for its cause.
    device.host.remove_interface().unwrap();
    run.wait_until("warning", |warning| warning["code"] == "interface-gone");
    device.host.replace_interface().unwrap();
    run.wait_for("rejoined");

    // And midway, at once.
    let _send = fleet.send(&sender, &new, "--rate 2M");
    run.wait_until("progress", |progress| count(progress, "have") > 100);
    device.host.remove_interface().unwrap();
    device.host.replace_interface().unwrap();
    run.wait_until("installed", |installed| installed["release"]["sequence"] == 2);
    device.assert_runs(&new);
    assert_eq!((run.all("rejoined").len(), run.all("begin").len()), (2, 2), "{:?}", run.events());
    assert_eq!(run.end(Signal::TERM), 0);
}
