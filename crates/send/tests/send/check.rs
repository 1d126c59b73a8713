//! `fleetcast-send check`, as a user runs it.

use std::path::Path;

use serde_json::Value;

use fleetcast_netlab::command_line::Done;

use super::fixture::Release;

pub(crate) fn key(name: &str) -> String {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../keys");
    keys.join(format!("UNSAFE-test-{name}.pub.pem")).display().to_string()
}

#[test]
fn a_release_that_is_right_is_described() {
    let release = Release::of("ok-three-components");
    let shown = Done::run(&mut release.send("check", &[])).ok().stdout;
    for part in ["766c2244", "not checked: no --trust", "kernel for target kernel: 1,000 octets", "832 packets"] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    let json = Done::run(&mut release.send("check", &["--json"])).ok().stdout;
    let facts: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&facts["v"], &facts["verified"]), (&1.into(), &false.into()));
    assert_eq!(facts["components"].as_array().unwrap().len(), 3);
    assert_eq!(facts["components"][2]["target"], "slot");
}

#[test]
fn one_image_of_one_component_needs_no_name() {
    let release = Release::of("ok-small");
    Done::run(&mut release.command(&["check", "release", "--image", "rootfs.img"])).ok();
    Done::run(&mut release.command(&["check", "release", "--image", "./rootfs.img", "--image", "rootfs=rootfs.img"]))
        .failed(2, &["more than one image is given for component rootfs"]);
    Done::run(&mut release.command(&["check", "release", "--image", "app=rootfs.img"]))
        .failed(2, &["no component app; it has rootfs", "hint: give each component its image: --image NAME=PATH"]);
    let three = Release::of("ok-three-components");
    Done::run(&mut three.command(&["check", "release", "--image", "boot.img"]))
        .failed(2, &["image boot.img needs a name: the release has the components boot, kernel, rootfs"]);
    Done::run(&mut three.command(&["check", "release", "--image", "boot=boot.img", "--image", "rootfs=rootfs.img"]))
        .failed(2, &["no image is given for component kernel"]);
}

#[test]
fn a_wrong_image_is_refused_with_its_place() {
    let release = Release::of("ok-small");
    release.flip("rootfs.img", 700);
    Done::run(&mut release.send("check", &[])).failed(
        3,
        &[
            "image rootfs.img is not the one the release was made from: at offset 640 it differs from component rootfs",
            "hint: name the file the release was made from",
        ],
    );
}

#[test]
fn a_truncated_image_is_refused() {
    let release = Release::of("ok-small");
    std::fs::File::options().write(true).open(release.path("rootfs.img")).unwrap().set_len(999).unwrap();
    Done::run(&mut release.send("check", &[]))
        .failed(3, &["image rootfs.img has 999 octets, and the release says 1000"]);
}

#[test]
fn a_damaged_release_file_is_refused() {
    for (name, text) in [
        ("page-digest-page", "release release is damaged at offset"),
        ("truncated-record", "the release file is cut off"),
        ("trailing-octet", "longer than its manifest says"),
        ("magic-line-end", "not a release file"),
    ] {
        Done::run(&mut Release::of(name).send("check", &[])).failed(3, &[text, "hint: copy the release file again"]);
    }
    let release = Release::of("ok-small");
    release.flip("release", 40);
    Done::run(&mut release.send("check", &["--trust", &key("release")]))
        .failed(3, &["0 valid signatures by trusted keys"]);
}

#[test]
fn signatures_count_if_keys_are_given() {
    let release = Release::of("ok-small");
    let shown = Done::run(&mut release.send("check", &["--trust", &key("release")])).ok();
    assert!(shown.stdout.contains("signatures   verified"), "{shown:?}");
    assert!(shown.stderr.contains("UNSAFE test key"), "{shown:?}");
    Done::run(&mut release.send("check", &["--trust", &key("other")]))
        .failed(3, &["the manifest of release release is refused: 0 valid signatures by trusted keys, 1 required"]);
    Done::run(&mut release.send("check", &["--trust", &key("release"), "--trust", &key("other"), "--threshold", "2"]))
        .failed(3, &["1 valid signatures by trusted keys, 2 required"]);
    Done::run(&mut release.send("check", &["--trust", &key("release"), "--threshold", "2"]))
        .failed(2, &["a threshold of 2 cannot be met"]);
    Done::run(&mut release.send("check", &["--threshold", "1"])).failed(2, &["--trust"]);
    Done::run(&mut release.send("check", &["--trust", "missing.pem"])).failed(1, &["missing.pem"]);
}

#[test]
fn what_cannot_be_read_or_kept_is_a_failure_and_no_refusal() {
    let release = Release::of("ok-small");
    Done::run(&mut release.command(&["check", "nothing", "--image", "rootfs.img"]))
        .failed(1, &["cannot use release nothing"]);
    Done::run(&mut release.command(&["check", "release", "--image", "nothing"]))
        .failed(1, &["cannot open image nothing"]);
    Done::run(&mut release.send("check", &["--temp-dir", "nowhere"]))
        .failed(1, &["folder nowhere", "--temp-dir FOLDER"]);
}
