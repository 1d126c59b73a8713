//! What all commands have in common: a release, its images, and whose signatures count.

use std::path::{Path, PathBuf};

use fleetcast_cli::release as release_file;
use fleetcast_cli::{CommandError, ErrorKind, keys};
use fleetcast_core::trust::{StatementError, Trust, TrustedKeys};

use crate::notices::Notices;
use crate::notices::chain::Chain;
use crate::notices::file::{FileError, FileReason, read};
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

    /// Public key that must have signed the release; may be repeated. Without it, and without --root, signatures are not
    /// checked here: the devices check them in any case
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,

    /// How many of the keys must have signed
    #[arg(long, value_name = "M", default_value_t = 1, requires = "trust")]
    threshold: u8,

    /// Root to send along; repeat it for each, in order of version and none left out, from the oldest that a device was
    /// made with to the newest. Each must be signed by the one before it, and the release must be valid by the last. Roots
    /// are read once, at the start
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trust", "threshold"])]
    root: Vec<PathBuf>,

    /// Beacon to send along, valid by the last root. When the file changes it is read again, within about a second: put a
    /// new one in its place by rename. One that is no good is told, and the last good one is sent on
    #[arg(long, value_name = "FILE", requires = "root")]
    beacon: Option<PathBuf>,

    /// Folder for the repair chunks, by default the system's for temporary files. They take up to as much room as the
    /// images, in a file without a name that is gone with the program. On a RAM disk they take memory
    #[arg(long, value_name = "FOLDER")]
    temp_dir: Option<PathBuf>,
}

impl ReleaseArgs {
    /// Opens release and images and checks everything, and the roots and beacon that go with them, if there are some.
    pub(super) fn open(&self, json: bool) -> Result<(Source, Option<Notices>), CommandError> {
        let notices = self.notices()?;
        let trust = match &notices {
            Some(notices) => Some(notices.chain().trust().clone()),
            None if self.trust.is_empty() => None,
            None => Some(trusted_keys(&self.trust, self.threshold)?),
        };
        let source = open_source(&self.release, &self.images, trust.as_ref(), self.temp_dir.as_deref(), json)?;
        Ok((source, notices))
    }

    /// Whether signatures are verified.
    pub(super) fn verifies(&self) -> bool {
        !self.trust.is_empty() || !self.root.is_empty()
    }

    fn notices(&self) -> Result<Option<Notices>, CommandError> {
        if self.root.is_empty() {
            return Ok(None);
        }
        trusted_notices(&self.root, self.beacon.as_deref()).map(Some)
    }
}

/// Opens release and images and checks everything; repair chunks go into `temp_dir`, or where the system has such files.
pub(super) fn open_source(
    release: &Path,
    images: &[ImageArg],
    trust: Option<&Trust>,
    temp_dir: Option<&Path>,
    json: bool,
) -> Result<Source, CommandError> {
    let release = ReleaseFile::open(release, trust).map_err(|e| told(e.into()))?;
    let folder = temp_dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
    let bar = report::check_bar(json);
    let source = Source::open(release, images, &folder, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    source.map_err(told)
}

/// Opens roots, in order of version, and a beacon.
pub(crate) fn trusted_notices(roots: &[PathBuf], beacon: Option<&Path>) -> Result<Notices, CommandError> {
    Notices::open(roots, beacon).map_err(no_statement)
}

/// Loads the public keys of which `threshold` must have signed.
pub(crate) fn trusted_keys(paths: &[PathBuf], threshold: u8) -> Result<Trust, CommandError> {
    let keys = paths.iter().map(|path| Ok(keys::load_public(path)?.tell())).collect::<Result<_, CommandError>>()?;
    TrustedKeys::new(keys, threshold).map(Trust::from).map_err(|error| CommandError::new(ErrorKind::Usage, error))
}

/// The trust in a root, verified by itself.
pub(super) fn trusted_root(path: &Path) -> Result<Trust, CommandError> {
    Ok(trusted_chain(&[path.into()])?.trust().clone())
}

/// Opens roots, in order of version.
pub(super) fn trusted_chain(paths: &[PathBuf]) -> Result<Chain, CommandError> {
    Chain::open(paths).map_err(no_statement)
}

/// The octets of a beacon, not verified yet.
pub(super) fn beacon_statement(path: &Path) -> Result<Vec<u8>, CommandError> {
    read("beacon", path).map_err(no_statement)
}

/// A root or beacon that is no good.
fn no_statement(error: FileError) -> CommandError {
    let hint = match &error.reason {
        FileReason::Statement(StatementError::RootVersion { .. }) => {
            Some("name all roots, in order of version: --root 1.root --root 2.root ...")
        }
        FileReason::Statement(StatementError::Template) => {
            Some("it needs a file of `fleetcast-sign root` or `fleetcast-sign beacon`, with all signatures")
        }
        FileReason::Statement(StatementError::Threshold { .. }) if error.what == "root" => Some(
            "a root is signed by the root keys of the one before it, and by its own: fleetcast-sign root show FILE",
        ),
        FileReason::Statement(StatementError::Threshold { .. }) => {
            Some("the last root says who signs beacons: fleetcast-sign root show FILE")
        }
        _ => None,
    };
    let kind = if matches!(error.reason, FileReason::Io(_)) { ErrorKind::Failed } else { ErrorKind::Refused };
    CommandError::new(kind, error).hint_if(hint)
}

/// Sorts an error by who must act, and says what can be done.
pub(super) fn told(error: SourceError) -> CommandError {
    const IMAGE: &str = "name the file the release was made from, or make the release again: fleetcast-sign create";
    const DAMAGED: &str = "copy the release file again from where it was made, as binary";
    let (kind, hint) = match &error {
        SourceError::Release(OpenReleaseError::File(release_file::FileError {
            reason: release_file::FileReason::Form(_),
            ..
        }))
        | SourceError::Cell(
            CellError::Release(release_file::FileError { reason: release_file::FileReason::Form(_), .. })
            | CellError::Page { .. },
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
