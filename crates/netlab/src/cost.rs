//! What a reception costs on air: packets sent from the join until complete, over the packets of the bare image.

use fleetcast_core::session::{Config, Receiver};

use crate::release::{Release, policy, trust};
use crate::sim::{Carousel, Channel, Losses, Store, receive_from, receive_plain};

/// Ratios of packets sent to image packets, over many joins.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Ascending.
    ratios: Vec<f64>,
}

impl Cost {
    /// Receives all layers of one sender `joins` times, each from a random place of the loop, with seeds from `first_seed` on.
    #[must_use]
    pub fn of(release: &Release, channel: Channel, first_seed: u64, joins: u64) -> Self {
        let carousel = &release.carousel;
        Self::of_senders(carousel, carousel.schedule().layers().count(), &[0], channel, first_seed, joins)
    }

    /// Receives the first `layers` layers of several senders, each so many 2^32nds of a cycle ahead of a random place.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn of_senders(
        carousel: &Carousel,
        layers: u8,
        ahead: &[u32],
        channel: Channel,
        first_seed: u64,
        joins: u64,
    ) -> Self {
        let (image, schedule) = (carousel.image_packets() as f64, carousel.schedule());
        let one = |seed: u64| {
            let config = Config { trust: trust(), policy: policy(), staging: 1024, seed };
            let mut store = Store { is_pages_only: true, ..Store::default() };
            let place = fastrand::Rng::with_seed(!seed).u32(..);
            let starts: Vec<_> = ahead.iter().map(|ahead| schedule.slot_at(place.wrapping_add(*ahead))).collect();
            let mut losses = Losses::new(channel, seed);
            receive_from(carousel, &mut Receiver::new(config), &mut store, &mut losses, &starts, layers).sent as f64
                / image
        };
        Self::sorted((first_seed..first_seed + joins).map(one).collect())
    }

    /// The same for a plain loop over the image, without digests or repair.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn of_plain(packets: u64, channel: Channel, first_seed: u64, joins: u64) -> Self {
        let one = |seed: u64| {
            let start = fastrand::Rng::with_seed(!seed).u64(..packets);
            receive_plain(packets, &mut Losses::new(channel, seed), start) as f64 / packets as f64
        };
        Self::sorted((first_seed..first_seed + joins).map(one).collect())
    }

    fn sorted(mut ratios: Vec<f64>) -> Self {
        ratios.sort_by(f64::total_cmp);
        Self { ratios }
    }

    /// Arithmetic mean.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn mean(&self) -> f64 {
        self.ratios.iter().sum::<f64>() / self.ratios.len() as f64
    }

    /// The ratio that 99 % of the joins do not exceed.
    #[must_use]
    pub fn p99(&self) -> f64 {
        let rank = (self.ratios.len() * 99).div_ceil(100);
        self.ratios.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}
