//! Channels, and which release one names.
//!
//! A channel is a folder of pointers `channels/NAME/NNNNNNNNNN.json`; the one with the greatest number counts. A pointer is created and
//! never changed, so that a reader sees a whole one always, and of two publishers that would write the same number one is told.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use fleetcast_cli::hex;
use fleetcast_core::manifest::{Manifest, Token};
use fleetcast_core::release::Layout;
use serde::{Deserialize, Serialize};

use super::{Entry, FILES, Store, StoreError};

/// The folder of channels.
pub(super) const FOLDER: &str = "channels";

/// Most octets of a pointer; a real one has some 200.
const MAX_POINTER: usize = 4096;

/// Digits of a pointer's number.
const DIGITS: usize = 10;

/// The greatest number of so many digits.
const LAST: u64 = 9_999_999_999;

/// Times that a pointer may be gone, as another was made after it, before that counts as damage.
const LOOKS: u32 = 8;

/// Name of a channel: a token without `+` and `~`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(Token);

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = !text.contains(['+', '~']);
        let token = Token::new(text).filter(|_| fits);
        token.map(Self).ok_or_else(|| {
            format!("{text:?} is no channel: at most 32 letters, digits and `._-`, the first a letter or digit")
        })
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which release a channel names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Version of this form.
    v: u8,
    /// SHA-256 of the manifest payload, in lower-case hexadecimal.
    release: String,
    /// Sequence number of the release.
    pub sequence: u64,
    /// Its version, for people.
    pub version: String,
    /// When it was published, in seconds of Unix time.
    pub published: u64,
}

/// A file of a release in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its name, without the folder.
    pub name: String,
    /// Octets.
    pub len: u64,
    /// That of an image; a release file is checked page by page.
    pub sha256: Option<[u8; 32]>,
}

impl StoredFile {
    /// Its path in a store.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{FILES}/{}", self.name)
    }
}

impl Pointer {
    /// A pointer to the release whose manifest payload has this SHA-256.
    #[must_use]
    pub fn new(digest: &[u8; 32], sequence: u64, version: String, published: u64) -> Self {
        Self { v: 1, release: hex(digest), sequence, version, published }
    }

    /// SHA-256 of the manifest payload, in lower-case hexadecimal.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Name of the release file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.fleetcast", self.release)
    }

    /// Path of the release file in a store.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{FILES}/{}", self.file_name())
    }

    /// The files that the store has of the release, whose manifest this is, in a statement of so many octets.
    #[must_use]
    pub fn files(&self, manifest: &Manifest, statement_len: usize) -> Vec<StoredFile> {
        let release =
            StoredFile { name: self.file_name(), len: Layout::new(statement_len, manifest).len(), sha256: None };
        // Components may have the same image.
        let images: BTreeMap<_, _> = manifest.components.iter().map(|c| (c.sha256, c.geometry.size())).collect();
        let image = |(sha256, len): ([u8; 32], u64)| StoredFile { name: hex(&sha256), len, sha256: Some(sha256) };
        [release].into_iter().chain(images.into_iter().map(image)).collect()
    }

    /// The octets of its file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // It holds nothing that JSON cannot.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text.into()
    }

    /// Reads a pointer; fields that are not known are passed over.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode(octets: &[u8]) -> Result<Self, String> {
        let pointer: Self = serde_json::from_slice(octets).map_err(|error| format!("is no pointer: {error}"))?;
        if pointer.v != 1 {
            return Err(format!("has version {}, and this program knows 1", pointer.v));
        }
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if pointer.release.len() != 64 || !pointer.release.bytes().all(is_hex) {
            return Err("names no release: it needs 64 lower-case hexadecimal digits".into());
        }
        if Token::new(&pointer.version).is_none() {
            return Err("has a version that no release can have".into());
        }
        Ok(pointer)
    }
}

impl Store {
    /// The channels there are, sorted.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn channels(&self) -> Result<Vec<Channel>, StoreError> {
        let mut channels: Vec<_> = self.folders(FOLDER)?.iter().filter_map(|name| name.parse().ok()).collect();
        channels.sort();
        Ok(channels)
    }

    /// Numbers of the pointers of a channel, ascending; files that are none are passed over.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn numbers(&self, channel: &Channel) -> Result<Vec<u64>, StoreError> {
        let mut numbers: Vec<_> = self.list(&folder(channel))?.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The pointer of a channel with this number; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if it is no pointer.
    pub fn pointer(&self, channel: &Channel, number: u64) -> Result<Option<Pointer>, StoreError> {
        let path = path(channel, number);
        let Some(octets) = self.read(&path, MAX_POINTER)? else { return Ok(None) };
        Pointer::decode(&octets).map(Some).map_err(|reason| self.content(&path, &reason))
    }

    /// The pointer that counts, with its number; `None` if the channel has none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn newest(&self, channel: &Channel) -> Result<Option<(u64, Pointer)>, StoreError> {
        let mut gone = 0;
        for _ in 0..LOOKS {
            let Some(&number) = self.numbers(channel)?.last() else { return Ok(None) };
            if let Some(pointer) = self.pointer(channel, number)? {
                return Ok(Some((number, pointer)));
            }
            // Between the two a later one was made, and this one removed as garbage.
            gone = number;
        }
        Err(self.content(&path(channel, gone), "is listed and not there"))
    }

    /// The number of the pointer that follows one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if that has no more digits.
    pub fn after(&self, channel: &Channel, number: u64) -> Result<u64, StoreError> {
        let next = number.checked_add(1).filter(|next| *next <= LAST);
        next.ok_or_else(|| self.content(&path(channel, number), "has the last number there is"))
    }

    /// Creates a pointer with this number; `false` if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn point(&self, channel: &Channel, number: u64, pointer: &Pointer) -> Result<bool, StoreError> {
        self.create(&path(channel, number), pointer.encode())
    }

    /// Removes the pointer of this number.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) fn unpoint(&self, channel: &Channel, number: u64) -> Result<(), StoreError> {
        self.remove(&path(channel, number))
    }
}

/// The folder of a channel.
pub(super) fn folder(channel: &Channel) -> String {
    format!("{FOLDER}/{channel}")
}

fn path(channel: &Channel, number: u64) -> String {
    format!("{}/{number:0DIGITS$}.json", folder(channel))
}

/// The number of a pointer's file.
fn number(entry: &Entry) -> Option<u64> {
    let digits = entry.name.strip_suffix(".json")?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_as_it_was_written() {
        let pointer = Pointer::new(&[0xab; 32], 7, "1.2.3".into(), 1_790_000_000);
        assert_eq!(Pointer::decode(&pointer.encode()), Ok(pointer));
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        let good =
            r#"{"v":1,"release":"HEX","sequence":7,"version":"1.2","published":1}"#.replace("HEX", &"0f".repeat(32));
        assert!(Pointer::decode(good.as_bytes()).is_ok());
        assert!(Pointer::decode(good.replace('}', r#","more":[1]}"#).as_bytes()).is_ok());
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("0f0f", "0F0F"),
            ("0f0f", "0f"),
            ("0f0f", "../f"),
            ("1.2", "../x"),
            ("7", "-7"),
            ("{", ""),
        ] {
            assert!(Pointer::decode(good.replacen(from, to, 1).as_bytes()).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn channels_are_names_of_folders() {
        for text in ["stable", "Beta-2.1_x", "0"] {
            assert_eq!(text.parse::<Channel>().unwrap().to_string(), text);
        }
        for text in ["", ".", "..", "a/b", "a+b", "a~", "-a", "ä", &"a".repeat(33)] {
            assert!(text.parse::<Channel>().is_err(), "{text}");
        }
    }
}
