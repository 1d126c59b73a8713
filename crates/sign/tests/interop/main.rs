//! Code that others wrote signs what we take, and takes what we sign (spec §3).

#![expect(clippy::unwrap_used, reason = "test code")]

mod coset;
mod cwt;
mod openssl;

use fleetcast_core::beacon::{Beacon, Current};
use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::{Envelope, Grant, PublicKey, Root, Trust, TrustedKeys, verify};
use fleetcast_core::wire::StatementKind::{self, Beacon as BEACON, Manifest as MANIFEST, Root as ROOT};
use fleetcast_netlab::release::{CLASS, VENDOR};
use fleetcast_netlab::{authority, vectors};
use fleetcast_sign::keys::SecretKey;

/// Every kind of statement, with the text that its signatures cover \[S-5\].
const KINDS: [(StatementKind, &str); 3] =
    [(ROOT, "fleetcast-root-1"), (MANIFEST, "fleetcast-manifest-1"), (BEACON, "fleetcast-beacon-1")];

/// Signs for us.
fn key() -> SecretKey {
    authority::key("release")
}

/// A payload that devices take which trust `key` alone.
fn payload(kind: StatementKind, key: &PublicKey) -> Vec<u8> {
    let role = || TrustedKeys::new(vec![key.clone()], 1).unwrap();
    let (vendor, issued) = (VENDOR, 1_700_000_000);
    match kind {
        MANIFEST => Envelope::parse(&vectors::one("statement/ok-minimal").body).unwrap().payload().to_vec(),
        ROOT => {
            let grants = vec![Grant::everything(role())];
            Root { version: 1, vendor, issued, root: role(), grants, beacon: Some(role()) }.encode().unwrap()
        }
        BEACON => {
            let current = vec![Current { class: CLASS, sequence: 1, digest: [7; 32], security_version: 0 }];
            Beacon { vendor, issued, until: issued + 3600, root: 1, current }.encode().unwrap()
        }
    }
}

/// A statement that we sign.
fn our_statement(kind: StatementKind) -> Vec<u8> {
    authority::sign(kind, &payload(kind, &key().public()), &["release"])
}

/// Fails unless a device that trusts `key` alone takes a statement of every kind that `sign` makes of a kind, its text and a payload,
/// and takes none as another kind.
#[track_caller]
fn assert_taken(key: &PublicKey, sign: impl Fn(StatementKind, &str, &[u8]) -> Vec<u8>) {
    let statements = KINDS.map(|(kind, text)| sign(kind, text, &payload(kind, key)));
    let mut trust = Trust::from(TrustedKeys::new(vec![key.clone()], 1).unwrap());
    trust.step(&statements[0]).unwrap();
    verify::<Manifest>(&statements[1], &trust).unwrap();
    verify::<Beacon>(&statements[2], &trust).unwrap();
    for ((kind, text), (other, _)) in KINDS.iter().zip(KINDS.iter().cycle().skip(1)) {
        let statement = sign(*kind, text, &payload(*other, key));
        let refused = match other {
            MANIFEST => verify::<Manifest>(&statement, &trust).map(drop),
            ROOT => verify::<Root>(&statement, &trust).map(drop),
            BEACON => verify::<Beacon>(&statement, &trust).map(drop),
        };
        assert_eq!(refused.unwrap_err().code(), "threshold", "{text}");
    }
}
