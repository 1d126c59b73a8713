//! Files that are signed after they were made: `create --unsigned`, `sign`, `prepare`, `attach`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use fleetcast_core::wire::StatementKind;
use fleetcast_netlab::authority;
use fleetcast_sign::statement::Signable;

use super::station::Station;

#[test]
fn nobody_takes_a_release_that_nobody_has_signed() {
    let station = Station::new();
    let made = station.create("r", &["--unsigned"]).ok();
    assert!(made.stdout.contains("signed by         nobody\n"), "{made:?}");
    let shown = station.sign(&["inspect", "r"]).ok().stdout;
    assert!(shown.contains("signed by         nobody\n"), "{shown}");
    station
        .sign(&["verify", "r", "--trust", "a.pub.pem"])
        .failed(3, &["refused (template)", "not a signed statement", "fleetcast-sign sign"]);
    // The statement ends with an empty array.
    let file = station.read("r");
    let len = u32::from_be_bytes(file[8..12].try_into().unwrap()) as usize;
    assert_eq!(file[12 + len - 1], 0x80);

    station.create("s", &["--unsigned", "--key", "a.pem"]).failed(2, &["cannot be used with"]);
    station.create("s", &[]).failed(2, &["there is no key to sign with", "--key KEY, or --sign-cmd"]);
    station.sign(&["sign", "r"]).failed(2, &["there is no key to sign with"]);
}

#[test]
fn a_signature_is_added_once_and_only_when_asked_for() {
    let station = Station::new();
    let [a, b] = ["a.pem", "b.pem"].map(|key| station.key_id(key));
    station.create("r", &["--key", "a.pem"]).ok();
    let before = station.read("r");
    let sign = |more: &[&str]| station.sign(&[&["sign", "r"], more].concat());
    sign(&["--key", "b.pem"]).failed(1, &[&format!("r is signed already, by key {a}"), "give --append"]);
    sign(&["--key", "a.pem", "--append"])
        .failed(1, &[&format!("key {a} has signed it already"), "each key signs once"]);
    sign(&["--key", "b.pem", "--key", "b.pem", "--append"]).failed(1, &["has signed it already"]);
    assert!(station.read("r") == before, "a refusal changed the file");
    let shown = sign(&["--key", "b.pem", "--append", "--json"]).ok().stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["signatures"], serde_json::json!([a, b]));
    assert_eq!((&shown["kind"], &shown["sequence"]), (&"manifest".into(), &17.into()));
    let verified = ["verify", "r", "--trust", "a.pub.pem", "--trust", "b.pub.pem", "--threshold", "2"];
    station.sign(&verified).ok();
    station.sign(&["prepare", "r", "--pub", "a.pub.pem", "--out", "tbs"]).failed(1, &["has signed it already"]);
    assert!(!station.folder.path("tbs").exists());
    let over = station.sign(&["prepare", "r", "--pub", "a.pub.pem", "--out", "./r", "--force"]);
    over.failed(2, &["--out ./r is the file that is read as r"]);
}

#[test]
fn a_file_is_replaced_in_one_step_and_keeps_its_mode() {
    let station = Station::new();
    station.create("r", &["--unsigned"]).ok();
    let path = station.folder.path("r");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("r", station.folder.path("link")).unwrap();
    station.sign(&["sign", "link", "--key", "a.pem"]).ok();
    assert!(fs::symlink_metadata(station.folder.path("link")).unwrap().is_symlink());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    station.sign(&["verify", "r", "--trust", "a.pub.pem"]).ok();
    assert!(station.folder.names().iter().all(|name| !name.contains("tmp")), "{:?}", station.folder.names());
}

#[test]
fn a_signature_for_something_else_is_refused() {
    let station = Station::new();
    let openssl = |key: &str| {
        station.folder.openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", "tbs", "-out", "sig"]);
    };
    station.create("r", &["--unsigned"]).ok();
    let before = station.read("r");
    let attach = |public: &str| station.sign(&["attach", "r", "--pub", public, "--signature", "sig"]);
    let b = station.key_id("b.pem");

    // Of another key, and of octets that another key was to sign.
    let prepared = station.sign(&["prepare", "r", "--pub", "a.pub.pem", "--out", "tbs", "--json"]).ok().stdout;
    let prepared: serde_json::Value = serde_json::from_str(&prepared).unwrap();
    assert_eq!(prepared["key_id"], station.key_id("a.pem"));
    openssl("b.pem");
    attach("a.pub.pem").failed(3, &["not a valid signature by key", "fleetcast-sign prepare"]);
    attach("b.pub.pem").failed(3, &[&format!("not a valid signature by key {b} over it")]);
    openssl("a.pem");
    attach("b.pub.pem").failed(3, &["not a valid signature"]);
    // Of another release.
    station.sign(&["prepare", "r", "--pub", "b.pub.pem", "--out", "tbs"]).failed(1, &["tbs exists already", "--force"]);
    station.create("r2", &["--unsigned", "--security-version", "1"]).ok();
    station.sign(&["prepare", "r2", "--pub", "a.pub.pem", "--out", "tbs", "--force"]).ok();
    openssl("a.pem");
    attach("a.pub.pem").failed(3, &["not a valid signature"]);
    // No signature at all.
    station.folder.write("sig", [0; 63]);
    attach("a.pub.pem").failed(1, &["sig holds no Ed25519 signature", "64 raw octets"]);
    attach("a.pem").failed(1, &["private keys stay on the signing station"]);
    assert!(station.read("r") == before, "a refusal changed the file");
}

#[test]
fn a_damaged_release_is_not_signed() {
    let station = Station::new();
    station.create("r", &["--unsigned"]).ok();
    let good = station.read("r");
    let refused = |file: &[u8], what: &[&str]| {
        station.folder.write("bad", file);
        station.sign(&["sign", "bad", "--key", "a.pem"]).failed(1, what);
        assert!(station.read("bad") == file);
        assert!(station.folder.names().iter().all(|name| !name.contains("tmp")), "{:?}", station.folder.names());
    };
    let mut page = good.clone();
    *page.last_mut().unwrap() ^= 1;
    refused(&page, &["cannot sign bad: component rootfs", "cell 9", "make it anew"]);
    refused(&good[..good.len() - 1], &["the release file is cut off"]);
    refused(&[&good[..], &[0]].concat(), &["longer than its manifest says"]);
    let mut cut = good.clone();
    cut[12] ^= 1;
    refused(&cut, &["the signed manifest is refused"]);
    refused(b"hello", &["it is no release file, and no statement file"]);
    refused(b"", &["it is no release file, and no statement file"]);
    station.sign(&["sign", "missing", "--key", "a.pem"]).failed(1, &["cannot sign missing: No such file"]);
}

#[test]
fn roots_and_beacons_are_signed_like_releases() {
    let station = Station::new();
    let root = authority::root(3, &["root-1"], &["release"], &["beacon"]);
    let unsigned = Signable::new(StatementKind::Root, root.encode().unwrap()).unwrap();
    station.folder.write("3.root", unsigned.encode().unwrap());
    let beacon = authority::beacon(3, 1_700_000_000, (5, [7; 32]), &["root-1"]);
    let beacon = Signable::parse(StatementKind::Beacon, &beacon).unwrap();
    let unsigned = Signable::new(StatementKind::Beacon, beacon.payload().to_vec()).unwrap();
    station.folder.write("current.beacon", unsigned.encode().unwrap());

    for (file, kind) in [("3.root", StatementKind::Root), ("current.beacon", StatementKind::Beacon)] {
        let shown = station.sign(&["sign", file, "--key", "a.pem"]).ok().stdout;
        assert!(
            shown.contains(if kind == StatementKind::Root { "root\nversion           3\n" } else { "beacon\n" }),
            "{shown}"
        );
        station.sign(&["prepare", file, "--pub", "b.pub.pem", "--out", "tbs", "--force"]).ok();
        station.folder.openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", "b.pem", "-in", "tbs", "-out", "sig"]);
        station.sign(&["attach", file, "--pub", "b.pub.pem", "--signature", "sig"]).ok();
        let both = Signable::parse(kind, &station.read(file)).unwrap();
        let ids: Vec<_> = both.signers().map(|key| key.to_string()).collect();
        assert_eq!(ids, ["a.pem", "b.pem"].map(|key| station.key_id(key)));
    }
    // Each kind has octets of its own to sign.
    let tbs = |name: &str| {
        station.sign(&["prepare", name, "--pub", "c.pub.pem", "--out", "tbs", "--force"]).ok();
        String::from_utf8_lossy(&station.read("tbs")).into_owned()
    };
    station.make_key("c");
    assert!(tbs("3.root").contains("fleetcast-root-1") && tbs("current.beacon").contains("fleetcast-beacon-1"));
}

#[test]
fn a_statement_never_outgrows_its_packet() {
    let station = Station::new();
    // A manifest that fills its packet by the caps of its trees, which could be smaller.
    let images: Vec<_> = (0..5).flat_map(|i| ["--image".into(), format!("image{i}=rootfs.img")]).collect();
    let create = |out: &str, more: &[&str]| {
        let facts = ["--vendor", "acme.example", "--class", "board-a", "--version", "1", "--sequence", "1"];
        let images: Vec<_> = images.iter().map(String::as_str).collect();
        let coding = ["--chunk", "128", "--digest", "32"];
        station.sign(&[&["create", "--out", out][..], &facts, &coding, &images, more].concat())
    };
    create("one", &["--key", "a.pem"]).ok();
    let len = |file: &str| u32::from_be_bytes(station.read(file)[8..12].try_into().unwrap());
    assert!(len("one") <= 1212 && len("one") + 83 > 1212, "{}", len("one"));
    let before = station.read("one");
    let full = ["its packet has room for", "--signatures N"];
    station.sign(&["sign", "one", "--key", "b.pem", "--append"]).failed(1, &full);
    station.sign(&["prepare", "one", "--pub", "b.pub.pem", "--out", "tbs"]).failed(1, &full);
    assert!(station.read("one") == before);
    // Networks that carry more may be given more.
    station.sign(&["sign", "one", "--key", "b.pem", "--append", "--packet", "1452"]).ok();

    create("two", &["--key", "a.pem", "--signatures", "2"]).ok();
    station.sign(&["sign", "two", "--key", "b.pem", "--append"]).ok();
    let verify = ["--trust", "a.pub.pem", "--trust", "b.pub.pem", "--threshold", "2"];
    station.sign(&[&["verify", "two"], &verify[..]].concat()).ok();
    create("both", &["--key", "a.pem", "--key", "b.pem"]).ok();
    assert!(station.read("two") == station.read("both"));

    create("x", &["--key", "a.pem", "--key", "b.pem", "--signatures", "1"]).failed(2, &["2 keys", "--signatures 1"]);
    create("x", &["--key", "a.pem", "--signatures", "9"]).failed(2, &["9"]);
}

#[test]
fn a_ninth_signature_is_refused() {
    let station = Station::new();
    station.create("r", &["--unsigned"]).ok();
    for number in 0..9 {
        let name = format!("k{number}");
        station.make_key(&name);
        let done = station.sign(&["sign", "r", "--key", &format!("{name}.pem"), "--append"]);
        if number < 8 {
            done.ok()
        } else {
            done.failed(1, &["it has 8 signatures, which is the most"])
        };
    }
}
