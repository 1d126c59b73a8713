//! A simulated boot loader.

use std::path::Path;

use crate::boot::Boot;
use crate::disk::Disk;
use crate::durable;
use crate::fault::Fault;
use crate::record::Slot;

pub(super) const ENV: &str = "/env/boot";
/// In the environment: attempts of a slot that are not counted.
const CONFIRMED: u8 = u8::MAX;

/// A boot loader whose environment is a file: which slot is first, and of each slot the attempts left and whether it is
/// forbidden. `current` is what the last start has led to.
#[derive(Clone, Debug)]
pub(super) struct SimBoot<D: Disk> {
    pub(super) disk: D,
    pub(super) current: Slot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Env {
    pub(super) first: Slot,
    pub(super) left: [u8; 2],
    pub(super) is_bad: [bool; 2],
}

const fn nth(slot: Slot) -> usize {
    match slot {
        Slot::A => 0,
        Slot::B => 1,
    }
}

impl Env {
    /// The old release in slot a, both slots confirmed.
    pub(super) const CONFIRMED: Self = Self { first: Slot::A, left: [CONFIRMED; 2], is_bad: [false; 2] };

    pub(super) fn read<D: Disk>(disk: &D) -> Result<Self, Fault> {
        let bytes = durable::read_bounded(disk, Path::new(ENV), 5)?.expect("an environment");
        let [first, a, b, bad_a, bad_b] = bytes.try_into().expect("a whole environment");
        let first = if first == 0 { Slot::A } else { Slot::B };
        Ok(Self { first, left: [a, b], is_bad: [bad_a == 1, bad_b == 1] })
    }

    pub(super) fn write<D: Disk>(self, disk: &D) -> Result<(), Fault> {
        let [a, b] = self.left;
        let [bad_a, bad_b] = self.is_bad.map(u8::from);
        durable::replace(disk, Path::new(ENV), &[u8::from(self.first == Slot::B), a, b, bad_a, bad_b])
    }

    pub(super) fn may_start(self, slot: Slot) -> bool {
        !self.is_bad[nth(slot)] && self.left[nth(slot)] > 0
    }

    pub(super) fn is_confirmed(self, slot: Slot) -> bool {
        self.may_start(slot) && self.left[nth(slot)] == CONFIRMED
    }

    fn next(self) -> Option<Slot> {
        [self.first, self.first.other()].into_iter().find(|slot| self.may_start(*slot))
    }
}

/// What a boot loader does when the power comes on.
///
/// # Panics
///
/// If no slot may be started: the device is lost.
pub(super) fn boot<D: Disk>(disk: &D) -> Result<Slot, Fault> {
    durable::remove_leftovers(disk, Path::new(ENV))?;
    let mut env = Env::read(disk)?;
    let slot = env.next().unwrap_or_else(|| panic!("nothing can be started: {env:?}"));
    let left = &mut env.left[nth(slot)];
    if *left != CONFIRMED {
        *left -= 1;
        env.write(disk)?;
    }
    Ok(slot)
}

impl<D: Disk> SimBoot<D> {
    fn change(&self, change: impl FnOnce(&mut Env)) -> Result<(), Fault> {
        let mut env = Env::read(&self.disk)?;
        change(&mut env);
        env.write(&self.disk)
    }
}

impl<D: Disk> Boot for SimBoot<D> {
    fn current(&self) -> Result<Slot, Fault> {
        Ok(self.current)
    }

    fn primary(&self) -> Result<Slot, Fault> {
        let none = Fault::Answer { verb: "get-primary", answer: String::new(), expected: "a or b" };
        Env::read(&self.disk)?.next().ok_or(none)
    }

    fn set_primary(&self, slot: Slot, attempts: u8) -> Result<(), Fault> {
        self.change(|env| {
            env.first = slot;
            env.left[nth(slot)] = attempts;
            env.is_bad[nth(slot)] = false;
        })
    }

    fn is_good(&self, slot: Slot) -> Result<bool, Fault> {
        Ok(Env::read(&self.disk)?.may_start(slot))
    }

    fn set_good(&self, slot: Slot, is_good: bool) -> Result<(), Fault> {
        self.change(|env| {
            env.is_bad[nth(slot)] = !is_good;
            if is_good {
                env.left[nth(slot)] = CONFIRMED;
            }
        })
    }
}
