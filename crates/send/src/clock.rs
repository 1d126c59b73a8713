//! The place in the cycle that a clock tells, so that several senders keep apart without knowing of each other (spec §8 \[C-8\]).
//! Pure; the caller reads the clock.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use fleetcast_core::fec::Layers;

use crate::carousel::Phase;
use crate::pacing::Pace;

/// Most senders that share a release by the clock.
pub const MAX_SENDERS: u8 = 16;

/// Which of several senders this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Counted from 0; below `of`.
    index: u8,
    /// How many there are.
    of: u8,
}

/// A cycle that begins again and again, counted from the beginning of 1970, as long as it takes at the nominal pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds a cycle takes.
    cycle: NonZeroU64,
    /// How far ahead of it this sender is.
    ahead: Phase,
}

/// What a cycle takes, empty slots and manifests included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Slots that take time.
    pub slots: u64,
    /// Octets these take as much time as.
    pub octets: u64,
}

impl Share {
    /// How far ahead of the clock this sender is.
    ///
    /// On one layer the senders divide the cycle evenly. A receiver of more layers sees a cycle that is two, four, ... times as short, and
    /// with it any distance that many times as long: half a cycle would be none. By odd parts all prefixes of layers see the senders
    /// equally far apart.
    #[must_use]
    pub fn ahead(self, layers: Layers) -> Phase {
        let is_odd = !self.of.is_multiple_of(2);
        let parts = if layers == Layers::ONE || is_odd { self.of } else { self.of.saturating_add(1) };
        let part = (u64::from(self.index) << 32) / u64::from(parts.max(1));
        Phase(u32::try_from(part).unwrap_or_default())
    }
}

impl FromStr for Share {
    type Err = String;

    /// `i/n`, i counted from 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is no share: write i/n, such as 0/2 and 1/2 for the first and second of two");
        let (index, of) = text.split_once('/').ok_or_else(form)?;
        let (index, of) = (index.parse().map_err(|_| form())?, of.parse().map_err(|_| form())?);
        if of > MAX_SENDERS {
            return Err(format!("{of} senders are too many: at most {MAX_SENDERS} share a release"));
        }
        if index >= of {
            return Err(format!("there is no sender {index} of {of}: they are counted from 0"));
        }
        Ok(Self { index, of })
    }
}

impl Clock {
    /// The clock of a carousel that takes `load` a cycle, at `pace`; `None` if that has no speed.
    #[must_use]
    pub fn new(load: Load, pace: Pace, ahead: Phase) -> Option<Self> {
        let nanos = match pace {
            Pace::Rate(rate) => u128::from(load.octets) * 8_000_000_000 / u128::from(rate.get()),
            Pace::Delay(delay) => u128::from(load.slots) * delay.as_nanos(),
            Pace::Unlimited => return None,
        };
        let cycle = u64::try_from(nanos).ok().and_then(NonZeroU64::new)?;
        Some(Self { cycle, ahead })
    }

    /// The place in the cycle, so long after the beginning of 1970.
    #[must_use]
    pub fn phase(&self, unix: Duration) -> Phase {
        let cycle = u128::from(self.cycle.get());
        let part = ((unix.as_nanos() % cycle) << 32) / cycle;
        Phase(u32::try_from(part).unwrap_or_default().wrapping_add(self.ahead.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(share: &str, layers: u8) -> f64 {
        let share: Share = share.parse().unwrap();
        f64::from(share.ahead(Layers::new(layers).unwrap()).0) / 2_f64.powi(32)
    }

    #[test]
    fn senders_divide_the_cycle_evenly_or_by_odd_parts() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(ahead("0/1", 1), 0.0);
        near(ahead("1/2", 1), 1.0 / 2.0);
        near(ahead("2/3", 1), 2.0 / 3.0);
        near(ahead("1/2", 4), 1.0 / 3.0);
        near(ahead("3/4", 2), 3.0 / 5.0);
        near(ahead("4/5", 4), 4.0 / 5.0);
    }

    #[test]
    fn every_prefix_of_layers_sees_all_senders_apart() {
        for (of, layers) in (1..=MAX_SENDERS).flat_map(|of| (1..=8).map(move |layers| (of, layers))) {
            for round in 0..layers {
                let scale = 2_f64.powi(round.into());
                let mut places: Vec<_> =
                    (0..of).map(|i| (ahead(&format!("{i}/{of}"), layers) * scale).fract()).collect();
                places.sort_by(f64::total_cmp);
                places.push(1.0 + places[0]);
                let nearest = places.windows(2).map(|pair| pair[1] - pair[0]).fold(1.0, f64::min);
                assert!(nearest > 0.99 / f64::from(of + 1), "{of} senders, {layers} layers, {scale}: {nearest}");
            }
        }
    }

    #[test]
    fn a_share_is_one_of_at_most_sixteen() {
        for (text, part) in [
            ("2/2", "counted from 0"),
            ("0/0", "no sender 0"),
            ("0/17", "at most 16"),
            ("1", "i/n"),
            ("-1/2", "i/n"),
            ("1/", "i/n"),
        ] {
            let error = text.parse::<Share>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_place_goes_round_as_fast_as_the_pace() {
        let load = Load { slots: 1000, octets: 1_000_000 };
        let rate = Pace::Rate(NonZeroU64::new(8_000_000).unwrap());
        for pace in [rate, Pace::Delay(Duration::from_millis(1))] {
            // A cycle takes a second.
            let clock = Clock::new(load, pace, Phase(1 << 30)).unwrap();
            for second in [0, 1, 1_800_000_000] {
                let at = |millis| clock.phase(Duration::from_secs(second) + Duration::from_millis(millis));
                assert_eq!([at(0), at(250), at(750)], [Phase(1 << 30), Phase(1 << 31), Phase(0)]);
            }
        }
        assert_eq!(Clock::new(load, Pace::Unlimited, Phase(0)), None);
        assert_eq!(Clock::new(Load::default(), rate, Phase(0)), None);
    }
}
