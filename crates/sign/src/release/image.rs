//! An image file, opened once.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use fleetcast_cli::{CommandError, ErrorKind};

/// An image that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot use image {}", path.display())]
pub struct ImageError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub reason: ImageReason,
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageReason {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A folder, device or pipe, which cannot be read twice from the start.
    #[error("it is not a regular file")]
    NotAFile,
    /// No octet in it.
    #[error("it is empty")]
    Empty,
    /// Its content or size is not what it was a moment ago.
    #[error("it changed while it was read")]
    Changed,
    /// The erasure code did not take a block; no image is known to cause that.
    #[error("the erasure code does not take it")]
    Code,
}

impl ImageReason {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "image-io",
            Self::NotAFile => "image-not-a-file",
            Self::Empty => "image-empty",
            Self::Changed => "image-changed",
            Self::Code => "image-code",
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotAFile => Some("copy the image to a file first"),
            Self::Changed => Some("let whatever writes it finish, then run again"),
            _ => None,
        }
    }
}

impl From<ImageError> for CommandError {
    fn from(error: ImageError) -> Self {
        let hint = error.reason.hint();
        Self::new(ErrorKind::Failed, error).hint_if(hint)
    }
}

/// An open image. Nothing but its digests proves that it stays the same.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    file: File,
    size: u64,
    modified: (i64, i64),
}

impl Image {
    /// Opens the image at `path`.
    ///
    /// # Errors
    ///
    /// [`ImageError`] if it cannot be opened, is not a regular file or is empty.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let attempt = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(ImageReason::NotAFile);
            }
            if metadata.size() == 0 {
                return Err(ImageReason::Empty);
            }
            Ok(Self { path: path.into(), file, size: metadata.size(), modified: modified(&metadata) })
        };
        attempt().map_err(|reason| ImageError { path: path.into(), reason })
    }

    /// Where it was found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Octets it had when it was opened.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buf` with octets from `offset` on.
    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        self.file.read_exact_at(buf, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.error(ImageReason::Changed),
            _ => self.error(error.into()),
        })
    }

    /// Whether size and time of change still are what they were.
    pub(super) fn check_unchanged(&self) -> Result<(), ImageError> {
        let metadata = self.file.metadata().map_err(|error| self.error(error.into()))?;
        let same = metadata.size() == self.size && modified(&metadata) == self.modified;
        if same { Ok(()) } else { Err(self.error(ImageReason::Changed)) }
    }

    pub(super) fn error(&self, reason: ImageReason) -> ImageError {
        ImageError { path: self.path.clone(), reason }
    }
}

fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}
