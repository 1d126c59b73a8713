//! Which packets to send once more, since receivers ask for them (spec §16). Pure: time and requests in, slots out.
//!
//! Anybody can send a request. So all that is kept is bounded, and answers are never more than a share of the packets.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use fleetcast_core::fec::Slot;
use fleetcast_core::nack::{Entry, Release, Request, release_of};
use fleetcast_core::tree::Geometry;
use fleetcast_core::wire::PageKind;
use serde::Serialize;

use crate::release::ReleaseFile;

/// Percent of the packets that are answers at most, unless told otherwise.
pub const SHARE: u8 = 25;

/// What it may be.
pub const SHARES: RangeInclusive<u8> = 1..=50;

/// Most requests taken a second \[N-11\].
const PER_SECOND: u32 = 64;
/// Most of one source a second: of all addresses that fall into one of [`SOURCES`] places.
const PER_SOURCE: u8 = 4;
/// Places for source addresses.
const SOURCES: usize = 256;
/// Cells of which something is wanted or was sent lately.
const MAX_CELLS: usize = 1024;
/// What has waited this long is dropped: who still wants it asks again, or has it from the carousel.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How long what was sent once more is not sent again for a request \[N-11\].
const HOLD: Duration = Duration::from_secs(1);
/// Answers that may go in a row, after a time without any.
const BURST: u32 = 4;

/// Requests and their answers so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests taken.
    pub requests: u64,
    /// Packets sent once more.
    pub answers: u64,
    /// Requests dropped by code; `full` counts entries of those taken.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// What receivers want, and when it is their turn.
#[derive(Debug)]
pub struct Answers {
    release: Release,
    components: Vec<Geometry>,
    /// Percent of the packets, 1 to 50.
    share: u32,
    /// Grows by the share with each packet of the carousel; an answer costs what the carousel keeps.
    credit: u32,
    cells: HashMap<(u8, u32), Wanted>,
    /// Cells of which something is wanted, the oldest first.
    queue: VecDeque<(u8, u32)>,
    limits: Limits,
    counts: Counts,
}

/// What is wanted of a cell, and what was sent of it within the last [`HOLD`].
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    want: Part,
    since: Duration,
    sent: Part,
    sent_at: Duration,
}

/// Packets of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    page: bool,
    slots: u64,
}

impl Part {
    const fn is_empty(self) -> bool {
        !self.page && self.slots == 0
    }
}

/// Requests taken in the current second.
#[derive(Debug)]
struct Limits {
    second: u64,
    all: u32,
    sources: [u8; SOURCES],
    /// Random: nobody can choose an address that shares another's place.
    seed: u64,
}

impl Answers {
    /// Nothing is wanted yet. Of all packets at most `share` percent ([`SHARES`]) are answers. `seed` is what receivers cannot know.
    #[must_use]
    pub fn new(release: Release, components: Vec<Geometry>, share: u8, seed: u64) -> Self {
        let limits = Limits { second: 0, all: 0, sources: [0; SOURCES], seed };
        Self {
            release,
            components,
            share: u32::from(share.clamp(*SHARES.start(), *SHARES.end())),
            credit: 0,
            cells: HashMap::new(),
            queue: VecDeque::new(),
            limits,
            counts: Counts::default(),
        }
    }

    /// As [`Answers::new`], for what `release` has.
    #[must_use]
    pub fn of(release: &ReleaseFile, share: u8, seed: u64) -> Self {
        let (name, components) = asked_of(release);
        Self::new(name, components, share, seed)
    }

    /// Answers for another release from now on, and forgets what was wanted of the one before.
    pub fn take_over(&mut self, release: &ReleaseFile) {
        (self.release, self.components) = asked_of(release);
        self.cells.clear();
        self.queue.clear();
    }

    /// Takes a datagram that came at `now` from `source`: anybody's, so it is counted and never an error.
    pub fn handle_datagram(&mut self, now: Duration, source: IpAddr, datagram: &[u8]) {
        let request = match Request::decode(datagram) {
            Ok(request) if request.release == self.release => request,
            Ok(_) => return self.drop("other-release"),
            Err(e) => return self.drop(e.code()),
        };
        if !self.limits.take(now, source) {
            return self.drop("rate");
        }
        let exists =
            |entry: &Entry| self.components.get(usize::from(entry.component)).is_some_and(|g| entry.exists_in(g));
        if !request.entries().all(|entry| exists(&entry)) {
            return self.drop("range");
        }
        self.counts.requests += 1;
        self.tidy(now);
        for entry in request.entries() {
            self.want(now, entry);
        }
    }

    /// A packet of the carousel has gone.
    pub fn carousel_sent(&mut self) {
        self.credit = (self.credit + self.share).min(BURST * self.cost());
    }

    /// What to send once more at `now`, if something is wanted and the carousel has had its share. It counts as sent.
    pub fn next(&mut self, now: Duration) -> Option<Slot> {
        while self.credit >= self.cost() {
            let key @ (component, cell) = *self.queue.front()?;
            let wanted =
                self.cells.get_mut(&key).filter(|wanted| !wanted.want.is_empty() && now < wanted.since + MAX_WAIT);
            let Some(wanted) = wanted else {
                self.give_up(key);
                continue;
            };
            let slot = if std::mem::take(&mut wanted.want.page) {
                wanted.sent.page = true;
                Slot::Page { kind: PageKind::Page, component, cell }
            } else {
                let number = wanted.want.slots.trailing_zeros();
                wanted.want.slots &= !(1 << number);
                wanted.sent.slots |= 1 << number;
                let start = self.components.get(usize::from(component))?.cell_at(cell)?.start;
                Slot::Chunk { component, position: start + number }
            };
            wanted.sent_at = now;
            if wanted.want.is_empty() {
                self.queue.pop_front();
            }
            self.credit -= self.cost();
            self.counts.answers += 1;
            return Some(slot);
        }
        None
    }

    /// What came and what was answered.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    const fn cost(&self) -> u32 {
        100 - self.share
    }

    fn drop(&mut self, code: &'static str) {
        *self.counts.dropped.entry(code).or_default() += 1;
    }

    fn want(&mut self, now: Duration, Entry { component, cell, page, slots }: Entry) {
        let key = (component, cell);
        if !self.cells.contains_key(&key) && self.cells.len() >= MAX_CELLS {
            return self.drop("full");
        }
        let wanted = self.cells.entry(key).or_default();
        if now >= wanted.sent_at + HOLD {
            wanted.sent = Part::default();
        }
        let was_empty = wanted.want.is_empty();
        wanted.want.page |= page && !wanted.sent.page;
        wanted.want.slots |= slots & !wanted.sent.slots;
        if was_empty && !wanted.want.is_empty() {
            wanted.since = now;
            self.queue.push_back(key);
        }
    }

    /// The first of the queue is wanted no more.
    fn give_up(&mut self, key: (u8, u32)) {
        self.queue.pop_front();
        if let Some(wanted) = self.cells.get_mut(&key) {
            wanted.want = Part::default();
        }
    }

    /// Forgets cells of which nothing is wanted and nothing was sent lately.
    fn tidy(&mut self, now: Duration) {
        self.cells.retain(|_, wanted| !wanted.want.is_empty() || now < wanted.sent_at + HOLD);
    }
}

/// What requests name of a release: itself, and its components.
fn asked_of(release: &ReleaseFile) -> (Release, Vec<Geometry>) {
    (release_of(release.manifest().payload_digest()), release.geometries().copied().collect())
}

impl Limits {
    /// Whether one more request may be taken.
    fn take(&mut self, now: Duration, source: IpAddr) -> bool {
        if self.second != now.as_secs() {
            (self.second, self.all, self.sources) = (now.as_secs(), 0, [0; SOURCES]);
        }
        let mut hasher = DefaultHasher::new();
        (self.seed, source).hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % SOURCES as u64).unwrap_or_default();
        let Some(own) = self.sources.get_mut(place).filter(|own| **own < PER_SOURCE) else { return false };
        if self.all >= PER_SECOND {
            return false;
        }
        *own += 1;
        self.all += 1;
        true
    }
}

#[cfg(test)]
mod tests;
