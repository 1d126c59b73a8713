//! What signs: keys in files, tokens, agents and other programs, behind one trait.
//!
//! | KEY | private half | module |
//! | --- | --- | --- |
//! | a path | in a PEM file, in the memory of this program | [`keys`](crate::keys) |
//! | `pkcs11:` | in a token | [`token`] |
//! | `ssh-agent:` | in the memory of the agent | [`agent`] |
//! | none: `--sign-cmd` | behind a program | [`hook`] |
//!
//! Ed25519 signatures depend on key and message alone, so whatever signs, the octets are the same. None is used before
//! [`sign`] has verified it.

pub mod agent;
pub mod hook;
mod source;
pub mod token;

use std::fmt;
use std::io;
use std::process::ExitStatus;

use cryptoki::error::{Error, RvError};
use fleetcast_cli::CommandError;

pub use source::KeySource;

use agent::AgentReason;

use crate::keys::{PublicKey, SecretKey};

/// Something that can sign with one key.
pub trait Signer: fmt::Debug {
    /// The public half of the key.
    fn public(&self) -> PublicKey;

    /// What messages call it, such as `key 0123456789abcdef`.
    fn name(&self) -> String {
        format!("key {}", self.public().key_id())
    }

    /// Asks for a signature over `message`. It may be anything: [`sign`] is what verifies it.
    ///
    /// # Errors
    ///
    /// [`SignReason`].
    fn ask(&self, message: &[u8]) -> Result<[u8; 64], SignReason>;
}

impl<S: Signer + ?Sized> Signer for Box<S> {
    fn public(&self) -> PublicKey {
        (**self).public()
    }

    fn name(&self) -> String {
        (**self).name()
    }

    fn ask(&self, message: &[u8]) -> Result<[u8; 64], SignReason> {
        (**self).ask(message)
    }
}

impl Signer for SecretKey {
    fn public(&self) -> PublicKey {
        self.public()
    }

    fn ask(&self, message: &[u8]) -> Result<[u8; 64], SignReason> {
        Ok(self.sign(message))
    }
}

/// The signature of `signer` over `message`, verified as a device verifies it \[S-6\].
///
/// # Errors
///
/// [`SignError`] if there is none, or it is not by the key that `signer` names.
pub fn sign(signer: &(impl Signer + ?Sized), message: &[u8]) -> Result<[u8; 64], SignError> {
    let attempt = || {
        let signature = signer.ask(message)?;
        if signer.public().verify(message, &signature) { Ok(signature) } else { Err(SignReason::Invalid) }
    };
    attempt().map_err(|reason| SignError { signer: signer.name(), reason })
}

/// A signature that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("no signature by {signer}")]
pub struct SignError {
    /// Who should have signed.
    pub signer: String,
    /// Why there is none.
    #[source]
    pub reason: SignReason,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignReason {
    /// What came is no signature by this key over this message.
    #[error("what it gave is not a valid signature by this key")]
    Invalid,
    /// What came is no signature at all.
    #[error("what it gave has not the 64 octets of a signature but {}", if *len > 64 { "more".into() } else { len.to_string() })]
    Length {
        /// How many octets came.
        len: usize,
    },
    /// The token failed.
    #[error("the PKCS#11 module says")]
    Token(#[source] Error),
    /// The agent failed.
    #[error(transparent)]
    Agent(AgentReason),
    /// The program cannot be run.
    #[error("cannot run it")]
    Command(#[source] io::Error),
    /// The program says that it failed.
    #[error("it ended with {status}")]
    Status {
        /// How it ended.
        status: ExitStatus,
    },
}

impl SignReason {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid => "sign-invalid",
            Self::Length { .. } => "sign-length",
            Self::Token(_) => "sign-token",
            Self::Agent(reason) => reason.code(),
            Self::Command(_) => "sign-command",
            Self::Status { .. } => "sign-status",
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid => Some("is the private half that signs another one than that of this public key?".into()),
            Self::Length { .. } => Some("a signature is 64 raw octets: no text, no line end, no ASN.1".into()),
            Self::Status { .. } => Some("what it wrote to stderr is above".into()),
            Self::Agent(reason) => reason.hint(),
            Self::Token(Error::Pkcs11(RvError::UserNotLoggedIn, _)) => {
                Some("a key that wants the PIN before each signature (CKA_ALWAYS_AUTHENTICATE) cannot be used".into())
            }
            Self::Token(_) | Self::Command(_) => None,
        }
    }
}

impl From<SignError> for CommandError {
    fn from(error: SignError) -> Self {
        let hint = error.reason.hint();
        Self::failed(error).hint_if(hint)
    }
}
