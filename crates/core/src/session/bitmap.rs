//! A set of small numbers, allocated once.

use alloc::vec;
use alloc::vec::Vec;

/// A set of numbers below the length it was made with.
#[derive(Clone, Debug)]
pub(super) struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    /// The empty set of numbers below `len`.
    pub(super) fn new(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)] }
    }

    /// Whether `i` is in it.
    pub(super) fn get(&self, i: u32) -> bool {
        self.words.get((i / 64) as usize).is_some_and(|word| word & mask(i) != 0)
    }

    /// Puts `i` in or takes it out; a number out of range is never in.
    pub(super) fn set(&mut self, i: u32, is_in: bool) {
        if let Some(word) = self.words.get_mut((i / 64) as usize) {
            if is_in { *word |= mask(i) } else { *word &= !mask(i) }
        }
    }
}

const fn mask(i: u32) -> u64 {
    1 << (i % 64)
}
