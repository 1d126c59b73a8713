//! The device record: what a device remembers of its releases. Pure: bytes in, bytes out.
//!
//! | [`Phase`] | what runs after a start | left by |
//! | --- | --- | --- |
//! | `Idle` | the installed release | an install |
//! | `Installing` (`file`) | each target is old or new until [`recover`] | [`recover`]: `Idle`, installed or withdrawn |
//! | `Switching` (`ab`, `exec` on trial) | what ran before, or the new release if boot loader or program was told already | [`recover`]: `Trial`, or `Idle` if it was not told |
//! | `Trial` | the new release, attempts counted; the old one before the first start, and once they are spent | commit: `Idle`, installed; [`recover`] or rollback: `Returning` |
//! | `Returning` | either, until the boot loader is told | [`recover`]: `Idle`, the release has failed |
//!
//! `installed` is the committed release, and changes with the step to `Idle` only. `seen` is independent of these: the
//! highest release that verified, installed or not, so that a restart does not fall for a replay. `failed` is not
//! installed again. `slots` says what was proven to be in slots a and b.
//!
//! `root` is the newest root that the record has taken into account; the roots themselves are kept beside it. A root that
//! makes all earlier signatures on releases void makes [`Floors::Void`]: whoever could sign a release could also set the
//! floors, and a thief sets them where nothing can follow. First the root is kept, then [`Record::follow`] says so here; if
//! power fails between both, the next start finds a root that `root` is below, and calls it again.
//!
//! [`journal`] is the form of the file; [`Record::encode`] that of one copy in it. Integers big-endian, in the order of
//! the types below. What may be missing is a byte 0, or 1 and its fields; a phase, reason or slot is its number in 1
//! byte; a version has its length in 1 byte before it, a target in 2, the components their count in 1.
//!
//! [`recover`]: crate::Backend::recover

mod codec;
pub mod journal;

use std::path::{Component as PathPart, Path, PathBuf};

pub use codec::DecodeError;

/// Components of a release, at most.
pub const MAX_COMPONENTS: usize = 8;
/// Bytes of a version, at most.
pub const MAX_VERSION: usize = 64;
/// Bytes of a target path, at most.
pub const MAX_TARGET: usize = 1024;

/// What a device remembers. [`Record::default`] is that of a new device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The release that was committed, and whose numbers are the rollback floors.
    pub installed: Option<ReleaseId>,
    /// The highest release whose manifest verified.
    pub seen: Option<Seen>,
    /// What is under way.
    pub phase: Phase,
    /// The release last given up, and why.
    pub failed: Option<Failed>,
    /// What was proven to be in slots a and b; `None` for anything else.
    pub slots: [Option<ReleaseId>; 2],
    /// Random octets of this device's own: they choose its place in waves.
    pub seed: [u8; 16],
    /// Version of the newest root that was followed; 0 for none.
    pub root: u16,
    /// Whether the numbers of the installed release are floors.
    pub floors: Floors,
}

/// Whether the numbers of the installed release are rollback floors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Floors {
    /// They are.
    #[default]
    Hold,
    /// Not until the next commit: a root has followed that makes all earlier signatures void.
    Void {
        /// SHA-256 of the manifest payload of the release that was under way then. It is one of those that count no more,
        /// so its commit makes no floors either.
        under_way: Option<[u8; 32]>,
    },
}

/// How far an install is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is under way.
    #[default]
    Idle,
    /// Targets are being replaced.
    Installing(Plan),
    /// Boot loader or program is being told to start another release.
    Switching(Trial),
    /// A release is on trial.
    Trial(Trial),
    /// A release on trial is being given up.
    Returning(Trial, Reason),
}

/// A release that is installed and not committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The release.
    pub release: ReleaseId,
    /// Its slot, if there are slots.
    pub slot: Option<Slot>,
}

/// One of two places that the device can start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The name boot adapters know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The slot of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::A, Self::B].into_iter().find(|slot| slot.name() == name)
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A release that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The release.
    pub release: ReleaseId,
    /// Why.
    pub reason: Reason,
}

/// Why a release on trial was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The device fell back to what ran before: its attempts were spent, or the boot loader could not start it.
    FellBack,
    /// The health check did not succeed in time.
    Health,
    /// Somebody asked for it.
    Asked,
}

impl Reason {
    /// A stable word for the reason.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::FellBack => "fell-back",
            Self::Health => "health",
            Self::Asked => "asked",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::FellBack => "the device fell back to what ran before: the release did not come up in its attempts",
            Self::Health => "the health check did not succeed in time",
            Self::Asked => "rollback was asked for",
        })
    }
}

/// A release, as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseId {
    /// Sequence number.
    pub sequence: u64,
    /// Security version.
    pub security_version: u32,
    /// SHA-256 of the manifest payload.
    pub manifest: [u8; 32],
    /// Release version, for people; at most [`MAX_VERSION`] bytes.
    pub version: String,
}

/// The highest release seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Sequence number.
    pub sequence: u64,
    /// SHA-256 of the manifest payload.
    pub manifest: [u8; 32],
}

/// A release and where its images go on this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The release.
    pub release: ReleaseId,
    /// 1 to [`MAX_COMPONENTS`] components.
    pub components: Vec<Component>,
}

/// One image and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The file to be replaced, or slot a of a pair: an absolute path from the local configuration, never
    /// from the wire; at most [`MAX_TARGET`] bytes.
    pub target: PathBuf,
    /// Bytes of the image.
    pub size: u64,
    /// SHA-256 of the image.
    pub sha256: [u8; 32],
}

/// Why a [`Plan`] cannot be carried out or recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No component, or too many.
    #[error("{got} components, where 1 to {MAX_COMPONENTS} are possible")]
    Components {
        /// Components of the plan.
        got: usize,
    },
    /// The version is too long.
    #[error("a version of {got} bytes, where {MAX_VERSION} are possible")]
    Version {
        /// Bytes of the version.
        got: usize,
    },
    /// A target is no absolute path of a file, or too long.
    #[error(
        "target {path:?} is not an absolute path of a file, plain and of at most {MAX_TARGET} \
         bytes; correct the configuration"
    )]
    Target {
        /// The target.
        path: PathBuf,
    },
    /// Two components have the same target.
    #[error("two components have the target {path:?}; correct the configuration")]
    SameTarget {
        /// The target.
        path: PathBuf,
    },
}

impl Record {
    /// Raises `seen` to a release that verified. False, and nothing changed, if that
    /// or a higher one was seen before: the first manifest of a sequence number stays.
    pub fn see(&mut self, sequence: u64, manifest: [u8; 32]) -> bool {
        let higher = self.seen.is_none_or(|seen| seen.sequence < sequence);
        if higher {
            self.seen = Some(Seen { sequence, manifest });
        }
        higher
    }

    /// Notes that a root has followed, once for each: what was noted already changes nothing.
    pub fn follow(&mut self, root: u16, voids_floors: bool) {
        if root <= self.root {
            return;
        }
        self.root = root;
        if voids_floors {
            let under_way = self.trial().map(|trial| &trial.release).or(self.pending().map(|plan| &plan.release));
            self.floors = Floors::Void { under_way: under_way.map(|release| release.manifest) };
            self.seen = None;
        }
    }

    /// Notes that `release` is committed: installed, seen, nothing under way.
    pub fn set_installed(&mut self, release: &ReleaseId) {
        if self.floors != (Floors::Void { under_way: Some(release.manifest) }) {
            self.floors = Floors::Hold;
            self.see(release.sequence, release.manifest);
        }
        self.installed = Some(release.clone());
        self.phase = Phase::Idle;
        // What failed before it is history.
        self.failed = None;
    }

    /// The install of files that is under way, if any.
    #[must_use]
    pub const fn pending(&self) -> Option<&Plan> {
        match &self.phase {
            Phase::Installing(plan) => Some(plan),
            _ => None,
        }
    }

    /// The release that is installed and not committed, if any.
    #[must_use]
    pub const fn trial(&self) -> Option<&Trial> {
        match &self.phase {
            Phase::Switching(trial) | Phase::Trial(trial) | Phase::Returning(trial, _) => Some(trial),
            Phase::Idle | Phase::Installing(_) => None,
        }
    }

    /// Sets what is in a slot.
    pub fn set_slot(&mut self, slot: Slot, release: Option<ReleaseId>) {
        let [a, b] = &mut self.slots;
        *(if slot == Slot::A { a } else { b }) = release;
    }

    /// What was proven to be in a slot.
    #[must_use]
    pub const fn slot(&self, slot: Slot) -> Option<&ReleaseId> {
        let [a, b] = &self.slots;
        match slot {
            Slot::A => a.as_ref(),
            Slot::B => b.as_ref(),
        }
    }
}

impl ReleaseId {
    /// The SHA-256 of its manifest payload in lower-case hexadecimal.
    #[must_use]
    pub fn manifest_hex(&self) -> String {
        self.manifest.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
    }

    fn check(&self) -> Result<(), PlanError> {
        match self.version.len() {
            ..=MAX_VERSION => Ok(()),
            got => Err(PlanError::Version { got }),
        }
    }
}

impl Plan {
    /// Checks the bounds of a plan.
    ///
    /// # Errors
    ///
    /// The first [`PlanError`] found.
    pub fn check(&self) -> Result<(), PlanError> {
        self.release.check()?;
        if !(1..=MAX_COMPONENTS).contains(&self.components.len()) {
            return Err(PlanError::Components { got: self.components.len() });
        }
        for (nth, Component { target: path, .. }) in self.components.iter().enumerate() {
            check_target(path)?;
            if self.components.iter().take(nth).any(|earlier| earlier.target == *path) {
                return Err(PlanError::SameTarget { path: path.clone() });
            }
        }
        Ok(())
    }
}

impl PlanError {
    /// A stable word for the kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Components { .. } => "plan-components",
            Self::Version { .. } => "plan-version",
            Self::Target { .. } => "plan-target",
            Self::SameTarget { .. } => "plan-same-target",
        }
    }
}

/// Checks that an image can be installed at `path`, by the path alone.
///
/// # Errors
///
/// [`PlanError::Target`].
pub fn check_target(path: &Path) -> Result<(), PlanError> {
    if is_plain(path) { Ok(()) } else { Err(PlanError::Target { path: path.into() }) }
}

/// Absolute, since another process with another working folder may recover it; ends in
/// a file name; without `..`, so that paths which differ do not name one file.
fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    // Built anew from its parts a path has no `//`, `/./` or `/` at its end.
    let rebuilt: PathBuf = path.components().collect();
    bytes.len() <= MAX_TARGET
        && !bytes.contains(&0)
        && path.is_absolute()
        && rebuilt.as_os_str() == path.as_os_str()
        && path.components().count() > 1
        && path.components().all(|part| matches!(part, PathPart::RootDir | PathPart::Normal(_)))
}
