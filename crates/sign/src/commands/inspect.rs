//! `inspect`: what a release file says, without any trust.

use std::path::PathBuf;

use fleetcast_cli::{self as cli, CommandError};
use fleetcast_core::manifest::Manifest;
use fleetcast_core::release::Layout;
use fleetcast_core::trust::Unverified;
use fleetcast_core::wire::StatementKind;
use serde::Serialize;

use crate::release::{ReleaseFile, Summary, VerifyError};
use crate::statement::Signable;

/// Show what a release file says, without verifying it
///
/// Anyone can write a file that says the same: no signature and no page is checked. `fleetcast-sign verify` does
/// that.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Look at a release:
    fleetcast-sign inspect 1.2.3.fleetcast

  Its sequence number, for a script:
    fleetcast-sign inspect --json 1.2.3.fleetcast | jq .sequence")]
pub(super) struct Args {
    /// Release file
    #[arg(value_name = "RELEASE")]
    release: PathBuf,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    /// Always false; `verify` is what finds out.
    verified: bool,
    #[serde(flatten)]
    summary: Summary,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let file = ReleaseFile::open(&self.release).map_err(VerifyError::File)?;
        let statement = Signable::parse(StatementKind::Manifest, file.statement()).map_err(VerifyError::Statement)?;
        let manifest: Unverified<Manifest> = statement.decode().map_err(VerifyError::Statement)?;
        file.check_len(&Layout::new(file.statement().len(), &manifest)).map_err(VerifyError::File)?;
        let summary = Summary::new(&manifest, file.statement());
        if self.json {
            return cli::out_json(&Shown { verified: false, summary });
        }
        cli::out(&format!("NOT VERIFIED: anyone can make a file that says this.\n\n{summary}"))
    }
}
