//! Why a key of the ssh-agent cannot be used.

use std::io;
use std::path::PathBuf;

use fleetcast_cli::CommandError;
use fleetcast_cli::keys::LoadError;

/// A key of the agent that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot use key {key}")]
pub struct AgentError {
    /// As it was asked for.
    pub key: String,
    /// What is wrong with it.
    #[source]
    pub reason: AgentReason,
}

/// Why a key of the agent cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentReason {
    /// No agent is known.
    #[error("there is no ssh-agent: SSH_AUTH_SOCK is not set")]
    NoAgent,
    /// The agent cannot be reached, hangs up, or does not answer in time.
    #[error("the ssh-agent at {} does not answer", socket.display())]
    Io {
        /// Its socket.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The answer is none of the protocol.
    #[error("the answer of the ssh-agent makes no sense")]
    Answer,
    /// The agent says no.
    #[error("the ssh-agent refuses")]
    Refused,
    /// The agent has other keys.
    #[error("the ssh-agent has no such Ed25519 key")]
    NoKey {
        /// Its Ed25519 keys.
        seen: Vec<String>,
    },
    /// The public key file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The public key file has something else in it.
    #[error("{} is not one Ed25519 public key as OpenSSH writes it", path.display())]
    NoPublicKey {
        /// The file.
        path: PathBuf,
    },
    /// A published test key.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl AgentReason {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoAgent => "agent-none",
            Self::Io { .. } => "agent-io",
            Self::Answer => "agent-answer",
            Self::Refused => "agent-refused",
            Self::NoKey { .. } => "agent-no-key",
            Self::File { .. } => "agent-file",
            Self::NoPublicKey { .. } => "agent-no-public-key",
            Self::Load(error) => error.code(),
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoAgent => "start one: eval $(ssh-agent); ssh-add FILE",
            Self::Refused => "is it locked (ssh-add -X), or was the signature not confirmed?",
            Self::NoKey { seen } if seen.is_empty() => "it has no Ed25519 key at all: ssh-add FILE",
            Self::NoKey { seen } => return Some(format!("it has {}", seen.join(", "))),
            Self::File { .. } | Self::NoPublicKey { .. } => {
                "give the 16 digits of a key id, or a file such as id_ed25519.pub; keys of type sk-ssh-ed25519 sign in a \
                 form of their own and cannot be used"
            }
            Self::Load(error) => return error.hint(),
            Self::Io { .. } | Self::Answer => return None,
        };
        Some(hint.into())
    }
}

impl From<AgentError> for CommandError {
    fn from(error: AgentError) -> Self {
        let hint = error.reason.hint();
        Self::failed(error).hint_if(hint)
    }
}
