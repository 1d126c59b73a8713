//! What the Fleetcast programs have in common on the command line.
//!
//! Data goes to stdout, all else to stderr, or of daemons in units to the [journal]. Only [`run`], called
//! by `main`, ends the process, with these exit codes:
//!
//! | code | [`ErrorKind`] | meaning |
//! | --- | --- | --- |
//! | 0 | | done |
//! | 1 | [`Failed`](ErrorKind::Failed) | could not be done |
//! | 2 | [`Usage`](ErrorKind::Usage) | the command line makes no sense |
//! | 3 | [`Refused`](ErrorKind::Refused) | verification says no |
//! | 6 | [`Stale`](ErrorKind::Stale) | shown, but a device does not know what is current, or a sender does not run |
//! | 78 | [`Config`](ErrorKind::Config) | bad configuration; a restart does not help |
//!
//! This module knows nothing of signing.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use crate::journal::{self, Priority};

/// `error:` in the colour clap gives it.
const ERROR: &str = "\x1b[1;31merror:\x1b[0m";
const WARNING: &str = "\x1b[1;33mwarning:\x1b[0m";
const HINT: &str = "\x1b[1;32mhint:\x1b[0m";

/// Who must act on a [`CommandError`]; it picks the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command could not be done.
    Failed,
    /// The command line contradicts itself.
    Usage,
    /// Verification refused what was offered.
    Refused,
    /// What was asked for is shown, and tells that a device does not know what is current, or that a sender does not run.
    Stale,
    /// The configuration is wrong; running again changes nothing (`EX_CONFIG`, sysexits.h).
    Config,
}

impl ErrorKind {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Stale => 6,
            Self::Config => 78,
        }
    }
}

/// Why a command did not do what it was asked, and what to do about it.
#[derive(Debug)]
pub struct CommandError {
    kind: ErrorKind,
    source: Box<dyn Error + Send + Sync>,
    hint: Option<String>,
}

impl CommandError {
    /// An error of this kind; `source` is a message or an error, told with its causes.
    pub fn new(kind: ErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self { kind, source, hint: None }
    }

    /// An error of kind [`ErrorKind::Failed`].
    pub fn failed(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Failed, source)
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint_if(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The same, told as what happened to one of several things.
    #[must_use]
    pub fn within(self, what: impl fmt::Display) -> Self {
        let source = format!("{what}: {self}").into();
        Self { source, ..self }
    }

    fn tell(&self) {
        let hint = self.hint.as_deref();
        let text = hint.map_or_else(|| self.to_string(), |hint| format!("{self}\nhint: {hint}"));
        if !journal::tell_other(journal::ERROR, hint, &text) {
            complain(ERROR, self);
            if let Some(hint) = hint {
                complain(HINT, hint);
            }
        }
    }

    /// Who must act.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for CommandError {
    /// The message and its causes, outermost first, joined by `": "`. A cause that what is before it ends with is not told
    /// again: some errors say theirs themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let told = error.to_string();
            if !text.ends_with(&told) {
                text = format!("{text}: {told}");
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

/// Parses the command line, runs `command` and tells its error on stderr.
pub fn run<P: Parser>(command: impl FnOnce(P) -> Result<(), CommandError>) -> ExitCode {
    let parsed = match P::try_parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            // `--help` and `--version` arrive here too. A reader that has gone is no error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match command(parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.tell();
            ExitCode::from(error.kind.exit_code())
        }
    }
}

/// Writes text to stdout as it is and flushes it.
///
/// # Errors
///
/// [`ErrorKind::Failed`] if stdout cannot be written. A reader that has gone (`| head`)
/// is no error: it had all it wanted.
pub fn out(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON document on one line to stdout.
///
/// # Errors
///
/// As [`out`]; also if `document` has no JSON form.
pub fn out_json(document: &impl Serialize) -> Result<(), CommandError> {
    let mut line = serde_json::to_string(document).map_err(CommandError::failed)?;
    line.push('\n');
    out(&line)
}

/// Tells the reader something, on stderr or in the journal.
pub fn note(text: impl fmt::Display) {
    if !journal::tell_other(journal::NOTE, None, &text) {
        write(text);
    }
}

/// Warns the reader, on stderr or in the journal; the command goes on.
pub fn warn(text: impl fmt::Display) {
    if !journal::tell_other(journal::CAUTION, None, &text) {
        complain(WARNING, text);
    }
}

/// Tells the reader an event, of which `line` is the JSON form: as text on stderr, with a word before it if something is wrong, or
/// with its fields in the journal.
pub fn tell(priority: Priority, line: impl FnOnce() -> String, text: impl fmt::Display) {
    if !journal::tell(priority, line, &text) {
        if priority <= Priority::Warning { complain(WARNING, text) } else { write(text) }
    }
}

fn complain(label: &str, text: impl fmt::Display) {
    write(format_args!("{label} {text}"));
}

fn write(text: impl fmt::Display) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot use key k")]
    struct Outer(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read x: {0}")]
    struct Telling(#[source] io::Error);

    #[test]
    fn an_error_is_told_with_its_causes() {
        let inner = io::Error::other("disk on fire");
        let outer = io::Error::new(io::ErrorKind::NotFound, inner);
        let error = CommandError::failed(format!("cannot read x: {outer}")).hint("try y");
        assert_eq!(error.to_string(), "cannot read x: disk on fire");
        assert_eq!(error.hint.as_deref(), Some("try y"));

        let error = CommandError::failed(Telling(io::Error::other("gone")));
        assert_eq!(error.to_string(), "cannot read x: gone");

        let error = CommandError::new(ErrorKind::Config, Outer(io::Error::other("torn")));
        assert_eq!(error.to_string(), "cannot use key k: torn");
        assert_eq!(error.kind(), ErrorKind::Config);
    }

    #[test]
    fn exit_codes_are_as_documented() {
        let codes =
            [ErrorKind::Failed, ErrorKind::Usage, ErrorKind::Refused, ErrorKind::Config].map(ErrorKind::exit_code);
        assert_eq!(codes, [1, 2, 3, 78]);
    }
}
