//! `root` as people use it who hold keys.

use std::fs;

use super::common::{Folder, json};

const INIT: &str = "root init 1.root --vendor acme.example --issued 1700000000 --root-threshold 2 \
    --root-key ann.pub.pem --root-key bob.pub.pem --root-key cem.pub.pem \
    --release-key rel.pub.pem --beacon-key bea.pub.pem";

/// Keys of five people and machines, with their ids, and root 1, signed if `signers` are.
fn ceremony(signers: &[&str]) -> (Folder, [String; 7]) {
    let folder = Folder::default();
    let ids = folder.keys(["ann", "bob", "cem", "rel", "bea", "op", "other"]);
    folder.run(INIT).ok();
    for signer in signers {
        folder.run(&format!("root sign 1.root --key {signer}.pem")).ok();
    }
    (folder, ids)
}

#[test]
fn the_first_root_is_complete_once_enough_have_signed() {
    let (folder, [ann, bob, cem, ..]) = ceremony(&[]);
    let made = fs::read(folder.path("1.root")).unwrap();
    assert_eq!(made.last(), Some(&0x80), "an array of no signatures");
    folder.run("root verify 1.root").failed(3, &["refused (template): root 1.root", "nobody has signed it"]);
    let shown = json(&folder.run("root show 1.root --json").ok());
    assert_eq!((&shown["version"], &shown["issued"]), (&1.into(), &1_700_000_000.into()));
    assert_eq!((&shown["is_complete"], &shown["own"]["signed"]), (&false.into(), &serde_json::json!([])));
    assert_eq!(shown["vendor"], "0637e301-e05d-505b-8267-486f5677de9b");

    let signed = folder.run("root sign 1.root --key bob.pem").ok().stdout;
    assert!(signed.contains("1 of 2 signatures; 1 more of ") && signed.contains(&ann), "{signed}");
    folder
        .run("root verify 1.root")
        .failed(3, &["refused (threshold)", "1 valid signatures", "2 required", "root show"]);
    let again = folder.run("root sign 1.root --key bob.pem").ok();
    assert!(again.stderr.contains(&format!("key {bob} has signed it already")), "{again:?}");
    let signed = folder.run("root sign 1.root --key cem.pem --json").ok();
    let signed = json(&signed);
    assert_eq!((&signed["is_complete"], &signed["signatures"]), (&true.into(), &serde_json::json!([bob, cem])));
    let verified = json(&folder.run("root verify 1.root --json").ok());
    assert_eq!((&verified["verified"], &verified["version"]), (&true.into(), &1.into()));
    folder.run("root sign 1.root --key rel.pem").failed(1, &["refused (root-foreign)", "--previous"]);
}

#[test]
fn the_same_facts_give_the_same_octets() {
    let (folder, _) = ceremony(&[]);
    let first = fs::read(folder.path("1.root")).unwrap();
    folder.run(INIT).failed(1, &["1.root exists already", "--force"]);
    let reversed = "root init 2.root --vendor 0637e301-e05d-505b-8267-486f5677de9b --root-threshold 2 \
        --root-key cem.pub.pem --root-key bob.pub.pem --root-key ann.pub.pem \
        --release-key rel.pub.pem --beacon-key bea.pub.pem";
    let mut command = folder.command(&reversed.split_whitespace().collect::<Vec<_>>());
    fleetcast_netlab::command_line::Done::run(command.env("SOURCE_DATE_EPOCH", "1700000000")).ok();
    assert_eq!(fs::read(folder.path("2.root")).unwrap(), first);
}

#[test]
fn a_rotation_needs_keys_of_both_roots() {
    let (folder, [ann, _, cem, rel, _, op, other]) = ceremony(&["ann", "bob"]);
    folder.run("root bump 1.root --out 2.root --issued 1700000100").ok();
    folder.run("root add-key 2.root --role root op.pub.pem").ok();
    let changed = folder.run(&format!("root remove-key 2.root {cem}")).ok().stdout;
    assert_eq!(changed, format!("- key of role root: {cem}\n"));
    folder.run("root add-key 2.root --role release other.pub.pem").ok();
    folder.run(&format!("root remove-key 2.root {rel}")).ok();
    let diff = json(&folder.run("root diff 1.root 2.root --json").ok());
    assert_eq!((&diff["same"], &diff["voids_floors"]), (&false.into(), &true.into()));
    let text = folder.run("root diff 1.root 2.root").ok().stdout;
    for line in [
        "~ version: 1 -> 2",
        &format!("- key of role root: {cem}"),
        &format!("+ key of role root: {op}"),
        &format!("- key of role release of grant 1: {rel}"),
        &format!("+ key of role release of grant 1: {other}"),
        "floors of devices become void",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    // Two of the new root, one of the old one.
    let signed = folder.run("root sign 2.root --previous 1.root --key ann.pem --key op.pem").ok().stdout;
    for line in [
        "by its own  2 of 2 signatures: complete",
        "by root 1   1 of 2 signatures",
        "refuse it (threshold)",
        "become void",
    ] {
        assert!(signed.contains(line), "no {line} in {signed}");
    }
    folder.run("root verify 1.root 2.root").failed(3, &["refused (threshold): root 2.root", "--previous says whose"]);
    folder.run("root sign 2.root --key cem.pem").failed(1, &["refused (root-foreign)", "give that with --previous"]);
    let signed = json(&folder.run("root sign 2.root --previous 1.root --key cem.pem --json").ok());
    assert_eq!((&signed["after"]["is_complete"], &signed["after"]["code"]), (&true.into(), &serde_json::Value::Null));

    // The order is that of the versions, whatever the shell makes of `*.root`.
    let walked = json(&folder.run("root verify --json 2.root 1.root").ok());
    assert_eq!(walked["roots"][1]["voids_floors"], true);
    assert!(walked["roots"][1]["signed_by"].as_array().unwrap().contains(&ann.into()));
    folder.run("root verify 2.root").ok();
    let twice = folder.run("root verify 1.root 1.root --json").failed(3, &["refused (root-version)", "each once"]);
    assert_eq!(json(&twice)["code"], "root-version");
    folder.run("root sign 1.root --previous 2.root --key ann.pem").failed(1, &["refused (root-not-next)"]);
    let verified = folder.run("verify 2.root --root 1.root").ok().stdout;
    assert!(verified.starts_with("root: VERIFIED by root 1, signed by"), "{verified}");
}

#[test]
fn a_signed_root_is_not_edited() {
    let (folder, [.., rel, _, _, _]) = ceremony(&["ann"]);
    let before = fs::read(folder.path("1.root")).unwrap();
    let refused = ["refused (root-signed): root 1 has signatures", "root bump", "--force drops the signatures"];
    for edit in [
        "add-key 1.root --role root op.pub.pem",
        &format!("remove-key 1.root {rel}"),
        "set-threshold 1.root --role root 1",
        "add-grant 1.root --release-key op.pub.pem",
        "remove-grant 1.root 1",
        "remove-role 1.root --role beacon",
    ] {
        folder.run(&format!("root {edit}")).failed(1, &refused);
    }
    assert_eq!(fs::read(folder.path("1.root")).unwrap(), before);
    let forced = folder.run("root add-key 1.root --role root op.pub.pem --force").ok();
    assert!(forced.stderr.contains("1 signatures dropped"), "{forced:?}");
    assert_eq!(json(&folder.run("root show 1.root --json").ok())["signatures"], serde_json::json!([]));
}

#[test]
fn every_refusal_of_an_edit_has_its_word() {
    let (folder, [ann, _, _, rel, bea, op, _]) = ceremony(&[]);
    let before = fs::read(folder.path("1.root")).unwrap();
    for (edit, word, hint) in [
        ("add-key 1.root --role root ann.pub.pem".to_owned(), "root-present", "each key once"),
        (format!("remove-key 1.root {op}"), "root-absent", "root show"),
        (format!("remove-key 1.root {ann} --role release"), "root-absent", "root show"),
        (format!("remove-key 1.root {rel}"), "root-threshold", "add another key first"),
        (format!("remove-key 1.root {bea}"), "root-threshold", "add another key first"),
        ("set-threshold 1.root --role root 4".into(), "root-threshold", "lower the threshold"),
        ("set-threshold 1.root --role root 0".into(), "root-threshold", "1 to 8"),
        ("set-threshold 1.root --role operator 1".into(), "root-no-role", "root show"),
        ("remove-role 1.root --role operator".into(), "root-no-role", "root show"),
        ("remove-role 1.root --role root".into(), "root-needed", "operator and beacon"),
        ("remove-role 1.root --role release".into(), "root-needed", "root remove-grant"),
        ("add-key 1.root --role release --grant 2 op.pub.pem".into(), "root-no-grant", "root show"),
        ("remove-grant 1.root 2".into(), "root-no-grant", "root show"),
        ("remove-grant 1.root 0".into(), "root-no-grant", "root show"),
        ("remove-grant 1.root 1".into(), "root-last-grant", "root add-grant"),
        ("add-key 1.root --role operator rel.pub.pem".into(), "root-both", "different keys"),
    ] {
        folder.run(&format!("root {edit}")).failed(1, &[&format!("refused ({word})"), "hint: ", hint]);
    }
    folder.run("root add-key 1.root --role beacon --grant 1 op.pub.pem").failed(2, &["--grant goes with"]);
    folder.run("root remove-key 1.root 0123").failed(1, &["cannot use key 0123"]);
    folder.run("root remove-key 1.root op.pub.pem").failed(1, &["refused (root-absent)", &op]);
    folder.run("root show rel.pem").failed(3, &["refused (template)", "a root file"]);
    folder.run("root show missing").failed(1, &["cannot read missing"]);
    assert_eq!(fs::read(folder.path("1.root")).unwrap(), before);
}

#[test]
fn grants_have_scopes_and_operators() {
    let (folder, [.., rel, _, op, other]) = ceremony(&[]);
    folder.run("root add-grant 1.root --class board-a --target modem --release-key other.pub.pem --operator-key op.pub.pem").ok();
    let shown = json(&folder.run("root show 1.root --json").ok());
    let grant = &shown["grants"][1];
    assert_eq!(grant["classes"], serde_json::json!(["ea02ba25-e641-5c2f-b3c3-37779a8ee9af"]));
    assert_eq!(grant["targets"], serde_json::json!(["modem"]));
    assert_eq!((&grant["release"]["keys"][0], &grant["operator"]["keys"][0]), (&other.into(), &op.into()));
    let which = folder.run("root remove-role 1.root --role operator");
    which.failed(2, &["the root has 2 grants: which one?", "give --grant N"]);
    folder.run("root remove-role 1.root --role operator --grant 2").ok();
    folder.run("root remove-grant 1.root 1").ok();
    let shown = json(&folder.run("root show 1.root --json").ok());
    assert_eq!(shown["grants"].as_array().unwrap().len(), 1);
    assert!(!shown["keys"].to_string().contains(&rel));
    let many = format!("root add-grant 1.root --release-key other.pub.pem {}", "--class x ".repeat(9));
    folder.run(&many).failed(2, &["at most 8 classes, not 9"]);
    folder
        .run("root add-grant 1.root --release-key other.pub.pem --target a --target a")
        .failed(1, &["refused (range)"]);
    folder.run("root sign 1.root --key ann.pem --key bob.pem").ok();
    // The one grant left is for another target.
    folder.release("r", "other", "5", &[]);
    folder.run("verify r --root 1.root").failed(3, &["refused (scope)", "root show"]);
    folder.write("modem.img", [3; 500]);
    let release = "create --key other.pem --vendor acme.example --class board-a --version 1 --sequence 6 \
        --image modem=modem.img --out m";
    folder.run(release).ok();
    let verified = folder.run("verify m --root 1.root").ok().stdout;
    assert!(verified.contains("(enough for root 1)"), "{verified}");
}

#[test]
fn what_is_unwise_is_told() {
    let folder = Folder::default();
    let [ann, ..] = folder.keys(["ann", "bob"]);
    let init = "root init 1.root --vendor acme.example --root-key ann.pub.pem --release-key bob.pub.pem";
    let made = folder.run(&format!("{init} --beacon-key ann.pub.pem --issued 9000000000")).ok().stderr;
    for text in [
        "one signature makes a root",
        "all 1 root keys must sign",
        &format!("beacon key {ann} has role root too"),
        "is later than the clock of this machine",
    ] {
        assert!(made.contains(text), "no {text} in {made}");
    }
    let made = folder.run(&format!("{init} --force --root-threshold 2 --root-key bob.pub.pem --issued 5")).ok().stderr;
    assert!(made.contains("all 2 root keys must sign") && !made.contains("one signature"), "{made}");
    let bumped = folder.run("root bump 1.root --out 2.root --issued 4").ok().stderr;
    assert!(bumped.contains("nothing can follow it yet") && bumped.contains("issued before root 1"), "{bumped}");
}

#[test]
fn a_root_that_would_not_fit_its_packet_is_refused() {
    let folder = Folder::default();
    let keys: Vec<_> = (0..26).map(|i| format!("k{i}.pub.pem")).collect();
    (0..26).for_each(|i| drop(folder.keys([format!("k{i}").as_str()])));
    let init = |count: usize, threshold: u8| {
        let keys = keys[..count].join(" --root-key ");
        let facts = format!("--vendor acme.example --release-key k25.pub.pem --root-threshold {threshold}");
        folder.run(&format!("root init 1.root --force {facts} --root-key {keys}"))
    };
    init(25, 4).failed(1, &["refused (root-too-long)", "room for 1212", "to spare: 21 of 25 keys of role root"]);
    init(25, 2).ok();
    // Each of two roots is possible; to go from one to the other takes nine signatures.
    init(5, 4).ok();
    folder.run("root sign 1.root --key k0.pem --key k1.pem --key k2.pem --key k3.pem").ok();
    folder.run("root bump 1.root --out 2.root").ok();
    folder.run(&format!("root add-key 2.root --role root {}", keys[5..10].join(" "))).ok();
    for key in &keys[..5] {
        folder.run(&format!("root remove-key 2.root {key}")).ok();
    }
    folder.run("root set-threshold 2.root --role root 5").ok();
    let sign = folder.run("root sign 2.root --previous 1.root --key k5.pem");
    sign.failed(1, &["refused (root-too-many-signatures)", "needs 9 signatures", "in two steps"]);
}

#[test]
fn devices_with_keys_alone_can_go_over_to_roots() {
    let (folder, [_, _, _, rel, ..]) = ceremony(&["ann", "bob"]);
    folder.run("root verify --trust rel.pub.pem 1.root").failed(3, &["refused (threshold)"]);
    let signed = folder.run("root sign 1.root --trust rel.pub.pem --key rel.pem").ok().stdout;
    assert!(signed.contains("by the keys 1 of 1 signatures") && signed.contains("devices     take it"), "{signed}");
    let verified = folder.run("root verify --trust rel.pub.pem 1.root").ok().stdout;
    assert!(verified.contains(&rel) && verified.contains("floors of devices stay"), "{verified}");
    folder.release("r", "rel", "5", &[]);
    folder.run("verify r --trust rel.pub.pem --root 1.root").ok();
}

#[test]
fn a_root_is_signed_where_the_key_is() {
    let (folder, [ann, ..]) = ceremony(&["bob"]);
    folder.run("prepare 1.root --pub ann.pub.pem --out tbs").ok();
    folder.openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", "ann.pem", "-in", "tbs", "-out", "sig"]);
    folder.run("attach 1.root --pub ann.pub.pem --signature sig").ok();
    let verified = folder.run("root verify 1.root").ok().stdout;
    assert!(verified.contains(&ann), "{verified}");
    let shown = folder.run("inspect 1.root").ok().stdout;
    assert!(shown.starts_with("NOT VERIFIED") && shown.contains("root 1 of vendor"), "{shown}");
}

#[test]
fn a_false_signature_is_told_from_a_missing_one() {
    let (folder, [ann, ..]) = ceremony(&["ann"]);
    let mut octets = fs::read(folder.path("1.root")).unwrap();
    *octets.last_mut().unwrap() ^= 1;
    folder.write("1.root", octets);
    let shown = folder.run("root show 1.root").ok().stdout;
    assert!(shown.contains("0 of 2 signatures") && shown.contains(&format!("INVALID     {ann}")), "{shown}");
}
