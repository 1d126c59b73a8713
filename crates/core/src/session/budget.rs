//! Limits on what unverified statements may cost: verifications a second, and a memory of what came of them.

use sha2::{Digest as _, Sha256};

use crate::time::Instant;
use crate::wire::StatementKind;

/// Shares of the budget. Sources that meet in one are in different ones after [`PERIOD`]: a flood keeps nobody out for long.
const SHARES: usize = 128;
/// How long a source has the same share, in seconds.
const PERIOD: u64 = 10;
/// Signatures that may be verified a second for the sources of one share, and in a burst: a statement may have as many.
const RATE: u64 = 8;
/// The same for all sources together.
const RATE_OF_ALL: u64 = 128;
/// Statements that are remembered.
const REMEMBERED: usize = 256;

/// Token buckets of signature verifications, one for each share of sources and one for all: who floods uses up nobody else's share,
/// and of what all have together one share at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    shares: [Bucket; SHARES],
    all: Bucket,
    /// Mixed into source numbers, so that no sender can choose one that has another's share.
    secret: u64,
}

impl Budget {
    pub(super) const fn new(secret: u64) -> Self {
        Self { shares: [Bucket::new(RATE); SHARES], all: Bucket::new(RATE_OF_ALL), secret }
    }

    /// Takes as many verifications out of the share of `source` and of all, if there are so many at `now`.
    ///
    /// What the share had is gone also if all have had theirs. So a flood asks for no more of what all have than its shares come to, and
    /// others find some of it.
    pub(super) fn take(&mut self, now: Instant, source: u64, verifications: usize) -> bool {
        let share = self.shares.get_mut(share_of(now, source ^ self.secret));
        share.is_some_and(|share| share.take(now, verifications)) && self.all.take(now, verifications)
    }
}

/// The share of a source, by its number with the secret in it.
const fn share_of(now: Instant, source: u64) -> usize {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let period = now.since(Instant::from_micros(0)).as_secs() / PERIOD;
    let mixed = (source ^ period.wrapping_mul(ODD).rotate_left(32)).wrapping_mul(ODD);
    ((mixed ^ (mixed >> 29)).wrapping_mul(ODD) >> 32) as usize % SHARES
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Verifications a second, and most there ever are.
    rate: u64,
    /// Millionths of a verification.
    tokens: u64,
    last: Instant,
}

impl Bucket {
    const ONE: u64 = 1_000_000;

    const fn new(rate: u64) -> Self {
        Self { rate, tokens: rate.saturating_mul(Self::ONE), last: Instant::from_micros(0) }
    }

    /// Takes so many out, if there are so many at `now`.
    fn take(&mut self, now: Instant, verifications: usize) -> bool {
        let micros = u64::try_from(now.since(self.last).as_micros()).unwrap_or(u64::MAX);
        self.last = self.last.max(now);
        let full = self.rate.saturating_mul(Self::ONE);
        self.tokens = self.tokens.saturating_add(micros.saturating_mul(self.rate)).min(full);
        let cost = u64::try_from(verifications).unwrap_or(u64::MAX).saturating_mul(Self::ONE);
        let Some(left) = self.tokens.checked_sub(cost) else { return false };
        self.tokens = left;
        true
    }
}

/// The newest statements of which the same is known, by a SHA-256.
#[derive(Debug)]
pub(super) struct Remembered {
    digests: [[u8; 16]; REMEMBERED],
    next: usize,
}

impl Remembered {
    pub(super) const fn new() -> Self {
        Self { digests: [[0; 16]; REMEMBERED], next: 0 }
    }

    /// By what a statement is remembered: all its octets, and the kind as which it came. Those of one kind, sent as another, do not
    /// verify, which says nothing about them.
    pub(super) fn digest(kind: StatementKind, statement: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update([kind as u8]).chain_update(statement).finalize().into()
    }

    pub(super) fn contains(&self, digest: &[u8; 32]) -> bool {
        digest.first_chunk().is_some_and(|half| self.digests.contains(half))
    }

    pub(super) fn insert(&mut self, digest: &[u8; 32]) {
        if let (Some(place), Some(half)) = (self.digests.get_mut(self.next), digest.first_chunk()) {
            *place = *half;
        }
        self.next = self.next.wrapping_add(1) % REMEMBERED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_a_source_holds_and_an_idle_time_gives_one_burst() {
        let mut budget = Budget::new(7);
        let in_second = |budget: &mut Budget, second: u64, cost: usize| {
            (0..10_000).filter(|i| budget.take(Instant::from_micros(second * 1_000_000 + i * 100), 3, cost)).count()
        };
        assert_eq!(in_second(&mut budget, 1000, 1), 15);
        assert_eq!(in_second(&mut budget, 1001, 1), 8);
        assert_eq!(in_second(&mut budget, 5000, 8), 1);
        // A clock that stands or goes back gives nothing.
        let back = Instant::from_micros(5000 * 1_000_000);
        assert_eq!((0..500).filter(|_| budget.take(back, 3, 8)).count(), 0);
        // Another share is untouched.
        let other = (4..100).find(|&source| share_of(back, source ^ 7) != share_of(back, 3 ^ 7)).unwrap();
        assert!(!budget.take(back, other, 9), "more than there ever is");
        assert!(budget.take(back, other, 8));
        assert!(!budget.take(back, other, 1));
    }

    #[test]
    fn many_sources_together_have_no_more_than_all() {
        let mut budget = Budget::new(7);
        let mut in_second = |second: u64| {
            let ticks = (0..100).map(|tick| Instant::from_micros(second * 1_000_000 + tick * 10_000));
            let attempts = ticks.flat_map(|now| (0..1000).map(move |source| (now, source)));
            attempts.filter(|&(now, source)| budget.take(now, source, 1)).count()
        };
        assert!((240..=256).contains(&in_second(1000)), "a burst, and what comes in a second");
        assert!((120..=129).contains(&in_second(1001)));
    }

    #[test]
    fn a_flood_from_many_addresses_leaves_something_to_another_source() {
        for secret in 0..20 {
            let mut budget = Budget::new(secret);
            // Each millisecond a statement from each of 64 addresses; four times a second the genuine one, always too late.
            let mut is_verified = |millis: &u64| {
                let now = Instant::from_micros(millis * 1_000);
                for source in 0..64 {
                    budget.take(now, source, 1);
                }
                millis.is_multiple_of(241) && budget.take(now, 1_000_000, 1)
            };
            let waited = (1..60_000).find(&mut is_verified);
            assert!(waited.is_some_and(|millis| millis < 40_000), "waited {waited:?} ms with secret {secret}");
        }
    }

    #[test]
    fn the_newest_statements_are_remembered() {
        let mut remembered = Remembered::new();
        let digest = |i: u16| {
            let mut digest = [7; 32];
            digest[..2].copy_from_slice(&i.to_be_bytes());
            digest
        };
        (0..300).for_each(|i| remembered.insert(&digest(i)));
        assert!(!remembered.contains(&digest(43)));
        assert!((44..300).all(|i| remembered.contains(&digest(i))));
    }
}
