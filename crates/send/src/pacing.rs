//! When the next packet may go: a steady rate without bursts (spec §8 \[C-4\]). No clock; the caller tells the time since an
//! origin of its own.

use std::num::NonZeroU64;
use std::time::Duration;

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Bits of UDP payload per second.
    Rate(NonZeroU64),
    /// This long from one packet to the next, whatever their length; never two at once.
    Delay(Duration),
    /// As fast as the system takes them, for benchmarks.
    Unlimited,
}

/// Most that may go at once, in time at the pace \[C-4\]; a single packet always may.
const BURST: Duration = Duration::from_millis(2);

/// Most time lost to late calls that is made up for.
const MAX_OWED: Duration = Duration::from_millis(20);

/// Lost time is made up for by 1/8 of the time that passes.
const MAKE_UP: u64 = 8;

const NANOS: u64 = 1_000_000_000;

/// Says when packets may go: a token bucket, filled with time.
///
/// A packet needs the time it takes at the pace. Time that nobody fetches gathers up to 2 ms, or to what one packet needs; with
/// a delay always to what one packet needs. What comes in beyond that is lost, but for 20 ms that are made up for little by
/// little: on average the rate is exact, and neither a stall nor a suspended machine is followed by a burst.
#[derive(Clone, Debug)]
pub struct Pacer {
    pace: Pace,
    /// When the bucket was last filled, in ns.
    filled: u64,
    /// What is in the bucket, in ns.
    tokens: u64,
    /// Most that goes into it, in ns.
    burst: u64,
    /// What division left over of the time of earlier packets; in ns times the rate.
    part: u64,
    /// Lost time to be made up for, in ns.
    owed: u64,
    /// How long to wait for more packets than one, in ns.
    gather: u64,
}

impl Pace {
    /// Packets of `octets` in a second, if that is not too many to tell.
    #[must_use]
    pub fn packets_per_second(&self, octets: usize) -> Option<u64> {
        match self {
            Self::Rate(rate) => Some(rate.get() / 8 / octets.max(1) as u64),
            Self::Delay(delay) => NANOS.checked_div(nanos(*delay)),
            Self::Unlimited => None,
        }
    }

    /// Time that a packet of `octets` takes.
    #[must_use]
    pub fn time_of(&self, octets: usize) -> Duration {
        match self {
            Self::Rate(rate) => Duration::from_nanos((octets as u64 * 8).saturating_mul(NANOS) / rate.get()),
            Self::Delay(delay) => *delay,
            Self::Unlimited => Duration::ZERO,
        }
    }

    /// The pace of a layer that has one part in `parts` of it.
    #[must_use]
    pub fn part(self, parts: u32) -> Self {
        match self {
            Self::Rate(rate) => {
                Self::Rate(NonZeroU64::new(rate.get() / u64::from(parts.max(1))).unwrap_or(NonZeroU64::MIN))
            }
            Self::Delay(delay) => Self::Delay(delay.saturating_mul(parts)),
            Self::Unlimited => Self::Unlimited,
        }
    }

    /// How often to send the manifest so that it comes at least every 256 packets and, of a release with packets of up to
    /// `max_packet` octets, every second: every so many packets, at least 2.
    ///
    /// Spec §8 \[C-3\].
    #[must_use]
    pub fn statement_every(&self, max_packet: usize) -> u32 {
        let in_a_second = self.packets_per_second(max_packet).unwrap_or(256);
        u32::try_from(in_a_second.clamp(2, 256)).unwrap_or(256)
    }
}

impl Pacer {
    /// A pacer for packets of up to `max_packet` octets; the first may go at `now`.
    #[must_use]
    pub fn new(pace: Pace, max_packet: usize, now: Duration) -> Self {
        let mut pacer = Self { pace, filled: nanos(now), tokens: 0, burst: 0, part: 0, owed: 0, gather: 0 };
        let longest = pacer.time_of(max_packet).0;
        let burst = if matches!(pace, Pace::Delay(_)) { longest } else { nanos(BURST) };
        pacer.tokens = longest;
        pacer.burst = burst.max(longest);
        // Fewer, longer trains cost less; a wait too short for some packets gains nothing.
        pacer.gather = if burst / 8 >= longest { burst / 2 } else { 0 };
        pacer
    }

    /// Paces packets of up to `max_packet` octets from `now` on; what has gathered is lost.
    pub fn set_longest(&mut self, max_packet: usize, now: Duration) {
        *self = Self::new(self.pace, max_packet, now);
        self.empty(now);
    }

    /// Whether a packet of `octets`, no longer than the longest, may go at `now`.
    pub fn may_send(&mut self, now: Duration, octets: usize) -> bool {
        let passed = nanos(now).saturating_sub(self.filled);
        let made_up = self.owed.min(passed / MAKE_UP);
        let tokens = self.tokens + passed + made_up;
        self.filled += passed;
        self.tokens = tokens.min(self.burst);
        self.owed = (self.owed - made_up + (tokens - self.tokens)).min(nanos(MAX_OWED));
        self.tokens >= self.time_of(octets).0
    }

    /// Notes that a packet of `octets` has gone, which [`Pacer::may_send`] allowed.
    pub fn sent(&mut self, octets: usize) {
        let (time, part) = self.time_of(octets);
        self.tokens = self.tokens.saturating_sub(time);
        self.part = part;
    }

    /// Loses what has gathered until `now`: the next packet waits as long as it takes.
    pub fn empty(&mut self, now: Duration) {
        self.filled = self.filled.max(nanos(now));
        self.tokens = 0;
    }

    /// When to ask again for a packet of `octets` that might not go.
    #[must_use]
    pub fn next_send(&self, octets: usize) -> Duration {
        let missing = self.time_of(octets).0.saturating_sub(self.tokens);
        let made_up = self.owed.min(missing / (MAKE_UP + 1));
        Duration::from_nanos(self.filled + missing - made_up + self.gather)
    }

    /// Time a packet takes in ns, and what division leaves over of it.
    fn time_of(&self, octets: usize) -> (u64, u64) {
        match self.pace {
            Pace::Rate(rate) => {
                let total = octets as u64 * 8 * NANOS + self.part;
                (total / rate, total % rate)
            }
            Pace::Delay(delay) => (nanos(delay), 0),
            Pace::Unlimited => (0, 0),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(bits: u64) -> Pace {
        Pace::Rate(NonZeroU64::new(bits).unwrap())
    }

    /// Time, in ns, and octets of each packet that goes while the caller comes when it should, plus a delay in ns.
    fn simulate(pace: Pace, lengths: &[usize], mut delay: impl FnMut() -> u64, until: Duration) -> Vec<(u64, usize)> {
        let max_packet = *lengths.iter().max().unwrap();
        let mut pacer = Pacer::new(pace, max_packet, Duration::ZERO);
        let mut lengths = lengths.iter().copied().cycle().peekable();
        let mut now = Duration::ZERO;
        let mut sent = Vec::new();
        while now < until {
            while pacer.may_send(now, *lengths.peek().unwrap()) {
                let octets = lengths.next().unwrap();
                pacer.sent(octets);
                sent.push((nanos(now), octets));
            }
            now = pacer.next_send(*lengths.peek().unwrap()).max(now) + Duration::from_nanos(delay());
        }
        sent
    }

    /// Most bits above the rate in any window that starts with one packet and ends with another.
    fn excess(sent: &[(u64, usize)], rate: u64) -> i128 {
        let bits = |ns: u64| i128::from(ns) * i128::from(rate) / i128::from(NANOS);
        let (mut before, mut lowest, mut most) = (0, i128::MAX, i128::MIN);
        for &(at, octets) in sent {
            lowest = lowest.min(before - bits(at));
            before += i128::try_from(octets * 8).unwrap();
            most = most.max(before - bits(at) - lowest);
        }
        most
    }

    #[test]
    fn a_punctual_caller_sends_exactly_the_rate() {
        for bits in [64_000, 1_000_000, 10_000_000, 999_999_937] {
            let sent = simulate(rate(bits), &[1044, 1044, 1212], || 0, Duration::from_secs(2));
            let in_a_second = |from: u64| -> u64 {
                let second = from..from + NANOS;
                sent.iter().filter(|(at, _)| second.contains(at)).map(|(_, octets)| *octets as u64 * 8).sum()
            };
            for from in [0, NANOS / 3, NANOS / 2] {
                let off = in_a_second(from).abs_diff(bits);
                assert!(off <= (bits / 1000 + 1212 * 8).max(bits / 500), "{bits} bit/s: {off} bits off");
            }
        }
    }

    #[test]
    fn the_rate_is_exact_in_the_long_run() {
        // Each packet takes a time that is no whole number of nanoseconds.
        let sent = simulate(rate(7_777_777), &[1044], || 0, Duration::from_secs(1000));
        let bits = sent.len() as u64 * 1044 * 8;
        assert!(bits.abs_diff(7_777_777_000) <= 2 * 1044 * 8, "{bits}");
    }

    #[test]
    fn late_calls_are_made_up_for() {
        // Always a little late, and now and then far beyond what may go at once.
        let mut state = 1_u64;
        let mut late = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (state >> 33).is_multiple_of(60) { 5_000_000 } else { 60_000 }
        };
        for bits in [500_000, 4_000_000, 10_000_000, 200_000_000] {
            let sent = simulate(rate(bits), &[1044], &mut late, Duration::from_secs(20));
            let got = sent.len() as u64 * 1044 * 8;
            assert!(got.abs_diff(bits * 20) <= bits / 10, "{got} at {bits} bit/s");
        }
    }

    #[test]
    fn a_stall_is_followed_by_no_burst() {
        for bits in [1_000_000, 10_000_000, 1_000_000_000] {
            let mut pacer = Pacer::new(rate(bits), 1044, Duration::ZERO);
            let after = Duration::from_hours(1);
            let mut burst = 0;
            while pacer.may_send(after, 1044) {
                pacer.sent(1044);
                burst += 1;
            }
            assert!(burst * 1044 * 8 <= (bits / 500).max(1044 * 8), "{burst} packets at {bits} bit/s");
            // A second later at most the 20 ms have been made up for.
            let mut now = after;
            let mut sent = burst;
            while now < after + Duration::from_secs(1) {
                while pacer.may_send(now, 1044) {
                    pacer.sent(1044);
                    sent += 1;
                }
                now = pacer.next_send(1044);
            }
            assert!(sent * 1044 * 8 <= bits + bits / 40 + 2 * 1044 * 8, "{sent} packets at {bits} bit/s");
        }
    }

    #[test]
    fn a_delay_counts_packets_and_not_octets() {
        let sent = simulate(Pace::Delay(Duration::from_millis(10)), &[100, 8000], || 0, Duration::from_secs(1));
        let times: Vec<_> = sent.iter().map(|(at, _)| at / 1_000_000).collect();
        assert_eq!(times, (0..100).map(|i| i * 10).collect::<Vec<_>>());
    }

    #[test]
    fn packets_with_a_delay_never_go_together() {
        for micros in [1, 50, 200, 800, 3_000] {
            let delay = micros * 1000;
            let mut late = (0..).map(|i| [0, 7_000, 20_000, 90_000, 5_000_000][i % 5]);
            let pace = Pace::Delay(Duration::from_micros(micros));
            let sent = simulate(pace, &[1044, 1212], || late.next().unwrap(), Duration::from_secs(1));
            // What was lost is made up for by 1/8 of the time that passes.
            assert!(sent.is_sorted_by(|(a, _), (b, _)| b - a >= delay * 8 / 9 - 1), "{micros} us");
        }
    }

    #[test]
    fn small_delays_are_exact_on_average() {
        for micros in [200, 800, 2_000] {
            let mut late = (0..).map(|i| [0, 7_000, 20_000, 15_000][i % 4]);
            let pace = Pace::Delay(Duration::from_micros(micros));
            let sent = simulate(pace, &[1044, 1212], || late.next().unwrap(), Duration::from_secs(4));
            assert!(4_000_000_u64.div_ceil(micros).abs_diff(sent.len() as u64) <= 4, "{} at {micros} us", sent.len());
        }
    }

    #[test]
    fn an_emptied_pacer_lets_nothing_go_at_once() {
        for pace in [rate(10_000_000), rate(200_000_000), Pace::Delay(Duration::from_micros(800))] {
            let mut pacer = Pacer::new(pace, 1044, Duration::ZERO);
            let now = Duration::from_secs(5);
            pacer.empty(now);
            assert!(!pacer.may_send(now, 1044));
            let whole = pacer.time_of(1044).0;
            assert!(!pacer.may_send(now + Duration::from_nanos(whole - 1), 1044));
            assert!(pacer.may_send(now + Duration::from_nanos(whole), 1044));
        }
    }

    #[test]
    fn without_a_limit_every_packet_may_go() {
        let mut pacer = Pacer::new(Pace::Unlimited, 1044, Duration::ZERO);
        assert!((0..10_000).all(|_| pacer.may_send(Duration::ZERO, 1044) && {
            pacer.sent(1044);
            true
        }));
    }

    #[test]
    fn the_manifest_comes_every_second_and_every_256_packets() {
        assert_eq!(rate(10_000_000).statement_every(1232), 256);
        assert_eq!(rate(1_000_000).statement_every(1232), 101);
        assert_eq!(rate(1_000).statement_every(1232), 2);
        assert_eq!(Pace::Delay(Duration::from_millis(20)).statement_every(1232), 50);
        assert_eq!(Pace::Unlimited.statement_every(1232), 256);
        // Also on a layer with an eighth of it.
        assert_eq!(rate(8_000_000).part(8).statement_every(1232), 101);
        assert_eq!(Pace::Delay(Duration::from_micros(2500)).part(8).statement_every(1232), 50);
        assert_eq!((rate(7).part(8), Pace::Unlimited.part(8)), (rate(1), Pace::Unlimited));
    }

    proptest! {
        #[test]
        fn no_window_ever_carries_more_than_the_rate_and_a_small_burst(
            bits in 10_000_u64..200_000_000,
            lengths in prop::collection::vec(85_usize..8212, 1..20),
            delays in prop::collection::vec(prop_oneof![8 => 0..100_000_u64, 4 => 0..5_000_000_u64, 1 => 0..500_000_000_u64], 1..40),
        ) {
            let max = *lengths.iter().max().unwrap() as u64 * 8;
            let mut delays = delays.into_iter().cycle();
            let sent = simulate(rate(bits), &lengths, || delays.next().unwrap(), Duration::from_secs(2));
            // At one moment: 2 ms of the rate, or one packet.
            let burst = (bits / 500).max(max);
            for moment in sent.chunk_by(|(a, _), (b, _)| a == b) {
                let octets: usize = moment.iter().map(|(_, octets)| octets).sum();
                prop_assert!(octets as u64 * 8 <= burst + 1, "{octets} octets at once");
            }
            // In any window: that, and 20 ms made up for.
            prop_assert!(excess(&sent, bits) <= i128::from(burst + max + bits / 50 + 1));
        }

        #[test]
        fn a_caller_late_within_the_slack_loses_nothing(
            bits in 10_000_000_u64..1_000_000_000,
            delays in prop::collection::vec(0..250_000_u64, 1..40),
        ) {
            let mut delays = delays.into_iter().cycle();
            let sent = simulate(rate(bits), &[1044, 1212], || delays.next().unwrap(), Duration::from_secs(1));
            let total: u64 = sent.iter().map(|(_, octets)| *octets as u64 * 8).sum();
            prop_assert!(total.abs_diff(bits) <= bits / 400 + 2 * 1212 * 8, "{} of {}", total, bits);
        }
    }
}
