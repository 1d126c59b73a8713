//! Why a release is not sent.

use std::io;
use std::path::PathBuf;

use fleetcast_cli::release::{FileError, FileReason};

use crate::release::OpenReleaseError;

/// Why release and images cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The release file cannot be used.
    #[error(transparent)]
    Release(#[from] OpenReleaseError),
    /// The images named are not the ones of the release.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// An image cannot be opened.
    #[error("cannot open image {}", path.display())]
    OpenImage {
        /// The image.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An image is longer or shorter than its component.
    #[error("image {} has {got} octets, and the release says {expected}", path.display())]
    Size {
        /// The image.
        path: PathBuf,
        /// Octets it has.
        got: u64,
        /// Octets the component has.
        expected: u64,
    },
    /// All chunks of an image are right and the whole is not: who made the release made a mistake.
    #[error("image {} has not the SHA-256 that the release says of component {component}", path.display())]
    Digest {
        /// Name of the component.
        component: String,
        /// The image.
        path: PathBuf,
    },
    /// A page, chunk or repair chunk is refused or cannot be read.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// There is no place for the repair chunks.
    #[error("cannot keep {octets} octets of repair chunks in folder {}", folder.display())]
    Temporary {
        /// The folder.
        folder: PathBuf,
        /// Octets needed for one component.
        octets: u64,
        /// What the system said.
        source: io::Error,
    },
}

impl SourceError {
    /// Stable word for this error; that of spec §12 where there is one.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Release(error) => error.code(),
            Self::Images(_) => "images",
            Self::OpenImage { .. } => "read",
            Self::Size { .. } => "size",
            Self::Digest { .. } => "image-digest",
            Self::Cell(error) => error.code(),
            Self::Temporary { .. } => "temporary",
        }
    }
}

/// Why images and components do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// A component has no image.
    #[error("no image is given for component {component}")]
    Missing {
        /// Its name.
        component: String,
    },
    /// A component has more than one.
    #[error("more than one image is given for component {component}")]
    Twice {
        /// Its name.
        component: String,
    },
    /// There is no such component.
    #[error("the release has no component {name}; it has {known}")]
    Unknown {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// An image without a name, and several components.
    #[error("image {} needs a name: the release has the components {known}", path.display())]
    Unnamed {
        /// The image.
        path: PathBuf,
        /// The names there are.
        known: String,
    },
}

/// Why a cell is not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// The release file cannot be read.
    #[error(transparent)]
    Release(#[from] FileError),
    /// An image cannot be read.
    #[error("cannot read {} at offset {offset}", path.display())]
    Read {
        /// The image.
        path: PathBuf,
        /// Where, in octets.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A page does not belong to the manifest.
    #[error(
        "release {} is damaged at offset {offset}: the page of cell {cell} of component {component} does not belong to \
         its manifest",
        path.display()
    )]
    Page {
        /// The release file.
        path: PathBuf,
        /// Where the record begins, in octets.
        offset: u64,
        /// Name of the component.
        component: String,
        /// Cell index.
        cell: u32,
    },
    /// A chunk of the image does not belong to its page.
    #[error(
        "image {} is not the one the release was made from: at offset {offset} it differs from component {component}",
        path.display()
    )]
    Image {
        /// Name of the component.
        component: String,
        /// The image.
        path: PathBuf,
        /// Where the chunk begins, in octets.
        offset: u64,
    },
    /// A repair chunk does not belong to its page.
    #[error(
        "the repair chunks of component {component} are not those of the release: they differ at offset {offset} of the \
         temporary file"
    )]
    Repair {
        /// Name of the component.
        component: String,
        /// Where the chunk begins in the temporary file, in octets.
        offset: u64,
    },
    /// The release has no such component, cell or chunk.
    #[error("the release has no such cell of component number {component}")]
    Range {
        /// Component number.
        component: u8,
    },
}

impl CellError {
    /// Stable word for this error; that of spec §12 where there is one.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Release(error) => error.reason.code(),
            Self::Read { .. } => "read",
            Self::Page { .. } => "page-digest",
            Self::Image { .. } | Self::Repair { .. } => "chunk-digest",
            Self::Range { .. } => "range",
        }
    }

    /// Whether release or images are not what the manifest says; else they could not be read.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Release(error) => matches!(error.reason, FileReason::Form(_)),
            Self::Page { .. } | Self::Image { .. } | Self::Repair { .. } => true,
            Self::Read { .. } | Self::Range { .. } => false,
        }
    }
}
