//! Removing what no channel needs: old pointers and beacons first, then files that nothing names.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use fleetcast_cli::hex;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::release::{HEAD_LEN, decode_head};
use fleetcast_core::trust::{MAX_STATEMENT, Unverified, parse_unverified};

use super::pointer::{Channel, Pointer};
use super::{Entry, FILES, Store, StoreError};
use super::{notices, pointer};

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Newest pointers of each channel, at least one.
    pub keep: usize,
    /// Pointers no older than this, however many.
    pub young: Duration,
    /// Files that nothing names and that are no older than this: a publisher may be about to name them.
    pub grace: Duration,
}

/// What is or would be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Pointers, by channel and number.
    pub pointers: Vec<(Channel, u64)>,
    /// Beacons, by channel and time.
    pub beacons: Vec<(Channel, u64)>,
    /// Files of releases and images, with their octets.
    pub files: Vec<(String, u64)>,
    /// Paths of what publishers began to write and did not end, with its octets.
    pub leftovers: Vec<(String, u64)>,
}

/// Finds what is to be removed at `now`. Nothing is removed yet.
///
/// # Errors
///
/// [`StoreError`], also if a pointer or a release that is kept cannot be read: it would not be known what they need.
pub fn find(store: &Store, retention: Retention, now: SystemTime) -> Result<Garbage, StoreError> {
    // Files first: what a publisher puts later is not looked at.
    let files = store.list(FILES)?;
    let mut garbage = Garbage::default();
    let mut needed = BTreeSet::new();
    let old = |entry: &Entry| age(entry.written, now) > retention.grace;
    let mut left = |folder: &str| -> Result<(), StoreError> {
        let leftovers = store.leftovers(folder)?.into_iter().filter(old);
        garbage.leftovers.extend(leftovers.map(|entry| (format!("{folder}/{}", entry.name), entry.len)));
        Ok(())
    };
    left(FILES)?;
    let channels = store.channels()?;
    channels.iter().try_for_each(|channel| folders(channel).iter().try_for_each(|folder| left(folder)))?;
    for channel in channels {
        garbage.beacons.extend(store.old_beacons(&channel)?.into_iter().map(|time| (channel.clone(), time)));
        let numbers = store.numbers(&channel)?;
        for (place, number) in numbers.iter().rev().copied().enumerate() {
            let Some(pointer) = store.pointer(&channel, number)? else { continue };
            let published = SystemTime::UNIX_EPOCH + Duration::from_secs(pointer.published.min(u64::from(u32::MAX)));
            let is_young = !retention.young.is_zero() && age(published, now) <= retention.young;
            if place < retention.keep.max(1) || is_young {
                need(store, &pointer, &mut needed)?;
            } else {
                garbage.pointers.push((channel.clone(), number));
            }
        }
    }
    let unneeded = |entry: &Entry| !needed.contains(&entry.name) && old(entry);
    garbage.files = files.into_iter().filter(unneeded).map(|entry| (entry.name, entry.len)).collect();
    Ok(garbage)
}

/// Removes it: pointers first, so that none ever names what is gone. Gives what was removed: files that a publisher has named since it
/// was found are kept.
///
/// # Errors
///
/// [`StoreError`]; what is left is found again the next time.
pub fn remove(store: &Store, mut garbage: Garbage) -> Result<Garbage, StoreError> {
    for (channel, number) in &garbage.pointers {
        store.unpoint(channel, *number)?;
    }
    for (channel, time) in &garbage.beacons {
        store.remove_beacon(channel, *time)?;
    }
    let named = needed(store)?;
    garbage.files.retain(|(name, _)| !named.contains(name));
    for (name, _) in &garbage.files {
        store.remove(&format!("{FILES}/{name}"))?;
    }
    garbage.leftovers.iter().try_for_each(|(path, _)| store.remove_leftover(path))?;
    let named = needed(store)?;
    match garbage.files.iter().find(|(name, _)| named.contains(name)) {
        None => Ok(garbage),
        Some((name, _)) => {
            Err(store.content(&format!("{FILES}/{name}"), "was named by a publisher while it was removed as garbage"))
        }
    }
}

/// The files that the pointers there are need.
fn needed(store: &Store) -> Result<BTreeSet<String>, StoreError> {
    let mut needed = BTreeSet::new();
    for channel in store.channels()? {
        for number in store.numbers(&channel)? {
            if let Some(pointer) = store.pointer(&channel, number)? {
                need(store, &pointer, &mut needed)?;
            }
        }
    }
    Ok(needed)
}

/// The folders of a channel.
fn folders(channel: &Channel) -> [String; 3] {
    [pointer::folder(channel), notices::folder(channel, notices::ROOTS), notices::folder(channel, notices::BEACONS)]
}

/// Time since then; none if it is to come.
fn age(then: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

/// Adds the files that a pointer needs.
fn need(store: &Store, pointer: &Pointer, needed: &mut BTreeSet<String>) -> Result<(), StoreError> {
    let statement = statement_of(store, pointer)?;
    let manifest = manifest_of(store, pointer, &statement)?;
    needed.extend(pointer.files(&manifest, statement.len()).into_iter().map(|file| file.name));
    Ok(())
}

/// The manifest that a pointer names, by its [statement](statement_of); whose it is, whoever uses it must verify.
pub(crate) fn manifest_of(
    store: &Store,
    pointer: &Pointer,
    statement: &[u8],
) -> Result<Unverified<Manifest>, StoreError> {
    let path = pointer.file();
    let manifest: Unverified<Manifest> =
        parse_unverified(statement).map_err(|error| store.content(&path, &format!("is refused: {error}")))?;
    if hex(manifest.payload_digest()) == pointer.release() {
        Ok(manifest)
    } else {
        Err(store.content(&path, "has another manifest than its name says"))
    }
}

/// The signed manifest in front of the release file that a pointer names.
pub(crate) fn statement_of(store: &Store, pointer: &Pointer) -> Result<Vec<u8>, StoreError> {
    let path = pointer.file();
    let octets = store.read(&path, HEAD_LEN + MAX_STATEMENT)?.ok_or_else(|| store.content(&path, "is missing"))?;
    let statement =
        octets.split_first_chunk::<HEAD_LEN>().and_then(|(head, rest)| rest.get(..decode_head(*head).ok()?));
    statement.map(<[u8]>::to_vec).ok_or_else(|| store.content(&path, "is no release file"))
}
