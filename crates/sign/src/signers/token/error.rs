//! Why a key in a token cannot be used.

use std::path::PathBuf;

use cryptoki::error::{Error, RvError};
use fleetcast_cli::CommandError;
use fleetcast_cli::keys::{KeyError, LoadError};

use crate::passphrase::PassphraseError;

/// A key in a token that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot use key {uri}")]
pub struct TokenError {
    /// Its URI, without PIN.
    pub uri: String,
    /// What is wrong with it.
    #[source]
    pub reason: TokenReason,
}

/// Why a key in a token cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenReason {
    /// Nothing says which module.
    #[error("nothing says which PKCS#11 module drives its token")]
    NoModule,
    /// The module cannot be loaded.
    #[error("cannot load PKCS#11 module {}", path.display())]
    Module {
        /// The module.
        path: PathBuf,
        /// Why not.
        source: Error,
    },
    /// No token, or more than one, is as the URI says.
    #[error("{}", count("tokens match", *matching))]
    Tokens {
        /// How many do.
        matching: usize,
        /// All the tokens there are, or those that match.
        seen: Vec<String>,
    },
    /// No Ed25519 key, or more than one, is as the URI says.
    #[error("{} in token {token}", count("Ed25519 private keys match", *matching))]
    Keys {
        /// How many do.
        matching: usize,
        /// The token.
        token: String,
        /// All the private keys there are, or those that match.
        seen: Vec<String>,
    },
    /// The token does not say what the public half is.
    #[error("token {token} has no public half of it, by the same id")]
    NoPublic {
        /// The token.
        token: String,
    },
    /// The public half is no Ed25519 key.
    #[error("its public half (CKA_EC_POINT) has {len} octets and is none of Ed25519")]
    Point {
        /// Octets of the attribute.
        len: usize,
    },
    /// A public half that must not be trusted.
    #[error("its public half must not be trusted")]
    Public(#[from] KeyError),
    /// A published test key.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The PIN could not be had.
    #[error("its token is locked")]
    Pin(#[from] PassphraseError),
    /// The PIN is wrong.
    #[error("wrong PIN")]
    WrongPin,
    /// No PIN opens it any more.
    #[error("its token is blocked after too many wrong PINs")]
    Blocked,
    /// The token or its module failed.
    #[error("the PKCS#11 module says")]
    Call(#[source] Error),
}

impl From<Error> for TokenReason {
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => Self::WrongPin,
            Error::Pkcs11(RvError::PinLocked, _) => Self::Blocked,
            error => Self::Call(error),
        }
    }
}

fn count(what: &str, matching: usize) -> String {
    if matching == 0 { format!("no {what}") } else { format!("{matching} {what}") }
}

impl TokenReason {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoModule => "token-no-module",
            Self::Module { .. } => "token-module",
            Self::Tokens { .. } => "token-tokens",
            Self::Keys { .. } => "token-keys",
            Self::NoPublic { .. } => "token-no-public",
            Self::Point { .. } => "token-point",
            Self::Public(error) => error.code(),
            Self::Load(error) => error.code(),
            Self::Pin(error) => error.code(),
            Self::WrongPin => "token-pin",
            Self::Blocked => "token-blocked",
            Self::Call(_) => "token-call",
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let list = |what: &str, seen: &[String]| match seen {
            [] => format!("there is no {what}"),
            _ => format!("there is: {}", seen.join(", ")),
        };
        let hint = match self {
            Self::NoModule => {
                "give --pkcs11-module FILE, set FLEETCAST_PKCS11_MODULE, or add ?module-path=FILE to the URI"
            }
            Self::Tokens { seen, .. } => return Some(list("token; is it connected, and this its module?", seen)),
            Self::Keys { seen, .. } => return Some(list("private key; was the key made for another algorithm?", seen)),
            Self::NoPublic { .. } => "import the public key beside the private one, with the same id",
            Self::Point { .. } => "make an Ed25519 key: pkcs11-tool --keypairgen --key-type EC:edwards25519",
            Self::Public(_) => "make another key, and find out how this one came into the token",
            Self::Load(error) => return error.hint(),
            Self::Pin(error) => return error.hint(),
            Self::WrongPin => "it was tried once; tokens block themselves after a few wrong ones",
            Self::Blocked => "unblock it with the PIN of its security officer (PUK)",
            Self::Module { .. } | Self::Call(_) => return None,
        };
        Some(hint.into())
    }
}

impl From<TokenError> for CommandError {
    fn from(error: TokenError) -> Self {
        let hint = error.reason.hint();
        Self::failed(error).hint_if(hint)
    }
}
