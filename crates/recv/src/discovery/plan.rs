//! What is joined of an answer, and when DNS is asked again: no sockets, no clock, no randomness.

use std::net::IpAddr;
use std::time::Duration;

use fleetcast_core::time::Instant;

use super::answer::add;
use crate::config::Feed;

/// Time without anything from the senders joined until those of the next priority are joined too \[D-6\].
const QUIET: Duration = Duration::from_secs(30);
/// Least and longest time until DNS is asked again, whatever the TTL \[D-7\].
const TTL: (Duration, Duration) = (Duration::from_secs(10), Duration::from_hours(1));
/// Time until DNS is asked again after the first failure, and after many \[D-7\].
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));

/// What can be joined: a list of feeds for each priority, the one that is wanted most first; no feed is without sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan(Vec<Vec<Feed>>);

impl Plan {
    pub(super) const fn new(tiers: Vec<Vec<Feed>>) -> Self {
        Self(tiers)
    }

    /// The feeds of each priority.
    pub(super) fn tiers(&self) -> &[Vec<Feed>] {
        &self.0
    }

    /// The feeds of the first priorities together.
    pub(super) fn feeds(&self, depth: usize) -> Vec<Feed> {
        let mut feeds = Vec::new();
        self.0.iter().take(depth).flatten().for_each(|feed| add(&mut feeds, feed.clone()));
        feeds
    }

    /// The first priority, from 0, that has this sender.
    fn tier_of(&self, source: IpAddr) -> Option<usize> {
        self.0.iter().position(|tier| tier.iter().any(|feed| feed.sources.contains(&source)))
    }
}

/// What is known, how much of it is joined, and when to ask again.
#[derive(Debug)]
pub(super) struct State {
    plan: Plan,
    /// How many priorities are joined.
    depth: usize,
    /// Since when nothing has come from what is joined.
    quiet: Instant,
    next: Instant,
    failures: u32,
}

impl State {
    /// Knows `plan` so far, and asks at once.
    pub(super) const fn new(now: Instant, plan: Plan) -> Self {
        Self { plan, depth: 1, quiet: now, next: now, failures: 0 }
    }

    /// What to join.
    pub(super) fn feeds(&self) -> Vec<Feed> {
        self.plan.feeds(self.depth)
    }

    /// Whether nothing is known.
    pub(super) const fn is_empty(&self) -> bool {
        self.plan.0.is_empty()
    }

    /// When DNS is to be asked again.
    pub(super) const fn next_question(&self) -> Instant {
        self.next
    }

    /// DNS answered with this plan. `random`, 0 to 65,535, spreads the next questions of many devices.
    pub(super) fn handle_answer(&mut self, now: Instant, plan: Plan, ttl: Duration, random: u16) {
        self.failures = 0;
        let ttl = ttl.clamp(TTL.0, TTL.1);
        self.next = now.after(ttl + ttl / 10 * random.into() / u16::MAX.into());
        self.take(now, plan);
    }

    /// DNS did not answer, or what it answered is of no use: what is known stays.
    pub(super) fn handle_failure(&mut self, now: Instant, random: u16) {
        let wait = RETRY.0.saturating_mul(1 << self.failures.min(16)).min(RETRY.1);
        self.failures = self.failures.saturating_add(1);
        self.next = now.after(wait / 2 + wait / 2 * random.into() / u16::MAX.into());
    }

    /// Takes a plan, and leaves it as it is when DNS is asked again.
    pub(super) fn take(&mut self, now: Instant, plan: Plan) {
        if plan != self.plan {
            (self.plan, self.depth, self.quiet) = (plan, 1, now);
        }
    }

    /// Something that counts came from a sender: later priorities than its own are not needed.
    pub(super) fn handle_heard(&mut self, now: Instant, source: IpAddr) {
        if let Some(tier) = self.plan.tier_of(source)
            && tier < self.depth
        {
            (self.depth, self.quiet) = (tier + 1, now);
        }
    }

    /// Joins the next priority if it has been quiet for long enough.
    pub(super) fn handle_time(&mut self, now: Instant) {
        if now.since(self.quiet) >= QUIET && self.depth < self.plan.0.len() {
            (self.depth, self.quiet) = (self.depth + 1, now);
        }
    }
}

/// The groups of the settings, and beside them what was discovered. A group and port of the settings is as they say, whatever
/// DNS says of it \[D-5\].
pub(crate) fn beside(settings: &[Feed], discovered: Vec<Feed>) -> Vec<Feed> {
    let is_new = |feed: &Feed| !settings.iter().any(|known| known.group == feed.group);
    settings.iter().cloned().chain(discovered.into_iter().filter(is_new)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn source(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    fn feed(sources: &[u8]) -> Feed {
        Feed {
            group: "232.1.2.3:4000".parse().unwrap(),
            sources: sources.iter().copied().map(source).collect(),
            layers: 1,
        }
    }

    fn plan(tiers: &[&[u8]]) -> Plan {
        Plan::new(tiers.iter().map(|sources| vec![feed(sources)]).collect())
    }

    #[test]
    fn the_next_priority_joins_when_it_is_quiet_and_leaves_when_the_first_is_heard() {
        let mut state = State::new(at(0), plan(&[&[1, 2], &[3]]));
        assert_eq!(state.feeds(), [feed(&[1, 2])], "all of one priority at once");
        state.handle_time(at(29));
        assert_eq!(state.feeds(), [feed(&[1, 2])]);
        state.handle_heard(at(29), source(2));
        state.handle_heard(at(40), source(3));
        state.handle_heard(at(40), source(9));
        state.handle_time(at(58));
        assert_eq!(state.feeds(), [feed(&[1, 2])]);
        state.handle_time(at(59));
        assert_eq!(state.feeds(), [feed(&[1, 2, 3])]);
        state.handle_heard(at(80), source(3));
        state.handle_time(at(200));
        assert_eq!(state.feeds(), [feed(&[1, 2, 3])]);
        state.handle_heard(at(201), source(1));
        assert_eq!(state.feeds(), [feed(&[1, 2])]);
    }

    #[test]
    fn a_new_answer_begins_with_its_first_priority_and_the_same_changes_nothing() {
        let mut state = State::new(at(0), plan(&[&[1], &[2]]));
        state.handle_time(at(30));
        state.handle_answer(at(31), plan(&[&[1], &[2]]), Duration::from_mins(1), 0);
        assert_eq!(state.feeds(), [feed(&[1, 2])]);
        state.handle_answer(at(32), plan(&[&[3], &[2]]), Duration::from_mins(1), 0);
        assert_eq!(state.feeds(), [feed(&[3])]);
    }

    #[test]
    fn dns_is_asked_again_by_ttl_within_bounds_and_not_by_all_at_once() {
        let next = |ttl, random| {
            let mut state = State::new(at(0), Plan::default());
            state.handle_answer(at(100), plan(&[&[1]]), Duration::from_secs(ttl), random);
            state.next_question().since(at(100)).as_secs()
        };
        assert_eq!((next(0, 0), next(60, 0), next(60, u16::MAX), next(u64::MAX, 0)), (10, 60, 66, 3600));
    }

    #[test]
    fn failures_keep_what_is_known_and_are_repeated_ever_more_slowly() {
        let mut state = State::new(at(0), plan(&[&[1]]));
        let mut waits = Vec::new();
        for _ in 0..100 {
            state.handle_failure(at(0), u16::MAX);
            waits.push(state.next_question().since(at(0)).as_secs());
        }
        assert_eq!((&waits[..4], waits[99]), (&[5, 10, 20, 40][..], 600));
        state.handle_failure(at(0), 0);
        assert_eq!(state.next_question(), at(300), "half of it at least");
        assert_eq!(state.feeds(), [feed(&[1])]);
        state.handle_answer(at(0), plan(&[&[1]]), Duration::from_secs(20), 0);
        state.handle_failure(at(0), u16::MAX);
        assert_eq!(state.next_question(), at(5));
    }

    #[test]
    fn dns_changes_no_group_of_the_settings() {
        let settings = [Feed { sources: vec![source(7)], ..feed(&[]) }];
        let other = Feed { group: "232.1.2.4:4000".parse().unwrap(), ..feed(&[1]) };
        assert_eq!(beside(&settings, vec![feed(&[1]), other.clone()]), [settings[0].clone(), other]);
    }
}
