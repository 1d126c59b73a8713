//! Packets that wait for their turn on a link that is slower than what comes, for a moment or for good \[C-14\].

use std::collections::VecDeque;
use std::time::Duration;

use fleetcast_core::wire::{Header, Object, Packet};

/// Least number of manifests, pages and parity pages that may wait.
const MIN_HEADS: usize = 32;
/// Counters for sources; sources that share one share its part.
const BUCKETS: usize = 16;

/// Two bounded queues: one of manifests and pages, without which the others are of no use, and one of chunks. While both have
/// something they take turns, so that pages, which are few, never wait long, and a flood of them leaves half to the chunks. No source has
/// more than half of either.
///
/// As a queue fills, ever more of what comes is turned away, by chance: a carousel comes round, and a rule would choose the same
/// packets each time.
#[derive(Debug)]
pub struct Queue {
    heads: Lane,
    chunks: Lane,
    max_wait: Duration,
    seed: u64,
    random: u64,
    /// Whose turn it is if both have something.
    is_chunks_turn: bool,
}

#[derive(Debug)]
struct Lane {
    waiting: VecDeque<Waiting>,
    room: usize,
    held: [usize; BUCKETS],
}

#[derive(Debug)]
struct Waiting {
    header: Header,
    payload: Vec<u8>,
    since: Duration,
    bucket: usize,
}

impl Queue {
    /// An empty queue for so many chunks, and a quarter of that of other packets, that keeps none longer than `max_wait`.
    #[must_use]
    pub fn new(chunks: usize, max_wait: Duration, seed: u64) -> Self {
        let heads = Lane::new((chunks / 4).max(MIN_HEADS));
        Self { heads, chunks: Lane::new(chunks), max_wait, seed, random: seed | 1, is_chunks_turn: false }
    }

    /// Lets a packet from `source` wait from `now` on; `false` if it is turned away.
    pub fn push(&mut self, now: Duration, source: u64, packet: Packet<'_>) -> bool {
        let (bucket, luck) = (self.bucket(source), self.next_random());
        let lane = match packet.header.object {
            Object::Chunk { .. } => &mut self.chunks,
            _ => &mut self.heads,
        };
        !lane.turns_away(bucket, luck) && lane.push(now, bucket, packet)
    }

    /// Drops what has waited for longer than it may at `now`; gives how many.
    pub fn drop_late(&mut self, now: Duration) -> usize {
        let max_wait = self.max_wait;
        [&mut self.heads, &mut self.chunks].into_iter().map(|lane| lane.drop_late(now, max_wait)).sum()
    }

    /// Octets of the packet that goes next.
    #[must_use]
    pub fn next_len(&self) -> Option<usize> {
        let lane = if self.is_chunks_next() { &self.chunks } else { &self.heads };
        lane.waiting.front().map(|waiting| fleetcast_core::wire::HEADER_LEN + waiting.payload.len())
    }

    /// Takes the packet that goes next.
    pub fn pop(&mut self) -> Option<(Header, Vec<u8>)> {
        let is_chunk = self.is_chunks_next();
        self.is_chunks_turn = !is_chunk;
        let lane = if is_chunk { &mut self.chunks } else { &mut self.heads };
        lane.pop().map(|waiting| (waiting.header, waiting.payload))
    }

    fn is_chunks_next(&self) -> bool {
        self.heads.waiting.is_empty() || self.is_chunks_turn && !self.chunks.waiting.is_empty()
    }

    /// xorshift64: nothing secret hangs on it but which packet is turned away.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 16
    }

    /// The bucket of a source; no sender can choose which.
    fn bucket(&self, source: u64) -> usize {
        let mixed = (source ^ self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        usize::try_from(mixed >> 60).unwrap_or_default() % BUCKETS
    }
}

impl Lane {
    fn new(room: usize) -> Self {
        Self { waiting: VecDeque::with_capacity(room), room, held: [0; BUCKETS] }
    }

    /// Whether the next packet of this bucket stays out: none while less than half of what it may have is taken, all once all is,
    /// in between ever more of them.
    fn turns_away(&self, bucket: usize, luck: u64) -> bool {
        let held = self.held.get(bucket).copied().unwrap_or(self.room);
        let taken = (2 * held).max(self.waiting.len());
        let above = (2 * taken).saturating_sub(self.room);
        luck % (self.room.max(1) as u64) < above as u64
    }

    fn push(&mut self, now: Duration, bucket: usize, packet: Packet<'_>) -> bool {
        let Some(held) = self.held.get_mut(bucket) else { return false };
        *held += 1;
        let Packet { header, payload } = packet;
        self.waiting.push_back(Waiting { header, payload: payload.to_vec(), since: now, bucket });
        true
    }

    fn drop_late(&mut self, now: Duration, max_wait: Duration) -> usize {
        let mut dropped = 0;
        while self.waiting.front().is_some_and(|waiting| now.saturating_sub(waiting.since) > max_wait) {
            self.pop();
            dropped += 1;
        }
        dropped
    }

    fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        if let Some(held) = self.held.get_mut(waiting.bucket) {
            *held -= 1;
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    use fleetcast_core::wire::{PageKind, Tsi};

    const NOW: Duration = Duration::from_secs(9);
    const WAIT: Duration = Duration::from_millis(100);

    fn packet(object: Object) -> Packet<'static> {
        Packet { header: Header { layer: 0, count: 0, tsi: Tsi([1; 4]), object }, payload: &[1; 50] }
    }

    fn chunk(esi: u16) -> Packet<'static> {
        packet(Object::Chunk { component: 0, sbn: 0, esi })
    }

    fn page(cell: u32) -> Packet<'static> {
        packet(Object::Page { kind: PageKind::Page, component: 0, cell })
    }

    fn taken(queue: &mut Queue) -> Vec<Object> {
        std::iter::from_fn(|| queue.pop()).map(|(header, _)| header.object).collect()
    }

    #[test]
    fn pages_overtake_chunks_but_leave_them_every_other_turn() {
        let mut queue = Queue::new(1000, WAIT, 1);
        assert_eq!((queue.next_len(), queue.pop().is_none()), (None, true));
        for number in 0..4 {
            assert!(queue.push(NOW, 1, chunk(number)));
        }
        assert!(queue.push(NOW, 1, page(0)) && queue.push(NOW, 1, page(1)) && queue.push(NOW, 1, page(2)));
        assert_eq!(queue.next_len(), Some(70));
        let all = [page(0), chunk(0), page(1), chunk(1), page(2), chunk(2), chunk(3)];
        // The first turn may be either's.
        let taken = taken(&mut queue);
        let pages_first: Vec<_> = all.iter().map(|packet| packet.header.object).collect();
        let chunks_first: Vec<_> = [chunk(0), page(0), chunk(1), page(1), chunk(2), page(2), chunk(3)]
            .iter()
            .map(|packet| packet.header.object)
            .collect();
        assert!(taken == pages_first || taken == chunks_first, "{taken:?}");
    }

    #[test]
    fn one_source_has_half_and_the_others_keep_theirs() {
        let mut queue = Queue::new(1000, WAIT, 1);
        let other = (2..100).find(|&source| queue.bucket(source) != queue.bucket(1)).unwrap();
        let fits = |queue: &mut Queue, source| (0..9000).filter(|&esi| queue.push(NOW, source, chunk(esi))).count();
        assert_eq!(fits(&mut queue, 1), 500);
        let also = fits(&mut queue, other);
        assert_eq!(also, 500);
        let third = (2..100).find(|&s| ![1, other].map(|s| queue.bucket(s)).contains(&queue.bucket(s))).unwrap();
        assert_eq!(fits(&mut queue, third), 0);
        // Chunks take no room from pages.
        assert_eq!((0..9000).filter(|&cell| queue.push(NOW, 1, page(cell))).count(), 125);
        assert_eq!(taken(&mut queue).len(), 1125);
        assert_eq!(fits(&mut queue, 1), 500);
    }

    #[test]
    fn a_short_burst_is_taken_whole() {
        let mut queue = Queue::new(1000, WAIT, 1);
        assert!((0..250).all(|esi| queue.push(NOW, 1, chunk(esi))));
    }

    #[test]
    fn of_a_loop_that_comes_four_times_too_fast_all_passes_in_time() {
        // Four come for each that goes, 400 in a loop: a rule such as "the first that finds room" would pass the same 100 for ever.
        let mut queue = Queue::new(80, WAIT, 1);
        let mut passed = HashSet::new();
        let mut late = 0;
        for step in 0..12 * 400_u32 {
            let now = NOW + Duration::from_micros(250) * step;
            queue.push(now, 1, chunk(u16::try_from(step % 400).unwrap()));
            late += queue.drop_late(now);
            if step % 4 == 0 {
                passed.extend(queue.pop().map(|(header, _)| header.object));
            }
        }
        // By chance, 1 - (3/4)^12 of them.
        assert!(passed.len() > 370, "{} of 400", passed.len());
        assert_eq!(late, 0);
    }

    #[test]
    fn what_waits_too_long_is_dropped() {
        let mut queue = Queue::new(1000, WAIT, 1);
        queue.push(NOW, 1, chunk(1));
        queue.push(NOW, 1, page(1));
        queue.push(NOW + WAIT, 1, chunk(2));
        assert_eq!(queue.drop_late(NOW + WAIT), 0);
        assert_eq!(queue.drop_late(NOW + WAIT + Duration::from_micros(1)), 2);
        assert_eq!(taken(&mut queue), [chunk(2).header.object]);
    }
}
