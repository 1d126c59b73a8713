//! What is shipped beside the programs: steps and scripts in it are run as they stand there.

use std::fs;
use std::path::Path;
use std::process::Command;

use fleetcast_netlab::command_line::{Done, shipped};

use super::common::{Folder, PROGRAM, json};

/// The shell steps of a document, from the heading `from` up to the heading `to`.
fn steps(document: &str, from: &str, to: &str) -> String {
    let text = fs::read_to_string(shipped(document)).unwrap();
    let (_, text) = text.split_once(from).unwrap();
    let (text, _) = text.split_once(to).unwrap();
    text.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect()
}

/// Runs shell steps in a folder, with the program at hand.
fn shell(folder: &Folder, steps: &str) -> Command {
    let path = std::env::join_paths(
        [Path::new(PROGRAM).parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = folder.0.command("bash", &["-euxo", "pipefail", "-c", steps]);
    command.env("PATH", path.unwrap());
    command
}

#[test]
fn the_service_of_the_beacon_is_installed_and_signs() {
    let folder = Folder::default();
    for file in fs::read_dir(shipped("packaging/beacon")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path(file.file_name().to_str().unwrap())).unwrap();
    }
    folder.keys(["root", "rel"]);
    let steps = steps("packaging/beacon/README.md", "\n## Setting it up\n", "\n```sh\nsystemd-sysusers");
    Done::run(shell(&folder, &steps).env("DESTDIR", folder.path("dest"))).ok();
    let init = "root init dest/srv/fleetcast/roots/1.root --vendor acme.example --root-key root.pub.pem \
        --release-key rel.pub.pem --beacon-key beacon-key.pub.pem";
    folder.run(init).ok();
    folder.run("root sign dest/srv/fleetcast/roots/1.root --key root.pem").ok();
    folder.release("dest/srv/fleetcast/current/1.fleetcast", "rel", "17", &[]);

    let service = fs::read_to_string(folder.path("dest/usr/lib/systemd/system/fleetcast-beacon.service")).unwrap();
    let command = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let command = format!("dest{}", command.replace("%d/", "dest/etc/fleetcast/"));
    let make = || {
        let mut shell = shell(&folder, &command);
        shell.env("ROOTS", "dest/srv/fleetcast/roots").env("RELEASES", "dest/srv/fleetcast/current");
        Done::run(shell.env("BEACON", "current.beacon").env("VALID", "2h"))
    };
    make().ok();
    let first = json(&folder.run("inspect current.beacon --json").ok());
    assert_eq!(first["until"].as_u64().unwrap() - first["issued"].as_u64().unwrap(), 7200);
    assert_eq!((&first["root"], &first["current"][0]["sequence"]), (&1.into(), &17.into()));
    folder.run("verify current.beacon --root dest/srv/fleetcast/roots/1.root").ok();
    // Without a release nothing is current, and what is there stays.
    fs::remove_file(folder.path("dest/srv/fleetcast/current/1.fleetcast")).unwrap();
    make().failed(1, &["cannot use release"]);
    assert_eq!(json(&folder.run("inspect current.beacon --json").ok()), first);
}
