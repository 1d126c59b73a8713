//! Limits on what unverified statements may cost: verifications a second, and a memory of what came of them.

use sha2::{Digest as _, Sha256};

use super::staging::BUCKETS;
use crate::time::Instant;
use crate::wire::StatementKind;

/// Signatures that may be verified a second for the sources of one bucket, and in a burst: a statement may have as many.
const RATE: u64 = 8;
/// Statements that are remembered.
const REMEMBERED: usize = 256;

/// Token buckets of signature verifications, one for each bucket of sources: who floods uses up nobody else's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    buckets: [Bucket; BUCKETS],
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Millionths of a verification.
    tokens: u64,
    last: Instant,
}

impl Budget {
    const MICRO: u64 = 1_000_000;
    const FULL: u64 = RATE * Self::MICRO;

    pub(super) fn new() -> Self {
        Self { buckets: [Bucket { tokens: Self::FULL, last: Instant::default() }; BUCKETS] }
    }

    /// Takes as many verifications out of `bucket`, if there are so many at `now`.
    pub(super) fn take(&mut self, now: Instant, bucket: usize, verifications: usize) -> bool {
        let Some(bucket) = self.buckets.get_mut(bucket) else { return false };
        let micros = u64::try_from(now.since(bucket.last).as_micros()).unwrap_or(u64::MAX);
        bucket.last = bucket.last.max(now);
        bucket.tokens = bucket.tokens.saturating_add(micros.saturating_mul(RATE)).min(Self::FULL);
        let cost = u64::try_from(verifications).unwrap_or(u64::MAX).saturating_mul(Self::MICRO);
        let Some(left) = bucket.tokens.checked_sub(cost) else { return false };
        bucket.tokens = left;
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
    fn the_rate_holds_and_an_idle_time_gives_one_burst() {
        let mut budget = Budget::new();
        let in_second = |budget: &mut Budget, second: u64, cost: usize| {
            (0..10_000).filter(|i| budget.take(Instant::from_micros(second * 1_000_000 + i * 100), 3, cost)).count()
        };
        assert_eq!(in_second(&mut budget, 1000, 1), 15);
        assert_eq!(in_second(&mut budget, 1001, 1), 8);
        assert_eq!(in_second(&mut budget, 5000, 8), 1);
        // A clock that stands or goes back gives nothing.
        assert_eq!((0..500).filter(|_| budget.take(Instant::from_micros(1), 3, 8)).count(), 0);
        // Another bucket is untouched.
        assert!(budget.take(Instant::from_micros(1), 4, 8));
        assert!(!budget.take(Instant::from_micros(1), 4, 1));
        assert!(!budget.take(Instant::from_micros(1), 5, 9), "more than there ever is");
        assert!(!budget.take(Instant::from_micros(1), BUCKETS, 1), "no such bucket");
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
