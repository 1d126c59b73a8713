//! `fleetcast-conformance`: see `fleetcast-conformance --help`.

use std::process::ExitCode;

use fleetcast_netlab::conformance::commands::Cli;

fn main() -> ExitCode {
    fleetcast_cli::run(Cli::run)
}
