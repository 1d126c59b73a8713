//! Takes datagrams, one at a time.

use fleetcast_core::manifest::Manifest;
use fleetcast_core::session::{Mark, Policy};
use fleetcast_core::time::Instant;
use fleetcast_core::tree::TreeError;
use fleetcast_core::trust::{Envelope, Trust, Verified, tsi_of, verify};
use fleetcast_core::wire::{Object, Packet, PageKind, StatementKind, Tsi};
use sha2::{Digest as _, Sha256};

use crate::budget::Budget;
use crate::candidates::Candidates;
use crate::download::{Chunk, Download, fits};
use crate::flash::{Fault, Flash, Layout};
use crate::record;

/// Octets of the longest statement of a manifest: what the heap is made for.
const MAX_STATEMENT: usize = 500;

/// What a [`Receiver`] needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose manifests count. Later roots are not followed.
    pub trust: Trust,
    /// What the device is and has; `seen` is read from flash. One target, of the size of the slot.
    pub policy: Policy,
    /// What lies where in flash.
    pub layout: Layout,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The manifest of a release that may be taken.
    Manifest,
    /// A page that was lacking.
    Page,
    /// A chunk that was lacking.
    Chunk,
    /// The last chunk that was lacking: the image is in the slot, and reads back as it should.
    Complete,
    /// Genuine or not, it is known already.
    Duplicate,
    /// Of a kind that this receiver does without: roots, beacons, parity pages, repair chunks and their pages.
    Unused,
    /// Dropped, for this cause: a code of spec §12, or `other-session`, `no-page`, `no-room`, `tsi`, `refused-before`, `budget`, `outnumbered`.
    Dropped(&'static str),
}

/// Why a datagram is not gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Drop(&'static str),
    Duplicate,
    Unused,
    Fault,
}

impl From<Fault> for Stop {
    fn from(_: Fault) -> Self {
        Self::Fault
    }
}

impl From<TreeError> for Stop {
    fn from(error: TreeError) -> Self {
        Self::Drop(error.code())
    }
}

/// Receives releases into one slot of flash.
///
/// | state | entered when | left when |
/// | --- | --- | --- |
/// | idle | at the start | a chunk of an acceptable release verifies, or the manifest of the one that was being received does |
/// | receiving | so | the last chunk verifies; a chunk of a newer release does |
/// | complete | the image reads back as it should | a chunk of a newer release verifies |
#[derive(Debug)]
pub struct Receiver<F> {
    trust: Trust,
    policy: Policy,
    layout: Layout,
    flash: F,
    download: Option<Download>,
    candidates: Candidates,
    budget: Budget,
}

impl<F: Flash> Receiver<F> {
    /// A receiver as it is after a start of the device: what flash has is found again when the manifest comes.
    ///
    /// # Errors
    ///
    /// [`Fault`] if flash cannot be read.
    pub fn new(config: Config, flash: F) -> Result<Self, Fault> {
        let Config { trust, policy, layout } = config;
        let policy = Policy { seen: record::read(&flash, layout.record)?, ..policy };
        let (candidates, budget) = (Candidates::new(), Budget::default());
        Ok(Self { trust, policy, layout, flash, download: None, candidates, budget })
    }

    /// The release that is in the slot, whole or in part.
    #[must_use]
    pub fn release(&self) -> Option<&Verified<Manifest>> {
        self.download.as_ref().map(Download::manifest)
    }

    /// Whether the slot has a whole release.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.download.as_ref().is_some_and(|download| download.missing() == 0)
    }

    /// The flash, for who starts what is in it.
    #[must_use]
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// Takes a datagram from the IPv4 address `source`, or anything that stands for an address.
    ///
    /// # Errors
    ///
    /// [`Fault`] of the flash, also if the image does not read back as it should.
    pub fn handle_datagram(&mut self, now: Instant, source: u32, datagram: &[u8]) -> Result<Outcome, Fault> {
        match self.take(now, source, datagram) {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Drop(code)) => Ok(Outcome::Dropped(code)),
            Err(Stop::Duplicate) => Ok(Outcome::Duplicate),
            Err(Stop::Unused) => Ok(Outcome::Unused),
            Err(Stop::Fault) => Err(Fault),
        }
    }

    fn take(&mut self, now: Instant, source: u32, datagram: &[u8]) -> Result<Outcome, Stop> {
        let Packet { header, payload } = Packet::decode(datagram).map_err(|e| Stop::Drop(e.code()))?;
        match header.object {
            Object::Statement { kind: StatementKind::Manifest, .. } => {
                self.take_manifest(now, source, header.tsi, payload)
            }
            Object::Page { kind: PageKind::Page, component, cell } => {
                if component != 0 {
                    return Err(Stop::Drop("range"));
                }
                self.take_page(header.tsi, cell, payload)
            }
            Object::Chunk { component, sbn, esi } => {
                self.take_chunk(header.tsi, &Chunk { component, sbn, esi, bytes: payload })
            }
            Object::Statement { .. } | Object::Page { .. } => Err(Stop::Unused),
        }
    }

    #[inline(never)]
    fn take_manifest(&mut self, now: Instant, source: u32, tsi: Tsi, statement: &[u8]) -> Result<Outcome, Stop> {
        if statement.len() > MAX_STATEMENT {
            return Err(Stop::Drop("no-room"));
        }
        let envelope = Envelope::parse(statement).map_err(|e| Stop::Drop(e.code()))?;
        let digest: [u8; 32] = Sha256::digest(envelope.payload()).into();
        if tsi != tsi_of(&digest) {
            return Err(Stop::Drop("tsi"));
        }
        let is_followed = self.release().is_some_and(|manifest| *manifest.payload_digest() == digest);
        if is_followed || self.candidates.has(&digest) {
            return Err(Stop::Duplicate);
        }
        if self.budget.has_refused(statement) {
            return Err(Stop::Drop("refused-before"));
        }
        let cost = self.trust.cost(StatementKind::Manifest, &envelope);
        if cost == 0 {
            return Err(Stop::Drop("threshold"));
        }
        if !self.budget.spend(now, source, cost) {
            return Err(Stop::Drop("budget"));
        }
        let manifest = self.judge(statement).inspect_err(|_| self.budget.note_refused(statement))?;
        if self.download.is_none() && self.policy.seen == Some(mark_of(&manifest)) {
            return self.open(manifest);
        }
        self.candidates.insert(manifest)?;
        Ok(Outcome::Manifest)
    }

    /// Whether a manifest is genuine, for this device, and has room.
    #[inline(never)]
    fn judge(&self, statement: &[u8]) -> Result<Verified<Manifest>, Stop> {
        let manifest = verify(statement, &self.trust).map_err(|e| Stop::Drop(e.code()))?;
        self.policy.check(&manifest, None).map_err(|e| Stop::Drop(e.code()))?;
        if fits(&self.layout, &manifest) { Ok(manifest) } else { Err(Stop::Drop("no-room")) }
    }

    #[inline(never)]
    fn take_page(&mut self, tsi: Tsi, cell: u32, payload: &[u8]) -> Result<Outcome, Stop> {
        match &mut self.download {
            Some(download) if download.manifest().tsi() == tsi => download.take_page(&mut self.flash, cell, payload)?,
            _ => self.candidates.take_page(tsi, cell, payload)?,
        }
        Ok(Outcome::Page)
    }

    #[inline(never)]
    fn take_chunk(&mut self, tsi: Tsi, chunk: &Chunk<'_>) -> Result<Outcome, Stop> {
        if self.release().is_none_or(|manifest| manifest.tsi() != tsi) {
            let (manifest, page) = self.candidates.take_proven(tsi, chunk)?;
            self.follow(manifest)?;
            if let Some(download) = &mut self.download {
                match download.take_page(&mut self.flash, page.cell, &page.payload) {
                    Ok(()) | Err(Stop::Duplicate) => {}
                    Err(stop) => return Err(stop),
                }
            }
        }
        let Some(download) = &mut self.download else { return Err(Stop::Unused) };
        download.take_chunk(&mut self.flash, chunk)?;
        self.finish(Outcome::Chunk)
    }

    /// Takes up a release of which a chunk has verified. From here on no lower one is taken, whatever happens.
    fn follow(&mut self, manifest: Verified<Manifest>) -> Result<(), Stop> {
        let mark = mark_of(&manifest);
        if self.policy.seen != Some(mark) {
            record::write(&mut self.flash, self.layout.record, &mark)?;
            self.policy.seen = Some(mark);
        }
        self.candidates.keep_above(mark.sequence);
        self.budget.forget();
        self.open(manifest).map(|_| ())
    }

    #[inline(never)]
    fn open(&mut self, manifest: Verified<Manifest>) -> Result<Outcome, Stop> {
        self.download = None;
        self.download = Some(Download::open(&mut self.flash, self.layout, manifest)?);
        self.finish(Outcome::Manifest)
    }

    fn finish(&self, outcome: Outcome) -> Result<Outcome, Stop> {
        match &self.download {
            Some(download) if download.missing() == 0 => {
                download.check_image(&self.flash)?;
                Ok(Outcome::Complete)
            }
            _ => Ok(outcome),
        }
    }
}

fn mark_of(manifest: &Verified<Manifest>) -> Mark {
    Mark { sequence: manifest.sequence, digest: *manifest.payload_digest() }
}
