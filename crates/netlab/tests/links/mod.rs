//! Senders, links with a queue that drops what does not fit, and receivers behind them.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "times and counts are small"
)]

use std::time::Duration;

use fastrand::Rng;
use fleetcast_core::fec::{MAX_LAYERS, layer_rate};
use fleetcast_core::session::Arrival;
use fleetcast_core::time::Instant;
use fleetcast_core::wire::COUNT_MASK;
use fleetcast_recv::layers::{Change, Control};

/// Time until a link stops to carry what a receiver has left.
const LEAVE_LATENCY: Duration = Duration::from_secs(2);
/// Time until it carries what one has joined.
const JOIN_LATENCY: Duration = Duration::from_millis(200);
/// Time between two looks of a receiver.
const LOOK: u64 = 250_000;

/// What a link is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Packets a second.
    pub(crate) rate: f64,
    /// Packets that may wait.
    pub(crate) queue: f64,
    /// Share that each receiver behind it loses at random.
    pub(crate) loss: f64,
}

/// What a receiver did and heard in a time.
#[derive(Clone, Debug)]
pub(crate) struct Stay {
    /// Microseconds with so many layers joined.
    times: [u64; MAX_LAYERS as usize + 1],
    sent: u64,
    came: u64,
    pub(crate) changes: Vec<(Instant, Change)>,
}

#[derive(Debug)]
struct Sender {
    counts: [u32; MAX_LAYERS as usize],
    /// Microseconds of the next packet of each layer.
    next: [f64; MAX_LAYERS as usize],
}

#[derive(Debug)]
struct Path {
    link: Link,
    waiting: f64,
    at: f64,
    /// Range of its receivers.
    receivers: std::ops::Range<usize>,
}

#[derive(Debug)]
struct Receiver {
    control: Control,
    /// When each layer was joined or left last.
    changed: [f64; MAX_LAYERS as usize],
    stay: Stay,
}

#[derive(Debug)]
pub(crate) struct Network {
    base: f64,
    now: f64,
    next_look: u64,
    /// Layers that anybody may join.
    layers: u8,
    senders: Vec<Sender>,
    paths: Vec<Path>,
    receivers: Vec<Receiver>,
    random: Rng,
    /// Forged packets for each real one of the base layer, and whether they prove something.
    forged: Option<(f64, bool)>,
    pub(crate) is_idle: bool,
}

impl Network {
    /// Senders whose base layer has `base` packets a second.
    pub(crate) fn new(seed: u64, base: f64, senders: usize) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut sender = |_| Sender {
            counts: std::array::from_fn(|_| random.u32(..=COUNT_MASK)),
            next: std::array::from_fn(|_| random.f64() * 1e4),
        };
        let senders = (0..senders).map(&mut sender).collect();
        let (paths, receivers) = (vec![], vec![]);
        Self {
            base,
            now: 0.0,
            next_look: 0,
            layers: 1,
            senders,
            paths,
            receivers,
            random,
            forged: None,
            is_idle: false,
        }
    }

    /// Adds a link with receivers of at most so many layers behind it; the number of the first of them.
    pub(crate) fn link(&mut self, link: Link, most: u8, receivers: usize) -> usize {
        let first = self.receivers.len();
        self.layers = self.layers.max(most);
        for _ in 0..receivers {
            let control = Control::new(self.time(), most, self.random.u64(..));
            let mut changed = [f64::NEG_INFINITY; MAX_LAYERS as usize];
            changed[0] = self.now;
            self.receivers.push(Receiver { control, changed, stay: Stay::new() });
        }
        self.paths.push(Path { link, waiting: 0.0, at: self.now, receivers: first..first + receivers });
        first
    }

    /// Changes a link.
    pub(crate) fn change(&mut self, link: usize, change: impl FnOnce(&mut Link)) {
        change(&mut self.paths[link].link);
    }

    /// So many forged packets a second reach every receiver from now on, on the layers it has joined.
    pub(crate) fn forge(&mut self, a_second: f64, is_proven: bool) {
        self.forged = Some((a_second / self.base, is_proven));
    }

    /// A sender's counts go on from `count`.
    pub(crate) fn restart_sender(&mut self, sender: usize, count: u32) {
        self.senders[sender].counts = [count; MAX_LAYERS as usize];
    }

    /// What a receiver did since this was last asked.
    pub(crate) fn take_stay(&mut self, receiver: usize) -> Stay {
        std::mem::replace(&mut self.receivers[receiver].stay, Stay::new())
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time.as_secs_f64() * 1e6;
        while self.now < end {
            let (sender, layer) = self.next_packet();
            let source = &mut self.senders[sender];
            self.now = source.next[layer];
            let apart = 1e6 / (self.base * f64::from(layer_rate(u8::try_from(layer).unwrap())));
            // Without jitter, queues drop the same layer again and again.
            source.next[layer] += apart * (0.5 + self.random.f64());
            source.counts[layer] = source.counts[layer].wrapping_add(1) & COUNT_MASK;
            let arrival = Arrival { layer: u8::try_from(layer).unwrap(), count: source.counts[layer], is_proven: true };
            for path in 0..self.paths.len() {
                self.carry(path, sender, arrival);
            }
            if layer == 0 {
                self.send_forged(arrival.count);
            }
            self.look();
        }
    }

    fn next_packet(&self) -> (usize, usize) {
        let all = (0..self.senders.len()).flat_map(|s| (0..usize::from(self.layers)).map(move |l| (s, l)));
        all.min_by(|a, b| self.senders[a.0].next[a.1].total_cmp(&self.senders[b.0].next[b.1])).unwrap()
    }

    fn carry(&mut self, path: usize, sender: usize, arrival: Arrival) {
        let (now, time) = (self.now, self.time());
        let path = &mut self.paths[path];
        let receivers = &mut self.receivers[path.receivers.clone()];
        if !receivers.iter().any(|receiver| receiver.has_on_link(now, arrival.layer)) {
            return;
        }
        path.waiting = (path.waiting - (now - path.at) / 1e6 * path.link.rate).max(0.0);
        path.at = now;
        let is_carried = path.waiting + 1.0 <= path.link.queue;
        path.waiting += f64::from(u8::from(is_carried));
        for receiver in receivers {
            if arrival.layer < receiver.control.joined() && receiver.has_on_link(now, arrival.layer) {
                receiver.stay.sent += 1;
                if is_carried && self.random.f64() >= path.link.loss {
                    receiver.stay.came += 1;
                    receiver.control.note(time, sender as u64, arrival);
                }
            }
        }
    }

    fn send_forged(&mut self, count: u32) {
        let Some((share, is_proven)) = self.forged else { return };
        let time = self.time();
        let packets = share.floor() + f64::from(u8::from(self.random.f64() < share.fract()));
        for _ in 0..packets as u32 {
            for receiver in &mut self.receivers {
                let layer = self.random.u8(..receiver.control.joined());
                let ahead = if self.random.bool() { self.random.u32(..1000) } else { self.random.u32(..) };
                let arrival = Arrival { layer, count: count.wrapping_add(ahead) & COUNT_MASK, is_proven };
                receiver.control.note(time, self.random.u64(..2), arrival);
            }
        }
    }

    fn look(&mut self) {
        if self.now < self.next_look as f64 {
            return;
        }
        self.next_look += LOOK;
        let (now, time) = (self.now, self.time());
        for receiver in &mut self.receivers {
            let before = receiver.control.joined();
            receiver.stay.times[usize::from(before)] += LOOK;
            let control = &mut receiver.control;
            let change = if self.is_idle { control.rest(time) } else { control.look(time) };
            if let Some(change) = change {
                let joined = change.joined;
                for layer in before.min(joined)..before.max(joined) {
                    receiver.changed[usize::from(layer)] = now;
                }
                receiver.stay.changes.push((time, change));
            }
        }
    }

    fn time(&self) -> Instant {
        Instant::from_micros(self.now as u64)
    }
}

impl Receiver {
    fn has_on_link(&self, now: f64, layer: u8) -> bool {
        let since = now - self.changed[usize::from(layer)];
        if layer < self.control.joined() {
            since >= JOIN_LATENCY.as_secs_f64() * 1e6
        } else {
            since < LEAVE_LATENCY.as_secs_f64() * 1e6
        }
    }
}

impl Stay {
    const fn new() -> Self {
        Self { times: [0; MAX_LAYERS as usize + 1], sent: 0, came: 0, changes: vec![] }
    }

    /// Fewest layers joined.
    pub(crate) fn lowest(&self) -> u8 {
        u8::try_from(self.times.iter().position(|time| *time > 0).unwrap()).unwrap()
    }

    /// Most layers joined.
    pub(crate) fn highest(&self) -> u8 {
        u8::try_from(self.times.iter().rposition(|time| *time > 0).unwrap()).unwrap()
    }

    /// Share of the time with exactly so many layers.
    pub(crate) fn share(&self, layers: u8) -> f64 {
        self.times[usize::from(layers)] as f64 / self.times.iter().sum::<u64>() as f64
    }

    /// Share of what was sent on joined layers that did not come.
    pub(crate) fn loss(&self) -> f64 {
        1.0 - self.came as f64 / self.sent as f64
    }
}
