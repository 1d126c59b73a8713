//! `pubkey`: the public half of a key, and its id.

use std::path::PathBuf;

use serde::Serialize;

use super::KeyFacts;
use super::signer_args::{TokenArgs, agent_socket, key_source};
use crate::keys::{self, NewFile, PublicKey};
use crate::passphrase;
use crate::signers::agent::AgentKey;
use crate::signers::{KeySource, Signer};
use fleetcast_cli::{self as cli, CommandError};

/// Show the public half of a key and its id
///
/// Prints the public key as PEM on stdout and the key id on stderr. With --out, writes the
/// PEM to a new file and prints the key id on stdout. KEY may be a private key, with or
/// without a passphrase, a public one, or a key in a token or with the ssh-agent.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  The file that goes onto the devices:
    fleetcast-sign pubkey release-key.pem --out release-key.pub.pem

  Compare a key over the telephone, by its id:
    fleetcast-sign pubkey release-key.pub.pem >/dev/null

  The public half of a key in a token:
    fleetcast-sign pubkey 'pkcs11:token=release;object=release-key' --out release-key.pub.pem \\
      --pkcs11-module /usr/lib/softhsm/libsofthsm2.so

  That of a key of the ssh-agent, by the file that ssh-keygen made:
    fleetcast-sign pubkey ssh-agent:id_ed25519.pub --out release-key.pub.pem")]
pub(super) struct Args {
    /// Key: a file (PKCS#8 or SPKI, as PEM), pkcs11:... or ssh-agent:...
    #[arg(value_name = "KEY", value_parser = key_source())]
    key: KeySource,

    /// Write the public key to this new file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Read the passphrase from the one line of FILE, else from the environment variable
    /// `FLEETCAST_KEY_PASSPHRASE`, else ask at the terminal
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Print a JSON document: key id, raw key and PEM
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    tokens: TokenArgs,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    key: KeyFacts,
    pem: String,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let key = self.public_half()?;
        let pem = keys::public_to_pem(&key).map_err(CommandError::failed)?;
        if let Some(path) = &self.out {
            let mut file = NewFile::public(path)?;
            file.write(&pem)?;
            keys::commit([file])?;
        }
        let facts = KeyFacts::new(&key);
        if self.json {
            return cli::out_json(&Shown { key: facts, pem });
        }
        if self.out.is_some() {
            return cli::out(&format!("{}\n", facts.key_id));
        }
        cli::note(format_args!("key id {}", facts.key_id));
        cli::out(&pem)
    }

    fn public_half(&self) -> Result<PublicKey, CommandError> {
        Ok(match &self.key {
            KeySource::File(path) => {
                let ask = || passphrase::obtain(self.passphrase_file.as_deref(), path);
                keys::load_public_half(path, ask)?.tell()
            }
            KeySource::Token(uri) => self.tokens.open().public(uri)?,
            KeySource::Agent(wanted) => AgentKey::find(wanted, agent_socket())?.public(),
        })
    }
}
