//! `cargo bench -p fleetcast-recv --bench statements`: what bogus statements cost a receiver in memory, and what dropped them.

#![expect(clippy::unwrap_used, reason = "benchmark")]

use std::convert::Infallible;
use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use fleetcast_core::session::Receiver;
use fleetcast_core::time::Instant;
use fleetcast_netlab::bogus::{Bogus, statement_of};
use fleetcast_netlab::release::{Release, receiver};

/// Octets of the packets: what fits Ethernet, and what fits every IPv6 network.
const LENGTHS: [usize; 2] = [1472, 1232];

/// Statements in a row.
const BATCH: u32 = 1000;

fn main() {
    divan::main();
}

/// The statement of some release, and a receiver that follows it.
fn following() -> (Vec<u8>, Receiver) {
    let statement = statement_of(&Release::generated(1 << 20).file).to_vec();
    let mut receiver = receiver();
    receiver.resume(&statement).unwrap().for_each(|_| Ok::<_, Infallible>(())).unwrap();
    (statement, receiver)
}

/// Has a receiver drop statements one after another, all for the cause `code`.
fn drops(bencher: Bencher<'_, '_>, code: &str, forger: impl FnOnce(&[u8]) -> Bogus, is_same: bool) {
    let (genuine, mut receiver) = following();
    let mut bogus = forger(&genuine);
    let mut packet = bogus.next_packet().to_vec();
    let mut hear = |packet: &[u8]| {
        let mut actions = receiver.handle_datagram(Instant::default(), 1, black_box(packet));
        assert!(actions.next().is_none());
    };
    // Whoever has a budget has used it up.
    (0..9).for_each(|_| hear(&packet));
    (0..9).for_each(|_| hear(bogus.next_packet()));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            if !is_same {
                packet.clear();
                packet.extend_from_slice(bogus.next_packet());
            }
            hear(&packet);
        }
    });
    let counters = receiver.counters();
    let count = if code == "duplicate" { counters.duplicates } else { counters.dropped_for(code) };
    assert!(count > u64::from(BATCH), "{counters:?}");
}

/// The payload of the release being received in junk signatures.
#[divan::bench]
fn duplicate(bencher: Bencher<'_, '_>) {
    drops(bencher, "duplicate", |genuine| Bogus::around(genuine, 8), false);
}

/// A key that nobody trusts.
#[divan::bench(args = LENGTHS)]
fn threshold(bencher: Bencher<'_, '_>, len: usize) {
    drops(bencher, "threshold", |genuine| Bogus::by_nobody(genuine, len), false);
}

/// The trusted key, but its source has had its share of verifications.
#[divan::bench(args = LENGTHS)]
fn budget(bencher: Bencher<'_, '_>, len: usize) {
    drops(bencher, "budget", |genuine| Bogus::filling(genuine, 1, len), false);
}

/// The same statement again, after it was refused.
#[divan::bench(args = LENGTHS)]
fn refused_before(bencher: Bencher<'_, '_>, len: usize) {
    drops(bencher, "refused-before", |genuine| Bogus::filling(genuine, 1, len), true);
}

/// For comparison: verified and refused. `signatures` is how many each has.
#[divan::bench(args = [1, 8])]
fn verified(bencher: Bencher<'_, '_>, signatures: usize) {
    let (genuine, mut receiver) = following();
    let mut bogus = Bogus::filling(&genuine, signatures, LENGTHS[0]);
    let mut second = 0;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        second += 1;
        let now = Instant::from_micros(second * 1_000_000);
        assert!(receiver.handle_datagram(now, 1, bogus.next_packet()).next().is_none());
    });
    assert_eq!(receiver.counters().dropped_for("threshold"), second);
}
