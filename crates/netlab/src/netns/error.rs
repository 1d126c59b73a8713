//! What can go wrong on the bench.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Why the bench could not do what a test asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A name of a lab or host is no good.
    #[error("name {name:?}: use 1 to 32 characters out of a-z, 0-9 and -")]
    Name {
        /// As given.
        name: String,
    },
    /// A number is beyond what the bench can do.
    #[error("{value} {what}: at most {max} are possible")]
    Range {
        /// What is counted, with its unit.
        what: &'static str,
        /// As asked.
        value: usize,
        /// Largest allowed.
        max: usize,
    },
    /// `ip`, `tc`, `nft` or `ethtool` failed.
    #[error("`{command}` failed with {status}: {stderr}")]
    Tool {
        /// With its arguments, and what it was given as input.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it had to say.
        stderr: String,
    },
    /// A tool's answer, or a file of `/proc`, does not read as it should.
    #[error("{what}: cannot read {text:?}")]
    Format {
        /// Where the text comes from.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// A process did not end in time; it runs on until dropped.
    #[error("{program} (pid {pid}) still runs after {waited:?}")]
    Timeout {
        /// Program and host.
        program: String,
        /// Its process id.
        pid: u32,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, and on which file.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl LabError {
    /// Stable word for the kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "name",
            Self::Range { .. } => "range",
            Self::Tool { .. } => "tool",
            Self::Format { .. } => "format",
            Self::Timeout { .. } => "timeout",
            Self::Io { .. } => "io",
        }
    }

    pub(super) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { what: what.into(), source: source.into() }
    }
}
