//! The file's form. Values are checked in [`super`].

use serde::Deserialize;
use toml::Spanned;

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
    pub(super) nack: Option<Spanned<String>>,
    pub(super) nack_share: Option<u8>,
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
