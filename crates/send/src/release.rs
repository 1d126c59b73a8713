//! The release file: what is signed, and all pages (spec §10).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fleetcast_core::manifest::Manifest;
use fleetcast_core::release::{HEAD_LEN, Layout, ReleaseError, decode_head};
use fleetcast_core::tree::{Geometry, GeometryError, Tree};
use fleetcast_core::trust::{self, StatementError, TrustedKeys, Unverified};

/// An open release file.
#[derive(Debug)]
pub struct ReleaseFile {
    path: PathBuf,
    file: File,
    statement: Vec<u8>,
    manifest: Unverified<Manifest>,
    trees: Vec<Tree>,
    layout: Layout,
}

/// Why a file cannot be sent as a release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenReleaseError {
    /// The file cannot be read.
    #[error("cannot read release {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has not the form of a release file.
    #[error("cannot use {}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        reason: ReleaseError,
    },
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
            Self::Read { .. } => "read",
            Self::Form { reason, .. } => reason.code(),
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
    pub fn open(path: &Path, trust: Option<&TrustedKeys>) -> Result<Self, OpenReleaseError> {
        let read = |source| OpenReleaseError::Read { path: path.into(), source };
        let form = |reason| OpenReleaseError::Form { path: path.into(), reason };
        let refused = |reason| OpenReleaseError::Statement { path: path.into(), reason };
        // A file that ends early is no accident of reading.
        let read_or_short = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => form(ReleaseError::Truncated),
            _ => read(error),
        };
        let file = File::open(path).map_err(read)?;
        let mut head = [0; HEAD_LEN];
        file.read_exact_at(&mut head, 0).map_err(read_or_short)?;
        let mut statement = vec![0; decode_head(head).map_err(form)?];
        file.read_exact_at(&mut statement, HEAD_LEN as u64).map_err(read_or_short)?;
        let manifest = match trust {
            Some(keys) => trust::verify(&statement, keys).map(Unverified::from),
            None => trust::parse_unverified(&statement),
        }
        .map_err(refused)?;
        let trees = manifest.trees().map_err(|e: GeometryError| refused(e.into()))?;
        let layout = Layout::new(statement.len(), &manifest);
        layout.check_len(file.metadata().map_err(read)?.len()).map_err(form)?;
        Ok(Self { path: path.into(), file, statement, manifest, trees, layout })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The signed statement, octet by octet.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        &self.statement
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

    /// The file itself.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }
}
