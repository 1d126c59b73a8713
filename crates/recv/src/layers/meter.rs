//! Loss of each layer by the packet counts of proven packets.

use std::time::Duration;

use fleetcast_core::fec::MAX_LAYERS;
use fleetcast_core::session::Arrival;
use fleetcast_core::time::Instant;
use fleetcast_core::wire::COUNT_MASK;

/// Streams, one for each sender and layer, that are told apart.
const STREAMS: usize = 32;
/// A stream that was not heard for this long gives its place up.
const FORGET: Duration = Duration::from_secs(10);
/// A proven packet shows no more loss than this, whatever its count: longer gaps are outages, or forged.
const MAX_BURST: u32 = 16;
/// A larger step of the count is a sender that started anew.
const MAX_STEP: u32 = 1024;
/// As many packets may one be late.
const MAX_LATE: u32 = 16;

/// Counts of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) sent: u32,
    pub(super) lost: u32,
    /// What came, whether it proves anything or not.
    pub(super) came: u32,
}

/// One sender on one layer.
#[derive(Clone, Copy, Debug)]
struct Stream {
    source: u64,
    layer: u8,
    heard: Instant,
    /// Highest count of a proven packet.
    last: u32,
    /// Packets that came since then, and proved nothing: repeats, and those that wait for their page.
    unproven: u32,
}

/// Counts what was sent and what was lost, of each layer.
///
/// Proven packets alone tell how many were sent. What came without proof only says that it was not lost: forged, it
/// can hide loss and never make any.
#[derive(Debug)]
pub(super) struct Meter {
    streams: [Option<Stream>; STREAMS],
    layers: [Tally; MAX_LAYERS as usize],
}

impl Meter {
    pub(super) const fn new() -> Self {
        Self { streams: [None; STREAMS], layers: [Tally { sent: 0, lost: 0, came: 0 }; MAX_LAYERS as usize] }
    }

    /// A packet of this sender has come.
    pub(super) fn note(&mut self, now: Instant, source: u64, arrival: Arrival) {
        let Arrival { layer, count, is_proven } = arrival;
        let Some(tally) = self.layers.get_mut(usize::from(layer)) else { return };
        tally.came = tally.came.saturating_add(1);
        let is_it = |stream: &&mut Stream| (stream.source, stream.layer) == (source, layer);
        let Some(stream) = self.streams.iter_mut().flatten().find(is_it) else {
            if is_proven {
                self.follow(now, Stream { source, layer, heard: now, last: count, unproven: 0 });
            }
            return;
        };
        let step = count.wrapping_sub(stream.last) & COUNT_MASK;
        let is_late = (stream.last.wrapping_sub(count) & COUNT_MASK) <= MAX_LATE;
        if !is_proven {
            stream.unproven += u32::from((1..=MAX_STEP).contains(&step) && stream.unproven < MAX_STEP);
            return;
        }
        stream.heard = now;
        if is_late {
            // It was counted as lost.
            tally.lost = tally.lost.saturating_sub(1);
            return;
        }
        if step <= MAX_STEP {
            let unproven = stream.unproven.min(step - 1);
            let lost = (step - 1 - unproven).min(MAX_BURST);
            tally.sent = tally.sent.saturating_add(1 + unproven + lost);
            tally.lost = tally.lost.saturating_add(lost);
        }
        (stream.last, stream.unproven) = (count, 0);
    }

    /// Counts since the last [`Self::reset`] of a layer.
    pub(super) fn layer(&self, layer: u8) -> Tally {
        self.layers.get(usize::from(layer)).copied().unwrap_or_default()
    }

    /// Counts since the last [`Self::reset`] of the lowest layers together.
    pub(super) fn lowest(&self, layers: u8) -> Tally {
        let sum = |sum: Tally, one: &Tally| Tally {
            sent: sum.sent.saturating_add(one.sent),
            lost: sum.lost.saturating_add(one.lost),
            came: sum.came.saturating_add(one.came),
        };
        self.layers.iter().take(layers.into()).fold(Tally::default(), sum)
    }

    /// Counts from 0 again. The streams go on: what is lost in between shows.
    pub(super) const fn reset(&mut self) {
        self.layers = [Tally { sent: 0, lost: 0, came: 0 }; MAX_LAYERS as usize];
    }

    /// Forgets the streams of a layer that is left: a gap until it is joined again is no loss.
    pub(super) fn forget_above(&mut self, joined: u8) {
        for place in &mut self.streams {
            *place = place.filter(|stream| stream.layer < joined);
        }
    }

    /// Gives a new stream a place, if one is free: who forges sources displaces nobody that is heard.
    fn follow(&mut self, now: Instant, stream: Stream) {
        let is_free = |place: &&mut Option<Stream>| place.is_none_or(|held| now.since(held.heard) >= FORGET);
        if let Some(place) = self.streams.iter_mut().find(is_free) {
            *place = Some(stream);
        }
    }
}

impl Tally {
    /// Share that was lost, 0.0 to 1.0; nothing sent counts as nothing lost.
    pub(super) fn loss(self) -> f64 {
        if self.sent == 0 { 0.0 } else { f64::from(self.lost) / f64::from(self.sent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven(count: u32) -> Arrival {
        Arrival { layer: 0, count: count & COUNT_MASK, is_proven: true }
    }

    /// Packets sent and lost.
    fn tally(arrivals: impl IntoIterator<Item = (u64, Arrival)>) -> (u32, u32) {
        let mut meter = Meter::new();
        arrivals.into_iter().for_each(|(source, arrival)| meter.note(Instant::default(), source, arrival));
        let Tally { sent, lost, .. } = meter.lowest(MAX_LAYERS);
        (sent, lost)
    }

    #[test]
    fn gaps_are_loss_of_each_sender_alone_and_wherever_the_count_wraps() {
        let every_other = |source, start: u32| (0..500).map(move |i| (source, proven(start.wrapping_add(2 * i))));
        let wraps = COUNT_MASK - 300;
        assert_eq!(tally(every_other(1, wraps)), (998, 499));
        let two = every_other(1, wraps).zip(every_other(2, 7)).flat_map(|(a, b)| [a, b]);
        assert_eq!(tally(two), (1996, 998));
    }

    #[test]
    fn what_proves_nothing_is_not_lost_but_tells_of_nothing_sent() {
        let unproven = |count| (1, Arrival { is_proven: false, ..proven(count) });
        // A page is lost, its chunks wait for the parity page.
        let cell = std::iter::once((1, proven(9))).chain((11..75).map(unproven)).chain([(1, proven(75))]);
        assert_eq!(tally(cell), (66, 1));
        assert_eq!(tally((0..999).map(unproven)), (0, 0));
        // More of them than there can be hide no more than the gap they are in.
        let flood = [(1, proven(0))].into_iter().chain((1..999).map(unproven)).chain([(1, proven(3)), (1, proven(5))]);
        assert_eq!(tally(flood), (5, 1));
    }

    #[test]
    fn late_packets_were_not_lost() {
        let counts = [0, 1, 4, 2, 3, 5, 9, 8, 7, 6, 10].map(|count| (1, proven(count)));
        assert_eq!(tally(counts).1, 0);
    }

    #[test]
    fn a_sender_that_starts_anew_shows_at_most_one_burst() {
        for start in [0, 900, 5000, COUNT_MASK / 2, COUNT_MASK] {
            let counts = (1000..2000).chain((0..1000).map(|i| start + i)).map(|count| (1, proven(count)));
            let lost = tally(counts).1;
            assert!(lost <= MAX_BURST, "from {start}: {lost}");
        }
    }

    #[test]
    fn a_forged_count_on_a_real_packet_shows_one_burst_and_hides_no_later_loss() {
        for forged in [1, 10, 65, 1000, 2000, COUNT_MASK / 2, COUNT_MASK - 100] {
            let real = |range: std::ops::Range<u32>| range.step_by(2).map(|count| (1, proven(count)));
            let counts = real(0..2000).chain([(1, proven(2000 + forged))]).chain(real(2000..4000));
            let lost = tally(counts).1;
            assert!((2000 - 2 * MAX_LATE..=2000 + MAX_BURST).contains(&lost), "{forged}: {lost}");
        }
    }

    #[test]
    fn forged_sources_displace_no_sender_that_is_heard() {
        let crowd = (0..1000_u32).flat_map(|i| [(1, proven(2 * i)), (u64::from(i) + 2, proven(i * 5000))]);
        assert_eq!(tally(crowd), (1998, 999));
    }

    #[test]
    fn senders_that_stopped_give_their_places_up() {
        let mut meter = Meter::new();
        for source in 0..STREAMS as u64 {
            meter.note(Instant::default(), source, proven(0));
        }
        let later = Instant::default().after(FORGET);
        for count in [0, 2] {
            meter.note(later, 999, proven(count));
        }
        assert_eq!((meter.layer(0).sent, meter.layer(0).lost), (2, 1));
    }

    #[test]
    fn layers_that_no_session_has_are_passed_over() {
        let counts = (0..10).map(|count| (1, Arrival { layer: 15, ..proven(2 * count) }));
        assert_eq!(tally(counts), (0, 0));
    }
}
