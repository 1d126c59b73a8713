//! Reading a release file (spec §10).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fleetcast_core::release::{HEAD_LEN, Layout, MAGIC, ReleaseError, decode_head};

/// A file that is no release, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot use release {}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub reason: FileReason,
}

/// What is wrong with a release file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileReason {
    /// The file cannot be read.
    #[error(transparent)]
    Io(io::Error),
    /// Its form is wrong.
    #[error(transparent)]
    Form(#[from] ReleaseError),
}

impl From<io::Error> for FileReason {
    /// A file that ends early is no accident of reading.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Form(ReleaseError::Truncated),
            _ => Self::Io(error),
        }
    }
}

impl FileReason {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "read",
            Self::Form(error) => error.code(),
        }
    }
}

/// An open release file, cut at the end of its statement. Nothing in it is verified.
#[derive(Debug)]
pub struct ReleaseFile {
    path: PathBuf,
    file: File,
    len: u64,
    statement: Vec<u8>,
}

impl ReleaseFile {
    /// Opens a release file and reads its head and statement.
    ///
    /// # Errors
    ///
    /// [`FileError`] with [`ReleaseError::Magic`] or [`ReleaseError::Truncated`], or if it cannot be read.
    ///
    /// Spec §10 \[X-1\].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let attempt = || {
            let file = File::open(path)?;
            let len = file.metadata()?.len();
            let mut head = [0; HEAD_LEN];
            let got = usize::try_from(len).unwrap_or(HEAD_LEN).min(HEAD_LEN);
            file.read_exact_at(&mut head[..got], 0)?;
            if got < HEAD_LEN {
                let magic = got.min(MAGIC.len());
                let cut = head[..magic] == MAGIC[..magic];
                return Err(if cut { ReleaseError::Truncated } else { ReleaseError::Magic }.into());
            }
            let mut statement = vec![0; decode_head(head)?];
            file.read_exact_at(&mut statement, HEAD_LEN as u64)?;
            Ok(Self { path: path.into(), file, len, statement })
        };
        attempt().map_err(|reason| FileError { path: path.into(), reason })
    }

    /// Where it was found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The signed manifest, as it stands there.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// Compares the file's length with that of `layout`.
    ///
    /// # Errors
    ///
    /// [`ReleaseError::Truncated`] or [`ReleaseError::Trailing`].
    pub fn check_len(&self, layout: &Layout) -> Result<(), FileError> {
        layout.check_len(self.len).map_err(|error| self.error(error.into()))
    }

    /// Reads the record of a cell into `buf`, or as much of its beginning as `buf` holds.
    ///
    /// # Errors
    ///
    /// [`FileError`] if it cannot be read, or there is no such cell.
    pub fn read_record(&self, layout: &Layout, component: u8, cell: u32, buf: &mut [u8]) -> Result<(), FileError> {
        let offset = layout.record_offset(component, cell).ok_or_else(|| self.error(ReleaseError::Truncated.into()))?;
        self.file.read_exact_at(buf, offset).map_err(|error| self.error(error.into()))
    }

    fn error(&self, reason: FileReason) -> FileError {
        FileError { path: self.path.clone(), reason }
    }
}
