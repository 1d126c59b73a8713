//! Passes on what verified: from groups or another relay to a local group or to listed hosts (spec §8 \[C-10 .. C-16, C-18\]).
//!
//! | module | what it does |
//! | --- | --- |
//! | this one | which packets go on, and with which count; pure |
//! | [`window`] | what went a moment ago, and does not go again; pure |
//! | [`queue`] | what waits for its turn, and what is dropped for want of it; pure |
//! | [`upstream`] | the sockets that hear |
//! | [`downstream`] | the sockets that send |
//! | [`driver`] | all of them together |
//! | [`report`] | what the operator is told |

pub mod downstream;
pub mod driver;
pub mod queue;
pub mod report;
pub mod upstream;
pub mod window;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use fleetcast_core::manifest::Manifest;
use fleetcast_core::session::{Verifier, VerifierConfig};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Trust, Verified};
use fleetcast_core::wire::{COUNT_MASK, Header, Object, Packet, StatementKind};

use crate::batch::Batch;
use queue::Queue;
use window::Window;

/// Longest that a packet waits for its turn, if the link is fast enough for some packets in that time.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// Packets that may always wait, however slow the link.
const MIN_PACKETS: u32 = 4;

/// What went within so many times the longest wait does not go again. Packets in a circle of fewer relays come back in that time.
const WINDOW: u32 = 4;

/// Most octets of chunks that wait.
const MAX_OCTETS: usize = 4 << 20;

/// Layers that a header can name.
const LAYERS: usize = 16;

/// Decides which packets go on. It has no clock and no socket: the caller tells the time since an origin of its own.
///
/// Memory is bounded whatever comes: that of the [`Verifier`], with no more than 1,024 roots, 5 MiB of packets that wait, and half a MiB
/// for what went.
#[derive(Debug)]
pub struct Relay {
    verifier: Verifier,
    window: Window,
    queue: Queue,
    /// Packets sent so far on each layer; modulo 2^28 it is in each header \[W-5\].
    counts: [u32; LAYERS],
    counters: Counters,
}

/// What came and what became of it, in packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that came.
    pub received: u64,
    /// Packets that verified.
    pub verified: u64,
    /// Roots among them.
    pub roots: u64,
    /// Beacons among them.
    pub beacons: u64,
    /// Keyed by code, of which there are few: nothing a sender does makes a new one.
    dropped: BTreeMap<&'static str, u64>,
}

impl Counters {
    fn drop(&mut self, code: &'static str) {
        *self.dropped.entry(code).or_default() += 1;
    }
}

impl Relay {
    /// A relay of what `config` trusts, on a link of `rate` bits a second. `config.seed` makes its choices unpredictable.
    #[must_use]
    pub fn new(config: VerifierConfig, rate: NonZeroU64) -> Self {
        let longest = Duration::from_nanos((config.max_packet as u64 * 8).saturating_mul(1_000_000_000) / rate);
        let max_wait = MAX_WAIT.max(longest * MIN_PACKETS);
        let (seed, least, most) = (config.seed, MIN_PACKETS as usize, (MAX_OCTETS / config.max_packet.max(1)).max(64));
        // As many as go in that time, if all were of the largest.
        let room = max_wait.as_nanos() / longest.as_nanos().max(1);
        let room = usize::try_from(room).unwrap_or(most);
        Self {
            verifier: Verifier::new(config),
            window: Window::new(max_wait * WINDOW, seed),
            queue: Queue::new(room.clamp(least, most), max_wait, seed),
            counts: [0; LAYERS],
            counters: Counters::default(),
        }
    }

    /// Takes a datagram that came at `now`; `source` is a number for the address it came from. Whatever goes on because of it
    /// waits for [`Relay::next_packet`].
    pub fn handle_datagram(&mut self, now: Duration, source: u64, datagram: &[u8]) {
        let Self { verifier, window, queue, counters, .. } = self;
        counters.received += 1;
        let packet = match Packet::decode(datagram) {
            Ok(packet) => packet,
            Err(e) => return counters.drop(e.code()),
        };
        // Before it is verified, for that costs more. What is in the window has verified.
        if window.contains(now, &packet) {
            return counters.drop("duplicate");
        }
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        verifier.handle_packet(Instant::from_micros(micros), source, packet, &mut |packet| {
            counters.verified += 1;
            match packet.header.object {
                Object::Statement { kind: StatementKind::Root, .. } => counters.roots += 1,
                Object::Statement { kind: StatementKind::Beacon, .. } => counters.beacons += 1,
                _ => {}
            }
            if window.contains(now, &packet) {
                counters.drop("duplicate");
            } else if queue.push(now, source, packet) {
                // Only what goes on: another copy may come when there is room.
                window.insert(now, &packet);
            } else {
                counters.drop("queue-full");
            }
        });
    }

    /// Octets of the packet that goes next, if one waits at `now`. What has waited too long is dropped.
    pub fn next_len(&mut self, now: Duration) -> Option<usize> {
        for _ in 0..self.queue.drop_late(now) {
            self.counters.drop("late");
        }
        self.queue.next_len()
    }

    /// Adds the packet that goes next to `batch`, as it came but for its packet count \[C-11\].
    pub fn next_packet(&mut self, batch: &mut Batch) {
        let Some((header, payload)) = self.queue.pop() else { return };
        let Some(count) = self.counts.get_mut(usize::from(header.layer)) else { return };
        batch.push(&Header { count: *count, ..header }.encode(), &payload);
        *count = count.wrapping_add(1) & COUNT_MASK;
    }

    /// The releases that go on.
    pub fn manifests(&self) -> impl Iterator<Item = &Verified<Manifest>> {
        self.verifier.manifests()
    }

    /// Whose statements go on, by the roots that have come.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        self.verifier.trust()
    }

    /// What came and how much of it verified.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Causes for which packets were dropped (spec §12), with how many were.
    #[must_use]
    pub fn dropped(&self) -> BTreeMap<&'static str, u64> {
        let mut dropped = self.counters.dropped.clone();
        for (code, count) in self.verifier.counters().dropped() {
            *dropped.entry(code).or_default() += count;
        }
        dropped
    }
}
