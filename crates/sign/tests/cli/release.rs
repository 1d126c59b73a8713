//! `create`, `verify` and `inspect` as a user runs them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use super::common::Folder;
use fleetcast_netlab::command_line::{Done, shipped};

/// Two keys made by OpenSSL, and two images.
fn station() -> Folder {
    let folder = Folder::default();
    for name in ["a", "b"] {
        let [key, public] = [format!("{name}.pem"), format!("{name}.pub.pem")];
        folder.openssl(&["genpkey", "-algorithm", "ed25519", "-out", &key]);
        folder.openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]);
        fs::set_permissions(folder.path(&key), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let image = |len: u32| (0..len).flat_map(|i| (i / 7 * 31).to_le_bytes()).collect::<Vec<_>>();
    folder.write("rootfs.img", image(75_000));
    folder.write("kernel.img", image(1234));
    folder
}

const FACTS: [&str; 8] = ["--vendor", "acme.example", "--class", "board-a", "--version", "1.2.3", "--sequence", "17"];
const ROOTFS: [&str; 2] = ["--image", "rootfs=rootfs.img"];
const BOTH: [&str; 4] = ["--image", "kernel=kernel.img,target=boot", "--image", "rootfs=rootfs.img"];

fn create(folder: &Folder, more: &[&str]) -> Done {
    folder.sign(&[&["create", "--key", "a.pem", "--out", "r"][..], &FACTS, more].concat())
}

fn verify(folder: &Folder, more: &[&str]) -> Done {
    folder.sign(&[&["verify", "r", "--trust", "a.pub.pem"], more].concat())
}

fn json(done: &Done) -> serde_json::Value {
    assert_eq!(done.stdout.matches('\n').count(), 1, "{done:?}");
    serde_json::from_str(&done.stdout).unwrap()
}

fn key_id(folder: &Folder, key: &str) -> String {
    json(&folder.sign(&["pubkey", "--json", key]).ok())["key_id"].as_str().unwrap().into()
}

#[test]
fn a_release_is_made_inspected_and_verified() {
    let folder = station();
    let made = create(&folder, &BOTH).ok();
    assert!(made.stderr.contains("written and verified: r"), "{made:?}");
    let id = key_id(&folder, "a.pem");
    // uuid.uuid5(uuid.NAMESPACE_DNS, "acme.example"), then uuid5 of that and "board-a".
    let [vendor, class] = ["0637e301-e05d-505b-8267-486f5677de9b", "ea02ba25-e641-5c2f-b3c3-37779a8ee9af"];
    for fact in
        ["1.2.3", "17", &id, vendor, class, "component kernel for target boot", "component rootfs for target rootfs"]
    {
        assert!(made.stdout.contains(fact), "no {fact} in {}", made.stdout);
    }
    let shown = folder.sign(&["inspect", "r"]).ok().stdout;
    let facts = shown.strip_prefix("NOT VERIFIED: anyone can make a file that says this.\n\n").unwrap();
    assert_eq!(facts, made.stdout);

    let verified = verify(&folder, &["--image", "rootfs=rootfs.img"]).ok().stdout;
    for line in [
        "release 1.2.3, sequence 17, security version 0: VERIFIED\n",
        &format!("checked: signature by {id} (threshold 1)\n"),
        "checked: 12 pages and 12 parity pages\n",
        "checked: image rootfs: length, SHA-256, 293 source and 293 repair chunks\n",
        "NOT checked: image kernel, for want of --image kernel=PATH\n",
    ] {
        assert!(verified.contains(line), "no {line:?} in {verified}");
    }
    verify(&folder, &["--image", "rootfs=rootfs.img", "--image", "kernel=kernel.img"]).ok();
}

#[test]
fn json_has_the_facts() {
    let folder = station();
    let made =
        json(&create(&folder, &[&BOTH[..], &["--json", "--from", "3..16", "--security-version", "2"]].concat()).ok());
    assert_eq!(made["file"], "r");
    assert_eq!(made["from"], serde_json::json!([3, 16]));
    assert_eq!((&made["sequence"], &made["security_version"]), (&17.into(), &2.into()));
    assert_eq!(made["file_octets"], fs::metadata(folder.path("r")).unwrap().len());
    assert_eq!(made["signatures"], serde_json::json!([key_id(&folder, "a.pub.pem")]));
    let rootfs = &made["components"][1];
    assert_eq!((&rootfs["name"], &rootfs["size"], &rootfs["cell"]), (&"rootfs".into(), &300_000.into(), &64.into()));
    let sum = Done::run(std::process::Command::new("sha256sum").arg(folder.path("rootfs.img"))).ok().stdout;
    assert_eq!(rootfs["sha256"], sum[..64]);

    let shown = json(&folder.sign(&["inspect", "r", "--json"]).ok());
    assert_eq!(shown["verified"], false);
    let verified = json(&verify(&folder, &["--json", "--image", "kernel=kernel.img"]).ok());
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["images_checked"], serde_json::json!(["kernel"]));
    assert_eq!(verified["images_not_checked"], serde_json::json!(["rootfs"]));
    for document in [&shown, &verified] {
        for (field, value) in made.as_object().unwrap().iter().filter(|(field, _)| *field != "file") {
            assert_eq!(&document[field], value, "{field}");
        }
    }
}

#[test]
fn a_release_can_be_made_again() {
    let folder = station();
    create(&folder, &BOTH).ok();
    let first = fs::read(folder.path("r")).unwrap();
    create(&folder, &BOTH).failed(1, &["r exists already", "hint: choose another name, or replace it with --force"]);
    assert!(fs::read(folder.path("r")).unwrap() == first);
    create(&folder, &[&BOTH[..], &["--force"]].concat()).ok();
    assert!(fs::read(folder.path("r")).unwrap() == first);
    create(&folder, &[&BOTH[..], &["--force", "--sequence", "18"]].concat())
        .failed(2, &["cannot be used multiple times"]);
    assert_eq!(folder.names().iter().filter(|name| name.contains("tmp")).count(), 0, "{:?}", folder.names());
}

#[test]
fn a_release_never_replaces_what_it_is_made_from() {
    let folder = station();
    lock(&folder, "b.pem", "locked.pem", "open");
    folder.write("pass", "open");
    symlink("a.pem", folder.path("link")).unwrap();
    fs::hard_link(folder.path("rootfs.img"), folder.path("same.img")).unwrap();
    let before = folder.names();
    let args = ["create", "--key", "a.pem", "--key", "locked.pem", "--passphrase-file", "pass", "--out"];
    for (out, input) in [
        ("a.pem", "a.pem"),
        ("./locked.pem", "locked.pem"),
        ("link", "a.pem"),
        ("pass", "pass"),
        ("rootfs.img", "rootfs.img"),
        ("same.img", "rootfs.img"),
    ] {
        let content = fs::read(folder.path(out)).unwrap();
        let message = format!("--out {out} is the file that is read as {input}");
        for force in [&["--force"][..], &[]] {
            folder.sign(&[&args[..], &[out], &FACTS, &ROOTFS, force].concat()).failed(2, &[&message]);
        }
        assert!(fs::read(folder.path(out)).unwrap() == content, "{out}");
    }
    assert_eq!(folder.names(), before);
}

#[test]
fn signatures_are_counted_by_key() {
    let folder = station();
    create(&folder, &[&ROOTFS[..], &["--key", "b.pem"]].concat()).ok();
    let [a, b] = ["a.pem", "b.pem"].map(|key| key_id(&folder, key));
    let both = verify(&folder, &["--trust", "b.pub.pem", "--threshold", "2"]).ok().stdout;
    assert!(both.contains(&format!("checked: signature by {a} and by {b} (threshold 2)")), "{both}");

    create(&folder, &[&ROOTFS[..], &["--force"]].concat()).ok();
    let more = "1 valid signatures by trusted keys, 2 required";
    verify(&folder, &["--trust", "b.pub.pem", "--threshold", "2"]).failed(3, &["refused (threshold)", more, "key ids"]);
    let refused = folder.sign(&["verify", "r", "--trust", "b.pub.pem", "--json"]).failed(3, &["refused (threshold)"]);
    let document = json(&refused);
    assert_eq!((&document["verified"], &document["code"]), (&false.into(), &"threshold".into()));

    verify(&folder, &["--threshold", "2"]).failed(2, &["a threshold of 2 cannot be met"]);
    verify(&folder, &["--trust", "a.pub.pem"]).failed(2, &["is listed twice"]);
    let twice = ["--key", "a.pem", "--force"];
    create(&folder, &[&ROOTFS[..], &twice].concat()).failed(1, &["is listed twice", "give each key once"]);
    folder.sign(&["verify", "r", "--trust", "a.pem"]).failed(1, &["private keys stay on the signing station"]);
}

/// Encrypts a key.
fn lock(folder: &Folder, key: &str, locked: &str, passphrase: &str) {
    let pass = format!("pass:{passphrase}");
    folder.openssl(&["pkcs8", "-topk8", "-v2", "aes256", "-passout", &pass, "-in", key, "-out", locked]);
    fs::set_permissions(folder.path(locked), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn an_encrypted_key_signs_with_its_passphrase() {
    let folder = station();
    lock(&folder, "a.pem", "locked.pem", "open");
    folder.write("pass", "open\n");
    folder.write("wrong", "opener\n");
    let command = |pass: &str| {
        let key = ["create", "--key", "locked.pem", "--out", "r", "--passphrase-file", pass];
        folder.sign(&[&key[..], &FACTS, &ROOTFS].concat())
    };
    command("wrong").failed(1, &["cannot use key locked.pem: wrong passphrase"]);
    assert!(!folder.path("r").exists());
    command("pass").ok();
    verify(&folder, &[]).ok();
}

#[test]
fn keys_with_different_passphrases_sign_together() {
    let folder = station();
    lock(&folder, "a.pem", "a.locked", "open");
    lock(&folder, "b.pem", "b.locked", "sesame");
    folder.write("a.pass", "open\n");
    folder.write("b.pass", "sesame\n");
    let with = |keys: &[&str], files: &[&str]| {
        let keys = keys.iter().flat_map(|key| ["--key", key]);
        let files = files.iter().flat_map(|file| ["--passphrase-file", file]);
        let args: Vec<_> = ["create", "--out", "r", "--force"].into_iter().chain(keys).chain(files).collect();
        folder.sign(&[&args[..], &FACTS, &ROOTFS].concat())
    };
    let both = ["a.locked", "b.locked"];
    with(&both, &["a.pass", "b.pass"]).ok();
    verify(&folder, &["--trust", "b.pub.pem", "--threshold", "2"]).ok();
    with(&both, &["b.pass", "a.pass"]).failed(1, &["cannot use key a.locked: wrong passphrase"]);
    with(&both, &["a.pass"]).failed(1, &["cannot use key b.locked: wrong passphrase"]);
    lock(&folder, "b.pem", "b.locked", "open");
    with(&both, &["a.pass"]).ok();
    let args = [&["create", "--out", "r", "--force", "--key", "a.locked", "--key", "b.locked"], &FACTS[..], &ROOTFS];
    let script = "echo open | \"$0\" \"$@\" --passphrase-file /dev/stdin";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, super::common::PROGRAM]).args(args.concat()).current_dir(folder.path(""));
    Done::run(&mut shell).ok();
    // A key without a passphrase has its place in the order all the same.
    with(&["a.pem", "b.locked"], &["missing", "a.pass"]).ok();

    let three = ["a.pass"; 3];
    let counts = "--passphrase-file is given 3 times and --key 2 times";
    with(&both, &three).failed(2, &[counts, "hint: give one --passphrase-file for all keys, or one for each"]);
    with(&["a.locked"], &three[1..]).failed(2, &["given 2 times and --key 1 times"]);
}

#[test]
fn damage_is_refused_with_exit_code_3_and_its_word() {
    let folder = station();
    create(&folder, &ROOTFS).ok();
    let good = fs::read(folder.path("r")).unwrap();
    let last = good.len() - 1;
    let statement_len = u32::from_be_bytes(good[8..12].try_into().unwrap()) as usize;
    let flip = |at: usize| {
        let mut octets = good.clone();
        octets[at] ^= 1;
        octets
    };
    let cases: [(&str, &str, Vec<u8>); 9] = [
        ("magic", "not a release file", flip(0)),
        ("magic", "not a release file", b"MZ".into()),
        ("truncated", "cut off", Vec::new()),
        ("truncated", "cut off", good[..last].into()),
        ("trailing", "longer than its manifest says", [&good[..], b"x"].concat()),
        ("template", "not a signed statement", flip(12)),
        ("threshold", "0 valid signatures", flip(12 + 40)),
        ("page-digest", "component rootfs: the page of cell 0", flip(12 + statement_len)),
        ("page-digest", "component rootfs: the record of cell 9 does not end in zeros", flip(last)),
    ];
    for (code, text, octets) in cases {
        folder.write("r", octets);
        let refused = verify(&folder, &[]).failed(3, &[&format!("error: refused ({code})"), text, "hint: "]);
        assert!(refused.stdout.is_empty(), "{refused:?}");
        let document = json(&verify(&folder, &["--json"]).failed(3, &[]));
        assert_eq!(document["code"], code);
        // Without keys only form can be wrong.
        let form = ["magic", "truncated", "trailing", "template"].contains(&code);
        let shown = folder.sign(&["inspect", "r"]);
        if form {
            shown.failed(3, &[&format!("refused ({code})")]);
        } else if code == "page-digest" {
            shown.ok();
        }
    }
}

#[test]
fn another_image_is_refused_with_its_place() {
    let folder = station();
    create(&folder, &ROOTFS).ok();
    let image = OpenOptions::new().write(true).open(folder.path("rootfs.img")).unwrap();
    image.write_all_at(b"?", 200_000).unwrap();
    verify(&folder, &ROOTFS)
        .failed(3, &["refused (chunk-digest)", "component rootfs: the image differs", "from octet 199680 on"]);
    image.set_len(299_999).unwrap();
    verify(&folder, &ROOTFS).failed(3, &["refused (size)", "has 299999 octets, the signed one 300000"]);
    image.set_len(0).unwrap();
    let empty = verify(&folder, &[&ROOTFS[..], &["--json"]].concat());
    assert_eq!(json(&empty.failed(3, &["refused (size)", "has 0 octets"]))["code"], "size");
    verify(&folder, &["--image", "rootfs=missing"]).failed(1, &["cannot use image missing", "No such file"]);
    verify(&folder, &["--image", "kernel=kernel.img"]).failed(2, &["has no component kernel", "hint: it has: rootfs"]);
    verify(&folder, &[ROOTFS, ROOTFS].concat()).failed(2, &["image rootfs is given twice"]);
    folder.sign(&["verify", "missing", "--trust", "a.pub.pem"]).failed(1, &["cannot use release missing"]);
}

#[test]
fn what_makes_no_release_is_told_before_any_work() {
    let folder = station();
    folder.write("empty.img", "");
    let refused = |code: i32, more: &[&str], text: &[&str]| {
        create(&folder, more).failed(code, text);
    };
    let with = |more: &[&'static str]| [&ROOTFS[..], more].concat();
    refused(1, &["--image", "a=missing.img"], &["cannot use image missing.img", "No such file"]);
    refused(1, &["--image", "a=empty.img"], &["cannot use image empty.img: it is empty"]);
    refused(1, &["--image", "a=."], &["it is not a regular file", "copy the image to a file"]);
    refused(2, &["--image", "rootfs.img"], &["write NAME=PATH"]);
    refused(2, &["--image", "root/fs=rootfs.img"], &["is no name"]);
    refused(2, &with(&ROOTFS), &["image rootfs is given twice"]);
    refused(2, &with(&["--image", "k=kernel.img,target=rootfs"]), &["target rootfs is given twice"]);
    refused(2, &with(&["--from", "5..4"]), &["MIN is larger than MAX"]);
    refused(2, &with(&["--from", "5"]), &["write MIN..MAX"]);
    for from in ["17..17", "20..30"] {
        refused(2, &with(&["--from", from]), &["takes sequence 17", "--from must start below --sequence"]);
    }
    refused(2, &with(&["--chunk", "1000"]), &["component rootfs cannot be cut that way", "in steps of 64, not 1000"]);
    refused(2, &with(&["--repair", "101"]), &["repair is 0 to 100 percent"]);
    refused(2, &with(&["--digest", "20"]), &["16 or 32 octets"]);
    refused(2, &with(&["--chunk", "1408"]), &["do not fit packets of 1232", "--packet of 1428 or more"]);
    refused(1, &with(&["--chunk", "64", "--packet", "150"]), &["the smallest page packet", "--packet of 164 or more"]);
    refused(1, &with(&["--chunk", "64", "--packet", "200"]), &["the signed manifest has", "fewer components"]);
    refused(2, &with(&["--packet", "99"]), &["99 is not in 100"]);
    let classes: Vec<_> = (0..8).flat_map(|_| ["--class", "other"]).collect();
    refused(2, &with(&classes), &["at most 8 classes, not 9"]);

    let images: Vec<_> = (0..9).map(|i| format!("--image=i{i}=kernel.img")).collect();
    let images: Vec<_> = images.iter().map(String::as_str).collect();
    create(&folder, &[&images[..], &["--packet", "8000"]].concat()).failed(1, &["no valid manifest", "components"]);
    let without = |option: &str| {
        let all = [&["create", "--key", "a.pem", "--out", "r"][..], &FACTS, &ROOTFS].concat();
        let pairs = all[1..].chunks(2).filter(|pair| pair[0] != option).flatten().copied();
        folder.sign(&["create"].into_iter().chain(pairs).collect::<Vec<_>>()).failed(2, &[option]);
    };
    ["--key", "--out", "--vendor", "--class", "--version", "--sequence", "--image"].into_iter().for_each(without);
    for sequence in ["0", "9223372036854775808", "-1", "now"] {
        let mut facts = FACTS;
        facts[7] = sequence;
        let all = [&["create", "--key", "a.pem", "--out", "r"][..], &facts, &ROOTFS].concat();
        folder.sign(&all).failed(2, &[sequence, "--sequence"]);
    }
    assert!(!folder.path("r").exists());
}

#[test]
fn eight_components_with_long_names_need_larger_packets() {
    let folder = station();
    let images: Vec<_> = (0..8).map(|i| format!("--image={i}{}=kernel.img", "x".repeat(31))).collect();
    let images: Vec<_> = images.iter().map(String::as_str).collect();
    create(&folder, &images).failed(1, &["the signed manifest has 1293 octets", "room for 1212", "--packet of 1313"]);
    create(&folder, &[&images[..], &["--packet", "1312"]].concat()).failed(1, &["--packet of 1313"]);
    create(&folder, &[&images[..], &["--packet", "1313"]].concat()).ok();
    verify(&folder, &[]).ok();
}

#[test]
fn packets_that_devices_take_by_setting_only_are_warned_of() {
    let folder = station();
    let setting = fs::read_to_string(shipped("examples/recv.toml")).unwrap();
    assert!(setting.contains("\n#max-packet = 1500\n"), "the default is another");
    for (chunk, warning) in [
        // 20 octets of header, and steps of 64: 1472 is the last one below.
        ("1472", None),
        (
            "1536",
            Some("packets have up to 1556 octets: only devices with max-packet = 1556 or more (recv.toml) take it"),
        ),
    ] {
        let made = create(&folder, &[&ROOTFS[..], &["--force", "--packet", "1600", "--chunk", chunk]].concat()).ok();
        let warned = made.stderr.lines().find_map(|line| line.strip_prefix("warning: its "));
        assert_eq!(warned.is_some(), warning.is_some(), "{made:?}");
        assert!(warned.unwrap_or_default().starts_with(warning.unwrap_or_default()), "{made:?}");
    }
}

#[test]
fn a_range_that_starts_below_the_release_may_end_anywhere() {
    let folder = station();
    create(&folder, &[&ROOTFS[..], &["--from", "16..30"]].concat()).ok();
    verify(&folder, &[]).ok();
}

#[test]
fn a_full_disk_leaves_no_release_behind() {
    let folder = station();
    let before = folder.names();
    let args = [&["create", "--key", "a.pem", "--out", "r"][..], &FACTS, &ROOTFS].concat();
    // A file size limit of one block: the write fails in the middle, as on a full disk.
    let script = "ulimit -f 1; trap '' XFSZ; exec \"$0\" \"$@\"";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, super::common::PROGRAM]).args(&args).current_dir(folder.path(""));
    Done::run(&mut shell).failed(1, &["cannot write r", "File too large"]);
    assert_eq!(folder.names(), before);
}
