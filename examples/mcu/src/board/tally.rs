//! How many datagrams came to what.

use core::fmt::{self, Write};

use fleetcast_mcu::Outcome;

/// Outcomes that are counted apart.
const CODES: usize = 40;

#[derive(Debug)]
pub(crate) struct Tally {
    counts: [(&'static str, u32); CODES],
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { counts: [("", 0); CODES] }
    }

    pub(crate) fn count(&mut self, outcome: Outcome) {
        let name = match outcome {
            Outcome::Manifest => "manifest",
            Outcome::Page => "page",
            Outcome::Chunk => "chunk",
            Outcome::Complete => "complete",
            Outcome::Duplicate => "duplicate",
            Outcome::Unused => "unused",
            Outcome::Dropped(code) => code,
        };
        let place = self.counts.iter_mut().find(|(known, count)| *known == name || *count == 0);
        if let Some(place) = place {
            *place = (name, place.1 + 1);
        }
    }

    /// Prints all of them.
    pub(crate) fn report(&self, out: &mut impl Write) -> fmt::Result {
        let counted = self.counts.iter().filter(|(_, count)| *count > 0);
        counted.into_iter().try_for_each(|(name, count)| writeln!(out, "of-{name} {count}"))
    }
}
