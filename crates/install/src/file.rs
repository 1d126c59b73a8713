//! The `file` backend: each image replaces a file.
//!
//! An image is received into a partial file beside its target and renamed over it.
//! What makes several renames one step is the intent in the device record:
//!
//! 1. the staged files and the names they have are flushed;
//! 2. the record says `pending`, durably;
//! 3. each staged file is renamed over its target, and the folders are flushed;
//! 4. the record says `installed`, durably.
//!
//! A power cut before 2 leaves the old release. After it, recovery finishes 3 and 4:
//! each staged file is either there, or its target is the new image already.
//!
//! Files cannot be renamed together. After a power cut during 3 some targets are new
//! and some old, each of them whole, until [`recover`](Backend::recover) runs: whatever
//! uses several targets must start after it. One target has no such moment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::backend::{Backend, Installed, Recovery, RolledBack};
use crate::disk::Disk;
use crate::durable::folder_of;
use crate::fault::{At as _, Fault};
use crate::fixed::FixedFile;
use crate::record::{Component, Phase, Plan, Reason, ReleaseId};
use crate::staging::{Proven, Staging};
use crate::state::State;
use crate::{partial, parts};

/// Mode of an image whose target does not exist yet.
const NEW_MODE: u32 = 0o644;

/// Replaces files by renaming. See the module's text for the order of events.
#[derive(Clone, Debug)]
pub struct FileBackend<D: Disk> {
    disk: D,
}

impl<D: Disk> FileBackend<D> {
    /// A backend on a disk.
    pub fn new(disk: D) -> Self {
        Self { disk }
    }

    /// Steps 3 and 4, for the staged files given.
    fn complete(&self, state: &mut State<D>, plan: &Plan, staged: &[(&FixedFile<D>, &Component)]) -> Result<(), Fault> {
        for (from, to) in staged {
            self.disk.rename(from.path(), &to.target).at("replace", &to.target)?;
        }
        self.flush_folders(plan)?;
        state.update(|record| record.set_installed(&plan.release))
    }

    /// Gives each partial file the mode it is to have as a target, and flushes it.
    fn take_modes_of_targets(&self, staging: &Staging<D>) -> Result<(), Fault> {
        for (part, Component { target, .. }) in staging.parts() {
            let old = self.disk.stat(target).at("look at", target)?;
            // Without setuid and setgid: the new file belongs to us, not to the owner
            // those bits were meant for.
            part.set_mode(old.map_or(NEW_MODE, |old| old.mode & 0o777))?;
            part.flush()?;
        }
        Ok(())
    }

    /// Flushes the folders of all targets, also of those renamed by a process that was
    /// killed before it could.
    fn flush_folders(&self, plan: &Plan) -> Result<(), Fault> {
        let folders = plan.components.iter().map(|component| folder_of(&component.target));
        for folder in folders.collect::<BTreeSet<_>>() {
            self.disk.flush_dir(folder).at("flush", folder)?;
        }
        Ok(())
    }

    fn look_at(&self, plan: &Plan, component: &Component) -> Result<Found<D>, Fault> {
        let image = |path: &Path| {
            let Some(file) = FixedFile::open_read(&self.disk, path)? else { return Ok(None) };
            Ok(file.is(component.size, &component.sha256)?.then_some(file))
        };
        let staged = parts::staged(&component.target, &plan.release.manifest);
        match image(&staged) {
            Ok(Some(file)) => {
                file.lock()?;
                return Ok(Found::Staged(file));
            }
            Ok(None) | Err(Fault::NotRegular { .. }) => {}
            // Damaged in the way of storage: as good as lost.
            Err(fault) if fault.code() == "io" => {}
            Err(fault) => return Err(fault),
        }
        match image(&component.target) {
            Ok(Some(_)) => Ok(Found::Renamed),
            Ok(None) | Err(Fault::NotRegular { .. }) => Ok(Found::Lost),
            Err(fault) if fault.code() == "io" => Ok(Found::Unreadable),
            Err(fault) => Err(fault),
        }
    }
}

/// Refuses a release that leaves out a target of the interrupted install `pending`: it
/// would make permanent what is half done.
fn check_covers(plan: &Plan, pending: Option<&Plan>) -> Result<(), Fault> {
    let Some(torn) = pending else { return Ok(()) };
    let covered = |target: &PathBuf| plan.components.iter().any(|ours| ours.target == *target);
    match torn.components.iter().find(|theirs| !covered(&theirs.target)) {
        None => Ok(()),
        Some(left) => Err(Fault::Uncovered { version: torn.release.version.clone(), target: left.target.clone() }),
    }
}

/// How far an interrupted install came with one component.
enum Found<D: Disk> {
    /// The staged file is there and whole.
    Staged(FixedFile<D>),
    /// The target is the new image.
    Renamed,
    /// Neither: the target is old, and there is nothing to replace it with.
    Lost,
    /// There is nothing to replace the target with, and whether it is new cannot be read.
    Unreadable,
}

impl<D: Disk> Backend<D> for FileBackend<D> {
    fn recover(&self, state: &mut State<D>) -> Result<Recovery, Fault> {
        let Some(plan) = state.record().pending().cloned() else {
            return Ok(Recovery::Nothing);
        };
        // Look at all before touching one: what is on disk is hashed, never believed.
        let mut staged = Vec::new();
        let mut lost = Vec::new();
        let mut renamed = 0;
        // Only if no target can be new already may the install be forgotten.
        let mut is_unclear = false;
        let found =
            plan.components.iter().map(|component| self.look_at(&plan, component)).collect::<Result<Vec<_>, _>>()?;
        for (nth, (found, component)) in found.iter().zip(&plan.components).enumerate() {
            match found {
                Found::Staged(file) => staged.push((file, component)),
                Found::Renamed => renamed += 1,
                Found::Lost => lost.push(nth),
                Found::Unreadable => {
                    is_unclear = true;
                    lost.push(nth);
                }
            }
        }
        let release = plan.release.clone();
        match lost.first().and_then(|nth| plan.components.get(*nth)) {
            None => {
                self.complete(state, &plan, &staged)?;
                Ok(Recovery::Completed { release, renamed: staged.len() })
            }
            Some(_) if renamed == 0 && !is_unclear => {
                state.update(|record| record.phase = Phase::Idle)?;
                Ok(Recovery::Withdrawn { release, lost })
            }
            Some(Component { target, .. }) => Err(Fault::Torn { version: release.version, target: target.clone() }),
        }
    }

    fn stage(&self, state: &mut State<D>, plan: &Plan, freed: &[PathBuf]) -> Result<Staging<D>, Fault> {
        check_covers(plan, state.record().pending())?;
        partial::open(&self.disk, plan, freed)
    }

    fn install(&self, state: &mut State<D>, images: Proven<D>) -> Result<Installed, Fault> {
        let staging = images.into_inner();
        let plan = staging.plan();
        check_covers(plan, state.record().pending())?;
        self.take_modes_of_targets(&staging)?;
        // The partial files' own names too: an intent to rename what a power cut took
        // away could not be carried out.
        self.flush_folders(plan)?;
        state.update(|record| record.phase = Phase::Installing(plan.clone()))?;
        self.complete(state, plan, &staging.parts().collect::<Vec<_>>())?;
        Ok(Installed::Committed)
    }

    fn commit(&self, _: &mut State<D>) -> Result<ReleaseId, Fault> {
        Err(Fault::NoTrial)
    }

    fn roll_back(&self, _: &mut State<D>, _: Reason) -> Result<RolledBack, Fault> {
        Err(Fault::NoTrial)
    }

    fn stale(&self, target: &Path, keep: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault> {
        parts::stale_staged(&self.disk, target, keep)
    }

    fn discard(&self, staging: Staging<D>) -> Result<(), Fault> {
        partial::discard(&self.disk, &staging)
    }

    fn old_image(&self, target: &Path) -> Option<PathBuf> {
        Some(target.into())
    }
}

#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod tests;
