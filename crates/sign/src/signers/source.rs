//! Where a key is: the text behind `--key`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::agent::Wanted;
use super::token::Uri;

/// Where a private key is.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// In a PEM file.
    File(PathBuf),
    /// In a token with a PKCS#11 module.
    Token(Box<Uri>),
    /// With the ssh-agent.
    Agent(Wanted),
}

impl KeySource {
    /// Reads `pkcs11:...`, `ssh-agent:...`, or else a path. `./pkcs11:...` is a path.
    ///
    /// # Errors
    ///
    /// A message, if it starts as one of the first two and does not go on so.
    pub fn parse(text: OsString) -> Result<Self, String> {
        match text.to_str() {
            Some(text) if text.starts_with(Uri::SCHEME) => {
                let uri = text.parse().map_err(|error| format!("no PKCS#11 URI (RFC 7512): {error}"))?;
                Ok(Self::Token(Box::new(uri)))
            }
            Some(text) if text.starts_with(Wanted::SCHEME) => text.parse().map(Self::Agent),
            _ => Ok(Self::File(text.into())),
        }
    }
}

impl KeySource {
    /// The file that is read for it, if any.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Agent(Wanted::File(path)) => Some(path),
            Self::Token(uri) => uri.pin_source.as_deref(),
            Self::Agent(Wanted::Id(_)) => None,
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Token(uri) => write!(f, "{uri}"),
            Self::Agent(wanted) => write!(f, "{wanted}"),
        }
    }
}
