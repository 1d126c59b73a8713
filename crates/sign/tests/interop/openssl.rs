//! OpenSSL, which knows nothing of COSE: it signs and verifies the octets of the `Sig_structure`.

use std::fs;

use fleetcast_core::trust::{Envelope, encode_statement, signed_bytes};
use fleetcast_netlab::command_line::{Done, Folder};
use fleetcast_sign::keys::{load_public, public_to_pem};

use super::{KINDS, assert_taken, key, our_statement};

/// Runs OpenSSL in a folder.
fn openssl(folder: &Folder, args: &str) -> Done {
    Done::run(&mut folder.command("openssl", &args.split(' ').collect::<Vec<_>>()))
}

#[test]
fn openssl_takes_what_we_sign() {
    for (kind, _) in KINDS {
        let folder = Folder::default();
        folder.write("pub.pem", public_to_pem(&key().public()).unwrap());
        let statement = our_statement(kind);
        let envelope = Envelope::parse(&statement).unwrap();
        let signature = envelope.signatures().next().unwrap();
        let message = signed_bytes(kind, signature.protected, envelope.payload());
        folder.write("message", &message);
        folder.write("signature", signature.bytes);
        let verify = "pkeyutl -verify -rawin -pubin -inkey pub.pem -in message -sigfile signature";
        assert!(openssl(&folder, verify).ok().stdout.contains("Signature Verified Successfully"));
        folder.write("message", [&message[..], b"."].concat());
        openssl(&folder, verify).failed(1, &[]);
    }
}

#[test]
fn we_take_what_openssl_signs() {
    let folder = Folder::default();
    openssl(&folder, "genpkey -algorithm ed25519 -out key.pem").ok();
    openssl(&folder, "pkey -in key.pem -pubout -out pub.pem").ok();
    let public = load_public(&folder.path("pub.pem")).unwrap().key;
    let sign = |message: &[u8]| {
        folder.write("message", message);
        openssl(&folder, "pkeyutl -sign -rawin -inkey key.pem -in message -out signature").ok();
        fs::read(folder.path("signature")).unwrap().try_into().unwrap()
    };
    assert_taken(&public, |kind, _, payload| encode_statement(kind, payload, &[(public.key_id(), sign)]).unwrap());
}
