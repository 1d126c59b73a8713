//! Receivers that join and leave layers on links of a simulated network: bottlenecks, radio, forgers, senders.
//!
//! Everything happens on a virtual clock and follows from a seed that a failure prints.
#![expect(clippy::unwrap_used, reason = "test code")]

mod links;

use std::time::Duration;

use fastrand::Rng;
use fleetcast_core::wire::COUNT_MASK;
use fleetcast_recv::layers::{MAX_AMBIENT, TRIAL, Why};
use links::{Link, Network, Stay};

/// Packets of the base layer a second.
const BASE: f64 = 100.0;
/// Seeds of each scenario.
const SEEDS: u64 = 3;
/// Time until a receiver has settled, trials that fail included.
const SETTLE: u64 = 60;

/// Runs a scenario for several seeds; `SEED` in the environment replays one.
fn for_seeds(scenario: impl Fn(u64)) {
    let given = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in given.map_or(0..SEEDS, |seed| seed..seed + 1) {
        println!("SEED={seed}");
        scenario(seed);
    }
}

/// What `receiver` heard in `seconds` from now on.
fn stay(network: &mut Network, receiver: usize, seconds: u64) -> Stay {
    network.run(Duration::from_secs(seconds));
    network.take_stay(receiver)
}

/// Settled at a prefix: never below, above it only for trials, and with little loss.
fn assert_settled(stay: &Stay, layers: u8) {
    assert_eq!(stay.lowest(), layers, "{stay:?}");
    assert!(stay.highest() <= layers + 1, "{stay:?}");
    assert!(stay.share(layers) > 0.9, "{stay:?}");
    assert!(stay.loss() < 0.05, "{stay:?}");
}

#[test]
fn each_settles_at_the_largest_prefix_that_its_link_carries() {
    for (rate, layers) in [(2.5, 2), (10.0, 4), (50.0, 6), (4.4, 3), (1.1, 1), (0.8, 1), (1000.0, 7)] {
        for_seeds(|seed| {
            let mut network = Network::new(seed, BASE, 1);
            let queue = if seed % 2 == 0 { 10.0 } else { 100.0 };
            let receiver = network.link(Link { rate: rate * BASE, queue, loss: 0.0 }, 7, 1);
            stay(&mut network, receiver, SETTLE);
            let stay = stay(&mut network, receiver, 200);
            if rate < 1.0 {
                // The base layer is kept whatever is lost, and nothing is tried on top of much loss.
                assert_eq!((stay.lowest(), stay.share(1) > 0.9), (1, true), "{stay:?}");
            } else {
                assert_settled(&stay, layers);
            }
        });
    }
}

#[test]
fn constant_random_loss_drives_nobody_down() {
    for loss in [0.01, 0.05, 0.1, 0.18] {
        for_seeds(|seed| {
            let mut network = Network::new(seed, BASE, 1);
            let receiver = network.link(Link { rate: 1e6, queue: 100.0, loss }, 5, 1);
            stay(&mut network, receiver, SETTLE);
            let stay = stay(&mut network, receiver, 400);
            assert!(stay.lowest() >= 4 && stay.share(5) > 0.9, "{loss}: {stay:?}");
        });
    }
}

#[test]
fn random_loss_that_comes_later_costs_one_look_at_a_layer_less() {
    for_seeds(|seed| {
        let mut network = Network::new(seed, BASE, 1);
        let receiver = network.link(Link { rate: 1e6, queue: 100.0, loss: 0.0 }, 5, 1);
        assert_eq!(stay(&mut network, receiver, SETTLE).highest(), 5);
        network.change(0, |link| link.loss = 0.1);
        stay(&mut network, receiver, SETTLE);
        let bad = stay(&mut network, receiver, 300);
        assert!(bad.lowest() >= 4 && bad.share(5) > 0.9, "{bad:?}");
        // And no grace is kept once the link is good again.
        network.change(0, |link| link.loss = 0.0);
        stay(&mut network, receiver, SETTLE);
        network.change(0, |link| link.rate = 10.0 * BASE);
        stay(&mut network, receiver, SETTLE);
        assert_settled(&stay(&mut network, receiver, 300), 4);
    });
}

#[test]
fn a_bottleneck_behind_a_radio_link_is_still_found() {
    for_seeds(|seed| {
        let mut network = Network::new(seed, BASE, 1);
        let receiver = network.link(Link { rate: 10.0 * BASE, queue: 30.0, loss: 0.05 }, 6, 1);
        stay(&mut network, receiver, SETTLE);
        let stay = stay(&mut network, receiver, 300);
        assert!(stay.lowest() >= 3 && stay.highest() <= 5 && stay.share(4) > 0.85, "{stay:?}");
        assert!(stay.loss() < 0.1, "{stay:?}");
    });
}

#[test]
fn more_random_loss_than_may_be_ambient_leaves_the_base_layer() {
    for_seeds(|seed| {
        let mut network = Network::new(seed, BASE, 1);
        let receiver = network.link(Link { rate: 1e6, queue: 100.0, loss: MAX_AMBIENT + 0.1 }, 5, 1);
        let stay = stay(&mut network, receiver, 300);
        assert!(stay.highest() <= 2 && stay.share(1) > 0.9, "{stay:?}");
    });
}

#[test]
fn a_changed_link_rate_is_followed() {
    for_seeds(|seed| {
        let mut network = Network::new(seed, BASE, 1);
        let receiver = network.link(Link { rate: 50.0 * BASE, queue: 50.0, loss: 0.0 }, 7, 1);
        stay(&mut network, receiver, SETTLE);
        for (rate, layers, patience) in [(2.5, 2, 30), (10.0, 4, 400), (50.0, 6, 400), (1.5, 1, 30), (1000.0, 7, 400)] {
            network.change(0, |link| link.rate = rate * BASE);
            stay(&mut network, receiver, patience);
            assert_settled(&stay(&mut network, receiver, 120), layers);
        }
    });
}

#[test]
fn several_senders_share_the_link() {
    for_seeds(|seed| {
        let mut network = Network::new(seed, BASE, 3);
        let receiver = network.link(Link { rate: 3.0 * 10.0 * BASE, queue: 50.0, loss: 0.0 }, 7, 1);
        stay(&mut network, receiver, SETTLE);
        assert_settled(&stay(&mut network, receiver, 300), 4);
    });
}

#[test]
fn senders_that_start_anew_and_counts_that_wrap_are_no_loss() {
    for_seeds(|seed| {
        let (mut network, mut random) = (Network::new(seed, BASE, 2), Rng::with_seed(seed));
        let receiver = network.link(Link { rate: 1e6, queue: 50.0, loss: 0.0 }, 5, 1);
        stay(&mut network, receiver, SETTLE);
        for _ in 0..30 {
            let count = if random.bool() { COUNT_MASK - random.u32(..500) } else { random.u32(..COUNT_MASK) };
            network.restart_sender(random.usize(..2), count);
            let stay = stay(&mut network, receiver, 10);
            assert_eq!((stay.lowest(), stay.highest()), (5, 5), "{stay:?}");
        }
    });
}

#[test]
fn receivers_behind_one_bottleneck_settle_together() {
    for_seeds(|seed| {
        let mut network = Network::new(seed, BASE, 1);
        let first = network.link(Link { rate: 10.0 * BASE, queue: 50.0, loss: 0.0 }, 7, 4);
        network.run(Duration::from_secs(2 * SETTLE));
        (first..first + 4).for_each(|receiver| drop(network.take_stay(receiver)));
        network.run(Duration::from_mins(10));
        for receiver in first..first + 4 {
            let stay = network.take_stay(receiver);
            assert!(stay.highest() <= 5 && stay.share(4) + stay.share(5) > 0.9 && stay.loss() < 0.05, "{stay:?}");
        }
    });
}

#[test]
fn who_is_slow_costs_those_on_other_links_nothing() {
    for_seeds(|seed| {
        let mut network = Network::new(seed, BASE, 1);
        let slow = network.link(Link { rate: 2.5 * BASE, queue: 50.0, loss: 0.0 }, 6, 1);
        let fast = network.link(Link { rate: 1e6, queue: 50.0, loss: 0.0 }, 6, 1);
        stay(&mut network, slow, SETTLE);
        let _ = network.take_stay(fast);
        assert_settled(&stay(&mut network, slow, 300), 2);
        let fast = network.take_stay(fast);
        assert!(fast.lowest() == 6 && fast.loss() < 1e-9, "{fast:?}");
    });
}

/// A forger that sends real packets before their time with counts of its choice, or any packets that prove nothing.
#[test]
fn forged_counts_make_nobody_join_faster_or_more_or_leave_the_base_layer() {
    for_seeds(|seed| {
        for (a_second, is_proven) in [(1.0, true), (1000.0, true), (1000.0, false)] {
            let mut network = Network::new(seed, BASE, 1);
            let receiver = network.link(Link { rate: 1e6, queue: 50.0, loss: 0.0 }, 5, 1);
            stay(&mut network, receiver, SETTLE);
            network.forge(a_second, is_proven);
            let stay = stay(&mut network, receiver, 300);
            println!("{a_second} forged a second, proven {is_proven}: {stay:?}");
            assert!(stay.lowest() >= 1 && stay.highest() <= 5);
            let joins = stay.changes.iter().filter(|(_, change)| change.why == Why::Trial);
            let joined: Vec<_> = joins.map(|(at, _)| *at).collect();
            assert!(joined.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_secs(2)));
            if a_second < 10.0 || !is_proven {
                // Too little to decide by, or no loss at all.
                assert_eq!((stay.lowest(), stay.highest()), (5, 5), "{stay:?}");
            }
            assert!(stay.changes.len() as u64 <= 2 * 300 / TRIAL.as_secs(), "{stay:?}");
        }
    });
}

#[test]
fn packets_that_prove_nothing_hide_loss_only_where_they_fill_gaps() {
    for_seeds(|seed| {
        let mut network = Network::new(seed, BASE, 1);
        let receiver = network.link(Link { rate: 10.0 * BASE, queue: 50.0, loss: 0.0 }, 7, 1);
        stay(&mut network, receiver, SETTLE);
        network.forge(20.0, false);
        assert_settled(&stay(&mut network, receiver, 300), 4);
    });
}

#[test]
fn without_a_release_the_base_layer_is_enough() {
    let mut network = Network::new(1, BASE, 1);
    let receiver = network.link(Link { rate: 1e6, queue: 50.0, loss: 0.0 }, 5, 1);
    assert_eq!(stay(&mut network, receiver, SETTLE).highest(), 5);
    network.is_idle = true;
    stay(&mut network, receiver, 1);
    let idle = stay(&mut network, receiver, 60);
    assert_eq!(idle.highest(), 1, "{idle:?}");
    network.is_idle = false;
    assert_eq!(stay(&mut network, receiver, SETTLE).highest(), 5);
}
