//! What every way to install has in common.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::fault::Fault;
use crate::parts;
use crate::record::{Plan, Reason, ReleaseId, Slot};
use crate::staging::{Proven, Staging};
use crate::state::State;

/// A way to make verified images the ones that run.
///
/// The order of calls: [`recover`](Backend::recover) at start, then for each release
/// [`stage`](Backend::stage), writes, [`Staging::verify`], [`install`](Backend::install), and if that leaves it on trial
/// [`commit`](Backend::commit) or [`roll_back`](Backend::roll_back), perhaps after a restart.
pub trait Backend<D: Disk>: Debug {
    /// Completes or withdraws what was interrupted, and finds out what became of a trial. To be called at start before
    /// anything else; idempotent.
    ///
    /// # Errors
    ///
    /// [`Fault::Torn`] if neither is possible: what remains is to receive the same
    /// release (or one that replaces all its targets) and install it. An image that
    /// cannot be read counts as damaged.
    fn recover(&self, state: &mut State<D>) -> Result<Recovery, Fault>;

    /// Opens room for the images of a release, and finds again what an earlier run
    /// wrote there. What runs is not touched; room that could be taken for something
    /// that runs is invalidated before this returns.
    ///
    /// What the files `freed` occupy counts as free: the caller removes them once this has succeeded.
    ///
    /// # Errors
    ///
    /// [`Fault`], with nothing written, if the release cannot be installed here: see [`Fault::is_refusal`].
    fn stage(&self, state: &mut State<D>, plan: &Plan, freed: &[PathBuf]) -> Result<Staging<D>, Fault>;

    /// Makes proven images the ones that run, at once or from the next start on: all components, or none.
    ///
    /// # Errors
    ///
    /// [`Fault`]. Call [`recover`](Backend::recover) before anything else then.
    fn install(&self, state: &mut State<D>, images: Proven<D>) -> Result<Installed, Fault>;

    /// Makes the release on trial the one that stays: the floors rise.
    ///
    /// # Errors
    ///
    /// [`Fault::NoTrial`]; [`Fault::NotStarted`] if it is not what runs; otherwise what the boot loader says. It is on
    /// trial as before then.
    fn commit(&self, state: &mut State<D>) -> Result<ReleaseId, Fault>;

    /// Gives up the release on trial: from the next start on what ran before runs. It is not installed again.
    ///
    /// # Errors
    ///
    /// [`Fault::NoTrial`]; [`Fault::NoWayBack`]; otherwise what the boot loader says: the next
    /// [`recover`](Backend::recover) tries again.
    fn roll_back(&self, state: &mut State<D>, reason: Reason) -> Result<RolledBack, Fault>;

    /// The room that other releases than `keep` left for `target`, by its names.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    fn stale(&self, target: &Path, keep: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault>;

    /// Gives up the room that other releases than `keep` left for `target`, except what
    /// another process has open. Returns the names it removed.
    ///
    /// Only after [`recover`](Backend::recover): an interrupted install needs its room.
    ///
    /// # Errors
    ///
    /// [`Fault`]; some may then remain.
    fn remove_stale(&self, disk: &D, target: &Path, keep: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault> {
        parts::remove_unlocked(disk, self.stale(target, keep)?)
    }

    /// Gives up the room of a release that will not be installed.
    ///
    /// # Errors
    ///
    /// [`Fault`]; parts may then remain.
    fn discard(&self, staging: Staging<D>) -> Result<(), Fault>;

    /// The old image of `target`: what runs, to look for chunks in.
    fn old_image(&self, target: &Path) -> Option<PathBuf>;
}

/// What [`Backend::install`] has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// The release runs, and its numbers are the floors.
    Committed,
    /// The release is on trial: it runs from the next start on, and must be committed then.
    OnTrial,
}

/// A release that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// The release.
    pub release: ReleaseId,
    /// It still runs: the device must be restarted.
    pub still_runs: bool,
}

/// What [`Backend::recover`] found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// No install was interrupted, and no release is on trial.
    Nothing,
    /// An interrupted install is complete now; its release runs.
    Completed {
        /// The release.
        release: ReleaseId,
        /// Components that were still old.
        renamed: usize,
    },
    /// An interrupted install could not be completed, and all targets are still old:
    /// it is forgotten, and the release may be received again.
    Withdrawn {
        /// The release.
        release: ReleaseId,
        /// Components whose staged image was missing or damaged.
        lost: Vec<usize>,
    },
    /// A release is on trial, and runs: commit it or roll it back.
    Trying {
        /// The release.
        release: ReleaseId,
    },
    /// A release is on trial, and runs from the next start on.
    AwaitsStart {
        /// The release.
        release: ReleaseId,
    },
    /// The committed release is in the other slot: the boot loader, or somebody, went back from it.
    Elsewhere {
        /// The committed release.
        release: ReleaseId,
        /// The slot that runs.
        current: Slot,
    },
    /// A release on trial was given up.
    GivenUp {
        /// The release.
        release: ReleaseId,
        /// Why.
        reason: Reason,
    },
}
