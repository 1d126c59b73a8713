//! Statements that come to a relay: manifests, roots and beacons.

use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use super::chain::Place;
use super::{CANDIDATE_FOR, MAX_CANDIDATES, Verifier, Waiting};
use crate::beacon::Beacon;
use crate::manifest::Manifest;
use crate::session::budget::Remembered;
use crate::session::candidate::Candidate;
use crate::session::counters::count;
use crate::time::Instant;
use crate::trust::{Envelope, Statement, Verified, tsi_of, verify};
use crate::wire::{Packet, StatementKind};

impl Verifier {
    /// Passes the manifest of a carried release. One that has not verified yet, all its octets, is verified first: signatures that
    /// have not are not passed on around a payload that has.
    pub(super) fn handle_manifest(
        &mut self,
        now: Instant,
        source: u64,
        packet: Packet<'_>,
        pass: &mut dyn FnMut(Packet<'_>),
    ) -> Result<(), &'static str> {
        let envelope = Envelope::parse(packet.payload).map_err(|e| e.code())?;
        let payload_digest: [u8; 32] = Sha256::digest(envelope.payload()).into();
        if tsi_of(&payload_digest) != packet.header.tsi {
            return Err("tsi");
        }
        let is_same = |manifest: &Verified<Manifest>| *manifest.payload_digest() == payload_digest;
        let is_carried = self.manifests().any(is_same);
        let is_known = is_carried || self.candidates.iter().any(|waiting| is_same(&waiting.candidate.manifest));
        let digest = Remembered::digest(StatementKind::Manifest, packet.payload);
        if !(is_known && self.genuine.contains(&digest)) {
            let manifest = self.verify::<Manifest>(now, source, &envelope, packet.payload, &digest)?;
            let largest = manifest.components.iter().map(|c| c.geometry.max_packet_len()).max();
            if largest.is_some_and(|len| len > self.max_packet) {
                self.refused.insert(&digest);
                return Err("packet-size");
            }
            self.genuine.insert(&digest);
            if !is_known {
                return self.make_candidate(now, manifest);
            }
        }
        if is_carried {
            pass(packet);
        } else {
            count(&mut self.counters.duplicates);
        }
        Ok(())
    }

    /// Passes a root of the chain; the one that follows is trusted from then on.
    pub(super) fn handle_root(
        &mut self,
        now: Instant,
        source: u64,
        version: u16,
        packet: Packet<'_>,
        pass: &mut dyn FnMut(Packet<'_>),
    ) -> Result<(), &'static str> {
        let statement = packet.payload;
        let place = self.chain.place(version, statement).ok_or("root-version")?;
        if place != Place::Walked {
            let envelope = Envelope::parse(statement).map_err(|e| e.code())?;
            let digest = Remembered::digest(StatementKind::Root, statement);
            if place == Place::Next {
                self.afford(now, source, self.chain.trust().cost(StatementKind::Root, &envelope), &digest)?;
                self.chain.step(statement).map_err(|e| e.code()).inspect_err(|_| self.refused.insert(&digest))?;
                self.judge_anew();
            } else if !self.genuine.contains(&digest) {
                self.afford(now, source, envelope.signatures().count(), &digest)?;
                self.chain.verify_again(version, statement).inspect_err(|_| self.refused.insert(&digest))?;
                self.genuine.insert(&digest);
            }
        }
        pass(packet);
        Ok(())
    }

    /// Passes the newest beacon, in whatever signatures that verify.
    pub(super) fn handle_beacon(
        &mut self,
        now: Instant,
        source: u64,
        packet: Packet<'_>,
        pass: &mut dyn FnMut(Packet<'_>),
    ) -> Result<(), &'static str> {
        let statement = packet.payload;
        if self.beacon.as_ref().is_none_or(|newest| newest.statement() != statement) {
            let envelope = Envelope::parse(statement).map_err(|e| e.code())?;
            let payload_digest: [u8; 32] = Sha256::digest(envelope.payload()).into();
            let is_newest = self.beacon.as_ref().is_some_and(|newest| *newest.payload_digest() == payload_digest);
            let digest = Remembered::digest(StatementKind::Beacon, statement);
            if !(is_newest && self.genuine.contains(&digest)) {
                let beacon = self.verify::<Beacon>(now, source, &envelope, statement, &digest)?;
                if is_newest {
                    self.genuine.insert(&digest);
                } else if self.beacon.as_ref().is_some_and(|newest| newest.issued >= beacon.issued) {
                    self.refused.insert(&digest);
                    return Err("beacon-replay");
                } else {
                    self.beacon = Some(beacon);
                }
            }
        }
        pass(packet);
        Ok(())
    }

    /// Drops what is not valid by the root that has followed, and forgets what was refused by the one before.
    fn judge_anew(&mut self) {
        let Self { chain, carried, candidates, beacon, staging, .. } = self;
        let is_valid = |manifest: &Verified<Manifest>| verify::<Manifest>(manifest.statement(), chain.trust()).is_ok();
        carried.retain(|carried| is_valid(&carried.manifest));
        candidates.retain(|waiting| is_valid(&waiting.candidate.manifest));
        beacon.take_if(|beacon| verify::<Beacon>(beacon.statement(), chain.trust()).is_err());
        let carried = carried.iter().map(|carried| carried.manifest.tsi());
        let sessions = carried.chain(candidates.iter().map(|waiting| waiting.candidate.manifest.tsi()));
        let sessions: Vec<_> = sessions.collect();
        staging.retain(|tsi| sessions.contains(&tsi));
        (self.refused, self.genuine) = (Remembered::new(), Remembered::new());
    }

    /// Verifies a statement, or gives the word for why it is dropped.
    fn verify<T: Statement>(
        &mut self,
        now: Instant,
        source: u64,
        envelope: &Envelope<'_>,
        statement: &[u8],
        digest: &[u8; 32],
    ) -> Result<Verified<T>, &'static str> {
        self.afford(now, source, self.chain.trust().cost(T::KIND, envelope), digest)?;
        verify(statement, self.chain.trust()).map_err(|e| {
            self.refused.insert(digest);
            e.code()
        })
    }

    /// Whether a statement is worth as many verifications, or the word for why it is dropped.
    fn afford(&mut self, now: Instant, source: u64, cost: usize, digest: &[u8; 32]) -> Result<(), &'static str> {
        if self.refused.contains(digest) {
            return Err("refused-before");
        }
        match cost {
            0 => Err("threshold"),
            cost if self.budget.take(now, source, cost) => Ok(()),
            _ => Err("budget"),
        }
    }

    /// Lets a release wait for its first chunk, if there is room for it.
    fn make_candidate(&mut self, now: Instant, manifest: Verified<Manifest>) -> Result<(), &'static str> {
        let trees = manifest.trees().map_err(|_| "geometry")?;
        if self.candidates.len() >= MAX_CANDIDATES {
            let has_waited = |waiting: &Waiting| now.since(waiting.since) >= CANDIDATE_FOR;
            let victim = self.candidates.iter().enumerate().min_by_key(|(_, waiting)| {
                let sequence = waiting.candidate.manifest.sequence;
                (!has_waited(waiting), sequence)
            });
            let (index, victim) = victim.ok_or("outnumbered")?;
            if !has_waited(victim) && victim.candidate.manifest.sequence >= manifest.sequence {
                return Err("outnumbered");
            }
            let victim = self.candidates.swap_remove(index).candidate.manifest.tsi();
            self.staging.retain(|tsi| tsi != victim);
        }
        self.candidates.push(Waiting { candidate: Candidate { manifest, trees }, since: now });
        Ok(())
    }
}
