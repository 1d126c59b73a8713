//! Suppression in a fleet, on a virtual clock.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "../examples/nack_suppression/fleet.rs"]
mod fleet;

use fleet::{Fleet, Outcome, Way};

#[test]
fn requests_to_a_group_grow_far_slower_than_receivers() {
    let seed = 1;
    println!("seed {seed}");
    let run = |receivers, way: Way| {
        let outcome = Fleet { receivers, chunks: 4096, loss: 5, seed, way }.run();
        let Outcome { requests, answers, last, mean } = outcome;
        println!(
            "{receivers} receivers, {}: {requests} requests, {answers} answers, {mean:.2} to {last:.2} cycles",
            way.words()
        );
        outcome
    };
    let groups = [1, 4, 16, 64].map(|receivers| run(receivers, Way::Group));
    for (receivers, outcome) in [1_u64, 4, 16, 64].into_iter().zip(groups) {
        assert!(
            outcome.requests > 0 && outcome.requests <= groups[0].requests.max(2) * u64::from(receivers.ilog2() + 2)
        );
    }
    let alone = run(16, Way::Host);
    assert!(alone.requests > 3 * groups[2].requests, "where nobody hears the others");
    for (receivers, outcome) in [(1, groups[0]), (16, groups[2])] {
        let without = run(receivers, Way::None);
        assert!(outcome.mean < without.mean, "{receivers} receivers are complete sooner");
    }
}
