//! A bounded cache of verified pages and parity pages, oldest out first.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use crate::tree::{self, Geometry, Tree};
use crate::wire::PageKind;

/// Pages and parity pages kept: the last 128 cells or so. Chunks wait for a page at most until the parity pages of the
/// next cells have come, far less than that, from several senders at once too.
const CAPACITY: usize = 256;

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) kind: PageKind,
    pub(super) component: u8,
    pub(super) cell: u32,
}

/// The cache: contents in one allocation, made once.
#[derive(Debug)]
pub(super) struct PageCache {
    keys: [Option<Key>; CAPACITY],
    lens: [usize; CAPACITY],
    bytes: Vec<u8>,
    stride: usize,
    next: usize,
}

impl PageCache {
    /// An empty cache for the pages of these trees.
    pub(super) fn new(trees: &[Tree]) -> Self {
        let page_len = |tree: &Tree| (tree.geometry().cell() as usize).saturating_mul(tree.geometry().digest_len());
        Self::with_stride(trees.iter().map(page_len).max().unwrap_or(0))
    }

    /// An empty cache for pages of up to `stride` octets.
    fn with_stride(stride: usize) -> Self {
        let bytes = vec![0; stride.saturating_mul(CAPACITY)];
        Self { keys: [None; CAPACITY], lens: [0; CAPACITY], bytes, stride, next: 0 }
    }

    /// The page, if it is here.
    pub(super) fn get(&self, key: Key) -> Option<&[u8]> {
        self.at(self.find(key)?)
    }

    /// Whether the page is here.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.find(key).is_some()
    }

    /// Puts a page in; it must not be longer than the stride.
    fn insert(&mut self, key: Key, page: &[u8]) {
        let slot = self.find(key).unwrap_or_else(|| self.take_slot());
        self.fill(slot, key, page.len(), |into| into.copy_from_slice(page));
    }

    /// Puts a verified page or parity page of a component of this geometry in, and every page that follows from it and those here,
    /// and from these in turn \[T-4, T-9\]. Calls `known` with the cell of each page that is known by it.
    pub(super) fn take(&mut self, geometry: &Geometry, new: Key, page: &[u8], mut known: impl FnMut(u32)) {
        let is_known = self.contains(new);
        self.insert(new, page);
        if is_known {
            return;
        }
        let mut queue = VecDeque::from([new]);
        while let Some(Key { kind, component, cell }) = queue.pop_front() {
            let page = |cell| Key { kind: PageKind::Page, component, cell };
            let parity = |cell| Key { kind: PageKind::Parity, component, cell };
            let mut derive = |target: u32, from: u32, other: Option<u32>| {
                let len = geometry.page_len(PageKind::Page, target).unwrap_or(0);
                let target = page(target);
                if !self.contains(target) && self.derive(target, parity(from), other.map(page), len) {
                    queue.push_back(target);
                }
            };
            match (kind, geometry.parity_partner(cell)) {
                (PageKind::Parity, None) => derive(cell, cell, None),
                (PageKind::Parity, Some(partner)) => {
                    derive(partner, cell, Some(cell));
                    derive(cell, cell, Some(partner));
                }
                (PageKind::Page, partner) => {
                    known(cell);
                    if let Some(partner) = partner {
                        derive(partner, cell, Some(cell));
                    }
                    if let Some(follower) = geometry.parity_follower(cell) {
                        derive(follower, follower, Some(cell));
                    }
                }
            }
        }
    }

    /// Puts in what `a` xor `b` gives (of `b` none: a copy of `a`), cut or zero-padded to `len` octets. `false` if one of
    /// them is not here.
    fn derive(&mut self, key: Key, a: Key, b: Option<Key>, len: usize) -> bool {
        let mut page = [0; MAX_PAGE];
        let Some(page) = page.get_mut(..len) else { return false };
        for part in [Some(a), b].into_iter().flatten() {
            let Some(part) = self.get(part) else { return false };
            tree::xor(page, part);
        }
        self.insert(key, page);
        true
    }

    /// Takes a page out. If it is the newest, the next one takes its slot, and not that of the oldest.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(slot) = self.find(key) else { return };
        if let Some(place) = self.keys.get_mut(slot) {
            *place = None;
        }
        if slot.wrapping_add(1) % CAPACITY == self.next {
            self.next = slot;
        }
    }

    /// Takes everything out.
    pub(super) fn clear(&mut self) {
        self.keys = [None; CAPACITY];
    }

    fn find(&self, key: Key) -> Option<usize> {
        // The page wanted is nearly always the newest or close to it.
        let newest_first = (0..self.next).rev().chain((self.next..CAPACITY).rev());
        newest_first.into_iter().find(|&slot| self.keys.get(slot) == Some(&Some(key)))
    }

    fn take_slot(&mut self) -> usize {
        let slot = self.next;
        self.next = slot.wrapping_add(1) % CAPACITY;
        slot
    }

    fn fill(&mut self, slot: usize, key: Key, len: usize, write: impl FnOnce(&mut [u8])) {
        let start = slot.saturating_mul(self.stride);
        let place = self.bytes.get_mut(start..).and_then(|bytes| bytes.get_mut(..len));
        let (Some(place), Some(k), Some(l)) = (place, self.keys.get_mut(slot), self.lens.get_mut(slot)) else { return };
        write(place);
        *k = Some(key);
        *l = len;
    }

    fn at(&self, slot: usize) -> Option<&[u8]> {
        self.bytes.get(slot.saturating_mul(self.stride)..)?.get(..*self.lens.get(slot)?)
    }
}

/// Octets of the largest page: 64 digests of 32 octets.
const MAX_PAGE: usize = 64 * 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_taken_out_again_push_only_the_oldest_out() {
        let mut cache = PageCache::with_stride(4);
        let key = |cell: usize| Key { kind: PageKind::Page, component: 0, cell: u32::try_from(cell).unwrap() };
        for cell in 0..CAPACITY {
            cache.insert(key(cell), &[1; 4]);
        }
        for cell in CAPACITY..4 * CAPACITY {
            cache.insert(key(cell), &[2; 4]);
            cache.remove(key(cell));
            assert!(!cache.contains(key(cell)));
        }
        assert!(!cache.contains(key(0)) && (1..CAPACITY).all(|cell| cache.contains(key(cell))));
    }
}
