//! What statements may cost: a check of a signature takes long, and anyone can ask for one (spec §3 \[S-10, S-11\]).

use core::time::Duration;

use fleetcast_core::time::Instant;
use sha2::{Digest as _, Sha256};

/// Signatures a second and share.
const A_SECOND: u8 = 2;
/// Sources that have the same number modulo this share a share.
const SHARES: usize = 8;
/// Statements whose refusal is remembered.
const REMEMBERED: usize = 8;

#[derive(Clone, Debug, Default)]
pub(crate) struct Budget {
    since: Instant,
    spent: [u8; SHARES],
    refused: [[u8; 16]; REMEMBERED],
    next: usize,
}

impl Budget {
    /// Whether a source may have so many signatures verified, which then counts.
    pub(crate) fn spend(&mut self, now: Instant, source: u32, signatures: usize) -> bool {
        if now.since(self.since) >= Duration::from_secs(1) {
            (self.since, self.spent) = (now, [0; SHARES]);
        }
        let Some(spent) = self.spent.get_mut(source as usize % SHARES) else { return false };
        // A statement may have more signatures than a share: then it is the only one of its second.
        let is_allowed = *spent == 0 || usize::from(*spent).saturating_add(signatures) <= usize::from(A_SECOND);
        if is_allowed {
            *spent = spent.saturating_add(u8::try_from(signatures).unwrap_or(u8::MAX));
        }
        is_allowed
    }

    pub(crate) fn has_refused(&self, statement: &[u8]) -> bool {
        self.refused.contains(&name(statement))
    }

    /// Remembers a statement by all of its octets.
    pub(crate) fn note_refused(&mut self, statement: &[u8]) {
        if let Some(place) = self.refused.get_mut(self.next % REMEMBERED) {
            *place = name(statement);
        }
        self.next = self.next.wrapping_add(1);
    }

    /// What was refused may be right by what the device is like from here on.
    pub(crate) fn forget(&mut self) {
        self.refused = Default::default();
    }
}

fn name(statement: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(statement).into();
    digest.first_chunk().copied().unwrap_or_default()
}
