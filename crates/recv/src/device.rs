//! The receive session on its storage: datagrams in, installed releases out.
//!
//! No sockets and no clock, and any [`Disk`]: tests drive it with packets of their own on a simulated one.
//!
//! | on disk in the state folder | written | removed |
//! | --- | --- | --- |
//! | `record`, `lock` | see [`fleetcast_install::record`] | never |
//! | `roots` that have followed that of the settings | as each follows, before anything else is done by it | never |
//! | `beacon`, the newest | at most once a minute, and at the end | when a root no longer lets its signers sign it |
//! | `statement` of the release being received | when it begins | when it is installed, refused or given up |
//! | `scratch.*`: repair chunks and pages | as they verify | when it is installed, or another begins |
//!
//! The images are beside their targets or in slots, see [`fleetcast_install::Backend`]. A restart hashes all of it anew;
//! nothing on disk is believed, and what cannot be read counts as absent.

mod beacon;
mod currency;
mod keeper;
mod repair;
mod reuse;
mod roots;

use std::time::Duration;

use fleetcast_core::fec::FecError;
use fleetcast_core::session::{self, Arrival, Counters, Policy, Receiver, Wave};
use fleetcast_core::time::Instant;
use fleetcast_core::wire::PageKind;
use fleetcast_install::record::{Floors, Reason};
use fleetcast_install::{Backend, Disk, Fault, Installed, ProgramError, Record, VerifyError};

use crate::config::Config;
use crate::events::{Chunks, Event};
use crate::seed::ENTRIES;
use crate::storage::{Area, Ready, Storage, is_failing, is_full};
pub(crate) use beacon::kept as kept_beacon;
pub(crate) use currency::trusted_at_rest;
use keeper::{Keeper, Stop};
pub(crate) use keeper::{OWN_FILES, STATEMENT};
use repair::Repair;
use reuse::Search;
pub(crate) use roots::Chain;

/// Read-backs with another SHA-256 than the manifest's until the storage is given up.
const MAX_MISMATCHES: u32 = 3;
/// Time until a program that asks for it is asked again.
const RETRY: Duration = Duration::from_mins(1);
/// Cells before and behind the one whose chunks are checked whose pages are handed in first: its own page may follow from
/// a chain of parity pages on either side. The receiver remembers the pages of more cells than both together.
const CHAIN: u32 = 24;

/// A device that receives and installs.
pub struct Device<D: Disk> {
    receiver: Receiver,
    keeper: Keeper<D>,
    config: Config,
    /// A complete release is not installed before this time.
    not_before: Option<Instant>,
    /// The time by the device's clock when it last looked.
    unix: Option<u64>,
    /// The word for what keeps it from that, once it was told.
    held: Option<&'static str>,
    /// The word for how current things are, as told last.
    told_freshness: &'static str,
    /// When the hook is told of it, unless it has changed by then.
    hook_due: Option<Instant>,
    tried: Tried,
    /// Old images that are looked through for the release.
    search: Option<Search<D>>,
    /// Most entries of its index.
    index_entries: usize,
    /// What is missing may be fetched.
    repair: Option<Repair>,
    /// Time of the last input.
    now: Instant,
}

/// What was done already to mend the storage of this release.
#[derive(Debug, Default)]
struct Tried {
    mismatches: u32,
    /// What could not be read of this release was received again, and its files replaced by others.
    has_reread: bool,
    has_renewed: bool,
    /// There was no room for repair chunks of this release.
    is_without_repair: bool,
}

/// What one input has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing that ends a run.
    Going,
    /// A release is installed now that was not before.
    Installed,
    /// A release is installed on trial: it runs from the next start of the device on.
    OnTrial,
    /// The release on the air is the installed one, and no other is being received.
    AlreadyInstalled,
}

/// What is known of a release on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None is.
    Settled,
    /// It runs, and waits to be committed.
    Trying,
    /// It runs from the next start of the device on.
    AwaitsStart,
}

/// Why a device cannot go on. What runs is untouched; the next start takes up what was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The storage failed, or is not as it must be.
    #[error(transparent)]
    Storage(#[from] Fault),
    /// The storage gives back other bytes than were written.
    #[error(
        "{version} was received whole {times} times, and components {components:?} read back wrong each time: the \
         storage changes data; check the device's health"
    )]
    Readback {
        /// Version of the release.
        version: String,
        /// How often.
        times: u32,
        /// Components, from 0.
        components: Vec<usize>,
    },
    /// A block could not be restored although enough of it was there.
    #[error("a block could not be restored: {0}")]
    Restore(FecError<Fault>),
}

impl DeviceError {
    /// A stable word for the kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Storage(fault) | Self::Restore(FecError::Io(fault)) => fault.code(),
            Self::Readback { .. } => "readback-mismatch",
            Self::Restore(FecError::NotEnough) => "restore",
        }
    }
}

impl From<FecError<Fault>> for DeviceError {
    fn from(error: FecError<Fault>) -> Self {
        match error {
            FecError::Io(fault) => Self::Storage(fault),
            FecError::NotEnough => Self::Restore(error),
        }
    }
}

/// Completes or withdraws an interrupted install, and no more: what a device does that cannot listen.
///
/// # Errors
///
/// [`DeviceError`] if the storage fails or another receiver uses it.
pub fn recover<D: Disk>(
    disk: &D,
    backend: Box<dyn Backend<D>>,
    config: &Config,
    seed: [u8; 16],
    tell: Tell<'_>,
) -> Result<Outcome, DeviceError> {
    Keeper::open(disk, backend, config, seed, tell).map(|(_, outcome)| outcome)
}

/// Takes what a device tells.
pub type Tell<'a> = &'a mut dyn FnMut(Event);

impl<D: Disk> Device<D> {
    /// Opens the state folder, completes an interrupted install, and goes on with a release that was being received.
    /// `seed` is random: senders cannot know it, and a new device keeps it as its own.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] if the storage fails or another receiver uses it.
    pub fn open(
        disk: &D,
        backend: Box<dyn Backend<D>>,
        config: &Config,
        seed: [u8; 16],
        tell: Tell<'_>,
    ) -> Result<(Self, Outcome), DeviceError> {
        let (keeper, recovered) = Keeper::open(disk, backend, config, seed, tell)?;
        let receiver = Receiver::new(session::Config {
            trust: keeper.trust().clone(),
            policy: policy(config, keeper.record()),
            staging: config.staging,
            seed: half(seed.last_chunk()),
        });
        let kept = keeper.kept_statement()?;
        let mut device = Self {
            receiver,
            keeper,
            config: config.clone(),
            not_before: None,
            unix: None,
            held: None,
            told_freshness: "off",
            hook_due: None,
            tried: Tried::default(),
            search: None,
            index_entries: ENTRIES,
            repair: config.repair.clone().map(|settings| Repair::new(settings, half(seed.first_chunk()))),
            now: Instant::default(),
        };
        device.restore_beacon()?;
        let resumed = match kept {
            Some(statement) => device.resume(&statement, tell)?,
            None => Outcome::Going,
        };
        // What the storage cannot take for the moment stays for later.
        if device.receiver.manifest().is_none() && !device.receiver.has_declined() {
            device.keeper.forget_statement()?;
            device.keeper.remove_stale(None)?;
        }
        Ok((device, if resumed == Outcome::Going { recovered } else { resumed }))
    }

    /// Takes a datagram that came at `now` from the sender with this number, see [`Receiver::handle_datagram`].
    ///
    /// # Errors
    ///
    /// [`DeviceError`]; the device is of no more use then.
    pub fn handle(
        &mut self,
        now: Instant,
        source: u64,
        datagram: &[u8],
        tell: Tell<'_>,
    ) -> Result<Outcome, DeviceError> {
        self.now = now;
        let Self { receiver, keeper, .. } = self;
        let done = receiver.handle_datagram(now, source, datagram).for_each(|action| keeper.act(&action, tell));
        self.or_decline(done)?;
        self.settle(tell)
    }

    /// Writes what waits for its neighbours, and every so often makes what is written survive a power cut; to be called
    /// about once a second.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub fn write_out(&mut self) -> Result<(), DeviceError> {
        let done = self.keeper.storage.as_mut().map_or(Ok(()), Storage::tick);
        // The next input deals with what failed.
        Ok(self.keeper.note_failing(done)?)
    }

    /// Does what is due at `now`: a complete release that had to wait is installed, and what commands have changed is
    /// taken up; to be called about once a second. `unix` is the time by the device's clock, in seconds.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub fn look(&mut self, now: Instant, unix: u64, tell: Tell<'_>) -> Result<Outcome, DeviceError> {
        (self.now, self.unix) = (now, Some(unix));
        self.keeper.recheck_beacon(self.receiver.beacon().is_some())?;
        self.keeper.write_beacon(now, tell);
        self.look_at_freshness(tell);
        if self.keeper.refresh(tell)? {
            self.take_up_record();
        }
        if self.not_before.is_some_and(|time| now >= time) {
            self.not_before = None;
            self.keeper.is_complete = self.receiver.is_complete();
        }
        self.settle(tell)
    }

    /// What is known of a release on trial.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.keeper.standing
    }

    /// Makes the release on trial the one that stays.
    ///
    /// # Errors
    ///
    /// [`DeviceError`]; it is on trial as before then.
    pub fn commit(&mut self, tell: Tell<'_>) -> Result<(), DeviceError> {
        self.keeper.commit(tell)?;
        self.take_up_record();
        Ok(())
    }

    /// Gives up the release on trial. True if it still runs, so that the device must be restarted.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub fn roll_back(&mut self, reason: Reason, tell: Tell<'_>) -> Result<bool, DeviceError> {
        let still_runs = self.keeper.roll_back(reason, tell)?;
        self.take_up_record();
        Ok(still_runs)
    }

    /// Makes everything received so far survive a power cut; to be called before the end.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub fn flush(&mut self) -> Result<(), DeviceError> {
        self.keeper.flush_beacon();
        Ok(self.keeper.storage.as_mut().map_or(Ok(()), Storage::flush)?)
    }

    /// How far the release being received is; `None` if there is none.
    #[must_use]
    pub fn chunks(&self) -> Option<Chunks> {
        self.receiver.progress().map(|progress| Chunks { have: progress.have, needed: progress.needed })
    }

    /// What came and what was dropped.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        self.receiver.counters()
    }

    /// Estimated share of lost packets, 0.0 to 1.0.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.receiver.loss()
    }

    /// Packets sent as far as that is known, and those of them that came.
    #[must_use]
    pub const fn sent_and_came(&self) -> (u64, u64) {
        self.receiver.sent_and_came()
    }

    /// The reception, for who asks for what it lacks.
    #[must_use]
    pub const fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// What the last datagram tells about the loss on its layer, see [`Receiver::arrival`].
    #[must_use]
    pub const fn arrival(&self) -> Option<Arrival> {
        self.receiver.arrival()
    }

    /// Whether packets of a release are wanted: one is being received, and not complete.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.receiver.manifest().is_some() && !self.receiver.is_complete()
    }

    /// What the device remembers of its releases.
    #[must_use]
    pub fn record(&self) -> &Record {
        self.keeper.record()
    }

    /// Goes on with the beacon kept from before, unless its signers may not sign beacons any longer.
    fn restore_beacon(&mut self) -> Result<(), DeviceError> {
        let Some(beacon) = self.keeper.kept_beacon()? else { return Ok(()) };
        if self.receiver.restore_beacon(self.now, &beacon).is_err() {
            self.keeper.forget_beacon()?;
        }
        Ok(())
    }

    /// Goes on with a statement kept from before.
    fn resume(&mut self, statement: &[u8], tell: Tell<'_>) -> Result<Outcome, DeviceError> {
        let Self { receiver, keeper, .. } = self;
        match receiver.resume(statement) {
            Err(error) => {
                // Installed in the meantime, overtaken by a newer one, or a key is trusted no more.
                let reason = format!("what was being received is not gone on with: {error}");
                tell(Event::Warning { code: "not-resumed", reason });
                return Ok(Outcome::Going);
            }
            Ok(actions) => {
                let done = actions.for_each(|action| keeper.act(&action, tell));
                self.or_decline(done)?;
            }
        }
        self.check_stored(tell)?;
        if let Some(chunks) = self.chunks() {
            tell(Event::Resumed(chunks));
        }
        self.keeper.is_complete |= self.receiver.is_complete();
        self.settle(tell)
    }

    /// A release that the storage cannot take is given back to the receiver.
    fn or_decline(&mut self, done: Result<(), Stop>) -> Result<(), DeviceError> {
        match done {
            Ok(()) => Ok(()),
            Err(Stop::Fault(fault)) => Err(fault.into()),
            Err(Stop::Declined) => {
                self.receiver.decline(self.now);
                Ok(())
            }
        }
    }

    /// Does what carrying out actions has left to do.
    fn settle(&mut self, tell: Tell<'_>) -> Result<Outcome, DeviceError> {
        if std::mem::take(&mut self.keeper.has_begun) {
            (self.tried, self.search) = (Tried::default(), None);
            (self.not_before, self.held) = (None, None);
        }
        self.note_new_pages();
        if let Some(fault) = self.keeper.failing.take() {
            self.renew(fault, tell)?;
        }
        if let Some((area, fault)) = self.keeper.storage.as_mut().and_then(Storage::take_full) {
            self.give_up_repair(area, fault, tell)?;
        }
        while let Some((component, cell)) = self.keeper.wanted_pages.pop() {
            let Self { receiver, keeper, .. } = self;
            let mut payload = Vec::new();
            keeper.storage()?.read_page(PageKind::Page, component, cell, &mut payload)?;
            let actions = receiver.handle_stored_page(PageKind::Page, component, cell, &payload);
            let done = actions.for_each(|action| keeper.act(&action, tell));
            self.or_decline(done)?;
        }
        if std::mem::take(&mut self.keeper.is_complete) {
            return self.complete(tell);
        }
        let is_installed = std::mem::take(&mut self.keeper.heard_installed) && self.receiver.manifest().is_none();
        Ok(if is_installed { Outcome::AlreadyInstalled } else { Outcome::Going })
    }

    /// Restores, reads back, installs. If the storage turns out wrong, finds out where, and goes on receiving.
    // Its frame is large: inlined, every datagram would pay for it.
    #[inline(never)]
    fn complete(&mut self, tell: Tell<'_>) -> Result<Outcome, DeviceError> {
        while self.receiver.is_complete() {
            if !self.may_install(tell)? {
                break;
            }
            let Some(mut storage) = self.keeper.storage.take() else { break };
            if let Some(search) = &mut self.search {
                search.tell(tell);
            }
            if let Some(repair) = &mut self.repair {
                repair.tell(tell);
            }
            tell(Event::Complete(self.chunks().unwrap_or_default()));
            let proven = match storage.restore(&self.receiver) {
                Ok(chunks) => {
                    if chunks > 0 {
                        tell(Event::Restored { chunks });
                    }
                    storage.verify()
                }
                Err(FecError::Io(fault)) if is_failing(&fault) => Err((Box::new(storage), fault.into())),
                Err(FecError::Io(fault)) if is_full(&fault) => {
                    self.keeper.storage = Some(storage);
                    self.give_up_repair(Area::Image, fault, tell)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            match proven {
                Ok(proven) => return self.install(proven, tell),
                Err((storage, VerifyError::Storage(fault))) if is_failing(&fault) => {
                    self.keeper.storage = Some(*storage);
                    self.reread(fault, tell)?;
                }
                Err((storage, reason)) => {
                    self.keeper.storage = Some(*storage);
                    self.note_mismatch(reason, tell)?;
                    self.receiver.recheck();
                    self.check_stored(tell)?;
                }
            }
        }
        Ok(Outcome::Going)
    }

    /// Whether the complete release may be installed now: it is due, and the hook agrees.
    fn may_install(&mut self, tell: Tell<'_>) -> Result<bool, DeviceError> {
        if self.not_before.is_some() {
            return Ok(false);
        }
        if !self.is_due(tell) {
            return Ok(false);
        }
        match self.keeper.may_install() {
            Ok(()) => Ok(true),
            Err(ProgramError::Later { .. }) => {
                tell(Event::Waiting { seconds: RETRY.as_secs(), code: "program-later" });
                self.not_before = Some(self.now.after(RETRY));
                Ok(false)
            }
            Err(error) => {
                self.decline(&error.into(), tell)?;
                Ok(false)
            }
        }
    }

    fn install(&mut self, ready: Ready<D>, tell: Tell<'_>) -> Result<Outcome, DeviceError> {
        match self.keeper.install(ready, tell) {
            Ok(installed) => {
                self.search = None;
                self.receiver.finish(policy(&self.config, self.keeper.record()));
                Ok(match installed {
                    Installed::Committed => Outcome::Installed,
                    Installed::OnTrial => Outcome::OnTrial,
                })
            }
            Err(Fault::Program(ProgramError::Later { .. })) => {
                tell(Event::Waiting { seconds: RETRY.as_secs(), code: "program-later" });
                self.not_before = Some(self.now.after(RETRY));
                self.receiver.recheck();
                let done = self.receiver.manifest().map_or(Ok(()), |manifest| self.keeper.begin(manifest, tell));
                self.keeper.has_begun = false;
                self.or_decline(done)?;
                if self.receiver.manifest().is_some() {
                    self.check_stored(tell)?;
                }
                Ok(Outcome::Going)
            }
            Err(fault) if fault.is_refusal() => {
                self.decline(&fault, tell)?;
                Ok(Outcome::Going)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Leaves the release alone for a while: something but the storage will not have it.
    fn decline(&mut self, fault: &Fault, tell: Tell<'_>) -> Result<(), DeviceError> {
        let sequence = self.receiver.manifest().map_or(0, |manifest| manifest.sequence);
        tell(Event::Refused { sequence, code: fault.code(), reason: fault.to_string() });
        self.keeper.storage = None;
        self.keeper.recover(tell)?;
        self.receiver.decline(self.now);
        Ok(())
    }

    /// Has the receiver decide by the record as it is now.
    fn take_up_record(&mut self) {
        self.receiver.set_policy(policy(&self.config, self.keeper.record()));
    }

    /// There was no room to write. The images need no repair chunks if enough source chunks come: no more are kept, and if
    /// it is an image that does not fit, they give way.
    fn give_up_repair(&mut self, area: Area, fault: Fault, tell: Tell<'_>) -> Result<(), DeviceError> {
        let is_new = !std::mem::replace(&mut self.tried.is_without_repair, true);
        match area {
            // A page that is not kept is received again when chunks need it.
            Area::Scratch if !is_new => return Ok(()),
            Area::Scratch => {}
            Area::Image if self.keeper.storage()?.clear_repair()? => {}
            Area::Image => return Err(fault.into()),
        }
        if is_new {
            let reason = format!("{fault}; going on without repair chunks: with losses that takes longer");
            tell(Event::Warning { code: fault.code(), reason });
        }
        self.receiver.stop_repair();
        self.receiver.recheck();
        self.check_stored(tell)?;
        self.keeper.is_complete |= self.receiver.is_complete();
        Ok(())
    }

    /// A file of the release could not be read, or written while it was restored: what is not readable is received and
    /// written again, which makes most devices replace a bad sector. If it fails once more, other files take its place.
    fn reread(&mut self, fault: Fault, tell: Tell<'_>) -> Result<(), DeviceError> {
        match self.keeper.storage()?.write_out() {
            Ok(()) if !std::mem::replace(&mut self.tried.has_reread, true) => {}
            Err(other) if !is_failing(&other) => return Err(other.into()),
            _ => return self.renew(fault, tell),
        }
        let reason = format!("{fault}; what cannot be read is received again");
        tell(Event::Warning { code: fault.code(), reason });
        self.receiver.recheck();
        self.check_stored(tell)
    }

    /// A file of the release fails: throws all of them away and receives into new ones, once a release.
    fn renew(&mut self, fault: Fault, tell: Tell<'_>) -> Result<(), DeviceError> {
        if std::mem::replace(&mut self.tried.has_renewed, true) {
            return Err(fault.into());
        }
        let reason = format!("{fault}; the release is received anew into other files");
        tell(Event::Warning { code: fault.code(), reason });
        self.keeper.discard()?;
        self.search = None;
        self.receiver.recheck();
        let done = self.receiver.manifest().map_or(Ok(()), |manifest| self.keeper.begin(manifest, tell));
        self.keeper.has_begun = false;
        self.or_decline(done)
    }

    fn note_mismatch(&mut self, reason: VerifyError, tell: Tell<'_>) -> Result<(), DeviceError> {
        let components = match reason {
            VerifyError::Storage(fault) => return Err(fault.into()),
            VerifyError::Mismatch { components } => components,
            _ => Vec::new(),
        };
        self.tried.mismatches += 1;
        let times = self.tried.mismatches;
        tell(Event::ReadbackMismatch { components: components.clone(), times });
        if times < MAX_MISMATCHES {
            return Ok(());
        }
        let version = self.receiver.manifest().map(|manifest| manifest.version.to_string()).unwrap_or_default();
        // Else each later start would find it whole and fail again, before it hears of a release that is right.
        self.keeper.discard()?;
        Err(DeviceError::Readback { version, times, components })
    }

    /// Hands the receiver all that is stored, to be hashed: each cell's chunks once the pages around it are known.
    fn check_stored(&mut self, tell: Tell<'_>) -> Result<(), DeviceError> {
        if let Some(search) = &mut self.search {
            search.again();
        }
        let (mut payload, mut chunks) = (Vec::new(), Vec::new());
        for component in 0.. {
            let Some(&geometry) = self.receiver.geometry(component) else { break };
            let cells = geometry.cells();
            // From CHAIN cells before the first to CHAIN behind the last, round the end.
            for step in 0..cells + 2 * CHAIN {
                let ahead = (step + cells - CHAIN % cells) % cells;
                for kind in [PageKind::Page, PageKind::Parity] {
                    self.keeper.storage()?.read_page(kind, component, ahead, &mut payload)?;
                    if !payload.is_empty() {
                        let Self { receiver, keeper, .. } = self;
                        let actions = receiver.handle_stored_page(kind, component, ahead, &payload);
                        let done = actions.for_each(|action| keeper.act(&action, tell));
                        self.or_decline(done)?;
                    }
                }
                let Some(cell) = step.checked_sub(2 * CHAIN) else { continue };
                let (true, Some(positions)) = (self.receiver.knows_page(component, cell), geometry.cell_at(cell))
                else {
                    continue;
                };
                self.keeper.storage()?.read_cell(component, cell, &mut chunks)?;
                for (position, chunk) in (positions.start..).zip(chunks.chunks_exact(geometry.chunk_len())) {
                    self.receiver.handle_stored_chunk(component, position, chunk);
                }
            }
        }
        Ok(())
    }
}

/// The number that a half of a seed is.
fn half(seed: Option<&[u8; 8]>) -> u64 {
    seed.map_or(0, |&half| u64::from_be_bytes(half))
}

/// What the device is and has, by its settings and its record.
pub(crate) fn policy(config: &Config, record: &Record) -> Policy {
    let mark = |sequence, digest| session::Mark { sequence, digest };
    Policy {
        vendor: config.vendor,
        classes: config.classes.clone(),
        targets: config
            .targets
            .iter()
            .map(|target| session::Target { name: target.name.clone(), max_size: target.max_size })
            .collect(),
        installed: record.installed.as_ref().map(|r| (mark(r.sequence, r.manifest), r.security_version)),
        seen: record.seen.map(|seen| mark(seen.sequence, seen.manifest)),
        trial: record.trial().map(|trial| mark(trial.release.sequence, trial.release.manifest)),
        failed: record.failed.as_ref().map(|failed| mark(failed.release.sequence, failed.release.manifest)),
        hardware: config.hardware,
        wave: config.wave.map_or(Wave::Seed(record.seed), Wave::Fixed),
        max_packet: config.max_packet,
        has_floors: record.floors == Floors::Hold,
        built: config.built,
    }
}
