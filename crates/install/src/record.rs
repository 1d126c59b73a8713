//! The device record: what a device remembers of its releases. Pure: bytes in, bytes out.
//!
//! | installed | pending | targets on storage | means |
//! | --- | --- | --- | --- |
//! | none | none | any | nothing was installed through us yet |
//! | A | none | A | A runs |
//! | A or none | B | each old or B | the install of B was interrupted; [`recover`] completes or withdraws it |
//! | B | none | B | B runs |
//!
//! `seen` is independent of these: the highest release that verified, installed or
//! not, so that a restart does not fall for a replay.
//!
//! Form, integers big-endian: `"FCDR"`, format 1 (1 byte), `installed`, `seen`,
//! `pending`, then the first 16 bytes of the SHA-256 of all before. Each of the three
//! is a byte 0 (none), or 1 and its fields in the order of the types below; a version
//! has its length in 1 byte before it, a target in 2, the components their count in 1.
//!
//! [`recover`]: crate::Backend::recover

mod codec;

use std::path::{Component as PathPart, Path, PathBuf};

pub use codec::{DecodeError, MAX_RECORD};

/// Components of a release, at most.
pub const MAX_COMPONENTS: usize = 8;
/// Bytes of a version, at most.
pub const MAX_VERSION: usize = 64;
/// Bytes of a target path, at most.
pub const MAX_TARGET: usize = 1024;

/// What a device remembers. [`Record::default`] is that of a new device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The release that runs, and whose numbers are the rollback floors.
    pub installed: Option<ReleaseId>,
    /// The highest release whose manifest verified.
    pub seen: Option<Seen>,
    /// An install that was begun and is not known to be complete.
    pub pending: Option<Plan>,
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
    /// The file to be replaced: an absolute path from the local configuration, never
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

    /// The record once `release` runs: installed, seen, nothing pending.
    #[must_use]
    pub fn with_installed(&self, release: &ReleaseId) -> Self {
        let mut next = self.clone();
        next.see(release.sequence, release.manifest);
        next.installed = Some(release.clone());
        next.pending = None;
        next
    }
}

impl ReleaseId {
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
