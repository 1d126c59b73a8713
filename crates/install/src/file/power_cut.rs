//! Power cut, or the process killed, before every storage operation of an install, and
//! once more while the next start recovers, with every subset of unflushed changes.
//!
//! Before recovery each target is old or new; after it all of them are.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::cuts::{reboots, seed};
use crate::disk::DiskFile as _;
use crate::durable;
use crate::faulty::Faulty;
use crate::record::ReleaseId;
use crate::sim::SimDisk;

const STATE: &str = "/state/fleetcast";

/// Target, old content, new content.
type Image = (&'static str, Option<&'static [u8]>, &'static [u8]);

/// Two share a folder, and one is new.
const IMAGES: [Image; 3] = [
    ("/data/app.img", Some(b"the old application"), b"the new application, longer"),
    ("/data/ui.img", Some(b"old ui"), b"new"),
    ("/boot/extra.img", None, b"what the old release did not have"),
];

fn plan(components: usize) -> Plan {
    let release = ReleaseId { sequence: 2, security_version: 1, manifest: [0xAB; 32], version: "2.0".into() };
    let component = |(target, _, new): &Image| Component {
        target: target.into(),
        size: new.len() as u64,
        sha256: Sha256::digest(new).into(),
    };
    Plan { release, components: IMAGES.iter().take(components).map(component).collect() }
}

fn device() -> SimDisk {
    let disk = SimDisk::default();
    for folder in ["/data", "/boot", "/state"] {
        durable::create_dir(&disk, Path::new(folder)).unwrap();
    }
    for (target, old, _) in IMAGES {
        if let Some(old) = old {
            durable::replace(&disk, Path::new(target), old).unwrap();
            let file = disk.open_locked(Path::new(target)).unwrap();
            file.set_mode(0o755).unwrap();
            file.flush().unwrap();
        }
    }
    assert_eq!(disk.unflushed(), 0);
    disk
}

/// What a device does at start.
fn start<D: Disk>(disk: &D) -> Result<State<D>, Fault> {
    let mut state = State::open(disk.clone(), Path::new(STATE), [0; 16])?;
    FileBackend::new(disk.clone()).recover(&mut state)?;
    Ok(state)
}

/// What a device does from start until the release runs.
fn run<D: Disk + 'static>(disk: &D, plan: &Plan) -> Result<(), Box<dyn Error>> {
    let mut state = start(disk)?;
    if state.record().installed.as_ref() == Some(&plan.release) {
        return Ok(());
    }
    let backend = FileBackend::new(disk.clone());
    let mut staging = backend.stage(&mut state, plan, &[])?;
    for (nth, (_, _, new)) in IMAGES.iter().take(plan.components.len()).enumerate() {
        staging.write_at(nth, 0, new)?;
    }
    backend.install(&mut state, staging.verify()?)?;
    Ok(())
}

/// Before recovery: each target is wholly old or wholly new, if not all of one release.
fn each_is_old_or_new(disk: &SimDisk, components: usize) {
    let files = disk.files();
    for (target, old, new) in IMAGES.iter().take(components) {
        let found = files.get(Path::new(target)).map(|(_, bytes)| bytes.as_slice());
        assert!(found == *old || found == Some(new), "{target}: {found:?}");
    }
}

/// Starts the device after a crash and runs it to the end.
fn comes_up_and_completes(disk: &SimDisk, plan: &Plan) {
    let components = plan.components.len();
    each_is_old_or_new(disk, components);
    // After recovery all are old or all are new.
    let record = start(disk).unwrap().record().clone();
    assert_eq!(record.phase, Phase::Idle);
    let files = disk.files();
    let is_new = record.installed.as_ref() == Some(&plan.release);
    for (target, old, new) in IMAGES.iter().take(components) {
        let found = files.get(Path::new(target)).map(|(_, bytes)| bytes.as_slice());
        assert_eq!(found, if is_new { Some(*new) } else { *old }, "{target}");
    }
    run(disk, plan).unwrap();
    let names = disk.files();
    let names: Vec<_> = names.keys().filter_map(|path| path.to_str()).collect();
    let mut expected: Vec<_> = IMAGES.iter().map(|(target, ..)| *target).collect();
    expected.truncate(components.max(2));
    expected.extend(["/state/fleetcast/lock", "/state/fleetcast/record"]);
    expected.sort_unstable();
    assert_eq!(names, expected, "nothing is left over");
    let files = disk.files();
    for (target, old, new) in IMAGES.iter().take(components) {
        let mode = if old.is_some() { 0o755 } else { 0o644 };
        assert_eq!(files.get(Path::new(target)), Some(&(mode, new.to_vec())));
    }
}

/// The disk right before operation `cut` of `act`; `None` if it has fewer.
fn before(disk: SimDisk, cut: u64, act: impl FnOnce(&Faulty<SimDisk>)) -> Option<SimDisk> {
    let kept = disk.clone();
    let faulty = Faulty::new(disk, cut..u64::MAX, Errno::IO);
    act(&faulty);
    (faulty.operations() > cut).then_some(kept)
}

/// Every state a crash during the first run can leave, each once.
fn crashed(components: usize, seed: u64, crash: impl Fn(&SimDisk, u64) -> Vec<SimDisk>) -> Vec<SimDisk> {
    let plan = plan(components);
    let mut known = BTreeSet::new();
    let mut all = Vec::new();
    for cut in 0.. {
        let run_until = |disk: &Faulty<SimDisk>| assert!(run(disk, &plan).is_err());
        let whole = Faulty::new(device(), 0..0, Errno::IO);
        run(&whole, &plan).unwrap();
        if cut == whole.operations() {
            println!("{components} components: {cut} operations, {} states", all.len());
            break;
        }
        let disk = before(device(), cut, run_until).unwrap();
        for disk in crash(&disk, seed) {
            if known.insert((disk.files(), disk.unflushed())) {
                all.push(disk);
            }
        }
    }
    all
}

fn survives(components: usize, states: &[SimDisk], seed: u64) {
    let plan = plan(components);
    let mut known = BTreeSet::new();
    let mut interrupted = 0;
    for disk in states {
        comes_up_and_completes(&disk.fork(), &plan);
        for cut in 0.. {
            let again = |disk: &Faulty<SimDisk>| drop(start(disk));
            let Some(cut) = before(disk.fork(), cut, again) else {
                break;
            };
            for disk in reboots(&cut, seed) {
                if known.insert(disk.files()) {
                    interrupted += 1;
                    comes_up_and_completes(&disk, &plan);
                }
            }
        }
    }
    println!("{} states, {interrupted} after a second cut", states.len());
    // Pending installs were among them, and were interrupted again.
    assert!(interrupted > components && states.len() > components);
}

#[test]
fn one_component_survives_a_power_cut_anywhere_and_another_during_recovery() {
    let seed = seed();
    survives(1, &crashed(1, seed, reboots), seed);
}

#[test]
fn three_components_survive_a_power_cut_anywhere_and_another_during_recovery() {
    let seed = seed();
    survives(3, &crashed(3, seed, reboots), seed);
}

/// Killed, what was not flushed is still there, and is lost by the power cut after it.
#[test]
fn three_components_survive_a_kill_anywhere_and_a_power_cut_during_recovery() {
    let seed = seed();
    survives(3, &crashed(3, seed, |disk, _| vec![disk.fork()]), seed);
}

#[test]
fn a_failing_operation_leaves_a_device_that_recovers() {
    for components in [1, 3] {
        let plan = plan(components);
        let whole = Faulty::new(device(), 0..0, Errno::IO);
        run(&whole, &plan).unwrap();
        for failing in 0..whole.operations() {
            for errno in [Errno::NOSPC, Errno::IO] {
                let disk = device();
                let faulty = Faulty::new(disk.clone(), failing..failing + 1, errno);
                // A record that cannot be written in place gets another file.
                assert!(run(&faulty, &plan).is_err() || errno == Errno::IO, "operation {failing}");
                comes_up_and_completes(&disk, &plan);
            }
        }
    }
}

#[test]
fn a_lost_staged_image_withdraws_the_install_while_all_targets_are_old() {
    let plan = plan(3);
    for damage in [None, Some(b"damaged".as_slice())] {
        let disk = interrupted(&plan, 0);
        harm(&disk, "/data/.ui.img.abababababababab.part", damage);
        let mut state = State::open(disk.clone(), Path::new(STATE), [0; 16]).unwrap();
        let recovery = FileBackend::new(disk.clone()).recover(&mut state).unwrap();
        let release = plan.release.clone();
        assert_eq!(recovery, Recovery::Withdrawn { release, lost: vec![1] });
        drop(state);
        comes_up_and_completes(&disk, &plan);
    }
}

#[test]
fn a_lost_staged_image_after_the_first_rename_is_a_fault_until_received_again() {
    let plan = plan(3);
    let disk = interrupted(&plan, 1);
    harm(&disk, "/data/.ui.img.abababababababab.part", None);
    let mut state = State::open(disk.clone(), Path::new(STATE), [0; 16]).unwrap();
    let backend = FileBackend::new(disk.clone());
    for _ in 0..2 {
        let fault = backend.recover(&mut state).unwrap_err();
        assert_eq!(fault.code(), "install-torn");
        assert!(fault.to_string().contains("/data/ui.img"), "{fault}");
    }
    let mut other = self::plan(1);
    other.release.manifest = [1; 32];
    let names = disk.files();
    let fault = backend.stage(&mut state, &other, &[]).unwrap_err();
    assert_eq!(fault.code(), "install-uncovered");
    assert_eq!(disk.files(), names, "nothing was written");

    let mut staging = backend.stage(&mut state, &plan, &[]).unwrap();
    for (nth, (_, _, new)) in IMAGES.iter().enumerate() {
        staging.write_at(nth, 0, new).unwrap();
    }
    backend.install(&mut state, staging.verify().unwrap()).unwrap();
    drop(state);
    comes_up_and_completes(&disk, &plan);
}

#[test]
fn an_unreadable_staged_image_is_a_lost_one() {
    let plan = plan(3);
    for (renamed, heals) in [(0, true), (0, false), (1, true)] {
        let disk = interrupted(&plan, renamed);
        disk.spoil(Path::new("/data/.ui.img.abababababababab.part"), 1..2, heals).unwrap();
        let mut state = State::open(disk.clone(), Path::new(STATE), [0; 16]).unwrap();
        match FileBackend::new(disk.clone()).recover(&mut state) {
            Ok(Recovery::Withdrawn { lost, .. }) => assert_eq!((lost, renamed), (vec![1], 0)),
            Err(Fault::Torn { target, .. }) => assert_eq!((target.to_str(), renamed), (Some("/data/ui.img"), 1)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_install_is_not_forgotten_while_a_target_that_may_be_new_cannot_be_read() {
    let plan = plan(3);
    let disk = interrupted(&plan, 1);
    disk.spoil(Path::new("/data/app.img"), 0..1, true).unwrap();
    harm(&disk, "/data/.ui.img.abababababababab.part", None);
    let mut state = State::open(disk.clone(), Path::new(STATE), [0; 16]).unwrap();
    let fault = FileBackend::new(disk.clone()).recover(&mut state).unwrap_err();
    assert_eq!(fault.code(), "install-torn");
    assert_eq!(state.record().pending(), Some(&plan));
}

/// A device that was killed with the intent recorded and `renamed` targets replaced.
fn interrupted(plan: &Plan, renamed: usize) -> SimDisk {
    for cut in 0.. {
        let disk = before(device(), cut, |disk| drop(run(disk, plan))).unwrap().fork();
        let pending = match crate::load(&disk, Path::new(STATE)) {
            Ok(crate::Loaded::Ok(record)) => record.pending().is_some(),
            _ => false,
        };
        let files = disk.files();
        let new = IMAGES
            .iter()
            .filter(|(target, _, new)| files.get(Path::new(target)).is_some_and(|(_, bytes)| bytes == new));
        if pending && new.count() == renamed {
            return disk;
        }
    }
    unreachable!("the install has no such moment")
}

fn harm(disk: &SimDisk, path: &str, damage: Option<&[u8]>) {
    let path = Path::new(path);
    match damage {
        None => disk.remove(path).unwrap(),
        Some(bytes) => disk.open_locked(path).unwrap().write_at(0, bytes).unwrap(),
    }
}
