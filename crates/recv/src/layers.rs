//! Which layers of a session to hear: joins and leaves by the receiver alone, from the loss it sees (spec §8.1 \[R-1 .. R-9\]).
//!
//! Pure: time and arrivals in, changes out; no clock, no socket, and the only random number is handed in.
//!
//! | state | what it does | what ends it |
//! | --- | --- | --- |
//! | steady | measures loss in windows | loss above the limit for [`SUSTAIN`]: leaves, deaf. Else, once the next layer's time has come: joins it, trial |
//! | trial | measures from the layer's first packet on | loss above the limit, or silence: leaves, deaf. [`TRIAL`] without either: steady |
//! | deaf | ignores what it hears: what was left still comes, and still fills queues | [`DEAF`]: steady |
//!
//! **Which loss is ours.** Congestion falls when less is asked for; the loss of a radio link stays. So the limit is
//! [`RISE`] above the *ambient* loss: what there is on the base layer alone, or what was still there, undiminished, after a
//! layer was left because of it. A join must not raise loss over that limit. Ambient loss counts only up to
//! [`MAX_AMBIENT`]: a device that loses more on a radio link stays at the base layer. Receivers that share a bottleneck see
//! loss at the same time and leave at the same time, so that each sees it fall; nobody leaves for a trial of somebody else
//! that fails, since that is over before [`SUSTAIN`].
//!
//! **What a forger can do.** Headers are not authenticated, so counts are believed only of packets that verified and were
//! new. A forger needs real packets that the receiver still lacks: each shows at most 64 lost ones, and a window needs hundreds of real
//! ones, for seconds, to decide. The worst is a receiver at the base layer, which it never leaves, or one that keeps layers it cannot
//! carry; it joins at most one a [`TRIAL`], up to the cap of its settings.

mod meter;

use std::time::Duration;

use fleetcast_core::fec::MAX_LAYERS;
use fleetcast_core::session::Arrival;
use fleetcast_core::time::Instant;

use meter::{Meter, Tally};

/// Loss above the ambient one that is congestion.
pub const RISE: f64 = 0.03;
/// Most loss that may count as ambient.
pub const MAX_AMBIENT: f64 = 0.2;
/// A trial ends at once if loss is as much above the limit.
const BREACH: f64 = 0.1;
/// Time that loss above the limit must last for a layer to be left, outside of trials.
pub const SUSTAIN: Duration = Duration::from_secs(4);
/// Time a trial measures.
pub const TRIAL: Duration = Duration::from_secs(4);
/// Time without a packet of a layer until its trial is given up.
pub const SILENCE: Duration = Duration::from_secs(5);
/// Time after a leave in which nothing is measured: the leave latency of IGMP and MLD (twice the last member query
/// interval of 1 s) and of the queues.
pub const DEAF: Duration = Duration::from_secs(3);
/// Least time of steady reception before a trial.
const PAUSE: Duration = Duration::from_secs(2);
/// Time until the next trial of a layer after the first that failed; twice as long after each further one.
pub const FIRST_WAIT: Duration = Duration::from_secs(8);
/// Longest such time, without jitter.
const LAST_WAIT: Duration = Duration::from_secs(256);
/// Least packets and time of a window, and the time after which fewer packets suffice.
const WINDOW_PACKETS: u32 = 400;
const WINDOW: Duration = Duration::from_secs(1);
const LONG_WINDOW: Duration = Duration::from_secs(8);
const FEW_PACKETS: u32 = 100;

/// Decides which layers are joined: always the lowest ones, and the base layer in any case.
#[derive(Debug)]
pub struct Control {
    /// Most layers to join.
    most: u8,
    joined: u8,
    state: State,
    meter: Meter,
    /// Since when the meter counts.
    since: Instant,
    /// Loss that is not of our making.
    ambient: f64,
    /// Loss of each joined layer in the last window.
    losses: Vec<f64>,
    waits: [Wait; MAX_LAYERS as usize],
    random: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Steady(Steady),
    /// The first packet of the layer was heard, if there is such a time, and the trial began.
    Trial {
        began: Instant,
        heard: Option<Instant>,
    },
    /// Until then; and the loss that a layer was left for, if it may be ambient.
    Deaf {
        until: Instant,
        left_for: Option<f64>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Steady {
    since: Instant,
    /// Loss is above the limit since then.
    bad_since: Option<Instant>,
    /// Loss is far below the ambient one since the last window: which it was.
    better: Option<f64>,
    /// A window has ended, so that loss is known.
    is_measured: bool,
    /// A layer was left for this loss, and it is not known yet whether that helped.
    left_for: Option<f64>,
}

/// When a layer may be tried.
#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    not_before: Instant,
    /// Without jitter; zero until a trial fails.
    time: Duration,
}

/// What the layers are from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Layers joined.
    pub joined: u8,
    /// Why.
    pub why: Why,
    /// Loss of each layer joined before, the base layer first, 0.0 to 1.0, in the time that led to it.
    pub losses: Vec<f64>,
}

/// Why layers are joined, left or kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The next layer is tried.
    Trial,
    /// The trial was good: the layer stays.
    Kept,
    /// The trial raised the loss.
    Failed,
    /// Nothing of the layer came.
    Silent,
    /// There was loss for too long.
    Loss,
    /// No release is being received.
    Idle,
}

impl Why {
    /// A stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Trial => "trial",
            Self::Kept => "kept",
            Self::Failed => "failed",
            Self::Silent => "silent",
            Self::Loss => "loss",
            Self::Idle => "idle",
        }
    }
}

impl Control {
    /// Joined is the base layer; at most `most` will be. `seed` is random: it keeps receivers from trying at the same time.
    #[must_use]
    pub fn new(now: Instant, most: u8, seed: u64) -> Self {
        Self {
            most: most.clamp(1, MAX_LAYERS),
            joined: 1,
            state: State::Steady(Steady::new(now)),
            meter: Meter::new(),
            since: now,
            ambient: 0.0,
            losses: vec![],
            waits: [Wait::default(); MAX_LAYERS as usize],
            random: seed,
        }
    }

    /// How many layers are joined: 1 to the most.
    #[must_use]
    pub const fn joined(&self) -> u8 {
        self.joined
    }

    /// Loss of each layer in the last window that was measured, the base layer first; empty before.
    #[must_use]
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// A packet of the release being received has come, from a sender that is known by this number.
    pub fn note(&mut self, now: Instant, source: u64, arrival: Arrival) {
        if arrival.layer >= self.joined {
            return;
        }
        self.meter.note(now, source, arrival);
        // A trial measures from the first packet of its layer on: what joins takes time.
        if let State::Trial { heard: heard @ None, .. } = &mut self.state
            && arrival.layer + 1 == self.joined
            && arrival.is_proven
        {
            *heard = Some(now);
            self.restart(now);
        }
    }

    /// Decides, if it is time to; to be called often.
    pub fn look(&mut self, now: Instant) -> Option<Change> {
        match self.state {
            State::Steady(steady) => self.look_steady(now, steady),
            State::Trial { began, heard } => self.look_trial(now, began, heard),
            State::Deaf { until, left_for } => {
                if now >= until {
                    self.restart(now);
                    self.state = State::Steady(Steady { left_for, ..Steady::new(now) });
                }
                None
            }
        }
    }

    /// Nothing is being received: the base layer is enough to hear of the next release.
    pub fn rest(&mut self, now: Instant) -> Option<Change> {
        if self.joined > 1 {
            return Some(self.leave(now, 1, Why::Idle, None));
        }
        // Nothing of the time in between counts.
        self.restart(now);
        self.state = State::Steady(Steady::new(now));
        None
    }

    fn look_steady(&mut self, now: Instant, mut steady: Steady) -> Option<Change> {
        if let Some(tally) = self.window(now) {
            let loss = tally.loss();
            if let Some(before) = steady.left_for.take() {
                self.learn(now, before, loss);
            }
            if self.joined == 1 {
                // There is nothing to leave: what there is is ambient.
                let weight = if steady.is_measured { 0.25 } else { 1.0 };
                self.ambient += (loss - self.ambient) * weight;
            } else if loss + RISE < self.ambient {
                // For a while: one window may be luck.
                if let Some(better) = steady.better.replace(loss) {
                    self.ambient = better.max(loss);
                }
            } else {
                steady.better = None;
            }
            steady.is_measured = true;
            let began = std::mem::replace(&mut self.since, now);
            let silent = (1..self.joined).find(|&layer| self.meter.layer(layer).came == 0);
            if loss <= self.limit() && silent.is_none() {
                steady.bad_since = None;
            } else {
                let since = *steady.bad_since.get_or_insert(began);
                if self.joined > 1 && now.since(since) >= SUSTAIN {
                    return Some(match silent {
                        Some(layer) => self.leave_silent(now, layer),
                        None => self.leave_for(now, tally),
                    });
                }
            }
            self.meter.reset();
        }
        self.state = State::Steady(steady);
        let is_calm = steady.is_measured && steady.bad_since.is_none() && now.since(steady.since) >= PAUSE;
        let wait = self.waits.get(usize::from(self.joined)).copied().unwrap_or_default();
        if self.joined < self.most && is_calm && now >= wait.not_before {
            return Some(self.join(now));
        }
        None
    }

    fn look_trial(&mut self, now: Instant, began: Instant, heard: Option<Instant>) -> Option<Change> {
        let Some(heard) = heard else {
            if now.since(began) < SILENCE {
                return None;
            }
            return Some(self.leave_silent(now, self.joined - 1));
        };
        let tally = self.meter.lowest(self.joined);
        let time = now.since(heard);
        let is_breach = tally.sent >= FEW_PACKETS && tally.loss() > self.limit() + BREACH;
        if !is_breach && (time < TRIAL || tally.sent < WINDOW_PACKETS && time < LONG_WINDOW) {
            return None;
        }
        self.keep_losses();
        if tally.loss() > self.limit() {
            self.put_off(now);
            return Some(self.leave(now, self.joined - 1, Why::Failed, None));
        }
        if let Some(wait) = self.waits.get_mut(usize::from(self.joined - 1)) {
            wait.time /= 2;
        }
        self.restart(now);
        self.state = State::Steady(Steady { is_measured: true, ..Steady::new(now) });
        Some(self.change(Why::Kept))
    }

    /// The counts since the last window, once they are enough for one.
    fn window(&mut self, now: Instant) -> Option<Tally> {
        let (tally, time) = (self.meter.lowest(self.joined), now.since(self.since));
        let is_enough = if time < LONG_WINDOW { tally.sent >= WINDOW_PACKETS } else { tally.sent >= FEW_PACKETS };
        if time < WINDOW || !is_enough {
            return None;
        }
        self.keep_losses();
        Some(tally)
    }

    /// Most loss that is no congestion.
    fn limit(&self) -> f64 {
        self.ambient.min(MAX_AMBIENT) + RISE
    }

    /// Layers were left because of a loss, and now it is this much: if it is still nearer to what it was than to what is
    /// ambient, it was not of our making, and neither is what is left.
    fn learn(&mut self, now: Instant, before: f64, loss: f64) {
        if loss > before.midpoint(self.ambient) {
            self.ambient = loss.min(MAX_AMBIENT);
            if let Some(wait) = self.waits.get_mut(usize::from(self.joined)) {
                *wait = Wait { not_before: now, time: wait.time / 2 };
            }
        }
    }

    /// Leaves what is more than comes through, but at least one layer.
    fn leave_for(&mut self, now: Instant, tally: Tally) -> Change {
        self.put_off(now);
        let loss = tally.loss();
        let carried = f64::from(tally.sent) * (1.0 - loss) / (1.0 - self.ambient.min(MAX_AMBIENT));
        let fits = |&layers: &u8| f64::from(self.meter.lowest(layers).sent) <= carried;
        let layers = (1..self.joined).rev().find(fits).unwrap_or(1);
        let left_for = (loss <= MAX_AMBIENT + RISE).then_some(loss);
        self.leave(now, layers, Why::Loss, left_for)
    }

    /// Leaves a layer of which nothing comes, and those above: what a full queue drops whole shows no loss.
    fn leave_silent(&mut self, now: Instant, layer: u8) -> Change {
        self.put_off(now);
        self.leave(now, layer, Why::Silent, None)
    }

    fn join(&mut self, now: Instant) -> Change {
        self.joined += 1;
        self.state = State::Trial { began: now, heard: None };
        self.change(Why::Trial)
    }

    fn leave(&mut self, now: Instant, layers: u8, why: Why, left_for: Option<f64>) -> Change {
        self.joined = layers.max(1);
        self.meter.forget_above(self.joined);
        self.state = State::Deaf { until: now.after(DEAF), left_for };
        let change = self.change(why);
        self.losses.truncate(self.joined.into());
        change
    }

    fn change(&self, why: Why) -> Change {
        Change { joined: self.joined, why, losses: self.losses.clone() }
    }

    /// The highest joined layer is not tried again for a while: twice as long as last time, and up to half of that more, by
    /// chance.
    fn put_off(&mut self, now: Instant) {
        let random = f64::from(u32::try_from(next_random(&mut self.random) >> 32).unwrap_or_default());
        let jitter = 1.0 + random / f64::from(u32::MAX) / 2.0;
        if let Some(wait) = self.waits.get_mut(usize::from(self.joined - 1)) {
            wait.time = (wait.time * 2).clamp(FIRST_WAIT, LAST_WAIT);
            wait.not_before = now.after(wait.time.mul_f64(jitter));
        }
    }

    fn keep_losses(&mut self) {
        self.losses = (0..self.joined).map(|layer| self.meter.layer(layer).loss()).collect();
    }

    fn restart(&mut self, now: Instant) {
        self.meter.reset();
        self.since = now;
    }
}

impl Steady {
    const fn new(since: Instant) -> Self {
        Self { since, bad_since: None, better: None, is_measured: false, left_for: None }
    }
}

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014: `SplitMix64`.
const fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
