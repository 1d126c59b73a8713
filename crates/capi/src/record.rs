//! What a device remembers of its releases, in one item of 223 octets.
//!
//! | octets | what |
//! | --- | --- |
//! | 8 | `FCDEVRC` and the format, 1 |
//! | 16 | random, the device's own for ever \[M-10\] |
//! | 2 | highest root ever followed |
//! | 1 | floors: 0 hold, 1 void, 2 void and a release from before is on trial \[K-9\] |
//! | 4 × 45 | installed, seen, on trial, given up: 1 if there is one, sequence, security version, SHA-256 of the manifest payload |
//! | 16 | of the SHA-256 of all before |

use fleetcast_core::reader::Reader;
use fleetcast_core::session::Mark;
use sha2::{Digest as _, Sha256};

const MAGIC: &[u8; 8] = b"FCDEVRC\x01";
/// Octets of the check at the end.
const CHECK: usize = 16;
/// Octets of a record.
pub const LEN: usize = 8 + 16 + 2 + 1 + 4 * 45 + CHECK;

/// A release by its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Number and digest.
    pub mark: Mark,
    /// Security version.
    pub security_version: u32,
}

/// Whether the installed release and the highest seen are floors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floors {
    /// They are.
    Hold,
    /// Not until the next commit \[K-9\].
    Void,
    /// Neither by the commit of the release that was on trial then.
    VoidOnTrial,
}

/// It.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The device's own random octets.
    pub seed: [u8; 16],
    /// Version of the highest root ever followed.
    pub root: u16,
    /// Whether there are floors.
    pub floors: Floors,
    /// The committed release.
    pub installed: Option<Known>,
    /// The highest release of which a chunk has come \[M-7\].
    pub seen: Option<Known>,
    /// A release that is installed and not committed.
    pub trial: Option<Known>,
    /// The release given up last \[I-7\].
    pub failed: Option<Known>,
}

impl Record {
    /// That of a new device.
    #[must_use]
    pub const fn new(seed: [u8; 16], root: u16) -> Self {
        Self { seed, root, floors: Floors::Hold, installed: None, seen: None, trial: None, failed: None }
    }

    /// Its octets.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.seed);
        bytes.extend_from_slice(&self.root.to_be_bytes());
        bytes.push(match self.floors {
            Floors::Hold => 0,
            Floors::Void => 1,
            Floors::VoidOnTrial => 2,
        });
        for known in [self.installed, self.seen, self.trial, self.failed] {
            bytes.push(known.is_some().into());
            let (sequence, version, digest) =
                known.map_or((0, 0, [0; 32]), |k| (k.mark.sequence, k.security_version, k.mark.digest));
            bytes.extend_from_slice(&sequence.to_be_bytes());
            bytes.extend_from_slice(&version.to_be_bytes());
            bytes.extend_from_slice(&digest);
        }
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// Reads it; `None` if it is damaged, or of another format.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, found) = bytes.split_last_chunk::<CHECK>()?;
        let mut r = Reader::new(body);
        if bytes.len() != LEN || *found != check(body) || r.array::<8>().ok()? != *MAGIC {
            return None;
        }
        let seed = r.array().ok()?;
        let root = u16::from_be_bytes(r.array().ok()?);
        let floors = match r.array().ok()? {
            [0] => Floors::Hold,
            [1] => Floors::Void,
            [2] => Floors::VoidOnTrial,
            _ => return None,
        };
        let mut known = || {
            let [is_some] = r.array().ok()?;
            let sequence = u64::from_be_bytes(r.array().ok()?);
            let security_version = u32::from_be_bytes(r.array().ok()?);
            let mark = Mark { sequence, digest: r.array().ok()? };
            Some((is_some == 1).then_some(Known { mark, security_version }))
        };
        Some(Self { seed, root, floors, installed: known()?, seen: known()?, trial: known()?, failed: known()? })
    }

    /// Notes the highest release of which a chunk has come.
    pub(crate) fn see(&mut self, known: Known) {
        if self.seen.is_none_or(|seen| seen.mark.sequence < known.mark.sequence) {
            self.seen = Some(known);
        }
    }

    /// Notes that a root has followed, once for each.
    pub(crate) const fn follow(&mut self, root: u16, voids_floors: bool) {
        if root <= self.root {
            return;
        }
        self.root = root;
        if voids_floors {
            self.floors = if self.trial.is_some() { Floors::VoidOnTrial } else { Floors::Void };
            self.seen = None;
        }
    }

    /// Notes that a release is committed.
    pub(crate) fn commit(&mut self, known: Known) {
        // What was signed before a step that voids all such does not raise floors after it.
        let is_from_before = self.floors == Floors::VoidOnTrial && self.trial == Some(known);
        if is_from_before {
            self.floors = Floors::Void;
        } else {
            self.floors = Floors::Hold;
            self.see(known);
        }
        (self.installed, self.trial) = (Some(known), None);
    }

    /// Notes that a release is given up.
    pub(crate) fn give_up(&mut self, known: Known) {
        if self.floors == Floors::VoidOnTrial {
            self.floors = Floors::Void;
        }
        (self.failed, self.trial) = (Some(known), None);
    }
}

fn check(body: &[u8]) -> [u8; CHECK] {
    let digest: [u8; 32] = Sha256::digest(body).into();
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(sequence: u64) -> Known {
        Known { mark: Mark { sequence, digest: [7; 32] }, security_version: 3 }
    }

    #[test]
    fn every_damage_is_noticed() {
        let mut record = Record::new([9; 16], 2);
        (record.installed, record.failed, record.floors) = (Some(known(5)), Some(known(6)), Floors::VoidOnTrial);
        let bytes = record.encode();
        assert_eq!(bytes.len(), LEN);
        assert_eq!(Record::decode(&bytes), Some(record));
        for at in 0..bytes.len() {
            let damaged: Vec<u8> = bytes.iter().enumerate().map(|(i, octet)| octet ^ u8::from(i == at)).collect();
            assert_eq!(Record::decode(&damaged), None, "octet {at}");
            assert_eq!(bytes.get(..at).and_then(Record::decode), None, "cut at {at}");
        }
    }

    #[test]
    fn a_step_that_voids_floors_is_not_undone_by_what_was_on_trial_before_it() {
        let mut record = Record::new([0; 16], 1);
        record.trial = Some(known(5));
        record.see(known(5));
        record.follow(2, true);
        record.follow(2, false);
        assert_eq!((record.floors, record.seen), (Floors::VoidOnTrial, None));
        record.commit(known(5));
        assert_eq!((record.floors, record.installed), (Floors::Void, Some(known(5))));
        record.commit(known(4));
        assert_eq!((record.floors, record.seen, record.trial), (Floors::Hold, Some(known(4)), None));
    }
}
