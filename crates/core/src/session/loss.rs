//! Loss by the senders' packet counts \[W-5\]: to show, not to decide by.

use crate::wire::COUNT_MASK;

/// Senders that are told apart.
const SENDERS: usize = 8;
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

    /// Share that did not come, 0.0 ..= 1.0.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn estimate(&self) -> f64 {
        if self.sent == 0 { 0.0 } else { 1.0 - self.came as f64 / self.sent as f64 }
    }
}
