//! Runs the real program, and OpenSSL beside it.

use std::path::PathBuf;
use std::process::Command;

use fleetcast_netlab::command_line::{self, Done};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fleetcast-sign");

/// A folder for one test.
#[derive(Default)]
pub(crate) struct Folder(command_line::Folder);

impl std::ops::Deref for Folder {
    type Target = command_line::Folder;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Folder {
    /// `fleetcast-sign` in this folder, with no terminal to ask at.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        // A session of its own has no controlling terminal.
        self.0.command("setsid", &[&["--wait", PROGRAM], args].concat())
    }

    pub(crate) fn sign(&self, args: &[&str]) -> Done {
        Done::run(&mut self.command(args))
    }

    /// OpenSSL in this folder; it must be installed and must succeed.
    #[track_caller]
    pub(crate) fn openssl(&self, args: &[&str]) -> Done {
        Done::run(&mut self.0.command("openssl", args)).ok()
    }
}

/// The checked-in `keys/` folder.
pub(crate) fn shipped_keys() -> PathBuf {
    command_line::shipped("keys")
}
