//! Help and usage.

use fleetcast_netlab::command_line::{Done, assert_help};

use super::fixture::{PROGRAM, Release};

#[test]
fn help_is_as_reviewed() {
    assert_help(PROGRAM, env!("CARGO_MANIFEST_DIR"), &["run", "check"]);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let release = Release::of("ok-one-octet");
    let version = Done::run(&mut release.command(&["--version"])).ok().stdout;
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
        Done::run(&mut release.send("run", &[&to[..], args].concat())).failed(2, &[text]);
    }
    Done::run(&mut release.send("run", &["--group", "239.1.2.3:5000"])).failed(2, &["--interface"]);
    Done::run(&mut release.send("run", &["--group", "239.1.2.3", "--interface", "lo"])).failed(2, &["--group"]);
    Done::run(&mut release.send("run", &["--group", "10.0.0.1:5000", "--interface", "lo"]))
        .failed(2, &["10.0.0.1 is no multicast address"]);
    Done::run(&mut release.send("run", &["--group", "239.1.2.3:5000", "--interface", "nosuch0"]))
        .failed(1, &["nosuch0", "lo (127.0.0.1"]);
}
