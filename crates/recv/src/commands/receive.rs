//! `receive`: join, verify, install.

use std::time::Duration;

use fleetcast_cli::journal::{self, LogArgs};
use fleetcast_cli::{CommandError, quantity};

use crate::config::Settings;
use crate::driver::{self, Options};
use crate::progress::Reporter;

/// Receive releases and install them
///
/// Joins the groups and waits for a release for this device, starting anywhere in the sender's loop. Every packet is
/// verified before it is written. A release is installed whole or not at all, and only after all of it was read back.
/// What was received survives a restart and a crash, and a power cut but for the last ten seconds. A release that the
/// storage cannot take is told and left alone, and tried again after ten minutes.
///
/// Without --once it stays and installs later releases too.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  As a daemon, with settings from a file:
    fleetcast-recv receive --config /etc/fleetcast/recv.toml

  One release into two files, with everything on the command line:
    fleetcast-recv receive --once --timeout 2h --trust release-key.pub.pem \\
      --vendor acme.example --class board-a --interface eth0 --group 239.255.70.67:4701 \\
      --target kernel=/boot/kernel.img --target app=/data/app.img --state /var/lib/fleetcast

Exit codes: 0 installed (--once), or stopped by SIGTERM while nothing was being received;
1 failed, interrupted or timed out, and the next start goes on; 2 wrong usage; 78 wrong settings.")]
pub(super) struct Args {
    /// End once a release is installed, or if the one on the air already is
    #[arg(long)]
    once: bool,

    /// Give up after this time, such as 90s, 30min or 2h
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    timeout: Option<Duration>,

    /// Throw away this share of the datagrams at random, to try out what loss costs: percent, 0 to 90
    #[arg(long, value_name = "PERCENT", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u8).range(..=90))]
    simulate_loss: u8,

    /// Tell events and progress as JSON lines on stdout
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    log: LogArgs,

    #[command(flatten)]
    settings: Settings,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        self.log.open(journal::RECV);
        let config = self.settings.load()?;
        let options = Options { once: self.once, timeout: self.timeout, simulated_loss: self.simulate_loss };
        let mut reporter = Reporter::new(self.json);
        // Sockets, timers and signals on this one thread.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| CommandError::failed(format!("cannot wait for sockets: {e}")))?;
        runtime.block_on(driver::run(&config, options, &mut reporter))
    }
}
