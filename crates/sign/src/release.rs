//! Releases: laid out, hashed, signed, written, read and checked (spec §4 to §6, §10).
//!
//! | step | where | reads |
//! | --- | --- | --- |
//! | choose cells and caps that fit the packets | [`plan`] | sizes only |
//! | SHA-256, and with it the salt | [`Scan::new`] | each image once |
//! | digests of all source and repair chunks | [`Scan::digests`] | each image once more |
//! | pages, tree, manifest, signatures | [`Draft::new`] | |
//! | write, flush, verify, give it its name | [`write()`] | |
//!
//! Memory: all digests of the release (1/32 of the images with default settings, at most 1 GiB an image) and about 25 MiB for
//! each of at most four threads. The same input gives the same octets on every machine.

mod build;
mod digests;
mod image;
mod pages;
mod plan;
mod summary;
mod verify;

use fleetcast_core::manifest::{Component, Manifest, Share, Token, Uuid};

pub use crate::beside::Existing;
pub use build::{BuildError, Draft, Input, write};
pub use digests::Scan;
pub use fleetcast_cli::release::{FileError, FileReason, ReleaseFile};
pub use image::{Image, ImageError, ImageReason};
pub use pages::Pages;
pub use plan::{Coding, PlanError, Wanted, plan};
pub use summary::{ComponentSummary, Summary};
pub use verify::{Refusal, VerifyError, check_image, check_pages};

/// What a manifest says of a release besides its components (spec §4).
#[derive(Clone, Debug)]
pub struct Facts {
    /// Grows with every release of the vendor, from 1.
    pub sequence: u64,
    /// Raised when older releases have become dangerous.
    pub security_version: u32,
    /// The version as people call it.
    pub version: Token,
    /// Who makes the devices.
    pub vendor: Uuid,
    /// Which devices it is for.
    pub classes: Vec<Uuid>,
    /// Sequences a device may run now, least and greatest; `None` for any.
    pub from: Option<(u64, u64)>,
    /// Hardware revisions it is for, least and greatest; `None` for any.
    pub hardware: Option<(u64, u64)>,
    /// Which share of the devices may install from when; empty for all, at once.
    pub waves: Vec<Share>,
}

impl Facts {
    /// The manifest of a release with these components.
    #[must_use]
    pub fn manifest(&self, components: Vec<Component>) -> Manifest {
        Manifest {
            sequence: self.sequence,
            security_version: self.security_version,
            version: self.version.clone(),
            vendor: self.vendor,
            classes: self.classes.clone(),
            components,
            from: self.from,
            hardware: self.hardware,
            waves: self.waves.clone(),
        }
    }
}

/// Called with the octets of image that were just worked through, from any thread. Each image is worked through twice.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);
