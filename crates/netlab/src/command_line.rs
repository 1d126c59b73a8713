//! What the tests of a command line need: a folder, what a program left behind, its help as reviewed.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What a program left behind.
#[derive(Debug)]
pub struct Done {
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Done {
    /// Runs a program to its end.
    ///
    /// # Panics
    ///
    /// If it cannot be started, and as [`Done::from`] does.
    #[track_caller]
    pub fn run(command: &mut Command) -> Self {
        let program = command.get_program().to_owned();
        command.output().unwrap_or_else(|error| panic!("{} is needed: {error}", program.display())).into()
    }

    /// Itself, if all is well.
    ///
    /// # Panics
    ///
    /// If the exit code is not 0.
    #[track_caller]
    #[expect(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "that it is may be all to know")]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Itself, if it failed as expected.
    ///
    /// # Panics
    ///
    /// If the exit code is another, stderr lacks one of the texts, or the program panicked.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        clippy::return_self_not_must_use,
        reason = "that it failed may be all to know"
    )]
    pub fn failed(self, code: i32, stderr: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in stderr {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }
}

impl From<Output> for Done {
    /// # Panics
    ///
    /// If what the program wrote is not UTF-8.
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A folder for one test.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Folder {
    /// Where a file in it is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in place with mode 0600, as a careless copy does.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        file.write_all(content.as_ref()).unwrap();
        path
    }

    /// Names of all files in it, sorted.
    ///
    /// # Panics
    ///
    /// If it cannot be read, or a name is not UTF-8.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A program in this folder, with a bare environment, no input, and its output in pipes.
    #[must_use]
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.0.path());
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// The checked-in file at this path from the top of the repository.
#[must_use]
pub fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Compares the help of a program and of its subcommands, such as `root init`, with the files in `tests/snapshots` of its crate.
///
/// `UPDATE_SNAPSHOTS=1` rewrites those; look at the difference before it is kept.
///
/// # Panics
///
/// If a help differs, or a file there is of no subcommand.
pub fn assert_help(program: &str, crate_folder: &str, subcommands: &[&'static str]) {
    let folder = Folder::default();
    let snapshots = Path::new(crate_folder).join("tests/snapshots");
    let args = |name: &'static str| name.split(' ').chain(["--help"]).collect::<Vec<_>>();
    let all = subcommands.iter().map(|name| (format!("{}-help.txt", name.replace(' ', "-")), args(name)));
    for (name, args) in all.chain([("help.txt".to_owned(), vec!["--help"])]) {
        let path = snapshots.join(&name);
        let help = Done::run(&mut folder.command(program, &args)).ok().stdout;
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            File::create(&path).unwrap().write_all(help.as_bytes()).unwrap();
        }
        assert_eq!(help, fs::read_to_string(&path).unwrap(), "{name}");
    }
    let kept = fs::read_dir(snapshots).unwrap().count();
    assert_eq!(kept, subcommands.len() + 1, "a snapshot that nothing compares");
}
