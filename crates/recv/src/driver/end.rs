//! How runs end, and what is said of it.

use fleetcast_cli::CommandError;

use super::Options;
use crate::confine::ConfineError;
use crate::device::DeviceError;
use crate::events::{Chunks, Event, Release, Traffic};
use crate::listener::ListenError;
use crate::progress::Reporter;

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Installed,
    OnTrial,
    AlreadyInstalled,
    Interrupt,
    Terminate,
    Timeout,
}

impl End {
    /// A stable word, and the same for people.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Installed => ("installed", "done"),
            Self::OnTrial => ("on-trial", "installed on trial: it runs from the next start of the device on"),
            Self::AlreadyInstalled => {
                ("already-installed", "already installed: the release on the air is the installed one")
            }
            Self::Interrupt => ("interrupted", "interrupted"),
            Self::Terminate => ("terminated", "terminated"),
            Self::Timeout => ("timeout", "timed out"),
        }
    }
}

/// What makes a run fail, with a stable word for it.
#[derive(Debug)]
pub(super) struct Failure {
    code: &'static str,
    error: CommandError,
}

impl Failure {
    pub(super) fn new(code: &'static str, reason: String) -> Self {
        Self { code, error: CommandError::failed(reason) }
    }

    /// Adds what the reader can do about it.
    pub(super) fn hint(self, hint: &str) -> Self {
        Self { error: self.error.hint(hint), ..self }
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self { code: error.code(), error: CommandError::failed(error) }
    }
}

impl From<ConfineError> for Failure {
    fn from(error: ConfineError) -> Self {
        Self { code: error.code(), error: CommandError::failed(error) }
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        Self { code: error.code(), error: error.into() }
    }
}

/// What a run leaves.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// How far the release being received is, if any.
    pub(super) chunks: Option<Chunks>,
    pub(super) traffic: Traffic,
    pub(super) installed: Option<Release>,
}

/// Why a run ended: a stable word, and the same for people.
pub(super) fn words(ended: &Result<End, Failure>) -> (&'static str, String) {
    match ended {
        Ok(end) => {
            let (code, reason) = end.words();
            (code, reason.into())
        }
        Err(failure) => (failure.code, failure.error.to_string()),
    }
}

/// Tells the end, and makes it the program's.
pub(super) fn conclude(
    ended: Result<End, Failure>,
    left: Left,
    options: Options,
    reporter: &mut Reporter,
) -> Result<(), CommandError> {
    let Left { chunks, traffic, installed } = left;
    let ok = match &ended {
        Ok(End::Installed | End::OnTrial | End::AlreadyInstalled) => true,
        Ok(End::Terminate) => !options.once && chunks.is_none(),
        Ok(End::Interrupt | End::Timeout) | Err(_) => false,
    };
    let (code, reason) = words(&ended);
    reporter.tell(&Event::Stopped { ok, code, reason: reason.clone(), chunks, traffic });
    match ended {
        Err(failure) => Err(failure.error),
        Ok(_) if ok => Ok(()),
        Ok(_) => Err(CommandError::failed(match (chunks, installed) {
            (Some(chunks), _) => format!("{reason} with {chunks} received; the next start goes on from here"),
            (None, Some(release)) => format!("{reason} while nothing was being received; {release} is installed"),
            (None, None) => format!("{reason} before a release could be installed"),
        })),
    }
}
