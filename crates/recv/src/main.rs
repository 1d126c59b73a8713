//! `fleetcast-recv`: see `fleetcast-recv --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetcast_cli::run(fleetcast_recv::commands::Cli::run)
}
