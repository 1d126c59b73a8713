//! Settings of several streams, as `check-config` judges them.

use std::fs;

use fleetcast_netlab::command_line::{Done, Folder, shipped};

use super::check::key;
use super::fixture::PROGRAM;

fn folder() -> Folder {
    let folder = Folder::default();
    fs::copy(key("release"), folder.path("release-key.pub.pem")).unwrap();
    folder
}

fn check(folder: &Folder, text: &str) -> Done {
    folder.write("send.toml", text);
    Done::run(&mut folder.command(PROGRAM, &["check-config", "send.toml"]))
}

fn example() -> String {
    fs::read_to_string(shipped("examples/send.toml")).unwrap()
}

#[test]
fn the_example_is_good_and_so_is_what_it_shows() {
    let folder = folder();
    check(&folder, &example()).ok();
    let uncommented = |is_wanted: &dyn Fn(&str) -> bool| {
        let uncomment = |line: &str| match line.strip_prefix('#') {
            Some(key) if key.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ') && is_wanted(key)) => {
                key.to_owned()
            }
            _ => line.to_owned(),
        };
        example().lines().map(uncomment).collect::<Vec<_>>().join("\n")
    };
    let (apart, requests) = (["release", "images", "roots", "beacon", "packet-delay"], ["nack", "nack-share"]);
    let all = uncommented(&|key| !apart.contains(&key) && !requests.contains(&key));
    assert!(all.contains("\nsender = ") && all.contains("\ncache-size = ") && all.contains("\nhops = "));
    check(&folder, &all).ok();
    // Not with layers.
    let asked = uncommented(&|key| requests.contains(&key));
    assert!(asked.contains("\nnack = ") && asked.contains("\nnack-share = "));
    check(&folder, &asked).ok();
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let folder = folder();
    let example = example();
    for (from, to, problem) in [
        ("channel = ", "chanel = ", "unknown field `chanel`"),
        ("#poll = \"30s\"", "poll = \"0s\"", "send.toml:21: poll: a store cannot be asked all the time"),
        ("file:///srv/releases\"\n", "ftp://srv\"\n", "store: \"ftp://srv\" names no store"),
        ("cache = \"/var/cache/fleetcast-send\"", "", "`cache` is missing"),
        ("channel = \"stable\"", "channel = \"a/b\"", "channel: \"a/b\" is no channel"),
        ("channel = \"stable\"", "", "either a `channel`, or a `release`"),
        ("channel = \"stable\"", "channel = \"stable\"\nrelease = \"x\"", "either a `channel`, or a `release`"),
        ("channel = \"stable\"", "release = \"x\"\nimages = [\"y\"]", "needs a `name`"),
        ("trust = [", "beacon = \"b\"\ntrust = [", "either `trust`"),
        ("trust = [\"release-key", "trust = [\"other-key", "other-key.pub.pem"),
        ("group = \"239.255.70.67:4701\"", "group = \"239.255.70.67\"", "is no group and port"),
        (
            "group = \"239.255.70.67:4701\"",
            "group = [\"239.1.1.1:1\", \"239.1.1.2:1\"]\nlayers = 3",
            "2 groups for 3 layers",
        ),
        ("rate = \"20M\"", "rate = \"fast\"", "rate: \"fast\" is no rate"),
        ("rate = \"20M\"", "rate = \"20M\"\npacket-delay = \"1ms\"", "either a `rate` or a `packet-delay`"),
        ("rate = \"20M\"", "rate = \"unlimited\"\nsender = \"0/2\"", "`sender` needs a rate"),
        ("#dscp = 0", "dscp = 64", "0 to 63"),
        (
            "#nack = \"239.255.70.68:4702\"",
            "nack = \"239.255.70.68\"",
            "nack: \"239.255.70.68\" is no address and port",
        ),
        (
            "#nack = \"239.255.70.68:4702\"",
            "nack = \"0.0.0.0:4702\"",
            "0.0.0.0:4702 is no multicast or unicast address",
        ),
        ("#nack = ", "layers = 2\nnack = ", "or send on one layer"),
        ("#nack-share = 25", "nack-share = 25", "only with `nack`"),
        ("#nack-share = 25", "nack = \"10.0.0.1:4702\"\nnack-share = 51", "1 to 50"),
    ] {
        let text = example.replacen(from, to, 1);
        assert_ne!(text, example, "{from}");
        check(&folder, &text).failed(78, &[problem]);
    }
    check(&folder, "").failed(78, &["nothing would be sent"]);
    // A group may be heard twice, an address of this host once.
    let asked = |at: &str| {
        let one = example.replace("#nack = \"239.255.70.68:4702\"", &format!("nack = {at:?}"));
        let two = one[one.find("[[stream]]").unwrap()..].replace("#name = \"stable\"", "name = \"other\"");
        check(&folder, &format!("{one}\n{two}"))
    };
    asked("239.255.70.68:4702").ok();
    asked("10.0.0.1:4702").failed(78, &["two streams have `nack` 10.0.0.1:4702"]);
    let twice = format!("{example}\n{}", &example[example.find("[[stream]]").unwrap()..]);
    check(&folder, &twice).failed(78, &["two streams have the name \"stable\""]);
}

#[test]
fn a_file_takes_the_place_of_flags() {
    let folder = folder();
    let run = |args: &[&str]| Done::run(&mut folder.command(PROGRAM, args));
    run(&["run", "--config", "send.toml"]).failed(78, &["cannot read it"]);
    run(&["run", "--config", "send.toml", "--interface", "lo"]).failed(2, &["cannot be used with"]);
    run(&["run"]).failed(2, &[]);
    run(&["run", "--json"]).failed(2, &[]);
}
