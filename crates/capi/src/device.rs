//! The receive session on its storage.
//!
//! | phase | entered by | left by |
//! | --- | --- | --- |
//! | idle | the start, the end of any other | the manifest of an acceptable release |
//! | receiving | that, or a restart | the last chunk that is needed |
//! | complete | that | [`Device::prove`], or a newer release |
//! | proven | [`Device::prove`] | [`Device::start_trial`], [`Device::commit`], [`Device::give_up`]; no datagram |
//! | trial | [`Device::start_trial`]; a restart does not end it | [`Device::commit`], [`Device::give_up`] |

use std::time::Duration;

use fleetcast_core::freshness::Freshness;
use fleetcast_core::manifest::{Manifest, Uuid};
use fleetcast_core::session::{self, Counters, Progress, Receiver, Target};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{MAX_STATEMENT, Trust, Verified};
use fleetcast_core::wire::PageKind;

use crate::keeper::{Keeper, Noted, Stop, known};
use crate::record::{self, Known, Record};
use crate::roots::{MAX_ROOTS, Roots};
use crate::storage::{EventKind, Fault, Item, Storage};

/// Time between two flushes, and between two writes of a beacon.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
const KEEP_BEACON_EVERY: Duration = Duration::from_mins(1);
/// Time until what keeps a release from being installed is to be looked at again.
const LOOK: u64 = 1;
/// Read-backs that differ until the storage is given up.
const MAX_MISMATCHES: u32 = 3;

/// What a device is and has.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose statements count, as the device was made.
    pub trust: Trust,
    /// Its vendor.
    pub vendor: Uuid,
    /// Its classes.
    pub classes: Vec<Uuid>,
    /// Its targets.
    pub targets: Vec<Target>,
    /// Octets of the scratch area of each.
    pub max_scratch: Vec<u64>,
    /// The revision of its hardware, if it is known.
    pub hardware: Option<u64>,
    /// Its number in all waves; another in each release if there is none.
    pub wave: Option<u16>,
    /// Octets of the largest datagram.
    pub max_packet: usize,
    /// Packets that may wait.
    pub staging: usize,
    /// A time that is past for sure, in seconds of Unix time.
    pub built: u64,
    /// What it was made with, if it knows.
    pub installed: Option<Known>,
    /// Random octets.
    pub random: [u8; 32],
    /// Times of waves are not waited for \[M-10\].
    pub ignores_waves: bool,
    /// The caller's clock counts for freshness \[B-6\].
    pub trusts_clock: bool,
    /// Complete releases are installed without a fresh beacon \[B-8\].
    pub installs_stale: bool,
}

/// Where a device is with its releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Phase {
    /// No release is being received.
    Idle = 0,
    /// One is.
    Receiving = 1,
    /// Enough of it is there.
    Complete = 2,
    /// It has read back as its manifest says.
    Proven = 3,
    /// A release is installed and not committed.
    Trial = 4,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It does not fit the phase.
    Phase,
    /// The storage failed: what is known of it is void, and the device must be opened again.
    Storage(Fault),
    /// The record is damaged or of another format.
    Damaged,
    /// What is stored did not read back right. It was checked anew, and what is wrong is received again.
    Mismatch,
    /// It is not time yet: ask again after these seconds.
    Wait(u64),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Storage(fault)
    }
}

/// A device that receives.
#[derive(Debug)]
pub struct Device<S> {
    pub(crate) receiver: Receiver,
    pub(crate) keeper: Keeper<S>,
    is_proven: bool,
    told_complete: bool,
    told_freshness: &'static str,
    mismatches: u32,
    now: Instant,
    /// The caller's clock, if it has one.
    unix: Option<u64>,
    flushed: Instant,
    kept_beacon: Option<Instant>,
}

impl<S: Storage> Device<S> {
    /// Opens what is kept, and goes on with a release that was being received: all of it is hashed anew \[I-3\].
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] or [`Error::Damaged`].
    pub fn open(settings: Settings, mut storage: S) -> Result<Self, Error> {
        let (seed, other) = halves(&settings.random);
        let kept = storage.load(Item::Record, record::LEN)?;
        let is_new = kept.is_none();
        let mut record = match kept {
            None => Record::new(seed, settings.trust.version()),
            Some(bytes) => Record::decode(&bytes).ok_or(Error::Damaged)?,
        };
        record.installed = record.installed.or(settings.installed);
        let walked = Roots::walk(
            &storage.load(Item::Roots, MAX_ROOTS)?.unwrap_or_default(),
            settings.trust.clone(),
            settings.vendor,
        );
        let before = record;
        // One that the settings have brought voids nothing: nobody knows what was between.
        for &(version, voids_floors) in walked.steps.iter().chain(&[(walked.trust.version(), false)]) {
            record.follow(version, voids_floors);
        }
        let mut keeper = Keeper {
            storage,
            record,
            settings,
            roots: walked.roots,
            parts: Vec::new(),
            has_repair_room: true,
            wanted_pages: Vec::new(),
            beacon: None,
            is_dirty: false,
            is_resuming: false,
            noted: Noted::default(),
        };
        if is_new || before != record {
            keeper.save_record()?;
        }
        if !walked.is_whole || record.root > walked.trust.version() {
            keeper.tell(EventKind::RootsLost, record.root.into(), "roots-lost");
        }
        let receiver = Receiver::new(session::Config {
            trust: walked.trust,
            policy: keeper.policy(),
            staging: keeper.settings.staging,
            seed: other,
        });
        let now = Instant::default();
        let mut device = Self {
            receiver,
            keeper,
            is_proven: false,
            told_complete: false,
            told_freshness: Freshness::Off.code(),
            mismatches: 0,
            now,
            unix: None,
            flushed: now,
            kept_beacon: None,
        };
        device.take_up()?;
        Ok(device)
    }

    /// Takes a datagram that came at `now` from the sender with this number. Datagrams between proof and decision are passed over.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]; never for what anyone may have sent.
    pub fn handle_datagram(&mut self, now: Instant, source: u64, datagram: &[u8]) -> Result<(), Error> {
        self.now = now;
        if self.is_proven {
            return Ok(());
        }
        let Self { receiver, keeper, .. } = self;
        let done = receiver.handle_datagram(now, source, datagram).for_each(|action| keeper.act(&action));
        self.or_decline(done)?;
        self.settle()
    }

    /// Does what time asks for; to be called about once a second. `unix` is the caller's clock in seconds of Unix time, if it has one.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn tick(&mut self, now: Instant, unix: Option<u64>) -> Result<(), Error> {
        (self.now, self.unix) = (now, unix);
        if self.keeper.is_dirty && now.since(self.flushed) >= FLUSH_EVERY {
            self.flushed = now;
            self.keeper.flush()?;
        }
        if self.kept_beacon.is_none_or(|at| now.since(at) >= KEEP_BEACON_EVERY)
            && let Some(beacon) = self.keeper.beacon.take()
        {
            self.kept_beacon = Some(now);
            self.keeper.storage.save(Item::Beacon, &beacon)?;
        }
        let freshness = self.freshness().code();
        if std::mem::replace(&mut self.told_freshness, freshness) != freshness {
            self.keeper.tell(EventKind::Freshness, 0, freshness);
        }
        Ok(())
    }

    /// Makes all that was received survive a power cut; to be called before the end.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn flush(&mut self) -> Result<(), Error> {
        if let Some(beacon) = self.keeper.beacon.take() {
            self.keeper.storage.save(Item::Beacon, &beacon)?;
        }
        self.flushed = self.now;
        if self.keeper.is_dirty {
            self.keeper.flush()?;
        }
        Ok(())
    }

    /// Restores what is missing of a complete release, flushes, reads all of it back and compares \[I-1\]. From then on it may be installed.
    ///
    /// # Errors
    ///
    /// [`Error::Phase`] unless it is complete, [`Error::Wait`] while it may not be installed \[M-10, B-8\], [`Error::Mismatch`], [`Error::Storage`].
    pub fn prove(&mut self, now: Instant, unix: Option<u64>) -> Result<(), Error> {
        (self.now, self.unix) = (now, unix);
        if self.phase() != Phase::Complete {
            return Err(Error::Phase);
        }
        if let Some(seconds) = self.wait() {
            return Err(Error::Wait(seconds));
        }
        if self.restore()? && self.reads_back()? {
            self.is_proven = true;
            return Ok(());
        }
        let sequence = self.release().map_or(0, |manifest| manifest.sequence);
        self.keeper.tell(EventKind::Mismatch, sequence, "readback-mismatch");
        self.mismatches += 1;
        if self.mismatches >= MAX_MISMATCHES {
            return Err(Error::Storage(Fault(0)));
        }
        self.check_anew()?;
        Err(Error::Mismatch)
    }

    /// Notes, before it is installed, that the proven release is on trial: no other is taken until it is committed or given up \[I-6\].
    ///
    /// # Errors
    ///
    /// [`Error::Phase`] unless a release is proven, [`Error::Storage`].
    pub fn start_trial(&mut self) -> Result<(), Error> {
        let release = self.proven()?;
        self.keeper.record.trial = Some(release);
        self.decided()
    }

    /// Notes that the release that was proven, or is on trial, is installed: the floors rise to it \[I-4\].
    ///
    /// # Errors
    ///
    /// [`Error::Phase`] if there is none, [`Error::Storage`].
    pub fn commit(&mut self) -> Result<(), Error> {
        let release = self.proven_or_trial()?;
        self.keeper.record.commit(release);
        self.decided()
    }

    /// Notes that the release that was proven, or is on trial, is given up: it is not taken again \[I-7\].
    ///
    /// # Errors
    ///
    /// [`Error::Phase`] if there is none, [`Error::Storage`].
    pub fn give_up(&mut self) -> Result<(), Error> {
        let release = self.proven_or_trial()?;
        self.keeper.record.give_up(release);
        self.decided()
    }

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match (self.is_proven, self.keeper.record.trial, self.receiver.manifest()) {
            (true, ..) => Phase::Proven,
            (_, Some(_), _) => Phase::Trial,
            (.., None) => Phase::Idle,
            _ if self.receiver.is_complete() => Phase::Complete,
            _ => Phase::Receiving,
        }
    }

    /// The release being received, or proven.
    #[must_use]
    pub fn release(&self) -> Option<&Verified<Manifest>> {
        self.receiver.manifest()
    }

    /// The number of the target of a component of that release.
    #[must_use]
    pub fn target(&self, component: u8) -> Option<u32> {
        self.keeper.part(component).ok().map(|part| part.target)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.receiver.progress()
    }

    /// What the device remembers.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.keeper.record
    }

    /// What came and what was dropped.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        self.receiver.counters()
    }

    /// Version of the root that is trusted, 0 for bare keys.
    #[must_use]
    pub fn root(&self) -> u16 {
        self.receiver.trust().version()
    }

    /// Whether what is known is current, as of the last input.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        let root = self.keeper.record.root;
        // Roots that were followed, and are lost, may have revoked keys that count again without them.
        if root > self.root() {
            return Freshness::Behind { root };
        }
        self.receiver.freshness(self.now, self.unix.filter(|_| self.keeper.settings.trusts_clock))
    }

    /// Its storage.
    pub const fn storage(&mut self) -> &mut S {
        &mut self.keeper.storage
    }

    /// Takes up beacon and statement that were kept.
    fn take_up(&mut self) -> Result<(), Error> {
        if let Some(beacon) = self.keeper.storage.load(Item::Beacon, MAX_STATEMENT)?
            && self.receiver.restore_beacon(self.now, &beacon).is_err()
        {
            self.keeper.storage.save(Item::Beacon, &[])?;
        }
        let Some(statement) = self.keeper.storage.load(Item::Statement, MAX_STATEMENT)? else { return Ok(()) };
        let Self { receiver, keeper, .. } = self;
        keeper.is_resuming = true;
        let done = match receiver.resume(&statement) {
            Ok(actions) => actions.for_each(|action| keeper.act(&action)),
            Err(error) => {
                keeper.tell(EventKind::Abandoned, 0, error.code());
                Ok(keeper.forget_release()?)
            }
        };
        keeper.is_resuming = false;
        self.or_decline(done)?;
        if let Some(manifest) = self.release() {
            let sequence = manifest.sequence;
            self.check_stored()?;
            self.keeper.tell(EventKind::Resumed, sequence, "");
        }
        self.settle()
    }

    /// A release for which there is no room is given back to the session.
    pub(crate) fn or_decline(&mut self, done: Result<(), Stop>) -> Result<(), Error> {
        done.or_else(|stop| match stop {
            Stop::Fault(fault) => Err(fault.into()),
            Stop::Declined => {
                self.receiver.decline(self.now);
                Ok(())
            }
        })
    }

    /// Does what carrying out actions has left to do.
    fn settle(&mut self) -> Result<(), Error> {
        let noted = std::mem::take(&mut self.keeper.noted);
        if noted.has_begun {
            self.mismatches = 0;
            if !self.keeper.has_repair_room {
                self.receiver.stop_repair();
            }
        }
        if noted.lost_repair {
            self.check_anew()?;
        }
        while let Some((component, cell)) = self.keeper.wanted_pages.pop() {
            let mut payload = Vec::new();
            self.keeper.read_page(PageKind::Page, component, cell, &mut payload)?;
            self.hand_in(PageKind::Page, component, cell, &payload)?;
        }
        if noted.root_followed && self.receiver.beacon().is_none() {
            self.keeper.beacon = None;
            self.keeper.storage.save(Item::Beacon, &[])?;
        }
        let is_complete = self.receiver.is_complete();
        if !std::mem::replace(&mut self.told_complete, is_complete) && is_complete {
            let sequence = self.release().map_or(0, |manifest| manifest.sequence);
            self.keeper.tell(EventKind::Complete, sequence, "");
        }
        Ok(())
    }

    /// Seconds until it is worth asking again whether the complete release may be installed; `None` if it may.
    fn wait(&self) -> Option<u64> {
        let time = self.receiver.not_before().unwrap_or_default();
        let clock = self.unix.unwrap_or_default().max(self.receiver.clock(self.now));
        if !self.keeper.settings.ignores_waves && clock < time {
            return Some(time - clock);
        }
        match self.freshness() {
            Freshness::Off | Freshness::Fresh { .. } => None,
            Freshness::Stale { .. } if self.keeper.settings.installs_stale => None,
            _ => Some(LOOK),
        }
    }

    fn proven(&self) -> Result<Known, Error> {
        self.release().filter(|_| self.is_proven).map(known).ok_or(Error::Phase)
    }

    fn proven_or_trial(&self) -> Result<Known, Error> {
        self.proven().or_else(|error| self.keeper.record.trial.ok_or(error))
    }

    /// Keeps what was decided of a release, and waits for the next.
    fn decided(&mut self) -> Result<(), Error> {
        self.keeper.save_record()?;
        self.is_proven = false;
        self.receiver.finish(self.keeper.policy());
        self.told_complete = false;
        Ok(self.keeper.forget_release()?)
    }
}

/// The device's own seed, and one of this start.
fn halves(random: &[u8; 32]) -> ([u8; 16], u64) {
    let seed = random.first_chunk().copied().unwrap_or_default();
    (seed, random.last_chunk().map_or(0, |&last| u64::from_be_bytes(last)))
}
