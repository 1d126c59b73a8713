//! The test vectors of `spec/vectors`: header lines, an empty line, raw octets.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fleetcast_core::trust::{PublicKey, Trust, TrustedKeys};

/// One vector.
#[derive(Debug)]
pub struct Vector {
    /// `layer/name`.
    pub name: String,
    head: Vec<(String, String)>,
    /// What follows the empty line.
    pub body: Vec<u8>,
}

/// The folder of all vectors.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors")
}

/// All vectors of a layer, by name, compared with what `INDEX.md` lists.
///
/// # Panics
///
/// If a file cannot be read or is no vector, or the folder does not hold just what the index lists.
#[must_use]
pub fn layer(layer: &str) -> Vec<Vector> {
    let files = std::fs::read_dir(folder().join(layer)).unwrap_or_else(|e| panic!("spec/vectors/{layer}: {e}"));
    let mut vectors: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "vec"))
        .map(|p| read(layer, &p))
        .collect();
    vectors.sort_by(|a, b| a.name.cmp(&b.name));

    let index = std::fs::read_to_string(folder().join("INDEX.md")).unwrap();
    let section = index.split("\n## ").find_map(|section| section.strip_prefix(layer)?.strip_prefix('\n')).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let listed: BTreeSet<_> =
        rows.filter(|name| !matches!(*name, "name" | "---")).map(|name| format!("{layer}/{name}")).collect();
    let found: BTreeSet<_> = vectors.iter().map(|v| v.name.clone()).collect();
    assert_eq!(found, listed, "spec/vectors/{layer} and INDEX.md differ");
    vectors
}

/// The vector `layer/name`.
///
/// # Panics
///
/// If it does not exist.
#[must_use]
pub fn one(name: &str) -> Vector {
    let (layer, _) = name.split_once('/').unwrap();
    read(layer, &folder().join(format!("{}.vec", name.trim_end_matches(".vec"))))
}

fn read(layer: &str, path: &Path) -> Vector {
    let name = format!("{layer}/{}", path.file_stem().unwrap().to_string_lossy());
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{name}: {e}"));
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or_else(|| panic!("{name}: no empty line"));
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let pair = |line: &str| {
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("{name}: {line}"));
        (key.to_owned(), value.trim().to_owned())
    };
    let head = head.lines().map(pair).collect();
    Vector { name, head, body: bytes[end + 2..].to_vec() }
}

impl Vector {
    /// Value of a header line that must be there.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        self.all(key).next().unwrap_or_else(|| panic!("{}: no {key}", self.name))
    }

    /// Values of all header lines with this key.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let values = self.head.iter().filter(|(k, _)| k == key).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().into_iter()
    }

    /// A number.
    ///
    /// # Panics
    ///
    /// If there is no such line, or no number in it.
    #[must_use]
    pub fn number(&self, key: &str) -> u64 {
        self.get(key).parse().unwrap_or_else(|e| panic!("{}: {key}: {e}", self.name))
    }

    /// What a receiver trusts; `None` where it cannot trust anything: keys that it refuses when they are loaded are not in
    /// the set, and too few may be left.
    ///
    /// # Panics
    ///
    /// If there is nothing in the header, or what is there is damaged.
    #[must_use]
    pub fn trust(&self) -> Option<Trust> {
        if let Some(root) = self.all("root").next() {
            return Some(Trust::from_root(&unhex(root)).unwrap_or_else(|e| panic!("{}: {e}", self.name)));
        }
        let keys = self.get("trust").split(',').map(str::trim);
        let keys = keys.filter_map(|key| PublicKey::from_bytes(unhex(key).try_into().unwrap()).ok()).collect();
        TrustedKeys::new(keys, self.get("threshold").parse().unwrap()).ok().map(Trust::from)
    }

    /// The packets or statements of the body, each after its length in 16 bits.
    ///
    /// # Panics
    ///
    /// If the body ends early.
    #[must_use]
    pub fn parts(&self) -> Vec<&[u8]> {
        let (mut bytes, mut parts) = (&self.body[..], Vec::new());
        while let Some((len, rest)) = bytes.split_first_chunk() {
            let (part, rest) = rest.split_at(u16::from_be_bytes(*len).into());
            parts.push(part);
            bytes = rest;
        }
        parts
    }

    /// Whether the vector is a good one.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.get("expect") == "ok"
    }
}

/// Lower-case hexadecimal digits as octets.
///
/// # Panics
///
/// If `text` is none.
#[must_use]
pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// The image that a `component` line names by its seed: SHA-256(seed ‖ counter) blocks, cut to `size`.
#[must_use]
pub fn image(seed: &str, size: usize) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let block = |counter: u64| Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
    (0..).flat_map(block).take(size).collect()
}
