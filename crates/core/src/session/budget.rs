//! Limits on what unverified statements may cost: verifications a second, and a memory of what was refused.

use crate::time::Instant;

/// Statements that may be verified a second, and in a burst.
const RATE: u64 = 100;
/// Refused statements that are remembered.
const REMEMBERED: usize = 256;

/// A token bucket of signature verifications.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Millionths of a verification.
    tokens: u64,
    last: Instant,
}

impl Budget {
    const MICRO: u64 = 1_000_000;
    const FULL: u64 = RATE * Self::MICRO;

    pub(super) fn new() -> Self {
        Self { tokens: Self::FULL, last: Instant::default() }
    }

    /// Takes one verification out, if there is one at `now`.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let micros = u64::try_from(now.since(self.last).as_micros()).unwrap_or(u64::MAX);
        self.last = self.last.max(now);
        self.tokens = self.tokens.saturating_add(micros.saturating_mul(RATE)).min(Self::FULL);
        let Some(left) = self.tokens.checked_sub(Self::MICRO) else { return false };
        self.tokens = left;
        true
    }
}

/// The newest refused statements, by the digest of all their octets \[S-10\].
#[derive(Debug)]
pub(super) struct Refused {
    digests: [[u8; 16]; REMEMBERED],
    next: usize,
}

impl Refused {
    pub(super) const fn new() -> Self {
        Self { digests: [[0; 16]; REMEMBERED], next: 0 }
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
        let in_second = |budget: &mut Budget, second: u64| {
            (0..10_000).filter(|i| budget.take(Instant::from_micros(second * 1_000_000 + i * 100))).count()
        };
        assert_eq!(in_second(&mut budget, 1000), 199);
        assert_eq!(in_second(&mut budget, 1001), 100);
        assert_eq!(in_second(&mut budget, 5000), 199);
        // A clock that stands or goes back gives nothing.
        assert_eq!((0..500).filter(|_| budget.take(Instant::from_micros(1))).count(), 0);
    }

    #[test]
    fn the_newest_refusals_are_remembered() {
        let mut refused = Refused::new();
        let digest = |i: u16| {
            let mut digest = [7; 32];
            digest[..2].copy_from_slice(&i.to_be_bytes());
            digest
        };
        (0..300).for_each(|i| refused.insert(&digest(i)));
        assert!(!refused.contains(&digest(43)));
        assert!((44..300).all(|i| refused.contains(&digest(i))));
    }
}
