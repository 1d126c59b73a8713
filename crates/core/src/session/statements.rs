//! Statements that come: manifests, roots and beacons (spec §3, §4, §17, §18).

use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use super::budget::Remembered;
use super::candidate::Candidate;
use super::counters::count;
use super::{DECLINED_FOR, MAX_CANDIDATES, Receiver, RefuseReason, ResumeError, Step, Work};
use crate::beacon::Beacon;
use crate::freshness::{Freshness, Verdict};
use crate::manifest::Manifest;
use crate::time::Instant;
use crate::trust::{Envelope, Root, StatementError, Trust, Verified, tsi_of, verify};
use crate::wire::{Header, StatementKind};

impl Receiver {
    pub(super) fn handle_statement(
        &mut self,
        now: Instant,
        source: u64,
        header: Header,
        kind: StatementKind,
        number: u16,
        statement: &[u8],
    ) {
        let result = match kind {
            StatementKind::Root if number <= self.trust.version() => return count(&mut self.counters.duplicates),
            StatementKind::Root if number > self.trust.version().saturating_add(1) => Err("root-version"),
            _ => Envelope::parse(statement).map_err(|e| e.code()),
        };
        let result = result.and_then(|envelope| {
            if kind == StatementKind::Beacon && self.watch.hear_again(now, envelope.payload()) {
                count(&mut self.counters.duplicates);
                return Ok(());
            }
            // Before anything is hashed.
            let signatures = self.trust.cost(kind, &envelope);
            if signatures == 0 {
                return Err("threshold");
            }
            let payload_digest: [u8; 32] = Sha256::digest(envelope.payload()).into();
            if self.is_known(now, source, header, kind, &payload_digest)? {
                count(&mut self.counters.duplicates);
                return Ok(());
            }
            let digest = Remembered::digest(kind, statement);
            if self.unsuitable.contains(&payload_digest) || self.refused.contains(&digest) {
                return Err("refused-before");
            }
            if !self.budget.take(now, source, signatures) {
                return Err("budget");
            }
            let taken = match kind {
                StatementKind::Manifest => self.take_manifest(statement),
                StatementKind::Root => self.take_root(now, statement),
                StatementKind::Beacon => self.take_beacon(now, statement),
            };
            taken.inspect_err(|_| self.refused.insert(&digest))
        });
        if let Err(code) = result {
            self.counters.drop(code);
        }
    }

    /// Goes on with the beacon that was kept from before a restart. It is verified like any other, and counts, but none has
    /// been heard by it.
    ///
    /// # Errors
    ///
    /// [`StatementError`] if it does not verify (any longer).
    pub fn restore_beacon(&mut self, now: Instant, statement: &[u8]) -> Result<(), StatementError> {
        self.watch.restore(now, verify(statement, &self.trust)?);
        Ok(())
    }

    /// Whose statements count.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The newest beacon.
    #[must_use]
    pub fn beacon(&self) -> Option<&Verified<Beacon>> {
        self.watch.newest()
    }

    /// Whether what is known is current. `system` is the time of a clock that is trusted, in seconds of Unix time, if there
    /// is one.
    #[must_use]
    pub fn freshness(&self, now: Instant, system: Option<u64>) -> Freshness {
        self.watch.state(now, system, &self.trust)
    }

    /// A time that is past for sure, in seconds of Unix time.
    #[must_use]
    pub fn clock(&self, now: Instant) -> u64 {
        self.watch.clock(now)
    }

    /// Whether this device takes a release, by all it knows.
    pub(super) fn check(&self, manifest: &Verified<Manifest>) -> Result<(), RefuseReason> {
        self.policy.check(manifest, self.beacon().map(|beacon| &**beacon))
    }

    /// Whether there is nothing to learn from a statement with this payload: whatever signatures are around it, it was
    /// verified before.
    fn is_known(
        &mut self,
        now: Instant,
        source: u64,
        header: Header,
        kind: StatementKind,
        payload_digest: &[u8; 32],
    ) -> Result<bool, &'static str> {
        match kind {
            StatementKind::Root | StatementKind::Beacon => Ok(false),
            StatementKind::Manifest => {
                if tsi_of(payload_digest) != header.tsi {
                    return Err("tsi");
                }
                let is_followed = self.manifest().is_some_and(|manifest| manifest.payload_digest() == payload_digest);
                if is_followed {
                    self.note_arrival(source, header);
                }
                self.declined.retain(|&(_, since)| now.since(since) < DECLINED_FOR);
                if self.declined.iter().any(|(declined, _)| declined == payload_digest) {
                    return Err("refused-before");
                }
                Ok(is_followed || self.candidates.iter().any(|c| c.manifest.payload_digest() == payload_digest))
            }
        }
    }

    fn take_manifest(&mut self, statement: &[u8]) -> Result<(), &'static str> {
        let manifest = verify(statement, &self.trust).map_err(|e| e.code())?;
        self.consider(manifest);
        Ok(())
    }

    /// Decides on a genuine manifest that is not followed yet.
    fn consider(&mut self, manifest: Verified<Manifest>) {
        let sequence = manifest.sequence;
        if let Err(reason) = self.check(&manifest) {
            self.unsuitable.insert(manifest.payload_digest());
            self.counters.drop(reason.code());
            self.work.push_back(Work::Act(Step::Refused { sequence, reason }));
            return;
        }
        let Ok(trees) = manifest.trees() else { return self.counters.drop("geometry") };
        let candidate = Candidate { manifest, trees };
        if self.download.is_none() {
            return self.begin(candidate, None);
        }
        if self.candidates.len() >= MAX_CANDIDATES {
            let lowest = self.candidates.iter().enumerate().min_by_key(|(_, c)| c.manifest.sequence);
            match lowest.map(|(index, lowest)| (index, lowest.manifest.sequence)) {
                Some((index, lowest)) if lowest < sequence => drop(self.candidates.swap_remove(index)),
                _ => return self.counters.drop("outnumbered"),
            }
        }
        self.candidates.push(candidate);
    }

    /// Takes the root that follows, and judges everything anew by it \[K-7\].
    fn take_root(&mut self, now: Instant, statement: &[u8]) -> Result<(), &'static str> {
        let root: Verified<Root> = verify(statement, &self.trust).map_err(|e| e.code())?;
        // Keys alone are of any vendor.
        if root.vendor != self.policy.vendor {
            return Err(RefuseReason::Vendor.code());
        }
        let step = self.trust.follow(root);
        self.watch.follow(now, &self.trust);
        if step.voids_floors {
            self.policy.void_floors();
        }
        self.work.push_back(Work::Act(Step::Root { voids_floors: step.voids_floors }));
        self.refused = Remembered::new();
        self.judge_anew();
        Ok(())
    }

    /// Takes a later beacon, and judges everything anew by it.
    fn take_beacon(&mut self, now: Instant, statement: &[u8]) -> Result<(), &'static str> {
        let beacon: Verified<Beacon> = verify(statement, &self.trust).map_err(|e| e.code())?;
        let payload_digest = *beacon.payload_digest();
        if self.watch.hear(now, beacon) == Verdict::New {
            self.work.push_back(Work::Act(Step::Beacon));
            self.judge_anew();
        } else {
            self.unsuitable.insert(&payload_digest);
            self.counters.drop("beacon-replay");
        }
        Ok(())
    }

    /// What was acceptable may not be so any longer, and the other way round.
    fn judge_anew(&mut self) {
        self.unsuitable = Remembered::new();
        let judge = |manifest: &Verified<Manifest>| {
            verify::<Manifest>(manifest.statement(), &self.trust).map_err(ResumeError::Statement)?;
            self.check(manifest).map_err(ResumeError::Refused)
        };
        let candidates: Vec<bool> = self.candidates.iter().map(|c| judge(&c.manifest).is_ok()).collect();
        let abandoned = self.manifest().and_then(|manifest| Some((manifest.sequence, judge(manifest).err()?)));
        let mut candidates = candidates.into_iter();
        self.candidates.retain(|_| candidates.next().unwrap_or_default());
        if let Some((sequence, reason)) = abandoned {
            self.download = None;
            self.is_complete = false;
            // With nothing being received, whichever comes first is begun with.
            self.candidates.clear();
            self.staging.retain(|_| false);
            self.work.push_back(Work::Act(Step::Abandon { sequence, reason }));
        }
    }
}
