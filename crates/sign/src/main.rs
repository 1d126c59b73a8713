//! `fleetcast-sign`: see `fleetcast-sign --help`.

use std::process::ExitCode;

use fleetcast_sign::commands;

fn main() -> ExitCode {
    fleetcast_cli::run(commands::Cli::run)
}
