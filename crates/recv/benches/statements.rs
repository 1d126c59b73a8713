//! `cargo bench -p fleetcast-recv --bench statements`: what bogus statements cost a receiver in memory, and what dropped them.

#![expect(clippy::unwrap_used, reason = "benchmark")]

use std::convert::Infallible;
use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use fleetcast_core::session::{Counters, Receiver};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Envelope, KeyId};
use fleetcast_core::wire::{Object, StatementKind};
use fleetcast_netlab::authority;
use fleetcast_netlab::bogus::{Bogus, statement_of};
use fleetcast_netlab::release::{Release, receiver};

/// Octets of the packets: what fits Ethernet, and what fits every IPv6 network.
const LENGTHS: [usize; 2] = [1472, 1232];

/// Statements in a row.
const BATCH: u32 = 1000;

fn main() {
    divan::main();
}

/// A receiver that follows a release, and the payload of that.
fn following() -> (Receiver, Vec<u8>) {
    let file = Release::generated(1 << 20).file;
    let statement = statement_of(&file);
    let mut receiver = receiver();
    receiver.resume(statement).unwrap().for_each(|_| Ok::<_, Infallible>(())).unwrap();
    (receiver, Envelope::parse(statement).unwrap().payload().to_vec())
}

/// The key that it trusts.
fn trusted() -> KeyId {
    authority::public("release").key_id()
}

/// Has a receiver drop statements one after another, `why` at the end.
fn drops(bencher: Bencher<'_, '_>, mut receiver: Receiver, mut bogus: Bogus, why: impl Fn(&Counters) -> u64) {
    let mut hear = |packet: &[u8]| {
        let mut actions = receiver.handle_datagram(Instant::default(), 1, black_box(packet));
        assert!(actions.next().is_none());
    };
    // Uses up the budget of the source.
    (0..9).for_each(|_| hear(bogus.next_packet()));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| (0..BATCH).for_each(|_| hear(bogus.next_packet())));
    assert!(why(receiver.counters()) > u64::from(BATCH), "{:?}", receiver.counters());
}

/// The payload of the release being received in junk signatures.
#[divan::bench]
fn duplicate(bencher: Bencher<'_, '_>) {
    let (receiver, payload) = following();
    let bogus = Bogus::around(&payload, Object::MANIFEST, trusted(), 8);
    drops(bencher, receiver, bogus, |counters| counters.duplicates);
}

/// A key that nobody trusts.
#[divan::bench(args = LENGTHS)]
fn threshold(bencher: Bencher<'_, '_>, len: usize) {
    let bogus = Bogus::filling(len, Object::MANIFEST, KeyId([0; 8]), 1);
    drops(bencher, following().0, bogus, |counters| counters.dropped_for("threshold"));
}

/// The trusted key, but the source has had its share of verifications. `signatures` is how many each has.
#[divan::bench(args = [1, 8], consts = LENGTHS)]
fn budget<const LEN: usize>(bencher: Bencher<'_, '_>, signatures: usize) {
    let bogus = Bogus::filling(LEN, Object::MANIFEST, trusted(), signatures);
    drops(bencher, following().0, bogus, |counters| counters.dropped_for("budget"));
}

/// The first root, not signed by the trusted key.
#[divan::bench(args = LENGTHS)]
fn budget_of_roots(bencher: Bencher<'_, '_>, len: usize) {
    let root = Object::Statement { kind: StatementKind::Root, number: 1 };
    let bogus = Bogus::filling(len, root, trusted(), 1);
    drops(bencher, following().0, bogus, |counters| counters.dropped_for("budget"));
}

/// A statement that was refused.
#[divan::bench(args = LENGTHS)]
fn refused_before(bencher: Bencher<'_, '_>, len: usize) {
    let packet = Bogus::filling(len, Object::MANIFEST, trusted(), 1).next_packet().to_vec();
    let mut receiver = following().0;
    let mut hear = || assert!(receiver.handle_datagram(Instant::default(), 1, black_box(&packet)).next().is_none());
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| (0..BATCH).for_each(|_| hear()));
    assert!(receiver.counters().dropped_for("refused-before") >= u64::from(BATCH));
}

/// For comparison: verified and refused. `signatures` is how many each has.
#[divan::bench(args = [1, 8])]
fn verified(bencher: Bencher<'_, '_>, signatures: usize) {
    let mut receiver = following().0;
    let mut bogus = Bogus::filling(LENGTHS[0], Object::MANIFEST, trusted(), signatures);
    let mut second = 0;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        second += 1;
        let now = Instant::from_micros(second * 1_000_000);
        assert!(receiver.handle_datagram(now, 1, bogus.next_packet()).next().is_none());
    });
    assert_eq!(receiver.counters().dropped_for("threshold"), second);
}
