//! Fetches what is missing of the release being received, see [`crate::repair`].

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use fleetcast_cli::hex;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::release::Layout;
use fleetcast_core::time::Instant;
use fleetcast_core::trust::Verified;
use fleetcast_install::Disk;

use super::{Device, DeviceError, Outcome, Tell};
use crate::config;
use crate::events::Event;
use crate::repair::{Counts, Cursor, Failing, Next, Pace, Reply, Request, Servers, needed_run};

/// Octets of pages that are asked for at once.
const MAX_PAGES: u64 = 64 << 10;
/// Cells that are looked at in one step, most of which lack nothing.
const LOOKS: u32 = 4096;
/// Of these, cells whose page is looked for in the storage.
const LOADS: u32 = 8;
/// Time between two tellings of how much was fetched.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// Repair of whatever release is received.
#[derive(Debug)]
pub(super) struct Repair {
    settings: config::Repair,
    random: Rng,
    counts: Counts,
    /// The request that waits for its reply.
    asked: Option<Asked>,
    task: Option<Task>,
    /// What to ask for next is still being looked for.
    is_looking: bool,
}

/// Repair of one release.
#[derive(Debug)]
struct Task {
    /// SHA-256 of the payload of its manifest.
    release: [u8; 32],
    /// Of its release file.
    layout: Layout,
    pace: Pace,
    servers: Servers,
    cursor: Cursor,
    has_started: bool,
    is_over: bool,
    counts: Counts,
    /// Chunks and pages that were told, and when.
    told: u64,
    told_at: Option<Instant>,
    /// Servers and causes that were told.
    told_failures: Vec<(usize, &'static str)>,
}

#[derive(Debug)]
struct Asked {
    release: [u8; 32],
    component: u8,
    length: u32,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// The records of these cells of the release file.
    Pages(Range<u32>),
    /// The source chunks at these positions, of one cell.
    Chunks(Range<u32>),
}

impl Repair {
    /// `seed` is random: with it the devices of a fleet differ.
    pub(super) fn new(settings: config::Repair, seed: u64) -> Self {
        let random = Rng::with_seed(seed);
        Self { settings, random, counts: Counts::default(), asked: None, task: None, is_looking: false }
    }

    /// Tells how much was fetched of the release, if that is new.
    pub(super) fn tell(&mut self, tell: Tell<'_>) {
        let Some(task) = &mut self.task else { return };
        let Counts { chunks, pages, octets, .. } = task.counts;
        if chunks + pages > task.told {
            task.told = chunks + pages;
            tell(Event::Repaired { chunks, pages, octets });
        }
    }

    fn count(&mut self, count: impl Fn(&mut Counts)) {
        count(&mut self.counts);
        if let Some(task) = &mut self.task {
            count(&mut task.counts);
        }
    }

    /// A reply was not what it should be.
    fn fail(&mut self, now: Instant, failing: Failing, code: &'static str, reason: String, tell: Tell<'_>) {
        self.count(|counts| {
            counts.failed += 1;
            counts.wrong += u64::from(failing == Failing::Wrong);
        });
        let Some(task) = &mut self.task else { return };
        let asked = task.servers.current();
        let next = task.servers.note_failure(failing);
        let left_alone = task.servers.is_left_alone(asked);
        let is_new = !task.told_failures.contains(&(asked, code));
        if (is_new || left_alone)
            && let Some(server) = self.settings.servers.get(asked)
        {
            task.told_failures.push((asked, code));
            tell(Event::RepairFailed { server: server.to_string(), code, reason, left_alone });
        }
        match next {
            Next::Ask => {}
            Next::Wait(retry_after) => drop(task.pace.note_failure(now, retry_after, &mut self.random)),
            Next::GiveUp => {
                task.is_over = true;
                let reason = "no server is left to fetch from: what is missing has to come from senders".into();
                tell(Event::Warning { code: "repair-over", reason });
            }
        }
    }
}

impl Task {
    fn new(settings: &config::Repair, manifest: &Verified<Manifest>, now: Instant) -> Self {
        Self {
            release: *manifest.payload_digest(),
            layout: Layout::new(manifest.statement().len(), manifest),
            pace: Pace::new(settings, now),
            servers: Servers::new(settings.servers.len()),
            cursor: Cursor::default(),
            has_started: false,
            is_over: false,
            counts: Counts::default(),
            told: 0,
            told_at: None,
            told_failures: Vec::new(),
        }
    }
}

impl<D: Disk> Device<D> {
    /// What was fetched since the start; `None` if nothing may be.
    #[must_use]
    pub fn repair_counts(&self) -> Option<Counts> {
        self.repair.as_ref().map(|repair| repair.counts)
    }

    /// Whether [`Device::next_request`] has more to do before it gives one; to be called then while nothing else is to
    /// be done.
    #[must_use]
    pub fn seeks_request(&self) -> bool {
        self.repair.as_ref().is_some_and(|repair| repair.is_looking)
    }

    /// The next request for what is missing of the release being received, if one is due at `now`; to be called about once
    /// a second, and after each [`Device::handle_reply`]. There is none until the last is answered.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub fn next_request(&mut self, now: Instant, tell: Tell<'_>) -> Result<Option<Request>, DeviceError> {
        let Some(mut repair) = self.repair.take() else { return Ok(None) };
        let request = self.find_request(&mut repair, now, tell);
        self.repair = Some(repair);
        request
    }

    /// Takes the reply to the request given out last, at `now`.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub fn handle_reply(&mut self, now: Instant, reply: Reply, tell: Tell<'_>) -> Result<Outcome, DeviceError> {
        self.now = now;
        let Some(mut repair) = self.repair.take() else { return Ok(Outcome::Going) };
        let taken = self.take_reply(&mut repair, reply, tell);
        self.repair = Some(repair);
        taken?;
        self.keeper.is_complete |= self.receiver.is_complete();
        self.settle(tell)
    }

    fn find_request(
        &mut self,
        repair: &mut Repair,
        now: Instant,
        tell: Tell<'_>,
    ) -> Result<Option<Request>, DeviceError> {
        repair.is_looking = false;
        let (Some(digest), Some(manifest), None) = (self.followed(), self.receiver.manifest(), &repair.asked) else {
            return Ok(None);
        };
        let kept = repair.task.take().filter(|task| task.release == digest);
        let task = repair.task.insert(kept.unwrap_or_else(|| Task::new(&repair.settings, manifest, now)));
        let chunks = self.chunks().unwrap_or_default();
        let is_due = task.pace.is_due(now, chunks, task.counts.chunks, &mut repair.random);
        if task.is_over || !is_due {
            return Ok(None);
        }
        // What is in old images need not be fetched.
        repair.is_looking = true;
        if self.can_reuse() {
            return Ok(None);
        }
        let mut loads = 0;
        for _ in 0..LOOKS {
            let (component, cell) = task.cursor.settle(|c| Some(self.receiver.geometry(c)?.source_cells()));
            let Some(run) = self.needed_run(component, cell) else {
                task.cursor.step();
                continue;
            };
            loads += 1;
            let what = if self.has_page(component, cell, tell)? {
                What::Chunks(run)
            } else if task.cursor.wants_pages {
                What::Pages(self.pages_from(component, cell, tell)?)
            } else {
                task.cursor.step();
                if loads < LOADS {
                    continue;
                }
                break;
            };
            repair.is_looking = false;
            return Ok(self.ask(repair, component, what, tell));
        }
        Ok(None)
    }

    /// Makes a request, if it may still be made.
    fn ask(&self, repair: &mut Repair, component: u8, what: What, tell: Tell<'_>) -> Option<Request> {
        let task = repair.task.as_mut()?;
        let server = repair.settings.servers.get(task.servers.current())?;
        let manifest = self.receiver.manifest()?;
        let geometry = self.receiver.geometry(component)?;
        let (name, octets, total) = match &what {
            What::Pages(cells) => {
                let start = task.layout.record_offset(component, cells.start)?;
                let length = geometry.max_page_payload_len() as u64 * u64::from(cells.end - cells.start);
                (format!("{}.fleetcast", hex(&task.release)), start..start + length, task.layout.len())
            }
            What::Chunks(positions) => {
                let (start, _) = geometry.image_range(positions.start)?;
                let (last, length) = geometry.image_range(positions.end - 1)?;
                let component = manifest.components.get(usize::from(component))?;
                (hex(&component.sha256), start..last + length as u64, geometry.size())
            }
        };
        let length = u32::try_from(octets.end - octets.start).ok()?;
        if task.counts.octets + u64::from(length) > repair.settings.max_octets {
            task.is_over = true;
            let reason = format!(
                "{} octets were fetched of this release, and no more may be (max-octets): what is missing has to come \
                 from senders",
                task.counts.octets
            );
            tell(Event::Warning { code: "repair-max-octets", reason });
            return None;
        }
        if !std::mem::replace(&mut task.has_started, true) {
            let missing = self.chunks().map_or(0, |chunks| chunks.needed - chunks.have);
            tell(Event::RepairStarted { server: server.to_string(), missing });
        }
        let request = Request { server: server.clone(), name, offset: octets.start, length, total };
        repair.asked = Some(Asked { release: task.release, component, length, what });
        repair.count(|counts| counts.requests += 1);
        Some(request)
    }

    fn take_reply(&mut self, repair: &mut Repair, reply: Reply, tell: Tell<'_>) -> Result<(), DeviceError> {
        let asked = repair.asked.take();
        let is_followed = |asked: &Asked| repair.task.as_ref().is_some_and(|task| task.release == asked.release);
        let Some(asked) = asked.filter(|asked| self.followed() == Some(asked.release) && is_followed(asked)) else {
            // Of a release that is complete by now, or received no more.
            repair.counts.octets += reply.octets;
            return Ok(());
        };
        repair.count(|counts| counts.octets += reply.octets);
        let bytes = match reply.result {
            Ok(bytes) => bytes,
            Err(error) => {
                repair.fail(self.now, error.failing(), error.code(), error.to_string(), tell);
                return Ok(());
            }
        };
        let (right, mut is_wrong) = match asked.what.clone() {
            What::Pages(cells) => self.take_pages(asked.component, cells, &bytes, tell)?,
            What::Chunks(positions) => self.take_chunks(asked.component, positions, &bytes, tell)?,
        };
        is_wrong |= bytes.len() != asked.length as usize;
        repair.count(|counts| match asked.what {
            What::Pages(_) => counts.pages += right,
            What::Chunks(_) => counts.chunks += right,
        });
        if is_wrong {
            let reason = "it gave octets that are not those of the release; they are thrown away".into();
            repair.fail(self.now, Failing::Wrong, "repair-wrong-bytes", reason, tell);
            return Ok(());
        }
        if let Some(task) = &mut repair.task {
            task.pace.note_success();
            task.servers.note_success();
            if task.told_at.is_none_or(|at| self.now.since(at) >= TELL_AFTER) {
                task.told_at = Some(self.now);
                repair.tell(tell);
            }
        }
        Ok(())
    }

    /// Takes records of the release file. Returns how many were right, and whether one was wrong.
    fn take_pages(
        &mut self,
        component: u8,
        cells: Range<u32>,
        records: &[u8],
        tell: Tell<'_>,
    ) -> Result<(u64, bool), DeviceError> {
        use fleetcast_core::wire::PageKind::Page;
        let (mut right, mut is_wrong) = (0, false);
        let Some(&geometry) = self.receiver.geometry(component) else { return Ok((0, false)) };
        for (cell, record) in cells.zip(records.chunks(geometry.max_page_payload_len())) {
            let payload = geometry.page_payload_len(Page, cell).and_then(|length| record.get(..length));
            let Self { receiver, keeper, .. } = self;
            match receiver.handle_fetched_page(component, cell, payload.unwrap_or_default()) {
                Ok(actions) => {
                    let done = actions.for_each(|action| keeper.act(&action, tell));
                    self.or_decline(done)?;
                    right += 1;
                }
                Err(_) => is_wrong = true,
            }
        }
        Ok((right, is_wrong))
    }

    /// Takes chunks of one cell, from the image. Returns how many were right and needed, and whether one was wrong.
    fn take_chunks(
        &mut self,
        component: u8,
        positions: Range<u32>,
        bytes: &[u8],
        tell: Tell<'_>,
    ) -> Result<(u64, bool), DeviceError> {
        let (mut right, mut is_wrong) = (0, false);
        let Some(&geometry) = self.receiver.geometry(component) else { return Ok((0, false)) };
        let loaded = self.load_page(component, geometry.slot(positions.start).0, tell)?;
        for (position, octets) in positions.zip(bytes.chunks(geometry.chunk_len())) {
            let mut chunk = octets.to_vec();
            chunk.resize(geometry.chunk_len(), 0);
            let Some((block, _)) = geometry.symbol(position) else { continue };
            // It came in the meantime, or its page is gone again: then the octets cannot be judged.
            if self.receiver.has(component, position)
                || self.receiver.missing(component, block) == 0
                || !self.receiver.knows_page(component, geometry.slot(position).0)
            {
                continue;
            }
            if !self.receiver.handle_stored_chunk(component, position, &chunk) {
                is_wrong = true;
                continue;
            }
            right += 1;
            if let Some((offset, length)) = geometry.image_range(position) {
                let done = self.keeper.storage()?.write(component, offset, chunk.get(..length).unwrap_or_default());
                self.keeper.note_failing(done)?;
            }
        }
        self.release_pages(component, loaded);
        Ok((right, is_wrong))
    }

    fn needed_run(&self, component: u8, cell: u32) -> Option<Range<u32>> {
        let geometry = self.receiver.geometry(component).filter(|geometry| cell < geometry.source_cells())?;
        let has = |position| self.receiver.has(component, position);
        needed_run(geometry, cell, has, |block| self.receiver.missing(component, block))
    }

    /// Whether the page of a cell is at hand, or follows from what the storage has.
    fn has_page(&mut self, component: u8, cell: u32, tell: Tell<'_>) -> Result<bool, DeviceError> {
        let loaded = self.load_page(component, cell, tell)?;
        let has_page = self.receiver.knows_page(component, cell);
        self.release_pages(component, loaded);
        Ok(has_page)
    }

    /// Neighbouring cells, from one that lacks its page on, that lack theirs and are needed.
    fn pages_from(&mut self, component: u8, cell: u32, tell: Tell<'_>) -> Result<Range<u32>, DeviceError> {
        let record = self.receiver.geometry(component).map_or(1, |geometry| geometry.max_page_payload_len() as u64);
        let most = u32::try_from(MAX_PAGES / record).unwrap_or(1).max(1);
        let mut end = cell + 1;
        while end - cell < most && self.needed_run(component, end).is_some() && !self.has_page(component, end, tell)? {
            end += 1;
        }
        Ok(cell..end)
    }
}
