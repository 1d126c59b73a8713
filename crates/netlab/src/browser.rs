//! Documents in headless Chromium, as `.ci/look` and `.ci/renewed` show and check them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::fleet::run;

/// A browser, and what steers it.
#[derive(Debug)]
pub struct Browser {
    python: PathBuf,
    /// The build's folder.
    target: PathBuf,
}

impl Browser {
    /// The browser; `None`, said loudly, where there is none. In CI no test may be skipped.
    ///
    /// # Panics
    ///
    /// In CI, if there is none.
    #[must_use]
    pub fn find() -> Option<Self> {
        let target = env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
        let python = target.join("venv/bin/python");
        let is_there =
            |file: &str| env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|p| p.join(file).exists());
        if python.exists() && is_there("chromium") {
            return Some(Self { python, target });
        }
        let missing = format!("chromium or {}: run .ci/test", python.display());
        assert!(env::var_os("CI").is_none(), "missing: {missing}");
        eprintln!("SKIPPED: a test of pages in a browser; missing: {missing}");
        None
    }

    /// Fails the test unless documents are fit to be seen; gives the folder of the build, for this `name`, with their pictures.
    ///
    /// # Panics
    ///
    /// If one is not.
    #[track_caller]
    #[must_use]
    pub fn look(&self, name: &str, documents: &[PathBuf]) -> PathBuf {
        let folder = self.target.join("pages").join(name);
        fs::create_dir_all(&folder).unwrap();
        run(self.script("look").arg(&folder).args(documents));
        println!("pictures of {} documents are in {}", documents.len(), folder.display());
        folder
    }

    /// Fails the test unless the browser loads pages of programs that run anew by itself, and shows more then.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn renewed(&self, documents: &[PathBuf]) {
        let told = run(self.script("renewed").args(documents)).stdout;
        println!("{}", String::from_utf8_lossy(&told));
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci").join(name));
        command
    }
}
