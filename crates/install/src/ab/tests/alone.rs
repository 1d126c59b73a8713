//! Who may decide when, and what is looked at before anything is touched.

use std::path::Path;

use super::bench::{Bench, Fate, Next, STATE, record};
use super::loader::{Env, SimBoot};
use crate::ab::{AbBackend, Pair};
use crate::backend::Backend as _;
use crate::boot::Boot;
use crate::durable;
use crate::fault::Fault;
use crate::record::{Phase, Reason, Slot};
use crate::sim::SimDisk;
use crate::state::State;

/// A boot loader that is told something while another process comes and wants to end the trial as well.
#[derive(Debug)]
struct Contested {
    boot: SimBoot<SimDisk>,
}

impl Contested {
    fn other_process(&self) -> Vec<Result<(), Fault>> {
        let bench = Bench::new(1, true);
        let disk = &self.boot.disk;
        let backend = bench.backend_with(disk, self.boot.clone());
        let mut state = State::attach(disk.clone(), Path::new(STATE)).unwrap();
        vec![
            backend.commit(&mut state).map(drop),
            backend.roll_back(&mut state, Reason::Asked).map(drop),
            backend.recover(&mut state).map(drop),
        ]
    }

    fn check(&self) {
        for done in self.other_process() {
            // On a real disk it waits.
            assert!(matches!(&done, Err(Fault::Locked { path }) if path.ends_with("trial-lock")), "{done:?}");
        }
    }
}

impl Boot for Contested {
    fn current(&self) -> Result<Slot, Fault> {
        self.boot.current()
    }

    fn primary(&self) -> Result<Slot, Fault> {
        self.boot.primary()
    }

    fn set_primary(&self, slot: Slot, attempts: u8) -> Result<(), Fault> {
        self.check();
        self.boot.set_primary(slot, attempts)
    }

    fn is_good(&self, slot: Slot) -> Result<bool, Fault> {
        self.boot.is_good(slot)
    }

    fn set_good(&self, slot: Slot, is_good: bool) -> Result<(), Fault> {
        // Before a trial there is nothing to decide.
        if record(&self.boot.disk).phase != Phase::Idle {
            self.check();
        }
        self.boot.set_good(slot, is_good)
    }
}

#[test]
fn while_the_boot_loader_is_told_what_becomes_of_a_release_nobody_else_decides() {
    for fate in [Fate::Committed, Fate::RolledBack] {
        let bench = Bench::new(1, true);
        let disk = bench.device();
        for _ in 0..4 {
            let current = bench.start(&disk, &disk).unwrap();
            let boot = Contested { boot: SimBoot { disk: disk.clone(), current } };
            if bench.session(&disk, boot, fate).unwrap() == Next::Done {
                break;
            }
        }
        bench.has_ended(&disk, fate);
    }
}

#[test]
fn a_missing_slot_is_told_before_another_is_made_or_forbidden() {
    let bench = Bench::new(2, false);
    let disk = bench.device();
    durable::create_dir(&disk, Path::new("/new")).unwrap();
    let [rootfs, kernel] = bench.pairs().try_into().unwrap();
    let b = |path: &str| Path::new(path).to_owned();
    let pairs = vec![Pair { b: b("/new/rootfs-b"), ..rootfs }, Pair { b: b("/dev/none"), ..kernel }];
    let backend = AbBackend::new(disk.clone(), SimBoot { disk: disk.clone(), current: Slot::A }, pairs, 3);
    let mut state = Bench::state(&disk).unwrap();
    let fault = backend.stage(&mut state, &bench.plan(), &[]).unwrap_err();
    assert!(matches!(&fault, Fault::SlotMissing { path } if path == Path::new("/dev/none")), "{fault}");
    assert!(!disk.files().contains_key(Path::new("/new/rootfs-b")));
    assert!(Env::read(&disk).unwrap().may_start(Slot::B));
}
