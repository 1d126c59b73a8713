//! Which keys sign: the options that every signing command has.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use fleetcast_cli::keys::load_public;
use fleetcast_cli::{CommandError, ErrorKind};

use crate::keys;
use crate::passphrase::{self, Passphrase, PassphraseError};
use crate::signers::agent::AgentKey;
use crate::signers::hook::Hook;
use crate::signers::token::Tokens;
use crate::signers::{KeySource, Signer};

/// The keys that sign, and what opens them.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Keys")]
pub(super) struct SignerArgs {
    /// Key to sign with: a PEM file, pkcs11:... or ssh-agent:...; give it again for another signature, in this order
    ///
    /// pkcs11:token=T;object=O is a key in a token (RFC 7512); token, manufacturer, model, serial, slot-id, object, id and
    /// type choose it. ssh-agent:ID is a key of the agent at `SSH_AUTH_SOCK`; ID is the 16 digits of a key id, or a public key
    /// file of OpenSSH.
    #[arg(long = "key", value_name = "KEY", value_parser = key_source())]
    keys: Vec<KeySource>,

    /// Read a passphrase from the one line of FILE, else from the environment variable
    /// `FLEETCAST_KEY_PASSPHRASE`, else ask at the terminal
    ///
    /// One FILE serves all keys in files. Keys with different passphrases need one FILE each, in the order of the keys; that
    /// of a key without a passphrase is not read.
    #[arg(long = "passphrase-file", value_name = "FILE")]
    passphrase_files: Vec<PathBuf>,

    #[command(flatten)]
    tokens: TokenArgs,

    /// Program that signs for the key of --pub, after all of --key; give both again for another
    ///
    /// The shell runs it with the octets to sign on stdin; it writes the 64 raw octets of the signature to stdout and
    /// ends with status 0.
    #[arg(long = "sign-cmd", value_name = "COMMAND")]
    commands: Vec<String>,

    /// Public half of the key that --sign-cmd signs with
    #[arg(long = "pub", value_name = "FILE", requires = "commands")]
    publics: Vec<PathBuf>,
}

/// What drives and opens tokens.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Keys")]
pub(super) struct TokenArgs {
    /// PKCS#11 module of keys that begin with pkcs11: and name none (?module-path=FILE)
    #[arg(long, value_name = "FILE", env = "FLEETCAST_PKCS11_MODULE", hide_env_values = true)]
    pkcs11_module: Option<PathBuf>,

    /// Read the PIN of a token from the one line of FILE, else from the environment variable
    /// `FLEETCAST_PKCS11_PIN`, else ask at the terminal
    ///
    /// Tokens with different PINs name their own files: pkcs11:...?pin-source=/FILE.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

/// Reads a KEY of the command line.
pub(super) fn key_source() -> impl TypedValueParser<Value = KeySource> {
    OsStringValueParser::new().try_map(KeySource::parse)
}

impl TokenArgs {
    pub(super) fn open(&self) -> Tokens {
        Tokens::new(self.pkcs11_module.clone(), self.pin_file.clone())
    }
}

/// Where the ssh-agent is.
pub(super) fn agent_socket() -> Option<OsString> {
    std::env::var_os("SSH_AUTH_SOCK")
}

impl SignerArgs {
    /// How many keys are to sign.
    pub(super) const fn count(&self) -> usize {
        self.keys.len() + self.commands.len()
    }

    /// The files that are read for it.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let of_keys = self.keys.iter().filter_map(KeySource::file);
        let others = self.passphrase_files.iter().chain(&self.tokens.pin_file).chain(&self.publics);
        of_keys.chain(others.map(PathBuf::as_path))
    }

    /// Whether the options fit each other, before anything is read or asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`].
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let usage = |message: String, hint: &str| Err(CommandError::new(ErrorKind::Usage, message).hint(hint));
        let (files, keys) =
            (self.passphrase_files.len(), self.keys.iter().filter(|key| matches!(key, KeySource::File(_))).count());
        if self.count() == 0 {
            return usage("there is no key to sign with".into(), "give --key KEY, or --sign-cmd COMMAND --pub FILE");
        }
        if files > 1 && files != keys {
            let message = format!("--passphrase-file is given {files} times and --key {keys} times");
            return usage(message, "give one --passphrase-file for all keys, or one for each key file in their order");
        }
        let (commands, publics) = (self.commands.len(), self.publics.len());
        if commands != publics {
            let message = format!("--sign-cmd is given {commands} times and --pub {publics} times");
            return usage(message, "give the public half of each --sign-cmd, in their order");
        }
        Ok(())
    }

    /// Opens all keys, in the order in which they sign.
    ///
    /// # Errors
    ///
    /// That of the first key that cannot be used, or as [`check`](Self::check).
    pub(super) fn load(&self) -> Result<Vec<Box<dyn Signer>>, CommandError> {
        self.check()?;
        let mut passphrases = Passphrases { files: &self.passphrase_files, shared: None };
        let mut files = 0;
        let mut tokens = self.tokens.open();
        let mut signers: Vec<Box<dyn Signer>> = Vec::new();
        for key in &self.keys {
            signers.push(match key {
                KeySource::File(path) => {
                    let number = files;
                    files += 1;
                    Box::new(keys::load_secret(path, || passphrases.of(number, path))?.tell())
                }
                KeySource::Token(uri) => Box::new(tokens.key(uri)?),
                KeySource::Agent(wanted) => Box::new(AgentKey::find(wanted, agent_socket())?),
            });
        }
        for (command, public) in self.commands.iter().zip(&self.publics) {
            signers.push(Box::new(Hook::new(command.clone(), load_public(public)?.tell())));
        }
        Ok(signers)
    }
}

/// What opens the keys in files.
struct Passphrases<'a> {
    files: &'a [PathBuf],
    /// One file for all keys is read once: it may be a pipe.
    shared: Option<Passphrase>,
}

impl Passphrases<'_> {
    /// The passphrase of the key file with this number, from 0.
    fn of(&mut self, number: usize, path: &Path) -> Result<Passphrase, PassphraseError> {
        match (&self.shared, self.files) {
            (Some(passphrase), _) => Ok(passphrase.clone()),
            (None, [file]) => Ok(self.shared.insert(passphrase::obtain(Some(file), path)?).clone()),
            (None, files) => passphrase::obtain(files.get(number).map(PathBuf::as_path), path),
        }
    }
}
