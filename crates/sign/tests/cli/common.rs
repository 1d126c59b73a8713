//! Runs the real program, and OpenSSL beside it.

use std::path::PathBuf;
use std::process::Command;

use fleetcast_netlab::command_line::{self, Done};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fleetcast-sign");

/// A folder for one test.
#[derive(Default)]
pub(crate) struct Folder(pub(crate) command_line::Folder);

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

    /// As [`sign`](Self::sign), with arguments that have no spaces.
    pub(crate) fn run(&self, args: &str) -> Done {
        self.sign(&args.split_whitespace().collect::<Vec<_>>())
    }

    /// Makes the keys `NAME.pem` and `NAME.pub.pem`; gives their ids.
    #[track_caller]
    pub(crate) fn keys<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        names.map(|name| {
            let [key, public] = [format!("{name}.pem"), format!("{name}.pub.pem")];
            self.sign(&["keygen", "--out", &key, "--pub", &public]).ok().stdout.trim().to_owned()
        })
    }

    /// Makes the release `name` with two small images, signed by `key`.
    #[track_caller]
    pub(crate) fn release(&self, name: &str, key: &str, sequence: &str, more: &[&str]) {
        self.write("rootfs.img", [7; 9000]);
        let facts = ["--vendor", "acme.example", "--class", "board-a", "--version", "1.2.3", "--sequence", sequence];
        let key = format!("{key}.pem");
        let args = ["create", "--key", &key, "--image", "rootfs=rootfs.img", "--out", name];
        self.sign(&[&args[..], &facts, more].concat()).ok();
    }

    /// OpenSSL in this folder; it must be installed and must succeed.
    #[track_caller]
    pub(crate) fn openssl(&self, args: &[&str]) -> Done {
        Done::run(&mut self.0.command("openssl", args)).ok()
    }
}

/// The one JSON document that a program has printed.
#[track_caller]
pub(crate) fn json(done: &Done) -> serde_json::Value {
    assert_eq!(done.stdout.matches('\n').count(), 1, "{done:?}");
    serde_json::from_str(&done.stdout).unwrap()
}

/// The checked-in `keys/` folder.
pub(crate) fn shipped_keys() -> PathBuf {
    command_line::shipped("keys")
}
