//! `verify --as-device`: what a device would do with a release.

use std::path::PathBuf;

use fleetcast_cli::{self as cli, CommandError, ErrorKind};
use fleetcast_core::freshness::Verdict as Heard;

use super::super::trust_args::{TrustArgs, chain, statement};
use crate::device::{Device, Profile, RootRefusal, Verdict};
use crate::root::ChainError;
use crate::time;

/// A device on paper, and what it hears.
#[derive(clap::Args, Debug)]
pub(super) struct DeviceArgs {
    /// Say what this device would do with the release, and why
    ///
    /// PROFILE is a TOML file: the settings of the device's recv.toml that matter, and its state, which can be what
    /// `fleetcast-recv status --json` prints. --root then names roots that it hears. It is taken to be on for long enough
    /// to have heard what there is to hear, and to know the time.
    #[arg(long, value_name = "PROFILE", conflicts_with = "keys")]
    as_device: Option<PathBuf>,

    /// Beacon that the device hears
    #[arg(long, value_name = "FILE", requires = "as_device")]
    beacon: Option<PathBuf>,

    /// What time it is for the device, such as 2026-12-01T08:00Z; that of the profile otherwise, or else now
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "as_device")]
    at: Option<u64>,
}

impl DeviceArgs {
    /// Whether there is a device.
    pub(super) const fn is_given(&self) -> bool {
        self.as_device.is_some()
    }

    /// The device, after it has heard roots and beacon; `None` if there is none.
    pub(super) fn load(&self, trust: &TrustArgs) -> Result<Option<Device>, CommandError> {
        let Some(profile) = &self.as_device else { return Ok(None) };
        let mut device = Profile::load(profile, self.at)?;
        for (path, octets) in chain(&trust.roots)?.files() {
            let before = Some(device.trust().version());
            device.hear_root(octets).map_err(|refusal| match refusal {
                RootRefusal::Statement(reason) => ChainError { path: path.into(), before, reason }.into(),
                RootRefusal::Vendor => {
                    let message = format!("refused ({}): root {}: {refusal}", refusal.code(), path.display());
                    CommandError::new(ErrorKind::Refused, message).hint("compare vendor in the profile with root show")
                }
            })?;
        }
        if let Some(path) = &self.beacon {
            match device.hear_beacon(&statement(path)?) {
                Ok(Heard::Replay) => cli::warn("the device has a later beacon, and does not take this one"),
                Ok(_) => {}
                Err(reason) => {
                    let message = format!("refused ({}): beacon {}: {reason}", reason.code(), path.display());
                    let hint =
                        "enough beacon keys of the device's root must sign it; give the roots it hears with --root";
                    return Err(CommandError::new(ErrorKind::Refused, message).hint(hint));
                }
            }
        }
        Ok(Some(device))
    }
}

/// What the exit code tells.
pub(super) fn conclude(verdict: &Verdict) -> Result<(), CommandError> {
    if verdict.is_good() {
        return Ok(());
    }
    let message = format!("refused ({}): the device does not install it", verdict.code.unwrap_or_default());
    Err(CommandError::new(ErrorKind::Refused, message).hint(verdict.hint()))
}
