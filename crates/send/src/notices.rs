//! What goes on the air beside a release: the roots that lead to the keys that count, and the beacon (spec §17, §18).
//!
//! A head-end signs none of it and needs no secret: each root is verified by the one before it, the beacon and the release by
//! the last.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`mod@file`] | reads a statement file |
//! | [`chain`] | roots that follow each other |
//! | [`beacon`] | the beacon, read again when its file changes, and what is odd about it |

pub mod beacon;
pub mod chain;
pub mod file;

use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use fleetcast_cli::CommandError;
use fleetcast_core::beacon::Beacon;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::{Verified, verify};
use fleetcast_core::wire::HEADER_LEN;

use beacon::{BeaconFile, concerns, objection, past};
use chain::Chain;
use file::{FileError, FileReason};

use crate::release::ReleaseFile;
use crate::report::{BeaconFacts, Event};

/// A chain of roots, and the beacon if there is one.
#[derive(Debug)]
pub struct Notices {
    chain: Chain,
    beacon: Option<Verified<Beacon>>,
    /// Where another beacon comes from, if it is a file.
    file: Option<BeaconFile>,
    /// Where other roots and beacons come from, if they come from a store.
    store: Option<Receiver<Held>>,
    /// Whether it was told that the beacon's time is past.
    is_told_past: bool,
}

/// Roots and beacon of a store, verified.
#[derive(Clone, Debug)]
pub struct Held {
    /// The roots.
    pub chain: Chain,
    /// The newest beacon that is valid by the last of them, if beacons come from the store.
    pub beacon: Option<Verified<Beacon>>,
}

/// What has changed about what is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// There are more roots.
    pub roots: bool,
    /// There is another beacon, or none.
    pub beacon: bool,
}

impl Notices {
    /// Reads and verifies the roots, in order of version, and the beacon by the last of them.
    ///
    /// # Errors
    ///
    /// [`FileError`] with the file that is wrong.
    pub fn open(roots: &[PathBuf], beacon: Option<&Path>) -> Result<Self, FileError> {
        let chain = Chain::open(roots)?;
        let (file, beacon) = beacon.map(|path| BeaconFile::open(path, chain.trust())).transpose()?.unzip();
        Ok(Self { chain, beacon, file, store: None, is_told_past: false })
    }

    /// These roots, and no beacon.
    #[must_use]
    pub const fn of(chain: Chain) -> Self {
        Self { chain, beacon: None, file: None, store: None, is_told_past: false }
    }

    /// Takes what comes here from then on: roots that follow, and beacons if none come from a file.
    pub fn follow(&mut self, store: Receiver<Held>) {
        self.store = Some(store);
    }

    /// Takes what has come before the first packet.
    pub fn begin(&mut self) {
        let Some(held) = self.store.as_ref().and_then(|store| store.try_iter().last()) else { return };
        self.chain = held.chain;
        match &mut self.file {
            // Its beacon may be one that the roots that came do not allow, or do only by them.
            Some(file) => {
                self.beacon = self.beacon.take().and_then(|beacon| verify(beacon.statement(), self.chain.trust()).ok());
                file.again();
            }
            None => self.beacon = held.beacon,
        }
    }

    /// The roots.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The beacon.
    #[must_use]
    pub const fn beacon(&self) -> Option<&Verified<Beacon>> {
        self.beacon.as_ref()
    }

    /// Whether beacons come from a file.
    #[must_use]
    pub const fn has_beacon_file(&self) -> bool {
        self.file.is_some()
    }

    /// Versions of the roots, in order.
    #[must_use]
    pub fn versions(&self) -> Vec<u16> {
        self.chain.roots().iter().map(|root| root.version).collect()
    }

    /// What the beacon says of itself.
    #[must_use]
    pub fn facts(&self) -> Option<BeaconFacts> {
        self.beacon.as_ref().map(|beacon| (&**beacon).into())
    }

    /// What is odd about roots and beacon for who sends `release`, `unix` after the beginning of 1970: nothing that keeps them from
    /// being sent, for devices decide.
    pub fn concerns(&mut self, release: &ReleaseFile, unix: Duration) -> Vec<Event> {
        let mut all: Vec<_> = self.refusal(release).into_iter().collect();
        if let Some(beacon) = &self.beacon {
            self.is_told_past = past(beacon, unix).is_some();
            all.extend(concerns(beacon, release.manifest(), self.chain.trust().version(), unix));
        }
        all
    }

    /// That devices refuse a release by the last root.
    fn refusal(&self, release: &ReleaseFile) -> Option<Event> {
        let root = self.chain.trust().root()?.version;
        let error = verify::<Manifest>(release.statement(), self.chain.trust()).err()?;
        let manifest = release.manifest();
        let reason = format!(
            "release {} (sequence {}) is sent on, and devices refuse it by root {root}: {error} ({})",
            manifest.version,
            manifest.sequence,
            error.code()
        );
        Some(Event::Warning { code: "release-refused", reason })
    }

    /// Looks whether there is another beacon or there are more roots, of which a packet may have `room` octets, and whether the time of
    /// the beacon has passed; gives what is to be sent anew, and what is to be told.
    pub fn look(&mut self, release: &ReleaseFile, unix: Duration, room: usize) -> (Changed, Vec<Event>) {
        let (mut changed, mut events) = (Changed::default(), Vec::new());
        if let Some(held) = self.store.as_ref().and_then(|store| store.try_iter().last()) {
            self.take(held, room, &mut changed, &mut events);
        }
        if let Some(file) = &mut self.file {
            match file.look(self.beacon.as_ref(), self.chain.trust(), room) {
                Some(Ok(beacon)) => (self.beacon, changed.beacon) = (Some(beacon), true),
                Some(Err(error)) => events.push(error.into()),
                None => {}
            }
        }
        if changed.roots {
            events.push(Event::Roots { roots: self.versions() });
        }
        if changed.beacon {
            let version = self.chain.trust().version();
            let void = || Event::Warning {
                code: "beacon-void",
                reason: format!("the beacon is not valid by root {version}, and is not sent any more"),
            };
            events.push(self.facts().map_or_else(void, Event::Beacon));
        }
        if changed.roots || changed.beacon {
            events.extend(self.concerns(release, unix));
        } else if let Some(beacon) = self.beacon.as_ref().filter(|_| !self.is_told_past) {
            let past = past(beacon, unix);
            self.is_told_past = past.is_some();
            events.extend(past);
        }
        (changed, events)
    }

    /// Takes what came from a store, as far as packets of it have room.
    fn take(&mut self, held: Held, room: usize, changed: &mut Changed, events: &mut Vec<Event>) {
        let mut refuse = |what: String, reason: FileReason| {
            let code = reason.code();
            let reason =
                format!("cannot send {what} of the store: {}; what was sent is sent on", CommandError::failed(reason));
            events.push(Event::Warning { code, reason });
        };
        for root in held.chain.roots().iter().skip(self.chain.roots().len()) {
            let octets = HEADER_LEN + root.statement.len();
            if octets > room {
                return refuse(format!("root {}", root.version), FileReason::PacketSize { octets, room });
            }
        }
        if held.chain.trust().version() > self.chain.trust().version() {
            (self.chain, changed.roots) = (held.chain, true);
            let verified = |beacon: &Verified<Beacon>| verify(beacon.statement(), self.chain.trust()).ok();
            let before = self.beacon.take();
            self.beacon = before.as_ref().and_then(verified);
            changed.beacon = before.is_some() && self.beacon.is_none();
            if let Some(file) = &mut self.file {
                file.again();
            }
        }
        if let Some(new) = held.beacon.filter(|_| self.file.is_none()) {
            if self.beacon.as_ref().is_some_and(|beacon| beacon.statement() == new.statement()) {
                return;
            }
            if let Some(reason) = objection(self.beacon.as_ref(), &new, room) {
                return refuse("a beacon".into(), reason);
            }
            (self.beacon, changed.beacon) = (Some(new), true);
        }
    }
}
