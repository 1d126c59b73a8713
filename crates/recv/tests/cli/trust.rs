//! Whom a device trusts, by its settings and what it has followed; and what `status` says of it.

use fleetcast_cli::identity;
use fleetcast_core::beacon::{Beacon, Current};
use fleetcast_core::trust::Root;
use fleetcast_core::wire::StatementKind;
use fleetcast_netlab::authority::{self, public, signed_root};
use fleetcast_netlab::command_line::{Done, shipped};
use serde_json::Value;

use super::common::Folder;

const SETTINGS: &str = r#"root = "1.root"
vendor = "acme.example"
classes = ["board-a"]
interface = "eth0"
groups = ["239.255.70.67:4701"]
state = "STATE"
[[target]]
name = "app"
path = "/data/app.img"
"#;

const ISSUED: u64 = 1_700_000_000;

fn root(version: u16) -> Root {
    let vendor = identity::vendor("acme.example").unwrap();
    Root { vendor, ..authority::root(version, &["root-1"], &["author-1"], &["beacon-1"]) }
}

fn beacon(root: u16, until: u64) -> Vec<u8> {
    let vendor = identity::vendor("acme.example").unwrap();
    let class = identity::class(vendor, "board-a").unwrap();
    let current = vec![Current { class, sequence: 7, digest: [1; 32], security_version: 0 }];
    let payload = Beacon { vendor, issued: ISSUED + 100, until, root, current }.encode().unwrap();
    authority::sign(StatementKind::Beacon, &payload, &["beacon-1"])
}

fn folder() -> Folder {
    let folder = Folder::default();
    folder.write("1.root", signed_root(&root(1), &["root-1"]));
    folder.write("key.pem", std::fs::read(shipped("keys/UNSAFE-test-release.pub.pem")).unwrap());
    std::fs::create_dir(folder.path("state")).unwrap();
    folder
}

fn settings(folder: &Folder) -> String {
    SETTINGS.replace("STATE", folder.path("state").to_str().unwrap())
}

fn check(folder: &Folder, text: &str) -> Done {
    folder.write("recv.toml", text);
    folder.recv(&["check-config", "recv.toml"])
}

fn id(name: &str) -> String {
    public(name).key_id().to_string()
}

#[test]
fn a_root_file_is_checked_and_its_keys_are_told_by_role() {
    let folder = folder();
    let good = settings(&folder);
    let done = check(&folder, &good).ok();
    let [root, author, beacon] = ["root-1", "author-1", "beacon-1"].map(id);
    let told = format!("root version 1; root keys: {root}; release keys: {author}; beacon keys: {beacon}\n");
    assert_eq!(done.stdout, format!("recv.toml: good; {told}"));

    folder.write("unsigned.root", signed_root(&self::root(1), &["thief"]));
    folder.write("large.root", vec![7; 9000]);
    folder.write("beacon", self::beacon(1, ISSUED + 200));
    for (line, expected) in [
        ("root = \"none.root\"", "recv.toml:1: root: cannot use root none.root: No such file"),
        ("root = \"unsigned.root\"", "0 valid signatures by trusted keys, 1 required (threshold)"),
        ("root = \"large.root\"", "more than 8192 octets, so it is no root"),
        ("root = \"beacon\"", "recv.toml:1: root: cannot use root beacon: "),
        ("root = \"key.pem\"", "not a signed statement of this protocol (template)"),
        ("root = \"key.pem\"", "name public keys by `trust`"),
        (
            "root = \"1.root\"\ntrust = [\"key.pem\"]",
            "recv.toml:1: root: recv.toml:2: trust is there too; use one of both",
        ),
        ("root = \"1.root\"\nthreshold = 1", "recv.toml:2: threshold: a root says itself how many must have signed"),
        ("root = \"1.root\"\nbuilt = \"soon\"", "recv.toml:2: built: \"soon\" is no time: write it in UTC"),
        ("root = \"1.root\"\nbuilt = -1", "recv.toml:2: built: \"-1\" is no time"),
        ("root = \"1.root\"\nbuilt = true", "recv.toml:2: invalid type: boolean `true`, expected a time in quotes"),
        ("", "recv.toml: trust is not set; give --trust"),
        ("", "or `root`, with a file that says who signs what"),
    ] {
        let text = good.replace("root = \"1.root\"", line).trim_start().to_owned();
        check(&folder, &text).failed(78, &[expected]);
    }
    check(&folder, &good.replace("acme.example", "other.example"))
        .failed(78, &["recv.toml:2: vendor: the root is for"]);
    for built in ["1793491200", "\"2026-11-01T00:00Z\""] {
        check(&folder, &format!("built = {built}\n{good}")).ok();
    }
    check(&folder, &format!("{good}[freshness]\ntrust-clock = true\ninstall-when-stale = true\n")).ok();
    check(&folder, &format!("{good}[freshness]\npolicy = 1\n")).failed(78, &["unknown field `policy`"]);
    check(&folder, &format!("{good}[hooks]\non-stale = [\"hook\"]\n"))
        .failed(78, &["on-stale: \"hook\" is no absolute"]);
}

#[test]
fn a_root_with_a_published_key_is_warned_of_or_refused() {
    let folder = folder();
    let root = Root { vendor: root(1).vendor, ..authority::root(1, &["root-1"], &["release"], &[]) };
    folder.write("1.root", signed_root(&root, &["root-1"]));
    let done = check(&folder, &settings(&folder));
    if cfg!(debug_assertions) {
        assert!(done.ok().stderr.contains("1.root is an UNSAFE test key"));
    } else {
        done.failed(78, &["key-unsafe-test"]);
    }
}

#[test]
fn a_flag_of_either_kind_of_trust_stands_for_what_the_file_says_of_both() {
    let folder = folder();
    folder.write("recv.toml", settings(&folder));
    let with = |flags: &[&str]| {
        folder.recv(&[&["receive", "--config", "recv.toml", "--interface", "nosuch0"], flags].concat())
    };
    let good = "no interface has the name or address nosuch0";
    with(&[]).failed(1, &[good]);
    with(&["--trust", "key.pem", "--built", "2026-11-01"]).failed(1, &[good]);
    with(&["--trust", "key.pem", "--threshold", "2"]).failed(78, &["--trust: a threshold of 2 cannot be met"]);
    with(&["--threshold", "2"]).failed(78, &["--threshold: a root says itself"]);
    with(&["--built", "x"]).failed(78, &["--built: \"x\" is no time"]);
    with(&["--root", "none.root"]).failed(78, &["--root: cannot use root none.root"]);
    with(&["--root", "1.root", "--trust", "key.pem"]).failed(2, &["cannot be used with"]);
    folder.write("recv.toml", settings(&folder).replace("root = \"1.root\"", "trust = [\"none.pem\"]\nthreshold = 2"));
    with(&["--root", "1.root"]).failed(1, &[good]);
}

#[test]
fn status_shows_roots_and_beacons_and_its_exit_code_tells_a_stale_device() {
    let folder = folder();
    folder.write("recv.toml", settings(&folder));
    let status = |flags: &[&str]| folder.recv(&[&["status", "--config", "recv.toml"], flags].concat());
    // At rest: what the next start will find.
    let text = status(&[]).ok().stdout;
    assert!(
        text.contains("root       version 1\n") && text.contains("freshness  waiting; it is Unix time 1700000001 or")
    );
    assert!(text.contains(&format!("           author   {}\n", id("author-1"))), "{text}");

    let next = signed_root(&root(2), &["root-1"]);
    let length = u16::try_from(next.len()).unwrap().to_be_bytes();
    folder.write("state/roots", [&[0, 2], &length[..], &next].concat());
    folder.write("state/beacon", beacon(2, ISSUED + 200));
    let json: Value = serde_json::from_str(&status(&["--json"]).ok().stdout).unwrap();
    let trust = &json["trust"];
    assert_eq!(trust["root"]["version"], 2);
    assert_eq!(trust["root"]["keys"]["beacon"], serde_json::json!([id("beacon-1")]));
    assert_eq!(
        (&trust["beacon"]["issued"], &trust["beacon"]["until"]),
        (&(ISSUED + 100).into(), &(ISSUED + 200).into())
    );
    assert_eq!((&trust["beacon"]["current"], &trust["freshness"]), (&7.into(), &"waiting".into()));

    folder.write("recv.toml", format!("built = {}\n{}", ISSUED + 201, settings(&folder)));
    let stale = status(&[]).failed(6, &["stale: what is current is not known any longer", "doctor"]);
    assert!(stale.stdout.contains("freshness  stale; "), "{stale:?}");
    folder.write("state/beacon", beacon(3, ISSUED + 200));
    assert!(status(&[]).failed(6, &["behind: a root is missing"]).stdout.contains("freshness  behind; "));
}

#[test]
fn status_believes_the_daemon_and_lets_what_it_told_grow_old() {
    let folder = folder();
    folder.write("recv.toml", settings(&folder));
    let runtime = folder.path("runtime");
    std::fs::create_dir(&runtime).unwrap();
    let status = || folder.recv(&["status", "--config", "recv.toml", "--runtime", runtime.to_str().unwrap()]);
    let tell = |since_boot: u64, until: u64| {
        let root = r#"{"version":4,"keys":{"root":["aa"],"author":["bb","cc"],"operator":["dd"],"beacon":["ee"]}}"#;
        let beacon = format!(r#"{{"issued":1000,"until":{until},"root":4,"current":null}}"#);
        let trust = format!(r#"{{"root":{root},"beacon":{beacon},"freshness":"fresh","clock":1000}}"#);
        folder.write(
            "runtime/recv.json",
            format!(r#"{{"v":1,"pid":7,"time":5,"since_boot":{since_boot},"trust":{trust}}}"#),
        );
    };
    // Told just now, or in a boot to come: its time is that of the daemon.
    tell(u64::MAX, 1001);
    let text = status().ok().stdout;
    for line in ["root       version 4\n", "operator dd\n", "author   bb, cc\n", "current: nothing for this device\n"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.contains("freshness  fresh; it is Unix time 1000 or later\n"));
    // The system was started, and the daemon has told nothing since.
    tell(0, 1000);
    assert!(status().failed(6, &["stale"]).stdout.contains("freshness  stale; "));
}
