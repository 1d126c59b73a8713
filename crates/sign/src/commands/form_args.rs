//! In which form a command tells what it has found.

use fleetcast_cli::{self as cli, CommandError};
use serde::Serialize;

/// The form; text if nothing is asked for.
#[derive(clap::Args, Debug)]
pub(super) struct FormArgs {
    /// Print a JSON document
    #[arg(long)]
    pub(super) json: bool,

    /// Print an HTML document, one file that fetches nothing, to read in a browser, to print and to keep
    #[arg(long, conflicts_with = "json")]
    pub(super) html: bool,
}

impl FormArgs {
    /// Prints in the form that is asked for.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if standard output cannot be written.
    pub(super) fn tell(
        &self,
        json: &impl Serialize,
        text: impl FnOnce() -> String,
        html: impl FnOnce() -> String,
    ) -> Result<(), CommandError> {
        match self {
            Self { json: true, .. } => cli::out_json(json),
            Self { html: true, .. } => cli::out(&html()),
            _ => cli::out(&text()),
        }
    }
}
