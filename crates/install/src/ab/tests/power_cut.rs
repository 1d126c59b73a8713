//! Power cut, or the process killed, before every storage operation in the life of a release: those of the boot loader's
//! environment, the record and the slots; and once more while the next start recovers.
//!
//! At every start what runs is wholly old or wholly new, and there is something to start.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::bench::{Bench, Fate, old, record};
use crate::backend::Backend as _;
use crate::cuts::{reboots, seed};
use crate::disk::Disk;
use crate::fault::Fault;
use crate::faulty::Faulty;
use crate::record::Slot;
use crate::sim::SimDisk;

/// A device after a crash, and what it still runs if it was killed only.
struct Crashed {
    disk: SimDisk,
    runs: Option<Slot>,
    /// The operation it crashed before.
    cut: u64,
}

/// Every state a crash in a device's life can leave, each once. Before `commits` its floors are the old ones.
fn crashed(bench: &Bench, fate: Fate, seed: u64, is_kill: bool) -> Vec<Crashed> {
    let mut known = BTreeSet::new();
    let mut all = Vec::new();
    for cut in 0.. {
        let raw = bench.device();
        let disk = Faulty::new(raw.clone(), cut..u64::MAX, Errno::IO);
        let lived = bench.live(&disk, &raw, fate);
        if disk.operations() <= cut {
            lived.unwrap();
            bench.has_ended(&raw, fate);
            println!("{bench:?} {fate:?}: {cut} operations, {} states", all.len());
            break;
        }
        let runs = bench.current.get().filter(|_| is_kill);
        let disks = if is_kill { vec![raw.fork()] } else { reboots(&raw, seed) };
        for disk in disks {
            if known.insert((disk.files(), disk.unflushed(), runs)) {
                all.push(Crashed { disk, runs, cut });
            }
        }
    }
    all
}

/// What a receiver does first.
fn recover<D: Disk + 'static>(bench: &Bench, disk: &D) -> Result<(), Fault> {
    let mut state = Bench::state(disk)?;
    bench.backend(disk).recover(&mut state).map(drop)
}

/// Lives on after a crash until the release has met its fate.
fn lives_on(bench: &Bench, disk: &SimDisk, runs: Option<Slot>, fate: Fate) {
    bench.current.set(runs);
    bench.live(disk, disk, fate).unwrap();
    bench.has_ended(disk, fate);
    if fate != Fate::Committed {
        return;
    }
    // And from then on.
    bench.current.set(None);
    assert_eq!(bench.start(disk, disk).unwrap(), Slot::B);
    recover(bench, disk).unwrap();
}

fn survives(bench: &Bench, fate: Fate, states: &[Crashed], seed: u64) {
    let mut known = BTreeSet::new();
    let mut interrupted = 0;
    for Crashed { disk, runs, cut } in states {
        let is_old = record(disk).installed == Some(old());
        assert!(is_old || fate == Fate::Committed, "cut {cut}: the floors have risen");
        lives_on(bench, &disk.fork(), *runs, fate);
        for second in 0.. {
            let raw = disk.fork();
            bench.current.set(*runs);
            let faulty = Faulty::new(raw.clone(), second..u64::MAX, Errno::IO);
            let started = match runs {
                Some(_) => Ok(Slot::A),
                None => bench.start(&faulty, &raw),
            };
            let recovered = started.and_then(|_| recover(bench, &faulty));
            if faulty.operations() <= second {
                recovered.unwrap();
                break;
            }
            for disk in reboots(&raw, seed) {
                if known.insert(disk.files()) {
                    interrupted += 1;
                    lives_on(bench, &disk, None, fate);
                }
            }
        }
    }
    println!("{} states, {interrupted} after a second cut", states.len());
    assert!(interrupted > 20 && states.len() > 20);
}

/// One component and three, in files and in block devices.
fn all_survive(fate: Fate, is_kill: bool) {
    let seed = seed();
    for (components, is_block) in [(1, false), (1, true), (3, false), (3, true)] {
        let bench = Bench::new(components, is_block);
        survives(&bench, fate, &crashed(&bench, fate, seed, is_kill), seed);
    }
}

#[test]
fn a_device_survives_power_cuts_anywhere_until_the_release_is_committed() {
    all_survive(Fate::Committed, false);
}

#[test]
fn a_device_survives_kills_anywhere_and_a_power_cut_after_each() {
    all_survive(Fate::Committed, true);
}

#[test]
fn a_device_survives_power_cuts_anywhere_until_the_release_is_rolled_back() {
    all_survive(Fate::RolledBack, false);
}

#[test]
fn a_device_survives_kills_anywhere_until_the_release_is_rolled_back() {
    all_survive(Fate::RolledBack, true);
}

#[test]
fn a_device_survives_power_cuts_anywhere_when_the_release_never_comes_up() {
    all_survive(Fate::Dead, false);
}

#[test]
fn a_resumed_install_survives_power_cuts_anywhere() {
    let seed = seed();
    for (components, is_block) in [(1, true), (3, false), (3, true)] {
        let bench = Bench { is_begun: true, ..Bench::new(components, is_block) };
        survives(&bench, Fate::Committed, &crashed(&bench, Fate::Committed, seed, false), seed);
    }
}

/// The floors are the old ones until commit has begun, whatever the power cut keeps, and the new ones once it has ended.
#[test]
fn the_floors_rise_with_the_commit_and_not_before() {
    let seed = seed();
    for (components, is_block) in [(1, false), (3, true)] {
        let bench = Bench::new(components, is_block);
        // The same life up to the first start of the new release.
        let is_new = |disk: &SimDisk| record(disk).installed != Some(old());
        let states = crashed(&bench, Fate::Committed, seed, false);
        let first = states.iter().find(|state| is_new(&state.disk)).unwrap().cut;
        let last = states.last().unwrap().cut;
        for Crashed { disk, cut, .. } in &states {
            let env = super::loader::Env::read(disk).unwrap();
            // The boot loader comes first: a release that is committed is confirmed.
            assert!(!is_new(disk) || env.is_confirmed(Slot::B), "cut {cut}");
        }
        assert!(first > last / 2, "{first} of {last}");
        let raw = bench.device();
        bench.live(&raw, &raw, Fate::Committed).unwrap();
        assert!(is_new(&raw.reboot(|_| false)));
    }
}

#[test]
fn a_failing_operation_leaves_the_old_release_and_the_next_run_completes() {
    for (components, is_block) in [(1, true), (3, false), (3, true)] {
        let bench = Bench::new(components, is_block);
        for failing in 0.. {
            let mut operations = 0;
            for errno in [Errno::NOSPC, Errno::IO] {
                let raw = bench.device();
                bench.start(&raw, &raw).unwrap();
                let disk = Faulty::new(raw.clone(), failing..failing + 1, errno);
                let current = Slot::A;
                let boot = super::loader::SimBoot { disk: disk.clone(), current };
                let done = bench.session(&disk, boot, Fate::Committed);
                operations = disk.operations();
                if let Err(error) = done {
                    let text = error.to_string();
                    let remedy = if errno == Errno::NOSPC { "free some" } else { "kernel log" };
                    assert!(text.contains(remedy) && text.contains('/'), "operation {failing}: {text}");
                } else {
                    // A record that cannot be written in place gets another file.
                    assert!(errno == Errno::IO || operations <= failing, "operation {failing}");
                }
                bench.is_whole(&raw, Slot::A);
                assert_eq!(record(&raw).installed, Some(old()));
                // Started again by hand, or by a power cut.
                for (disk, runs) in [(raw.fork(), Some(Slot::A)), (raw.reboot(|_| false), None)] {
                    lives_on(&bench, &disk, runs, Fate::Committed);
                }
            }
            if operations <= failing {
                println!("{bench:?}: {failing} operations");
                break;
            }
        }
    }
}
