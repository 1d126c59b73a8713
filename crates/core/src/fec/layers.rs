//! The layers of a session: one multicast group each, from the base layer up (spec §8 \[C-7\]).

/// Most layers of a session \[C-7\].
pub const MAX_LAYERS: u8 = 8;

/// How many layers a session has: 1 to [`MAX_LAYERS`].
///
/// Rates are counted in the rate of the base layer: the layers have 1, 1, 2, 4, ... of it, so that each layer more doubles what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers(u8);

/// Rate of a layer, counted from 0, in the rate of the base layer: 1, 1, 2, 4, ...
///
/// A layer that no session has counts as the highest.
#[must_use]
pub const fn layer_rate(layer: u8) -> u32 {
    let below = if layer >= MAX_LAYERS { MAX_LAYERS.saturating_sub(1) } else { layer };
    // All layers below together are as fast.
    prefix_rate(below)
}

/// Rate of the first `layers` layers together, in the rate of the base layer: 1, 2, 4, 8, ... A receiver always has the base layer, so
/// 0 counts as 1; more than a session has count as the most.
#[must_use]
pub const fn prefix_rate(layers: u8) -> u32 {
    let above = if layers > MAX_LAYERS { MAX_LAYERS } else { layers }.saturating_sub(1);
    1_u32.wrapping_shl(above as u32)
}

impl Layers {
    /// Only the base layer.
    pub const ONE: Self = Self(1);

    /// So many layers; `None` unless 1 to [`MAX_LAYERS`].
    #[must_use]
    pub const fn new(count: u8) -> Option<Self> {
        if count >= 1 && count <= MAX_LAYERS { Some(Self(count)) } else { None }
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.0
    }

    /// Rate of all of them together, in the rate of the base layer; also slots of a frame, and cells of a group.
    #[must_use]
    pub const fn rate(self) -> u32 {
        prefix_rate(self.0)
    }

    /// Layer of a slot, and which of the layer's slots in its frame it is. Each layer's slots are evenly apart: of four
    /// layers, a frame has 0 3 2 3 1 3 2 3.
    pub(super) fn of_slot(self, slot: u64) -> (u8, u64) {
        let width = u64::from(self.rate());
        let place = slot & width.wrapping_sub(1);
        // What a layer has in a frame comes every so often, in powers of two; the base layer comes first.
        if place == 0 {
            return (0, 0);
        }
        let spacing = place.trailing_zeros();
        let layer = u32::from(self.0).saturating_sub(1).saturating_sub(spacing);
        (u8::try_from(layer).unwrap_or_default(), place >> spacing.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn each_layer_more_doubles_the_rate() {
        assert_eq!((0..5).map(layer_rate).collect::<Vec<_>>(), [1, 1, 2, 4, 8]);
        assert_eq!((1..5).map(prefix_rate).collect::<Vec<_>>(), [1, 2, 4, 8]);
        for layers in 1..=MAX_LAYERS {
            assert_eq!((0..layers).map(layer_rate).sum::<u32>(), prefix_rate(layers));
            assert_eq!(Layers::new(layers).unwrap().rate(), prefix_rate(layers));
        }
        assert_eq!((prefix_rate(0), prefix_rate(255)), (1, prefix_rate(MAX_LAYERS)));
        assert_eq!(layer_rate(255), layer_rate(MAX_LAYERS - 1));
        assert_eq!((Layers::new(0), Layers::new(9)), (None, None));
    }

    #[test]
    fn a_frame_has_slots_of_each_layer_by_its_rate_and_evenly_apart() {
        let frame: Vec<_> = (0..8).map(|slot| Layers(4).of_slot(slot)).collect();
        assert_eq!(frame, [(0, 0), (3, 0), (2, 0), (3, 1), (1, 0), (3, 2), (2, 1), (3, 3)]);
        for count in 1..=MAX_LAYERS {
            let layers = Layers(count);
            for layer in 0..count {
                let own: Vec<_> = (0..u64::from(layers.rate()) * 3).filter(|&s| layers.of_slot(s).0 == layer).collect();
                let apart = u64::from(layers.rate() / layer_rate(layer));
                assert!(own.is_sorted_by(|a, b| b - a == apart), "layer {layer} of {count}");
                let places = own.iter().map(|&slot| layers.of_slot(slot).1);
                assert!(places.eq((0..3).flat_map(|_| 0..u64::from(layer_rate(layer)))), "layer {layer} of {count}");
            }
        }
    }
}
