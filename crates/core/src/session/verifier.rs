//! Verifies packets of several releases at once for somebody who passes them on: a relay (spec §8 \[C-10, C-12\]).
//!
//! What a [`Receiver`](super::Receiver) decides for its device is not asked here, only whether a packet is genuine. Memory does not grow
//! with images: of each release the newest 256 pages and parity pages are kept, and chunks that came before their page wait in one
//! bounded buffer.
//!
//! | state of a release | entered when | left when |
//! | --- | --- | --- |
//! | candidate | its manifest verifies | its first chunk verifies; or another manifest needs the place (the lowest sequence goes first, or one that has waited long) |
//! | carried | its first chunk verifies | a chunk of another verifies that needs the place (an idle one goes first, else the lowest sequence, if it is lower) |

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::budget::{Budget, Remembered};
use super::candidate::{CANDIDATE_PAGES, Candidate};
use super::carried::Carried;
use super::counters::{Counters, count};
use super::pages::Key;
use super::staging::Staging;
use crate::beacon::Beacon;
use crate::manifest::Manifest;
use crate::time::Instant;
use crate::trust::{Envelope, Statement, Trust, Verified, tsi_of, verify};
use crate::wire::{HEADER_LEN, Header, Object, Packet, StatementKind, Tsi};
use sha2::{Digest as _, Sha256};

/// Releases that may wait for their first chunk.
const MAX_CANDIDATES: usize = 8;
/// For how long nothing but a higher sequence takes their place.
const CANDIDATE_FOR: Duration = Duration::from_secs(10);
/// Roots that can be told from others; older ones are not passed on \[C-12\].
const MAX_ROOTS: usize = 1024;
/// Without a chunk for so long, a release gives way to any other.
const IDLE: Duration = Duration::from_mins(1);

/// What a [`Verifier`] needs to know.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// Whose statements count.
    pub trust: Trust,
    /// Most releases at once, at least 1. Each takes up to 512 KiB.
    pub releases: usize,
    /// Packets that may wait for a page. Each takes `max_packet` octets.
    pub staging: usize,
    /// Octets of the largest packet, header included; a release with larger ones is refused (`packet-size`).
    pub max_packet: usize,
    /// Anything senders cannot know; it makes the choice of what a flood displaces unpredictable.
    pub seed: u64,
}

/// Tells genuine packets of a few releases from all others.
///
/// Dropped packets are counted by the codes of spec §12: `other-session` are those of no verified manifest, `outnumbered`
/// those of one below as many others as can be carried, `no-page` chunks whose page has not come.
#[derive(Debug)]
pub struct Verifier {
    trust: Trust,
    /// SHA-256 of the roots that it began with or that have followed, the newest last.
    roots: VecDeque<[u8; 32]>,
    beacon: Option<Verified<Beacon>>,
    releases: usize,
    max_packet: usize,
    carried: Vec<Carried>,
    candidates: Vec<Waiting>,
    /// Verified pages of candidates, and chunks of carried releases that came before their page.
    staging: Staging,
    /// Statements that did not verify, by the SHA-256 of all their octets \[S-10\].
    refused: Remembered,
    /// Those that did; of a release there may be several, with other signatures around the same payload.
    genuine: Remembered,
    budget: Budget,
    counters: Counters,
}

/// A candidate, and since when.
#[derive(Debug)]
struct Waiting {
    candidate: Candidate,
    since: Instant,
}

impl Verifier {
    /// A verifier that knows no release yet. This allocates the buffer of waiting packets.
    #[must_use]
    pub fn new(config: VerifierConfig) -> Self {
        let payload_len = config.max_packet.saturating_sub(HEADER_LEN);
        Self {
            roots: config.trust.root().map(|root| Sha256::digest(root.statement()).into()).into_iter().collect(),
            trust: config.trust,
            beacon: None,
            releases: config.releases.max(1),
            max_packet: config.max_packet,
            carried: Vec::new(),
            candidates: Vec::with_capacity(MAX_CANDIDATES),
            staging: Staging::new(config.staging, payload_len, config.seed),
            refused: Remembered::new(),
            genuine: Remembered::new(),
            budget: Budget::new(config.seed),
            counters: Counters::default(),
        }
    }

    /// Takes a packet that came at `now`, and calls `pass` with every packet known to be genuine by it, in the order in which
    /// they should go on. `source` is a number for the address it came from, as for [`super::Receiver::handle_datagram`].
    ///
    /// What waited has a packet count of 0. Infallible on purpose: anyone can send a packet, so a bad one is counted, never
    /// an error.
    pub fn handle_packet(&mut self, now: Instant, source: u64, packet: Packet<'_>, pass: &mut dyn FnMut(Packet<'_>)) {
        count(&mut self.counters.datagrams);
        let tsi = packet.header.tsi;
        let result = if let Object::Statement { kind, number } = packet.header.object {
            // Under whose TSI a root or beacon comes is not signed: it goes on under that of a carried release only.
            let is_carried = self.carried.iter().any(|carried| carried.manifest.tsi() == tsi);
            let mut keep = |_: Packet<'_>| {};
            let pass_on: &mut dyn FnMut(Packet<'_>) = if is_carried { pass } else { &mut keep };
            match kind {
                StatementKind::Manifest => self.handle_manifest(now, source, packet, pass),
                StatementKind::Root => self.handle_root(now, source, number, packet, pass_on),
                StatementKind::Beacon => self.handle_beacon(now, source, packet, pass_on),
            }
        } else if let Some(index) = self.carried.iter().position(|carried| carried.manifest.tsi() == tsi) {
            self.handle_carried(index, now, source, packet, pass)
        } else if let Some(index) = self.candidates.iter().position(|c| c.candidate.manifest.tsi() == tsi) {
            self.handle_candidate(index, now, source, packet, pass)
        } else {
            Err("other-session")
        };
        if let Err(code) = result {
            self.counters.drop(code);
        }
    }

    /// The releases that are carried.
    pub fn manifests(&self) -> impl Iterator<Item = &Verified<Manifest>> {
        self.carried.iter().map(|carried| &carried.manifest)
    }

    /// What came and what was dropped.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Passes the manifest of a carried release. One that has not verified yet, all its octets, is verified first: signatures that
    /// have not are not passed on around a payload that has.
    fn handle_manifest(
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
        let digest = Sha256::digest(packet.payload).into();
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
    fn handle_root(
        &mut self,
        now: Instant,
        source: u64,
        number: u16,
        packet: Packet<'_>,
        pass: &mut dyn FnMut(Packet<'_>),
    ) -> Result<(), &'static str> {
        let digest: [u8; 32] = Sha256::digest(packet.payload).into();
        let version = self.trust.version();
        if number <= version {
            let known = self.roots.iter().rev().nth(version.saturating_sub(number).into());
            if known != Some(&digest) {
                return Err("root-version");
            }
            pass(packet);
            return Ok(());
        }
        let envelope = Envelope::parse(packet.payload).map_err(|e| e.code())?;
        self.afford(now, source, StatementKind::Root, &envelope, &digest)?;
        if let Err(e) = self.trust.step(packet.payload) {
            self.refused.insert(&digest);
            return Err(e.code());
        }
        if self.roots.len() >= MAX_ROOTS {
            self.roots.pop_front();
        }
        self.roots.push_back(digest);
        (self.refused, self.genuine) = (Remembered::new(), Remembered::new());
        let Self { trust, carried, candidates, beacon, .. } = self;
        let is_valid = |manifest: &Verified<Manifest>| verify::<Manifest>(manifest.statement(), trust).is_ok();
        carried.retain(|carried| is_valid(&carried.manifest));
        candidates.retain(|waiting| is_valid(&waiting.candidate.manifest));
        beacon.take_if(|beacon| verify::<Beacon>(beacon.statement(), trust).is_err());
        pass(packet);
        Ok(())
    }

    /// Passes the newest beacon.
    fn handle_beacon(
        &mut self,
        now: Instant,
        source: u64,
        packet: Packet<'_>,
        pass: &mut dyn FnMut(Packet<'_>),
    ) -> Result<(), &'static str> {
        if self.beacon.as_ref().is_none_or(|newest| newest.statement() != packet.payload) {
            let envelope = Envelope::parse(packet.payload).map_err(|e| e.code())?;
            let digest = Sha256::digest(packet.payload).into();
            let beacon = self.verify::<Beacon>(now, source, &envelope, packet.payload, &digest)?;
            if self.beacon.as_ref().is_some_and(|newest| newest.issued >= beacon.issued) {
                self.refused.insert(&digest);
                return Err("beacon-replay");
            }
            self.beacon = Some(beacon);
        }
        pass(packet);
        Ok(())
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
        self.afford(now, source, T::KIND, envelope, digest)?;
        verify(statement, &self.trust).map_err(|e| {
            self.refused.insert(digest);
            e.code()
        })
    }

    /// Whether a statement is worth verifying, or the word for why it is dropped.
    fn afford(
        &mut self,
        now: Instant,
        source: u64,
        kind: StatementKind,
        envelope: &Envelope<'_>,
        digest: &[u8; 32],
    ) -> Result<(), &'static str> {
        if self.refused.contains(digest) {
            return Err("refused-before");
        }
        match self.trust.cost(kind, envelope) {
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

    /// Keeps a candidate's pages; its first right chunk makes it a carried one.
    fn handle_candidate(
        &mut self,
        index: usize,
        now: Instant,
        source: u64,
        packet: Packet<'_>,
        pass: &mut dyn FnMut(Packet<'_>),
    ) -> Result<(), &'static str> {
        let Packet { header, payload } = packet;
        let Waiting { candidate, .. } = self.candidates.get(index).ok_or("other-session")?;
        if let Object::Page { kind, component, cell } = header.object {
            let tree = candidate.trees.get(usize::from(component)).ok_or("range")?;
            tree.check_page(kind, cell, payload).map_err(|e| e.code())?;
            self.staging.insert(source, &header, payload);
            self.staging.trim(header.tsi, CANDIDATE_PAGES);
            return Ok(());
        }
        candidate.check_chunk(&self.staging, header, payload).ok_or("no-page")??;
        let sequence = candidate.manifest.sequence;
        self.make_place(now, sequence)?;
        let candidate = self.candidates.swap_remove(index).candidate;
        let index = self.carried.len();
        pass(Packet {
            header: Header { count: 0, object: Object::MANIFEST, ..header },
            payload: candidate.manifest.statement(),
        });
        self.carried.push(Carried::new(candidate, now));
        self.pass_staged_pages(index, header.tsi, pass);
        self.handle_carried(index, now, source, packet, pass)
    }

    /// Makes a place among the carried releases for one of this sequence.
    fn make_place(&mut self, now: Instant, sequence: u64) -> Result<(), &'static str> {
        if self.carried.len() < self.releases {
            return Ok(());
        }
        let is_active = |carried: &Carried| now.since(carried.last) < IDLE;
        let victim =
            self.carried.iter().enumerate().min_by_key(|(_, carried)| (is_active(carried), carried.manifest.sequence));
        let (index, victim) = victim.ok_or("outnumbered")?;
        if is_active(victim) && victim.manifest.sequence >= sequence {
            return Err("outnumbered");
        }
        let victim = self.carried.swap_remove(index).manifest.tsi();
        self.staging.retain(|tsi| tsi != victim);
        Ok(())
    }

    /// Takes and passes the pages that a release had while it was a candidate.
    fn pass_staged_pages(&mut self, index: usize, tsi: Tsi, pass: &mut dyn FnMut(Packet<'_>)) {
        let Some(carried) = self.carried.get_mut(index) else { return };
        for slot in 0..self.staging.capacity() {
            let Some(staged) = self.staging.get(slot).filter(|staged| staged.tsi == tsi) else { continue };
            let Object::Page { kind, component, cell } = staged.object else { continue };
            self.staging.remove(slot);
            let payload = self.staging.payload(slot, staged.len());
            if carried.take_page(Key { kind, component, cell }, payload).is_ok() {
                count(&mut self.counters.pages);
                let header = Header { layer: staged.layer, count: 0, tsi, object: staged.object };
                pass(Packet { header, payload });
            }
        }
    }

    fn handle_carried(
        &mut self,
        index: usize,
        now: Instant,
        source: u64,
        packet: Packet<'_>,
        pass: &mut dyn FnMut(Packet<'_>),
    ) -> Result<(), &'static str> {
        let Packet { header, payload } = packet;
        let carried = self.carried.get_mut(index).ok_or("other-session")?;
        match header.object {
            Object::Statement { .. } => {}
            Object::Page { kind, component, cell } => {
                let known = carried.take_page(Key { kind, component, cell }, payload).map_err(|e| e.code())?;
                count(&mut self.counters.pages);
                pass(packet);
                for cell in known {
                    self.pass_waiting(index, now, component, cell, pass);
                }
            }
            Object::Chunk { component, sbn, esi } => {
                let (cell, slot) = carried.slot(component, sbn, esi).ok_or("range")?;
                match carried.check_chunk(component, cell, slot, payload).map_err(|e| e.code())? {
                    true => {
                        carried.last = now;
                        count(&mut self.counters.chunks);
                        pass(packet);
                    }
                    false if carried.is_near(component, cell) => {
                        if self.staging.insert(source, &header, payload) {
                            count(&mut self.counters.staged);
                        } else {
                            count(&mut self.counters.duplicates);
                        }
                    }
                    false => return Err("no-page"),
                }
            }
        }
        Ok(())
    }

    /// Passes the right ones of the chunks that waited for the page of this cell.
    fn pass_waiting(&mut self, index: usize, now: Instant, component: u8, cell: u32, pass: &mut dyn FnMut(Packet<'_>)) {
        let Some(carried) = self.carried.get_mut(index) else { return };
        if self.staging.is_empty() {
            return;
        }
        let tsi = carried.manifest.tsi();
        for at in 0..self.staging.capacity() {
            let Some(staged) = self.staging.get(at).filter(|staged| staged.tsi == tsi) else { continue };
            let Object::Chunk { component: c, sbn, esi } = staged.object else { continue };
            let Some((_, slot)) = carried.slot(c, sbn, esi).filter(|place| c == component && place.0 == cell) else {
                continue;
            };
            self.staging.remove(at);
            let payload = self.staging.payload(at, staged.len());
            match carried.check_chunk(component, cell, slot, payload) {
                Ok(true) => {
                    carried.last = now;
                    count(&mut self.counters.chunks);
                    let header = Header { layer: staged.layer, count: 0, tsi, object: staged.object };
                    pass(Packet { header, payload });
                }
                // Derived pages are put in one by one, and a long row of them pushes the first out again.
                Ok(false) => self.counters.drop("no-page"),
                Err(e) => self.counters.drop(e.code()),
            }
        }
    }
}
