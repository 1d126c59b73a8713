//! Releases of a fleet.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{CLASS, Fleet, VENDOR, program, run, write};

/// A release to be signed.
#[derive(Debug)]
#[must_use = "nothing is made before it is signed"]
pub struct Draft<'a> {
    fleet: &'a Fleet,
    /// For its files: another draft may have the same number.
    folder: PathBuf,
    sequence: u64,
    keys: Vec<&'static str>,
    chunk: u32,
    repair: u32,
    /// Component, which is its target as well, and the image's path.
    images: Vec<(String, PathBuf)>,
}

/// A signed release, and where its images are.
#[derive(Clone, Debug)]
pub struct Release {
    /// The release file.
    pub file: PathBuf,
    /// Component, which is its target as well, and the image's path.
    pub images: Vec<(String, PathBuf)>,
    /// Source chunks of all images.
    pub chunks: u64,
}

impl<'a> Draft<'a> {
    pub(super) fn new(fleet: &'a Fleet, sequence: u64) -> Self {
        let folder = tempfile::tempdir_in(fleet.lab.directory()).unwrap().keep();
        Self { fleet, folder, sequence, keys: vec!["release"], chunk: 1024, repair: 100, images: Vec::new() }
    }

    /// Adds an image as component and for the target `name`.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn image(mut self, name: &str, image: &[u8]) -> Self {
        let path = self.folder.join(format!("{name}.img"));
        write(&path, image);
        self.images.push((name.to_owned(), path));
        self
    }

    /// Octets of a chunk, 1,024 unless said.
    pub const fn chunk(mut self, octets: u32) -> Self {
        self.chunk = octets;
        self
    }

    /// Repair chunks per 100 source chunks, 100 unless said.
    pub const fn repair(mut self, percent: u32) -> Self {
        self.repair = percent;
        self
    }

    /// Signs with other keys than the one that devices trust.
    pub fn keys(mut self, names: &[&'static str]) -> Self {
        self.keys = names.to_vec();
        self
    }

    /// Signs it, as version 1.SEQUENCE.
    ///
    /// # Panics
    ///
    /// If that fails.
    #[must_use]
    pub fn sign(self) -> Release {
        let Self { fleet, folder, sequence, keys, chunk, repair, images } = self;
        let file = folder.join(format!("{sequence}.fleetcast"));
        let mut command = Command::new(program("sign"));
        command.args(["create", "--vendor", VENDOR, "--class", CLASS]);
        for name in keys {
            command.arg("--key").arg(fleet.key(name).0);
        }
        command.args(["--version", &format!("1.{sequence}"), "--sequence", &sequence.to_string()]);
        command.args(["--chunk", &chunk.to_string(), "--repair", &repair.to_string()]).arg("--out").arg(&file);
        for (name, path) in &images {
            command.arg("--image").arg(format!("{name}={}", path.display()));
        }
        run(&mut command);
        let chunks = images.iter().map(|(_, path)| fs::metadata(path).unwrap().len().div_ceil(chunk.into())).sum();
        Release { file, images, chunks }
    }
}

/// An image without a zero octet, other for each seed: what is zero in a partial file has not been written.
#[must_use]
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut image = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut image);
    for octet in &mut image {
        *octet = (*octet).max(1);
    }
    image
}
