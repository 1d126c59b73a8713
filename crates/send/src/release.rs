//! The release file: what is signed, and all pages (spec §10).

use std::path::{Path, PathBuf};

use fleetcast_cli::release::{self as file, FileError};
use fleetcast_core::manifest::Manifest;
use fleetcast_core::release::Layout;
use fleetcast_core::tree::{Geometry, GeometryError, Tree};
use fleetcast_core::trust::{self, StatementError, Trust, Unverified};

/// An open release file.
#[derive(Debug)]
pub struct ReleaseFile {
    file: file::ReleaseFile,
    manifest: Unverified<Manifest>,
    trees: Vec<Tree>,
    layout: Layout,
}

/// Why a file cannot be sent as a release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenReleaseError {
    /// It cannot be read, or has not the form of a release file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its manifest is refused.
    #[error("the manifest of release {} is refused", path.display())]
    Statement {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        reason: StatementError,
    },
}

impl OpenReleaseError {
    /// Stable word for this error; that of spec §12 where there is one.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.reason.code(),
            Self::Statement { reason, .. } => reason.code(),
        }
    }
}

impl ReleaseFile {
    /// Opens a release file and checks its form, its manifest and its length, no page yet.
    ///
    /// With `trust` the signatures are verified. Without, anyone may have made the release: receivers decide.
    ///
    /// # Errors
    ///
    /// Any [`OpenReleaseError`].
    ///
    /// Spec §10 \[X-1\].
    pub fn open(path: &Path, trust: Option<&Trust>) -> Result<Self, OpenReleaseError> {
        let refused = |reason| OpenReleaseError::Statement { path: path.into(), reason };
        let file = file::ReleaseFile::open(path)?;
        let manifest: Unverified<Manifest> = match trust {
            Some(trust) => trust::verify::<Manifest>(file.statement(), trust).map(Unverified::from),
            None => trust::parse_unverified(file.statement()),
        }
        .map_err(refused)?;
        let trees = manifest.trees().map_err(|e: GeometryError| refused(e.into()))?;
        let layout = Layout::new(file.statement().len(), &manifest);
        file.check_len(&layout)?;
        Ok(Self { file, manifest, trees, layout })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The signed statement, octet by octet.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        self.file.statement()
    }

    /// What the release is.
    #[must_use]
    pub const fn manifest(&self) -> &Unverified<Manifest> {
        &self.manifest
    }

    /// Geometries of the components, in order.
    pub fn geometries(&self) -> impl Iterator<Item = &Geometry> {
        self.trees.iter().map(Tree::geometry)
    }

    /// Hash tree of a component.
    pub(crate) fn tree(&self, component: u8) -> Option<&Tree> {
        self.trees.get(usize::from(component))
    }

    /// Where the record of a cell begins.
    pub(crate) fn record_offset(&self, component: u8, cell: u32) -> Option<u64> {
        self.layout.record_offset(component, cell)
    }

    /// Reads the first octets of a record, as many as `buf` holds.
    pub(crate) fn read_record(&self, component: u8, cell: u32, buf: &mut [u8]) -> Result<(), FileError> {
        self.file.read_record(&self.layout, component, cell, buf)
    }
}
