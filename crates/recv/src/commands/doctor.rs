//! `doctor`: what is wrong with the reception?

use std::time::Duration;

use fleetcast_cli::{CommandError, out, out_json, quantity};

use crate::config::Settings;
use crate::doctor::{Report, examine};

/// Say what is wrong with the reception
///
/// Looks at the settings, the interfaces and the memberships, joins the groups as the daemon does, listens for a while, and
/// tells each thing that was looked at, what was seen, and what to do about it. Nothing is installed or stored, and a daemon
/// may run beside this.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  fleetcast-recv doctor --config /etc/fleetcast/recv.toml
  fleetcast-recv doctor --config /etc/fleetcast/recv.toml --for 1min --json

While it listens, groups with a `source` are joined for all sources, to see who else sends there. Run it as the daemon's user,
or what it may do differs.

Exit codes: 0 updates can arrive, 1 something is wrong, 2 wrong usage, 3 what is sent is refused; 78 wrong settings.")]
pub(super) struct Args {
    /// How long to listen, such as 10s or 2min
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = quantity::duration)]
    time: Duration,

    /// Print a JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let tell = |report: &Report| if self.json { out_json(report) } else { out(&report.to_string()) };
        let config = match self.settings.load() {
            Ok(config) => config,
            Err(error) => {
                tell(&Report::of_settings(&error))?;
                return Err(error.into());
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| CommandError::failed(format!("cannot wait for sockets: {e}")))?;
        let report = runtime.block_on(examine(&config, self.time));
        tell(&report)?;
        report.conclude()
    }
}
