//! What all commands have in common: a release, its images, and whose signatures count.

use std::path::PathBuf;

use fleetcast_cli::release::{FileError, FileReason};
use fleetcast_cli::{CommandError, ErrorKind, keys};
use fleetcast_core::trust::{Trust, TrustedKeys};

use crate::release::{OpenReleaseError, ReleaseFile};
use crate::report;
use crate::source::{CellError, ImageArg, Source, SourceError};

#[derive(clap::Args, Debug)]
pub(super) struct ReleaseArgs {
    /// Release file, as made by `fleetcast-sign create`
    #[arg(value_name = "RELEASE")]
    release: PathBuf,

    /// Image of a component; NAME may be left out if the release has one component only
    #[arg(long = "image", value_name = "NAME=PATH", required = true)]
    images: Vec<ImageArg>,

    /// Public key that must have signed the release; may be repeated. Without it signatures are not checked here: the
    /// devices check them in any case
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,

    /// How many of the keys must have signed
    #[arg(long, value_name = "M", default_value_t = 1, requires = "trust")]
    threshold: u8,

    /// Folder for the repair chunks, by default the system's for temporary files. They take up to as much room as the
    /// images, in a file without a name that is gone with the program. On a RAM disk they take memory
    #[arg(long, value_name = "FOLDER")]
    temp_dir: Option<PathBuf>,
}

impl ReleaseArgs {
    /// Opens release and images and checks everything.
    pub(super) fn open(&self, json: bool) -> Result<Source, CommandError> {
        let trust = self.trusted_keys()?;
        let release = ReleaseFile::open(&self.release, trust.as_ref()).map_err(|e| told(e.into()))?;
        let folder = self.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
        let bar = report::check_bar(json);
        let source = Source::open(release, &self.images, &folder, &mut |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        });
        bar.finish_and_clear();
        source.map_err(told)
    }

    /// Whether signatures are verified.
    pub(super) fn verifies(&self) -> bool {
        !self.trust.is_empty()
    }

    fn trusted_keys(&self) -> Result<Option<Trust>, CommandError> {
        if self.trust.is_empty() {
            return Ok(None);
        }
        trusted_keys(&self.trust, self.threshold).map(Some)
    }
}

/// Loads the public keys of which `threshold` must have signed.
pub(super) fn trusted_keys(paths: &[PathBuf], threshold: u8) -> Result<Trust, CommandError> {
    let keys = paths.iter().map(|path| Ok(keys::load_public(path)?.tell())).collect::<Result<_, CommandError>>()?;
    TrustedKeys::new(keys, threshold).map(Trust::from).map_err(|error| CommandError::new(ErrorKind::Usage, error))
}

/// Sorts an error by who must act, and says what can be done.
fn told(error: SourceError) -> CommandError {
    const IMAGE: &str = "name the file the release was made from, or make the release again: fleetcast-sign create";
    const DAMAGED: &str = "copy the release file again from where it was made, as binary";
    let (kind, hint) = match &error {
        SourceError::Release(OpenReleaseError::File(FileError { reason: FileReason::Form(_), .. }))
        | SourceError::Cell(
            CellError::Release(FileError { reason: FileReason::Form(_), .. }) | CellError::Page { .. },
        ) => (ErrorKind::Refused, Some(DAMAGED)),
        SourceError::Release(OpenReleaseError::Statement { .. }) => {
            (ErrorKind::Refused, Some("look who signed what: fleetcast-sign inspect RELEASE"))
        }
        SourceError::Images(_) => (ErrorKind::Usage, Some("give each component its image: --image NAME=PATH")),
        SourceError::Size { .. } | SourceError::Cell(CellError::Image { .. }) => (ErrorKind::Refused, Some(IMAGE)),
        SourceError::Digest { .. } => (ErrorKind::Refused, Some("make the release again: fleetcast-sign create")),
        SourceError::Cell(CellError::Repair { .. }) => (
            ErrorKind::Refused,
            Some("leave image and temporary folder alone during the check; else make the release again"),
        ),
        SourceError::Temporary { .. } => {
            (ErrorKind::Failed, Some("name a folder with enough room on a disk: --temp-dir FOLDER"))
        }
        _ => (ErrorKind::Failed, None),
    };
    let told = CommandError::new(kind, error);
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}
