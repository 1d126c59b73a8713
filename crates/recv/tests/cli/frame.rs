//! Help, exit codes, closed pipes.

use std::fs::{self, File};

use super::common::{Folder, PROGRAM};
use fleetcast_netlab::command_line::{Done, assert_help};

#[test]
fn help_is_as_reviewed() {
    assert_help(
        PROGRAM,
        env!("CARGO_MANIFEST_DIR"),
        &["receive", "status", "doctor", "dump", "discover", "commit", "rollback", "check-config"],
    );
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = Folder::default();
    let version = folder.recv(&["--version"]).ok().stdout;
    assert_eq!(version, format!("fleetcast-recv {}\n", env!("CARGO_PKG_VERSION")));
    let cases =
        [&[][..], &["nonsense"], &["check-config"], &["receive", "--nonsense"], &["receive", "--timeout", "1d"]];
    for args in cases {
        let wrong = folder.recv(args).failed(2, &[]);
        assert!(wrong.stdout.is_empty() && wrong.stderr.contains("--help"), "{wrong:?}");
    }
}

#[test]
fn status_of_a_new_device_a_full_disk_and_a_damaged_record() {
    let folder = Folder::default();
    folder.recv(&["status", "--state", "none"]).failed(1, &["there is no state folder ", "none", "correct the path"]);
    fs::create_dir(folder.path("state")).unwrap();
    assert_eq!(folder.recv(&["status", "--state", "state"]).ok().stdout, "installed  nothing yet\n");
    let json = folder.recv(&["status", "--state", "state", "--json"]).ok().stdout;
    assert_eq!(
        json,
        "{\"v\":1,\"installed\":null,\"phase\":\"idle\",\"trial\":null,\"slots\":null,\"failed\":null,\"seen\":null,\
         \"pending\":null,\"receiving\":null,\"daemon\":null,\"history\":[],\"followed_root\":0,\
         \"are_floors_void\":false,\"trust\":null}\n"
    );
    folder.recv(&["status"]).failed(78, &["--state: state is not set"]);

    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = folder.command(&["status", "--state", "state"]).stdout(full).output().unwrap();
    Done::from(output).failed(1, &["cannot write to standard output: No space left"]);

    folder.write("state/record", "no record at all");
    folder.recv(&["status", "--state", "state"]).failed(1, &["unreadable", "restore it, or remove it"]);
}
