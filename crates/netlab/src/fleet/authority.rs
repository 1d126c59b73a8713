//! Who signs for a fleet: roots and beacons, made by the signing program.

use std::path::PathBuf;
use std::process::Command;

use super::{Fleet, Release, VENDOR, program, run};

impl Fleet {
    /// Runs the signing program in the folder of the test with these arguments, apart by blanks. Keys are named
    /// `NAME.pem` and `NAME.pub.pem`, see [`Fleet::key`].
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn sign(&self, arguments: &str) {
        let mut command = Command::new(program("sign"));
        run(command.args(arguments.split_ascii_whitespace()).current_dir(self.lab.directory()));
    }

    /// Makes `VERSION.root`: `root-VERSION` signs roots, `release-VERSION` releases, `beacon` beacons. From 2 on it follows the one
    /// before.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[must_use]
    pub fn root(&self, version: u16) -> PathBuf {
        let [root, release] = ["root", "release"].map(|role| format!("{role}-{version}"));
        for name in [root.as_str(), release.as_str(), "beacon"] {
            let _ = self.key(name);
        }
        if version == 1 {
            self.sign(&format!(
                "root init 1.root --vendor {VENDOR} --root-key {root}.pub.pem --release-key {release}.pub.pem \
                 --beacon-key beacon.pub.pem"
            ));
            self.sign("root sign 1.root --key root-1.pem");
        } else {
            let before = version - 1;
            self.sign(&format!("root bump {before}.root --out {version}.root"));
            for role in ["root", "release"] {
                self.sign(&format!("root add-key {version}.root --role {role} {role}-{version}.pub.pem"));
                let id = self.key_id(&format!("{role}-{before}"));
                self.sign(&format!("root remove-key {version}.root {id} --role {role}"));
            }
            self.sign(&format!(
                "root sign {version}.root --previous {before}.root --key root-{before}.pem --key {root}.pem"
            ));
        }
        self.path(&format!("{version}.root"))
    }

    /// Makes `NAME.beacon`, by which these releases are current for so long, under the roots from 1 to `root`.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[must_use]
    pub fn beacon(&self, name: &str, root: u16, releases: &[&Release], valid: &str) -> PathBuf {
        let releases: Vec<_> = releases.iter().map(|release| format!("--release {}", release.file.display())).collect();
        let file = self.path(&format!("{name}.beacon"));
        let (roots, releases, out) = (self.roots(1..=root), releases.join(" "), file.display());
        self.sign(&format!("beacon {roots} --key beacon.pem --valid {valid} --out {out} {releases}"));
        file
    }

    /// The id of a key.
    ///
    /// # Panics
    ///
    /// If there is no such key.
    #[must_use]
    pub fn key_id(&self, name: &str) -> String {
        let output = run(Command::new(program("sign")).args(["pubkey", "--json"]).arg(self.key(name).1));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        told["key_id"].as_str().unwrap().to_owned()
    }

    /// Options that name the roots of these versions.
    #[must_use]
    pub fn roots(&self, versions: std::ops::RangeInclusive<u16>) -> String {
        let option = |version| format!("--root {}", self.path(&format!("{version}.root")).display());
        versions.map(option).collect::<Vec<_>>().join(" ")
    }
}
