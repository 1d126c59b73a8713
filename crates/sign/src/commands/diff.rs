//! `diff`: what a release changes.

use std::path::PathBuf;

use fleetcast_cli::html::Markup;
use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::beacon::Beacon;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::wire::StatementKind;
use serde::Serialize;

use super::document::open;
use super::form_args::FormArgs;
use super::signed::name;
use crate::html::changes_document;
use crate::statement::Signable;
use crate::{beacon, changes, release, root};

/// Show what differs between two releases, roots or beacons
///
/// Of releases: identity, sequence and versions, classes, what devices they are for, waves, components with sizes, SHA-256
/// and geometry, and the keys that the signatures name. Nothing is verified.
///
/// Exit code 0 whether they differ or not; `same` in the JSON document tells.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  What a reviewer looks at:
    fleetcast-sign diff 1.2.2.fleetcast 1.2.3.fleetcast

  In a pipeline: end it unless two builds made the same release:
    fleetcast-sign diff --json here.fleetcast there.fleetcast | jq -e .same

  To keep with the release:
    fleetcast-sign diff --html 1.2.2.fleetcast 1.2.3.fleetcast > changes.html")]
pub(super) struct Args {
    /// Release, root or beacon file
    #[arg(value_name = "A")]
    a: PathBuf,

    /// The file of the same kind to compare with it
    #[arg(value_name = "B")]
    b: PathBuf,

    #[command(flatten)]
    form: FormArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let [a, b] = [open(&self.a)?.statement, open(&self.b)?.statement];
        if a.kind() != b.kind() {
            let [a, b] = [&a, &b].map(|statement| name(statement.kind()));
            let message = format!("a {a} and a {b} have nothing in common");
            return Err(CommandError::new(ErrorKind::Usage, message).hint("give two files of the same kind"));
        }
        match a.kind() {
            StatementKind::Manifest => {
                let decode = |statement: &Signable| statement.decode::<Manifest>().map_err(CommandError::failed);
                self.tell(&release::diff((&decode(&a)?, &a), (&decode(&b)?, &b)), changes::Diff::section)
            }
            StatementKind::Root => {
                self.tell(&root::Diff::new(&root::RootFile::of(a)?, &root::RootFile::of(b)?), root::Diff::section)
            }
            StatementKind::Beacon => {
                let decode = |statement: &Signable| statement.decode::<Beacon>().map_err(CommandError::failed);
                self.tell(&beacon::diff(&*decode(&a)?, &*decode(&b)?), changes::Diff::section)
            }
        }
    }

    fn tell<D: Serialize + std::fmt::Display>(
        &self,
        diff: &D,
        section: impl FnOnce(&D) -> Markup,
    ) -> Result<(), CommandError> {
        self.form.tell(diff, || diff.to_string(), || changes_document(&self.a, &self.b, &section(diff)))
    }
}
