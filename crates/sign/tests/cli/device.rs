//! `verify --as-device`: what a device would do with a release, and why.

use std::fs;

use fleetcast_netlab::command_line::{Done, shipped};

use super::common::{Folder, json};

const PROFILE: &str = r#"
root = "1.root"
vendor = "acme.example"
classes = ["board-a"]
hardware = 3
wave = 500
[[target]]
name = "rootfs"
max-size = "1M"
"#;

/// Roots 1 and 2, of which the second has another release key, and a beacon at 2026-12-01 for release 17 by that.
fn fleet(profile: &str, state: &str) -> Folder {
    let folder = Folder::default();
    let [_, rel, ..] = folder.keys(["root", "rel", "rel2", "bea", "thief"]);
    let init = "root init 1.root --vendor acme.example --root-key root.pub.pem --release-key rel.pub.pem \
        --beacon-key bea.pub.pem --issued 1700000000";
    folder.run(init).ok();
    folder.run("root sign 1.root --key root.pem").ok();
    folder.run("root bump 1.root --out 2.root --issued 1700000001").ok();
    folder.run("root add-key 2.root --role release rel2.pub.pem").ok();
    folder.run(&format!("root remove-key 2.root {rel}")).ok();
    folder.run("root sign 2.root --previous 1.root --key root.pem").ok();
    folder.release("old", "rel", "16", &[]);
    folder.release("r", "rel2", "17", &[]);
    folder
        .run("beacon --root 1.root --root 2.root --key bea.pem --release r --issued 1796083200 --out current.beacon")
        .ok();
    folder.write("device.toml", format!("{profile}\n[device]\ntime = \"2026-12-01T08:00Z\"\n{state}"));
    folder
}

const HEARS: &str = "--as-device device.toml --root 2.root --beacon current.beacon";

#[track_caller]
fn verdict(done: &Done, expect: &str) {
    let device =
        done.stdout.lines().find_map(|line| line.strip_prefix("device: ")).unwrap_or_else(|| panic!("{done:?}"));
    assert!(device.starts_with(expect), "{device} is not {expect}");
}

#[test]
fn a_device_walks_and_installs_what_is_current() {
    let folder = fleet(PROFILE, "");
    verdict(&folder.run(&format!("verify r {HEARS}")).ok(), "installs it");
    let document = json(&folder.run(&format!("verify r {HEARS} --json")).ok());
    let device = &document["device"];
    assert_eq!((&document["verified"], &device["verdict"]), (&true.into(), &"installs".into()));
    assert_eq!((&device["root"], &device["freshness"]), (&2.into(), &"fresh".into()));
    // Before it hears the root, the release is by a stranger; the one before is not afterwards.
    folder.run("verify r --as-device device.toml").failed(3, &["refused (threshold)"]);
    folder.run(&format!("verify old {HEARS}")).failed(3, &["refused (threshold)"]);
    folder.release("stolen", "thief", "99", &[]);
    folder.run(&format!("verify stolen {HEARS}")).failed(3, &["refused (threshold)"]);
}

#[test]
fn what_it_does_not_know_to_be_current_it_does_not_install() {
    let folder = fleet(PROFILE, "");
    let held = |args: &str, code: &str, text: &str, hint: &str| {
        let done = folder.run(&format!("verify {args}")).failed(3, &[&format!("refused ({code})"), hint]);
        verdict(&done, &format!("receives it and does not install it ({code}): {text}"));
    };
    held("r --as-device device.toml --root 2.root", "waiting", "it must hear a beacon", "--beacon");
    let late = format!("r {HEARS} --at 2026-12-02T00:00:01Z");
    held(&late, "stale", "the newest beacon held until 2026-12-02T00:00:00Z", "--beacon");
    folder.release("next", "rel", "18", &[]);
    held("next --as-device device.toml --beacon current.beacon", "behind", "there is a root 2, and it has 1", "--root");
    let patient =
        PROFILE.replace("[[target]]", "[freshness]\ninstall-when-stale = true\ntrust-clock = true\n[[target]]");
    folder.write("device.toml", patient);
    verdict(&folder.run(&format!("verify {late}")).ok(), "installs it");
}

#[test]
fn the_beacon_refuses_what_it_does_not_name() {
    let folder = fleet(PROFILE, "");
    folder.release("low", "rel2", "15", &[]);
    folder.release("twin", "rel2", "17", &["--security-version", "1"]);
    folder.release("high", "rel2", "18", &[]);
    verdict(&folder.run(&format!("verify low {HEARS}")).failed(3, &["higher --sequence"]), "refuses it (superseded)");
    verdict(&folder.run(&format!("verify twin {HEARS}")).failed(3, &[]), "refuses it (equivocation): ALARM");
    verdict(&folder.run(&format!("verify high {HEARS}")).ok(), "installs it");
}

#[test]
fn every_rule_of_the_device_has_its_word() {
    let digest = "00".repeat(32);
    let state = format!("installed = {{ sequence = 20, security-version = 3, manifest = \"{digest}\" }}");
    let folder = fleet(&PROFILE.replace("1.root", "2.root"), &state);
    folder.release("v3", "rel2", "25", &["--security-version", "3"]);
    let refused = |release: &str, code: &str, hint: &str| {
        let args = format!("verify {release} --as-device device.toml --beacon current.beacon");
        let done = folder.run(&format!("{args} --json")).failed(3, &[&format!("refused ({code})"), hint]);
        let device = &json(&done)["device"];
        assert_eq!((&device["verdict"], &device["code"]), (&"refuses".into(), &code.into()), "{release}");
    };
    let sv = ["--security-version", "3"];
    let make =
        |name: &str, sequence: &str, more: &[&str]| folder.release(name, "rel2", sequence, &[&sv, more].concat());
    make("past", "19", &[]);
    refused("r", "security-version", "--security-version that is not lower");
    refused("past", "rollback", "higher --sequence");
    make("far", "4294967317", &[]);
    refused("far", "far-jump", "smaller steps");
    make("steps", "25", &["--from", "21..24"]);
    refused("steps", "from", "send a release first");
    make("board4", "25", &["--hardware", "4..9"]);
    refused("board4", "hardware", "compare the profile");
    make("few", "25", &["--wave", "40@1700000000"]);
    refused("few", "wave", "last wave of 100 percent");
    let profile = fs::read_to_string(folder.path("device.toml")).unwrap();
    for (from, to, code) in [
        ("board-a", "board-b", "class"),
        ("\"rootfs\"", "\"kernel\"", "target"),
        ("\"1M\"", "\"8K\"", "size"),
        ("wave = 500", "wave = 500\nmax-packet = 600", "packet-size"),
    ] {
        folder.write("device.toml", profile.replace(from, to));
        refused("v3", code, "compare the profile");
    }
    let wanted = json(&folder.run("inspect v3 --json").ok())["manifest_digest"].as_str().unwrap().to_owned();
    let with = |line: &str| folder.write("device.toml", format!("{profile}\n{line}"));
    with(&format!("failed = {{ sequence = 25, manifest = \"{wanted}\" }}"));
    refused("v3", "rolled-back", "higher --sequence");
    with(&format!("trial = {{ sequence = 22, manifest = \"{digest}\" }}"));
    refused("v3", "trial", "must commit");
    with(&format!("trial = {{ sequence = 25, manifest = \"{wanted}\" }}"));
    refused("v3", "installed", "nothing to do");
    with("seen = 26");
    refused("v3", "rollback", "higher --sequence");
    with("seen = 25");
    verdict(&folder.run("verify v3 --as-device device.toml --beacon current.beacon").ok(), "installs it");
    with("floors-void = true");
    make("again", "18", &[]);
    verdict(&folder.run("verify again --as-device device.toml --beacon current.beacon").ok(), "installs it");
}

#[test]
fn floors_become_void_with_the_root_that_it_hears() {
    let digest = "00".repeat(32);
    let state =
        format!("seen = 4000\ninstalled = {{ sequence = 3000, security-version = 9, manifest = \"{digest}\" }}");
    let folder = fleet(PROFILE, &state);
    folder.run("verify old --as-device device.toml").failed(3, &["refused (security-version)"]);
    verdict(&folder.run(&format!("verify r {HEARS}")).ok(), "installs it");
}

#[test]
fn waves_are_waited_for() {
    let folder = fleet(PROFILE, "");
    let waves = ["--wave", "10@2026-12-01T09:00Z", "--wave", "100@2026-12-01T10:00Z"];
    folder.release("w", "rel2", "18", &waves);
    let verify = |at: &str| folder.run(&format!("verify w {HEARS} --at 2026-12-01T{at}Z")).ok();
    verdict(&verify("09:30"), "installs it from 2026-12-01T10:00:00Z on: its wave begins then");
    verdict(&verify("10:00"), "installs it");
    let document = json(&folder.run(&format!("verify w {HEARS} --json")).ok());
    assert_eq!(
        (&document["device"]["verdict"], &document["device"]["from"]),
        (&"installs-later".into(), &1_796_119_200.into())
    );
    // A device whose place is not known may be the first or the last.
    folder.write("device.toml", PROFILE.replace("wave = 500", ""));
    verdict(
        &verify("08:00"),
        "installs it from 2026-12-01T09:00:00Z on: its wave begins then, and others of its kind up to 2026-12-01T10:00:00Z",
    );
    verdict(&verify("09:30"), "installs it: at once, and others of its kind up to 2026-12-01T10:00:00Z");
    folder.write("device.toml", PROFILE.replace("wave = 500", "wave = 999\nignore-waves = true"));
    verdict(&verify("08:00"), "installs it");
}

#[test]
fn its_state_may_be_what_status_prints() {
    let folder = fleet(PROFILE, "status = \"status.json\"\nroots = [\"2.root\"]\nbeacon = \"current.beacon\"");
    let known =
        format!("\"sequence\":18,\"version\":\"1.0\",\"security_version\":0,\"manifest\":\"{}\"", "ab".repeat(32));
    let status = |installed: &str| {
        format!("{{\"v\":1,\"installed\":{installed},\"phase\":\"idle\",\"trial\":null,\"failed\":null,\"seen\":18}}\n")
    };
    folder.write("status.json", status(&format!("{{{known}}}")));
    let done = folder.run("verify r --as-device device.toml").failed(3, &["refused (rollback)"]);
    verdict(&done, "refuses it (rollback): its sequence 17 is below 18");
    folder.write("status.json", status("null").replace("18", "17"));
    verdict(&folder.run("verify r --as-device device.toml").ok(), "installs it");
    folder.write("status.json", "{}");
    folder.run("verify r --as-device device.toml").failed(78, &["status status.json", "fleetcast-recv status --json"]);
}

#[test]
fn a_wrong_profile_is_told() {
    let folder = fleet(PROFILE, "");
    let wrong = |profile: &str, text: &str| {
        folder.write("device.toml", profile);
        folder
            .run("verify r --as-device device.toml")
            .failed(78, &["profile device.toml: ", text, "examples/device.toml"]);
    };
    wrong(&PROFILE.replace("hardware", "hardwear"), "unknown field `hardwear`");
    wrong(&PROFILE.replace("hardware", "groups"), "unknown field `groups`");
    wrong(&PROFILE.replace("500", "1000"), "wave is 0 to 999");
    wrong(&PROFILE.replace("root = \"1.root\"", ""), "neither root nor trust");
    wrong(&PROFILE.replace("hardware = 3", "trust = [\"rel.pub.pem\"]"), "root and trust are both there");
    wrong(&PROFILE.replace("hardware = 3", "threshold = 2"), "threshold is for trust only");
    wrong(&PROFILE.replace("1.root", "missing.root"), "cannot read missing.root");
    wrong(&PROFILE.replace("1.root", "current.beacon"), "current.beacon is refused");
    wrong(&PROFILE.replace("acme", "other"), "the root is another vendor's");
    wrong(&PROFILE.replace("1M", "much"), "is no size");
    wrong(&format!("{PROFILE}[device]\nroots = [\"1.root\"]"), "1.root is refused (root-version)");
    wrong(&format!("{PROFILE}[device]\nfailed = {{ sequence = 1, manifest = \"abc\" }}"), "is no SHA-256");
    wrong(&format!("{PROFILE}[device]\ntime = \"soon\""), "is no time");
    folder.write("device.toml", PROFILE);
    folder.run("verify r --as-device device.toml --root 1.root").failed(3, &["refused (root-version)"]);
    folder.run("verify r --as-device device.toml --beacon 1.root").failed(3, &["refused (threshold): beacon 1.root"]);
    folder.run("verify 2.root --as-device device.toml").failed(2, &["--as-device is for releases"]);
    folder.run("verify r --root 1.root --at 5").failed(2, &["--as-device"]);
    let keys = PROFILE.replace("root = \"1.root\"", "trust = [\"rel2.pub.pem\"]");
    folder.write("device.toml", keys.replace("acme", "other").replace("rel2", "root"));
    folder
        .run("verify r --as-device device.toml --root 1.root")
        .failed(3, &["refused (vendor): root 1.root", "root show"]);
    folder.write("device.toml", keys);
    verdict(&folder.run("verify r --as-device device.toml").ok(), "installs it");
}

#[test]
fn the_example_is_a_profile() {
    let folder = fleet(PROFILE, "");
    let example = fs::read_to_string(shipped("examples/device.toml")).unwrap();
    folder.write("device.toml", &example);
    verdict(&folder.run(&format!("verify r {HEARS} --at 2026-12-01T08:00Z")).ok(), "installs it");
    // All that is commented out is possible too.
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => rest.to_owned(),
        _ => line.to_owned(),
    };
    let all: String = example.lines().map(|line| uncomment(line) + "\n").collect();
    let status = r#"{"v":1,"installed":null,"trial":null,"failed":null,"seen":null}"#;
    folder.write("status.json", status);
    folder.write("device.toml", all.replace("trust = [\"release-key.pub.pem\"]\n", "").replace("threshold = 1\n", ""));
    verdict(&folder.run("verify r --as-device device.toml").failed(3, &[]), "refuses it (");
}
