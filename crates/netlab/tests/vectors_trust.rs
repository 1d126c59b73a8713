//! The core against the vectors of roots and beacons (spec §17, §18), and of what a device decides by a manifest (§4).
#![expect(clippy::unwrap_used, reason = "test code")]

use core::time::Duration;
use std::collections::HashMap;

use fleetcast_core::beacon::{Beacon, Current};
use fleetcast_core::manifest::{Manifest, Token, Uuid};
use fleetcast_core::session::{Action, Config, Mark, Policy, Receiver, RefuseReason, Target, Wave};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Root, StatementError, Trust, Verified, parse_unverified, verify};
use fleetcast_core::wire::{Header, Object, StatementKind, Tsi};
use fleetcast_netlab::release;
use fleetcast_netlab::vectors::{self, Vector, layer, unhex};
use sha2::{Digest as _, Sha256};

fn code<T>(result: Result<T, StatementError>) -> &'static str {
    result.map_or_else(|e| e.code(), |_| "ok")
}

#[test]
fn roots_follow_as_the_vectors_say() {
    for v in layer("root") {
        let is_file = v.all("root").chain(v.all("trust")).next().is_none();
        let got = if is_file {
            code(Trust::from_root(&v.body))
        } else {
            let mut trust = v.trust().unwrap();
            let verified = code(verify::<Root>(&v.body, &trust));
            assert_eq!(code(trust.step(&v.body)), verified, "{}", v.name);
            verified
        };
        assert_eq!(got, v.get("expect"), "{}", v.name);
        if !v.is_good() {
            continue;
        }
        let root = parse_unverified::<Root>(&v.body).unwrap();
        assert_eq!(u64::from(root.version), v.number("version"), "{}", v.name);
        assert_eq!(root.issued, v.number("issued"), "{}", v.name);
        assert_eq!(root.vendor.0[..], unhex(v.get("vendor")), "{}", v.name);
        assert_eq!(root.payload_digest()[..], unhex(v.get("payload-digest")), "{}", v.name);
        assert_eq!(Sha256::digest(root.encode().unwrap())[..], root.payload_digest()[..], "{} encodes again", v.name);
    }
}

/// A whole receiver that hears statements, each in a packet of its own, and what came of those before.
struct Listener {
    receiver: Receiver,
    voids_floors: bool,
    earlier: HashMap<(u8, Vec<u8>), &'static str>,
}

impl Listener {
    fn new(trust: Trust, built: u64) -> Self {
        let policy = Policy { built, ..release::policy() };
        let receiver = Receiver::new(Config { trust, policy, staging: 256, seed: 7 });
        Self { receiver, voids_floors: false, earlier: HashMap::new() }
    }

    /// What becomes of a statement. The header decides nothing: it gives a root the number that is due, and no TSI.
    fn hear(&mut self, now: Instant, kind: StatementKind, statement: &[u8]) -> &'static str {
        let receiver = &mut self.receiver;
        let number = if kind == StatementKind::Root { receiver.trust().version() + 1 } else { 0 };
        let header = Header { layer: 0, count: 0, tsi: Tsi([0; 4]), object: Object::Statement { kind, number } };
        let datagram = [&header.encode()[..], statement].concat();
        let dropped: HashMap<_, _> = receiver.counters().dropped().collect();
        let duplicates = receiver.counters().duplicates;
        let mut is_taken = false;
        let mut actions = receiver.handle_datagram(now, 1, &datagram);
        while let Some(action) = actions.next() {
            if let Action::Root { voids_floors, .. } = action {
                self.voids_floors |= voids_floors;
            }
            is_taken |= matches!(action, Action::Root { .. } | Action::Beacon { .. });
        }
        if is_taken {
            return "ok";
        }
        let counters = receiver.counters();
        if counters.duplicates > duplicates {
            return "duplicate";
        }
        let is_more = |(code, count): &(&'static str, u64)| *count > dropped.get(code).copied().unwrap_or_default();
        let (code, _) = counters.dropped().find(is_more).unwrap();
        let earlier = self.earlier.entry((kind as u8, statement.to_vec())).or_insert(code);
        if code == "refused-before" { earlier } else { code }
    }
}

#[test]
fn chains_are_walked_as_the_vectors_say() {
    for v in layer("walk") {
        let mut trust = v.trust().unwrap();
        let mut is_void = false;
        let mut walk = |root: &&[u8]| code(trust.step(root).inspect(|step| is_void |= step.voids_floors));
        let answers: Vec<_> = v.parts().iter().map(&mut walk).collect();
        assert_eq!(answers, v.all("answer").collect::<Vec<_>>(), "{}", v.name);
        assert_eq!(u64::from(trust.version()), v.number("reached"), "{}", v.name);
        assert_eq!(if is_void { "void" } else { "keep" }, v.get("floors"), "{}", v.name);

        let mut listener = Listener::new(v.trust().unwrap(), 0);
        let times = (1..).map(|tens| at(tens * 10));
        let hear = |(now, root): (_, &&[u8])| listener.hear(now, StatementKind::Root, root);
        let answers: Vec<_> = times.zip(&v.parts()).map(hear).collect();
        assert_eq!(answers, v.all("answer").collect::<Vec<_>>(), "{}, by a receiver", v.name);
        assert_eq!(listener.receiver.trust().version(), trust.version(), "{}", v.name);
        assert_eq!(listener.voids_floors, is_void, "{}", v.name);
    }
}

fn at(seconds: u64) -> Instant {
    Instant::default().after(Duration::from_secs(seconds))
}

#[test]
fn beacons_are_taken_as_the_vectors_say() {
    for v in layer("beacon") {
        let trust = v.trust().unwrap();
        let mut listener = Listener::new(trust, 0);
        for newest in v.all("newest") {
            listener.receiver.restore_beacon(at(0), &unhex(newest)).unwrap();
        }
        assert_eq!(listener.hear(at(0), StatementKind::Beacon, &v.body), v.get("expect"), "{}", v.name);
        if !v.is_good() {
            continue;
        }
        let beacon = listener.receiver.beacon().unwrap();
        let numbers = [beacon.issued, beacon.until, beacon.root.into()];
        assert_eq!(numbers, ["issued", "until", "newest-root"].map(|key| v.number(key)), "{}", v.name);
        let current = v.all("current").map(|line| {
            let fields: Vec<_> = line.split(',').collect();
            Current {
                class: Uuid(unhex(fields[0]).try_into().unwrap()),
                sequence: fields[1].parse().unwrap(),
                digest: unhex(fields[2]).try_into().unwrap(),
                security_version: fields[3].parse().unwrap(),
            }
        });
        assert_eq!(beacon.current, current.collect::<Vec<_>>(), "{}", v.name);
        let digest = Sha256::digest(beacon.encode().unwrap());
        assert_eq!(digest[..], beacon.payload_digest()[..], "{} encodes again", v.name);
    }
}

#[test]
fn beacons_refuse_releases_as_the_vectors_say() {
    for v in layer("beacon-policy") {
        let trust = v.trust().unwrap();
        let manifest: Verified<Manifest> = verify(&unhex(v.get("manifest")), &trust).unwrap();
        let beacon: Verified<Beacon> = verify(&v.body, &trust).unwrap();
        let policy = Policy {
            vendor: manifest.vendor,
            classes: v.all("class").map(|class| Uuid(unhex(class).try_into().unwrap())).collect(),
            targets: vec![Target { name: Token::new("rootfs").unwrap(), max_size: 1 << 34 }],
            installed: None,
            ..release::policy()
        };
        let got = policy.check(&manifest, Some(&beacon));
        assert_eq!(got.as_ref().map_or_else(RefuseReason::code, |()| "ok"), v.get("expect"), "{}", v.name);
        assert_eq!(policy.check(&manifest, None), Ok(()), "{}: without the beacon", v.name);
    }
}

/// A release that a device knows, and what else its line says.
fn known(v: &Vector, key: &str) -> Option<(Mark, u32)> {
    let line = v.all(key).next()?;
    let fields: Vec<_> = line.split(',').collect();
    let mark = Mark { sequence: fields[0].parse().unwrap(), digest: unhex(fields[1]).try_into().unwrap() };
    Some((mark, fields.get(2).map_or(0, |version| version.parse().unwrap())))
}

/// The device of a header, and the numbers in it.
fn device(v: &Vector) -> Policy {
    let uuid = |uuid: &str| Uuid(unhex(uuid).try_into().unwrap());
    let target = |line: &str| {
        let (name, size) = line.split_once(',').unwrap();
        Target { name: Token::new(name).unwrap(), max_size: size.parse().unwrap() }
    };
    let wave = v.all("wave-seed").next().map_or_else(
        || Wave::Fixed(v.get("wave-number").parse().unwrap()),
        |seed| Wave::Seed(unhex(seed).try_into().unwrap()),
    );
    let mut policy = Policy {
        vendor: uuid(v.get("device-vendor")),
        classes: v.all("device-class").map(uuid).collect(),
        targets: v.all("target").map(target).collect(),
        installed: known(v, "installed"),
        has_floors: true,
        seen: None,
        trial: known(v, "trial").map(|(mark, _)| mark),
        failed: known(v, "given-up").map(|(mark, _)| mark),
        hardware: v.all("device-hardware").next().map(|revision| revision.parse().unwrap()),
        wave,
        max_packet: v.get("largest-packet").parse().unwrap(),
        built: 0,
    };
    if v.get("floors") == "void" {
        policy.void_floors();
    }
    policy.seen = known(v, "seen").map(|(mark, _)| mark);
    policy
}

#[test]
fn devices_decide_by_the_manifest_as_the_vectors_say() {
    for v in layer("policy") {
        let trust = v.trust().unwrap();
        let manifest: Verified<Manifest> = verify(&v.body, &trust).unwrap();
        let beacon: Option<Verified<Beacon>> = v.all("beacon").next().map(|b| verify(&unhex(b), &trust).unwrap());
        let policy = device(&v);
        let got = policy.check(&manifest, beacon.as_deref());
        assert_eq!(got.as_ref().map_or_else(RefuseReason::code, |()| "ok"), v.get("expect"), "{}", v.name);
        if v.is_good() {
            let number = policy.wave.number(manifest.sequence);
            assert_eq!(u64::from(number), v.number("number"), "{}", v.name);
            assert_eq!(manifest.not_before(number), Some(v.number("not-before")), "{}", v.name);
        }
    }
}

/// Does what a line says, and gives what comes of it.
fn live(v: &Vector, listener: &mut Listener, line: &str) -> String {
    let words: Vec<_> = line.split(' ').collect();
    let seconds: u64 = words[0].parse().unwrap();
    let now = at(seconds);
    let statement = || v.parts()[words[2].parse::<usize>().unwrap()].to_vec();
    let kind = match words[1] {
        "keep" => {
            listener.receiver.restore_beacon(now, &statement()).unwrap();
            return line.into();
        }
        "state" => {
            let system = v.all("system").next().map(|unix| unix.parse::<u64>().unwrap() + seconds);
            let clock = listener.receiver.clock(now).max(system.unwrap_or_default());
            return format!("{seconds} state {} {clock}", listener.receiver.freshness(now, system).code());
        }
        "hear" => StatementKind::Beacon,
        what => {
            assert_eq!(what, "root", "{}: {line}", v.name);
            StatementKind::Root
        }
    };
    format!("{seconds} {} {} {}", words[1], words[2], listener.hear(now, kind, &statement()))
}

#[test]
fn devices_know_what_is_current_as_the_vectors_say() {
    for v in layer("freshness") {
        let mut listener = Listener::new(v.trust().unwrap(), v.number("built"));
        for line in v.all("at") {
            assert_eq!(live(&v, &mut listener, line), line, "{}", v.name);
        }
    }
}

#[test]
fn the_cddl_takes_every_good_root_and_beacon_and_no_payload_of_another_shape() {
    let cddl = std::fs::read_to_string(vectors::folder().join("../fleetcast.cddl")).unwrap();
    for (folder, rule) in [("root", "root-statement"), ("beacon", "beacon-statement")] {
        for v in layer(folder) {
            let got = cddl_cat::validate_cbor_bytes(rule, &cddl, &v.body);
            match v.get("expect") {
                "ok" => assert!(got.is_ok(), "{}: {got:?}", v.name),
                "schema" | "structure-version" => assert!(got.is_err(), "{}", v.name),
                _ => {}
            }
        }
    }
}
