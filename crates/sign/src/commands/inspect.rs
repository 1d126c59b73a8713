//! `inspect`: what a file says, without any trust.

use std::path::PathBuf;

use fleetcast_cli::CommandError;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::release::Layout;
use fleetcast_core::trust::Unverified;
use fleetcast_core::wire::StatementKind;
use serde::Serialize;

use super::document::root_or_beacon;
use super::form_args::FormArgs;
use crate::beacon;
use crate::html::{Notice, Sections};
use crate::release::{ReleaseFile, Summary, VerifyError};
use crate::root::{self, RootFile};
use crate::statement::Signable;

/// Show what a release, root or beacon file says, without verifying it
///
/// Anyone can write a file that says the same: no signature and no page is checked. `fleetcast-sign verify` does
/// that, and `root show` says whose signatures a root has.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Look at a release:
    fleetcast-sign inspect 1.2.3.fleetcast

  Its sequence number, for a script:
    fleetcast-sign inspect --json 1.2.3.fleetcast | jq .sequence

  For whoever is asked to sign it, before anybody has:
    fleetcast-sign inspect --html 1.2.3.fleetcast > 1.2.3.html")]
pub(super) struct Args {
    /// Release, root or beacon file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    form: FormArgs,
}

#[derive(Serialize)]
struct Shown<S> {
    /// Always false; `verify` is what finds out.
    verified: bool,
    #[serde(flatten)]
    summary: S,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        match root_or_beacon(&self.file)? {
            Some(statement) if statement.kind() == StatementKind::Root => {
                self.tell(root::Shown::new(&RootFile::of(statement)?, None)?)
            }
            Some(statement) => self.tell(beacon::Shown::new(&statement).map_err(CommandError::failed)?),
            None => self.tell(self.release()?),
        }
    }

    fn release(&self) -> Result<Summary, CommandError> {
        let file = ReleaseFile::open(&self.file).map_err(VerifyError::File)?;
        let statement = Signable::parse(StatementKind::Manifest, file.statement()).map_err(VerifyError::Statement)?;
        let manifest: Unverified<Manifest> = statement.decode().map_err(VerifyError::Statement)?;
        file.check_len(&Layout::new(file.statement().len(), &manifest)).map_err(VerifyError::File)?;
        Ok(Summary::new(&manifest, file.statement()))
    }

    fn tell<S: Serialize + Sections + std::fmt::Display>(&self, summary: S) -> Result<(), CommandError> {
        let shown = Shown { verified: false, summary };
        self.form.tell(
            &shown,
            || format!("NOT VERIFIED: anyone can make a file that says this.\n\n{}", shown.summary),
            || Notice::not_verified().document(&self.file, &shown.summary),
        )
    }
}
