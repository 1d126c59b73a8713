//! The command line of `fleetcast-sign`: one module per command, each `Args` and `run`.

mod attach;
mod beacon;
mod create;
mod diff;
mod document;
mod form_args;
mod image_arg;
mod inspect;
mod keygen;
mod prepare;
mod pubkey;
mod root;
mod sign;
mod signed;
mod signer_args;
mod trust_args;
mod verify;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use clap::{Parser, Subcommand};
use serde::Serialize;

use fleetcast_cli::{CommandError, ErrorKind, hex};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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

  A second signature, at another place:
    fleetcast-sign sign 1.2.3.fleetcast --key pkcs11:token=release --append

  Who may sign what, for fleets that outlive their keys (see also: fleetcast-sign root --help):
    fleetcast-sign root init 1.root --vendor acme.example --root-key root.pub.pem \\
      --release-key release-key.pub.pem --beacon-key beacon.pub.pem

  What would this device do with it, and why?
    fleetcast-sign verify 1.2.3.fleetcast --as-device device.toml

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by verification, 78 wrong profile of a device.
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
    Sign(sign::Args),
    Prepare(prepare::Args),
    Attach(attach::Args),
    Verify(verify::Args),
    Inspect(inspect::Args),
    Diff(diff::Args),
    Root(root::Args),
    Beacon(Box<beacon::Args>),
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
            Command::Sign(args) => args.run(),
            Command::Prepare(args) => args.run(),
            Command::Attach(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Inspect(args) => args.run(),
            Command::Diff(args) => args.run(),
            Command::Root(args) => args.run(),
            Command::Beacon(args) => args.run(),
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

/// Refuses to write over a file that is read.
///
/// # Errors
///
/// [`ErrorKind::Usage`].
fn check_out<'a>(out: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<(), CommandError> {
    // By file and not by name: `./a`, a link and `a` are one file.
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let Some(file) = identity(out) else { return Ok(()) };
    match inputs.into_iter().find(|input| identity(input) == Some(file)) {
        None => Ok(()),
        Some(input) => {
            let message = format!("--out {} is the file that is read as {}", out.display(), input.display());
            Err(CommandError::new(ErrorKind::Usage, message).hint("choose another name for it"))
        }
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
