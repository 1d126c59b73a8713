//! Code that others wrote signs what we take, and takes what we sign (spec §3).

#![expect(clippy::unwrap_used, reason = "test code")]

mod coset;
mod cwt;
mod openssl;

use fleetcast_core::trust::{Envelope, KeyId, PublicKey, TrustedKeys, encode_statement, signed_bytes, verify};
use fleetcast_core::wire::StatementKind;
use fleetcast_netlab::vectors;
use fleetcast_sign::keys::SecretKey;

/// Every kind of statement, with the text that its signatures cover \[S-5\].
const KINDS: [(StatementKind, &str); 1] = [(StatementKind::Manifest, "fleetcast-manifest-1")];

/// Signs everything here.
fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32]).unwrap()
}

/// A payload that devices take.
fn payload(kind: StatementKind) -> Vec<u8> {
    let name = match kind {
        StatementKind::Manifest => "statement/ok-minimal",
    };
    Envelope::parse(&vectors::one(name).body).unwrap().payload().to_vec()
}

/// A statement that `sign` signs for `key`.
fn statement(kind: StatementKind, key: KeyId, sign: impl Fn(&[u8]) -> [u8; 64]) -> Vec<u8> {
    encode_statement(kind, &payload(kind), &[(key, sign)]).unwrap()
}

/// A statement that we sign.
fn our_statement(kind: StatementKind) -> Vec<u8> {
    statement(kind, key().public().key_id(), |message| key().sign(message))
}

/// Fails unless every signature of the statement is by `key` and valid, for this kind and no other text, and devices that trust
/// `key` alone take it.
#[track_caller]
fn assert_taken(kind: StatementKind, statement: &[u8], key: &PublicKey) {
    let envelope = Envelope::parse(statement).unwrap();
    for signature in envelope.signatures() {
        assert_eq!(signature.kid, key.key_id());
        assert!(key.verify(&signed_bytes(kind, signature.protected, envelope.payload()), signature.bytes));
    }
    let trust = TrustedKeys::new(vec![key.clone()], 1).unwrap();
    match kind {
        StatementKind::Manifest => drop(verify(statement, &trust).unwrap()),
    }
}
