//! Putting a release under a channel: images first, then the release file, then the roots that it needs, last the pointer.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use fleetcast_cli::hex;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::{StatementError, Trust, Verified, verify};

use super::gc::{manifest_of, statement_of};
use super::notices::{Joined, NoticeError};
use super::pointer::{Channel, Pointer};
use super::{FILES, Store, StoreError, sha256_of};
use crate::source::Source;

/// Times that another publisher may be first before this one gives up.
const TRIES: u32 = 16;

/// What is published.
#[derive(Clone, Copy, Debug)]
pub enum Offer<'a> {
    /// A release and its images, checked when they were opened. The store is given what it lacks of them.
    Files(&'a Source),
    /// What a channel of the store [names](named): nothing is given.
    Named(&'a Verified<Manifest>),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Number of the pointer.
    pub number: u64,
    /// What it says.
    pub pointer: Pointer,
    /// Whether the channel named the release already, and nothing was changed.
    pub is_unchanged: bool,
    /// The sequence number of the release that the channel named before, if it named another.
    pub before: Option<u64>,
    /// Octets that were put into the store.
    pub octets: u64,
}

/// Why a release was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Roots do not go to the channel.
    #[error(transparent)]
    Notice(#[from] NoticeError),
    /// Devices of the channel refuse it.
    #[error("root {root} of channel {channel} refuses this release: {reason} ({code})", code = reason.code())]
    Refused {
        /// The channel.
        channel: Channel,
        /// Version of its newest root.
        root: u16,
        /// Why.
        reason: StatementError,
    },
    /// Nothing is published there.
    #[error("channel {channel} names no release")]
    Empty {
        /// The channel.
        channel: Channel,
    },
    /// What a channel names is not by who is trusted, or is none.
    #[error("the release that channel {channel} names is refused: {reason} ({code})", code = reason.code())]
    Named {
        /// The channel.
        channel: Channel,
        /// Why.
        reason: StatementError,
    },
    /// The store has not all that a channel of it names.
    #[error("the store has no {path} of {len} octets")]
    Lacks {
        /// The file.
        path: String,
        /// Octets that it must have.
        len: u64,
    },
    /// The channel names a later release.
    #[error("channel {channel} names sequence {named} (version {version}), and this release has sequence {offered}")]
    Sequence {
        /// The channel.
        channel: Channel,
        /// What it names.
        named: u64,
        /// Its version.
        version: String,
        /// What is to be published.
        offered: u64,
    },
    /// The channel names another release of the same sequence number.
    #[error("channel {channel} names another release with sequence {sequence}: devices take that for misuse of a key")]
    Equivocation {
        /// The channel.
        channel: Channel,
        /// The sequence number.
        sequence: u64,
    },
    /// Others were first again and again.
    #[error("others publish to channel {channel} all the time")]
    Busy {
        /// The channel.
        channel: Channel,
    },
}

/// Puts a release into a store and under a channel, `now` seconds after the beginning of 1970, and the roots that the channel lacks. By
/// the newest root of the channel it must be valid.
///
/// Nobody sees anything of it before the pointer is there, and then all. Of two publishers at once the second one goes by what the first
/// has published. A release with a lower sequence number than the channel's is refused unless `rollback`.
///
/// `progress` is given octets done, of so many.
///
/// # Errors
///
/// Any [`PublishError`]: the channel names what it named, unless a root that refuses the release came just behind it.
pub fn publish(
    store: &Store,
    channel: &Channel,
    offer: Offer<'_>,
    roots: Option<&Joined>,
    rollback: bool,
    now: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Published, PublishError> {
    let pointer = offer.pointer(now);
    // Before the long work.
    let next = Next::of(store, channel, &pointer, rollback)?;
    let octets = offer.put(store, &pointer, true, progress)?;
    if let Some(roots) = roots {
        store.put_roots(channel, roots)?;
    }
    let mut next = next;
    for _ in 0..TRIES {
        let Next { number, before, is_unchanged } = next;
        is_valid(store, channel, offer)?;
        if is_unchanged || store.point(channel, number, &pointer)? {
            // Old files that were there, and that nothing named until this moment, may have been removed as garbage.
            offer.put(store, &pointer, false, progress)?;
            // Another publisher may have put a root in between.
            is_valid(store, channel, offer)?;
            return Ok(Published { number, pointer, is_unchanged, before, octets });
        }
        next = Next::of(store, channel, &pointer, rollback)?;
    }
    Err(PublishError::Busy { channel: channel.clone() })
}

/// The release that a channel names: its manifest, verified. Pages and images are for whoever fetches them \[P-1\].
///
/// # Errors
///
/// [`PublishError`].
pub fn named(store: &Store, channel: &Channel, trust: &Trust) -> Result<Verified<Manifest>, PublishError> {
    let channel = channel.clone();
    let Some((_, pointer)) = store.newest(&channel)? else { return Err(PublishError::Empty { channel }) };
    let statement = statement_of(store, &pointer)?;
    manifest_of(store, &pointer, &statement)?;
    verify(&statement, trust).map_err(|reason| PublishError::Named { channel, reason })
}

impl Offer<'_> {
    fn pointer(&self, now: u64) -> Pointer {
        let (digest, manifest): (_, &Manifest) = match self {
            Self::Files(source) => (source.release().manifest().payload_digest(), source.release().manifest()),
            Self::Named(manifest) => (manifest.payload_digest(), manifest),
        };
        Pointer::new(digest, manifest.sequence, manifest.version.to_string(), now)
    }

    fn statement(&self) -> &[u8] {
        match self {
            Self::Files(source) => source.release().statement(),
            Self::Named(manifest) => manifest.statement(),
        }
    }

    /// Sees to it that the store has all files; gives the octets put. Of a release file that is there `compare` says whether it is read.
    fn put(
        &self,
        store: &Store,
        pointer: &Pointer,
        compare: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<u64, PublishError> {
        match self {
            Self::Files(source) => Ok(put_files(store, source, pointer, compare, progress)?),
            Self::Named(manifest) => {
                for file in pointer.files(manifest, manifest.statement().len()) {
                    let path = file.path();
                    if store.len(&path)? != Some(file.len) {
                        return Err(PublishError::Lacks { path, len: file.len });
                    }
                }
                Ok(0)
            }
        }
    }
}

/// Fails unless a release is valid by the newest root of a channel, if there is one.
fn is_valid(store: &Store, channel: &Channel, offer: Offer<'_>) -> Result<(), PublishError> {
    let Some(chain) = store.chain(channel)? else { return Ok(()) };
    let refused = |reason| PublishError::Refused { channel: channel.clone(), root: chain.trust().version(), reason };
    verify::<Manifest>(offer.statement(), chain.trust()).map(drop).map_err(refused)
}

/// What is to be done to a channel.
struct Next {
    number: u64,
    before: Option<u64>,
    is_unchanged: bool,
}

impl Next {
    fn of(store: &Store, channel: &Channel, pointer: &Pointer, rollback: bool) -> Result<Self, PublishError> {
        let Some((number, named)) = store.newest(channel)? else {
            return Ok(Self { number: 1, before: None, is_unchanged: false });
        };
        if named.release() == pointer.release() {
            return Ok(Self { number, before: None, is_unchanged: true });
        }
        if named.sequence == pointer.sequence {
            return Err(PublishError::Equivocation { channel: channel.clone(), sequence: named.sequence });
        }
        if named.sequence > pointer.sequence && !rollback {
            return Err(PublishError::Sequence {
                channel: channel.clone(),
                named: named.sequence,
                version: named.version,
                offered: pointer.sequence,
            });
        }
        Ok(Self { number: store.after(channel, number)?, before: Some(named.sequence), is_unchanged: false })
    }
}

/// Puts what the store lacks of images and release file; gives the octets put. A release file of the right length is only
/// compared if asked for.
fn put_files(
    store: &Store,
    source: &Source,
    pointer: &Pointer,
    compare: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, StoreError> {
    let manifest = source.release().manifest();
    // Components may have the same image.
    let images: BTreeMap<_, _> = manifest
        .components
        .iter()
        .zip(source.image_paths())
        .map(|(c, path)| (c.sha256, (c.geometry.size(), path)))
        .collect();
    let mut wanted = Vec::new();
    for (sha256, (len, path)) in images {
        let name = format!("{FILES}/{}", hex(&sha256));
        // Whoever reads it compares its digest: here its length tells whether it is there.
        if store.len(&name)? != Some(len) {
            wanted.push((name, open(path)?, sha256, len));
        }
    }
    let fails = |source| StoreError::Local { what: "cannot read the release file".into(), source };
    let file = open(source.release().path())?;
    let len = file.metadata().map_err(fails)?.len();
    let sha256 = sha256_of(&file).map_err(fails)?;
    // The same manifest may be signed by more keys than before: then the name is the same and the octets are not.
    let there = store.len(&pointer.file())? == Some(len);
    if !there || compare && !is_same(store, &pointer.file(), len, sha256)? {
        wanted.push((pointer.file(), open(source.release().path())?, sha256, len));
    }
    let total = wanted.iter().map(|(.., len)| len).sum();
    let mut done = 0;
    for (name, file, sha256, _) in wanted {
        store.upload(&name, &file, sha256, &mut |octets| {
            done += octets;
            progress(done, total);
        })?;
    }
    Ok(total)
}

/// Whether a file of the store, of this length, has this SHA-256.
fn is_same(store: &Store, path: &str, len: u64, sha256: [u8; 32]) -> Result<bool, StoreError> {
    Ok(store.download(path, len, &mut std::io::sink(), &|| false)? == sha256)
}

fn open(path: &Path) -> Result<File, StoreError> {
    File::open(path).map_err(|source| StoreError::Local { what: format!("cannot open {}", path.display()), source })
}
