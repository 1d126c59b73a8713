//! Names of the files that exist while a release is received. They follow from the
//! release alone, so that a restart finds them again.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::durable::folder_of;
use crate::fault::{At as _, Fault};

/// Hex digits of a manifest digest in a name.
const TAG: usize = 16;

/// `.<name of the target>.<first 8 bytes of the manifest digest in hex>.part`, beside
/// the target.
pub(crate) fn staged(target: &Path, manifest: &[u8; 32]) -> PathBuf {
    folder_of(target).join(name(&staged_prefix(target), manifest, ".part"))
}

/// `scratch.<first 8 bytes of the manifest digest in hex>.<component>`
pub(crate) fn scratch(folder: &Path, manifest: &[u8; 32], component: usize) -> PathBuf {
    folder.join(name(SCRATCH.as_ref(), manifest, &format!(".{component}")))
}

/// The partial files of `target`, except those of the release `keep`.
pub(crate) fn stale_staged<D: Disk>(disk: &D, target: &Path, keep: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault> {
    stale(disk, folder_of(target), &staged_prefix(target), keep, |end| end == b".part")
}

/// The scratch files in `folder`, with the same exception.
pub(crate) fn stale_scratch<D: Disk>(disk: &D, folder: &Path, keep: Option<&[u8; 32]>) -> Result<Vec<PathBuf>, Fault> {
    stale(disk, folder, SCRATCH.as_ref(), keep, |end| {
        end.strip_prefix(b".").is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit))
    })
}

/// Removes files, except those another process has locked. Returns what it removed.
pub(crate) fn remove_unlocked<D: Disk>(disk: &D, paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, Fault> {
    let mut removed = Vec::new();
    for path in paths {
        match disk.open_locked(&path).at("open", &path) {
            Ok(_lock) => disk.remove(&path).at("remove", &path)?,
            Err(Fault::Locked { .. }) => continue,
            Err(fault) => return Err(fault),
        }
        removed.push(path);
    }
    Ok(removed)
}

const SCRATCH: &str = "scratch.";

fn staged_prefix(target: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

fn name(prefix: &OsStr, manifest: &[u8; 32], end: &str) -> OsString {
    let mut name = prefix.to_owned();
    name.push(tag(manifest));
    name.push(end);
    name
}

fn tag(manifest: &[u8; 32]) -> String {
    manifest.iter().take(TAG / 2).fold(String::new(), |mut tag, byte| {
        // Writing into a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
        tag
    })
}

fn stale<D: Disk>(
    disk: &D,
    folder: &Path,
    prefix: &OsStr,
    keep: Option<&[u8; 32]>,
    is_end: impl Fn(&[u8]) -> bool,
) -> Result<Vec<PathBuf>, Fault> {
    let keep = keep.map(tag);
    let is_hex = |tag: &[u8]| tag.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let mut stale = Vec::new();
    for found in disk.list(folder).at("list", folder)? {
        let Some((tag, end)) = found
            .as_encoded_bytes()
            .strip_prefix(prefix.as_encoded_bytes())
            .and_then(|rest| rest.split_at_checked(TAG))
        else {
            continue;
        };
        if !is_hex(tag) || !is_end(end) || keep.as_ref().is_some_and(|k| k.as_bytes() == tag) {
            continue;
        }
        stale.push(folder.join(&found));
    }
    Ok(stale)
}
