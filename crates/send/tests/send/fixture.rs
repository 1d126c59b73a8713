//! Release files of `spec/vectors` with the images they were made from, and the real program.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use fleetcast_netlab::command_line::Folder;
use fleetcast_netlab::vectors;
use fleetcast_send::release::{OpenReleaseError, ReleaseFile};
use fleetcast_send::source::{ImageArg, Source, SourceError};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fleetcast-send");

/// A folder with a release file and its images, named `NAME.img`.
pub(crate) struct Release {
    pub(crate) folder: Folder,
    pub(crate) names: Vec<String>,
    pub(crate) expect: String,
}

impl Release {
    /// By the file name of the vector.
    pub(crate) fn of(name: &str) -> Self {
        let vector = vectors::one(&format!("release/{name}"));
        let folder = Folder::default();
        // A damaged file names the good one it was made from.
        let good = vector.all("release").next().map(vectors::one);
        let mut names = Vec::new();
        for component in good.as_ref().unwrap_or(&vector).all("component") {
            let [name, _, size, seed, ..] = component.split(',').collect::<Vec<_>>()[..] else { panic!("{component}") };
            folder.write(&format!("{name}.img"), vectors::image(seed, size.parse().unwrap()));
            names.push(name.to_owned());
        }
        folder.write("release", &vector.body);
        Self { folder, names, expect: vector.get("expect").to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    pub(crate) fn images(&self) -> Vec<ImageArg> {
        let arg = |name: &String| format!("{name}={}", self.path(&format!("{name}.img")).display());
        self.names.iter().map(|name| arg(name).parse().unwrap()).collect()
    }

    pub(crate) fn open(&self) -> Result<Source, SourceError> {
        let release: Result<_, OpenReleaseError> = ReleaseFile::open(&self.path("release"), None);
        Source::open(release?, &self.images(), &self.path(""), &mut |_| {})
    }

    /// Flips one bit of a file.
    pub(crate) fn flip(&self, name: &str, offset: usize) {
        let mut octets = fs::read(self.path(name)).unwrap();
        octets[offset] ^= 0x10;
        self.folder.write(name, octets);
    }

    /// The program in this folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.folder.command(PROGRAM, args)
    }

    /// The program with `command RELEASE --image ...` and these arguments behind it.
    pub(crate) fn send(&self, command: &str, args: &[&str]) -> Command {
        let mut all = vec![command.to_owned(), "release".into()];
        for name in &self.names {
            all.extend(["--image".into(), format!("{name}={name}.img")]);
        }
        all.extend(args.iter().map(|&arg| arg.to_owned()));
        self.command(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }
}
