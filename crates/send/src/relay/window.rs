//! What went a moment ago: a copy that comes by another way, or round a circle of relays, does not go again \[C-13\].

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use fleetcast_core::wire::{Header, Object, Packet, StatementKind};

/// Packets that are remembered. Of 20,000 in a window, what goes in 0.4 s at 400 Mbit/s, one in 25 is forgotten early.
const ENTRIES: usize = 1 << 15;

/// Places that a packet may be in.
const WAYS: usize = 16;

/// Remembers packets for a while, in one allocation; when it is full, those for which least of it is left are forgotten.
#[derive(Debug)]
pub struct Window {
    sets: Vec<[Entry; WAYS]>,
    hold: u64,
    seed: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Which packet.
    mark: u64,
    /// In microseconds; 0 if the place is empty.
    until: u64,
}

impl Window {
    /// Remembers each packet for `hold`.
    #[must_use]
    pub fn new(hold: Duration, seed: u64) -> Self {
        Self { sets: vec![[Entry::default(); WAYS]; ENTRIES / WAYS], hold: micros(hold), seed }
    }

    /// Whether this packet went within the window before `now`, whatever its packet count and layer.
    ///
    /// Of statements all octets count: there may be several with other signatures, and none stands in for another. Of roots and
    /// beacons nothing else does: under whatever TSI one comes, it is the same.
    #[must_use]
    pub fn contains(&self, now: Duration, packet: &Packet<'_>) -> bool {
        let mark = self.mark(packet);
        let is_it = |entry: &Entry| entry.mark == mark && micros(now) < entry.until;
        self.sets.get(self.set(mark)).is_some_and(|set| set.iter().any(is_it))
    }

    /// Notes that this packet, which has verified, goes at `now`.
    pub fn insert(&mut self, now: Duration, packet: &Packet<'_>) {
        let mark = self.mark(packet);
        let set = self.set(mark);
        let places = self.sets.get_mut(set).into_iter().flatten();
        // Its own old place, else the one that ends first.
        if let Some(place) = places.min_by_key(|entry| (entry.mark != mark, entry.until)) {
            *place = Entry { mark, until: micros(now) + self.hold };
        }
    }

    fn mark(&self, packet: &Packet<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        let Header { tsi, object, .. } = packet.header;
        match object {
            Object::Statement { kind: StatementKind::Manifest, .. } => (tsi, object, packet.payload).hash(&mut hasher),
            Object::Statement { kind, .. } => (kind, packet.payload).hash(&mut hasher),
            _ => (tsi, object).hash(&mut hasher),
        }
        self.seed.hash(&mut hasher);
        hasher.finish()
    }

    fn set(&self, mark: u64) -> usize {
        usize::try_from(mark % self.sets.len() as u64).unwrap_or_default()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetcast_core::wire::Tsi;

    const HOLD: Duration = Duration::from_millis(400);

    fn chunk(number: u32, layer: u8) -> Packet<'static> {
        let [s0, s1, e0, e1] = number.to_be_bytes();
        let object =
            Object::Chunk { component: 0, sbn: u16::from_be_bytes([s0, s1]), esi: u16::from_be_bytes([e0, e1]) };
        Packet { header: Header { layer, count: number, tsi: Tsi([1; 4]), object }, payload: &[1] }
    }

    #[test]
    fn a_packet_is_held_back_for_the_window_and_no_longer() {
        let mut window = Window::new(HOLD, 3);
        let second = Duration::from_secs(1);
        assert!(!window.contains(second, &chunk(7, 0)));
        window.insert(second, &chunk(7, 0));
        assert!(window.contains(second, &chunk(7, 0)) && window.contains(second, &chunk(7, 2)));
        assert!(window.contains(second + Duration::from_micros(399_999), &chunk(7, 0)));
        assert!(!window.contains(second + HOLD, &chunk(7, 0)) && !window.contains(second, &chunk(8, 0)));
        let other = Packet { header: Header { tsi: Tsi([2; 4]), ..chunk(7, 0).header }, ..chunk(7, 0) };
        assert!(!window.contains(second, &other));
    }

    #[test]
    fn manifests_with_other_octets_are_other_packets() {
        let mut window = Window::new(HOLD, 3);
        let object = Object::MANIFEST;
        let manifest = |payload| Packet { header: Header { object, ..chunk(0, 0).header }, payload };
        window.insert(HOLD, &manifest(&[1, 2]));
        assert!(window.contains(HOLD, &manifest(&[1, 2])) && !window.contains(HOLD, &manifest(&[1, 3])));
    }

    #[test]
    fn a_root_or_beacon_is_the_same_under_any_session() {
        let mut window = Window::new(HOLD, 3);
        let statement = |tsi, kind, payload| {
            let object = Object::Statement { kind, number: u16::from(kind == StatementKind::Root) };
            Packet { header: Header { tsi: Tsi([tsi; 4]), object, ..chunk(0, 0).header }, payload }
        };
        for kind in StatementKind::ALL {
            window.insert(HOLD, &statement(1, kind, &[1, 2]));
            let is_one_for_all = kind != StatementKind::Manifest;
            assert_eq!(window.contains(HOLD, &statement(2, kind, &[1, 2])), is_one_for_all, "{kind:?}");
            assert!(!window.contains(HOLD, &statement(1, kind, &[1, 3])));
        }
    }

    #[test]
    fn what_goes_in_a_window_at_its_fullest_is_remembered_and_older_packets_are_not_in_the_way() {
        let mut window = Window::new(HOLD, 3);
        // 20,000 packets a window, for ten windows.
        let at = |number: u32| HOLD * number / 20_000;
        let mut missed = 0;
        for number in 0..200_000_u32 {
            window.insert(at(number), &chunk(number, 0));
            let recent = number.saturating_sub(19_999);
            missed += u32::from(!window.contains(at(number), &chunk(recent, 0)));
        }
        assert!(missed < 10_000, "{missed} of 200000 forgotten too early");
    }
}
