//! The receiver under test: a file that says with which commands it is used.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Need;

/// A receiver file, read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// What it is called in tables.
    pub name: String,
    /// Makes a device of the folder `{device}`; left out if there is nothing to do.
    pub prepare: Option<Vec<String>>,
    /// Plays one session: `{capture}`, or live `{group}`, an address and port, on `{interface}`.
    pub receive: Vec<String>,
    /// What it cannot do.
    #[serde(default)]
    pub lacks: Vec<Need>,
    /// Seconds that a command may take, and a live session until all is installed.
    #[serde(default = "patience")]
    pub patience: u64,
    /// Folder of the file, where the commands run.
    #[serde(skip)]
    pub folder: PathBuf,
}

const fn patience() -> u64 {
    60
}

/// Why a receiver file is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// It cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// It is not TOML of this form.
    #[error("{}", .0.display())]
    Form(PathBuf, #[source] toml::de::Error),
    /// It tells neither of captures nor of groups, or of both.
    #[error("{}: `receive` must have either {{capture}} or {{group}} in it, and a program in front", .0.display())]
    Mode(PathBuf),
}

impl Receiver {
    /// Reads a receiver file.
    ///
    /// # Errors
    ///
    /// [`ReceiverError`].
    pub fn read(path: &Path) -> Result<Self, ReceiverError> {
        let text = fs::read_to_string(path).map_err(|e| ReceiverError::Read(path.into(), e))?;
        let mut receiver: Self = toml::from_str(&text).map_err(|e| ReceiverError::Form(path.into(), e))?;
        let folder = path.canonicalize().map_err(|e| ReceiverError::Read(path.into(), e))?;
        receiver.folder = folder.parent().unwrap_or(Path::new("/")).into();
        let has_program =
            receiver.prepare.as_ref().is_none_or(|command| !command.is_empty()) && receiver.receive.len() > 1;
        if !has_program || receiver.has("{capture}") == receiver.has("{group}") {
            return Err(ReceiverError::Mode(path.into()));
        }
        Ok(receiver)
    }

    /// Whether it hears a group rather than reads captures.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.has("{group}")
    }

    fn has(&self, placeholder: &str) -> bool {
        self.receive.iter().any(|word| word.contains(placeholder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Receiver, ReceiverError> {
        let folder = crate::command_line::Folder::default();
        Receiver::read(&folder.write("receiver.toml", text))
    }

    #[test]
    fn a_receiver_reads_captures_or_hears_a_group() {
        let head = "name = 'x'\n";
        assert!(!read(&format!("{head}receive = ['./x', '{{capture}}']\nlacks = ['repair']")).unwrap().is_live());
        assert!(read(&format!("{head}receive = ['./x', '{{group}}', '{{interface}}']")).unwrap().is_live());
        for wrong in ["receive = ['./x']", "receive = ['{capture}']", "receive = ['./x', '{group}', '{capture}']"] {
            assert!(matches!(read(&format!("{head}{wrong}")), Err(ReceiverError::Mode(_))), "{wrong}");
        }
        for wrong in ["receive = ['./x', '{capture}']\nlacks = ['legs']", "receive = 1", "reveice = []"] {
            assert!(matches!(read(&format!("{head}{wrong}")), Err(ReceiverError::Form(..))), "{wrong}");
        }
    }
}
