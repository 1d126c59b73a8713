//! Room for the images of one release, and the proof that it holds them.

use crate::disk::Disk;
use crate::fault::{At as _, Fault};
use crate::fixed::FixedFile;
use crate::record::{Component, Plan, Slot};

/// Room for the images of one release, locked. Components are numbered from 0 in the order of the [`Plan`]; offsets are
/// in bytes of the image.
#[derive(Debug)]
pub struct Staging<D: Disk> {
    disk: D,
    plan: Plan,
    parts: Vec<FixedFile<D>>,
    /// Which slot it is, if there are slots.
    slot: Option<Slot>,
}

/// Room that was read back and found to hold the images. Comes only from [`Staging::verify`].
#[derive(Debug)]
pub struct Proven<D: Disk>(Staging<D>);

/// Staged images that were not proven, and why.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Unverified<D: Disk> {
    /// The room, to repair.
    pub staging: Box<Staging<D>>,
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

impl<D: Disk> Staging<D> {
    /// Room in these files, one for each component of `plan`.
    pub(crate) fn new(disk: D, plan: &Plan, parts: Vec<FixedFile<D>>, slot: Option<Slot>) -> Self {
        Self { disk, plan: plan.clone(), parts, slot }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) const fn slot(&self) -> Option<Slot> {
        self.slot
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = (&FixedFile<D>, &Component)> {
        self.parts.iter().zip(&self.plan.components)
    }

    /// Writes into an image. Survives a power cut only after [`flush`](Staging::flush).
    ///
    /// # Errors
    ///
    /// [`Fault::OutOfRange`] with nothing done; otherwise what the operating system says.
    pub fn write_at(&mut self, component: usize, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.part(component)?.write_at(offset, bytes)
    }

    /// Reads from an image. What was never written reads as anything.
    ///
    /// # Errors
    ///
    /// [`Fault::OutOfRange`] with nothing done; otherwise what the operating system says.
    pub fn read_at(&self, component: usize, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.part(component)?.read_at(offset, buf)
    }

    /// Makes all writes survive a power cut.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub fn flush(&mut self) -> Result<(), Fault> {
        for (part, _) in self.parts() {
            part.flush()?;
            if let Some(folder) = part.folder() {
                self.disk.flush_dir(folder).at("flush", folder)?;
            }
        }
        Ok(())
    }

    /// Flushes, reads everything back from storage and compares the SHA-256 of each
    /// image with the plan. Nothing can be written between this and the install.
    ///
    /// # Errors
    ///
    /// [`Unverified`], which gives the room back for repair.
    pub fn verify(self) -> Result<Proven<D>, Unverified<D>> {
        let reason = match self.mismatches() {
            Ok(wrong) if wrong.is_empty() => return Ok(Proven(self)),
            Ok(components) => VerifyError::Mismatch { components },
            Err(fault) => fault.into(),
        };
        Err(Unverified { staging: Box::new(self), reason })
    }

    fn part(&self, component: usize) -> Result<&FixedFile<D>, Fault> {
        let none = Fault::NoComponent { component, count: self.parts.len() };
        self.parts.get(component).ok_or(none)
    }

    fn mismatches(&self) -> Result<Vec<usize>, Fault> {
        let mut wrong = Vec::new();
        for (nth, (part, component)) in self.parts().enumerate() {
            part.clear_tail()?;
            if !part.is(component.size, &component.sha256)? {
                wrong.push(nth);
            }
        }
        Ok(wrong)
    }
}

impl<D: Disk> Proven<D> {
    pub(crate) fn into_inner(self) -> Staging<D> {
        self.0
    }
}
