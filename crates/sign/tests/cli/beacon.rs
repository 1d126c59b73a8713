//! `beacon`: made by a timer, taken by devices.

use std::fs;

use super::common::{Folder, json};

/// Root 1 with two beacon keys, one of which must sign, and release `r`.
fn station() -> Folder {
    let folder = Folder::default();
    folder.keys(["root", "rel", "bea", "bea2", "thief"]);
    let init = "root init 1.root --vendor acme.example --root-key root.pub.pem --release-key rel.pub.pem \
        --beacon-key bea.pub.pem --beacon-key bea2.pub.pem --issued 1700000000";
    folder.run(init).ok();
    folder.run("root sign 1.root --key root.pem").ok();
    folder.release("r", "rel", "17", &["--security-version", "2"]);
    folder
}

const BEACON: &str = "beacon --root 1.root --release r --out current.beacon";

#[test]
fn a_beacon_names_the_releases_of_its_files() {
    let folder = station();
    let made = json(&folder.run(&format!("{BEACON} --key bea.pem --issued 1700000000 --valid 1h --json")).ok());
    assert_eq!((&made["issued"], &made["until"]), (&1_700_000_000.into(), &1_700_003_600.into()));
    assert_eq!((&made["root"], &made["current"].as_array().unwrap().len()), (&1.into(), &1));
    let current = &made["current"][0];
    assert_eq!((&current["sequence"], &current["security_version"]), (&17.into(), &2.into()));
    let release = json(&folder.run("inspect r --json").ok());
    assert_eq!((&current["manifest"], &current["class"]), (&release["manifest_digest"], &release["classes"][0]));
    let verified = json(&folder.run("verify current.beacon --root 1.root --json").ok());
    assert_eq!((&verified["verified"], &verified["by_root"]), (&true.into(), &1.into()));
    assert_eq!(verified["until"], made["until"]);
    let shown = folder.run("inspect current.beacon").ok().stdout;
    assert!(shown.contains("holds until 2023-11-14T23:13:20Z"), "{shown}");
}

#[test]
fn only_a_later_beacon_replaces_the_one_that_is_there() {
    let folder = station();
    let at = |time: &str| folder.run(&format!("{BEACON} --key bea.pem --issued {time}"));
    at("1700000000").ok();
    let first = fs::read(folder.path("current.beacon")).unwrap();
    for time in ["1700000000", "1699999999"] {
        at(time).failed(1, &["refused (beacon-replay)", "2023-11-14T22:13:20Z", "is the clock of this machine right?"]);
    }
    assert_eq!(fs::read(folder.path("current.beacon")).unwrap(), first);
    at("1700000001").ok();
    let diff = folder.run("diff current.beacon current.beacon").ok().stdout;
    assert_eq!(diff, "both say the same\n");
    folder.write("old.beacon", &first);
    let diff = folder.run("diff old.beacon current.beacon").ok().stdout;
    assert!(diff.contains("~ issued: 2023-11-14T22:13:20Z -> 2023-11-14T22:13:21Z\n"), "{diff}");
    let other = "beacon --root 1.root --release r --key bea.pem --out r";
    folder.run(other).failed(1, &["r is there, and is no beacon"]);
    folder.run("inspect r").ok();
}

#[test]
fn every_refusal_has_its_word_and_leaves_no_file() {
    let folder = station();
    let refused = |args: &str, code: i32, texts: &[&str]| {
        folder.run(args).failed(code, &[texts, &["hint: "]].concat());
        assert!(!folder.path("current.beacon").exists(), "{args}");
    };
    refused(&format!("{BEACON} --key rel.pem"), 1, &["refused (beacon-foreign)"]);
    refused(BEACON, 2, &["there is no key to sign with"]);
    refused(&format!("{BEACON} --key bea.pem --valid 2161h"), 2, &["refused (beacon-validity)", "90 days"]);
    refused(&format!("{BEACON} --key bea.pem --valid 0s"), 2, &["refused (beacon-validity)"]);
    folder.release("stolen", "thief", "99", &[]);
    refused(&format!("{BEACON} --key bea.pem --release stolen"), 3, &["refused (threshold)"]);
    folder.release("twin", "rel", "17", &[]);
    refused(&format!("{BEACON} --key bea.pem --release twin"), 1, &["refused (beacon-twice)", "have sequence 17"]);
    let without = "root init 0.root --vendor acme.example --root-key root.pub.pem --release-key rel.pub.pem";
    folder.run(without).ok();
    refused("beacon --root 0.root --release r --key bea.pem --out current.beacon", 3, &["refused (template)"]);
    folder.run("root sign 0.root --key root.pem").ok();
    refused("beacon --root 0.root --release r --key bea.pem --out current.beacon", 1, &["refused (beacon-no-role)"]);
    let classes: Vec<_> = (0..16).map(|i| format!("c{i}")).collect();
    for (name, sequence, some) in
        [("x", "9000000000000000000", &classes[..8]), ("y", "9000000000000000001", &classes[8..])]
    {
        let more: Vec<_> = some[1..].iter().flat_map(|class| ["--class", class]).collect();
        folder.release(name, "rel", sequence, &[&more[..], &["--security-version", "4000000000"]].concat());
    }
    let many = format!("{BEACON} --key bea.pem --release x --release y");
    refused(&many, 1, &["refused (beacon-too-many)", "17 entries"]);
    // Sixteen fit with one signature, and not with two.
    let sixteen = "beacon --root 1.root --release x --release y --out current.beacon --key bea.pem";
    folder.run("root bump 1.root --out 2.root").ok();
    folder.run("root set-threshold 2.root --role beacon 2").ok();
    folder.run("root sign 2.root --key root.pem").ok();
    refused(&sixteen.replace("1.root", "2.root"), 1, &["refused (beacon-too-long)", "room for 1212"]);
    folder.run(sixteen).ok();
}

#[test]
fn two_beacon_keys_sign_together_or_one_after_the_other() {
    let folder = station();
    folder.run("root bump 1.root --out 2.root").ok();
    folder.run("root set-threshold 2.root --role beacon 2").ok();
    folder.run("root sign 2.root --previous 1.root --key root.pem").ok();
    let beacon = "beacon --root 1.root --root 2.root --release r --out current.beacon";
    folder
        .run(&format!("{beacon} --key bea.pem"))
        .failed(1, &["refused (threshold)", "1 valid", "2 required", "--unsigned"]);
    folder.run(&format!("{beacon} --key bea.pem --key bea2.pem")).ok();
    folder.run("verify current.beacon --root 2.root").ok();
    fs::remove_file(folder.path("current.beacon")).unwrap();

    folder.run(&format!("{beacon} --unsigned")).ok();
    folder.run("verify current.beacon --root 2.root").failed(3, &["refused (template)", "nobody has signed it"]);
    folder.run("sign current.beacon --key bea.pem").ok();
    let refused = folder.run("verify current.beacon --root 2.root --json").failed(3, &["refused (threshold)"]);
    assert_eq!(json(&refused)["code"], "threshold");
    folder.run("sign current.beacon --key bea2.pem --append").ok();
    folder.run("verify current.beacon --root 1.root --root 2.root").ok();
}

#[test]
fn a_release_key_signs_no_beacon_and_a_beacon_key_no_release() {
    let folder = station();
    folder.run(&format!("{BEACON} --unsigned")).ok();
    folder.run("sign current.beacon --key rel.pem").ok();
    folder
        .run("verify current.beacon --root 1.root")
        .failed(3, &["refused (threshold)", "beacon keys of the last root"]);
    folder.release("b", "bea", "99", &[]);
    folder.run("verify b --root 1.root").failed(3, &["refused (threshold)"]);
}
