//! The file's form. Values are checked in [`super`].

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;

/// Most octets of a file; a real one has a few hundred.
const MAX_FILE: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub(super) store: Option<Spanned<String>>,
    pub(super) cache: Option<Spanned<String>>,
    pub(super) cache_size: Option<Spanned<String>>,
    pub(super) poll: Option<Spanned<String>>,
    pub(super) temp_dir: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) stream: Vec<Spanned<Stream>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Stream {
    pub(super) name: Option<Spanned<String>>,
    pub(super) channel: Option<Spanned<String>>,
    pub(super) release: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) images: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) trust: Vec<Spanned<String>>,
    pub(super) threshold: Option<u8>,
    #[serde(default)]
    pub(super) roots: Vec<Spanned<String>>,
    pub(super) beacon: Option<Spanned<String>>,
    pub(super) group: OneOrMore,
    pub(super) layers: Option<u8>,
    pub(super) interface: String,
    pub(super) rate: Option<Spanned<String>>,
    pub(super) packet_delay: Option<Spanned<String>>,
    pub(super) sender: Option<Spanned<String>>,
    #[serde(default = "one")]
    pub(super) hops: u8,
    #[serde(default)]
    pub(super) dscp: u8,
    #[serde(default)]
    pub(super) source_port: u16,
}

const fn one() -> u8 {
    1
}

/// A list, or a single value without the brackets.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// The octet of a file at which each line begins.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at + 1).collect())
    }

    /// Number of the line, from 1, that the octet `at` is in.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.0.partition_point(|&start| start <= at)
    }
}

/// Reads and parses a file.
pub(super) fn read(path: &Path) -> Result<(File, Lines), ConfigError> {
    let error = |place: String, problem| ConfigError { place, problem };
    let mut text = String::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    read.map_err(|e| error(path.display().to_string(), format!("cannot read it: {e}")))?;
    let lines = Lines::of(&text);
    let file = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(String::new(), |span| format!(":{}", lines.line(span.start)));
        error(format!("{}{line}", path.display()), e.message().to_owned())
    })?;
    Ok((file, lines))
}
