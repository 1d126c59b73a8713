//! `keygen` and `pubkey` as a user runs them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::common::{Folder, shipped_keys};
use fleetcast_netlab::command_line::Done;
use fleetcast_sign::keys::{self, LoadError, SecretError};

fn mode(folder: &Folder, name: &str) -> u32 {
    fs::metadata(folder.path(name)).unwrap().mode() & 0o7777
}

fn json(done: &Done) -> serde_json::Value {
    assert_eq!(done.stdout.matches('\n').count(), 1, "{done:?}");
    serde_json::from_str(&done.stdout).unwrap()
}

#[test]
fn keygen_prints_the_id_that_pubkey_prints() {
    let folder = Folder::default();
    let made = folder.sign(&["keygen", "--out", "key.pem", "--pub", "pub.pem"]).ok();
    let id = made.stdout.trim_end();
    assert!(id.len() == 16 && id.chars().all(|c| "0123456789abcdef".contains(c)), "{id}");
    assert!(made.stderr.contains("NOT encrypted"), "{made:?}");

    let public = fs::read_to_string(folder.path("pub.pem")).unwrap();
    for half in ["key.pem", "pub.pem"] {
        let shown = folder.sign(&["pubkey", half]).ok();
        assert_eq!(shown.stdout, public);
        assert_eq!(shown.stderr, format!("key id {id}\n"));
    }
    let out = folder.sign(&["pubkey", "key.pem", "--out", "again.pem"]).ok();
    assert_eq!(out.stdout.trim_end(), id);
    assert_eq!(fs::read_to_string(folder.path("again.pem")).unwrap(), public);
}

#[test]
fn json_says_the_same_as_the_files() {
    let folder = Folder::default();
    let made = json(&folder.sign(&["keygen", "--out", "key.pem", "--pub", "pub.pem", "--json"]).ok());
    assert_eq!(made["private_file"], "key.pem");
    assert_eq!(made["public_file"], "pub.pem");
    assert_eq!(made["encrypted"], false);
    let shown = json(&folder.sign(&["pubkey", "key.pem", "--json"]).ok());
    for field in ["key_id", "public_key", "algorithm"] {
        assert!(made[field].is_string() && made[field] == shown[field], "{field}: {made} {shown}");
    }
    assert_eq!(shown["pem"], fs::read_to_string(folder.path("pub.pem")).unwrap());
    let alone = json(&folder.sign(&["keygen", "--out", "alone.pem", "--json"]).ok());
    assert!(alone["public_file"].is_null());
    assert_ne!(alone["key_id"], made["key_id"]);
}

#[test]
fn a_private_key_has_mode_0600_whatever_the_umask() {
    let folder = Folder::default();
    for umask in ["000", "022", "077"] {
        let [key, public] = ["key", "pub"].map(|name| format!("{name}{umask}"));
        let script = format!("umask {umask}; exec \"$0\" keygen --out {key} --pub {public}");
        let mut shell = std::process::Command::new("sh");
        Done::run(shell.args(["-c", &script, super::common::PROGRAM]).current_dir(folder.path(""))).ok();
        assert_eq!(mode(&folder, &key), 0o600);
        let umask = u32::from_str_radix(umask, 8).unwrap();
        assert_eq!(mode(&folder, &public), 0o644 & !umask);
    }
}

#[test]
fn nothing_is_ever_overwritten_and_nothing_is_left_half_made() {
    let folder = Folder::default();
    let keygen = ["keygen", "--out", "key.pem", "--pub", "pub.pem"];
    let never = ["it exists already", "hint: keys are never overwritten"];

    folder.write("key.pem", "precious");
    folder.sign(&keygen).failed(1, &["cannot write key.pem", never[0], never[1]]);
    assert_eq!(folder.names(), ["key.pem"]);
    assert_eq!(fs::read_to_string(folder.path("key.pem")).unwrap(), "precious");

    fs::remove_file(folder.path("key.pem")).unwrap();
    folder.write("pub.pem", "precious");
    folder.sign(&keygen).failed(1, &["cannot write pub.pem", never[0], never[1]]);
    assert_eq!(folder.names(), ["pub.pem"]);
    assert_eq!(fs::read_to_string(folder.path("pub.pem")).unwrap(), "precious");

    symlink("elsewhere", folder.path("key.pem")).unwrap();
    folder.sign(&["keygen", "--out", "key.pem"]).failed(1, &never);
    assert_eq!(folder.names(), ["key.pem", "pub.pem"]);

    let other = Folder::default();
    other.sign(&["keygen", "--out", "key.pem"]).ok();
    let key = other.path("key.pem");
    let refused = ["cannot write pub.pem", never[0], never[1]];
    folder.sign(&["pubkey", key.to_str().unwrap(), "--out", "pub.pem"]).failed(1, &refused);
    assert_eq!(fs::read_to_string(folder.path("pub.pem")).unwrap(), "precious");

    folder.sign(&["keygen", "--out", "a/key.pem"]).failed(1, &["No such file", "hint: the folder must exist"]);
    folder.sign(&["keygen", "--out", "x", "--pub", "x"]).failed(2, &["the same file"]);
    folder.sign(&["keygen", "--out", "x", "--pub", "a/x"]).failed(1, &["cannot write a/x"]);
    assert_eq!(folder.names(), ["key.pem", "pub.pem"]);
}

#[test]
fn a_full_disk_leaves_no_file_behind() {
    let folder = Folder::default();
    // A file size limit of 0 blocks: the first byte written fails, as on a full disk.
    let script = "ulimit -f 0; trap '' XFSZ; exec \"$0\" keygen --out key.pem --pub pub.pem";
    let mut shell = std::process::Command::new("sh");
    Done::run(shell.args(["-c", script, super::common::PROGRAM]).current_dir(folder.path("")))
        .failed(1, &["cannot write key.pem", "File too large"]);
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn a_passphrase_comes_from_a_file_or_the_environment() {
    let folder = Folder::default();
    folder.write("right", "correct horse\n");
    folder.write("wrong", "correct hors\n");
    folder.write("empty", "\n");
    let made = folder.sign(&["keygen", "--out", "key.pem", "--passphrase-file", "right", "--json"]).ok();
    let id = json(&made)["key_id"].as_str().unwrap().to_owned();
    assert_eq!(json(&made)["encrypted"], true);
    assert!(!made.stderr.contains("NOT encrypted"), "{made:?}");

    let with = |name: &str, value: Option<&str>| {
        let file = (!name.is_empty()).then_some(["--passphrase-file", name]);
        let args = [&["pubkey", "key.pem"][..], file.as_ref().map_or(&[], |args| &args[..])].concat();
        Done::run(folder.command(&args).envs(value.map(|value| ("FLEETCAST_KEY_PASSPHRASE", value))))
    };
    let shown = format!("key id {id}");
    assert!(with("right", None).ok().stderr.contains(&shown));
    assert!(with("", Some("correct horse")).ok().stderr.contains(&shown));
    assert!(with("right", Some("nonsense")).ok().stderr.contains(&shown), "the flag wins");

    let wrong = "error: cannot use key key.pem: wrong passphrase\nhint: ";
    with("wrong", None).failed(1, &[wrong]);
    with("", Some("correct horse\n")).failed(1, &[wrong]);
    let file = with("empty", None).failed(1, &["the passphrase is empty", "hint: put the passphrase on the one line"]);
    assert!(!file.stderr.contains("FLEETCAST_KEY_PASSPHRASE"), "{file:?}");
    with("", Some("")).failed(1, &["the passphrase is empty", "hint: set FLEETCAST_KEY_PASSPHRASE", "or unset it"]);
    with("missing", None).failed(1, &["cannot read passphrase file missing: No such file"]);
    with("", None)
        .failed(1, &["no terminal to ask at", "--passphrase-file FILE", "FLEETCAST_KEY_PASSPHRASE", "at a terminal"]);
}

#[test]
fn an_empty_passphrase_never_makes_a_plain_key() {
    let folder = Folder::default();
    let mut command = folder.command(&["keygen", "--out", "key.pem"]);
    Done::run(command.env("FLEETCAST_KEY_PASSPHRASE", "")).failed(1, &["the passphrase is empty"]);
    folder.sign(&["keygen", "--out", "key.pem", "--passphrase"]).failed(1, &["no terminal"]);
    assert!(folder.names().is_empty());
}

#[test]
fn an_exposed_private_key_is_warned_of_and_used() {
    let folder = Folder::default();
    folder.sign(&["keygen", "--out", "key.pem", "--pub", "pub.pem"]).ok();
    for (bits, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true)] {
        for (name, warned) in [("key.pem", warned), ("pub.pem", false)] {
            fs::set_permissions(folder.path(name), fs::Permissions::from_mode(bits)).unwrap();
            let shown = folder.sign(&["pubkey", name]).ok();
            let warning = format!("warning: private key key.pem is open to other users (mode {bits:04o})");
            assert_eq!(shown.stderr.contains(&warning), warned, "{bits:o} {shown:?}");
        }
    }
}

#[test]
fn an_exposed_passphrase_file_is_warned_of_and_used() {
    let folder = Folder::default();
    folder.write("pass", "open sesame\n");
    folder.sign(&["keygen", "--out", "key.pem", "--passphrase-file", "pass"]).ok();
    for (bits, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(folder.path("pass"), fs::Permissions::from_mode(bits)).unwrap();
        let shown = folder.sign(&["pubkey", "key.pem", "--passphrase-file", "pass"]).ok();
        let warning = format!("warning: passphrase file pass is open to other users (mode {bits:04o}); run: chmod 600");
        assert_eq!(shown.stderr.contains(&warning), warned, "{bits:o} {shown:?}");
    }
}

#[test]
fn files_that_are_no_keys_are_told_apart() {
    let folder = Folder::default();
    let public = fs::read_to_string(shipped_keys().join("UNSAFE-test-other.pub.pem")).unwrap();
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("text", b"hello".into(), "it is not a PEM file"),
        ("empty", b"".into(), "it is not a PEM file"),
        ("two", public.repeat(2).into(), "it holds 2 PEM blocks"),
        ("after", format!("{public}# mine\n").into(), "there is text after the PEM block"),
        ("label", public.replace("PUBLIC KEY", "CERTIFICATE").into(), "it holds a \"CERTIFICATE\""),
        ("large", [public.as_bytes(), &[b'\n'; 16 * 1024]].concat(), "larger than 16384 bytes"),
        ("torn", public.replace("MCow", "MCpw").into(), "the key inside the PEM block is damaged"),
    ];
    for (name, content, message) in cases {
        folder.write(name, content);
        let error = format!("error: cannot use key {name}: {message}");
        folder.sign(&["pubkey", name]).failed(1, &[&error, "\nhint: "]);
    }
    folder.sign(&["pubkey", "missing"]).failed(1, &["cannot use key missing: No such file"]);
    folder.sign(&["pubkey", "."]).failed(1, &["cannot use key .: is a directory"]);
    folder.sign(&["pubkey", "/dev/zero"]).failed(1, &["larger than 16384 bytes"]);
}

#[test]
fn weak_and_malformed_public_keys_are_refused() {
    let folder = Folder::default();
    let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut second_encoding = [0xff; 32];
    second_encoding[0] = 0xf0;
    second_encoding[31] = 0x7f;
    for (raw, message) in [([0; 32], "weak"), (identity, "weak"), (second_encoding, "canonical")] {
        folder.write("raw", [&head[..], &raw].concat());
        // OpenSSL has no objection to such keys.
        folder.openssl(&["pkey", "-pubin", "-inform", "DER", "-in", "raw", "-pubout", "-out", "pub.pem"]);
        folder.sign(&["pubkey", "pub.pem"]).failed(1, &["it must not be trusted", message]);
    }
}

#[test]
fn the_wrong_half_is_named() {
    let folder = Folder::default();
    folder.sign(&["keygen", "--out", "key.pem", "--pub", "pub.pem"]).ok();
    let secret = keys::load_public(&folder.path("key.pem")).unwrap_err();
    assert!(secret.reason.hint().unwrap().contains("private keys stay on the signing station"));
    let public = keys::load_secret(&folder.path("pub.pem"), || unreachable!()).unwrap_err();
    assert!(matches!(public.reason, SecretError::File(LoadError::Label { expected: "PRIVATE KEY", .. })));
}

#[test]
fn every_shipped_key_is_a_test_key_that_release_builds_refuse() {
    let folder = Folder::default();
    let mut seen = 0;
    for entry in fs::read_dir(shipped_keys()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "README.md" {
            continue;
        }
        assert!(name.starts_with("UNSAFE-test-") && path.extension().unwrap() == "pem", "{name}");
        let shown = folder.sign(&["pubkey", path.to_str().unwrap()]);
        if cfg!(debug_assertions) {
            let shown = shown.ok();
            assert!(shown.stderr.contains("is an UNSAFE test key"), "{shown:?}");
        } else {
            shown.failed(1, &["it is an UNSAFE test key, whose private half everyone has"]);
        }
        seen += 1;
    }
    assert_eq!(seen, 2 * keys::unsafe_test::UNSAFE_TEST_KEYS.len());
}
