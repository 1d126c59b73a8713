use std::collections::HashSet;
use std::net::Ipv4Addr;

use fleetcast_core::nack::{MAX_ENTRIES, encode};
use fleetcast_core::tree::Parameters;

use super::*;

const RELEASE: Release = [7; 16];
const NOW: Duration = Duration::from_secs(100);

/// Of a release with 100 source cells of 64 chunks and no others.
fn answers(share: u8) -> Answers {
    let p = Parameters { size: 6400 * 64, chunk: 64, cell: 64, repair: 0, digest: 16, cap_len: 16 };
    Answers::new(RELEASE, vec![Geometry::new(&p).unwrap()], share, 5)
}

fn source(n: u32) -> IpAddr {
    Ipv4Addr::from(n).into()
}

fn entry(cell: u32, slots: u64) -> Entry {
    Entry { component: 0, cell, page: false, slots }
}

/// What is sent once more while the carousel sends `packets`.
fn sent(answers: &mut Answers, now: Duration, packets: usize) -> Vec<Slot> {
    let mut sent = Vec::new();
    for _ in 0..packets {
        answers.carousel_sent();
        sent.extend(answers.next(now));
    }
    sent
}

#[test]
fn what_is_wanted_is_sent_once_pages_first_and_once_more_after_the_hold_time() {
    let mut answers = answers(25);
    let wanted = [Entry { page: true, ..entry(3, 0b101) }, entry(5, 1 << 63)];
    let chunk = |position| Slot::Chunk { component: 0, position };
    let expected = [
        Slot::Page { kind: PageKind::Page, component: 0, cell: 3 },
        chunk(3 * 64),
        chunk(3 * 64 + 2),
        chunk(5 * 64 + 63),
    ];
    for _ in 0..3 {
        answers.handle_datagram(NOW, source(1), &encode(&RELEASE, &wanted));
    }
    assert_eq!(sent(&mut answers, NOW, 100), expected);
    answers.handle_datagram(NOW + HOLD / 2, source(2), &encode(&RELEASE, &wanted));
    assert!(sent(&mut answers, NOW + HOLD / 2, 100).is_empty());
    answers.handle_datagram(NOW + HOLD, source(3), &encode(&RELEASE, &wanted));
    assert_eq!(sent(&mut answers, NOW + HOLD, 100), expected);
    assert_eq!((answers.counts().requests, answers.counts().answers), (5, 8));
}

#[test]
fn requests_for_another_release_and_for_what_there_is_not_are_counted_and_change_nothing() {
    let mut answers = answers(25);
    let datagrams = [
        encode(&[8; 16], &[entry(0, 1)]),
        encode(&RELEASE, &[entry(0, 1), entry(100, 1)]),
        encode(&RELEASE, &[Entry { component: 1, ..entry(0, 1) }]),
        vec![0x10; 40],
    ];
    for datagram in datagrams {
        answers.handle_datagram(NOW, source(1), &datagram);
    }
    let dropped: Vec<_> = answers.counts().dropped.iter().map(|(code, n)| (*code, *n)).collect();
    assert_eq!(dropped, [("other-release", 1), ("range", 2), ("truncated", 1)]);
    assert!(sent(&mut answers, NOW, 100).is_empty());
}

#[test]
fn one_source_and_all_together_are_heard_so_often_a_second() {
    let mut answers = answers(25);
    let request = encode(&RELEASE, &[entry(0, 1)]);
    for _ in 0..100 {
        answers.handle_datagram(NOW, source(1), &request);
    }
    assert_eq!(answers.counts().requests, u64::from(PER_SOURCE));
    for n in 0..100_000 {
        answers.handle_datagram(NOW, source(n), &request);
    }
    assert_eq!(answers.counts().requests, u64::from(PER_SECOND));
    answers.handle_datagram(NOW + Duration::from_secs(1), source(1), &request);
    assert_eq!(answers.counts().requests, u64::from(PER_SECOND) + 1);
}

#[test]
fn a_forged_flood_takes_its_share_and_bounded_memory_and_no_more() {
    let seed = 20_261_126;
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for share in [1, 25, 50] {
        let p = Parameters { size: 64 << 24, chunk: 64, cell: 64, repair: 0, digest: 16, cap_len: 16 };
        let mut answers = Answers::new(RELEASE, vec![Geometry::new(&p).unwrap()], share, 5);
        let (mut carousel, mut answered) = (0_u64, 0_u64);
        for n in 0..100_000_u32 {
            let now = NOW + Duration::from_millis(n.into());
            let entries: Vec<_> =
                (0..rng.usize(1..=MAX_ENTRIES)).map(|_| entry(rng.u32(..1 << 18), rng.u64(1..))).collect();
            answers.handle_datagram(now, source(rng.u32(..)), &encode(&RELEASE, &entries));
            answers.carousel_sent();
            carousel += 1;
            while answers.next(now).is_some() {
                answered += 1;
                assert!(answered * 100 <= (carousel + answered) * u64::from(share), "{answered} of {carousel}");
            }
            assert!(answers.cells.len() <= MAX_CELLS && answers.queue.len() <= MAX_CELLS);
        }
        assert!(answered * 110 >= carousel * u64::from(share), "the share is used: {answered} beside {carousel}");
    }
}

#[test]
fn what_has_waited_too_long_is_given_up() {
    let mut answers = answers(25);
    answers.handle_datagram(NOW, source(1), &encode(&RELEASE, &[entry(0, u64::MAX), entry(1, 1)]));
    assert!(!sent(&mut answers, NOW + MAX_WAIT / 2, 10).is_empty());
    assert!(sent(&mut answers, NOW + MAX_WAIT, 100).is_empty());
    answers.handle_datagram(NOW + MAX_WAIT, source(1), &encode(&RELEASE, &[entry(1, 1)]));
    assert_eq!(sent(&mut answers, NOW + MAX_WAIT, 10), [Slot::Chunk { component: 0, position: 64 }]);
    assert!(answers.queue.is_empty());
}

#[test]
fn no_cell_stands_in_the_queue_twice() {
    let mut answers = answers(25);
    let mut rng = fastrand::Rng::with_seed(3);
    for n in 0..10_000_u32 {
        let now = NOW + Duration::from_millis(u64::from(n) * 3);
        answers.handle_datagram(now, source(n), &encode(&RELEASE, &[entry(rng.u32(..100), rng.u64(1..))]));
        sent(&mut answers, now, 3);
        let distinct: HashSet<_> = answers.queue.iter().collect();
        assert_eq!(distinct.len(), answers.queue.len());
    }
}
