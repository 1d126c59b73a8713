//! What `status --json` prints is what `fleetcast-sign verify --as-device` reads.

use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::{Verified, verify};
use fleetcast_core::wire::StatementKind;
use fleetcast_install::record::ReleaseId;
use fleetcast_install::{RealFs, State};
use fleetcast_netlab::authority::sign;
use fleetcast_netlab::command_line::shipped;
use fleetcast_netlab::paper::{Device, Profile};
use fleetcast_netlab::release::{CLASS, VENDOR, facts, minimal};

use super::common::Folder;

fn release(device: &Device, sequence: u64) -> Verified<Manifest> {
    let payload = minimal(&facts(sequence)).encode().unwrap();
    verify(&sign(StatementKind::Manifest, &payload, &["release"]), device.trust()).unwrap()
}

#[test]
fn the_state_of_a_device_can_be_judged_elsewhere() {
    let folder = Folder::default();
    let key = shipped("keys/UNSAFE-test-release.pub.pem");
    let profile = format!(
        "trust = [{key:?}]\nvendor = \"{VENDOR}\"\nclasses = [\"{CLASS}\"]\n[[target]]\nname = \"rootfs\"\n\
         [device]\nstatus = \"status.json\"\n"
    );
    let profile = folder.write("device.toml", profile);
    let mut state = State::open(RealFs, &folder.path("state"), [7; 16]).unwrap();
    let device = || {
        let status = folder.recv(&["status", "--state", "state", "--json"]).ok().stdout;
        folder.write("status.json", status);
        Profile::load(&profile, Some(1_700_000_000)).unwrap()
    };
    let new = device();
    let verdict = |device: &Device, sequence| device.judge(&release(device, sequence)).code.unwrap_or("installs");
    assert_eq!([1, 17, 18].map(|sequence| verdict(&new, sequence)), ["installs"; 3]);

    let manifest = *release(&new, 17).payload_digest();
    let installed = ReleaseId { sequence: 17, security_version: 1, manifest, version: "17.0".into() };
    state.update(|record| record.set_installed(&installed)).unwrap();
    assert_eq!([1, 17, 18].map(|sequence| verdict(&device(), sequence)), ["rollback", "installed", "installs"]);

    state.update(|record| record.see(18, [0; 32])).unwrap();
    assert_eq!([17, 18].map(|sequence| verdict(&device(), sequence)), ["installed", "installs"]);
    state.update(|record| record.set_installed(&ReleaseId { sequence: 20, security_version: 2, ..installed })).unwrap();
    assert_eq!(verdict(&device(), 21), "security-version");
}
