//! Test keys by name, and what they sign: roots and beacons.
//!
//! The Ed25519 seed of key NAME is SHA-256 of `fleetcast UNSAFE test NAME`, as in the vectors of the spec.

use fleetcast_core::beacon::{Beacon, Current};
use fleetcast_core::trust::{Grant, PublicKey, Root, Trust, TrustedKeys, encode_statement};
use fleetcast_core::wire::StatementKind;
use fleetcast_sign::keys::SecretKey;
use sha2::{Digest as _, Sha256};

use crate::release::{CLASS, VENDOR};

/// The private key of this name.
///
/// # Panics
///
/// Never, but for a hash that is no key.
#[must_use]
pub fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(&Sha256::digest(format!("fleetcast UNSAFE test {name}")).into()).unwrap()
}

/// Its public half.
#[must_use]
pub fn public(name: &str) -> PublicKey {
    key(name).public()
}

/// These keys, `threshold` of which must sign.
///
/// # Panics
///
/// If that cannot be.
#[must_use]
pub fn role(threshold: u8, names: &[&str]) -> TrustedKeys {
    TrustedKeys::new(names.iter().map(|name| public(name)).collect(), threshold).unwrap()
}

/// A statement with this payload, signed by these keys.
///
/// # Panics
///
/// If there are too many.
#[must_use]
pub fn sign(kind: StatementKind, payload: &[u8], names: &[&str]) -> Vec<u8> {
    let signer = |key: SecretKey| (key.public().key_id(), move |message: &[u8]| key.sign(message));
    let signers: Vec<_> = names.iter().map(|name| signer(key(name))).collect();
    encode_statement(kind, payload, &signers).unwrap()
}

/// A root of [`VENDOR`] by which one of `root`, `release` and `beacon` each signs alone: to be changed as a test needs it.
#[must_use]
pub fn root(version: u16, root: &[&str], release: &[&str], beacon: &[&str]) -> Root {
    Root {
        version,
        vendor: VENDOR,
        issued: 1_700_000_000 + u64::from(version),
        root: role(1, root),
        grants: vec![Grant::everything(role(1, release))],
        beacon: (!beacon.is_empty()).then(|| role(1, beacon)),
    }
}

/// The statement of a root, signed by these keys.
///
/// # Panics
///
/// If the root is none.
#[must_use]
pub fn signed_root(root: &Root, names: &[&str]) -> Vec<u8> {
    sign(StatementKind::Root, &root.encode().unwrap(), names)
}

/// Trust in a root that is signed by these keys.
///
/// # Panics
///
/// If they are not enough.
#[must_use]
pub fn trust(root: &Root, names: &[&str]) -> Trust {
    Trust::from_root(&signed_root(root, names)).unwrap()
}

/// The statement of a beacon by which this release is the current one of [`CLASS`] for an hour from `issued` on.
///
/// # Panics
///
/// If a value is out of range.
#[must_use]
pub fn beacon(root: u16, issued: u64, (sequence, digest): (u64, [u8; 32]), names: &[&str]) -> Vec<u8> {
    let current = vec![Current { class: CLASS, sequence, digest, security_version: 0 }];
    let beacon = Beacon { vendor: VENDOR, issued, until: issued + 3600, root, current };
    sign(StatementKind::Beacon, &beacon.encode().unwrap(), names)
}
