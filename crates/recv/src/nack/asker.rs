//! What to ask for and when: a state machine without clock, socket or randomness of its own (spec §16).
//!
//! | state | entered | left |
//! | --- | --- | --- |
//! | resting | at the start; after a request, its own or one heard while it waited | after a time, if it needs to ask |
//! | waiting | when it needs to ask | at the end of a random time: it asks; or when another asks |
//! | silent | several requests in a row brought nothing | another release |

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fleetcast_core::nack::{Entry, MAX_ENTRIES, Release, Request, encode};
use fleetcast_core::time::Instant;
use fleetcast_core::tree::Geometry;
use fleetcast_core::wire::MAX_COMPONENTS;

use super::backoff::backoff;
use super::{Counts, Pace};

/// Time between two looks at whether it needs to ask.
const LOOK: Duration = Duration::from_millis(500);
/// Chunks that must have come for a look to tell.
const LEAST_CAME: u64 = 32;
/// It needs to ask when less than one in so many of the chunks that come is new.
const NEW: u64 = 4;
/// Requests in a row that brought nothing, after which it asks no more.
const MAX_UNANSWERED: u32 = 3;
/// Cells that are remembered as asked for.
const MAX_CLAIMS: usize = 1024;

/// What a receiver lacks, as far as asking for it goes.
pub trait Lack {
    /// The release being received; `None` if there is none, or nothing of it is needed any more.
    fn release(&self) -> Option<Release>;
    /// Geometry of a component.
    fn geometry(&self, component: u8) -> Option<&Geometry>;
    /// Chunks that a block lacks until it can be restored.
    fn missing(&self, component: u8, block: u16) -> u16;
    /// Whether the chunk at this position is missing and would be of use.
    fn wants(&self, component: u8, position: u32) -> bool;
    /// Whether the page of a cell is not there.
    fn lacks_page(&self, component: u8, cell: u32) -> bool;
    /// Chunks that came so far: new ones, and others.
    fn came(&self) -> (u64, u64);
}

/// Asks for what one receiver lacks.
#[derive(Debug)]
pub struct Asker {
    pace: Pace,
    rng: fastrand::Rng,
    state: State,
    release: Option<Release>,
    /// What had come when it was last looked at.
    came: (u64, u64),
    /// Little of what came until then was new.
    is_late: bool,
    /// What somebody has asked for and is on its way, by component and cell.
    claims: BTreeMap<(u8, u32), Claim>,
    /// Its own last request, until it is seen what that brought.
    asked: Vec<Entry>,
    unanswered: u32,
    /// When it asked within the last minute.
    last: VecDeque<Instant>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting(Instant),
    Waiting(Instant),
    Silent(Instant),
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    page: bool,
    slots: u64,
    until: Instant,
}

impl Asker {
    /// One that looks for the first time at `now`. `seed` is random, so that receivers wait for different times.
    #[must_use]
    pub fn new(pace: Pace, now: Instant, seed: u64) -> Self {
        Self {
            pace,
            rng: fastrand::Rng::with_seed(seed),
            state: State::Resting(now),
            release: None,
            came: (0, 0),
            is_late: false,
            claims: BTreeMap::new(),
            asked: Vec::new(),
            unanswered: 0,
            last: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// When to call [`Asker::handle_timeout`].
    #[must_use]
    pub const fn next_timeout(&self) -> Instant {
        let (State::Resting(until) | State::Waiting(until) | State::Silent(until)) = self.state;
        until
    }

    /// Takes a datagram of the feedback group: anybody's, so it is counted and never an error.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let request = match Request::decode(datagram) {
            Ok(request) if Some(request.release) == self.release => request,
            Ok(_) => return self.counts.drop("other-release"),
            Err(e) => return self.counts.drop(e.code()),
        };
        self.counts.heard += 1;
        self.claim(now, request.entries());
        if let State::Waiting(_) = self.state {
            self.counts.suppressed += 1;
            self.state = State::Resting(now.after(self.pace.hold));
        }
    }

    /// Does what is due at `now`; gives a request to send, if it is time for one.
    pub fn handle_timeout(&mut self, now: Instant, lack: &impl Lack) -> Option<Vec<u8>> {
        if now < self.next_timeout() {
            return None;
        }
        let release = lack.release();
        if release != self.release {
            self.forget(release, lack);
        }
        let look = now.after(LOOK);
        let is_late = self.look(lack);
        if release.is_none() || matches!(self.state, State::Silent(_)) {
            self.state = if release.is_none() { State::Resting(look) } else { State::Silent(look) };
            return None;
        }
        self.judge(lack);
        if self.unanswered >= MAX_UNANSWERED {
            self.state = State::Silent(look);
            return None;
        }
        if !is_late {
            self.state = State::Resting(look);
            return None;
        }
        if let State::Resting(_) = self.state {
            self.state = State::Waiting(now.after(backoff(self.pace.window, self.rng.f64())));
            return None;
        }
        if let Some(until) = self.too_many(now) {
            self.state = State::Resting(until);
            return None;
        }
        self.state = State::Resting(look);
        self.ask(now, lack)
    }

    /// What it did so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether it asks no more for this release, since nobody answers.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        matches!(self.state, State::Silent(_))
    }

    fn forget(&mut self, release: Option<Release>, lack: &impl Lack) {
        (self.release, self.came, self.is_late) = (release, lack.came(), false);
        self.claims.clear();
        self.asked.clear();
        self.unanswered = 0;
        if let State::Silent(until) = self.state {
            self.state = State::Resting(until);
        }
    }

    /// Whether little of what comes is new \[N-7\]; as before, if too little has come to tell.
    fn look(&mut self, lack: &impl Lack) -> bool {
        let came = lack.came();
        let (new, known) = (came.0.saturating_sub(self.came.0), came.1.saturating_sub(self.came.1));
        if new + known >= LEAST_CAME {
            (self.came, self.is_late) = (came, new * NEW < new + known);
        }
        self.is_late
    }

    /// Finds out what its last request has brought.
    fn judge(&mut self, lack: &impl Lack) {
        if self.asked.is_empty() || matches!(self.state, State::Waiting(_)) {
            return;
        }
        let has_come = |entry: &Entry| {
            let wanted = wanted_slots(lack, entry.component, entry.cell);
            wanted & entry.slots != entry.slots || entry.page && !lack.lacks_page(entry.component, entry.cell)
        };
        self.unanswered = if self.asked.iter().any(has_come) { 0 } else { self.unanswered + 1 };
        self.counts.unanswered += u64::from(self.unanswered > 0);
        self.asked.clear();
    }

    /// Until when it must wait to ask no more often than it may \[N-10\].
    fn too_many(&mut self, now: Instant) -> Option<Instant> {
        const MINUTE: Duration = Duration::from_mins(1);
        self.last.retain(|&at| now.since(at) < MINUTE);
        let is_full = self.last.len() >= self.pace.per_minute.into();
        self.last.front().filter(|_| is_full).map(|first| first.after(MINUTE))
    }

    fn ask(&mut self, now: Instant, lack: &impl Lack) -> Option<Vec<u8>> {
        let wanted = self.wanted(now, lack);
        let release = self.release.filter(|_| !wanted.is_empty())?;
        self.state = State::Resting(now.after(self.pace.hold));
        self.last.push_back(now);
        self.counts.sent += 1;
        self.claim(now, wanted.iter().copied());
        let datagram = encode(&release, &wanted);
        self.asked = wanted;
        Some(datagram)
    }

    /// What nobody has asked for lately, as much as fits a request, from a random cell of each component on.
    fn wanted(&mut self, now: Instant, lack: &impl Lack) -> Vec<Entry> {
        self.claims.retain(|_, claim| claim.until > now);
        let mut wanted = Vec::new();
        for component in (0..).take(MAX_COMPONENTS) {
            let Some(geometry) = lack.geometry(component) else { break };
            let mut missing = self.missing(geometry, component, lack);
            let start = self.rng.u32(..geometry.cells().max(1));
            for cell in (start..geometry.cells()).chain(0..start) {
                if wanted.len() >= MAX_ENTRIES || missing.iter().all(|&count| count == 0) {
                    break;
                }
                let claim = self.claims.get(&(component, cell));
                let claimed = claim.map_or(0, |claim| claim.slots);
                let mut slots = 0;
                for (slot, block) in wanted_of(lack, geometry, component, cell) {
                    if let Some(count) = missing.get_mut(usize::from(block)).filter(|count| **count > 0)
                        && claimed & 1 << slot == 0
                    {
                        *count -= 1;
                        slots |= 1 << slot;
                    }
                }
                let page = slots != 0 && claim.is_none_or(|claim| !claim.page) && lack.lacks_page(component, cell);
                if slots != 0 {
                    wanted.push(Entry { component, cell, page, slots });
                }
            }
        }
        wanted
    }

    /// Chunks that each block lacks, without those on their way.
    fn missing(&self, geometry: &Geometry, component: u8, lack: &impl Lack) -> Vec<u16> {
        let blocks = u16::try_from(geometry.blocks()).unwrap_or(u16::MAX);
        let mut missing: Vec<_> = (0..blocks).map(|block| lack.missing(component, block)).collect();
        for (&(_, cell), claim) in self.claims.range((component, 0)..=(component, u32::MAX)) {
            for (slot, block) in wanted_of(lack, geometry, component, cell) {
                if let Some(count) = missing.get_mut(usize::from(block)).filter(|_| claim.slots & 1 << slot != 0) {
                    *count = count.saturating_sub(1);
                }
            }
        }
        missing
    }

    fn claim(&mut self, now: Instant, entries: impl Iterator<Item = Entry>) {
        let until = now.after(self.pace.hold);
        for Entry { component, cell, page, slots } in entries {
            let known = self.claims.get_mut(&(component, cell)).map(|claim| {
                if claim.until <= now {
                    *claim = Claim { page: false, slots: 0, until };
                }
                *claim = Claim { page: claim.page | page, slots: claim.slots | slots, until };
            });
            if known.is_none() && self.claims.len() < MAX_CLAIMS {
                self.claims.insert((component, cell), Claim { page, slots, until });
            }
        }
    }
}

/// Slots and blocks of the chunks of a cell that are missing and of use.
fn wanted_of<'a>(
    lack: &'a impl Lack,
    geometry: &'a Geometry,
    component: u8,
    cell: u32,
) -> impl Iterator<Item = (u32, u16)> + 'a {
    let place = geometry.cell_at(cell);
    let positions = place.into_iter().flat_map(|place| (0..place.len).map(move |slot| (slot, place.start + slot)));
    positions
        .filter(move |&(_, position)| lack.wants(component, position))
        .filter_map(move |(slot, position)| Some((slot, geometry.symbol(position)?.0)))
}

fn wanted_slots(lack: &impl Lack, component: u8, cell: u32) -> u64 {
    let Some(geometry) = lack.geometry(component) else { return 0 };
    wanted_of(lack, geometry, component, cell).fold(0, |slots, (slot, _)| slots | 1 << slot)
}

#[cfg(test)]
mod tests;
