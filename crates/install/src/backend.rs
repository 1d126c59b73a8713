//! What every way to install has in common.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::fault::Fault;
use crate::record::{Plan, ReleaseId};
use crate::state::State;

/// A way to make verified images the ones that run.
///
/// The order of calls: [`recover`](Backend::recover) at start, then for each release
/// [`stage`](Backend::stage), writes, [`Staging::verify`], [`install`](Backend::install).
pub trait Backend<D: Disk> {
    /// Room for the images of one release.
    type Staging: Staging;

    /// Completes or withdraws what was interrupted. To be called at start before
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
    /// `pending` is the interrupted install that [`recover`](Backend::recover) could not
    /// end, if any. What the files `freed` occupy counts as free: the caller removes them
    /// once this has succeeded.
    ///
    /// # Errors
    ///
    /// [`Fault`], with nothing written, if the release cannot be installed here:
    /// [`Fault::NoRoom`], [`Fault::NotRegular`], [`Fault::Plan`], or
    /// [`Fault::Uncovered`] if it leaves out a target of `pending`.
    fn stage(&self, plan: &Plan, pending: Option<&Plan>, freed: &[PathBuf]) -> Result<Self::Staging, Fault>;

    /// Makes proven images the ones that run: all components, or none.
    ///
    /// # Errors
    ///
    /// [`Fault`]. If the record then holds a pending install, call
    /// [`recover`](Backend::recover) before anything else.
    fn install(&self, state: &mut State<D>, images: <Self::Staging as Staging>::Verified) -> Result<(), Fault>;

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
    fn remove_stale(&self, target: &Path, keep: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault>;

    /// Gives up the room of a release that will not be installed.
    ///
    /// # Errors
    ///
    /// [`Fault`]; parts may then remain.
    fn discard(&self, staging: Self::Staging) -> Result<(), Fault>;
}

/// Room for the images of one release. Components are numbered from 0 in the order of
/// the [`Plan`]; offsets are in bytes of the image.
pub trait Staging: Sized {
    /// The same room, read back and found to hold the images.
    type Verified;

    /// Writes into an image. Survives a power cut only after [`flush`](Staging::flush).
    ///
    /// # Errors
    ///
    /// [`Fault::OutOfRange`] with nothing done; otherwise what the operating system says.
    fn write_at(&mut self, component: usize, offset: u64, bytes: &[u8]) -> Result<(), Fault>;

    /// Reads from an image. What was never written reads as anything.
    ///
    /// # Errors
    ///
    /// [`Fault::OutOfRange`] with nothing done; otherwise what the operating system says.
    fn read_at(&self, component: usize, offset: u64, buf: &mut [u8]) -> Result<(), Fault>;

    /// Makes all writes survive a power cut.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    fn flush(&mut self) -> Result<(), Fault>;

    /// Flushes, reads everything back from storage and compares the SHA-256 of each
    /// image with the plan. Nothing can be written between this and the install.
    ///
    /// # Errors
    ///
    /// [`Unverified`], which gives the room back for repair.
    fn verify(self) -> Result<Self::Verified, Unverified<Self>>;
}

/// What [`Backend::recover`] found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// No install was interrupted.
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
}

/// Staged images that were not proven, and why.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Unverified<S> {
    /// The room, to repair.
    pub staging: Box<S>,
    /// Why it was not proven.
    #[source]
    pub reason: VerifyError,
}

/// Why staged images were not proven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Images differ from what the release says; all of them are listed.
    #[error("the SHA-256 of components {components:?} differs from the manifest's")]
    Mismatch {
        /// Which, from 0.
        components: Vec<usize>,
    },
    /// Reading back failed.
    #[error(transparent)]
    Storage(#[from] Fault),
}

impl VerifyError {
    /// A stable word for the kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mismatch { .. } => "image-mismatch",
            Self::Storage(fault) => fault.code(),
        }
    }
}
