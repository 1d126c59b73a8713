//! Notices groups that nothing comes of, so that switches and routers are told again who wants them.
//!
//! A switch that was started anew, or a network that lost its querier, forwards a group to nobody until the members report
//! themselves; a host that is not asked never does.

use std::net::SocketAddr;
use std::time::Duration;

use fleetcast_core::time::Instant;

/// Silence before the first report.
const FIRST: Duration = Duration::from_secs(15);
/// Most time between two reports: as often as a querier asks (RFC 3376 §8.2). Without a sender silence lasts for ever.
const LONGEST: Duration = Duration::from_mins(2);

/// Group, and index of the interface.
type Place = (SocketAddr, u32);

/// When each group was last heard.
#[derive(Debug, Default)]
pub(super) struct Silence(Vec<Quiet>);

#[derive(Debug)]
struct Quiet {
    place: Place,
    heard: u64,
    /// Of the silence, or of the last report.
    since: Instant,
    wait: Duration,
}

impl Silence {
    /// Whether it is time to report a group again, of which `heard` datagrams have come so far; to be asked about once a
    /// second. Yes after 15 seconds of silence, and after twice as long each further time, up to two minutes.
    pub(super) fn is_long(&mut self, now: Instant, place: Place, heard: u64) -> bool {
        let Some(quiet) = self.0.iter_mut().find(|quiet| quiet.place == place) else {
            self.0.push(Quiet { place, heard, since: now, wait: FIRST });
            return false;
        };
        if quiet.heard != heard {
            *quiet = Quiet { place, heard, since: now, wait: FIRST };
        }
        let is_long = now.since(quiet.since) >= quiet.wait;
        if is_long {
            quiet.since = now;
            quiet.wait = (quiet.wait * 2).min(LONGEST);
        }
        is_long
    }

    /// To be called when others are joined: those that stay begin anew.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds, of ten minutes, at which it is time, with `heard` datagrams at each.
    fn times(heard: impl Fn(u64) -> u64) -> Vec<u64> {
        let (mut silence, place) = (Silence::default(), ("239.1.1.1:5".parse().unwrap(), 3));
        let at = |second: u64| Instant::from_micros(second * 1_000_000);
        (0..600).filter(|&second| silence.is_long(at(second), place, heard(second))).collect()
    }

    #[test]
    fn silent_groups_are_reported_ever_less_often() {
        assert_eq!(times(|_| 7), [15, 45, 105, 225, 345, 465, 585]);
    }

    #[test]
    fn a_group_that_is_heard_is_not_reported_and_begins_anew_when_it_falls_silent() {
        assert!(times(|second| second / 14).is_empty());
        assert_eq!(times(|second| second.min(100)).first(), Some(&115));
        assert_eq!(times(|second| u64::from(second > 50)), [15, 45, 66, 96, 156, 276, 396, 516]);
    }

    #[test]
    fn each_group_and_interface_counts_for_itself() {
        let mut silence = Silence::default();
        let at = |second: u64| Instant::from_micros(second * 1_000_000);
        let places: [Place; 3] = [
            ("239.1.1.1:5".parse().unwrap(), 3),
            ("239.1.1.1:5".parse().unwrap(), 4),
            ("[ff15::1]:5".parse().unwrap(), 3),
        ];
        for (nth, place) in places.iter().enumerate() {
            assert!(!silence.is_long(at(nth as u64), *place, 0));
        }
        let due: Vec<_> = places.iter().map(|place| silence.is_long(at(16), *place, 0)).collect();
        assert_eq!(due, [true, true, false]);
    }
}
