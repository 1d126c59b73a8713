//! `prepare`: what a key elsewhere is to sign.

use std::path::PathBuf;

use fleetcast_cli::{self as cli, CommandError, hex, keys::load_public};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::check_out;
use super::sign::PacketArg;
use super::signed::name;
use crate::beside::{self, Existing};
use crate::statement::StatementFile;

/// Write the octets that a key elsewhere must sign
///
/// For keys that this program cannot reach: behind an air gap, or in the key management of a cloud. The octets are the
/// `Sig_structure` of COSE and differ from key to key. They are signed by pure Ed25519, not hashed before; `attach` takes the
/// signature. FILE stays as it is.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  A key behind an air gap, with OpenSSL:
    fleetcast-sign prepare 1.2.3.fleetcast --pub release-key.pub.pem --out 1.2.3.tbs
    openssl pkeyutl -sign -rawin -inkey release-key.pem -in 1.2.3.tbs -out 1.2.3.sig
    fleetcast-sign attach 1.2.3.fleetcast --pub release-key.pub.pem --signature 1.2.3.sig")]
pub(super) struct Args {
    /// Release file, or statement file of a root or beacon
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Public half of the key that is to sign
    #[arg(long = "pub", value_name = "FILE")]
    public: PathBuf,

    /// File to write the octets to
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Replace the file of --out if it exists
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    packet: PacketArg,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Prepared {
    file: String,
    kind: &'static str,
    /// The key that is to sign.
    key_id: String,
    octets: usize,
    /// SHA-256 of the octets, to compare where they are signed.
    sha256: String,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        check_out(&self.out, [self.file.as_path(), &self.public])?;
        let key = load_public(&self.public)?.tell();
        let file = StatementFile::open(&self.file)?;
        file.statement.check(&key, self.packet.room(&file))?;
        let octets = file.statement.to_be_signed(&key).map_err(CommandError::failed)?;
        beside::write(&self.out, &octets, if self.force { Existing::Replace } else { Existing::Keep })?;
        let prepared = Prepared {
            file: self.out.display().to_string(),
            kind: name(file.statement.kind()),
            key_id: key.key_id().to_string(),
            octets: octets.len(),
            sha256: hex(&Sha256::digest(&octets)),
        };
        if self.json {
            return cli::out_json(&prepared);
        }
        let Prepared { kind, key_id, sha256, .. } = &prepared;
        cli::out(&format!("{:<18}{kind}\n{:<18}{key_id}\n{:<18}{sha256}\n", "kind", "for key", "SHA-256"))
    }
}
