//! Help and usage.

use fleetcast_netlab::command_line::{Done, assert_help, shipped};

use super::fixture::{PROGRAM, Release};

#[test]
fn help_is_as_reviewed() {
    assert_help(
        PROGRAM,
        env!("CARGO_MANIFEST_DIR"),
        &["run", "check", "check-config", "publish", "channels", "gc", "relay", "status"],
    );
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
        (&["--nack", "239.1.2.4"], "--nack"),
        (&["--nack-share", "10"], "--nack"),
        (&["--nack", "239.1.2.4:5001", "--nack-share", "51"], "--nack-share"),
        (&["--nack", "239.1.2.4:5001", "--layers", "2"], "base layer"),
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

#[test]
fn a_relay_that_makes_no_sense_is_wrong_usage() {
    let release = Release::of("ok-one-octet");
    let key = shipped("keys/UNSAFE-test-release.pub.pem").display().to_string();
    let up = ["--upstream", "239.1.2.3:5000", "--upstream-interface", "lo"];
    let down = ["--group", "239.1.2.4:5000", "--interface", "lo"];
    let listen = ["--listen", "127.0.0.1:5001", "--from", "127.0.0.2"];
    let run =
        |args: &[&[&str]]| Done::run(&mut release.command(&[&["relay", "--trust", &key], &args.concat()[..]].concat()));
    for (args, text) in [
        (&[&up[..]][..], "--to"),
        (&[&down], "--upstream"),
        (&[&up[..2], &down], "--upstream-interface"),
        (&[&listen[..2], &down], "--from"),
        (&[&up, &down[..2]], "--interface"),
        (&[&up, &down, &["--rate", "63k"]], "64k"),
        (&[&up, &down, &["--rate", "unlimited"]], "is no rate"),
        (&[&up, &down, &["--releases", "0"]], "--releases"),
        (&[&up, &down, &["--threshold", "2"]], "threshold of 2"),
        (&[&up, &up[..2], &["--group", "239.1.2.3:5000", "--interface", "lo"]], "would hear itself"),
        (&[&listen, &["--to", "127.0.0.1:5001"]], "would hear itself"),
        (&[&up, &["--to", "127.0.0.1:5002", "--to", "127.0.0.1:5002"]], "twice"),
        (&[&up, &["--to", "239.1.2.3:5000"]], "no unicast address"),
        (&[&listen[..3], &["239.1.2.3"], &down], "no unicast address"),
        (&[&["--upstream", "232.1.2.3:5000"], &up[2..], &down], "name the sender's address"),
        (&[&up, &["--group", "10.0.0.1:5000", "--interface", "lo"]], "no multicast address"),
    ] {
        run(args).failed(2, &[text]);
    }
    let roots = |args: &[&str]| Done::run(&mut release.command(&[&["relay"], args, &up, &down].concat()));
    roots(&["--trust", &key, "--root", "1.root"]).failed(2, &["cannot be used with"]);
    roots(&[]).failed(2, &["--trust"]);
    roots(&["--root", "release"]).failed(3, &["cannot use root release: not a signed statement"]);
    roots(&["--root", "no-such-root"]).failed(1, &["cannot use root no-such-root"]);
    run(&[&up, &["--group", "239.1.2.4:5000", "--interface", "nosuch0"]]).failed(1, &["nosuch0", "--interface NAME"]);
    let none = ["relay", "--trust", "no-such-key"];
    Done::run(&mut release.command(&[&none[..], &up, &down].concat())).failed(1, &["no-such-key"]);
}
