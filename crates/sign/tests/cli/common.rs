//! Runs the real program, and OpenSSL beside it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fleetcast-sign");

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn failed(self, code: i32, stderr: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in stderr {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }
}

/// A folder for one test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file with mode 0600.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        file.write_all(content.as_ref()).unwrap();
        path
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `fleetcast-sign` in this folder, with no terminal and a bare environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        // A session of its own has no controlling terminal to ask at.
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(PROGRAM).args(args).current_dir(self.0.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        command
    }

    pub(crate) fn sign(&self, args: &[&str]) -> Done {
        done(&mut self.command(args))
    }

    /// OpenSSL in this folder; it must be installed and must succeed.
    #[track_caller]
    pub(crate) fn openssl(&self, args: &[&str]) -> Done {
        let mut command = Command::new("openssl");
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        done(&mut command).ok()
    }
}

#[track_caller]
pub(crate) fn done(command: &mut Command) -> Done {
    let program = command.get_program().to_owned();
    let output = command.output().unwrap_or_else(|error| panic!("{} is needed: {error}", program.display()));
    Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The checked-in `keys/` folder.
pub(crate) fn shipped_keys() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../keys")
}
