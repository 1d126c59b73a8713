//! Whose statements count: keys alone, or roots.

use std::fs::File;
use std::path::{Path, PathBuf};

use fleetcast_cli::keys::{load_public, read_bounded};
use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::trust::{MAX_STATEMENT, PublicKey, Trust, TrustError, TrustedKeys};

use crate::root::Chain;

/// What devices trust.
#[derive(clap::Args, Debug)]
pub(super) struct TrustArgs {
    /// Public key to trust; give it again for more
    #[arg(long = "trust", value_name = "FILE")]
    pub(super) keys: Vec<PathBuf>,

    /// How many of these keys must have signed
    #[arg(long, value_name = "M", default_value_t = 1, requires = "keys")]
    pub(super) threshold: u8,

    /// Root file to trust; give all that follow too, and the last one decides
    ///
    /// The first is trusted as one that devices are made with, unless --trust names keys that devices have instead; each
    /// must follow the one before. Their order is that of their versions.
    #[arg(long = "root", value_name = "FILE")]
    pub(super) roots: Vec<PathBuf>,
}

impl TrustArgs {
    /// What is to be trusted; `None` if nothing is named.
    ///
    /// # Errors
    ///
    /// [`CommandError`] of a file that cannot be used, or of a root that does not follow.
    pub(super) fn load(&self) -> Result<Option<Trust>, CommandError> {
        let keys = bare_keys(&self.keys, self.threshold)?;
        Ok(chain(&self.roots)?.walk(keys)?.0)
    }
}

/// Keys alone; `None` if there are none.
///
/// # Errors
///
/// [`CommandError`] of a key that cannot be used, or a threshold that cannot be met.
pub(super) fn bare_keys(paths: &[PathBuf], threshold: u8) -> Result<Option<Trust>, CommandError> {
    if paths.is_empty() {
        return Ok(None);
    }
    let keys = TrustedKeys::new(public_keys(paths)?, threshold);
    let usage = |error: TrustError| CommandError::new(ErrorKind::Usage, error.to_string());
    Ok(Some(keys.map_err(usage)?.into()))
}

/// Reads public keys.
///
/// # Errors
///
/// [`CommandError`] of the first that cannot be used.
pub(super) fn public_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, CommandError> {
    paths.iter().map(|path| Ok(load_public(path)?.tell())).collect()
}

/// Reads root files.
///
/// # Errors
///
/// [`CommandError`] of the first that cannot be read.
pub(super) fn chain(paths: &[PathBuf]) -> Result<Chain, CommandError> {
    paths.iter().map(|path| Ok((path.clone(), statement(path)?))).collect::<Result<_, _>>().map(Chain::new)
}

/// The octets of a file that is no longer than a statement can be.
///
/// # Errors
///
/// [`CommandError`] if it is longer, or cannot be read.
pub(super) fn statement(path: &Path) -> Result<Vec<u8>, CommandError> {
    let read = File::open(path).and_then(|file| read_bounded(file, MAX_STATEMENT as u64));
    match read {
        Ok(Some(octets)) => Ok(octets.to_vec()),
        Ok(None) => {
            let message = format!("refused (template): {} is longer than any statement", path.display());
            Err(CommandError::new(ErrorKind::Refused, message).hint("give a root file, such as 1.root"))
        }
        Err(error) => Err(CommandError::failed(format!("cannot read {}: {error}", path.display()))),
    }
}
