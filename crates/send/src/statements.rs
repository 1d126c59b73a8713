//! When roots and the beacon go on the air, between the packets of the carousel (spec §8 \[C-17\]). Pure: time in, what is due out.
//!
//! Several senders need no coordination for it: to hear one twice costs a device nothing.

use std::time::Duration;

use fleetcast_core::wire::{HEADER_LEN, Object, StatementKind};
use serde::Serialize;

use crate::notices::chain::SentRoot;
use crate::pacing::Pace;

/// From one beacon to the next; longer where the beacon would take more than one part in [`BEACON_PART`] of the rate.
const BEACON_EVERY: Duration = Duration::from_secs(2);
const BEACON_PART: u32 = 20;
/// But no longer than this, whatever the rate.
const BEACON_AT_LEAST: Duration = Duration::from_secs(5);

/// From a root to when it comes again; longer where the roots would take more than one part in [`ROOT_PART`] of the rate.
const ROOTS_EVERY: Duration = Duration::from_secs(10);
const ROOT_PART: u32 = 100;
/// The part in which they come the first time: devices that wait for them are there already.
const FIRST_ROOT_PART: u32 = 10;

/// Statements sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Roots.
    pub roots: u64,
    /// Beacons.
    pub beacons: u64,
}

/// Roots and beacon, and when each is due.
#[derive(Debug)]
pub struct Statements {
    /// That of the base layer.
    pace: Pace,
    roots: Vec<SentRoot>,
    beacon: Option<Vec<u8>>,
    /// Place of the root that comes next.
    next_root: usize,
    root_at: Duration,
    beacon_at: Duration,
    /// Roots that have yet to come the first time.
    new_roots: usize,
    counts: Counts,
}

/// A statement that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The beacon.
    Beacon,
    /// The root at this place of the chain.
    Root(usize),
}

impl Statements {
    /// Statements for a base layer of this pace; all are due at once, one after the other.
    #[must_use]
    pub fn new(pace: Pace, roots: Vec<SentRoot>, beacon: Option<Vec<u8>>) -> Self {
        let (root_at, beacon_at) = (Duration::ZERO, Duration::ZERO);
        let new_roots = roots.len();
        Self { pace, roots, beacon, next_root: 0, root_at, beacon_at, new_roots, counts: Counts::default() }
    }

    /// Sends another beacon from now on, the first time at once; with `None` no beacon.
    pub fn set_beacon(&mut self, statement: Option<Vec<u8>>) {
        (self.beacon, self.beacon_at) = (statement, Duration::ZERO);
    }

    /// Sends these roots from now on: those there were, and behind them new ones, which come next.
    pub fn set_roots(&mut self, roots: Vec<SentRoot>) {
        self.next_root = self.roots.len().min(roots.len().saturating_sub(1));
        self.new_roots = roots.len().saturating_sub(self.roots.len());
        (self.roots, self.root_at) = (roots, Duration::ZERO);
    }

    /// What is due at `now`, or has been for longer, the beacon before a root. It counts as sent.
    pub fn next(&mut self, now: Duration) -> Option<Due> {
        let is_root_due = !self.roots.is_empty() && now >= self.root_at;
        // On a link so slow that both are always due, neither keeps the other from its turn.
        if self.beacon.is_some() && now >= self.beacon_at && !(is_root_due && self.root_at < self.beacon_at) {
            let takes = self.pace.time_of(self.len_of(Due::Beacon)).saturating_mul(BEACON_PART);
            self.beacon_at = now + takes.clamp(BEACON_EVERY, BEACON_AT_LEAST);
            self.counts.beacons += 1;
            return Some(Due::Beacon);
        }
        if !is_root_due {
            return None;
        }
        let due = Due::Root(self.next_root);
        let (time, count) = (self.pace.time_of(self.len_of(due)), self.roots.len());
        let gap = if self.new_roots > 0 {
            time.saturating_mul(FIRST_ROOT_PART)
        } else {
            time.saturating_mul(ROOT_PART).max(ROOTS_EVERY / u32::try_from(count).unwrap_or(u32::MAX))
        };
        self.root_at = now.saturating_add(gap);
        self.next_root = (self.next_root + 1) % count;
        self.new_roots = self.new_roots.saturating_sub(1);
        self.counts.roots += 1;
        Some(due)
    }

    /// A statement, and as what it goes.
    #[must_use]
    pub fn get(&self, due: Due) -> Option<(Object, &[u8])> {
        match due {
            Due::Beacon => {
                let object = Object::Statement { kind: StatementKind::Beacon, number: 0 };
                self.beacon.as_deref().map(|statement| (object, statement))
            }
            Due::Root(place) => self.roots.get(place).map(|SentRoot { version, statement }| {
                (Object::Statement { kind: StatementKind::Root, number: *version }, statement.as_slice())
            }),
        }
    }

    /// Octets of its packet.
    #[must_use]
    pub fn len_of(&self, due: Due) -> usize {
        HEADER_LEN + self.get(due).map_or(0, |(_, statement)| statement.len())
    }

    /// Octets of the longest packet; 0 if there is none.
    #[must_use]
    pub fn longest(&self) -> usize {
        let all = (0..self.roots.len()).map(Due::Root).chain(self.beacon.is_some().then_some(Due::Beacon));
        all.map(|due| self.len_of(due)).max().unwrap_or(0)
    }

    /// What was sent; `None` if there is nothing to send.
    #[must_use]
    pub fn counts(&self) -> Option<Counts> {
        (self.longest() > 0).then_some(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn rate(bits: u64) -> Pace {
        Pace::Rate(NonZeroU64::new(bits).unwrap())
    }

    fn statements(pace: Pace, roots: u16, beacon: bool) -> Statements {
        let root = |version| SentRoot { version, statement: vec![1; 700] };
        Statements::new(pace, (1..=roots).map(root).collect(), beacon.then(|| vec![2; 300]))
    }

    /// What goes until `until`, with a packet of 1,044 octets of the carousel after each, or instead.
    fn simulate(statements: &mut Statements, until: Duration) -> Vec<(Duration, Due)> {
        let (mut now, mut all) = (Duration::ZERO, Vec::new());
        while now < until {
            if let Some(due) = statements.next(now) {
                all.push((now, due));
                now += statements.pace.time_of(statements.len_of(due));
            }
            now += statements.pace.time_of(1044);
        }
        all
    }

    /// Longest time without what `is_it` picks.
    fn longest_gap(sent: &[(Duration, Due)], is_it: impl Fn(Due) -> bool) -> Duration {
        let times: Vec<_> = sent.iter().filter(|(_, due)| is_it(*due)).map(|(at, _)| *at).collect();
        times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap()
    }

    const HOUR: Duration = Duration::from_hours(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_device_that_joins_first_gets_all_soon() {
        let sent = simulate(&mut statements(rate(10_000_000), 5, true), SECOND);
        let order: Vec<_> = sent.iter().map(|(_, due)| *due).collect();
        assert_eq!(order[0], Due::Beacon);
        assert_eq!(order[1..6], [0, 1, 2, 3, 4].map(Due::Root));
        assert!(sent[5].0 < SECOND / 10, "{sent:?}");
    }

    #[test]
    fn a_beacon_comes_every_two_to_five_seconds_and_each_root_every_minute() {
        for (bits, roots) in [(1_000_000_000, 500), (10_000_000, 50), (1_000_000, 10), (200_000, 2)] {
            let mut statements = statements(rate(bits), roots, true);
            let sent = simulate(&mut statements, SECOND * 300);
            let packet = rate(bits).time_of(1044) * 2;
            assert!(longest_gap(&sent, |due| due == Due::Beacon) < BEACON_AT_LEAST + packet, "{bits}");
            for root in 0..usize::from(roots) {
                assert!(longest_gap(&sent, |due| due == Due::Root(root)) < SECOND * 60, "{bits}: root {root}");
            }
            let counts = statements.counts().unwrap();
            assert_eq!(counts.roots + counts.beacons, sent.len() as u64);
            let octets = counts.roots * 720 + counts.beacons * 320;
            assert!(octets * 8 < bits * 300 * 6 / 100, "{bits}: {octets} octets in five minutes");
        }
    }

    #[test]
    fn where_the_rate_is_low_roots_take_a_hundredth_of_it_and_go_in_order() {
        for (bits, roots) in [(64_000, 50), (10_000_000, 2000)] {
            let mut statements = statements(rate(bits), roots, false);
            let sent = simulate(&mut statements, HOUR * 3);
            // After the first time.
            let sent = &sent[usize::from(roots)..];
            let order = (0..usize::from(roots)).cycle().map(Due::Root);
            assert!(sent.iter().map(|(_, due)| *due).zip(order).all(|(got, expected)| got == expected));
            let seconds = sent[sent.len() - 1].0.saturating_sub(sent[0].0).as_secs();
            let part = bits * seconds / 100;
            assert!((part * 9 / 10..=part + part / 100).contains(&(sent.len() as u64 * 720 * 8)), "{bits}");
        }
    }

    #[test]
    fn on_the_slowest_of_links_roots_and_beacon_take_turns() {
        for pace in [Pace::Delay(HOUR), rate(400)] {
            let sent = simulate(&mut statements(pace, 3, true), HOUR * 1000);
            let beacons = sent.iter().filter(|(_, due)| *due == Due::Beacon).count();
            assert!(beacons * 10 > sent.len() * 4 && beacons < sent.len(), "{beacons} of {}", sent.len());
        }
    }

    #[test]
    fn another_beacon_goes_at_once_and_a_stall_is_followed_by_no_burst() {
        let mut statements = statements(rate(10_000_000), 2, true);
        simulate(&mut statements, SECOND * 30);
        while statements.next(SECOND * 30).is_some() {}
        statements.set_beacon(Some(vec![3; 290]));
        assert_eq!(statements.next(SECOND * 30), Some(Due::Beacon));
        assert_eq!(statements.get(Due::Beacon).unwrap().1, [3; 290]);
        assert_eq!(statements.next(SECOND * 30), None);
        let after = |statements: &mut Statements| std::iter::from_fn(|| statements.next(HOUR)).count();
        assert_eq!(after(&mut statements), 2, "a root and the beacon");
    }

    #[test]
    fn new_roots_come_next_and_soon_and_then_all_in_turn() {
        let mut statements = statements(rate(10_000_000), 2, true);
        simulate(&mut statements, SECOND * 30);
        let root = |version| SentRoot { version, statement: vec![1; 700] };
        statements.set_roots((1..=4).map(root).collect());
        statements.set_beacon(None);
        let roots: Vec<_> = std::iter::successors(Some(SECOND * 30), |now| Some(*now + SECOND / 10))
            .take(300)
            .filter_map(|now| Some((now, statements.next(now)?)))
            .collect();
        let order: Vec<_> = roots.iter().map(|(_, due)| *due).collect();
        assert_eq!(order[..6], [2, 3, 0, 1, 2, 3].map(Due::Root));
        assert!(roots[1].0 < SECOND * 31 && roots[4].0 > SECOND * 34, "{roots:?}");
        assert!(!order.contains(&Due::Beacon));
    }

    #[test]
    fn with_nothing_to_send_nothing_is_due() {
        let mut statements = statements(Pace::Unlimited, 0, false);
        assert_eq!((statements.next(HOUR), statements.counts(), statements.longest()), (None, None, 0));
    }
}
