//! When to ask: pure, with the time and the randomness of the caller. The rate is the business of `client`.

use std::time::Duration;

use fastrand::Rng;
use fleetcast_core::time::Instant;

use crate::config::Repair;
use crate::events::Chunks;

/// Of the chunks needed, one in so many must have come for the senders not to count as silent.
const LEAST_PROGRESS: u64 = 1000;
/// Times that the window is doubled.
const MOST_DOUBLINGS: u32 = 6;
/// A server may ask for no longer pause than this.
const MOST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Decides when the next request for one release may go out.
///
/// | state | entered when | left when |
/// | --- | --- | --- |
/// | watching | at first; when chunks come from senders, or much is missing | senders are silent, and little is missing |
/// | waiting | that is so: a time is drawn, other for each device | that time has come |
/// | asking | that time has come | all servers have failed: it waits again |
#[derive(Debug)]
pub(crate) struct Pace {
    after: Duration,
    missing_below: u64,
    window: Duration,
    /// Chunks that had come from senders when they last made progress, and when that was.
    came: u64,
    since: Instant,
    /// The next request may go out then; `None` while watching.
    next: Option<Instant>,
    failures: u32,
}

impl Pace {
    pub(crate) const fn new(settings: &Repair, now: Instant) -> Self {
        let Repair { after, missing_below, window, .. } = settings;
        Self {
            after: *after,
            missing_below: *missing_below as u64,
            window: *window,
            came: 0,
            since: now,
            next: None,
            failures: 0,
        }
    }

    /// Whether a request may go out. `fetched` of the chunks that are there have not come from senders.
    pub(crate) fn is_due(&mut self, now: Instant, chunks: Chunks, fetched: u64, random: &mut Rng) -> bool {
        let came = chunks.have.saturating_sub(fetched);
        if came < self.came || came - self.came >= (chunks.needed / LEAST_PROGRESS).max(1) {
            (self.came, self.since, self.next) = (came, now, None);
        }
        let missing = chunks.needed.saturating_sub(chunks.have);
        let is_near = missing.saturating_mul(100) <= chunks.needed.saturating_mul(self.missing_below);
        if !is_near || now.since(self.since) < self.after {
            self.next = None;
            return false;
        }
        let next = self.next.unwrap_or_else(|| now.after(self.draw(random)));
        self.next = Some(next);
        now >= next
    }

    /// A request was answered as it should.
    pub(crate) const fn note_success(&mut self) {
        self.failures = 0;
    }

    /// No server gave what was asked for; one may have said how long to wait. Returns the time until the next request.
    pub(crate) fn note_failure(&mut self, now: Instant, retry_after: Duration, random: &mut Rng) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = retry_after.min(MOST_RETRY_AFTER) + self.draw(random);
        self.next = Some(now.after(wait));
        wait
    }

    /// A time from the window, which doubles with each failure.
    fn draw(&self, random: &mut Rng) -> Duration {
        let window = self.window * (1 << self.failures.min(MOST_DOUBLINGS));
        Duration::from_micros(random.u64(..=u64::try_from(window.as_micros()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn settings(window: u64) -> Repair {
        Repair {
            servers: vec![],
            after: Duration::from_mins(1),
            missing_below: 10,
            window: Duration::from_secs(window),
            max_octets: u64::MAX,
            rate: u64::MAX,
            timeout: Duration::from_secs(30),
            ca: "/".into(),
        }
    }

    fn chunks(have: u64) -> Chunks {
        Chunks { have, needed: 5000 }
    }

    #[test]
    fn nothing_is_asked_for_while_senders_are_heard_or_much_is_missing() {
        let (mut pace, mut random) = (Pace::new(&settings(0), at(0)), Rng::with_seed(1));
        let mut is_due = |now, have, fetched| pace.is_due(at(now), chunks(have), fetched, &mut random);
        assert!(!is_due(10, 4000, 0));
        assert!(!is_due(1000, 4499, 0), "11 % are missing");
        assert!(!is_due(1059, 4500, 0), "silence for less than a minute");
        assert!(is_due(1060, 4503, 0), "three chunks in a minute are silence too");
        assert!(is_due(1061, 4600, 97), "what was fetched says nothing about senders");
        assert!(!is_due(1062, 4608, 97), "they are heard again");
        assert!(!is_due(1121, 4608, 97) && is_due(1122, 4608, 97));
        assert!(!is_due(1123, 4600, 0), "the storage was checked anew");
    }

    #[test]
    fn the_first_requests_of_a_fleet_spread_over_the_window() {
        const DEVICES: u64 = 2000;
        const WINDOW: u64 = 100;
        let mut in_second = [0_u32; 100];
        for seed in 0..DEVICES {
            let (mut pace, mut random) = (Pace::new(&settings(WINDOW), at(0)), Rng::with_seed(seed));
            assert!(!pace.is_due(at(0), chunks(4900), 0, &mut random));
            let tenths = (600..=600 + 10 * WINDOW)
                .find(|&tenth| pace.is_due(Instant::from_micros(tenth * 100_000), chunks(4900), 0, &mut random));
            let second = (tenths.unwrap() - 600).saturating_sub(1) / 10;
            in_second[usize::try_from(second).unwrap()] += 1;
        }
        let most = in_second.iter().max().unwrap();
        println!("{DEVICES} devices in a window of {WINDOW} s: at most {most} in a second");
        // 20 on average; more than 45 or none at all has a chance below 1 in a million.
        assert!(in_second.iter().all(|&devices| (1..=45).contains(&devices)), "{in_second:?}");
    }

    #[test]
    fn failures_double_the_window_up_to_a_bound_and_a_success_ends_that() {
        let (mut pace, mut random) = (Pace::new(&settings(10), at(0)), Rng::with_seed(3));
        let mut longest = |failures: u32, pace: &mut Pace| {
            let wait = |_| {
                pace.failures = failures;
                pace.note_failure(at(0), Duration::ZERO, &mut random)
            };
            (0..200).map(wait).max().unwrap().as_secs()
        };
        assert!((15..=20).contains(&longest(0, &mut pace)));
        assert!((60..=80).contains(&longest(2, &mut pace)));
        assert!((500..=640).contains(&longest(1000, &mut pace)));
        pace.note_success();
        assert!(pace.draw(&mut random) <= Duration::from_secs(10));
    }

    #[test]
    fn a_servers_wish_to_wait_is_granted_up_to_an_hour_and_the_fleet_spreads_behind_it() {
        let (mut pace, mut random) = (Pace::new(&settings(10), at(0)), Rng::with_seed(3));
        let mut waits = |retry_after| {
            pace.failures = 0;
            pace.note_failure(at(0), Duration::from_secs(retry_after), &mut random).as_millis()
        };
        let asked: Vec<_> = (0..50).map(|_| waits(100)).collect();
        assert!(asked.iter().all(|wait| (100_000..=120_000).contains(wait)), "{asked:?}");
        assert!(asked.iter().max().unwrap() - asked.iter().min().unwrap() > 10_000, "{asked:?}");
        assert!(waits(u64::MAX / 1_000_000) <= 3_620_000);
    }
}
