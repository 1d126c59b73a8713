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
use std::time::Duration;

use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::Unverified;

use beacon::{BeaconFile, concerns, past};
use chain::Chain;
use file::FileError;

use crate::report::{BeaconFacts, Event};

/// A chain of roots, and the beacon if there is one.
#[derive(Debug)]
pub struct Notices {
    chain: Chain,
    beacon: Option<BeaconFile>,
    /// Whether it was told that the beacon's time is past.
    is_told_past: bool,
}

impl Notices {
    /// Reads and verifies the roots, in order of version, and the beacon by the last of them.
    ///
    /// # Errors
    ///
    /// [`FileError`] with the file that is wrong.
    pub fn open(roots: &[PathBuf], beacon: Option<&Path>) -> Result<Self, FileError> {
        let chain = Chain::open(roots)?;
        let beacon = beacon.map(|path| BeaconFile::open(path, chain.trust())).transpose()?;
        Ok(Self { chain, beacon, is_told_past: false })
    }

    /// The roots.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The beacon.
    #[must_use]
    pub const fn beacon(&self) -> Option<&BeaconFile> {
        self.beacon.as_ref()
    }

    /// Versions of the roots, in order.
    #[must_use]
    pub fn versions(&self) -> Vec<u16> {
        self.chain.roots().iter().map(|root| root.version).collect()
    }

    /// What the beacon says of itself.
    #[must_use]
    pub fn facts(&self) -> Option<BeaconFacts> {
        self.beacon.as_ref().map(|file| (&**file.beacon()).into())
    }

    /// What is odd about the beacon for who sends `manifest`, `unix` after the beginning of 1970: nothing that keeps it from
    /// being sent, for devices decide.
    pub fn concerns(&mut self, manifest: &Unverified<Manifest>, unix: Duration) -> Vec<Event> {
        let Some(file) = &self.beacon else { return Vec::new() };
        self.is_told_past = past(file.beacon(), unix).is_some();
        concerns(file.beacon(), manifest, self.chain.trust().version(), unix)
    }

    /// Looks whether there is another beacon, of which a packet may have `room` octets, and whether the time of the one that is
    /// sent has passed; gives what is to be told.
    pub fn look(&mut self, manifest: &Unverified<Manifest>, unix: Duration, room: usize) -> Vec<Event> {
        let Some(file) = &mut self.beacon else { return Vec::new() };
        match file.look(self.chain.trust(), room) {
            Some(Ok(())) => {
                let taken = Event::Beacon((&**file.beacon()).into());
                [taken].into_iter().chain(self.concerns(manifest, unix)).collect()
            }
            Some(Err(error)) => vec![error.into()],
            None if self.is_told_past => Vec::new(),
            None => {
                let past = past(file.beacon(), unix);
                self.is_told_past = past.is_some();
                past.into_iter().collect()
            }
        }
    }
}
