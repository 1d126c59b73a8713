//! Keys of ours in OpenSSL, and OpenSSL's here.

use std::fs;

use super::common::Folder;
use fleetcast_sign::keys;
use fleetcast_sign::passphrase::{Passphrase, Place};

const MESSAGE: &[u8] = b"a release";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.into(), Place::Terminal).unwrap()
}

/// OpenSSL reads `key.pem`, its public half is `pub.pem`, and it verifies our signature.
#[track_caller]
fn openssl_takes(folder: &Folder, pass: &str) {
    let passin = format!("pass:{pass}");
    let public = folder.openssl(&["pkey", "-in", "key.pem", "-passin", &passin, "-pubout"]).stdout;
    assert_eq!(public, fs::read_to_string(folder.path("pub.pem")).unwrap());

    let key = keys::load_secret(&folder.path("key.pem"), || Ok(passphrase(pass))).unwrap().key;
    folder.write("message", MESSAGE);
    folder.write("signature", key.sign(MESSAGE));
    let verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "pub.pem", "-in", "message", "-sigfile"];
    let verified = folder.openssl(&[&verify[..], &["signature"]].concat());
    assert!(verified.stdout.contains("Signature Verified Successfully"), "{verified:?}");
}

/// We read `key.pem` as OpenSSL made it, agree on the public half, and verify its signature.
#[track_caller]
fn we_take(folder: &Folder, pass: &str) {
    let passin = format!("pass:{pass}");
    folder.openssl(&["pkey", "-in", "key.pem", "-passin", &passin, "-pubout", "-out", "pub.pem"]);
    folder.write("message", MESSAGE);
    let sign = ["pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-passin", &passin, "-in", "message"];
    folder.openssl(&[&sign[..], &["-out", "signature"]].concat());
    let signature: [u8; 64] = fs::read(folder.path("signature")).unwrap().try_into().unwrap();

    let secret = keys::load_secret(&folder.path("key.pem"), || Ok(passphrase(pass))).unwrap().key;
    let public = keys::load_public(&folder.path("pub.pem")).unwrap().key;
    assert_eq!(secret.public(), public);
    assert!(public.verify(MESSAGE, &signature));
    assert!(!public.verify(b"another release", &signature));
    assert_eq!(secret.sign(MESSAGE), signature, "Ed25519 signatures are reproducible");
}

#[test]
fn openssl_takes_our_plain_key() {
    let folder = Folder::default();
    folder.sign(&["keygen", "--out", "key.pem", "--pub", "pub.pem"]).ok();
    openssl_takes(&folder, "unused");
}

#[test]
fn openssl_takes_our_encrypted_key_with_its_default_limits() {
    let folder = Folder::default();
    folder.write("pass", "three words here\n");
    folder.sign(&["keygen", "--out", "key.pem", "--pub", "pub.pem", "--passphrase-file", "pass"]).ok();
    let text = fs::read_to_string(folder.path("key.pem")).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{text}");
    openssl_takes(&folder, "three words here");
}

#[test]
fn we_take_a_plain_key_of_openssl() {
    let folder = Folder::default();
    folder.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "key.pem"]);
    we_take(&folder, "unused");
}

#[test]
fn we_take_encrypted_keys_of_openssl() {
    let folder = Folder::default();
    folder.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "plain.pem"]);
    let topk8 = ["pkcs8", "-topk8", "-in", "plain.pem", "-out", "key.pem", "-passout", "pass:open"];
    let ways: [&[&str]; 7] = [
        &["-v2", "aes256"],
        &["-v2", "aes128"],
        &["-v2", "aes-192-cbc"],
        &["-v2", "aes256", "-iter", "600000"],
        &["-v2", "aes256", "-v2prf", "hmacWithSHA512"],
        &["-scrypt"],
        &["-scrypt", "-scrypt_N", "8192", "-scrypt_r", "4", "-scrypt_p", "2"],
    ];
    for way in ways {
        folder.openssl(&[&topk8[..], way].concat());
        we_take(&folder, "open");
    }
    let genpkey = ["genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:open", "-out", "key.pem"];
    folder.openssl(&genpkey);
    we_take(&folder, "open");
}

#[test]
fn a_cipher_that_is_not_read_is_named_as_such() {
    let folder = Folder::default();
    folder.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "plain.pem"]);
    let topk8 = ["pkcs8", "-topk8", "-in", "plain.pem", "-out", "key.pem", "-passout", "pass:open"];
    for way in [&["-v2", "des3"][..], &["-v2", "aes256", "-v2prf", "hmacWithSHA1"], &["-v1", "PBE-SHA1-3DES"]] {
        folder.openssl(&[&topk8[..], way].concat());
        folder.write("pass", "open");
        folder
            .sign(&["pubkey", "key.pem", "--passphrase-file", "pass"])
            .failed(1, &["encrypted by a method that is not supported", "openssl pkcs8 -topk8 -v2 aes256"]);
    }
}

#[test]
fn a_key_of_another_algorithm_is_named() {
    let folder = Folder::default();
    let others: [(&str, &[&str]); 6] = [
        ("RSA", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]),
        ("EC", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        ("X25519", &["-algorithm", "X25519"]),
        ("X448", &["-algorithm", "X448"]),
        ("Ed448", &["-algorithm", "Ed448"]),
        ("RSA-PSS", &["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:1024"]),
    ];
    for (name, how) in others {
        folder.openssl(&[&["genpkey", "-out", "key.pem"], how].concat());
        folder.openssl(&["pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem"]);
        let message = format!("it is a key for {name}, and only Ed25519");
        for file in ["key.pem", "pub.pem"] {
            folder.sign(&["pubkey", file]).failed(1, &[&message, "openssl genpkey -algorithm ed25519"]);
        }
    }
    folder.openssl(&["genrsa", "-traditional", "-out", "old.pem", "1024"]);
    folder.sign(&["pubkey", "old.pem"]).failed(1, &["it is a key for RSA"]);
    folder.openssl(&["pkey", "-in", "old.pem", "-outform", "DER", "-out", "key.der"]);
    folder.sign(&["pubkey", "key.der"]).failed(1, &["it is a DER file", "-inform DER"]);
}
