//! The `ab` backend: each image goes into the slot that does not run.
//!
//! 1. The boot loader is told never to start the slot, and the record that nothing is proven about it.
//! 2. Chunks are written straight into it.
//! 3. It is flushed, read back and compared.
//! 4. The record says `switching`, durably.
//! 5. The boot loader is told to start it next, in a number of attempts: the one atomic step.
//! 6. The record says `trial`; from then on the other slot is the way back, and nobody writes to it.
//!
//! See [`crate::record`] for what follows, and for what a start finds after a power cut anywhere here.

use std::path::{Path, PathBuf};

use crate::backend::{Backend, Installed, Recovery, RolledBack};
use crate::boot::Boot;
use crate::disk::{Disk, Kind, Stat};
use crate::durable::folder_of;
use crate::fault::{At as _, Fault};
use crate::fixed::FixedFile;
use crate::record::{Component, Phase, Plan, Reason, ReleaseId, Slot, Trial};
use crate::room::Rooms;
use crate::staging::{Proven, Staging};
use crate::state::State;
use crate::trial::{self, Chain, Whereabouts};

/// Two places for the image of a target: files or block devices. The first names the pair in a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Slot a.
    pub a: PathBuf,
    /// Slot b.
    pub b: PathBuf,
}

impl Pair {
    fn at(&self, slot: Slot) -> &Path {
        match slot {
            Slot::A => &self.a,
            Slot::B => &self.b,
        }
    }
}

/// Writes into the slot that does not run. See the module's text for the order of events.
#[derive(Debug)]
pub struct AbBackend<D: Disk, B: Boot> {
    disk: D,
    boot: B,
    pairs: Vec<Pair>,
    /// Starts of a new release until the boot loader gives it up.
    attempts: u8,
}

impl<D: Disk, B: Boot> AbBackend<D, B> {
    /// A backend on a disk, with a boot loader.
    pub fn new(disk: D, boot: B, pairs: Vec<Pair>, attempts: u8) -> Self {
        Self { disk, boot, pairs, attempts }
    }

    fn place(&self, target: &Path, slot: Slot) -> Result<&Path, Fault> {
        let pair = self.pairs.iter().find(|pair| pair.a == target);
        pair.map(|pair| pair.at(slot)).ok_or_else(|| Fault::SlotMissing { path: target.into() })
    }

    /// The slot that may be written: not the one that runs, and only if that one would start next.
    fn spare(&self) -> Result<Slot, Fault> {
        let (current, primary) = (self.boot.current()?, self.boot.primary()?);
        if current == primary { Ok(current.other()) } else { Err(Fault::RestartFirst { current, primary }) }
    }

    /// Opens the slots of a release. Whether all of them can bear its images is found out before one is made.
    fn open(&self, plan: &Plan, slot: Slot) -> Result<Vec<FixedFile<D>>, Fault> {
        let mut rooms = Rooms::default();
        let mut slots = Vec::new();
        for Component { target, size, .. } in &plan.components {
            let path = self.place(target, slot)?;
            match self.disk.stat_slot(path).at("look at", path)? {
                Some(Stat { kind: Kind::Block, size: there, .. }) if there < *size => {
                    return Err(Fault::SlotSize { path: path.into(), size: there, needed: *size });
                }
                Some(Stat { kind: Kind::Block, .. }) => slots.push((path, *size, true)),
                Some(Stat { kind: Kind::Other, .. }) => return Err(Fault::NotRegular { path: path.into() }),
                None if path.starts_with("/dev") => return Err(Fault::SlotMissing { path: path.into() }),
                file => {
                    let there = file.map_or(0, |found| found.allocated);
                    rooms.need(&self.disk, folder_of(path), size.saturating_sub(there))?;
                    slots.push((path, *size, false));
                }
            }
        }
        rooms.check()?;
        let open =
            |(path, size, is_device): (&Path, _, _)| FixedFile::open_slot(&self.disk, path.into(), size, is_device);
        slots.into_iter().map(open).collect()
    }
}

impl<D: Disk, B: Boot> Chain for AbBackend<D, B> {
    fn whereabouts(&self, trial: &Trial) -> Result<Whereabouts, Fault> {
        let Some(slot) = trial.slot else { return Ok(Whereabouts::Gone) };
        if self.boot.current()? == slot {
            return Ok(Whereabouts::Runs);
        }
        Ok(if self.boot.primary()? == slot { Whereabouts::Awaits } else { Whereabouts::Gone })
    }

    fn start_next(&self, trial: &Trial) -> Result<(), Fault> {
        trial.slot.map_or(Ok(()), |slot| self.boot.set_primary(slot, self.attempts))
    }

    fn keep(&self, trial: &Trial) -> Result<(), Fault> {
        trial.slot.map_or(Ok(()), |slot| self.boot.set_good(slot, true))
    }

    fn check_way_back(&self, trial: &Trial) -> Result<(), Fault> {
        let Some(slot) = trial.slot.map(Slot::other) else { return Ok(()) };
        let version = || trial.release.version.clone();
        if self.boot.is_good(slot)? { Ok(()) } else { Err(Fault::NoWayBack { slot, version: version() }) }
    }

    fn give_up(&self, trial: &Trial) -> Result<(), Fault> {
        let Some(slot) = trial.slot else { return Ok(()) };
        // The way back first: at no moment is there nothing to start, nor only what has its attempts counted. Also if it seems
        // to be so already: who was killed on the way may have left what a power cut undoes.
        self.boot.set_good(slot.other(), true)?;
        self.boot.set_good(slot, false)?;
        if self.boot.primary()? != slot.other() {
            self.boot.set_primary(slot.other(), self.attempts)?;
            self.boot.set_good(slot.other(), true)?;
        }
        Ok(())
    }
}

impl<D: Disk, B: Boot> Backend<D> for AbBackend<D, B> {
    fn recover(&self, state: &mut State<D>) -> Result<Recovery, Fault> {
        let recovery = trial::recover(self, state)?;
        let record = state.record();
        let (Recovery::Nothing, Some(release)) = (&recovery, &record.installed) else { return Ok(recovery) };
        let current = self.boot.current()?;
        if record.slot(current) != Some(release) && record.slot(current.other()) == Some(release) {
            return Ok(Recovery::Elsewhere { release: release.clone(), current });
        }
        Ok(recovery)
    }

    fn stage(&self, state: &mut State<D>, plan: &Plan, _: &[PathBuf]) -> Result<Staging<D>, Fault> {
        plan.check()?;
        trial::check_none(state.record())?;
        let slot = self.spare()?;
        let parts = self.open(plan, slot)?;
        // Only now, and before anything in the slot changes. Also if it seems to be so already: who was killed on the way may
        // have left what a power cut undoes.
        self.boot.set_good(slot, false)?;
        // An adapter that forbade the wrong one would show here.
        self.spare()?;
        if state.record().slot(slot).is_some() {
            state.update(|record| record.set_slot(slot, None))?;
        }
        parts.iter().try_for_each(FixedFile::fit)?;
        Ok(Staging::new(self.disk.clone(), plan, parts, Some(slot)))
    }

    fn install(&self, state: &mut State<D>, images: Proven<D>) -> Result<Installed, Fault> {
        let mut staging = images.into_inner();
        // The names too: a slot in a file may be new.
        staging.flush()?;
        let release = staging.plan().release.clone();
        let slot = staging.slot().ok_or(Fault::NoComponent { component: 0, count: 0 })?;
        let _alone = state.lock_trial()?;
        if self.spare()? != slot {
            return Err(Fault::RestartFirst { current: slot, primary: self.boot.primary()? });
        }
        let trial = Trial { release: release.clone(), slot: Some(slot) };
        state.update(|record| {
            record.set_slot(slot, Some(release.clone()));
            record.phase = Phase::Switching(trial.clone());
        })?;
        self.boot.set_primary(slot, self.attempts)?;
        state.update(|record| {
            record.see(release.sequence, release.manifest);
            record.phase = Phase::Trial(trial);
        })?;
        Ok(Installed::OnTrial)
    }

    fn commit(&self, state: &mut State<D>) -> Result<ReleaseId, Fault> {
        trial::commit(self, state)
    }

    fn roll_back(&self, state: &mut State<D>, reason: Reason) -> Result<RolledBack, Fault> {
        trial::roll_back(self, state, reason)
    }

    fn stale(&self, _: &Path, _: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault> {
        Ok(vec![])
    }

    fn discard(&self, _: Staging<D>) -> Result<(), Fault> {
        // A slot is no file to throw away.
        Ok(())
    }

    fn old_image(&self, target: &Path) -> Option<PathBuf> {
        self.place(target, self.boot.current().ok()?).ok().map(Into::into)
    }
}

#[cfg(test)]
mod tests;
