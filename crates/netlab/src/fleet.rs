//! A fleet on the bench: the real programs in their hosts, releases for them, and what they tell.
//!
//! The programs are the examples `lab-sign`, `lab-send` and `lab-recv` of this crate, which call what
//! the real `main`s call: examples are built with all tests, and so are never older than them. With a
//! selection like `--test e2e_loss` cargo leaves them out: first run `cargo build -p fleetcast-netlab --examples`.

mod authority;
mod device;
mod release;
mod run;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::netns::{Host, INTERFACE, Lab, require_netns};

pub use device::Device;
pub use release::{Draft, Release, noise};
pub use run::{Run, count};

/// Group and port that everything is sent to, unless a test says otherwise.
pub const GROUP: &str = "239.77.1.1:4000";

/// Vendor of all releases and devices.
pub const VENDOR: &str = "acme.example";

/// Class of all releases and devices, unless a test says otherwise.
pub const CLASS: &str = "board-a";

/// Longest that anything is waited for: far more than any test needs, however busy the machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A bench with one release key.
#[derive(Debug)]
pub struct Fleet {
    /// Where the hosts are.
    pub lab: Lab,
}

impl Fleet {
    /// A bench without hosts; `None`, said loudly, where namespaces cannot be made.
    ///
    /// # Panics
    ///
    /// If the bench or the key cannot be made, and as [`require_netns`] does.
    #[must_use]
    #[track_caller]
    pub fn new(name: &str) -> Option<Self> {
        if !require_netns() {
            return None;
        }
        let fleet = Self { lab: Lab::new(name).unwrap() };
        // Before any device looks for it.
        let _ = fleet.key("release");
        Some(fleet)
    }

    /// Adds a host.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[must_use]
    pub fn host(&self, name: &str) -> Host {
        self.lab.host(name).unwrap()
    }

    /// Adds a host with a device on it that takes images for these targets and trusts the release key.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[must_use]
    pub fn device(&self, name: &str, targets: &[&str]) -> Device {
        Device::new(self, self.host(name), targets)
    }

    /// Makes a host of any lab a device, as [`Fleet::device`] does.
    ///
    /// # Panics
    ///
    /// If its folder cannot be made.
    #[must_use]
    pub fn device_on(&self, host: Host, targets: &[&str]) -> Device {
        Device::new(self, host, targets)
    }

    /// Starts a relay on `host` that trusts the release key, unless there are roots, with JSON output and these `options`, apart by blanks.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn relay(&self, host: &Host, options: &str) -> Run {
        let mut command = Command::new(program("send"));
        command.args(["relay", "--json"]).args(options.split_ascii_whitespace());
        if !options.contains("--root") {
            command.arg("--trust").arg(self.key("release").1);
        }
        Run::new(host.spawn(&command).unwrap())
    }

    /// Starts a release with this sequence number.
    pub fn draft(&self, sequence: u64) -> Draft<'_> {
        Draft::new(self, sequence)
    }

    /// A release of one image for the target `app`.
    ///
    /// # Panics
    ///
    /// If it cannot be signed.
    #[must_use]
    pub fn release(&self, sequence: u64, image: &[u8]) -> Release {
        self.draft(sequence).image("app", image).sign()
    }

    /// Starts a sender of `release` on `host`, with JSON output, to [`GROUP`] unless `options`, apart
    /// by blanks, name another.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn send(&self, host: &Host, release: &Release, options: &str) -> Run {
        let mut command = Command::new(program("send"));
        command.arg("run").arg(&release.file).arg("--json").args(options.split_ascii_whitespace());
        command.args(defaults(options, &[("--group", GROUP), ("--interface", INTERFACE)]));
        for (name, path) in &release.images {
            command.arg("--image").arg(format!("{name}={}", path.display()));
        }
        Run::new(host.spawn(&command).unwrap())
    }

    /// Starts the sending program on `host` with these arguments, apart by blanks.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start_send(&self, host: &Host, arguments: &str) -> Run {
        let mut command = Command::new(program("send"));
        Run::new(host.spawn(command.args(arguments.split_ascii_whitespace())).unwrap())
    }

    /// Makes a key pair, or gives the paths of its halves if it has been made: private, public.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[must_use]
    pub fn key(&self, name: &str) -> (PathBuf, PathBuf) {
        let [key, public] = ["pem", "pub.pem"].map(|end| self.path(&format!("{name}.{end}")));
        if !key.exists() {
            run(Command::new(program("sign")).arg("keygen").arg("--out").arg(&key).arg("--pub").arg(&public));
        }
        (key, public)
    }

    /// A path in the folder of the test, which goes with the bench.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.lab.directory().join(name)
    }
}

/// Writes a file that no device needs to survive a power cut.
///
/// # Panics
///
/// If it cannot be written.
#[expect(clippy::disallowed_methods, reason = "nobody relies on this file after a power cut")]
pub fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

/// The program `fleetcast-NAME`.
///
/// # Panics
///
/// If it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().join("examples");
    let program = folder.join(format!("lab-{name}"));
    assert!(program.exists(), "{} has not been built: cargo build --examples -p fleetcast-netlab", program.display());
    program
}

/// Runs a program in the test's own namespace, and fails the test if it fails.
///
/// # Panics
///
/// If it does.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Flags with their values, of those that `options` does not have already.
fn defaults<'a>(options: &str, flags: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    let is_new = |(flag, _): &&(&str, &str)| !options.split_ascii_whitespace().any(|option| option == *flag);
    flags.iter().filter(is_new).flat_map(|(flag, value)| [*flag, *value]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_is_given_replaces_its_default() {
        let flags = [("--group", GROUP), ("--interface", INTERFACE)];
        assert_eq!(defaults("--rate 5M --group [ff15::77]:4000", &flags), ["--interface", INTERFACE]);
        assert_eq!(defaults("", &flags), ["--group", GROUP, "--interface", INTERFACE]);
    }
}
