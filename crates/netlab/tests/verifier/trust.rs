//! Roots and beacons at a relay: it walks the chain and passes it, and no more than is genuine.

use fleetcast_core::session::{Verifier, VerifierConfig};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Root, Trust, TrustedKeys};
use fleetcast_core::wire::{Header, Object, StatementKind, Tsi};
use fleetcast_netlab::authority::{beacon, public, role, root, signed_root, trust};

use super::{at, carried, cycle, feed, feed_all, made, wrapped};

/// Under some TSI, which says nothing.
fn packet(kind: StatementKind, number: u16, statement: &[u8]) -> Vec<u8> {
    let header = Header { layer: 0, count: 0, tsi: Tsi([9; 4]), object: Object::Statement { kind, number } };
    [&header.encode()[..], statement].concat()
}

fn root_packet(version: u16, statement: &[u8]) -> Vec<u8> {
    packet(StatementKind::Root, version, statement)
}

fn beacon_packet(statement: &[u8]) -> Vec<u8> {
    packet(StatementKind::Beacon, 0, statement)
}

fn verifier(trust: Trust) -> Verifier {
    Verifier::new(VerifierConfig { trust, releases: 4, staging: 64, max_packet: 1232, seed: 7 })
}

/// Packets of roots 1 to 4; root keys `a`, then `b` from root 3 on. The release key changes with root 3 and comes back with root 4.
fn chain() -> [Vec<u8>; 4] {
    let roots = [
        (root(1, &["a"], &["release"], &["beacon"]), &["a"][..]),
        (root(2, &["a"], &["release"], &["beacon"]), &["a"]),
        (root(3, &["b"], &["other"], &["other-beacon"]), &["a", "b"]),
        (root(4, &["b"], &["release"], &["beacon"]), &["b"]),
    ];
    roots.map(|(root, names)| root_packet(root.version, &signed_root(&root, names)))
}

/// Trust in root 1 of [`chain`].
fn first() -> Trust {
    trust(&root(1, &["a"], &["release"], &["beacon"]), &["a"])
}

fn passes(verifier: &mut Verifier, now: Instant, source: u64, packet: &[u8]) -> bool {
    let passed = feed(verifier, now, source, packet);
    assert!(passed.is_empty() || passed == [packet.to_vec()]);
    !passed.is_empty()
}

#[test]
fn a_relay_walks_the_chain_and_passes_all_of_it_for_sleepers() {
    let chain = chain();
    let mut verifier = verifier(first());
    // The last first: it does not follow yet.
    assert!(!passes(&mut verifier, at(0), 1, &chain[3]));
    assert_eq!(verifier.counters().dropped_for("root-version"), 1);
    assert!(feed_all(&mut verifier, at(0), &chain) == chain);
    assert_eq!(verifier.trust().version(), 4);
    for second in 1..20 {
        assert!(feed_all(&mut verifier, at(second), &chain) == chain);
    }
    assert_eq!(verifier.counters().dropped().count(), 1);
}

#[test]
fn a_relay_that_starts_from_keys_or_a_later_root_passes_what_it_can_verify() {
    let chain = chain();
    let keys = TrustedKeys::new(vec![public("a")], 1).unwrap();
    let mut from_keys = verifier(keys.into());
    assert!(feed_all(&mut from_keys, at(0), &chain) == chain);
    assert!(feed_all(&mut from_keys, at(1), &chain) == chain);
    let mut from_third = verifier(trust(&root(3, &["b"], &["other"], &["other-beacon"]), &["b"]));
    // Its file has other signatures around root 3; those of the chain verify by themselves.
    assert!(feed_all(&mut from_third, at(0), &chain) == chain[2..]);
    assert!(feed_all(&mut from_third, at(1), &chain) == chain[2..]);
    assert_eq!(from_third.counters().dropped_for("root-version"), 4);
}

#[test]
fn a_root_that_does_not_follow_is_not_passed() {
    let mut verifier = verifier(first());
    let two = root(2, &["a"], &["release"], &["beacon"]);
    let signed = |root: &Root, names: &[&str]| signed_root(root, names);
    for (packet, code) in [
        (root_packet(2, &signed(&two, &["thief"])), "threshold"),
        (root_packet(2, &signed(&Root { root: role(1, &["b"]), ..two.clone() }, &["a"])), "threshold"),
        (root_packet(2, &signed(&root(3, &["a"], &["release"], &[]), &["a"])), "root-version"),
        // Genuine, under another number: devices would drop it, and the copy with the right one would be held back for it.
        (root_packet(3, &signed(&two, &["a"])), "root-version"),
        (root_packet(1, &signed(&two, &["a"])), "root-version"),
    ] {
        let before = verifier.counters().dropped_for(code);
        assert!(!passes(&mut verifier, at(0), 1, &packet));
        assert_eq!(verifier.counters().dropped_for(code), before + 1, "{code}");
    }
    assert_eq!(verifier.trust().version(), 1);
    assert!(passes(&mut verifier, at(0), 1, &chain()[1]));
    // Another root 2, properly signed: the first one is followed.
    let other = root_packet(2, &signed(&Root { issued: 5, ..two }, &["a"]));
    assert!(!passes(&mut verifier, at(9), 1, &other));
}

#[test]
fn useless_signatures_beside_genuine_ones_keep_the_genuine_octets_out_of_nothing() {
    let chain = chain();
    let mut verifier = verifier(first());
    let wrapped_second = wrapped(&chain[1], 1);
    assert!(passes(&mut verifier, at(0), 2, &wrapped_second), "it verifies");
    assert_eq!(verifier.trust().version(), 2);
    for _ in 0..2 {
        assert!(feed_all(&mut verifier, at(1), &chain) == chain);
    }
    // Those of the root that it began with, and of one that it has left behind.
    for root in &chain[..2] {
        let packet = wrapped(root, 7);
        assert!(passes(&mut verifier, at(5), 1, &packet));
        let mut forged = packet.clone();
        forged[root.len() - 10] ^= 1;
        assert!(!passes(&mut verifier, at(5), 1, &forged));
    }
    assert_eq!(verifier.counters().dropped_for("threshold"), 2);
    // Whoever sends such variants uses up nobody else's verifications.
    for junk in 0..1000 {
        feed(&mut verifier, at(6), 2, &wrapped(&chain[1], junk + 10));
    }
    assert!(verifier.counters().dropped_for("budget") > 900);
    assert!(feed_all(&mut verifier, at(6), &chain) == chain);

    let newest = beacon_packet(&beacon(4, 100, (1, [1; 32]), &["beacon"]));
    assert!(passes(&mut verifier, at(20), 2, &wrapped(&newest, 1)));
    assert!(passes(&mut verifier, at(20), 1, &newest));
    assert!(passes(&mut verifier, at(21), 1, &newest));
    assert_eq!(verifier.counters().dropped_for("beacon-replay"), 0);
}

#[test]
fn only_the_newest_beacon_passes() {
    let mut verifier = verifier(first());
    let made = |issued, names: &[&str]| beacon_packet(&beacon(1, issued, (1, [1; 32]), names));
    let (old, new) = (made(100, &["beacon"]), made(200, &["beacon"]));
    assert!(passes(&mut verifier, at(0), 1, &old) && passes(&mut verifier, at(1), 1, &old));
    assert!(passes(&mut verifier, at(2), 1, &new));
    assert!(!passes(&mut verifier, at(3), 1, &old) && !passes(&mut verifier, at(3), 1, &old));
    assert_eq!(verifier.counters().dropped_for("beacon-replay"), 1);
    assert_eq!(verifier.counters().dropped_for("refused-before"), 1);
    assert!(!passes(&mut verifier, at(4), 1, &made(300, &["thief"])));
    assert!(passes(&mut verifier, at(5), 1, &new));
    // With another beacon role it is forgotten; by the role that comes back it is verified anew.
    feed_all(&mut verifier, at(6), &chain()[..3]);
    assert!(verifier.beacon().is_none() && !passes(&mut verifier, at(7), 1, &new));
    assert!(passes(&mut verifier, at(8), 1, &made(50, &["other-beacon"])));
    feed_all(&mut verifier, at(9), &chain());
    assert!(passes(&mut verifier, at(10), 1, &old));
}

#[test]
fn releases_under_revoked_keys_are_dropped() {
    let chain = chain();
    let mut verifier = verifier(first());
    let release = cycle(&made(1, 40));
    assert!(feed_all(&mut verifier, at(0), &release) == release);
    // One that waits for its first chunk, too.
    let waiting = cycle(&made(2, 40));
    feed_all(&mut verifier, at(0), &waiting[..2]);
    feed_all(&mut verifier, at(1), &chain[..2]);
    assert_eq!(carried(&verifier), [1], "root 2 changes nothing about it");
    feed_all(&mut verifier, at(2), &chain[..3]);
    assert_eq!(carried(&verifier), [0; 0]);
    for packets in [&release, &waiting] {
        assert!(feed_all(&mut verifier, at(3), packets).is_empty());
    }
    // Roots and beacons pass all the same.
    assert!(feed_all(&mut verifier, at(3), &chain[..3]) == chain[..3]);
    feed_all(&mut verifier, at(4), &chain);
    assert!(
        feed_all(&mut verifier, at(5), &release) == release,
        "what was refused before is judged by the root that is"
    );
}

#[test]
fn a_statement_sent_as_another_kind_keeps_nothing_out() {
    // One key for all, as small makers have it.
    let one = root(1, &["release"], &["release"], &["release"]);
    let mut verifier = verifier(trust(&one, &["release"]));
    let two = signed_root(&Root { version: 2, ..one }, &["release"]);
    let newest = beacon(1, 100, (1, [1; 32]), &["release"]);
    assert!(!passes(&mut verifier, at(0), 2, &beacon_packet(&two)));
    assert!(!passes(&mut verifier, at(0), 2, &root_packet(2, &newest)));
    assert_eq!(verifier.counters().dropped_for("threshold"), 2);
    assert!(passes(&mut verifier, at(0), 1, &beacon_packet(&newest)));
    assert!(passes(&mut verifier, at(0), 1, &root_packet(2, &two)));
}
