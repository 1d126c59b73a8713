//! `diff`: what a reviewer looks at.

use super::common::{Folder, json};

#[test]
fn a_reviewer_sees_all_that_a_release_changes() {
    let folder = Folder::default();
    let [rel, other] = folder.keys(["rel", "other"]);
    folder.release("a", "rel", "17", &[]);
    folder.write("kernel.img", [1; 300]);
    folder.write("new.img", [9; 12_000]);
    let b = "create --key rel.pem --key other.pem --vendor acme.example --class board-a --class board-b --version 1.3.0 \
        --sequence 18 --security-version 1 --from 0..17 --hardware 2..3 --wave 50@1700000000 --chunk 512 \
        --image rootfs=new.img,target=slot --image kernel=kernel.img --out b";
    folder.run(b).ok();
    let text = folder.run("diff a b").ok().stdout;
    for line in [
        "~ manifest: ",
        "~ version: 1.2.3 -> 1.3.0\n",
        "~ sequence: 17 -> 18\n",
        "~ security version: 0 -> 1\n",
        "+ class: ",
        "~ from: any -> 0..17\n",
        "~ hardware: any -> 2..3\n",
        "+ wave: 50.0 % of the devices from 2023-11-14T22:13:20Z\n",
        "~ component rootfs: target: rootfs -> slot\n",
        "~ component rootfs: size: 9000 octets -> 12000 octets\n",
        "~ component rootfs: SHA-256: ",
        "~ component rootfs: chunk: 1024 octets -> 512 octets\n",
        "+ component kernel: 300 octets for target kernel, SHA-256 ",
        &format!("+ signature by: {other}\n"),
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert!(!text.contains(&rel), "{text}");
    let back = folder.run("diff b a").ok().stdout;
    assert!(back.contains("- component kernel: ") && back.contains(&format!("- signature by: {other}\n")), "{back}");
    let document = json(&folder.run("diff a b --json").ok());
    assert_eq!(document["same"], false);
    let sequence = serde_json::json!({"what": "sequence", "before": "17", "after": "18"});
    assert!(document["changes"].as_array().unwrap().contains(&sequence), "{document}");
}

#[test]
fn the_same_release_has_no_differences() {
    let folder = Folder::default();
    folder.keys(["rel"]);
    folder.release("a", "rel", "17", &[]);
    folder.release("b", "rel", "17", &[]);
    assert_eq!(folder.run("diff a b").ok().stdout, "both say the same\n");
    assert_eq!(json(&folder.run("diff a b --json").ok()), serde_json::json!({"same": true, "changes": []}));
}

#[test]
fn what_cannot_be_compared_is_told() {
    let folder = Folder::default();
    folder.keys(["rel"]);
    folder.release("a", "rel", "17", &[]);
    folder.run("root init 1.root --vendor v.example --root-key rel.pub.pem --release-key rel.pub.pem --issued 5").ok();
    folder.run("diff a 1.root").failed(2, &["a manifest and a root have nothing in common", "the same kind"]);
    folder.run("diff a rel.pem").failed(3, &["refused (template): rel.pem", "hint: "]);
    folder.run("diff a missing").failed(1, &["cannot read missing"]);
    let roots = json(&folder.run("diff 1.root 1.root --json").ok());
    assert_eq!(roots["same"], true);
}
