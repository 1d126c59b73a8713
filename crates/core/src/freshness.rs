//! Whether what a device knows is still current (spec §18): the newest beacon, and a clock that is never ahead.
//!
//! | state | when | a release may be installed |
//! | --- | --- | --- |
//! | off | the device's root knows no beacons | yes |
//! | behind | the newest beacon names a root that has not come yet | no |
//! | stale | the newest beacon holds no longer, or none came for five minutes | if the device's settings say so |
//! | waiting | no beacon was heard since the start, or none for long enough yet | no |
//! | fresh | the newest beacon holds | yes |

use core::time::Duration;

use crate::beacon::Beacon;
use crate::time::Instant;
use crate::trust::{Envelope, Trust, Verified, verify};

/// For how long beacons must have been heard before the newest one counts: a later one may come that somebody holds back.
pub const LISTEN: Duration = Duration::from_secs(10);
/// Without a beacon for so long from the start on, it is stale.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// Whether what is known is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// There are no beacons.
    Off,
    /// Not known yet.
    Waiting,
    /// It is.
    Fresh {
        /// Until when, in seconds of Unix time.
        until: u64,
    },
    /// A root is missing: keys may have been revoked.
    Behind {
        /// Version of the newest root.
        root: u16,
    },
    /// Not known any longer.
    Stale {
        /// Until when it was, in seconds of Unix time; 0 if it never was.
        until: u64,
    },
}

impl Freshness {
    /// The word for it in output.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Fresh { .. } => "fresh",
            Self::Behind { .. } => "behind",
            Self::Stale { .. } => "stale",
        }
    }
}

/// What a beacon that has verified is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the newest from now on.
    New,
    /// It is the newest one.
    Same,
    /// It is not later than the newest one.
    Replay,
}

/// The newest beacon, and what follows from it.
#[derive(Clone, Debug)]
pub struct Watch {
    start: Instant,
    /// No earlier than this by what the device was made with.
    built: u64,
    /// When the root was made, and when that was learnt.
    root: (u64, Instant),
    newest: Option<Newest>,
}

#[derive(Clone, Debug)]
struct Newest {
    beacon: Verified<Beacon>,
    /// When it was learnt.
    at: Instant,
    /// When it, or one before it that led to it, was first heard since the start.
    heard: Option<Instant>,
}

impl Watch {
    /// Begins at `start`. `built` is a time, in seconds of Unix time, that is past for sure.
    #[must_use]
    pub fn new(start: Instant, built: u64, trust: &Trust) -> Self {
        Self { start, built, root: (issued(trust), start), newest: None }
    }

    /// The newest beacon.
    #[must_use]
    pub fn newest(&self) -> Option<&Verified<Beacon>> {
        self.newest.as_ref().map(|newest| &newest.beacon)
    }

    /// A time that is past for sure, in seconds of Unix time \[B-6\].
    #[must_use]
    pub fn clock(&self, now: Instant) -> u64 {
        let since = |(unix, at): (u64, Instant)| unix.saturating_add(now.since(at).as_secs());
        let beacon = self.newest.as_ref().map_or(0, |newest| since((newest.beacon.issued, newest.at)));
        since((self.built, self.start)).max(since(self.root)).max(beacon)
    }

    /// Whether what is known is current. `system` is the time of a clock that is trusted, if there is one.
    #[must_use]
    pub fn state(&self, now: Instant, system: Option<u64>, trust: &Trust) -> Freshness {
        if trust.beacon_role().is_none() {
            return Freshness::Off;
        }
        if let Some(root) = self.newest().map(|beacon| beacon.root).filter(|&root| root > trust.version()) {
            return Freshness::Behind { root };
        }
        let is_late = now.since(self.start) >= PATIENCE;
        let Some(Newest { beacon, heard, .. }) = &self.newest else {
            return if is_late { Freshness::Stale { until: 0 } } else { Freshness::Waiting };
        };
        let until = beacon.until;
        if self.clock(now).max(system.unwrap_or_default()) > until || heard.is_none() && is_late {
            return Freshness::Stale { until };
        }
        match heard {
            Some(heard) if now.since(*heard) >= LISTEN => Freshness::Fresh { until },
            _ => Freshness::Waiting,
        }
    }

    /// Takes a beacon that has verified at `now` \[B-3\].
    pub fn hear(&mut self, now: Instant, beacon: Verified<Beacon>) -> Verdict {
        let heard = match &mut self.newest {
            Some(newest) if newest.beacon.payload_digest() == beacon.payload_digest() => {
                newest.heard.get_or_insert(now);
                return Verdict::Same;
            }
            Some(newest) if newest.beacon.issued >= beacon.issued => return Verdict::Replay,
            Some(newest) => newest.heard,
            None => None,
        };
        self.newest = Some(Newest { beacon, at: now, heard: Some(heard.unwrap_or(now)) });
        Verdict::New
    }

    /// Hears the newest beacon once more, if this is its payload: that has verified, whatever signatures are around it \[B-3\].
    pub fn hear_again(&mut self, now: Instant, payload: &[u8]) -> bool {
        let is_same = |newest: &&mut Newest| {
            Envelope::parse(newest.beacon.statement()).is_ok_and(|envelope| envelope.payload() == payload)
        };
        self.newest.as_mut().filter(is_same).map(|newest| newest.heard.get_or_insert(now)).is_some()
    }

    /// Takes the beacon that was kept from before a restart: it counts, but has not been heard.
    pub fn restore(&mut self, now: Instant, beacon: Verified<Beacon>) {
        self.newest = Some(Newest { beacon, at: now, heard: None });
    }

    /// A root has followed. The newest beacon is judged by it, and forgotten with all that followed from it if it does
    /// not verify any longer \[B-5\].
    pub fn follow(&mut self, now: Instant, trust: &Trust) {
        self.root = (issued(trust), now);
        let is_valid = |newest: &Newest| verify::<Beacon>(newest.beacon.statement(), trust).is_ok();
        self.newest = self.newest.take().filter(is_valid);
    }
}

fn issued(trust: &Trust) -> u64 {
    trust.root().map_or(0, |root| root.issued)
}
