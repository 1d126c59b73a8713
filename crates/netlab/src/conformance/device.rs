//! The device that a receiver under test is to be: what the file `device.json` says, and the files beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use fleetcast_cli::hex;
use fleetcast_sign::keys::public_to_pem;
use serde::Serialize;

use crate::authority;
use crate::release::{CLASS, VENDOR};

/// What is in each target before the first session.
pub const FACTORY: &[u8] = b"as made\n";

/// What the device trusts from the start.
#[derive(Clone, Debug)]
pub enum Anchor {
    /// These test keys, so many of which must have signed.
    Keys(u8, Vec<&'static str>),
    /// The octets of a root.
    Root(Vec<u8>),
}

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// What it trusts.
    pub anchor: Anchor,
    /// Its install targets.
    pub targets: Vec<&'static str>,
    /// Largest image that each of them takes, in octets.
    pub max_size: u64,
    /// Its hardware revision.
    pub hardware: Option<u64>,
}

impl Default for Device {
    /// One slot, one key.
    fn default() -> Self {
        Self { anchor: Anchor::Keys(1, vec!["release"]), targets: vec!["slot"], max_size: 1 << 19, hardware: None }
    }
}

/// As `device.json`, paths relative to its folder.
#[derive(Serialize)]
struct File<'a> {
    v: u8,
    vendor: String,
    classes: [String; 1],
    hardware: Option<u64>,
    built: u64,
    root: Option<&'static str>,
    keys: Vec<Key>,
    threshold: Option<u8>,
    targets: BTreeMap<&'a str, Target>,
}

#[derive(Serialize)]
struct Key {
    hex: String,
    pem: String,
}

#[derive(Serialize)]
struct Target {
    file: String,
    max_size: u64,
}

impl Device {
    /// What each target holds before the first session.
    #[must_use]
    pub fn factory(&self) -> BTreeMap<&'static str, Vec<u8>> {
        self.targets.iter().map(|&name| (name, FACTORY.to_vec())).collect()
    }

    /// Writes it into an empty folder.
    ///
    /// # Errors
    ///
    /// If that cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for inner in ["targets", "keys"] {
            fs::create_dir_all(folder.join(inner))?;
        }
        let (mut keys, mut threshold, mut root) = (Vec::new(), None, None);
        match &self.anchor {
            Anchor::Keys(needed, names) => {
                threshold = Some(*needed);
                for name in names {
                    let (key, pem) = (authority::public(name), format!("keys/{name}.pub.pem"));
                    write(&folder.join(&pem), public_to_pem(&key).map_err(io::Error::other)?.as_bytes())?;
                    keys.push(Key { hex: hex(&key.to_bytes()), pem });
                }
            }
            Anchor::Root(statement) => {
                root = Some("made-with.root");
                write(&folder.join("made-with.root"), statement)?;
            }
        }
        let mut targets = BTreeMap::new();
        for (name, content) in self.factory() {
            let file = format!("targets/{name}");
            write(&folder.join(&file), &content)?;
            targets.insert(name, Target { file, max_size: self.max_size });
        }
        let (vendor, classes) = (VENDOR.to_string(), [CLASS.to_string()]);
        let file = File { v: 1, vendor, classes, hardware: self.hardware, built: 0, root, keys, threshold, targets };
        let text = serde_json::to_string_pretty(&file)?;
        write(&folder.join("device.json"), format!("{text}\n").as_bytes())
    }
}

/// Writes a file that need not survive a power cut.
#[expect(clippy::disallowed_methods, reason = "nobody relies on this file after a power cut")]
pub(super) fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    fs::write(path, octets).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_written_as_programs_read_it() {
        let folder = tempfile::tempdir().unwrap();
        Device::default().write(folder.path()).unwrap();
        let key = fleetcast_cli::keys::load_public(&folder.path().join("keys/release.pub.pem")).unwrap().tell();
        assert_eq!(key.to_bytes(), authority::public("release").to_bytes());
        let text = fs::read_to_string(folder.path().join("device.json")).unwrap();
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["targets"]["slot"]["file"], "targets/slot");
    }
}
