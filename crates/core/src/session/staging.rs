//! Packets that came before what verifies them (spec §6 \[T-11\]): one bounded buffer, allocated once.
//!
//! Anyone can put packets in. So no source may have more than half of it, an identity may have only a few
//! candidates, and when it is full a random one goes: a flood can thin out what waits, never steer it.

use alloc::vec;
use alloc::vec::Vec;

use crate::wire::{Header, Object, Tsi};

/// Different packets that may claim to be the same object.
const CANDIDATES: usize = 4;
/// Counters for sources; sources that share one share its quota.
const BUCKETS: usize = 16;

/// A packet that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Staged {
    pub(super) tsi: Tsi,
    pub(super) object: Object,
    pub(super) layer: u8,
    bucket: usize,
    len: usize,
    /// Order of arrival.
    stamp: u64,
}

/// The buffer.
#[derive(Debug)]
pub(super) struct Staging {
    slots: Vec<Option<Staged>>,
    bytes: Vec<u8>,
    stride: usize,
    used: usize,
    buckets: [usize; BUCKETS],
    stamp: u64,
    /// Mixed into source numbers, so that no sender can choose one that shares another's bucket.
    secret: u64,
    random: u64,
}

impl Staging {
    /// Room for `slots` payloads of up to `stride` octets; `seed` makes its choices unpredictable to senders.
    pub(super) fn new(slots: usize, stride: usize, seed: u64) -> Self {
        Self {
            slots: vec![None; slots],
            bytes: vec![0; slots.saturating_mul(stride)],
            stride,
            used: 0,
            buckets: [0; BUCKETS],
            stamp: 0,
            secret: seed,
            random: seed | 1,
        }
    }

    /// Octets of a slot.
    pub(super) const fn stride(&self) -> usize {
        self.stride
    }

    /// Number of slots.
    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// What waits in `slot`.
    pub(super) fn get(&self, slot: usize) -> Option<Staged> {
        self.slots.get(slot).copied().flatten()
    }

    /// Payload in `slot`; still readable after [`Staging::remove`], until the next insert.
    pub(super) fn payload(&self, slot: usize, len: usize) -> &[u8] {
        let start = slot.saturating_mul(self.stride);
        self.bytes.get(start..).and_then(|bytes| bytes.get(..len)).unwrap_or_default()
    }

    /// Slots whose packet belongs to session `tsi`, with it.
    pub(super) fn of_session(&self, tsi: Tsi) -> impl Iterator<Item = (usize, Staged)> {
        let staged = self.slots.iter().enumerate().filter_map(|(slot, staged)| Some((slot, (*staged)?)));
        staged.filter(move |(_, staged)| staged.tsi == tsi)
    }

    /// Lets a packet wait. `false` if it does already, or is larger than a slot.
    pub(super) fn insert(&mut self, source: u64, header: &Header, payload: &[u8]) -> bool {
        let Header { layer, tsi, object, .. } = *header;
        if payload.len() > self.stride || self.slots.is_empty() {
            return false;
        }
        let mut same = [None; CANDIDATES];
        let claims = self.of_session(tsi).filter(|(_, staged)| staged.object == object);
        for ((slot, staged), into) in claims.zip(&mut same) {
            if self.payload(slot, staged.len) == payload {
                return false;
            }
            *into = Some(slot);
        }
        let bucket = self.bucket(source);
        let slot = match same {
            // All candidates of this identity are taken: one of them goes, of the same sender if there is one.
            [.., Some(_)] => {
                let is_own = |slot: &usize| self.get(*slot).is_some_and(|staged| staged.bucket == bucket);
                let own = same.into_iter().flatten().find(is_own);
                own.or_else(|| same.get(self.random_below(CANDIDATES)).copied().flatten())
            }
            _ if self.buckets.get(bucket).is_some_and(|&count| count >= self.slots.len() / 2) => {
                self.probe(|slot| slot.is_some_and(|staged| staged.bucket == bucket))
            }
            _ if self.used == self.slots.len() => Some(self.random_below(self.slots.len())),
            _ => self.probe(Option::is_none),
        };
        let Some(slot) = slot else { return false };
        self.remove(slot);
        let start = slot.saturating_mul(self.stride);
        let place = self.bytes.get_mut(start..).and_then(|bytes| bytes.get_mut(..payload.len()));
        let (Some(place), Some(entry)) = (place, self.slots.get_mut(slot)) else { return false };
        place.copy_from_slice(payload);
        self.stamp = self.stamp.wrapping_add(1);
        *entry = Some(Staged { tsi, object, layer, bucket, len: payload.len(), stamp: self.stamp });
        self.used = self.used.saturating_add(1);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
        true
    }

    /// Ends the wait of the packet in `slot`.
    pub(super) fn remove(&mut self, slot: usize) {
        if let Some(staged) = self.slots.get_mut(slot).and_then(Option::take) {
            self.used = self.used.saturating_sub(1);
            if let Some(count) = self.buckets.get_mut(staged.bucket) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Ends the wait of all packets for which `keep` is false.
    pub(super) fn retain(&mut self, keep: impl Fn(Tsi) -> bool) {
        for slot in 0..self.slots.len() {
            if self.get(slot).is_some_and(|staged| !keep(staged.tsi)) {
                self.remove(slot);
            }
        }
    }

    /// Keeps only the newest `most` packets of session `tsi`.
    pub(super) fn trim(&mut self, tsi: Tsi, most: usize) {
        while self.of_session(tsi).count() > most {
            let oldest = self.of_session(tsi).min_by_key(|(_, staged)| staged.stamp);
            let Some((slot, _)) = oldest else { return };
            self.remove(slot);
        }
    }

    /// The bucket of a source; other sources share it, but no sender can choose which.
    fn bucket(&self, source: u64) -> usize {
        let mixed = (source ^ self.secret).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 60) as usize % BUCKETS
    }

    /// First slot from a random one on, round the end, that `wanted` takes.
    fn probe(&mut self, wanted: impl Fn(&Option<Staged>) -> bool) -> Option<usize> {
        let start = self.random_below(self.slots.len());
        let in_order = (start..self.slots.len()).chain(0..start);
        in_order.into_iter().find(|&slot| self.slots.get(slot).is_some_and(&wanted))
    }

    /// xorshift64: nothing secret hangs on it but which packet goes.
    fn random_below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 16).unwrap_or(0).checked_rem(bound).unwrap_or(0)
    }
}

impl Staged {
    /// Octets of its payload.
    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const TSI: Tsi = Tsi([1; 4]);

    fn chunk(esi: u16) -> Object {
        Object::Chunk { component: 0, sbn: 0, esi }
    }

    fn packet(esi: u16) -> Header {
        Header { layer: 0, count: 0, tsi: TSI, object: chunk(esi) }
    }

    #[test]
    fn one_source_gets_half_of_the_room_and_the_others_keep_theirs() {
        let mut staging = Staging::new(256, 64, 99);
        for esi in 0..100 {
            assert!(staging.insert(1, &packet(esi), &[1; 64]));
        }
        // A source whose packets are counted apart from those of source 1.
        let flooder = (2..100).find(|&source| staging.bucket(source) != staging.bucket(1)).unwrap();
        for esi in 0..10_000 {
            staging.insert(flooder, &packet(1000 + esi), &[2; 64]);
        }
        let kept =
            staging.of_session(TSI).filter(|(_, staged)| matches!(staged.object, Object::Chunk { esi: 0..100, .. }));
        assert_eq!(kept.count(), 100);
        assert_eq!(staging.of_session(TSI).count(), 228);
    }

    #[test]
    fn a_full_buffer_loses_random_packets_only() {
        let mut staging = Staging::new(256, 64, 5);
        for source in 0..100_000_u64 {
            staging.insert(source, &packet(u16::try_from(source % 60_000).unwrap()), &source.to_be_bytes());
        }
        assert_eq!(staging.of_session(TSI).count(), 256);
        let old = staging.of_session(TSI).filter(|(_, staged)| staged.stamp < 99_000).count();
        assert!(old > 0, "the newest packets drove all others out");
    }

    #[test]
    fn an_identity_has_few_candidates_and_no_copies() {
        let mut staging = Staging::new(256, 64, 5);
        assert!(staging.insert(1, &packet(7), b"genuine"));
        assert!(!staging.insert(2, &packet(7), b"genuine"));
        for forged in 0..1000_u64 {
            staging.insert(forged, &packet(7), &forged.to_be_bytes());
        }
        assert_eq!(staging.of_session(TSI).count(), CANDIDATES);
    }

    #[test]
    fn a_sender_displaces_its_own_candidates_and_no_others() {
        let mut staging = Staging::new(256, 64, 5);
        let genuine = (1..1000).find(|&source| staging.bucket(source) != staging.bucket(0)).unwrap();
        for forged in 0..10_u64 {
            staging.insert(0, &packet(7), &forged.to_be_bytes());
        }
        staging.insert(genuine, &packet(7), b"genuine");
        for forged in 10..1000_u64 {
            staging.insert(0, &packet(7), &forged.to_be_bytes());
        }
        let waiting: Vec<_> = staging.of_session(TSI).map(|(slot, staged)| staging.payload(slot, staged.len)).collect();
        assert!(waiting.len() == CANDIDATES && waiting.contains(&&b"genuine"[..]));
    }

    #[test]
    fn what_is_removed_makes_room_and_counts_stay_right() {
        let mut staging = Staging::new(64, 64, 5);
        for round in 0..100_u16 {
            for esi in 0..40 {
                staging.insert(u64::from(esi), &packet(round * 40 + esi), &[3; 10]);
            }
            let slots: HashSet<_> = staging.of_session(TSI).map(|(slot, _)| slot).collect();
            for slot in slots {
                staging.remove(slot);
            }
            assert!(staging.is_empty());
            assert_eq!(staging.buckets, [0; BUCKETS]);
        }
        assert!(!staging.insert(1, &packet(1), &[0; 65]), "larger than a slot");
        assert!(!Staging::new(0, 64, 1).insert(1, &packet(1), &[0; 4]), "no room at all");
    }

    #[test]
    fn trimming_keeps_the_newest() {
        let mut staging = Staging::new(64, 64, 5);
        for esi in 0..20 {
            staging.insert(1, &packet(esi), &[3; 10]);
        }
        staging.trim(TSI, 8);
        let kept: HashSet<_> = staging.of_session(TSI).map(|(_, staged)| staged.object).collect();
        assert_eq!(kept, (12..20).map(chunk).collect());
    }
}
