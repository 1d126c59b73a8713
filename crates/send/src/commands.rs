//! The command line of `fleetcast-send`: one module per command, each `Args` and `run`.

mod channels;
mod check;
mod check_config;
mod gc;
mod groups;
mod nack;
mod path;
mod publish;
mod relay;
mod release;
mod run;
mod status;
mod store_arg;

use clap::{Parser, Subcommand};
use fleetcast_cli::CommandError;

pub(crate) use groups::Groups;
pub(crate) use nack::Nack;
pub(crate) use release::{trusted_keys, trusted_notices};
pub(crate) use run::{delay, rate};

/// Multicasts a signed release to any number of devices: only ever sends, hears nothing, holds no key. As a relay it hears, and passes on what is
/// genuine.
#[derive(Parser, Debug)]
#[command(
    name = "fleetcast-send",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Examples:
  Is this release what its maker signed, and are these its images?
    fleetcast-send check 1.2.3.fleetcast --image app.img --trust release-key.pub.pem

  Send it through eth1 at 20 Mbit/s until told to stop:
    fleetcast-send run 1.2.3.fleetcast --image app.img \\
        --group 239.255.70.67:4701 --interface eth1 --rate 20M

  Put it where head-ends fetch it, after the same checks:
    fleetcast-send publish 1.2.3.fleetcast --image app.img --trust release-key.pub.pem \
        --store s3://releases/acme --channel stable

  Pass on what is genuine from eth0 to a site's own link:
    fleetcast-send relay --trust release-key.pub.pem \\
        --upstream 239.255.70.67:4701 --upstream-interface eth0 \\
        --group 239.255.70.67:4701 --interface eth1

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by verification, 6 shown, but the sender does not run, 78 bad settings.
Data goes to stdout, all else to stderr. NO_COLOR=1 turns colour off."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Run(Box<run::Args>),
    Check(check::Args),
    CheckConfig(check_config::Args),
    Publish(Box<publish::Args>),
    Channels(channels::Args),
    Gc(gc::Args),
    Relay(Box<relay::Args>),
    Status(status::Args),
}

impl Cli {
    /// Does what the command line asks.
    ///
    /// # Errors
    ///
    /// [`CommandError`] of the command.
    pub fn run(self) -> Result<(), CommandError> {
        match self.command {
            Command::Run(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::CheckConfig(args) => args.run(),
            Command::Publish(args) => args.run(),
            Command::Channels(args) => args.run(),
            Command::Gc(args) => args.run(),
            Command::Relay(args) => args.run(),
            Command::Status(args) => args.run(),
        }
    }
}
