//! What a reception costs on air, against the figures the protocol was designed for.
//!
//! `cargo run --release -p fleetcast-netlab --example reception_cost` prints the whole table.

use fleetcast_netlab::cost::Cost;
use fleetcast_netlab::release::Release;
use fleetcast_netlab::sim::Channel;

/// Seeds of a test: 0 to this.
const JOINS: u64 = 200;

fn mean_at_16_mib_is_at_most(most: f64, loss: f64) {
    let release = Release::generated(16 << 20);
    let cost = Cost::of(&release, Channel::Independent(loss), 0, JOINS);
    println!("16 MiB, {loss} lost, seeds 0..{JOINS}: mean {:.4}, p99 {:.4}", cost.mean(), cost.p99());
    assert!(cost.mean() <= most, "mean {:.4} of seeds 0..{JOINS}, at most {most}", cost.mean());
}

#[test]
fn without_loss_sixteen_mib_cost_at_most_1_046_images() {
    mean_at_16_mib_is_at_most(1.046, 0.0);
}

#[test]
fn with_1_percent_lost_sixteen_mib_cost_at_most_1_058_images() {
    mean_at_16_mib_is_at_most(1.058, 0.01);
}

#[test]
fn with_5_percent_lost_sixteen_mib_cost_at_most_1_105_images() {
    mean_at_16_mib_is_at_most(1.105, 0.05);
}

#[test]
fn with_10_percent_lost_sixteen_mib_cost_at_most_1_17_images() {
    mean_at_16_mib_is_at_most(1.17, 0.1);
}

#[test]
fn with_20_percent_lost_sixteen_mib_cost_at_most_1_34_images() {
    mean_at_16_mib_is_at_most(1.34, 0.2);
}

#[test]
fn the_same_seed_gives_the_same_reception() {
    let release = Release::generated(1 << 20);
    let cost = |seed| Cost::of(&release, Channel::Bursts(0.1), seed, 1).mean();
    assert!((cost(7) - cost(7)).abs() < f64::EPSILON);
    assert!((0..9).any(|seed| (cost(seed) - cost(7)).abs() > f64::EPSILON));
}
