//! Verifies packets of several releases at once for somebody who passes them on: a relay (spec §8 \[C-10, C-12, C-18\]).
//!
//! What a [`Receiver`](super::Receiver) decides for its device is not asked here, only whether a packet is genuine. Memory does not grow
//! with images: of each release the newest 256 pages and parity pages are kept, and chunks that came before their page wait in one
//! bounded buffer.
//!
//! | state of a release | entered when | left when |
//! | --- | --- | --- |
//! | candidate | its manifest verifies | its first chunk verifies; or another manifest needs the place (the lowest sequence goes first, or one that has waited long) |
//! | carried | its first chunk verifies | a chunk of another verifies that needs the place (an idle one goes first, else the lowest sequence, if it is lower) |

mod chain;
mod statements;

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
use crate::trust::{Trust, Verified};
use crate::wire::{HEADER_LEN, Header, Object, Packet, StatementKind, Tsi};
use chain::Chain;

/// Releases that may wait for their first chunk.
const MAX_CANDIDATES: usize = 8;
/// For how long nothing but a higher sequence takes their place.
const CANDIDATE_FOR: Duration = Duration::from_secs(10);
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
    chain: Chain,
    beacon: Option<Verified<Beacon>>,
    releases: usize,
    max_packet: usize,
    carried: Vec<Carried>,
    candidates: Vec<Waiting>,
    /// Verified pages of candidates, and chunks of carried releases that came before their page.
    staging: Staging,
    /// Statements that did not verify, all their octets \[S-10\].
    refused: Remembered,
    /// Those that did; there may be several with other signatures around the same payload.
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
            chain: Chain::new(config.trust),
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
            match kind {
                StatementKind::Manifest => self.handle_manifest(now, source, packet, pass),
                StatementKind::Root => self.handle_root(now, source, number, packet, pass),
                StatementKind::Beacon => self.handle_beacon(now, source, packet, pass),
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

    /// Whose statements count, by the roots that have come.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        self.chain.trust()
    }

    /// The newest beacon.
    #[must_use]
    pub const fn beacon(&self) -> Option<&Verified<Beacon>> {
        self.beacon.as_ref()
    }

    /// What came and what was dropped.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
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
