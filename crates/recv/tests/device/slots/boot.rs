//! A boot loader on the simulated disk. Its environment is a file of three octets: the slot to be started first, and what a
//! and b are: `k` (confirmed), or attempts left in a digit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fleetcast_install::sim::SimDisk;
use fleetcast_install::{AbBackend, Backend, Boot, Disk, Fault, Pair, Slot, durable};

use super::super::bench::TARGETS;

const ENVIRONMENT: &str = "/boot/environment";
/// Starts of a new release: more than a test spends by cuts.
pub(crate) const ATTEMPTS: u8 = 9;

#[derive(Debug)]
struct SimBoot<D> {
    disk: D,
    current: Slot,
}

/// The backend of a device that was started from `current`.
pub(crate) fn backend<D: Disk + 'static>(disk: &D, current: Slot) -> Box<dyn Backend<D>> {
    let pair = |(_, path, _): &(&str, &str, _)| Pair { a: path.into(), b: in_slot(Path::new(path), Slot::B) };
    let boot = SimBoot { disk: disk.clone(), current };
    Box::new(AbBackend::new(disk.clone(), boot, TARGETS.iter().map(pair).collect(), ATTEMPTS))
}

/// Where a slot of a target is.
pub(crate) fn in_slot(path: &Path, slot: Slot) -> PathBuf {
    match slot {
        Slot::A => path.into(),
        Slot::B => format!("{}.b", path.display()).into(),
    }
}

fn get(disk: &impl Disk) -> Result<[u8; 3], Fault> {
    let bytes = durable::read_bounded(disk, Path::new(ENVIRONMENT), 3)?;
    Ok(bytes.unwrap().try_into().unwrap())
}

pub(crate) fn set(disk: &impl Disk, environment: [u8; 3]) {
    durable::replace(disk, Path::new(ENVIRONMENT), &environment).unwrap();
}

/// Whether the boot loader may start a slot, if only when the other fails.
pub(crate) fn may_start(disk: &SimDisk, slot: Slot) -> bool {
    get(disk).unwrap()[index(slot)] != b'0'
}

fn index(slot: Slot) -> usize {
    if slot == Slot::A { 1 } else { 2 }
}

fn first(environment: [u8; 3]) -> Slot {
    let order = if environment[0] == b'a' { Slot::A } else { Slot::B };
    let found = [order, order.other()].into_iter().find(|slot| environment[index(*slot)] != b'0');
    found.unwrap_or_else(|| panic!("a brick: no slot may be started"))
}

/// Chooses a slot and counts the attempt.
#[track_caller]
pub(crate) fn power_on(disk: &SimDisk) -> Slot {
    let mut environment = get(disk).unwrap();
    let slot = first(environment);
    if environment[index(slot)] != b'k' {
        environment[index(slot)] -= 1;
        set(disk, environment);
    }
    slot
}

impl<D: Disk> SimBoot<D> {
    fn change(&self, change: impl FnOnce(&mut [u8; 3])) -> Result<(), Fault> {
        let mut environment = get(&self.disk)?;
        change(&mut environment);
        durable::replace(&self.disk, Path::new(ENVIRONMENT), &environment)
    }
}

impl<D: Disk> Boot for SimBoot<D> {
    fn current(&self) -> Result<Slot, Fault> {
        Ok(self.current)
    }

    fn primary(&self) -> Result<Slot, Fault> {
        Ok(first(get(&self.disk)?))
    }

    fn set_primary(&self, slot: Slot, attempts: u8) -> Result<(), Fault> {
        self.change(|environment| {
            environment[0] = slot.name().as_bytes()[0];
            environment[index(slot)] = b'0' + attempts;
        })
    }

    fn is_good(&self, slot: Slot) -> Result<bool, Fault> {
        Ok(get(&self.disk)?[index(slot)] != b'0')
    }

    fn set_good(&self, slot: Slot, is_good: bool) -> Result<(), Fault> {
        self.change(|environment| environment[index(slot)] = if is_good { b'k' } else { b'0' })
    }
}

/// What is in a slot, by the path of slot a; only what the old or the new release has.
pub(crate) fn slot_of(disk: &SimDisk, slot: Slot) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = disk.files();
    let used = ["/data/rootfs.img", "/boot/kernel.img"].map(Path::new);
    used.into_iter().filter_map(|path| Some((path.into(), files.get(&in_slot(path, slot))?.1.clone()))).collect()
}

pub(crate) mod device {
    use super::*;
    use crate::bench::disk;

    /// A device that runs the old images from slot a; slot b has something older.
    pub(crate) fn new() -> SimDisk {
        let disk = disk();
        for path in ["/data/rootfs.img", "/boot/kernel.img"] {
            durable::replace(&disk, &in_slot(Path::new(path), Slot::B), &[0x55; 700]).unwrap();
        }
        set(&disk, *b"ak0");
        disk
    }

    /// What runs on it.
    pub(crate) fn old() -> BTreeMap<PathBuf, Vec<u8>> {
        slot_of(&disk(), Slot::A)
    }
}
