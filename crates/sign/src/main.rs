//! `fleetcast-sign`: see `fleetcast-sign --help`.

use std::process::ExitCode;

use fleetcast_sign::{cli, commands};

fn main() -> ExitCode {
    cli::run(commands::Cli::run)
}
