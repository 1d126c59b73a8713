//! Help and usage.
//!
//! `UPDATE_SNAPSHOTS=1` rewrites `tests/snapshots`; look at the difference before it is kept.

use std::fs;
use std::path::Path;

use super::fixture::{Release, done, put};

#[test]
fn help_is_as_reviewed() {
    let release = Release::of("ok-one-octet");
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let cases: [(&str, &[&str]); 3] =
        [("help.txt", &["--help"]), ("run-help.txt", &["run", "--help"]), ("check-help.txt", &["check", "--help"])];
    for (name, args) in cases {
        let path = snapshots.join(name);
        let help = done(&mut release.command(args)).ok().stdout;
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            put(&path, help.as_bytes());
        }
        assert_eq!(help, fs::read_to_string(&path).unwrap(), "{name}");
    }
    assert_eq!(fs::read_dir(snapshots).unwrap().count(), cases.len(), "a snapshot that nothing compares");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let release = Release::of("ok-one-octet");
    let version = done(&mut release.command(&["--version"])).ok().stdout;
    assert_eq!(version, format!("fleetcast-send {}\n", env!("CARGO_PKG_VERSION")));
    let to = ["--group", "239.1.2.3:5000", "--interface", "lo"];
    for (args, text) in [
        (&["--rate", "10M", "--packet-delay", "1ms"][..], "cannot be used with"),
        (&["--rate", "0"], "is no rate"),
        (&["--packet-delay", "0s"], "--rate unlimited"),
        (&["--start", "1"], "no place in a cycle"),
        (&["--start", "NaN"], "no place in a cycle"),
        (&["--cycles", "0"], "--cycles"),
        (&["--dscp", "64"], "--dscp"),
        (&["--hops", "256"], "--hops"),
        (&["--nonsense"], "--nonsense"),
    ] {
        done(&mut release.send("run", &[&to[..], args].concat())).failed(2, &[text]);
    }
    done(&mut release.send("run", &["--group", "239.1.2.3:5000"])).failed(2, &["--interface"]);
    done(&mut release.send("run", &["--group", "239.1.2.3", "--interface", "lo"])).failed(2, &["--group"]);
    done(&mut release.send("run", &["--group", "10.0.0.1:5000", "--interface", "lo"]))
        .failed(2, &["10.0.0.1 is no multicast address"]);
    done(&mut release.send("run", &["--group", "239.1.2.3:5000", "--interface", "nosuch0"]))
        .failed(1, &["nosuch0", "lo (127.0.0.1"]);
}
