//! Keys in tokens, on SoftHSM.

use super::station::{MODULE, PIN, Station};

fn station() -> Station {
    let mut station = Station::new();
    station.token("release");
    station.import("release", "a", "01");
    station.import("release", "b", "02ff");
    station.set("FLEETCAST_PKCS11_MODULE", MODULE);
    station
}

#[test]
fn a_key_is_chosen_by_what_the_uri_says() {
    let mut station = station();
    station.set("FLEETCAST_PKCS11_PIN", PIN);
    station.create("expected", &["--key", "b.pem"]).ok();
    for uri in [
        "pkcs11:object=b",
        "pkcs11:id=%02%FF",
        "pkcs11:token=release;id=%02%ff;object=b;type=private",
        "pkcs11:manufacturer=SoftHSM%20project;model=SoftHSM%20v2;object=b",
    ] {
        station.create("r", &["--force", "--key", uri]).ok();
        assert!(station.read("r") == station.read("expected"), "{uri}");
    }
    // What does not say enough, or too much, is told what there is.
    let create = |uri: &str| station.create("r", &["--force", "--key", uri]);
    let both = [r#"object="a" id=%01"#, r#"object="b" id=%02%ff"#];
    create("pkcs11:token=release").failed(1, &["2 Ed25519 private keys match in token release", both[0], both[1]]);
    create("pkcs11:object=c").failed(1, &["no Ed25519 private keys match in token release", both[0], both[1]]);
    create("pkcs11:object=a;id=%02%ff").failed(1, &["no Ed25519 private keys match"]);
    create("pkcs11:token=other;object=a").failed(1, &["no tokens match", r#"token "release" (serial "#]);
    create("pkcs11:object=a;colour=red").failed(2, &["RFC 7512", "\"colour\": it is not known here"]);
}

#[test]
fn a_pin_goes_to_no_token_that_was_not_meant() {
    let mut station = station();
    station.token("other");
    station.set("FLEETCAST_PKCS11_PIN", PIN);
    let two = station.create("r", &["--key", "pkcs11:object=a"]);
    two.failed(1, &["2 tokens match", r#"token "release""#, r#"token "other""#]);
    station.create("r", &["--key", "pkcs11:token=release;object=a"]).ok();
    // Two tokens in one go, each with its PIN; the second key of a token needs none again.
    station.import("other", "a", "01");
    station.folder.write("pin", format!("{PIN}\n"));
    let source = format!("pkcs11:token=other;object=a?pin-source={}", station.folder.path("pin").display());
    let keys = ["--key", "pkcs11:token=release;object=b", "--key", &source];
    station.create("two", &keys).ok();
    station.create("same", &["--key", "b.pem", "--key", "a.pem"]).ok();
    assert!(station.read("two") == station.read("same"));
}

#[test]
fn a_pin_comes_from_uri_file_or_environment() {
    let mut station = station();
    let create =
        |station: &Station, key: &str, more: &[&str]| station.create("r", &[&["--force", "--key", key], more].concat());
    let plain = "pkcs11:object=a";
    create(&station, plain, &[]).failed(1, &["its token is locked", "--pin-file FILE, set FLEETCAST_PKCS11_PIN"]);
    station.folder.write("pin", PIN);
    station.folder.write("wrong", "4321\n");
    station.folder.write("empty", "\n");
    create(&station, plain, &["--pin-file", "pin"]).ok();
    create(&station, plain, &["--key", "pkcs11:object=b", "--pin-file", "pin"]).ok();
    create(&station, plain, &["--pin-file", "wrong"]).failed(1, &["wrong PIN", "tried once"]);
    create(&station, plain, &["--pin-file", "empty"]).failed(1, &["the PIN is empty"]);
    create(&station, plain, &["--pin-file", "missing"]).failed(1, &["cannot read PIN file missing"]);
    let source = format!("{plain}?pin-source=file://{}", station.folder.path("pin").display());
    create(&station, &source, &["--pin-file", "wrong"]).ok();
    create(&station, &format!("{plain}?pin-value={PIN}"), &["--pin-file", "wrong"]).ok();
    // A wrong PIN is in no message.
    let wrong = create(&station, &format!("{plain}?pin-value=98765"), &[]).failed(1, &["wrong PIN"]);
    assert!(!wrong.stderr.contains("98765"), "{wrong:?}");
    station.set("FLEETCAST_PKCS11_PIN", PIN);
    create(&station, plain, &[]).ok();
    create(&station, plain, &["--pin-file", "wrong"]).failed(1, &["wrong PIN"]);
}

#[test]
fn a_module_must_be_named_and_be_one() {
    let mut station = Station::new();
    let create = |key: &str, more: &[&str]| station.create("r", &[&["--key", key], more].concat());
    create("pkcs11:object=a", &[]).failed(1, &["which PKCS#11 module", "FLEETCAST_PKCS11_MODULE"]);
    create("pkcs11:object=a", &["--pkcs11-module", "/nonexistent.so"])
        .failed(1, &["cannot load PKCS#11 module /nonexistent.so"]);
    create("pkcs11:object=a?module-path=/usr/lib/softhsm&module-name=softhsm2", &[])
        .failed(1, &["no tokens match", "there is no token"]);
    station.token("release");
    station.import("release", "a", "01");
    let named = format!("pkcs11:object=a?module-path=/usr/lib/softhsm&module-name=softhsm2&pin-value={PIN}");
    station.create("r", &["--key", &named]).ok();
}

#[test]
fn a_key_made_in_the_token_signs() {
    let mut station = Station::new();
    station.token("release");
    station.set("FLEETCAST_PKCS11_MODULE", MODULE);
    station.set("FLEETCAST_PKCS11_PIN", PIN);
    let make = ["--keypairgen", "--key-type", "EC:edwards25519", "--label", "made", "--id", "07"];
    station.run("pkcs11-tool", &[&["--module", MODULE, "--login", "--pin", PIN], &make[..]].concat());
    station.sign(&["pubkey", "pkcs11:object=made", "--out", "made.pub.pem"]).ok();
    station.create("r", &["--key", "pkcs11:object=made"]).ok();
    station.sign(&["verify", "r", "--trust", "made.pub.pem"]).ok();
}

#[test]
fn keys_of_other_algorithms_do_not_sign() {
    let mut station = Station::new();
    station.token("release");
    station.set("FLEETCAST_PKCS11_MODULE", MODULE);
    station.set("FLEETCAST_PKCS11_PIN", PIN);
    for (name, how) in [
        ("ec", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..]),
        ("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("ed448", &["-algorithm", "Ed448"]),
    ] {
        station.folder.openssl(&[&["genpkey", "-out", &format!("{name}.pem")], how].concat());
        station.import("release", name, "0a");
    }
    let create = |key: &str| station.create("r", &["--key", key]);
    let none = "no Ed25519 private keys match in token release";
    create("pkcs11:object=ec").failed(1, &[none, r#"object="ec" id=%0a (CKK_EC)"#, "(CKK_RSA)"]);
    create("pkcs11:object=ed448").failed(1, &["CKA_EC_POINT", "none of Ed25519", "EC:edwards25519"]);
}

#[test]
fn a_private_half_without_its_public_one_is_no_key() {
    let mut station = station();
    station.set("FLEETCAST_PKCS11_PIN", PIN);
    let delete = ["--module", MODULE, "--login", "--pin", PIN, "--delete-object", "--type", "pubkey", "--id", "01"];
    station.run("pkcs11-tool", &delete);
    station
        .create("r", &["--key", "pkcs11:object=a"])
        .failed(1, &["token release has no public half of it", "import the public key"]);
    station.sign(&["pubkey", "pkcs11:object=a"]).failed(1, &["token release has no public half of it"]);
}
