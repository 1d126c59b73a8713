//! `root verify`: whether roots follow each other.

use std::path::PathBuf;

use fleetcast_cli::{self as cli, CommandError};
use serde::Serialize;

use super::super::trust_args::{bare_keys, chain};
use crate::root::Taken;

/// Check that roots follow each other, as a device does
///
/// The first must be signed by enough of its own root keys, as the one that devices are made with; each other by enough of
/// its own and of the one before. Exit code 3 and a word for the cause where the walk ends.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Before roots go to the head-end; the order is that of their versions:
    fleetcast-sign root verify *.root

  For devices that were made with a release key alone:
    fleetcast-sign root verify --trust release-key.pub.pem 1.root 2.root")]
pub(super) struct Args {
    /// Root files, none left out
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Public key of devices that were made with keys alone; give it again for more
    #[arg(long = "trust", value_name = "FILE")]
    trust: Vec<PathBuf>,

    /// How many of these keys must have signed root 1
    #[arg(long, value_name = "M", default_value_t = 1, requires = "trust")]
    threshold: u8,

    /// Print a JSON document, of a refusal too
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Walked {
    verified: bool,
    /// Version of the last root.
    version: u16,
    roots: Vec<Taken>,
}

#[derive(Serialize)]
struct Refused {
    verified: bool,
    code: &'static str,
    file: String,
    message: String,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let keys = bare_keys(&self.trust, self.threshold)?;
        match chain(&self.files)?.walk(keys) {
            Ok((_, roots)) => {
                let version = roots.last().map_or(0, |root| root.version);
                let walked = Walked { verified: true, version, roots };
                if self.json { cli::out_json(&walked) } else { cli::out(&walked.text()) }
            }
            Err(error) => {
                if self.json {
                    let (code, message) = (error.reason.code(), error.reason.to_string());
                    let file = error.path.display().to_string();
                    cli::out_json(&Refused { verified: false, code, file, message })?;
                }
                Err(error.into())
            }
        }
    }
}

impl Walked {
    fn text(&self) -> String {
        let line = |root: &Taken| {
            let floors = match root.voids_floors {
                None => "",
                Some(true) => "; floors of devices become void",
                Some(false) => "; floors of devices stay",
            };
            format!("root {}: VERIFIED, signed by {}{floors}\n", root.version, root.signed_by.join(", "))
        };
        self.roots.iter().map(line).collect()
    }
}
