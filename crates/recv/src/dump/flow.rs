//! What one sender sends to one group.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fleetcast_core::wire::{COUNT_MASK, Header, Tsi};

use super::{Kind, Verdict};

/// Sessions that are told of one sender.
const MAX_SESSIONS: usize = 16;
/// A larger gap of counts is a sender that started anew, not loss.
const LARGEST_GAP: u32 = 1 << 16;
/// One further back than this, likewise; else it was overtaken.
const LARGEST_STEP_BACK: u32 = 1 << 10;
/// Signatures that are verified a second for one sender \[S-11\].
const SIGNATURES: usize = 64;

/// Packets and octets over a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) packets: u64,
    /// Octets of UDP payload.
    pub(super) octets: u64,
    /// Earliest and latest time, in microseconds.
    times: Option<(u64, u64)>,
}

impl Span {
    pub(super) fn note(&mut self, time: u64, octets: usize) {
        self.packets += 1;
        self.octets += octets as u64;
        self.times = Some(self.times.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
    }

    /// Microseconds from the first to the last.
    pub(super) fn micros(&self) -> u64 {
        self.times.map_or(0, |(first, last)| last - first)
    }

    pub(super) const fn times(&self) -> Option<(u64, u64)> {
        self.times
    }

    /// Packets and octets a second; `None` where no time has gone by. There is one interval fewer than packets.
    #[expect(clippy::cast_precision_loss, reason = "for show")]
    pub(super) fn rates(&self) -> Option<(f64, f64)> {
        let seconds = self.micros() as f64 / 1e6;
        let intervals = self.packets.saturating_sub(1) as f64;
        let rate = |amount: u64| amount as f64 / self.packets as f64 * intervals / seconds;
        (self.micros() > 0).then(|| (rate(self.packets), rate(self.octets)))
    }
}

/// Packets of a layer, and how many there should be by their counts \[W-5, C-9\].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layer {
    pub(super) span: Span,
    last: Option<u32>,
    pub(super) sent: u64,
    pub(super) came: u64,
}

impl Layer {
    /// Takes a count; of a packet that was dropped it shows no loss, but that this one was not lost.
    fn note(&mut self, count: u32, is_dropped: bool) {
        // The first of all is not to be one that anyone can have sent.
        if self.last.is_none() && is_dropped {
            return;
        }
        let gap = count.wrapping_sub(self.last.unwrap_or(count.wrapping_sub(1))) & COUNT_MASK;
        match gap {
            // A capture on several interfaces has it twice.
            0 => return,
            2.. if is_dropped => return,
            1..=LARGEST_GAP => self.sent += u64::from(gap),
            _ if gap > COUNT_MASK - LARGEST_STEP_BACK => {
                self.came += 1;
                return;
            }
            _ => self.sent += 1,
        }
        self.came += 1;
        self.last = Some(count);
    }
}

/// A group, and who sends there.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) group: SocketAddr,
    pub(super) source: SocketAddr,
    pub(super) span: Span,
    pub(super) layers: BTreeMap<u8, Layer>,
    pub(super) kinds: BTreeMap<Kind, u64>,
    pub(super) verdicts: BTreeMap<Verdict, u64>,
    /// Packets of each session.
    pub(super) sessions: Vec<(Tsi, u64)>,
    /// A second, and how many signatures were verified in it.
    spent: (u64, usize),
}

impl Flow {
    pub(super) fn new(group: SocketAddr, source: SocketAddr) -> Self {
        Self {
            group,
            source,
            span: Span::default(),
            layers: BTreeMap::new(),
            kinds: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            sessions: Vec::new(),
            spent: (0, 0),
        }
    }

    /// Whether a packet has come that is right, or is what it claims to be.
    pub(super) fn is_heard(&self) -> bool {
        [Verdict::Verified, Verdict::Claimed].iter().any(|verdict| self.verdicts.contains_key(verdict))
    }

    /// Begins anew with another sender, whose signatures count with those of the one before.
    pub(super) fn give_way(&mut self, group: SocketAddr, source: SocketAddr) {
        *self = Self { spent: self.spent, ..Self::new(group, source) };
    }

    /// Takes a packet; what was dropped names no session.
    pub(super) fn note(&mut self, time: u64, octets: usize, header: Option<&Header>, (kind, verdict): (Kind, Verdict)) {
        self.span.note(time, octets);
        *self.kinds.entry(kind).or_default() += 1;
        *self.verdicts.entry(verdict).or_default() += 1;
        let Some(header) = header else { return };
        let is_dropped = matches!(verdict, Verdict::Dropped(_));
        let layer = self.layers.entry(header.layer).or_default();
        layer.span.note(time, octets);
        layer.note(header.count, is_dropped);
        if is_dropped {
            return;
        }
        let has_room = self.sessions.len() < MAX_SESSIONS;
        match self.sessions.iter_mut().find(|(tsi, _)| *tsi == header.tsi) {
            Some((_, packets)) => *packets += 1,
            None if has_room => self.sessions.push((header.tsi, 1)),
            None => {}
        }
    }

    /// Whether so many more signatures may be verified.
    pub(super) fn afford(&mut self, time: u64, signatures: usize) -> bool {
        let second = time / 1_000_000;
        if self.spent.0 != second {
            self.spent = (second, 0);
        }
        self.spent.1 += signatures;
        self.spent.1 <= SIGNATURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(counts: impl IntoIterator<Item = u32>) -> (u64, u64) {
        let mut layer = Layer::default();
        counts.into_iter().for_each(|count| layer.note(count & COUNT_MASK, false));
        (layer.sent, layer.came)
    }

    #[test]
    fn gaps_are_loss_wherever_the_count_wraps() {
        assert_eq!(lost([COUNT_MASK - 1, 0, 2]), (5, 3));
        assert_eq!(lost(7..1007), (1000, 1000));
        assert_eq!(lost([]), (0, 0));
    }

    #[test]
    fn packets_that_overtake_or_come_twice_and_senders_that_start_anew_are_no_loss() {
        assert_eq!(lost([1, 3, 2, 4]), (4, 4));
        assert_eq!(lost([1, 1, 2, 2]), (2, 2));
        assert_eq!(lost([1, 2, 9_000_000, 9_000_001, 1, 2]), (6, 6));
    }

    #[test]
    fn packets_that_are_dropped_show_no_loss_and_are_not_lost() {
        let mut layer = Layer::default();
        for (count, is_dropped) in
            [(9000, true), (1, false), (2, true), (3, false), (900, true), (4, false), (6, false)]
        {
            layer.note(count, is_dropped);
        }
        assert_eq!((layer.sent, layer.came), (6, 5));
    }

    #[test]
    fn a_rate_is_over_the_intervals() {
        let mut span = Span::default();
        assert_eq!(span.rates(), None);
        (0..11).for_each(|i| span.note(5_000_000 + i * 100_000, 50));
        assert_eq!(span.rates(), Some((10.0, 500.0)));
    }
}
