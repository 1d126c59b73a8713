//! The command line of `fleetcast-sign`: one module per command, each `Args` and `run`.

mod create;
mod image_arg;
mod inspect;
mod keygen;
mod pubkey;
mod root;
mod signer_args;
mod trust_args;
mod verify;

use clap::{Parser, Subcommand};
use serde::Serialize;

use fleetcast_cli::CommandError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::hex;
use crate::keys::PublicKey;

/// Makes keys and signs releases for Fleetcast, on a machine that needs no network.
#[derive(Parser, Debug)]
#[command(
    name = "fleetcast-sign",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Examples:
  A key with a passphrase, and the public half for the devices:
    fleetcast-sign keygen --out release-key.pem --pub release-key.pub.pem --passphrase

  Which key is this?
    fleetcast-sign pubkey --json release-key.pub.pem

  A release of one image, checked as a device checks it:
    fleetcast-sign create --key release-key.pem --vendor acme.example --class board-a \\
      --version 1.2.3 --sequence 17 --image rootfs=rootfs.img --out 1.2.3.fleetcast
    fleetcast-sign verify 1.2.3.fleetcast --trust release-key.pub.pem --image rootfs=rootfs.img

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by verification.
Data goes to stdout, all else to stderr. NO_COLOR=1 turns colour off."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Keygen(keygen::Args),
    Pubkey(pubkey::Args),
    Create(Box<create::Args>),
    Verify(verify::Args),
    Inspect(inspect::Args),
    Root(root::Args),
}

impl Cli {
    /// Does what the command line asks.
    ///
    /// # Errors
    ///
    /// [`CommandError`] of the command.
    pub fn run(self) -> Result<(), CommandError> {
        match self.command {
            Command::Keygen(args) => args.run(),
            Command::Pubkey(args) => args.run(),
            Command::Create(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Inspect(args) => args.run(),
            Command::Root(args) => args.run(),
        }
    }
}

/// The public half of a key, as every command with `--json` shows it.
#[derive(Serialize)]
struct KeyFacts {
    key_id: String,
    algorithm: &'static str,
    /// Raw key, lower-case hexadecimal.
    public_key: String,
}

impl KeyFacts {
    fn new(key: &PublicKey) -> Self {
        let public_key = hex(&key.to_bytes());
        Self { key_id: key.key_id().to_string(), algorithm: "Ed25519", public_key }
    }
}

/// A progress bar over octets on stderr, if that is a terminal.
fn progress(octets: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(octets), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:40} {percent:>3} %  {bytes_per_sec}  {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
