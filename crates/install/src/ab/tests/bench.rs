//! A device with two slots, a boot loader, and a release to install.

use std::cell::Cell;
use std::error::Error;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::loader::{Env, SimBoot, boot};
use crate::ab::{AbBackend, Pair};
use crate::backend::{Backend as _, Installed, Recovery};
use crate::boot::Boot;
use crate::disk::Disk;
use crate::durable;
use crate::fault::Fault;
use crate::record::{Component, Phase, Plan, Reason, Record, ReleaseId, Slot};
use crate::sim::SimDisk;
use crate::staging::Staging;
use crate::state::{Loaded, State, load};

pub(super) const STATE: &str = "/state/fleetcast";
/// Bytes of a simulated block device.
pub(super) const BLOCK: usize = 48;
/// Starts of a new release.
pub(super) const ATTEMPTS: u8 = 3;

/// Name, old image, new image.
type Image = (&'static str, &'static [u8], &'static [u8]);

pub(super) const IMAGES: [Image; 3] = [
    ("rootfs", b"the old root", b"the new root file system, longer"),
    ("kernel", b"the old kernel", b"new kernel"),
    ("dtb", b"old", b"what describes the device"),
];

/// What becomes of the new release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It comes up and is committed.
    Committed,
    /// It comes up and is rolled back.
    RolledBack,
    /// It never comes up.
    Dead,
}

/// What a session has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Restart,
    Done,
}

/// The kind of device.
#[derive(Clone, Debug)]
pub(super) struct Bench {
    pub(super) components: usize,
    /// Slots are block devices, else files.
    pub(super) is_block: bool,
    /// An earlier session was interrupted while it received.
    pub(super) is_begun: bool,
    /// What the last simulated start has led to; `None` until there is one.
    pub(super) current: Cell<Option<Slot>>,
}

impl Bench {
    pub(super) fn new(components: usize, is_block: bool) -> Self {
        Self { components, is_block, is_begun: false, current: Cell::new(None) }
    }

    pub(super) fn images(&self) -> impl Iterator<Item = &'static Image> + use<> {
        IMAGES.iter().take(self.components)
    }

    pub(super) fn pairs(&self) -> Vec<Pair> {
        let pair = |(name, ..): &Image| Pair { a: slot_path(name, Slot::A), b: slot_path(name, Slot::B) };
        self.images().map(pair).collect()
    }

    pub(super) fn plan(&self) -> Plan {
        let component = |(name, _, new): &Image| Component {
            target: slot_path(name, Slot::A),
            size: new.len() as u64,
            sha256: Sha256::digest(new).into(),
        };
        Plan { release: new(), components: self.images().map(component).collect() }
    }

    pub(super) fn backend<D: Disk>(&self, disk: &D) -> AbBackend<D, SimBoot<D>> {
        let current = self.current.get().expect("a device that was started");
        self.backend_with(disk, SimBoot { disk: disk.clone(), current })
    }

    pub(super) fn backend_with<D: Disk, B: Boot>(&self, disk: &D, boot: B) -> AbBackend<D, B> {
        AbBackend::new(disk.clone(), boot, self.pairs(), ATTEMPTS)
    }

    pub(super) fn state<D: Disk>(disk: &D) -> Result<State<D>, Fault> {
        State::open(disk.clone(), Path::new(STATE), [0; 16])
    }

    /// A device that runs the old release from slot a, confirmed. Slot b has something older; of the last component
    /// nothing if it is a file.
    pub(super) fn device(&self) -> SimDisk {
        let disk = SimDisk::default();
        for folder in ["/slots", "/env", "/state"] {
            durable::create_dir(&disk, Path::new(folder)).unwrap();
        }
        for (nth, (name, old, _)) in self.images().enumerate() {
            let mut old = old.to_vec();
            let mut older = vec![0xEE; BLOCK];
            if self.is_block {
                old.resize(BLOCK, 0);
            } else {
                older.truncate(40);
            }
            for (slot, bytes) in [(Slot::A, old), (Slot::B, older)] {
                if self.is_block || slot == Slot::A || nth + 1 < self.components {
                    durable::replace(&disk, &slot_path(name, slot), &bytes).unwrap();
                }
                if self.is_block {
                    disk.set_block(&slot_path(name, slot), false).unwrap();
                }
            }
        }
        Env::CONFIRMED.write(&disk).unwrap();
        Self::state(&disk).unwrap().update(|record| record.set_installed(&old())).unwrap();
        self.current.set(Some(Slot::A));
        if self.is_begun {
            let mut state = Self::state(&disk).unwrap();
            let mut staging = self.backend(&disk).stage(&mut state, &self.plan(), &[]).unwrap();
            for (nth, (.., new)) in self.images().enumerate() {
                staging.write_at(nth, 0, &new[..new.len() / 2]).unwrap();
            }
            staging.flush().unwrap();
        }
        assert_eq!(disk.unflushed(), 0);
        self.current.set(None);
        disk
    }

    /// Starts the device, whatever it ran.
    pub(super) fn start<D: Disk>(&self, disk: &D, raw: &SimDisk) -> Result<Slot, Fault> {
        self.current.set(None);
        let slot = boot(disk)?;
        self.current.set(Some(slot));
        self.is_whole(raw, slot);
        Ok(slot)
    }

    /// What runs is bit for bit the release that belongs there: old in a, new in b.
    pub(super) fn is_whole(&self, raw: &SimDisk, slot: Slot) {
        let files = raw.files();
        for (name, old, new) in self.images() {
            let mut expected = if slot == Slot::A { old.to_vec() } else { new.to_vec() };
            if self.is_block {
                expected.resize(BLOCK, 0);
            }
            let found = files.get(&slot_path(name, slot)).map(|(_, bytes)| bytes);
            assert_eq!(found, Some(&expected), "{name} in slot {slot}");
        }
    }

    /// Writes the images of the new release.
    pub(super) fn receive<D: Disk>(&self, staging: &mut Staging<D>) -> Result<(), Fault> {
        for (nth, (.., new)) in self.images().enumerate() {
            let from = if self.is_begun { new.len() / 2 } else { 0 };
            let mut begun = vec![0; from];
            staging.read_at(nth, 0, &mut begun)?;
            let from = if begun == new[..from] { from } else { 0 };
            staging.write_at(nth, from as u64, &new[from..])?;
        }
        Ok(())
    }

    /// What a receiver does from its start until it needs another one.
    pub(super) fn session<D, B>(&self, disk: &D, boot: B, fate: Fate) -> Result<Next, Box<dyn Error>>
    where
        D: Disk + 'static,
        B: Boot,
    {
        let current = self.current.get().expect("a device that was started");
        if fate == Fate::Dead && current == Slot::B {
            return Ok(Next::Restart);
        }
        let backend = self.backend_with(disk, boot);
        let mut state = Self::state(disk)?;
        match (backend.recover(&mut state)?, fate) {
            (Recovery::Trying { .. }, Fate::Committed) => {
                assert_eq!(backend.commit(&mut state)?, new());
                return Ok(Next::Done);
            }
            (Recovery::Trying { .. }, _) => {
                assert!(backend.roll_back(&mut state, Reason::Asked)?.still_runs);
                return Ok(Next::Restart);
            }
            (Recovery::AwaitsStart { .. }, _) => return Ok(Next::Restart),
            _ => {}
        }
        let Record { installed, failed, phase, .. } = state.record();
        assert_eq!(*phase, Phase::Idle);
        if *installed == Some(new()) {
            return Ok(Next::Done);
        }
        if failed.as_ref().is_some_and(|failed| failed.release == new()) {
            return Ok(if current == Slot::B { Next::Restart } else { Next::Done });
        }
        let mut staging = backend.stage(&mut state, &self.plan(), &[])?;
        self.receive(&mut staging)?;
        assert_eq!(backend.install(&mut state, staging.verify()?)?, Installed::OnTrial);
        Ok(Next::Restart)
    }

    /// The life of a device until the release has met its fate. Starts it first if it does not run.
    pub(super) fn live<D: Disk + 'static>(&self, disk: &D, raw: &SimDisk, fate: Fate) -> Result<(), Box<dyn Error>> {
        for _ in 0..12 {
            let current = match self.current.get() {
                Some(slot) => slot,
                None => self.start(disk, raw)?,
            };
            if self.session(disk, SimBoot { disk: disk.clone(), current }, fate)? == Next::Done {
                return Ok(());
            }
            self.current.set(None);
        }
        panic!("{fate:?}: it never ends")
    }

    /// How it must have ended.
    pub(super) fn has_ended(&self, raw: &SimDisk, fate: Fate) {
        let record = record(raw);
        let env = Env::read(raw).unwrap();
        assert_eq!(record.phase, Phase::Idle);
        self.is_whole(raw, Slot::A);
        if fate == Fate::Committed {
            assert_eq!((record.installed, record.failed), (Some(new()), None));
            assert_eq!(record.slots, [None, Some(new())]);
            self.is_whole(raw, Slot::B);
            assert!(env.first == Slot::B && env.is_confirmed(Slot::B) && env.is_confirmed(Slot::A), "{env:?}");
        } else {
            let reason = if fate == Fate::Dead { Reason::FellBack } else { Reason::Asked };
            assert_eq!(record.installed, Some(old()));
            assert_eq!(record.failed.map(|failed| (failed.release, failed.reason)), Some((new(), reason)));
            assert_eq!(record.slots, [None, None]);
            assert!(env.is_confirmed(Slot::A) && !env.may_start(Slot::B), "{env:?}");
        }
    }
}

pub(super) fn slot_path(name: &str, slot: Slot) -> PathBuf {
    Path::new("/slots").join(format!("{name}-{slot}"))
}

pub(super) fn record(disk: &SimDisk) -> Record {
    match load(disk, Path::new(STATE)).unwrap() {
        Loaded::Ok(record) => *record,
        other => panic!("{other:?}"),
    }
}

pub(super) fn old() -> ReleaseId {
    ReleaseId { sequence: 1, security_version: 1, manifest: [0x01; 32], version: "1.0".into() }
}

pub(super) fn new() -> ReleaseId {
    ReleaseId { sequence: 2, security_version: 2, manifest: [0xAB; 32], version: "2.0".into() }
}
