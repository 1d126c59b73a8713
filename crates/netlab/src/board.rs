//! The program of `examples/mcu` for an emulated board.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command_line::{Done, shipped};

const TARGET: &str = "thumbv7em-none-eabihf";

/// The program, built; `None` if that cannot be done here.
///
/// # Panics
///
/// If it does not build; in CI also if that cannot be done.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let libraries = Done::run(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET])).ok().stdout;
    let has_target = Path::new(libraries.trim()).is_dir();
    let path = env::var_os("PATH").unwrap_or_default();
    let has_emulator = env::split_paths(&path).any(|folder| folder.join("qemu-system-arm").is_file());
    if !has_target || !has_emulator {
        assert!(env::var_os("CI").is_none(), "the target {TARGET} and qemu-system-arm are needed");
        eprintln!(
            "SKIPPED: the receiver for microcontrollers; it needs the target {TARGET} and qemu-system-arm: run .ci/test"
        );
        return None;
    }
    let folder = shipped("target/mcu");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked", "--release", "--quiet"]).current_dir(shipped("examples/mcu"));
    cargo.env("CARGO_TARGET_DIR", &folder);
    // They would replace those of the folder's settings.
    for flags in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(flags);
    }
    Done::run(&mut cargo).ok();
    Some(folder.join(TARGET).join("release/board"))
}
