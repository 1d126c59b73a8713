//! Programs of the configuration: boot adapters, hooks, what takes over images.
//!
//! Run directly, never by a shell, with a bare environment and no input; what they print on stderr is passed on.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Bytes of an answer that are read.
const MAX_ANSWER: u64 = 4096;
/// Time between two looks at a program that is waited for.
const LOOK: Duration = Duration::from_millis(5);
/// Where programs look for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Exit code of a program that asks to be asked again later: `EX_TEMPFAIL` of sysexits.h.
const LATER: i32 = 75;

/// A program, its first arguments, and the time it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    limit: Duration,
}

/// A program that runs. Dropped, it is ended.
#[derive(Debug)]
pub struct Running {
    program: Program,
    verb: String,
    child: Child,
    since: Instant,
}

/// Why a program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It could not be run.
    #[error("cannot run {path:?} {verb}: {source}; correct the path, and see that it may be executed")]
    Start {
        /// The program.
        path: PathBuf,
        /// What it was asked.
        verb: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// It took too long, and was ended.
    #[error("{path:?} {verb} took longer than {} s and was ended", limit.as_secs())]
    Limit {
        /// The program.
        path: PathBuf,
        /// What it was asked.
        verb: String,
        /// The time it had.
        limit: Duration,
    },
    /// It asks to be asked again later.
    #[error("{path:?} {verb} asks to be run again later")]
    Later {
        /// The program.
        path: PathBuf,
        /// What it was asked.
        verb: String,
    },
    /// It failed.
    #[error("{path:?} {verb} failed: {status}")]
    Failed {
        /// The program.
        path: PathBuf,
        /// What it was asked.
        verb: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// It printed something else than what it may.
    #[error("{path:?} {verb} answered {answer:?}, where {expected} is expected")]
    Answer {
        /// The program.
        path: PathBuf,
        /// What it was asked.
        verb: String,
        /// What it printed.
        answer: String,
        /// What it may print.
        expected: &'static str,
    },
}

impl ProgramError {
    /// A stable word for the kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Start { .. } => "program-start",
            Self::Limit { .. } => "program-limit",
            Self::Later { .. } => "program-later",
            Self::Failed { .. } => "program-failed",
            Self::Answer { .. } => "program-answer",
        }
    }

    /// Whether the program may have done what it was asked: it did not say that it has not.
    #[must_use]
    pub fn may_have_done_it(&self) -> bool {
        match self {
            Self::Start { .. } | Self::Later { .. } => false,
            Self::Failed { status, .. } => status.code().is_none(),
            Self::Limit { .. } | Self::Answer { .. } => true,
        }
    }
}

impl Program {
    /// A program by its absolute path.
    #[must_use]
    pub fn new(path: PathBuf, args: Vec<OsString>, limit: Duration) -> Self {
        Self { path, args, limit }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it with more arguments, the first of which says what to do, and more environment. Gives what it printed,
    /// without white space at its ends.
    ///
    /// # Errors
    ///
    /// [`ProgramError`].
    pub fn run(&self, args: &[OsString], environment: &[(&str, String)]) -> Result<String, ProgramError> {
        let mut running = self.start(args, environment)?;
        loop {
            if let Some(answer) = running.poll()? {
                return Ok(answer);
            }
            thread::sleep(LOOK);
        }
    }

    /// Starts it, see [`Program::run`].
    ///
    /// # Errors
    ///
    /// [`ProgramError::Start`].
    pub fn start(&self, args: &[OsString], environment: &[(&str, String)]) -> Result<Running, ProgramError> {
        let verb = args.first().map(|verb| verb.to_string_lossy().into_owned()).unwrap_or_default();
        let mut command = Command::new(&self.path);
        command.args(&self.args).args(args).env_clear().env("PATH", PATH).envs(environment.iter().cloned());
        // A group of its own: with it end all that it started.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).current_dir("/").process_group(0);
        let started = command.spawn();
        let child =
            started.map_err(|source| ProgramError::Start { path: self.path.clone(), verb: verb.clone(), source })?;
        Ok(Running { program: self.clone(), verb, child, since: Instant::now() })
    }

    /// An answer that makes no sense.
    pub(crate) fn wrong_answer(&self, verb: &str, answer: String, expected: &'static str) -> ProgramError {
        ProgramError::Answer { path: self.path.clone(), verb: verb.into(), answer, expected }
    }
}

impl Running {
    /// Looks whether it has ended; gives what it printed then. It is ended if its time is over.
    ///
    /// # Errors
    ///
    /// [`ProgramError`].
    pub fn poll(&mut self) -> Result<Option<String>, ProgramError> {
        let (path, verb) = (self.program.path.clone(), self.verb.clone());
        match self.child.try_wait() {
            Err(source) => Err(ProgramError::Start { path, verb, source }),
            Ok(None) if self.since.elapsed() < self.program.limit => Ok(None),
            Ok(None) => {
                self.end();
                Err(ProgramError::Limit { path, verb, limit: self.program.limit })
            }
            Ok(Some(status)) if status.success() => {
                let mut answer = Vec::new();
                if let Some(stdout) = self.child.stdout.take() {
                    // What it left running may hold the pipe open: nothing is waited for.
                    let _ = rustix::io::ioctl_fionbio(&stdout, true);
                    // All that is there is there by now.
                    let _ = stdout.take(MAX_ANSWER).read_to_end(&mut answer);
                }
                Ok(Some(String::from_utf8_lossy(&answer).trim().into()))
            }
            Ok(Some(status)) if status.code() == Some(LATER) => Err(ProgramError::Later { path, verb }),
            Ok(Some(status)) => Err(ProgramError::Failed { path, verb, status }),
        }
    }

    fn end(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended in the meantime.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Program {
        Program::new("/bin/sh".into(), vec!["-c".into(), script.into(), "sh".into()], Duration::from_millis(500))
    }

    #[test]
    fn a_program_gets_its_arguments_and_a_bare_environment() {
        let run = |script: &str| sh(script).run(&["verb".into(), "a b;c".into()], &[("X", "1 2".into())]).unwrap();
        assert_eq!(run("echo \"$#:$1:$2:$X\""), "2:verb:a b;c:1 2");
        assert_eq!(run("env | grep -v '^PWD=\\|^_=\\|^SHLVL=' | sort | cut -d= -f1 | tr '\\n' ' '"), "PATH X");
        assert_eq!(run("cat; pwd"), "/");
    }

    #[test]
    fn each_way_to_fail_has_its_code() {
        let code = |program: Program| program.run(&["verb".into()], &[]).unwrap_err().code();
        assert_eq!(code(sh("exit 3")), "program-failed");
        assert_eq!(code(sh("exit 75")), "program-later");
        assert_eq!(code(sh("sleep 60 & sleep 60")), "program-limit");
        assert_eq!(code(sh("kill -9 $$")), "program-failed");
        assert_eq!(code(Program::new("/nowhere".into(), vec![], Duration::ZERO)), "program-start");
    }

    #[test]
    fn what_a_program_leaves_running_or_prints_without_end_does_not_hang_us() {
        assert_eq!(sh("sleep 2 & echo done").run(&[], &[]).unwrap(), "done");
        assert_eq!(sh("yes").run(&["verb".into()], &[]).unwrap_err().code(), "program-limit");
    }
}
