//! What came and what was dropped, by cause.

use alloc::collections::BTreeMap;

/// Counts since the receiver was made. Units are datagrams.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// All that came.
    pub datagrams: u64,
    /// Chunks that verified and were new.
    pub chunks: u64,
    /// Pages and parity pages that verified and were new.
    pub pages: u64,
    /// Repeats of what was there already, the manifest among them.
    pub duplicates: u64,
    /// Packets that waited for a manifest or page.
    pub staged: u64,
    /// Keyed by code, of which there are few: nothing a sender does makes a new one.
    dropped: BTreeMap<&'static str, u64>,
}

impl Counters {
    /// Counts one more dropped for the cause `code`.
    pub(super) fn drop(&mut self, code: &'static str) {
        let count = self.dropped.entry(code).or_default();
        *count = count.saturating_add(1);
    }

    /// Causes (spec §12, and those of [`super::Receiver`]) with how many were dropped for each.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.dropped.iter().map(|(code, count)| (*code, *count))
    }

    /// How many were dropped for the cause `code`.
    #[must_use]
    pub fn dropped_for(&self, code: &str) -> u64 {
        self.dropped.get(code).copied().unwrap_or_default()
    }
}

/// Adds one; a count that is full stays full.
pub(super) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
