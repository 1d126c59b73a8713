//! The receive state machine: datagrams and time in, actions out (spec §6, §9).
//!
//! No clock, socket, file or randomness here; the driver has them. Feed each input to [`Receiver`] and carry out the [`Actions`] it
//! gives, to the end and in order. What fails a check is counted and gone; what waits, waits in one bounded buffer.
//!
//! | state | entered when | left when |
//! | --- | --- | --- |
//! | idle | at the start; after [`Receiver::finish`]; after [`Action::Abandon`] | an acceptable manifest verifies: [`Action::Begin`] |
//! | receiving | [`Action::Begin`] | all blocks can be restored: [`Action::Complete`]; a chunk of a newer release verifies, or of any acceptable one before the first of this: [`Action::Begin`] of that one |
//! | complete | [`Action::Complete`] | [`Receiver::finish`], or [`Receiver::recheck`] if the storage turns out wrong |

mod bitmap;
mod budget;
mod candidate;
mod carried;
mod counters;
mod download;
mod known;
mod loss;
mod pages;
mod policy;
mod recent;
mod staging;
mod statements;
mod verifier;

pub use counters::Counters;
pub use policy::{Mark, Policy, RefuseReason, Target, Wave};
pub use verifier::{Verifier, VerifierConfig};

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use self::budget::{Budget, Remembered};
use self::candidate::{CANDIDATE_PAGES, Candidate};
use self::counters::count;
use self::download::{Download, Verdict};
use self::loss::Loss;
use self::staging::Staging;
use crate::beacon::Beacon;
use crate::freshness::Watch;
use crate::manifest::Manifest;
use crate::time::Instant;
use crate::tree::TreeError;
use crate::trust::{Root, StatementError, Trust, Verified, tsi_of, verify};
use crate::wire::{HEADER_LEN, Header, Object, Packet, PageKind};

/// Other acceptable releases that may wait for their first chunk: the highest ones \[M-6\].
const MAX_CANDIDATES: usize = 8;
/// Releases that are left alone because the storage could not take them.
const MAX_DECLINED: usize = 8;
/// For how long: room may be made in the meantime.
const DECLINED_FOR: Duration = Duration::from_mins(10);

/// What a [`Receiver`] needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose statements count.
    pub trust: Trust,
    /// What the device is and has.
    pub policy: Policy,
    /// Packets that may wait for a manifest or page: 256 to 1,024. Each takes `policy.max_packet` octets.
    pub staging: usize,
    /// Anything senders cannot know; it makes the choice of what a flood displaces unpredictable.
    pub seed: u64,
}

/// Receives releases, one at a time.
///
/// It begins at the origin of the [`Instant`]s that it is given.
///
/// Dropped datagrams are counted by the codes of spec §12 and these: `other-session` (a session that is not followed), `no-page` (a chunk far
/// from where any sender is), `tsi` (a statement under another TSI), `refused-before`, `budget` (more signatures than may be verified a second),
/// `outnumbered` (an acceptable release below as many others as can wait), `stored-page` (a page in the storage no longer verifies),
/// `no-room` (a repair chunk after [`Receiver::stop_repair`]).
#[derive(Debug)]
pub struct Receiver {
    trust: Trust,
    watch: Watch,
    policy: Policy,
    download: Option<Download>,
    /// What the last [`Action::Begin`] has taken the place of, until the next input.
    displaced: Option<Download>,
    is_complete: bool,
    candidates: Vec<Candidate>,
    /// Releases the storage could not take, by the digest of their payload, and since when.
    declined: VecDeque<([u8; 32], Instant)>,
    staging: Staging,
    /// Statements that did not verify, by the SHA-256 of all their octets \[S-10\].
    refused: Remembered,
    /// Genuine manifests that are not for this device, and beacons that came too late, by the SHA-256 of their payload.
    unsuitable: Remembered,
    budget: Budget,
    counters: Counters,
    loss: Loss,
    arrival: Option<Arrival>,
    /// What the last input still leads to; empty between inputs.
    work: VecDeque<Work>,
}

/// What the driver must do.
#[derive(Debug)]
pub enum Action<'a> {
    /// Receive this release from now on; whatever belongs to another is void. Prepare storage and keep the statement.
    Begin {
        /// The release.
        manifest: &'a Verified<Manifest>,
    },
    /// The first chunk of the release has verified: remember it across restarts as the highest seen \[M-7\], before
    /// the chunk is written.
    Follow {
        /// The release.
        manifest: &'a Verified<Manifest>,
    },
    /// Write a verified source chunk to the image; padding is cut off.
    Write {
        /// Component number.
        component: u8,
        /// Octets from the start of the image.
        offset: u64,
        /// What to write.
        bytes: &'a [u8],
    },
    /// Keep a verified repair chunk.
    StoreRepair {
        /// Component number.
        component: u8,
        /// Number among the component's repair chunks.
        number: u32,
        /// The whole chunk.
        bytes: &'a [u8],
    },
    /// Keep a verified page or parity page for [`Receiver::handle_stored_page`].
    StorePage {
        /// Which of both.
        kind: PageKind,
        /// Component number.
        component: u8,
        /// Cell index.
        cell: u32,
        /// The whole payload.
        payload: &'a [u8],
    },
    /// Give the page back through [`Receiver::handle_stored_page`]: chunks wait for it.
    LoadPage {
        /// Component number.
        component: u8,
        /// Cell index.
        cell: u32,
    },
    /// Everything is there: restore, read back, compare, install, then call [`Receiver::finish`].
    Complete,
    /// What was being received is not acceptable any longer: whatever belongs to it is void.
    Abandon {
        /// Its sequence number.
        sequence: u64,
        /// Why.
        reason: ResumeError,
    },
    /// A root has followed: add it to those kept across restarts before anything that comes after.
    Root {
        /// It.
        root: &'a Verified<Root>,
        /// Floors are void: keep that with it \[K-9\].
        voids_floors: bool,
    },
    /// There is a later beacon: keep it across restarts.
    Beacon {
        /// It.
        beacon: &'a Verified<Beacon>,
    },
    /// A genuine manifest is not for this device. Reported once a manifest, or again after 256 others.
    Refused {
        /// Its sequence number.
        sequence: u64,
        /// Why.
        reason: RefuseReason,
    },
}

/// What one input leads to, in order. Borrows the receiver: the next input has to wait.
#[must_use = "an undrained action is a lost write"]
#[derive(Debug)]
pub struct Actions<'a> {
    receiver: &'a mut Receiver,
    payload: &'a [u8],
}

/// How far the release is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Chunks needed: the source chunks of all components.
    pub needed: u64,
    /// How many of them are there, or repair chunks in their place.
    pub have: u64,
}

/// What a datagram of the release being received tells about the loss on its layer \[W-5\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its layer.
    pub layer: u8,
    /// Packets its sender had sent on this layer, modulo 2^28.
    pub count: u32,
    /// It verified, and was new: nobody can make such a packet, and each is taken only once. Layer and count are still not
    /// authenticated.
    pub is_proven: bool,
}

/// Work that an input leads to.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// An action for the driver.
    Act(Step),
    /// Handle the pages among staged packets, from this slot on, and after the last the packet at hand.
    Drain { slot: usize, packet: Option<(u64, Header)> },
    /// The page of this cell is known: check the chunks that waited for it, from this slot on.
    Ready { component: u8, cell: u32, slot: usize },
}

/// An [`Action`] without its bytes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Follow,
    Chunk { origin: Origin, component: u8, position: u32 },
    StorePage { origin: Origin, kind: PageKind, component: u8, cell: u32 },
    LoadPage { component: u8, cell: u32 },
    Complete,
    Abandon { sequence: u64, reason: ResumeError },
    Root { voids_floors: bool },
    Beacon,
    Refused { sequence: u64, reason: RefuseReason },
}

/// Where the bytes of a step are.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// In the input.
    Input,
    /// In the staging buffer, already marked as free.
    Staged { slot: usize, len: usize },
}

impl Receiver {
    /// A receiver with nothing received. This allocates the staging buffer; a release allocates its maps when it begins.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let payload_len = config.policy.max_packet.saturating_sub(HEADER_LEN);
        Self {
            watch: Watch::new(Instant::default(), config.policy.built, &config.trust),
            trust: config.trust,
            policy: config.policy,
            download: None,
            displaced: None,
            is_complete: false,
            candidates: Vec::with_capacity(MAX_CANDIDATES),
            declined: VecDeque::with_capacity(MAX_DECLINED),
            staging: Staging::new(config.staging, payload_len, config.seed),
            refused: Remembered::new(),
            unsuitable: Remembered::new(),
            budget: Budget::new(config.seed),
            counters: Counters::default(),
            loss: Loss::default(),
            arrival: None,
            work: VecDeque::new(),
        }
    }

    /// Takes a datagram that came at `now`. `source` is a number for its sender's address; senders that are told apart by it
    /// share the staging buffer fairly.
    ///
    /// Infallible on purpose: anyone can send a datagram, so a bad one is counted, never an error.
    pub fn handle_datagram<'a>(&'a mut self, now: Instant, source: u64, datagram: &'a [u8]) -> Actions<'a> {
        self.work.clear();
        self.displaced = None;
        self.arrival = None;
        count(&mut self.counters.datagrams);
        match Packet::decode(datagram) {
            Err(e) => self.counters.drop(e.code()),
            Ok(Packet { header, payload }) => match header.object {
                Object::Statement { kind, number } => self.handle_statement(now, source, header, kind, number, payload),
                _ => self.handle_object(source, header, payload),
            },
        }
        Actions { receiver: self, payload: datagram.get(HEADER_LEN..).unwrap_or_default() }
    }

    /// Begins again with a statement kept from before a restart. It is verified like any other.
    ///
    /// # Errors
    ///
    /// [`ResumeError`] if it is not acceptable (any longer); nothing has begun then.
    pub fn resume(&mut self, statement: &[u8]) -> Result<Actions<'_>, ResumeError> {
        self.work.clear();
        let manifest = verify(statement, &self.trust).map_err(ResumeError::Statement)?;
        self.check(&manifest).map_err(ResumeError::Refused)?;
        let trees = manifest.trees().map_err(|e| ResumeError::Statement(e.into()))?;
        self.begin(Candidate { manifest, trees }, None);
        Ok(Actions { receiver: self, payload: &[] })
    }

    /// The storage cannot take the release of the [`Action::Begin`] just given out. In place of carrying out the actions
    /// behind that: what was being received before goes on, and the release is left alone for ten minutes from `now` on
    /// or until another is installed. It is as if none of its chunks had come \[M-7\].
    pub fn decline(&mut self, now: Instant) {
        self.work.clear();
        let Some(declined) = self.download.take() else { return };
        if self.declined.len() >= MAX_DECLINED {
            self.declined.pop_front();
        }
        self.declined.push_back((*declined.manifest().payload_digest(), now));
        self.download = self.displaced.take();
        self.is_complete = self.download.as_ref().is_some_and(Download::is_complete);
    }

    /// Takes a page or parity page from the storage, checked like any other: on [`Action::LoadPage`], or for each stored
    /// cell in order after a restart.
    pub fn handle_stored_page<'a>(
        &'a mut self,
        kind: PageKind,
        component: u8,
        cell: u32,
        payload: &'a [u8],
    ) -> Actions<'a> {
        self.work.clear();
        if let Some(download) = &mut self.download
            && download.take_page(kind, component, cell, payload, &mut self.work).is_err()
        {
            self.counters.drop("stored-page");
            if kind == PageKind::Page {
                download.lose_page(component, cell);
            }
        }
        Actions { receiver: self, payload }
    }

    /// Takes a chunk found in the storage, zero-padded to its full length; `true` if it verified and counts from now on.
    /// Its page must have been handed in just before.
    pub fn handle_stored_chunk(&mut self, component: u8, position: u32, chunk: &[u8]) -> bool {
        let Some(download) = &mut self.download else { return false };
        let Some(place) = download.place_at(component, position) else { return false };
        let is_new = download.take_chunk(component, place, chunk) == Ok(Verdict::New);
        self.is_complete = download.is_complete();
        is_new
    }

    /// Takes a page that was fetched, not sent: it is checked like any other, and to be kept.
    ///
    /// # Errors
    ///
    /// [`TreeError`] if it is not the page of this cell; nothing has changed then.
    pub fn handle_fetched_page<'a>(
        &'a mut self,
        component: u8,
        cell: u32,
        payload: &'a [u8],
    ) -> Result<Actions<'a>, TreeError> {
        self.work.clear();
        if let Some(download) = &mut self.download {
            let kind = PageKind::Page;
            download.take_page(kind, component, cell, payload, &mut self.work)?;
            // Before the chunks that it proves.
            self.work.push_front(Work::Act(Step::StorePage { origin: Origin::Input, kind, component, cell }));
        }
        Ok(Actions { receiver: self, payload })
    }

    /// Forgets what is there: the image did not have its SHA-256, so the storage is to be handed in anew, chunk by chunk.
    pub fn recheck(&mut self) {
        self.is_complete = false;
        if let Some(download) = &mut self.download {
            download.reset();
        }
    }

    /// The storage has no room for repair chunks: no further ones of this release are taken. Those it has already count
    /// as before.
    pub fn stop_repair(&mut self) {
        if let Some(download) = &mut self.download {
            download.stop_repair();
        }
    }

    /// The release has been installed, and the device decides by `policy` from now on; wait for the next.
    pub fn finish(&mut self, policy: Policy) {
        self.is_complete = false;
        self.download = None;
        self.candidates.clear();
        self.staging.retain(|_| false);
        self.set_policy(policy);
    }

    /// Decides by this policy from now on: the device has changed. What was refused may be acceptable; what is being
    /// received stays, for it was acceptable when it began, and nothing that makes a release unacceptable comes between
    /// but the install of another.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.refused = Remembered::new();
        self.unsuitable = Remembered::new();
        self.declined.clear();
        let Self { policy, watch, .. } = self;
        self.candidates.retain(|c| policy.check(&c.manifest, watch.newest().map(|beacon| &**beacon)).is_ok());
    }

    /// The page or parity page, handed in from the storage just before, is of no more use: it need not keep the place of
    /// one that is.
    pub fn release_page(&mut self, kind: PageKind, component: u8, cell: u32) {
        if let Some(download) = &mut self.download {
            download.release_page(kind, component, cell);
        }
    }

    /// Starts to receive a release, and hands it what waited, and then the packet at hand if that is its first chunk.
    fn begin(&mut self, Candidate { manifest, trees }: Candidate, packet: Option<(u64, Header)>) {
        let tsi = manifest.tsi();
        self.displaced = self.download.replace(Download::new(manifest, trees));
        self.is_complete = false;
        self.loss = Loss::default();
        self.staging.retain(|other| other == tsi);
        self.work.push_back(Work::Act(Step::Begin));
        self.work.push_back(Work::Drain { slot: 0, packet });
    }

    fn handle_object(&mut self, source: u64, header: Header, payload: &[u8]) {
        let tsi = header.tsi;
        // Several releases may have one TSI [M-8]: a packet is of the one in which it is right.
        let of_tsi = |c: &Candidate| c.manifest.tsi() == tsi;
        let is_of = |c: &Candidate| of_tsi(c) && c.is_right(&self.staging, header, payload);
        match &self.download {
            Some(download) if download.manifest().tsi() == tsi => match self.candidates.iter().position(is_of) {
                Some(index) => self.handle_candidate(index, source, header, payload),
                None => self.handle_own(source, header, payload),
            },
            Some(_) => {
                let (first, last) = (self.candidates.iter().position(of_tsi), self.candidates.iter().rposition(of_tsi));
                // Where there is no choice, it is looked at once.
                let index = if first == last { first } else { self.candidates.iter().position(is_of).or(first) };
                match index {
                    Some(index) => self.handle_candidate(index, source, header, payload),
                    None => self.counters.drop("other-session"),
                }
            }
            // The manifest has not come. What is installed already need not wait for it.
            None if self.policy.installed.is_some_and(|(mark, _)| tsi_of(&mark.digest) == tsi) => {
                self.counters.drop("other-session");
            }
            None => self.stage(source, header, payload),
        }
    }

    /// Handles a page or chunk of the release being received.
    fn handle_own(&mut self, source: u64, header: Header, payload: &[u8]) {
        self.note_arrival(source, header);
        if self.is_complete {
            return count(&mut self.counters.duplicates);
        }
        let Some(download) = &mut self.download else { return };
        match header.object {
            Object::Statement { .. } => {}
            Object::Page { kind, component, cell } => self.take_page(Origin::Input, kind, component, cell, payload),
            Object::Chunk { component, sbn, esi } => {
                let Some(place) = download.place(component, sbn, esi) else { return self.refuse("range") };
                if !download.takes(component, place.position) {
                    return self.counters.drop("no-room");
                }
                match download.take_chunk(component, place, payload) {
                    Err(e) => self.refuse(e.code()),
                    Ok(Verdict::New) => self.accept(Origin::Input, component, place.position),
                    Ok(Verdict::Duplicate) => count(&mut self.counters.duplicates),
                    Ok(Verdict::PageStored) => {
                        self.stage(source, header, payload);
                        self.work.push_back(Work::Act(Step::LoadPage { component, cell: place.cell }));
                    }
                    Ok(Verdict::PageMissing) if download.is_near(component, place.cell) => {
                        self.stage(source, header, payload);
                    }
                    Ok(Verdict::PageMissing) => self.counters.drop("no-page"),
                }
            }
        }
    }

    /// Handles a page or chunk of another acceptable release: its first right chunk makes it the one being received.
    fn handle_candidate(&mut self, index: usize, source: u64, header: Header, payload: &[u8]) {
        let Some(candidate) = self.candidates.get(index) else { return };
        let component = match header.object {
            Object::Statement { .. } => return,
            Object::Page { component, .. } | Object::Chunk { component, .. } => component,
        };
        let Some(tree) = candidate.trees.get(usize::from(component)) else { return self.counters.drop("range") };
        if let Object::Page { kind, cell, .. } = header.object {
            if let Err(e) = tree.check_page(kind, cell, payload) {
                return self.counters.drop(e.code());
            }
            self.stage(source, header, payload);
            return self.staging.trim(header.tsi, CANDIDATE_PAGES);
        }
        match candidate.check_chunk(&self.staging, header, payload) {
            Some(Ok(())) => {
                let candidate = self.candidates.swap_remove(index);
                self.begin(candidate, Some((source, header)));
            }
            Some(Err(code)) => self.counters.drop(code),
            None => self.counters.drop("no-page"),
        }
    }

    fn stage(&mut self, source: u64, header: Header, payload: &[u8]) {
        if payload.len() > self.staging.stride() {
            return self.counters.drop("length");
        }
        let counter = if self.staging.insert(source, &header, payload) {
            &mut self.counters.staged
        } else {
            &mut self.counters.duplicates
        };
        count(counter);
    }

    /// Takes a page or parity page of the release being received.
    fn take_page(&mut self, origin: Origin, kind: PageKind, component: u8, cell: u32, payload: &[u8]) {
        let Some(download) = &mut self.download else { return };
        if !download.wants_page(kind, component, cell) {
            return count(&mut self.counters.duplicates);
        }
        let before = self.work.len();
        if let Err(e) = download.take_page(kind, component, cell, payload, &mut self.work) {
            return self.refuse(e.code());
        }
        count(&mut self.counters.pages);
        download.note_cell(component, cell);
        // Before the chunks that it proves.
        self.work.insert(before, Work::Act(Step::StorePage { origin, kind, component, cell }));
        if kind == PageKind::Parity
            && let Some(cell) = download.stored_partner(component, cell)
        {
            self.work.push_back(Work::Act(Step::LoadPage { component, cell }));
        }
        self.note_proven(origin);
    }

    /// A datagram of the release being received has come, and nothing is known of it yet.
    fn note_arrival(&mut self, source: u64, Header { layer, count, .. }: Header) {
        self.loss.note(source, layer, count);
        self.arrival = Some(Arrival { layer, count, is_proven: false });
    }

    /// If these bytes are those of the datagram at hand, it is what it says.
    const fn note_proven(&mut self, origin: Origin) {
        if let (Origin::Input, Some(arrival)) = (origin, &mut self.arrival) {
            arrival.is_proven = true;
        }
    }

    /// Drops the datagram at hand for the cause `code`: it is not of the release after all.
    fn refuse(&mut self, code: &'static str) {
        self.arrival = None;
        self.counters.drop(code);
    }

    /// A chunk has verified: have it written, before whatever else there is to do.
    fn accept(&mut self, origin: Origin, component: u8, position: u32) {
        count(&mut self.counters.chunks);
        self.note_proven(origin);
        let Some(download) = &self.download else { return };
        if download.is_complete() {
            self.is_complete = true;
            self.work.push_back(Work::Act(Step::Complete));
        }
        self.work.push_front(Work::Act(Step::Chunk { origin, component, position }));
        let mark = mark_of(download.manifest());
        if self.policy.seen != Some(mark) {
            self.policy.seen = Some(mark);
            self.candidates.retain(|candidate| candidate.manifest.sequence > mark.sequence);
            self.work.push_front(Work::Act(Step::Follow));
        }
    }
}

impl Actions<'_> {
    /// The next action, `None` when all are done.
    #[expect(
        clippy::should_implement_trait,
        reason = "an action borrows from the receiver, which no Iterator can express"
    )]
    pub fn next(&mut self) -> Option<Action<'_>> {
        let step = self.next_step()?;
        let receiver = &*self.receiver;
        let bytes = |origin| match origin {
            Origin::Input => self.payload,
            Origin::Staged { slot, len } => receiver.staging.payload(slot, len),
        };
        Some(match step {
            Step::Begin => Action::Begin { manifest: receiver.manifest()? },
            Step::Follow => Action::Follow { manifest: receiver.manifest()? },
            Step::Chunk { origin, component, position } => {
                let geometry = receiver.geometry(component)?;
                let bytes = bytes(origin);
                if let Some((offset, len)) = geometry.image_range(position) {
                    Action::Write { component, offset, bytes: bytes.get(..len)? }
                } else {
                    let number = position.saturating_sub(geometry.source_chunks());
                    Action::StoreRepair { component, number, bytes }
                }
            }
            Step::StorePage { origin, kind, component, cell } => {
                Action::StorePage { kind, component, cell, payload: bytes(origin) }
            }
            Step::LoadPage { component, cell } => Action::LoadPage { component, cell },
            Step::Complete => Action::Complete,
            Step::Abandon { sequence, reason } => Action::Abandon { sequence, reason },
            Step::Root { voids_floors } => Action::Root { root: receiver.trust.root()?, voids_floors },
            Step::Beacon => Action::Beacon { beacon: receiver.watch.newest()? },
            Step::Refused { sequence, reason } => Action::Refused { sequence, reason },
        })
    }

    /// Carries out all actions by `act`, in order.
    ///
    /// # Errors
    ///
    /// The first of `act`; the rest is not carried out then, so the storage must be checked anew before going on.
    pub fn for_each<E>(mut self, mut act: impl FnMut(Action<'_>) -> Result<(), E>) -> Result<(), E> {
        while let Some(action) = self.next() {
            act(action)?;
        }
        Ok(())
    }

    fn next_step(&mut self) -> Option<Step> {
        loop {
            match self.receiver.work.pop_front()? {
                Work::Act(step) => return Some(step),
                Work::Drain { slot, packet } => {
                    if !self.receiver.drain(slot, packet)
                        && let Some((source, header)) = packet
                    {
                        self.receiver.handle_own(source, header, self.payload);
                    }
                }
                Work::Ready { component, cell, slot } => self.receiver.check_waiting(component, cell, slot),
            }
        }
    }
}

impl Receiver {
    /// Takes the next staged page of the release, from `slot` on; `false` if there is none. Nothing may be staged while one is
    /// still in the actions' hands, so `packet` waits until the last.
    fn drain(&mut self, slot: usize, packet: Option<(u64, Header)>) -> bool {
        let Some(tsi) = self.manifest().map(Verified::tsi) else { return false };
        let page = self.staging.of_session(tsi).filter(|(at, _)| *at >= slot).find_map(|(at, staged)| {
            let Object::Page { kind, component, cell } = staged.object else { return None };
            Some((at, staged.len(), kind, component, cell))
        });
        let Some((at, len, kind, component, cell)) = page else { return false };
        self.staging.remove(at);
        let payload = self.staging.payload(at, len).to_vec();
        self.take_page(Origin::Staged { slot: at, len }, kind, component, cell, &payload);
        self.work.push_back(Work::Drain { slot: at.saturating_add(1), packet });
        true
    }

    /// Checks the chunks of a cell whose page is known, from staging slot `slot` on, up to the first right one.
    fn check_waiting(&mut self, component: u8, cell: u32, slot: usize) {
        let Some(download) = &mut self.download else { return };
        if self.staging.is_empty() || self.is_complete {
            return;
        }
        let tsi = download.manifest().tsi();
        for at in slot..self.staging.capacity() {
            let Some(staged) = self.staging.get(at).filter(|staged| staged.tsi == tsi) else { continue };
            let Object::Chunk { component: c, sbn, esi } = staged.object else { continue };
            if c != component {
                continue;
            }
            let Some(place) = download.place(component, sbn, esi) else {
                self.counters.drop("range");
                self.staging.remove(at);
                continue;
            };
            if place.cell != cell {
                continue;
            }
            self.staging.remove(at);
            if !download.takes(component, place.position) {
                self.counters.drop("no-room");
                continue;
            }
            match download.take_chunk(component, place, self.staging.payload(at, staged.len())) {
                Ok(Verdict::New) => {
                    self.work.push_front(Work::Ready { component, cell, slot: at.saturating_add(1) });
                    let origin = Origin::Staged { slot: at, len: staged.len() };
                    return self.accept(origin, component, place.position);
                }
                Ok(_) => count(&mut self.counters.duplicates),
                Err(e) => self.counters.drop(e.code()),
            }
        }
    }
}

fn mark_of(manifest: &Verified<Manifest>) -> Mark {
    Mark { sequence: manifest.sequence, digest: *manifest.payload_digest() }
}

/// Why a release that was being received cannot be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeError {
    /// It does not verify.
    Statement(StatementError),
    /// It is not for this device (any longer).
    Refused(RefuseReason),
}

impl ResumeError {
    /// The word for it, of spec §12.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Statement(e) => e.code(),
            Self::Refused(reason) => reason.code(),
        }
    }
}

impl core::fmt::Display for ResumeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Statement(e) => e.fmt(f),
            Self::Refused(reason) => reason.fmt(f),
        }
    }
}
