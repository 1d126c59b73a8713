//! Runs the real program.

use std::process::Command;

use fleetcast_netlab::command_line::{self, Done};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fleetcast-recv");

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
    /// `fleetcast-recv` in this folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.0.command(PROGRAM, args)
    }

    pub(crate) fn recv(&self, args: &[&str]) -> Done {
        Done::run(&mut self.command(args))
    }
}
