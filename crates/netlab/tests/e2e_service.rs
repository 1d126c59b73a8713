//! What the daemons tell a service manager, which is this test.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use fleetcast_netlab::fleet::{Fleet, GROUP, PATIENCE, noise, program};
use fleetcast_netlab::netns::{Host, INTERFACE, Signal};

/// Starts a daemon, and ends it after it has told three times how it does: ready first, stopping last, nothing else in between.
fn watch(fleet: &Fleet, host: &Host, mut command: Command, status: &str) {
    let path = fleet.path(&format!("{}.notify", host.name()));
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut octets = [0; 512];
        let length = manager.recv(&mut octets).unwrap();
        String::from_utf8(octets[..length].to_vec()).unwrap()
    };
    let process = host.spawn(command.env("NOTIFY_SOCKET", &path)).unwrap();
    assert_eq!(heard(), "READY=1");
    let turns = format!("WATCHDOG=1\nSTATUS={status}");
    for _ in 0..3 {
        let told = heard();
        assert!(told.starts_with(&turns), "{told:?}, where {turns:?} is expected");
    }
    process.kill(Signal::TERM).unwrap();
    let last = std::iter::repeat_with(heard).find(|told| !told.starts_with("WATCHDOG=1"));
    assert_eq!(last.unwrap(), "STOPPING=1");
}

#[test]
fn daemons_tell_that_they_are_ready_that_their_loops_turn_and_that_they_end() {
    let Some(fleet) = Fleet::new("service") else { return };
    let device = fleet.device("device", &["app"]);
    watch(&fleet, &device.host, device.command(&["receive"], ""), "waiting for a release");

    let release = fleet.release(1, &noise(1, 100_000));
    let mut send = Command::new(program("send"));
    send.arg("run").arg(&release.file).args(["--group", GROUP, "--interface", INTERFACE]);
    send.arg("--image").arg(format!("app={}", release.images[0].1.display()));
    watch(&fleet, &fleet.host("sender"), send, "cycle ");

    let mut relay = Command::new(program("send"));
    relay.args(["relay", "--upstream", GROUP, "--upstream-interface", INTERFACE, "--to", "192.0.2.1:4000"]);
    relay.arg("--trust").arg(fleet.key("release").1);
    watch(&fleet, &fleet.host("relay"), relay, "0.00 kbit/s, ");
}
