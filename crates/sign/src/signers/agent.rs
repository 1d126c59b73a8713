//! Keys with the ssh-agent, by two messages of its protocol (draft-miller-ssh-agent).
//!
//! The agent signs whatever its user's programs hand it. What keeps a signature for one purpose from serving another is
//! what is signed: ours start with a CBOR head and name their kind \[S-5\], those of SSH with the length of a session id.

mod error;
mod wire;

use std::ffi::OsString;
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use fleetcast_cli as cli;
use fleetcast_cli::keys::{admit, read_bounded};

pub use error::{AgentError, AgentReason};

use super::{SignReason, Signer};
use crate::keys::{KeyId, PublicKey};
use wire::{Answer, Identity};

/// How long the agent may take: somebody may have to confirm, or touch a key.
const PATIENCE: Duration = Duration::from_mins(2);
/// Octets of the largest answer that is read, as OpenSSH has it.
const MAX_ANSWER: u32 = 256 * 1024;
/// Octets of the largest public key file.
const MAX_FILE: u64 = 16 * 1024;

/// Which key of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The one with this id.
    Id(KeyId),
    /// The one whose public half, as OpenSSH writes it, is in this file.
    File(PathBuf),
}

impl Wanted {
    /// How they start.
    pub const SCHEME: &str = "ssh-agent:";

    fn id(&self) -> Result<KeyId, AgentReason> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::File(path) => Ok(public_key_file(path)?.key_id()),
        }
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let key = text.strip_prefix(Self::SCHEME).unwrap_or(text);
        if key.is_empty() {
            return Err("write ssh-agent: and a key id, or a public key file of OpenSSH".into());
        }
        let digits = key.len() == 16 && key.bytes().all(|octet| octet.is_ascii_hexdigit());
        match u64::from_str_radix(key, 16) {
            Ok(id) if digits => Ok(Self::Id(KeyId(id.to_be_bytes()))),
            _ => Ok(Self::File(key.into())),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{}{id}", Self::SCHEME),
            Self::File(path) => write!(f, "{}{}", Self::SCHEME, path.display()),
        }
    }
}

/// A key that the agent has.
#[derive(Debug)]
pub struct AgentKey {
    socket: PathBuf,
    public: PublicKey,
}

impl AgentKey {
    /// Finds a key with the agent whose socket is named by `SSH_AUTH_SOCK`.
    ///
    /// # Errors
    ///
    /// [`AgentError`].
    pub fn find(wanted: &Wanted, socket: Option<OsString>) -> Result<Self, AgentError> {
        let attempt = || {
            let id = wanted.id()?;
            let socket = PathBuf::from(socket.filter(|path| !path.is_empty()).ok_or(AgentReason::NoAgent)?);
            let identities = identities(&socket)?;
            let public = identities.iter().find(|identity| identity.public.key_id() == id);
            let Some(Identity { public, .. }) = public else {
                return Err(AgentReason::NoKey { seen: identities.iter().map(ToString::to_string).collect() });
            };
            admit(public, || wanted.to_string())?.iter().for_each(cli::warn);
            Ok(Self { socket, public: public.clone() })
        };
        attempt().map_err(|reason| AgentError { key: wanted.to_string(), reason })
    }
}

impl Signer for AgentKey {
    fn public(&self) -> PublicKey {
        self.public.clone()
    }

    fn name(&self) -> String {
        format!("key {} of the ssh-agent", self.public.key_id())
    }

    fn ask(&self, message: &[u8]) -> Result<[u8; 64], SignReason> {
        match call(&self.socket, &wire::sign_request(&self.public, message)).map_err(SignReason::Agent)? {
            Answer::Signature(signature) => Ok(*signature),
            Answer::Failure => Err(SignReason::Agent(AgentReason::Refused)),
            Answer::Identities(_) => Err(SignReason::Agent(AgentReason::Answer)),
        }
    }
}

fn identities(socket: &Path) -> Result<Vec<Identity>, AgentReason> {
    match call(socket, &wire::IDENTITIES_REQUEST)? {
        Answer::Identities(identities) => Ok(identities),
        Answer::Failure => Err(AgentReason::Refused),
        Answer::Signature(_) => Err(AgentReason::Answer),
    }
}

/// One question and its answer, on a connection of its own.
fn call(socket: &Path, request: &[u8]) -> Result<Answer, AgentReason> {
    let exchange = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut len = [0; 4];
        stream.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len);
        if len > MAX_ANSWER {
            return Ok(None);
        }
        let mut answer = vec![0; len as usize];
        stream.read_exact(&mut answer)?;
        Ok(Some(answer))
    };
    let answer = exchange().map_err(|source| AgentReason::Io { socket: socket.into(), source })?;
    answer.as_deref().and_then(Answer::decode).ok_or(AgentReason::Answer)
}

/// The Ed25519 key in a public key file of OpenSSH: one line of type, Base64 and a comment.
fn public_key_file(path: &Path) -> Result<PublicKey, AgentReason> {
    let failed = |source| AgentReason::File { path: path.into(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let text = read_bounded(file, MAX_FILE).map_err(failed)?;
    let line = text.as_ref().and_then(|text| str::from_utf8(text).ok()).map(str::trim_ascii);
    let no_key = || AgentReason::NoPublicKey { path: path.into() };
    wire::public_key_line(line.ok_or_else(no_key)?).ok_or_else(no_key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// An agent that answers every question with these octets.
    fn agent(folder: &Path, answer: Vec<u8>) -> OsString {
        let path = folder.join("agent");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(1) {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 64]).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        path.into()
    }

    fn code(answer: &[u8]) -> &'static str {
        let folder = tempfile::tempdir().unwrap();
        let wanted = Wanted::Id(KeyId([0; 8]));
        match AgentKey::find(&wanted, Some(agent(folder.path(), answer.to_vec()))) {
            Ok(_) => "ok",
            Err(error) => error.reason.code(),
        }
    }

    #[test]
    fn strange_answers_are_errors() {
        assert_eq!(code(&[0, 0, 0, 5, 12, 0, 0, 0, 0]), "agent-no-key");
        assert_eq!(code(&[0, 0, 0, 1, 5]), "agent-refused");
        assert_eq!(code(&[0, 0, 0, 0]), "agent-answer");
        assert_eq!(code(&[0, 0, 0, 1, 12]), "agent-answer", "cut short");
        assert_eq!(code(&[0, 0, 0, 5, 12, 0, 0, 0, 1]), "agent-answer", "a key is missing");
        assert_eq!(code(&[0, 0, 0, 6, 12, 0, 0, 0, 0, 0]), "agent-answer", "an octet too many");
        assert_eq!(code(&[0, 0, 0, 5, 12, 0xff, 0xff, 0xff, 0xff]), "agent-answer");
        assert_eq!(code(&[0xff, 0xff, 0xff, 0xff, 12]), "agent-answer", "never allocated");
        assert_eq!(code(&[0, 0, 0, 5, 12]), "agent-io", "the agent hangs up");
        assert_eq!(code(&[0, 0, 0, 1, 99]), "agent-answer");
    }

    #[test]
    fn without_an_agent_there_is_no_key() {
        let find = |socket: Option<&str>| {
            AgentKey::find(&Wanted::Id(KeyId([0; 8])), socket.map(OsString::from)).unwrap_err().reason.code()
        };
        assert_eq!(find(None), "agent-none");
        assert_eq!(find(Some("")), "agent-none");
        assert_eq!(find(Some("/nonexistent/agent")), "agent-io");
    }

    #[test]
    fn a_key_is_named_by_id_or_file() {
        let read = |text: &str| text.parse::<Wanted>();
        assert_eq!(
            read("ssh-agent:0123456789abcDEF"),
            Ok(Wanted::Id(KeyId([1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef])))
        );
        for path in ["id_ed25519.pub", "0123456789abcde", "+123456789abcdef"] {
            assert_eq!(read(&format!("ssh-agent:{path}")), Ok(Wanted::File(path.into())));
        }
        assert!(read("ssh-agent:").is_err());
    }
}
