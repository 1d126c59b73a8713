//! The command line of `fleetcast-recv`: one module per command, each `Args` and `run`.

mod check_config;
mod discover;
mod doctor;
mod dump;
mod receive;
mod status;
mod verdict;

use clap::{Parser, Subcommand};
use fleetcast_cli::CommandError;

/// Receives signed software updates over one-way multicast, verifies every packet, installs whole releases.
#[derive(Parser, Debug)]
#[command(
    name = "fleetcast-recv",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Examples:
  Install one release and end:
    fleetcast-recv receive --once --trust release-key.pub.pem --vendor acme.example \\
      --class board-a --interface eth0 --group 239.255.70.67:4701 --target app=/data/app.img \\
      --state /var/lib/fleetcast

  The same as a daemon, with all settings in a file:
    fleetcast-recv check-config /etc/fleetcast/recv.toml
    fleetcast-recv receive --config /etc/fleetcast/recv.toml

Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage, 3 refused (doctor, dump),
6 stale or behind (status), 78 wrong configuration.
Data goes to stdout, all else to stderr. NO_COLOR=1 turns colour off."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Receive(Box<receive::Args>),
    Status(status::Args),
    Doctor(Box<doctor::Args>),
    Dump(Box<dump::Args>),
    Commit(verdict::CommitArgs),
    Rollback(verdict::RollbackArgs),
    CheckConfig(check_config::Args),
    Discover(discover::Args),
}

impl Cli {
    /// Does what the command line asks.
    ///
    /// # Errors
    ///
    /// [`CommandError`] of the command.
    pub fn run(self) -> Result<(), CommandError> {
        match self.command {
            Command::Receive(args) => args.run(),
            Command::Status(args) => args.run(),
            Command::Doctor(args) => args.run(),
            Command::Dump(args) => args.run(),
            Command::Commit(args) => args.run(),
            Command::Rollback(args) => args.run(),
            Command::CheckConfig(args) => args.run(),
            Command::Discover(args) => args.run(),
        }
    }
}
