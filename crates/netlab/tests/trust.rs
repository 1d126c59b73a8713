//! Roots that follow each other, beacons, and what a receiver makes of them, on a virtual clock.
#![expect(clippy::unwrap_used, reason = "test code")]

use fleetcast_core::beacon::Beacon;
use fleetcast_core::freshness::{Freshness, LISTEN, PATIENCE};
use fleetcast_core::manifest::{Manifest, Token, Uuid};
use fleetcast_core::session::{Config, Mark, Policy, Receiver};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Grant, Root, StatementError, Trust, Verified, parse_unverified, tsi_of, verify};
use fleetcast_core::wire::{Header, Object, StatementKind, Tsi};
use fleetcast_netlab::authority::{beacon, public, role, root, sign, signed_root, trust};
use fleetcast_netlab::release::{self, CLASS, facts};
use fleetcast_netlab::sim::Store;

/// The manifest of a release without images worth the name, signed by these keys.
fn manifest(sequence: u64, names: &[&str]) -> Vec<u8> {
    let payload = release::minimal(&facts(sequence)).encode().unwrap();
    sign(StatementKind::Manifest, &payload, names)
}

fn digest(statement: &[u8]) -> [u8; 32] {
    *parse_unverified::<Manifest>(statement).unwrap().payload_digest()
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

/// A receiver, what it asked for, and its time.
struct Device {
    receiver: Receiver,
    store: Store,
    now: u64,
}

impl Device {
    fn new(trust: Trust) -> Self {
        Self::with(trust, release::policy())
    }

    fn with(trust: Trust, policy: Policy) -> Self {
        let receiver = Receiver::new(Config { trust, policy, staging: 256, seed: 7 });
        Self { receiver, store: Store { is_pages_only: true, ..Store::default() }, now: 0 }
    }

    fn hear(&mut self, tsi: Tsi, object: Object, payload: &[u8]) {
        let header = Header { layer: 0, count: 0, tsi, object };
        let datagram: Vec<u8> = header.encode().into_iter().chain(payload.iter().copied()).collect();
        self.store.carry_out(self.receiver.handle_datagram(at(self.now), 1, &datagram));
    }

    fn hear_manifest(&mut self, statement: &[u8]) {
        self.hear(tsi_of(&digest(statement)), Object::MANIFEST, statement);
    }

    /// Under some TSI, which says nothing.
    fn hear_root(&mut self, number: u16, statement: &[u8]) {
        self.hear(Tsi([9; 4]), Object::Statement { kind: StatementKind::Root, number }, statement);
    }

    fn hear_beacon(&mut self, statement: &[u8]) {
        self.hear(Tsi([8; 4]), Object::Statement { kind: StatementKind::Beacon, number: 0 }, statement);
    }

    fn dropped(&self, code: &str) -> u64 {
        self.receiver.counters().dropped_for(code)
    }

    fn freshness(&self) -> Freshness {
        self.receiver.freshness(at(self.now), None)
    }
}

fn refusal(statement: &[u8], trust: &Trust) -> &'static str {
    verify::<Manifest>(statement, trust).map_or_else(|e| e.code(), |_| "ok")
}

#[test]
fn a_root_follows_only_with_the_thresholds_of_both() {
    let one = Root { root: role(2, &["a", "b", "c"]), ..root(1, &["a"], &["r"], &[]) };
    let two = Root { root: role(2, &["c", "d", "e"]), ..root(2, &["a"], &["r"], &[]) };
    let start = trust(&one, &["a", "b"]);
    let code = |names: &[&str]| start.clone().step(&signed_root(&two, names)).map_or_else(|e| e.code(), |_| "ok");
    assert_eq!(code(&["a", "b", "d", "e"]), "ok");
    assert_eq!(code(&["a", "c", "d"]), "ok", "one key may count for both");
    assert_eq!(code(&["a", "b"]), "threshold", "only the old keys");
    assert_eq!(code(&["d", "e"]), "threshold", "only the keys it brings itself");
    assert_eq!(code(&["a", "a", "c", "d"]), "ok");
    assert_eq!(code(&["a", "a", "d", "e"]), "threshold", "two signatures of one key are one");
    let version = |version| signed_root(&Root { version, ..two.clone() }, &["a", "b", "d", "e"]);
    let next = StatementError::RootVersion { got: 3, next: 2 };
    assert_eq!(start.clone().step(&version(3)).unwrap_err(), next);
    assert_eq!(start.clone().step(&version(1)).unwrap_err().code(), "root-version");
    let foreign = Root { vendor: Uuid([5; 16]), ..two };
    assert_eq!(start.clone().step(&signed_root(&foreign, &["a", "b", "d", "e"])).unwrap_err().code(), "scope");
}

#[test]
fn a_root_file_must_be_signed_by_its_own_root_keys() {
    let one = Root { root: role(2, &["a", "b"]), ..root(1, &["a"], &["r"], &[]) };
    assert!(Trust::from_root(&signed_root(&one, &["a", "b"])).is_ok());
    assert_eq!(Trust::from_root(&signed_root(&one, &["a", "r"])).unwrap_err().code(), "threshold");
    assert_eq!(Trust::from_root(&manifest(1, &["a", "b"])).unwrap_err().code(), "schema");
}

#[test]
fn a_signature_over_one_kind_of_statement_is_none_over_another() {
    let one = root(1, &["a"], &["a"], &["a"]);
    let trust = trust(&one, &["a"]);
    let payload = release::minimal(&facts(1)).encode().unwrap();
    for kind in [StatementKind::Root, StatementKind::Beacon] {
        assert_eq!(refusal(&sign(kind, &payload, &["a"]), &trust), "threshold");
    }
    assert_eq!(refusal(&sign(StatementKind::Manifest, &payload, &["a"]), &trust), "ok");
    let two = Root { version: 2, ..one };
    let as_manifest = sign(StatementKind::Manifest, &two.encode().unwrap(), &["a"]);
    assert_eq!(trust.clone().step(&as_manifest).unwrap_err().code(), "threshold");
}

#[test]
fn a_statement_sent_as_another_kind_keeps_nothing_out() {
    // One key for all, as small makers have it.
    let one = root(1, &["a"], &["a"], &["a"]);
    let mut device = Device::new(trust(&one, &["a"]));
    let two = signed_root(&Root { version: 2, ..one }, &["a"]);
    device.hear_beacon(&two);
    assert_eq!(device.dropped("threshold"), 1);
    device.hear_root(2, &two);
    assert_eq!(device.receiver.trust().version(), 2);
}

#[test]
fn a_release_counts_by_a_grant_that_is_met_and_covers_it() {
    let token = |text| Token::new(text).unwrap();
    let grants = vec![
        Grant { operator: Some(role(1, &["o1", "o2"])), ..Grant::everything(role(2, &["r1", "r2", "r3"])) },
        Grant { classes: Some(vec![Uuid([1; 16]), CLASS]), ..Grant::everything(role(1, &["board"])) },
        Grant { classes: Some(vec![Uuid([1; 16])]), ..Grant::everything(role(1, &["other-board"])) },
        Grant { targets: Some(vec![token("rootfs")]), ..Grant::everything(role(1, &["rootfs"])) },
        Grant { targets: Some(vec![token("boot")]), ..Grant::everything(role(1, &["boot"])) },
    ];
    let trust = trust(&Root { grants, ..root(1, &["a"], &["r"], &[]) }, &["a"]);
    let code = |names: &[&str]| refusal(&manifest(7, names), &trust);
    assert_eq!(code(&["r1", "r3", "o2"]), "ok");
    assert_eq!(code(&["r1", "r3"]), "threshold", "the operator is missing");
    assert_eq!(code(&["r1", "o1", "o2"]), "threshold", "an author is missing");
    assert_eq!(code(&["r1", "r1", "o1"]), "threshold", "the same author twice");
    assert_eq!(code(&["board"]), "ok");
    assert_eq!(code(&["other-board"]), "scope");
    assert_eq!(code(&["rootfs"]), "ok");
    assert_eq!(code(&["boot"]), "scope");
    assert_eq!(code(&["boot", "rootfs"]), "ok");
    assert_eq!(code(&["a"]), "threshold", "who signs roots signs no releases");
    let foreign = Root { vendor: Uuid([5; 16]), ..root(1, &["a"], &["r"], &[]) };
    assert_eq!(refusal(&manifest(7, &["r"]), &fleetcast_netlab::authority::trust(&foreign, &["a"])), "scope");
}

#[test]
fn floors_are_void_when_nothing_signed_before_counts_any_longer() {
    let step = |old: Root, new: Root| trust(&old, &["a"]).step(&signed_root(&new, &["a"])).unwrap().voids_floors;
    let with = |version, author: &[&str], threshold, operator: Option<&[&str]>| {
        let grant = Grant { operator: operator.map(|o| role(1, o)), ..Grant::everything(role(threshold, author)) };
        Root { grants: vec![grant], ..root(version, &["a"], &["r"], &[]) }
    };
    assert!(!step(with(1, &["r"], 1, None), with(2, &["r"], 1, None)));
    assert!(step(with(1, &["r"], 1, None), with(2, &["s"], 1, None)));
    assert!(!step(with(1, &["r"], 1, None), with(2, &["r", "s"], 1, None)), "the old key still signs");
    assert!(step(with(1, &["r", "s"], 1, None), with(2, &["r", "t"], 2, None)), "the old key alone does not suffice");
    assert!(!step(with(1, &["r", "s"], 1, None), with(2, &["r", "s", "t"], 2, None)));
    assert!(
        step(with(1, &["r"], 1, Some(&["o"])), with(2, &["s"], 1, Some(&["o"]))),
        "the operator stays, the author does not"
    );
    assert!(!step(with(1, &["r"], 1, Some(&["o"])), with(2, &["o"], 1, Some(&["r"]))), "keys that change places");
    let both = Root {
        grants: [with(2, &["s"], 1, None).grants, with(2, &["r"], 1, None).grants].concat(),
        ..with(2, &["r"], 1, None)
    };
    assert!(!step(with(1, &["r"], 1, None), both), "one of two grants keeps the old key");
}

#[test]
fn a_device_that_slept_walks_all_roots_and_takes_what_the_last_one_allows() {
    let names = |version: u16| (format!("root-{version}"), format!("release-{version}"));
    let statement = |version: u16| {
        let (own, release) = names(version);
        let before = names(version - 1).0;
        signed_root(&root(version, &[&own], &[&release], &[]), &[&before, &own])
    };
    let (own, release) = names(1);
    let mut device = Device::new(trust(&root(1, &[&own], &[&release], &[]), &[&own]));
    let (old, new) = (manifest(50, &["release-1"]), manifest(60, &["release-5"]));
    device.hear_manifest(&old);
    assert_eq!(device.store.begun, [50]);
    device.hear_manifest(&new);
    assert_eq!(device.dropped("threshold"), 1);
    // They come in the wrong order first.
    for version in [5, 4, 3, 2] {
        device.hear_root(version, &statement(version));
    }
    assert_eq!((device.receiver.trust().version(), device.dropped("root-version")), (2, 3));
    assert_eq!(device.store.abandoned, [(50, "threshold")], "its key is revoked");
    assert!(device.receiver.manifest().is_none());
    for version in 2..=5 {
        // Signatures are verified at a limited rate.
        device.now += 1;
        device.hear_root(version, &statement(version));
    }
    assert_eq!(device.store.roots, [(2, true), (3, true), (4, true), (5, true)]);
    device.hear_manifest(&old);
    assert_eq!(device.store.begun, [50], "nor does it come back");
    device.hear_manifest(&new);
    assert_eq!(device.store.begun, [50, 60], "what was refused under root 1 is not remembered under root 5");
    assert_eq!(device.receiver.trust().keys_for(StatementKind::Root).collect::<Vec<_>>(), [&public("root-5")]);
}

#[test]
fn bare_keys_sign_the_first_root_of_their_vendor_only() {
    let bare = || Trust::from(role(1, &["release"]));
    let one = root(1, &["a"], &["b"], &[]);
    let mut device = Device::new(bare());
    device.hear_root(1, &signed_root(&Root { vendor: Uuid([5; 16]), ..one.clone() }, &["release", "a"]));
    device.hear_root(1, &signed_root(&one, &["a"]));
    assert_eq!((device.dropped("vendor"), device.dropped("threshold"), device.receiver.trust().version()), (1, 1, 0));
    device.hear_root(1, &signed_root(&one, &["release", "a"]));
    assert_eq!(device.receiver.trust().version(), 1);
    device.hear_manifest(&manifest(3, &["release"]));
    assert_eq!((&device.store.begun[..], device.dropped("threshold")), (&[][..], 2));
    device.hear_manifest(&manifest(3, &["b"]));
    assert_eq!(device.store.begun, [3]);
}

#[test]
fn a_stolen_release_key_that_used_up_the_sequence_numbers_is_undone_by_a_root() {
    let policy = Policy {
        installed: Some((Mark { sequence: u64::MAX >> 1, digest: [1; 32] }, u32::MAX)),
        seen: Some(Mark { sequence: u64::MAX >> 1, digest: [1; 32] }),
        ..release::policy()
    };
    let mut device = Device::with(trust(&root(1, &["a"], &["thief"], &[]), &["a"]), policy);
    device.hear_root(2, &signed_root(&root(2, &["a"], &["r"], &[]), &["a"]));
    device.hear_manifest(&manifest(8, &["r"]));
    assert_eq!((&device.store.begun[..], &device.store.roots[..]), (&[8][..], &[(2, true)][..]));
    // A root that still lets the old key sign keeps the floors: else what it signed before could be played again.
    let mut device = Device::with(trust(&root(1, &["a"], &["thief"], &[]), &["a"]), device_policy());
    device.hear_root(2, &signed_root(&root(2, &["a"], &["thief", "r"], &[]), &["a"]));
    device.hear_manifest(&manifest(8, &["r"]));
    assert_eq!((&device.store.begun[..], device.dropped("rollback")), (&[][..], 1));
}

/// A device that runs sequence 9.
fn device_policy() -> Policy {
    Policy { installed: Some((Mark { sequence: 9, digest: [1; 32] }, 1)), ..release::policy() }
}

#[test]
fn a_beacon_decides_which_releases_are_current() {
    let by_root = || trust(&root(1, &["a"], &["r"], &["b"]), &["a"]);
    let statement = |sequence| manifest(sequence, &["r"]);
    let mut device = Device::with(by_root(), device_policy());
    device.hear_beacon(&beacon(1, 1000, (20, digest(&statement(20))), &["b"]));
    assert_eq!(device.store.beacons, [1000]);
    device.hear_manifest(&statement(15));
    assert_eq!(device.dropped("superseded"), 1);
    device.hear_manifest(&manifest(20, &["r", "thief"]));
    assert_eq!(device.store.begun, [20], "signatures are not part of what is named");

    let mut device = Device::with(by_root(), device_policy());
    device.hear_beacon(&beacon(1, 1000, (20, [7; 32]), &["b"]));
    device.hear_manifest(&statement(20));
    assert_eq!(device.dropped("equivocation"), 1);
    device.hear_manifest(&statement(21));
    assert_eq!(device.store.begun, [21], "newer than the beacon knows");
    // A later beacon knows better: what is being received is given up.
    device.hear_beacon(&beacon(1, 1001, (30, [7; 32]), &["b"]));
    assert_eq!(device.store.abandoned, [(21, "superseded")]);
    // Beacons that are not later change nothing.
    device.hear_beacon(&beacon(1, 1000, (20, [7; 32]), &["b"]));
    device.hear_beacon(&beacon(1, 1001, (21, digest(&statement(21))), &["b"]));
    assert_eq!((device.dropped("beacon-replay"), &device.store.beacons[..]), (2, &[1000, 1001][..]));
    device.hear_beacon(&beacon(1, 2000, (21, digest(&statement(21))), &["r"]));
    assert_eq!(device.dropped("threshold"), 1, "a release key is no beacon key");
    device.hear_beacon(&beacon(1, 2000, (21, digest(&statement(21))), &["b"]));
    device.hear_manifest(&statement(21));
    assert_eq!(device.store.begun, [21, 21]);
}

#[test]
fn stepping_stones_are_entries_of_their_own() {
    let (stone, last) = (manifest(12, &["r"]), manifest(20, &["r"]));
    let entry = |statement: &[u8], sequence, security_version| fleetcast_core::beacon::Current {
        class: CLASS,
        sequence,
        digest: digest(statement),
        security_version,
    };
    let both = Beacon {
        vendor: release::VENDOR,
        issued: 1000,
        until: 2000,
        root: 1,
        current: vec![entry(&stone, 12, 0), entry(&last, 20, 7)],
    };
    let mut device = Device::with(trust(&root(1, &["a"], &["r"], &["b"]), &["a"]), device_policy());
    device.hear_beacon(&sign(StatementKind::Beacon, &both.encode().unwrap(), &["b"]));
    device.hear_manifest(&stone);
    assert_eq!(device.store.begun, [12]);
    device.hear_manifest(&manifest(13, &["r"]));
    assert_eq!(device.dropped("security-version"), 1);
}

#[test]
fn what_is_known_is_current_while_beacons_come() {
    let mut device = Device::new(trust(&root(1, &["a"], &["r"], &["b"]), &["a"]));
    assert_eq!(device.freshness(), Freshness::Waiting);
    device.now = PATIENCE.as_secs();
    assert_eq!(device.freshness(), Freshness::Stale { until: 0 }, "none ever came");
    let issued = 1_800_000_000;
    let current = beacon(1, issued, (20, [7; 32]), &["b"]);
    device.hear_beacon(&current);
    assert_eq!(device.freshness(), Freshness::Waiting, "a later one may be held back");
    device.now += LISTEN.as_secs();
    assert_eq!(device.freshness(), Freshness::Fresh { until: issued + 3600 });
    // A frozen carousel: the same one for ever.
    for _ in 0..360 {
        device.hear_beacon(&current);
        device.now += 10;
    }
    assert_eq!(device.freshness(), Freshness::Stale { until: issued + 3600 });
    device.hear_beacon(&beacon(1, issued + 1800, (20, [7; 32]), &["b"]));
    assert_eq!(device.freshness(), Freshness::Fresh { until: issued + 5400 });
    // It names a root that is kept from the device.
    device.hear_beacon(&beacon(2, issued + 1801, (20, [7; 32]), &["b"]));
    assert_eq!(device.freshness(), Freshness::Behind { root: 2 });
    device.hear_root(2, &signed_root(&root(2, &["a"], &["r"], &["b"]), &["a"]));
    assert_eq!(device.freshness(), Freshness::Fresh { until: issued + 5401 });
    // A root without beacons.
    device.hear_root(3, &signed_root(&root(3, &["a"], &["r"], &[]), &["a"]));
    assert_eq!(device.freshness(), Freshness::Off);
}

#[test]
fn a_beacon_from_before_a_restart_counts_but_shows_nothing() {
    let (issued, later) = (1_800_000_000, 1_800_001_000);
    let kept = beacon(1, issued, (20, [7; 32]), &["b"]);
    let mut device = Device::new(trust(&root(1, &["a"], &["r"], &["b"]), &["a"]));
    device.receiver.restore_beacon(at(0), &kept).unwrap();
    assert!(device.receiver.restore_beacon(at(0), &beacon(1, issued, (20, [7; 32]), &["thief"])).is_err());
    assert_eq!(device.receiver.clock(at(5)), issued + 5);
    device.hear_manifest(&manifest(15, &["r"]));
    assert_eq!(device.dropped("superseded"), 1);
    device.now = 60;
    assert_eq!(device.freshness(), Freshness::Waiting, "it may have slept for a year");
    device.hear_beacon(&beacon(1, issued - 1, (15, [7; 32]), &["b"]));
    assert_eq!((device.dropped("beacon-replay"), device.freshness()), (1, Freshness::Waiting));
    device.hear_beacon(&kept);
    device.now += LISTEN.as_secs();
    assert_eq!(device.freshness(), Freshness::Fresh { until: issued + 3600 });
    assert_eq!(device.receiver.freshness(at(70), Some(later + 10_000)), Freshness::Stale { until: issued + 3600 });
}

#[test]
fn a_root_forgets_what_a_revoked_beacon_key_said_its_time_included() {
    let mut device = Device::new(trust(&root(1, &["a"], &["r"], &["thief"]), &["a"]));
    let far = (1 << 40) - 5000;
    device.hear_beacon(&beacon(1, far, (u64::MAX >> 1, [7; 32]), &["thief"]));
    assert_eq!(device.receiver.clock(at(0)), far);
    device.hear_manifest(&manifest(15, &["r"]));
    assert_eq!((device.dropped("superseded"), &device.store.begun[..]), (1, &[][..]));
    let two = root(2, &["a"], &["r"], &["b"]);
    device.hear_root(2, &signed_root(&two, &["a"]));
    assert!(device.receiver.beacon().is_none());
    assert_eq!(device.receiver.clock(at(0)), two.issued);
    device.hear_manifest(&manifest(15, &["r"]));
    assert_eq!(device.store.begun, [15]);
    device.hear_beacon(&beacon(2, 1_800_000_000, (15, digest(&manifest(15, &["r"]))), &["b"]));
    assert_eq!(device.store.beacons, [far, 1_800_000_000]);
}

#[test]
fn a_beacon_key_signs_no_release_and_no_root() {
    let trust = trust(&root(1, &["a"], &["r"], &["b"]), &["a"]);
    assert_eq!(refusal(&manifest(3, &["b"]), &trust), "threshold");
    let two = signed_root(&root(2, &["b"], &["b"], &["b"]), &["b"]);
    assert_eq!(trust.clone().step(&two).unwrap_err().code(), "threshold");
    let verified: Result<Verified<Beacon>, _> = verify(&beacon(1, 5, (3, [0; 32]), &["b"]), &trust);
    assert!(verified.is_ok());
}
