//! `check-config`: whether a file of settings is right.

use std::path::PathBuf;

use fleetcast_cli::CommandError;

use crate::config::Config;

/// Check a file of settings for `run --config`
///
/// Reads the file, and the keys, roots and beacons that it names. Neither store nor interface is asked.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Before the service is restarted:
    fleetcast-send check-config /etc/fleetcast/send.toml

Exit codes: 0 all is right, 2 wrong usage, 78 bad settings.")]
pub(super) struct Args {
    /// File of settings
    #[arg(value_name = "FILE")]
    config: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let config = Config::load(&self.config)?;
        let streams: Vec<_> = config.streams.iter().map(|stream| stream.name.as_str()).collect();
        fleetcast_cli::note(format_args!("{} is right: {}", self.config.display(), streams.join(", ")));
        Ok(())
    }
}
