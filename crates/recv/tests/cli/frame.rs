//! Help, exit codes, closed pipes.
//!
//! `UPDATE_SNAPSHOTS=1` rewrites `tests/snapshots`; look at the difference before it is kept.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use super::common::{Folder, done};

#[test]
fn help_is_as_reviewed() {
    let folder = Folder::new();
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let cases: [(&str, &[&str]); 4] = [
        ("help.txt", &["--help"]),
        ("receive-help.txt", &["receive", "--help"]),
        ("status-help.txt", &["status", "--help"]),
        ("check-config-help.txt", &["check-config", "--help"]),
    ];
    for (name, args) in cases {
        let path = snapshots.join(name);
        let help = folder.recv(args).ok().stdout;
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            File::create(&path).unwrap().write_all(help.as_bytes()).unwrap();
        }
        assert_eq!(help, fs::read_to_string(&path).unwrap(), "{name}");
    }
    let kept = fs::read_dir(snapshots).unwrap().count();
    assert_eq!(kept, cases.len(), "a snapshot that nothing compares");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = Folder::new();
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
    let folder = Folder::new();
    assert_eq!(folder.recv(&["status", "--state", "none"]).ok().stdout, "installed  nothing yet\n");
    let json = folder.recv(&["status", "--state", "none", "--json"]).ok().stdout;
    assert_eq!(json, "{\"v\":1,\"installed\":null,\"seen\":null,\"pending\":null,\"receiving\":null}\n");
    folder.recv(&["status"]).failed(78, &["--state: state is not set"]);

    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = folder.command(&["status", "--state", "none"]).stdout(full).output().unwrap();
    done(output).failed(1, &["cannot write to standard output: No space left"]);

    fs::create_dir(folder.path("state")).unwrap();
    folder.write("state/record", "no record at all");
    folder.recv(&["status", "--state", "state"]).failed(1, &["unreadable", "restore it, or remove it"]);
}
