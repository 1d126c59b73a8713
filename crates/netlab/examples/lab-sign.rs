//! `fleetcast-sign`, the signing station, for the tests of this crate: as an example it is built with them.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetcast_cli::run(fleetcast_sign::commands::Cli::run)
}
