//! Loss by the senders' packet counts \[W-5\]: to show, not to decide by.

use crate::wire::COUNT_MASK;

/// Layers of senders that are told apart: each counts for itself \[C-9\].
const SENDERS: usize = 32;
/// A larger gap is a sender that started anew, not loss.
const LARGEST_GAP: u32 = 1 << 16;

#[derive(Clone, Copy, Debug)]
struct Sender {
    source: u64,
    layer: u8,
    last: u32,
}

/// Counts of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss {
    senders: [Option<Sender>; SENDERS],
    next: usize,
    sent: u64,
    came: u64,
}

impl Loss {
    /// A packet of this sender and layer came with this count.
    pub(super) fn note(&mut self, source: u64, layer: u8, count: u32) {
        let known = self.senders.iter_mut().flatten().find(|s| s.source == source && s.layer == layer);
        let Some(sender) = known else {
            if let Some(place) = self.senders.get_mut(self.next) {
                *place = Some(Sender { source, layer, last: count });
            }
            self.next = self.next.wrapping_add(1) % SENDERS;
            return;
        };
        let gap = count.wrapping_sub(sender.last) & COUNT_MASK;
        if (1..=LARGEST_GAP).contains(&gap) {
            self.sent = self.sent.saturating_add(gap.into());
            self.came = self.came.saturating_add(1);
            sender.last = count;
        } else if gap != 0 && gap <= COUNT_MASK - LARGEST_GAP {
            sender.last = count;
        }
    }

    /// Packets sent, and those of them that came.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.sent, self.came)
    }

    /// Share that did not come, 0.0 ..= 1.0.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn estimate(&self) -> f64 {
        if self.sent == 0 { 0.0 } else { 1.0 - self.came as f64 / self.sent as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(counts: impl IntoIterator<Item = (u64, u32)>) -> f64 {
        let mut loss = Loss::default();
        counts.into_iter().for_each(|(source, count)| loss.note(source, 0, count));
        loss.estimate()
    }

    #[test]
    fn gaps_are_loss_whoever_sends_and_wherever_the_count_wraps() {
        let every_other =
            |source| (0..1000).map(move |i| (source, COUNT_MASK.wrapping_sub(500).wrapping_add(2 * i) & COUNT_MASK));
        assert!((estimate(every_other(1)) - 0.5).abs() < 0.001);
        assert!((estimate(every_other(1).zip(every_other(2)).flat_map(|(a, b)| [a, b])) - 0.5).abs() < 0.001);
        assert!(estimate((0..1000).map(|i| (1, i))) < f64::EPSILON);
        assert!(estimate([]) < f64::EPSILON);
    }

    #[test]
    fn a_sender_that_starts_anew_is_no_loss() {
        let anew =
            (0..1000).map(|i| (1, i)).chain((10_000_000..10_001_000).map(|i| (1, i))).chain((0..1000).map(|i| (1, i)));
        assert!(estimate(anew) < f64::EPSILON);
    }

    #[test]
    fn more_senders_than_places_do_no_harm() {
        let estimate = estimate((0..1000_u32).map(|i| (u64::from(i % 50), i)));
        assert!((0.0..=1.0).contains(&estimate));
    }
}
