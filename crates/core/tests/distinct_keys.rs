//! A threshold counts keys, by their octets: neither signatures nor key ids (CVE-2020-6174 counted ids) \[S-7\].
#![expect(clippy::unwrap_used, reason = "test code")]

use ed25519_dalek::{Signer as _, SigningKey};
use fleetcast_core::manifest::{Manifest, Uuid};
use fleetcast_core::trust::{
    Grant, KeyId, PublicKey, Root, StatementError, Trust, TrustError, TrustedKeys, encode_statement, parse_unverified,
    signed_bytes, verify,
};
use fleetcast_core::wire::StatementKind;

/// Nothing decodes it: signatures come first.
const PAYLOAD: &[u8] = b"anything";
const ED25519: u8 = 0x32;
const EDDSA: u8 = 0x27;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey::from_bytes(key(seed).verifying_key().to_bytes()).unwrap()
}

/// A signature by the key of `seed`, that names the algorithm by either number and any key.
fn signature(seed: u8, algorithm: u8, kid: KeyId) -> Vec<u8> {
    let protected = [&[0xA2, 0x01, algorithm, 0x04, 0x48], &kid.0[..]].concat();
    let signature = key(seed).sign(&signed_bytes(StatementKind::Manifest, &protected, PAYLOAD)).to_bytes();
    [&[0x84, 0x4D], &protected[..], &[0xA0, 0xF6, 0x58, 0x40], &signature].concat()
}

/// Keys with a valid signature, when both of two have to sign.
#[track_caller]
fn valid_of_two(signatures: &[Vec<u8>]) -> u8 {
    let (octets, count) = (u8::try_from(PAYLOAD.len()).unwrap(), u8::try_from(signatures.len()).unwrap());
    let statement = [&[0x82, 0x40 | octets], PAYLOAD, &[0x80 | count], &signatures.concat()].concat();
    let trust = Trust::from(TrustedKeys::new(vec![public(1), public(2)], 2).unwrap());
    match verify::<Manifest>(&statement, &trust).unwrap_err() {
        StatementError::Threshold { valid, required: 2 } => valid,
        // The threshold is met, and the payload looked at.
        StatementError::Cbor => 2,
        other => unreachable!("{other}"),
    }
}

#[test]
fn one_key_counts_once_however_often_it_signs() {
    let [one, two] = [public(1).key_id(), public(2).key_id()];
    assert_eq!(valid_of_two(&[signature(1, ED25519, one)]), 1);
    assert_eq!(valid_of_two(&vec![signature(1, ED25519, one); 8]), 1);
    // Other octets, another signature, the same key.
    assert_eq!(valid_of_two(&[signature(1, ED25519, one), signature(1, EDDSA, one)]), 1);
    assert_eq!(valid_of_two(&[signature(1, ED25519, one), signature(2, EDDSA, two)]), 2);
}

#[test]
fn a_signature_under_another_id_counts_for_neither_key() {
    let [one, two] = [public(1).key_id(), public(2).key_id()];
    assert_eq!(valid_of_two(&[signature(1, ED25519, one), signature(1, ED25519, two)]), 1);
    assert_eq!(valid_of_two(&[signature(1, ED25519, two), signature(2, ED25519, one)]), 0);
    assert_eq!(valid_of_two(&[signature(1, ED25519, one), signature(3, ED25519, public(3).key_id())]), 1);
}

#[test]
fn a_key_cannot_be_trusted_twice() {
    let twice = TrustedKeys::new(vec![public(1), public(2), public(1)], 2);
    assert_eq!(twice.unwrap_err(), TrustError::Duplicate { key: public(1).key_id() });
}

#[test]
fn a_root_cannot_list_a_key_twice() {
    let role = || TrustedKeys::new(vec![public(1), public(2)], 2).unwrap();
    let grants = vec![Grant::everything(role())];
    let root = Root { version: 1, vendor: Uuid([1; 16]), issued: 5, root: role(), grants, beacon: None };
    let payload = root.encode().unwrap();
    let places = [1, 2].map(|seed| payload.windows(32).position(|key| key == public(seed).to_bytes()).unwrap());
    let mut twice = payload.clone();
    twice.copy_within(places[0]..places[0] + 32, places[1]);
    let sign = |payload: &[u8]| {
        let signer = |seed| (public(seed).key_id(), move |message: &[u8]| key(seed).sign(message).to_bytes());
        encode_statement(StatementKind::Root, payload, &[signer(1), signer(2)]).unwrap()
    };
    parse_unverified::<Root>(&sign(&payload)).unwrap();
    assert_eq!(parse_unverified::<Root>(&sign(&twice)).unwrap_err().code(), "range");
}
