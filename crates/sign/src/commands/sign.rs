//! `sign`: signatures on a statement that a file has already.

use std::path::PathBuf;

use fleetcast_cli::CommandError;

use super::signed::Signed;
use super::signer_args::SignerArgs;
use crate::statement::StatementFile;

/// Sign a release file, a root or a beacon that was made before
///
/// Puts signatures on the statement in FILE and replaces FILE in one step. The keys may be at several places: make the file
/// with create --unsigned, sign it at the first place, and carry it to the next for sign --append. Signatures that are there
/// stay as they are, and are not verified: that takes the other public keys (fleetcast-sign verify).
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Two people at two places:
    fleetcast-sign create --unsigned --signatures 2 --vendor acme.example ... --out 1.2.3.fleetcast
    fleetcast-sign sign 1.2.3.fleetcast --key alice.pem
    fleetcast-sign sign 1.2.3.fleetcast --key bob.pem --append

  A key in a token:
    fleetcast-sign sign 1.2.3.fleetcast --pkcs11-module /usr/lib/softhsm/libsofthsm2.so \\
      --key 'pkcs11:token=release;object=release-key'

  A key with the ssh-agent, by its id:
    fleetcast-sign sign 1.2.3.fleetcast --key ssh-agent:0123456789abcdef")]
pub(super) struct Args {
    /// Release file, or statement file of a root or beacon
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Sign beside others: FILE may have signatures already
    #[arg(long)]
    append: bool,

    #[command(flatten)]
    packet: PacketArg,

    /// Print a JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    signers: SignerArgs,
}

/// How large the packet of the statement may become.
#[derive(clap::Args, Debug)]
pub(super) struct PacketArg {
    /// Octets of UDP payload that the packet of the statement may have; as many as other packets of the release have in
    /// any case
    #[arg(id = "packet", long, value_name = "OCTETS", default_value_t = 1232)]
    octets: u16,
}

impl PacketArg {
    /// How many octets the statement of `file` may have.
    pub(super) fn room(&self, file: &StatementFile) -> usize {
        file.room(self.octets.into())
    }
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        self.signers.check()?;
        let mut file = StatementFile::open(&self.file)?;
        let earlier: Vec<_> = file.statement.signers().map(|key| key.to_string()).collect();
        if !earlier.is_empty() && !self.append {
            let message = format!("{} is signed already, by key {}", self.file.display(), earlier.join(" and "));
            return Err(CommandError::failed(message).hint("give --append to add a signature to these"));
        }
        let room = self.packet.room(&file);
        for signer in self.signers.load()? {
            file.statement.sign(&signer, room)?;
        }
        file.save()?;
        Signed::new(&self.file, &file).tell(self.json)
    }
}
