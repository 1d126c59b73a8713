//! [`Fault`]: why storage did not do what it was asked.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::program::ProgramError;
use crate::record::{DecodeError, PlanError, Slot};

/// Storage failed or holds what it must not. Nothing that runs was changed, unless
/// the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The operating system refused or failed an operation.
    #[error("cannot {operation} {path:?}: {}", problem(source))]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The images do not fit, found before anything was written.
    #[error(
        "not enough room in {folder:?}: {needed} bytes needed, {available} available; \
         free the difference or move the target"
    )]
    NoRoom {
        /// A folder on the file system in question.
        folder: PathBuf,
        /// Bytes still to be written there, all components together.
        needed: u64,
        /// Bytes free there.
        available: u64,
    },
    /// Another process uses this file or folder.
    #[error("{path:?} is in use by another receiver; stop it or give this one other paths")]
    Locked {
        /// The file or folder.
        path: PathBuf,
    },
    /// Something other than a regular file is where an image should go.
    #[error("{path:?} is no regular file; name the file itself, not a link, folder or device")]
    NotRegular {
        /// What was found.
        path: PathBuf,
    },
    /// A file is larger than its format allows.
    #[error("{path:?} is larger than {max} bytes; it is damaged, or not ours")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes allowed.
        max: u64,
    },
    /// A read or write outside the image; it was not done.
    #[error("{length} bytes at offset {offset} of {path:?} lie outside its {size} bytes")]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        length: u64,
        /// Bytes there are.
        size: u64,
    },
    /// No component has this number.
    #[error("there is no component {component}; the release has {count}")]
    NoComponent {
        /// The number asked for, from 0.
        component: usize,
        /// Components of the release.
        count: usize,
    },
    /// The release cannot be installed on this device as configured.
    #[error("the release cannot be installed here: {0}")]
    Plan(#[from] PlanError),
    /// The device record exists and says nothing that can be trusted.
    #[error(
        "the device record {path:?} is unreadable; restore it, or remove it to let this device accept any release \
         again: {source}"
    )]
    Record {
        /// The record file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// There is no device record where one is needed.
    #[error(
        "there is no device record {path:?}; correct the path, or start `fleetcast-recv receive` first, which makes it"
    )]
    NoState {
        /// The record file.
        path: PathBuf,
    },
    /// A slot is smaller than its image.
    #[error("slot {path:?} has {size} bytes, the image {needed}; make the slot larger or the image smaller")]
    SlotSize {
        /// The slot.
        path: PathBuf,
        /// Bytes of the slot.
        size: u64,
        /// Bytes of the image.
        needed: u64,
    },
    /// A slot is mounted or otherwise in use.
    #[error(
        "slot {path:?} is in use: mounted, or part of another device; only the slot that does not run may be written"
    )]
    SlotBusy {
        /// The slot.
        path: PathBuf,
    },
    /// A slot cannot be written.
    #[error("slot {path:?} is read-only; make it writable (a device: `blockdev --setrw`) or correct the path")]
    SlotReadOnly {
        /// The slot.
        path: PathBuf,
    },
    /// A slot does not exist.
    #[error("slot {path:?} does not exist; attach the device or correct the path")]
    SlotMissing {
        /// The slot.
        path: PathBuf,
    },
    /// The slot that runs is not the one that would start next, so the other is no spare one.
    #[error("slot {current} runs, but slot {primary} would start next; restart the device first")]
    RestartFirst {
        /// The slot that runs.
        current: Slot,
        /// The slot that would start next.
        primary: Slot,
    },
    /// A release is on trial: its slot and the other one are both needed.
    #[error("{version} is on trial; commit it or roll it back first")]
    OnTrial {
        /// Version of the release.
        version: String,
    },
    /// No release is on trial.
    #[error("no release is on trial: there is nothing to commit or to roll back")]
    NoTrial,
    /// The release on trial does not run.
    #[error("{version} is on trial, but it does not run yet; restart the device first")]
    NotStarted {
        /// Version of the release.
        version: String,
    },
    /// There is nothing to go back to.
    #[error("slot {slot}, the only one to go back to, cannot be started; {version} stays on trial")]
    NoWayBack {
        /// The slot.
        slot: Slot,
        /// Version of the release on trial.
        version: String,
    },
    /// A program of the configuration did not do what it was asked.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A program printed something else than what it may.
    #[error("the program answered {answer:?} to {verb}, where {expected} is expected")]
    Answer {
        /// What it was asked.
        verb: &'static str,
        /// What it printed.
        answer: String,
        /// What it may print.
        expected: &'static str,
    },
    /// An interrupted install cannot be completed: some targets are new and this one
    /// can become so no more.
    #[error(
        "the install of {version} was interrupted and {target:?} cannot be completed: its staged \
         image is missing or damaged; receive the same release again"
    )]
    Torn {
        /// Version of the interrupted release.
        version: String,
        /// The target that is still old.
        target: PathBuf,
    },
    /// An interrupted install touches a target that this release would leave as it is.
    #[error(
        "{target:?} belongs to the interrupted install of {version}, and this release does not \
         replace it; receive that release again, or one with all its components"
    )]
    Uncovered {
        /// Version of the interrupted release.
        version: String,
        /// The target this release lacks.
        target: PathBuf,
    },
}

impl Fault {
    /// Whether it is about one release on this device as it is, and not about the storage: the release is to be left
    /// alone, and may be tried again later.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NoRoom { .. }
                | Self::NotRegular { .. }
                | Self::Plan(_)
                | Self::Uncovered { .. }
                | Self::SlotSize { .. }
                | Self::SlotBusy { .. }
                | Self::SlotReadOnly { .. }
                | Self::SlotMissing { .. }
                | Self::RestartFirst { .. }
                | Self::OnTrial { .. }
                | Self::Program(_)
        )
    }

    /// A stable word for the kind of fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => io_code(source),
            Self::NoRoom { .. } => "no-space",
            Self::Locked { .. } => "locked",
            Self::NotRegular { .. } => "not-regular",
            Self::TooLarge { .. } => "too-large",
            Self::OutOfRange { .. } => "out-of-range",
            Self::NoComponent { .. } => "no-component",
            Self::Plan(inner) => inner.code(),
            Self::Record { .. } => "record-unreadable",
            Self::NoState { .. } => "no-state",
            Self::SlotSize { .. } => "slot-size",
            Self::SlotBusy { .. } => "slot-busy",
            Self::SlotReadOnly { .. } => "slot-read-only",
            Self::SlotMissing { .. } => "slot-missing",
            Self::RestartFirst { .. } => "restart-first",
            Self::OnTrial { .. } => "trial",
            Self::NoTrial => "no-trial",
            Self::NotStarted { .. } => "not-started",
            Self::NoWayBack { .. } => "no-way-back",
            Self::Program(inner) => inner.code(),
            Self::Answer { .. } => "program-answer",
            Self::Torn { .. } => "install-torn",
            Self::Uncovered { .. } => "install-uncovered",
        }
    }
}

/// Says where an operation failed.
pub(crate) trait At<T> {
    fn at(self, operation: &'static str, path: &Path) -> Result<T, Fault>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, operation: &'static str, path: &Path) -> Result<T, Fault> {
        self.map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => Fault::Locked { path: path.into() },
            io::ErrorKind::ResourceBusy => Fault::SlotBusy { path: path.into() },
            io::ErrorKind::IsADirectory => Fault::NotRegular { path: path.into() },
            _ if Errno::from_io_error(&source) == Some(Errno::LOOP) => Fault::NotRegular { path: path.into() },
            _ => Fault::Io { operation, path: path.into(), source },
        })
    }
}

fn io_code(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no-space",
        io::ErrorKind::ReadOnlyFilesystem => "read-only",
        io::ErrorKind::PermissionDenied => "denied",
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "missing-folder",
        _ => "io",
    }
}

/// What went wrong and what to do about it.
fn problem(error: &io::Error) -> String {
    match io_code(error) {
        "no-space" => "no space left; free some on this file system".into(),
        "read-only" => "the file system is read-only; remount it writable, or name a writable \
                        folder"
            .into(),
        "denied" => "permission denied; let this user write to the folder, and see that the \
                     service's sandbox allows it"
            .into(),
        "missing-folder" => "the folder does not exist; create it or correct the path".into(),
        _ if Errno::from_io_error(error) == Some(Errno::IO) => {
            "the storage failed (I/O error); check the kernel log and the device's health".into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_kinds_have_a_code_and_a_remedy() {
        for (errno, code, remedy) in [
            (Errno::NOSPC, "no-space", "free some"),
            (Errno::DQUOT, "no-space", "free some"),
            (Errno::ROFS, "read-only", "remount"),
            (Errno::ACCESS, "denied", "let this user write"),
            (Errno::PERM, "denied", "let this user write"),
            (Errno::NOENT, "missing-folder", "create it"),
            (Errno::IO, "io", "kernel log"),
            (Errno::LOOP, "not-regular", "name the file itself"),
            (Errno::WOULDBLOCK, "locked", "another receiver"),
        ] {
            let failed: io::Result<()> = Err(errno.into());
            let fault = failed.at("write", Path::new("/data/app.img")).unwrap_err();
            assert_eq!(fault.code(), code, "{errno:?}");
            let text = fault.to_string();
            assert!(text.contains(remedy) && text.contains("/data/app.img"), "{text}");
        }
    }
}
