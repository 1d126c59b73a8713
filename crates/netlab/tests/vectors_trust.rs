//! The core against the vectors of roots and beacons (spec §17, §18).
#![expect(clippy::unwrap_used, reason = "test code")]

use core::time::Duration;

use fleetcast_core::beacon::{Beacon, Current};
use fleetcast_core::freshness::{Verdict, Watch};
use fleetcast_core::manifest::{Manifest, Token, Uuid};
use fleetcast_core::session::{Policy, RefuseReason, Target};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Root, StatementError, Trust, Verified, parse_unverified, verify};
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
    }
}

fn at(seconds: u64) -> Instant {
    Instant::default().after(Duration::from_secs(seconds))
}

/// What becomes of a beacon.
fn hear(watch: &mut Watch, now: Instant, beacon: &[u8], trust: &Trust) -> &'static str {
    match verify::<Beacon>(beacon, trust) {
        Err(e) => e.code(),
        Ok(beacon) => match watch.hear(now, beacon) {
            Verdict::New => "ok",
            Verdict::Same => "duplicate",
            Verdict::Replay => "beacon-replay",
        },
    }
}

#[test]
fn beacons_are_taken_as_the_vectors_say() {
    for v in layer("beacon") {
        let trust = v.trust().unwrap();
        let mut watch = Watch::new(at(0), 0, &trust);
        for newest in v.all("newest") {
            watch.restore(at(0), verify(&unhex(newest), &trust).unwrap());
        }
        assert_eq!(hear(&mut watch, at(0), &v.body, &trust), v.get("expect"), "{}", v.name);
        if !v.is_good() {
            continue;
        }
        let beacon = watch.newest().unwrap();
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

/// Does what a line says, and gives what comes of it.
fn live(v: &Vector, watch: &mut Watch, trust: &mut Trust, line: &str) -> String {
    let words: Vec<_> = line.split(' ').collect();
    let seconds: u64 = words[0].parse().unwrap();
    let now = at(seconds);
    let statement = || v.parts()[words[2].parse::<usize>().unwrap()].to_vec();
    let answer = match words[1] {
        "keep" => {
            watch.restore(now, verify(&statement(), trust).unwrap());
            return line.into();
        }
        "state" => {
            let system = v.all("system").next().map(|unix| unix.parse::<u64>().unwrap() + seconds);
            let clock = watch.clock(now).max(system.unwrap_or_default());
            return format!("{seconds} state {} {clock}", watch.state(now, system, trust).code());
        }
        "hear" => hear(watch, now, &statement(), trust),
        what => {
            assert_eq!(what, "root", "{}: {line}", v.name);
            code(trust.step(&statement()))
        }
    };
    if words[1] == "root" && answer == "ok" {
        watch.follow(now, trust);
    }
    format!("{seconds} {} {} {answer}", words[1], words[2])
}

#[test]
fn devices_know_what_is_current_as_the_vectors_say() {
    for v in layer("freshness") {
        let mut trust = v.trust().unwrap();
        let mut watch = Watch::new(at(0), v.number("built"), &trust);
        for line in v.all("at") {
            assert_eq!(live(&v, &mut watch, &mut trust, line), line, "{}", v.name);
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
