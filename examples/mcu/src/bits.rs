//! A set of small numbers, a bit each.

use alloc::vec;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
pub(crate) struct Bits(Vec<u8>);

impl Bits {
    /// The empty set of numbers below `count`.
    pub(crate) fn new(count: u32) -> Self {
        Self(vec![0; count.div_ceil(8) as usize])
    }

    pub(crate) fn has(&self, number: u32) -> bool {
        self.0.get(number as usize / 8).is_some_and(|octet| octet >> (number % 8) & 1 == 1)
    }

    pub(crate) fn set(&mut self, number: u32, is_in: bool) {
        if let Some(octet) = self.0.get_mut(number as usize / 8) {
            *octet = *octet & !(1 << (number % 8)) | u8::from(is_in) << (number % 8);
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|octet| octet.count_ones()).sum()
    }
}
