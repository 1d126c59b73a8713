//! `keygen`: a new key pair in new files.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::KeyFacts;
use crate::keys::{self, NewFile, SecretKey};
use crate::passphrase::{self, Passphrase, PassphraseError};
use fleetcast_cli::{self as cli, CommandError, ErrorKind};

/// Make a new release key
///
/// Makes an Ed25519 key from the random numbers of the operating system and writes it as
/// PKCS#8 PEM, which OpenSSL reads too, with mode 0600. Neither file is ever overwritten;
/// both are made or none. Prints the key id: the first 8 bytes of the SHA-256 of the raw
/// public key.
///
/// Without a passphrase, whoever can read the file can sign for your devices. It is taken
/// from --passphrase or --passphrase-file, else from `FLEETCAST_KEY_PASSPHRASE` if that is
/// set.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  At the signing station, asking for a passphrase twice:
    fleetcast-sign keygen --out release-key.pem --pub release-key.pub.pem --passphrase

  In a script:
    id=$(fleetcast-sign keygen --out ci-key.pem --passphrase-file ci-key.pass)

  Look at it with OpenSSL:
    openssl pkey -in release-key.pem -noout -text_pub")]
pub(super) struct Args {
    /// New file for the private key
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// New file for the public key
    #[arg(long = "pub", value_name = "FILE")]
    public: Option<PathBuf>,

    /// Encrypt the private key with a passphrase asked for at the terminal, twice
    #[arg(long)]
    passphrase: bool,

    /// Encrypt the private key with the passphrase on the one line of FILE
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    passphrase_file: Option<PathBuf>,

    /// Print a JSON document instead of the key id alone
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    key: KeyFacts,
    encrypted: bool,
    private_file: String,
    public_file: Option<String>,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        if self.public.as_ref() == Some(&self.out) {
            let same = "--out and --pub name the same file";
            return Err(CommandError::new(ErrorKind::Usage, same));
        }
        let passphrase = self.new_passphrase()?;
        let key = SecretKey::generate().map_err(CommandError::failed)?;
        self.write(&key, passphrase.as_ref())?;

        let encrypted = passphrase.is_some();
        let lock = if encrypted { "encrypted" } else { "NOT encrypted" };
        cli::note(format_args!("private key, {lock}: {}", self.out.display()));
        if let Some(path) = &self.public {
            cli::note(format_args!("public key: {}", path.display()));
        }
        let facts = KeyFacts::new(&key.public());
        if !self.json {
            return cli::out(&format!("{}\n", facts.key_id));
        }
        let name = |path: &Path| path.display().to_string();
        cli::out_json(&Made {
            key: facts,
            encrypted,
            private_file: name(&self.out),
            public_file: self.public.as_deref().map(name),
        })
    }

    fn new_passphrase(&self) -> Result<Option<Passphrase>, PassphraseError> {
        if self.passphrase {
            return passphrase::prompt_new(&self.out).map(Some);
        }
        passphrase::given(self.passphrase_file.as_deref())
    }

    /// Fails before anything is written if either name is taken.
    fn write(&self, key: &SecretKey, passphrase: Option<&Passphrase>) -> Result<(), CommandError> {
        let mut private = NewFile::private(&self.out)?;
        let public = self.public.as_deref().map(NewFile::public).transpose()?;
        let text = match passphrase {
            Some(passphrase) => key.to_encrypted_pem(passphrase),
            None => key.to_pem(),
        };
        private.write(&text.map_err(CommandError::failed)?)?;
        if let Some(warning) = private.exposed()? {
            cli::warn(warning);
        }
        let Some(mut public) = public else {
            return Ok(keys::commit([private])?);
        };
        public.write(&keys::public_to_pem(&key.public()).map_err(CommandError::failed)?)?;
        Ok(keys::commit([private, public])?)
    }
}
