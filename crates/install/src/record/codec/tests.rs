use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::record::{MAX_TARGET, MAX_VERSION};

fn release() -> impl Strategy<Value = ReleaseId> {
    let version = vec(any::<char>(), 0..=MAX_VERSION / 4);
    (any::<u64>(), any::<u32>(), any::<[u8; 32]>(), version).prop_map(
        |(sequence, security_version, manifest, version)| ReleaseId {
            sequence,
            security_version,
            manifest,
            version: version.into_iter().collect(),
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let image = (vec(1..=255_u8, 1..64), any::<u64>(), any::<[u8; 32]>());
    (release(), vec(image, 1..=MAX_COMPONENTS)).prop_map(|(release, images)| {
        let place = |(nth, (name, size, sha256)): (usize, (Vec<u8>, u64, [u8; 32]))| {
            let name: Vec<u8> = name.into_iter().filter(|byte| *byte != b'/').collect();
            let target = PathBuf::from(format!("/images/{nth}-x")).into_os_string();
            let target = [target.as_bytes(), &name].concat();
            Component { target: OsStr::from_bytes(&target).into(), size, sha256 }
        };
        Plan { release, components: images.into_iter().enumerate().map(place).collect() }
    })
}

fn trial() -> impl Strategy<Value = Trial> {
    let slot = prop_oneof![Just(None), Just(Some(Slot::A)), Just(Some(Slot::B))];
    (release(), slot).prop_map(|(release, slot)| Trial { release, slot })
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![Just(Reason::FellBack), Just(Reason::Health), Just(Reason::Asked)]
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Idle),
        plan().prop_map(Phase::Installing),
        trial().prop_map(Phase::Switching),
        trial().prop_map(Phase::Trial),
        (trial(), reason()).prop_map(|(trial, reason)| Phase::Returning(trial, reason)),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let seen = (any::<u64>(), any::<[u8; 32]>()).prop_map(|(sequence, manifest)| Seen { sequence, manifest });
    let failed = (release(), reason()).prop_map(|(release, reason)| Failed { release, reason });
    let slots = [proptest::option::of(release()), proptest::option::of(release())];
    let optional = (proptest::option::of(release()), proptest::option::of(seen), proptest::option::of(failed));
    let under_way = || any::<Option<[u8; 32]>>().prop_map(|under_way| Floors::Void { under_way });
    let trust = (any::<u16>(), prop_oneof![Just(Floors::Hold), under_way()]);
    (optional, phase(), slots, any::<[u8; 16]>(), trust).prop_map(
        |((installed, seen, failed), phase, slots, seed, (root, floors))| Record {
            installed,
            seen,
            phase,
            failed,
            slots,
            seed,
            root,
            floors,
        },
    )
}

/// Makes the checksum right again, so that what stands behind it is reached.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len().saturating_sub(CHECKSUM));
    let sum = checksum(&bytes);
    bytes.extend(sum);
    bytes
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(record in record(), counter in any::<u64>()) {
        let mut bytes = record.encode(counter).unwrap();
        prop_assert!(bytes.len() <= MAX_COPY);
        // What stands behind it is of another copy.
        bytes.extend([7; 5]);
        prop_assert_eq!(Record::decode(&bytes).unwrap(), (counter, record));
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(Record::decode(&bytes).is_err());
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let framed = [&MAGIC[..], &[FORMAT], &[0; 8], &length, &bytes, &[0; CHECKSUM]].concat();
        let framed = with_checksum(framed);
        if let Ok((counter, record)) = Record::decode(&framed) {
            prop_assert_eq!(record.encode(counter).unwrap(), framed);
        }
    }

    #[test]
    fn a_changed_byte_is_noticed(record in record(), at in any::<prop::sample::Index>(), by in 1..=255_u8) {
        let mut bytes = record.encode(1).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(Record::decode(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_under_a_right_checksum_gives_an_error_or_another_record(
        record in record(), at in any::<prop::sample::Index>(), by in 1..=255_u8,
    ) {
        let mut bytes = record.encode(1).unwrap();
        let body = bytes.len() - CHECKSUM;
        bytes[at.index(body)] ^= by;
        let bytes = with_checksum(bytes);
        if let Ok((counter, other)) = Record::decode(&bytes) {
            prop_assert_ne!((counter, &other), (1, &record));
            prop_assert_eq!(other.encode(counter).unwrap(), bytes);
        }
    }

    #[test]
    fn a_cut_record_is_noticed(record in record(), at in any::<prop::sample::Index>()) {
        let bytes = record.encode(1).unwrap();
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(Record::decode(cut).is_err());
        prop_assert!(Record::decode(&with_checksum(cut.to_vec())).is_err());
    }
}

fn sample() -> Plan {
    let release = ReleaseId { sequence: 7, security_version: 2, manifest: [9; 32], version: "1.4".into() };
    let component = Component { target: "/data/app.img".into(), size: 5, sha256: [3; 32] };
    Plan { release, components: vec![component] }
}

fn error_of(plan: &Plan) -> &'static str {
    let record = Record { phase: Phase::Installing(plan.clone()), ..Record::default() };
    record.encode(1).map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn a_plan_out_of_bounds_has_its_own_code() {
    assert_eq!(error_of(&sample()), "ok");
    let change = |change: fn(&mut Plan)| {
        let mut plan = sample();
        change(&mut plan);
        error_of(&plan)
    };
    assert_eq!(change(|plan| plan.components.clear()), "plan-components");
    assert_eq!(change(|plan| plan.release.version = "v".repeat(65)), "plan-version");
    assert_eq!(change(|plan| plan.components.extend(sample().components)), "plan-same-target");
    let nine = |plan: &mut Plan| {
        plan.components =
            (0..9).map(|nth| Component { target: format!("/{nth}").into(), size: 1, sha256: [0; 32] }).collect();
    };
    assert_eq!(change(nine), "plan-components");
    for target in ["app.img", "", "/", "/data/../app", "/data/..", "/data//app", "/data/", "/a\0b"] {
        let mut plan = sample();
        plan.components[0].target = target.into();
        assert_eq!(error_of(&plan), "plan-target", "{target:?}");
    }
    let mut plan = sample();
    plan.components[0].target = format!("/{}", "t".repeat(MAX_TARGET)).into();
    assert_eq!(error_of(&plan), "plan-target");
}

#[test]
fn one_deviation_gives_its_own_error() {
    let full = Record {
        installed: Some(sample().release),
        seen: Some(Seen { sequence: 8, manifest: [1; 32] }),
        phase: Phase::Returning(Trial { release: sample().release, slot: Some(Slot::B) }, Reason::Health),
        ..Record::default()
    };
    let good = full.encode(1).unwrap();
    let code = |bytes: &[u8]| Record::decode(bytes).map_or_else(|error| error.code(), |_| "ok");
    assert_eq!(code(&good), "ok");
    assert_eq!(code(&[]), "truncated");
    assert_eq!(code(&good[..HEAD + CHECKSUM - 1]), "truncated");
    let set = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        with_checksum(bytes)
    };
    assert_eq!(code(&set(0, b'f')), "magic");
    assert_eq!(code(&set(4, 2)), "format");
    assert_eq!(code(&set(good.len() - CHECKSUM - 1, 3)), "value");
    assert_eq!(code(&set(HEAD, 2)), "value");
    let version = HEAD + 1 + 8 + 4 + 32;
    assert_eq!(code(&set(version + 1, 0xFF)), "text");
    assert_eq!(code(&set(version, 65)), "plan-version");
    assert_eq!(code(&set(version, 255)), "truncated");
    let phase = version + 1 + 3 + 1 + 8 + 32;
    assert_eq!(code(&set(phase, 5)), "value");
    assert_eq!(code(&set(phase + 1, 3)), "value");
    assert_eq!(code(&set(phase + 2 + 8 + 4 + 32 + 1 + 3, 4)), "value");
    let mut longer = good.clone();
    longer.insert(good.len() - CHECKSUM, 0);
    longer[HEAD - 1] += 1;
    assert_eq!(code(&longer), "checksum");
    assert_eq!(code(&with_checksum(longer)), "trailing");
}

#[test]
fn the_largest_record_fits_its_bound() {
    let release = ReleaseId { version: "v".repeat(MAX_VERSION), ..sample().release };
    let components = (0..MAX_COMPONENTS).map(|nth| Component {
        target: format!("/{nth}{}", "t".repeat(MAX_TARGET - 2)).into(),
        ..sample().components[0].clone()
    });
    let full = Record {
        installed: Some(release.clone()),
        seen: Some(Seen { sequence: 1, manifest: [1; 32] }),
        failed: Some(Failed { release: release.clone(), reason: Reason::Asked }),
        slots: [Some(release.clone()), Some(release.clone())],
        phase: Phase::Installing(Plan { release, components: components.collect() }),
        seed: [7; 16],
        root: u16::MAX,
        floors: Floors::Void { under_way: Some([8; 32]) },
    };
    let bytes = full.encode(1).unwrap();
    assert!(bytes.len() <= MAX_COPY, "{}", bytes.len());
    assert_eq!(Record::decode(&bytes).unwrap(), (1, full));
}

#[test]
fn seen_only_rises_and_keeps_the_first() {
    let mut record = Record::default();
    assert!(record.see(5, [5; 32]));
    assert!(!record.see(5, [6; 32]));
    assert!(!record.see(4, [4; 32]));
    assert_eq!(record.seen, Some(Seen { sequence: 5, manifest: [5; 32] }));
    let release = ReleaseId { sequence: 6, manifest: [6; 32], ..sample().release };
    record.set_installed(&release);
    assert_eq!(record.seen, Some(Seen { sequence: 6, manifest: [6; 32] }));
    assert_eq!(record.installed, Some(release));
}

#[test]
fn a_root_that_voids_floors_does_so_once_until_a_release_is_committed_that_was_not_under_way() {
    let id = |sequence: u8| ReleaseId { sequence: sequence.into(), manifest: [sequence; 32], ..sample().release };
    let mut record = Record::default();
    record.set_installed(&id(6));
    record.follow(1, false);
    assert_eq!((record.root, record.floors, record.seen.map(|seen| seen.sequence)), (1, Floors::Hold, Some(6)));

    record.phase = Phase::Trial(Trial { release: id(200), slot: Some(Slot::B) });
    record.see(200, [200; 32]);
    record.follow(2, true);
    let void = Floors::Void { under_way: Some([200; 32]) };
    assert_eq!((record.root, record.floors, record.seen), (2, void, None));
    // A thief's release that goes on running says nothing of what may follow.
    record.set_installed(&id(200));
    assert_eq!((record.floors, record.seen, record.installed.clone()), (void, None, Some(id(200))));

    record.set_installed(&id(7));
    assert_eq!((record.floors, record.seen.map(|seen| seen.sequence)), (Floors::Hold, Some(7)));
    // Walked again at the next start.
    record.follow(2, true);
    record.follow(1, true);
    assert_eq!((record.root, record.floors, record.seen.map(|seen| seen.sequence)), (2, Floors::Hold, Some(7)));
}
