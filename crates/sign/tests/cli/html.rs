//! `--html`: what a reviewer keeps.

use super::common::Folder;

/// A root of two release keys, a release by one of them, and an image.
fn station() -> Folder {
    let folder = Folder::default();
    folder.keys(["root", "rel", "thief"]);
    let init = "root init 1.root --vendor acme.example --root-key root.pub.pem --release-key rel.pub.pem \
        --beacon-key root.pub.pem --issued 1700000000";
    folder.run(init).ok();
    folder.run("root sign 1.root --key root.pem").ok();
    folder.release("r", "rel", "17", &["--wave", "100@1700000000", "--from", "3..16"]);
    folder
}

/// The document that a command has printed, which must be one.
#[track_caller]
fn document(folder: &Folder, args: &str) -> String {
    let done = folder.run(args).ok();
    assert!(done.stdout.starts_with("<!DOCTYPE html>") && done.stdout.ends_with("</html>"), "{done:?}");
    done.stdout
}

#[track_caller]
fn assert_says(document: &str, texts: &[&str]) {
    for text in texts {
        assert!(document.contains(text), "no {text} in {document}");
    }
}

#[test]
fn a_document_of_a_release_has_its_facts_and_says_that_nothing_was_checked() {
    let folder = station();
    let shown = document(&folder, "inspect r --html");
    let facts = super::common::json(&folder.run("inspect r --json").ok());
    for fact in ["version", "tsi", "manifest_digest", "vendor"] {
        assert_says(&shown, &[facts[fact].as_str().unwrap()]);
    }
    let component = &facts["components"][0];
    let digest = component["sha256"].as_str().unwrap();
    let [class, key] = ["classes", "signatures"].map(|list| facts[list][0].as_str().unwrap());
    assert_says(&shown, &["<h1>Release 1.2.3</h1>", "NOT VERIFIED", class, key, digest, "8.79 KiB", "(9,000 octets)"]);
    assert_says(&shown, &["sequence number 3 to 16", "100.0 % of the devices from 2023-11-14T22:13:20Z"]);
    assert_says(&shown, &["<td class=\"bad\">no</td>"]);
    folder.run("inspect r --html --json").failed(2, &["cannot be used with"]);
}

#[test]
fn a_verified_document_says_what_was_checked_and_by_whose_keys() {
    let folder = station();
    let partly = document(&folder, "verify r --html --root 1.root");
    assert_says(&partly, &["VERIFIED, BUT NOT ALL IMAGES", "NOT checked: image rootfs", "by role release of grant 1"]);
    let wholly = document(&folder, "verify r --html --trust rel.pub.pem --image rootfs=rootfs.img");
    assert_says(&wholly, &[">VERIFIED<", "checked: image rootfs: length, SHA-256", "by a trusted key"]);
    assert!(!wholly.contains("NOT "), "{wholly}");
    let root = document(&folder, "verify 1.root --html --trust root.pub.pem");
    assert_says(&root, &["<h1>Root 1</h1>", ">VERIFIED<"]);
}

#[test]
fn a_refused_file_is_a_document_without_its_facts() {
    let folder = station();
    let refused = folder.run("verify r --html --trust thief.pub.pem").failed(3, &["refused (threshold)"]);
    assert_says(&refused.stdout, &["<h1>Release refused</h1>", ">REFUSED<", "0 valid signatures"]);
    assert!(!refused.stdout.contains("VERIFIED") && !refused.stdout.contains("1.2.3"), "{refused:?}");

    let profile = "trust = [\"rel.pub.pem\"]\nvendor = \"acme.example\"\nclasses = [\"board-b\"]\n";
    folder.write("device.toml", profile);
    let held = folder.run("verify r --html --as-device device.toml").failed(3, &["refused (class)"]);
    assert_says(&held.stdout, &["VERIFIED, BUT THE DEVICE REFUSES IT", "device: refuses it (class)"]);
}

#[test]
fn a_document_of_a_root_shows_who_has_signed_and_what_it_changes() {
    let folder = station();
    folder.run("root bump 1.root --out 2.root --issued 1700000001").ok();
    folder.run("root add-key 2.root --role release thief.pub.pem").ok();
    let unsigned = document(&folder, "root show 2.root --html --previous 1.root");
    assert_says(
        &unsigned,
        &[
            "DEVICES WITH ROOT 1 REFUSE IT",
            "Rollback floors stay",
            "0 of 1 have",
            "</code><span class=\"quiet\"> has not",
        ],
    );
    assert_says(&unsigned, &["<dt>key of role release of grant 1</dt><dd><ins>", "beacon key"]);
    folder.run("root sign 2.root --previous 1.root --key root.pem").ok();
    let signed = document(&folder, "root show 2.root --html --previous 1.root");
    assert_says(&signed, &["DEVICES WITH ROOT 1 TAKE IT", "1 of 1 have", " has signed"]);
    assert_says(
        &document(&folder, "root show 1.root --html"),
        &["SIGNED BY ENOUGH OF ITS OWN KEYS", "compare key ids"],
    );
    for diff in ["diff", "root diff"] {
        let changes = document(&folder, &format!("{diff} --html 1.root 2.root"));
        assert_says(&changes, &["NOT VERIFIED", "<del>1</del>", "<ins>2</ins>", "floors of devices stay"]);
    }
    assert_says(&document(&folder, "diff --html 1.root 1.root"), &["Both say the same."]);
}

#[test]
fn a_document_of_a_beacon_shows_what_is_current() {
    let folder = station();
    let make = "beacon --root 1.root --key root.pem --release r --issued 1700000000 --valid 2h --out current.beacon";
    folder.run(make).ok();
    let facts = ["2023-11-14T22:13:20Z", "2023-11-15T00:13:20Z", "Sequence number</dt><dd>17<"];
    assert_says(&document(&folder, "inspect current.beacon --html"), &facts);
    let verified = document(&folder, "verify current.beacon --html --root 1.root");
    assert_says(&verified, &[">VERIFIED<", "by role root, role beacon"]);
}

#[test]
fn names_of_files_stay_text() {
    let folder = station();
    let hostile = "<img src=x onerror=alert(1)>";
    std::fs::copy(folder.path("r"), folder.path(hostile)).unwrap();
    for args in [&["inspect", hostile][..], &["verify", hostile, "--trust", "thief.pub.pem"], &["diff", "r", hostile]] {
        let shown = folder.sign(&[args, &["--html"]].concat()).stdout;
        assert!(shown.contains("&lt;img src=x") && !shown.contains("<img"), "{shown}");
    }
}
