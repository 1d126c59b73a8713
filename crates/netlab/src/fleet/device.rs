//! Devices of a fleet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{CLASS, Fleet, GROUP, Release, Run, VENDOR, defaults, program};
use crate::netns::{Host, INTERFACE};

/// A host with a receiver's state and install targets.
#[derive(Debug)]
pub struct Device {
    /// Where it runs.
    pub host: Host,
    folder: PathBuf,
    trust: PathBuf,
    targets: Vec<String>,
}

impl Device {
    pub(super) fn new(fleet: &Fleet, host: Host, targets: &[&str]) -> Self {
        let folder = fleet.path(host.name());
        fs::create_dir_all(folder.join("state")).unwrap();
        let targets = targets.iter().map(|&target| target.to_owned()).collect();
        Self { host, folder, trust: fleet.key("release").1, targets }
    }

    /// Starts the receiver with JSON output. `options`, apart by blanks, come first, and replace what
    /// every device has: trust (a root takes its place), vendor, class, group, interface.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(&self, options: &str) -> Run {
        let command = self.command(&["receive", "--json", "--progress-interval", "50ms"], options);
        Run::new(self.host.spawn(&command).unwrap())
    }

    /// Runs the receiver's doctor, with options as [`Device::start`] has them, and gives its exit code and report.
    ///
    /// # Panics
    ///
    /// If it cannot be run, or says nothing.
    #[must_use]
    pub fn doctor(&self, options: &str) -> (i32, Value) {
        let output = self.host.run(&self.command(&["doctor", "--json"], options)).unwrap();
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), report)
    }

    /// A command of the receiver: `start`, then options as [`Device::start`] has them.
    #[must_use]
    pub fn command(&self, start: &[&str], options: &str) -> Command {
        let (trust, state) = (self.trust.display().to_string(), self.state().display().to_string());
        let mut flags = vec![
            ("--trust", trust.as_str()),
            ("--vendor", VENDOR),
            ("--class", CLASS),
            ("--group", GROUP),
            ("--interface", INTERFACE),
            ("--state", state.as_str()),
        ];
        flags.retain(|(flag, _)| *flag != "--trust" || !options.contains("--root"));
        // With a domain a group is one that the test wants.
        flags.retain(|(flag, _)| *flag != "--group" || !options.contains("--domain"));
        let mut command = Command::new(program("recv"));
        command.args(start).args(options.split_ascii_whitespace()).args(defaults(options, &flags));
        for target in &self.targets {
            command.arg("--target").arg(format!("{target}={}", self.target(target).display()));
        }
        command
    }

    /// Its state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The file that images for a target replace.
    #[must_use]
    pub fn target(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.img"))
    }

    /// What is in a target; `None` if it does not exist.
    #[must_use]
    pub fn installed(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.target(name)).ok()
    }

    /// What is in the partial file of a target; `None` while there is none.
    ///
    /// # Panics
    ///
    /// If the folder cannot be read.
    #[must_use]
    pub fn partial(&self, name: &str) -> Option<Vec<u8>> {
        let start = format!(".{name}.img.");
        let is_partial = |path: &Path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(&start) && path.extension().is_some_and(|end| end == "part")
        };
        let path = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).find(|path| is_partial(path));
        path.and_then(|path| fs::read(path).ok())
    }

    /// Fails the test unless every image of `release` is installed bit-exact, and nothing is left of receiving it.
    ///
    /// # Panics
    ///
    /// If not.
    #[track_caller]
    pub fn assert_runs(&self, release: &Release) {
        let name = self.host.name();
        for (target, image) in &release.images {
            let image = fs::read(image).unwrap();
            let installed = self.installed(target).unwrap_or_else(|| panic!("{name}: {target} is not installed"));
            assert_eq!(installed.len(), image.len(), "{name}: length of {target}");
            let wrong = installed.iter().zip(&image).position(|(is, should)| is != should);
            assert_eq!(wrong, None, "{name}: first wrong octet of {target}");
            assert_eq!(self.partial(target).map(|partial| partial.len()), None, "{name}: partial file of {target}");
        }
        let state = fs::read_dir(self.folder.join("state")).unwrap();
        let left: Vec<_> = state.map(|entry| entry.unwrap().file_name()).collect();
        let of_download =
            |name: &&std::ffi::OsString| *name == "statement" || name.to_string_lossy().starts_with("scratch");
        assert!(!left.iter().any(|name| of_download(&name)), "{name}: left in the state folder: {left:?}");
    }
}
