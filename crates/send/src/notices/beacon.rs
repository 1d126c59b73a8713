//! A beacon in a file that is replaced from time to time, and what is odd about one (spec §18).

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetcast_core::beacon::{Beacon, Current};
use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::{Trust, Unverified, Verified, verify};
use fleetcast_core::wire::HEADER_LEN;
use indicatif::HumanDuration;

use super::file::{FileError, FileReason, read_open};
use crate::report::Event;

/// How far clocks of machines may be apart before it is told.
const CLOCKS_APART: u64 = 60;

/// The file that beacons come in.
#[derive(Debug)]
pub struct BeaconFile {
    path: PathBuf,
    /// Of the file that was last read, good or not; `None` if there was none.
    stamp: Option<Stamp>,
}

/// By what a file is known to be another, or written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    len: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl BeaconFile {
    /// Reads a beacon and verifies it.
    ///
    /// # Errors
    ///
    /// [`FileError`].
    pub fn open(path: &Path, trust: &Trust) -> Result<(Self, Verified<Beacon>), FileError> {
        let attempt = || {
            let file = File::open(path)?;
            let stamp = Some(Stamp::of(&file.metadata()?));
            let beacon = verify(&read_open(file)?, trust)?;
            Ok((Self { path: path.into(), stamp }, beacon))
        };
        attempt().map_err(|reason| FileError { what: "beacon", path: path.into(), reason })
    }

    /// Looks whether the file is another or was written to, and gives the beacon in it if that may take the place of the one that is
    /// sent: `None` if there is nothing new, an error only once for the same file. A packet of it may have `room` octets.
    pub fn look(
        &mut self,
        sent: Option<&Verified<Beacon>>,
        trust: &Trust,
        room: usize,
    ) -> Option<Result<Verified<Beacon>, FileError>> {
        let stamp = std::fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        if stamp == self.stamp {
            return None;
        }
        self.stamp = stamp;
        let result = Self::open(&self.path, trust).and_then(|(file, new)| {
            self.stamp = file.stamp;
            match objection(sent, &new, room) {
                None => Ok(new),
                Some(reason) => Err(FileError { what: "beacon", path: self.path.clone(), reason }),
            }
        });
        let is_sent = |new: &Verified<Beacon>| sent.is_some_and(|sent| sent.statement() == new.statement());
        if result.as_ref().is_ok_and(is_sent) { None } else { Some(result) }
    }

    /// Has the file read again the next time, since its beacon is judged by another root.
    pub const fn again(&mut self) {
        self.stamp = None;
    }
}

/// Why a beacon that verifies does not take the place of the one that is sent.
pub(super) fn objection(sent: Option<&Verified<Beacon>>, new: &Verified<Beacon>, room: usize) -> Option<FileReason> {
    let octets = HEADER_LEN + new.statement().len();
    if octets > room {
        return Some(FileReason::PacketSize { octets, room });
    }
    let is_later = |sent: &Verified<Beacon>| new.payload_digest() == sent.payload_digest() || new.issued > sent.issued;
    (!sent.is_none_or(is_later)).then_some(FileReason::Replay)
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What is odd about a beacon for who sends `manifest` and roots up to version `root`, `unix` after the beginning of 1970.
pub(crate) fn concerns(beacon: &Beacon, manifest: &Unverified<Manifest>, root: u16, unix: Duration) -> Vec<Event> {
    let now = unix.as_secs();
    let mut all: Vec<_> = past(beacon, unix).into_iter().collect();
    let mut warn = |code, reason| all.push(Event::Warning { code, reason });
    if beacon.issued > now.saturating_add(CLOCKS_APART) {
        let ahead = HumanDuration(Duration::from_secs(beacon.issued - now));
        warn(
            "beacon-ahead",
            format!("the beacon was issued {ahead} ahead of this machine's clock: one of both is wrong"),
        );
    }
    if beacon.root > root {
        let named = beacon.root;
        let reason = format!(
            "the beacon names root {named}, and the last root that is sent is {root}: devices install nothing before they \
             have that root"
        );
        warn("beacon-root", reason);
    }
    for class in &manifest.classes {
        let current: Vec<_> = beacon.of(std::slice::from_ref(class)).collect();
        if let Some(consequence) = unnamed(&current, manifest) {
            let sequence = manifest.sequence;
            let reason = format!(
                "the beacon does not name the release (sequence {sequence}) for class {class}: devices {consequence}"
            );
            warn("beacon-release", reason);
        }
    }
    all
}

/// That the time of a beacon is over: devices are stale then, and it is for them to decide what follows.
pub(super) fn past(beacon: &Beacon, unix: Duration) -> Option<Event> {
    let past = unix.as_secs().checked_sub(beacon.until).filter(|past| *past > 0)?;
    let past = HumanDuration(Duration::from_secs(past));
    let reason = format!("the time of the beacon is over, for {past} by this machine's clock; it is sent on");
    Some(Event::Warning { code: "beacon-past", reason })
}

/// What comes of a release that the beacon does not name for a class; `None` if it does.
fn unnamed(current: &[&Current], manifest: &Unverified<Manifest>) -> Option<&'static str> {
    let is_it = |c: &&Current| c.sequence == manifest.sequence && c.digest == *manifest.payload_digest();
    let any = |test: &dyn Fn(&Current) -> bool| current.iter().any(|c| test(c));
    if current.iter().any(is_it) {
        None
    } else if any(&|c| c.security_version > manifest.security_version) {
        Some("refuse it (security-version)")
    } else if any(&|c| c.sequence == manifest.sequence) {
        Some("refuse it (equivocation)")
    } else if any(&|c| c.sequence > manifest.sequence) {
        Some("refuse it (superseded)")
    } else {
        Some("take it all the same")
    }
}
