//! Release files of `spec/vectors` with the images they were made from, and the real program.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fleetcast_send::release::{OpenReleaseError, ReleaseFile};
use fleetcast_send::source::{ImageArg, Source, SourceError};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fleetcast-send");

/// A vector: its header lines and its octets.
pub(crate) struct Vector {
    lines: Vec<(String, String)>,
    pub(crate) octets: Vec<u8>,
}

impl Vector {
    pub(crate) fn read(name: &str) -> Self {
        let file = fs::read(vectors().join(name)).unwrap();
        let end = file.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let head = str::from_utf8(&file[..end]).unwrap();
        let lines = head.lines().map(|line| line.split_once(": ").unwrap()).map(|(k, v)| (k.into(), v.into()));
        Self { lines: lines.collect(), octets: file[end + 2..].to_vec() }
    }

    pub(crate) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn value<'a>(&'a self, key: &'a str) -> &'a str {
        self.values(key).next().unwrap_or_else(|| panic!("no {key}"))
    }
}

pub(crate) fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors")
}

/// Octets of an image by its seed, as `spec/vectors/README.md` says.
fn image(seed: &str, size: usize) -> Vec<u8> {
    let block = |counter: u64| Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
    let mut octets: Vec<u8> = (0..size.div_ceil(32) as u64).flat_map(block).collect();
    octets.truncate(size);
    octets
}

/// A folder with a release file and its images, named `NAME.img`.
pub(crate) struct Release {
    pub(crate) folder: TempDir,
    pub(crate) names: Vec<String>,
    pub(crate) expect: String,
}

impl Release {
    /// By the file name of the vector.
    pub(crate) fn of(name: &str) -> Self {
        let vector = Vector::read(&format!("release/{name}.vec"));
        let folder = tempfile::tempdir().unwrap();
        // A damaged file names the good one it was made from.
        let good = vector.values("release").next().map(Vector::read);
        let mut names = Vec::new();
        for component in good.as_ref().unwrap_or(&vector).values("component") {
            let [name, _, size, seed, ..] = component.split(',').collect::<Vec<_>>()[..] else { panic!("{component}") };
            let path = folder.path().join(format!("{name}.img"));
            put(&path, &image(seed, size.parse().unwrap()));
            names.push(name.to_owned());
        }
        put(&folder.path().join("release"), &vector.octets);
        Self { folder, names, expect: vector.value("expect").to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn images(&self) -> Vec<ImageArg> {
        let arg = |name: &String| format!("{name}={}", self.path(&format!("{name}.img")).display());
        self.names.iter().map(|name| arg(name).parse().unwrap()).collect()
    }

    pub(crate) fn open(&self) -> Result<Source, SourceError> {
        let release: Result<_, OpenReleaseError> = ReleaseFile::open(&self.path("release"), None);
        Source::open(release?, &self.images(), self.folder.path(), &mut |_| {})
    }

    /// Flips one bit of a file.
    pub(crate) fn flip(&self, name: &str, offset: usize) {
        let path = self.path(name);
        let mut octets = fs::read(&path).unwrap();
        octets[offset] ^= 0x10;
        put(&path, &octets);
    }

    /// The program in this folder, with a bare environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command
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

/// Writes a file in place, as a careless copy does.
pub(crate) fn put(path: &Path, octets: &[u8]) {
    File::options().write(true).create(true).truncate(true).open(path).unwrap().write_all(octets).unwrap();
}

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

pub(crate) fn done(command: &mut Command) -> Done {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
