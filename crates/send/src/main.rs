//! `fleetcast-send`: see `fleetcast-send --help`.

use std::process::ExitCode;

use fleetcast_send::commands::Cli;

fn main() -> ExitCode {
    fleetcast_cli::run(Cli::run)
}
