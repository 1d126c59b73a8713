//! Carousel, roots and beacon together on a virtual clock.

use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::time::Duration;

use fleetcast_core::fec::{Layers, layer_rate};
use fleetcast_core::nack::{Entry, encode, release_of};
use fleetcast_core::wire::{Header, Object, Packet, PageKind, StatementKind};
use fleetcast_send::batch::Batch;
use fleetcast_send::carousel::{Carousel, Phase};
use fleetcast_send::clock::Clock;
use fleetcast_send::feed::Feed;
use fleetcast_send::nack::Answers;
use fleetcast_send::notices::chain::SentRoot;
use fleetcast_send::pacing::Pace;
use fleetcast_send::statements::Statements;

use super::fixture::Release;

const SECOND: Duration = Duration::from_secs(1);

/// A packet, and when it went on which layer.
struct Sent {
    at: Duration,
    layer: usize,
    packet: Vec<u8>,
}

impl Sent {
    fn header(&self) -> Header {
        Packet::decode(&self.packet).unwrap().header
    }

    /// Kind and number, if it is a statement.
    fn statement(&self) -> Option<(StatementKind, u16)> {
        match self.header().object {
            Object::Statement { kind, number } => Some((kind, number)),
            _ => None,
        }
    }

    /// Whether it is a root or beacon.
    fn is_notice(&self) -> bool {
        self.statement().is_some_and(|(kind, _)| kind != StatementKind::Manifest)
    }
}

fn pace(bits: u64) -> Pace {
    Pace::Rate(NonZeroU64::new(bits).unwrap())
}

fn notices(pace: Pace, layers: Layers) -> Statements {
    let roots = (3..=5).map(|version| SentRoot { version, statement: vec![0x82; 900] }).collect();
    Statements::new(pace.part(layers.rate()), roots, Some(vec![0x81; 350]))
}

fn none(pace: Pace) -> Statements {
    Statements::new(pace, Vec::new(), None)
}

/// All that goes until `until`, sent whenever it may.
fn run(feed: &mut Feed<'_>, until: Duration) -> Vec<Sent> {
    let mut batches: Vec<_> = (0..feed.carousel().layers().count()).map(|_| Batch::default()).collect();
    let (mut now, mut sent) = (Duration::ZERO, Vec::new());
    while now < until {
        feed.fill(now, now, 128 << 10, &mut batches).unwrap();
        for (layer, batch) in batches.iter_mut().enumerate() {
            let packets = batch.runs().flat_map(|(octets, segment)| octets.chunks(segment));
            sent.extend(packets.map(|packet| Sent { at: now, layer, packet: packet.to_vec() }));
            batch.clear();
        }
        now = feed.next_send().max(now + Duration::from_nanos(1));
    }
    sent
}

#[test]
fn the_manifest_comes_first_then_the_beacon_then_the_roots_and_the_loop_goes_on_as_without() {
    let release = Release::of("ok-two-blocks");
    let carousel = || Carousel::new(release.open().unwrap(), Phase(7 << 28), 256);
    let (mut plain, mut with) = (carousel(), carousel());
    let pace = pace(2_000_000);
    let plain = run(&mut Feed::new(&mut plain, pace, None, none(pace), None), SECOND * 30);
    let mut feed = Feed::new(&mut with, pace, None, notices(pace, Layers::ONE), None);
    let sent = run(&mut feed, SECOND * 30);
    let statements = sent.iter().take_while(|sent| sent.at < SECOND / 4).filter_map(Sent::statement);
    let order: Vec<_> = statements.filter(|(kind, _)| *kind != StatementKind::Manifest).collect();
    assert_eq!(sent[0].statement(), Some((StatementKind::Manifest, 0)));
    assert_eq!(sent[1].statement(), Some((StatementKind::Beacon, 0)));
    assert_eq!(order[1..4], [3, 4, 5].map(|version| (StatementKind::Root, version)));
    assert!(sent.windows(2).all(|pair| !(pair[0].is_notice() && pair[1].is_notice())), "two in a row");
    // All are counted, of one session, and the loop is as it would be without.
    for (count, sent) in (0..).zip(&sent) {
        assert_eq!((sent.header().count, sent.header().tsi), (count, plain[0].header().tsi));
    }
    let uncounted = |sent: &Sent| [&sent.packet[..4], &sent.packet[8..]].concat();
    let rest = sent.iter().filter(|sent| !sent.is_notice()).map(uncounted);
    assert!(rest.zip(plain.iter().map(uncounted)).all(|(got, expected)| got == expected));
    let counts = feed.statements().counts().unwrap();
    assert_eq!(counts.roots + counts.beacons, sent.iter().filter(|sent| sent.is_notice()).count() as u64);
    // It takes of the rate and does not come on top of it.
    let octets = |sent: &[Sent]| sent.iter().map(|sent| sent.packet.len()).sum::<usize>();
    assert!(octets(&sent).abs_diff(octets(&plain)) < 3000, "{} {}", octets(&sent), octets(&plain));
}

#[test]
fn of_several_layers_roots_and_beacon_go_on_the_lowest_and_none_is_faster_than_its_part() {
    let release = Release::of("ok-two-blocks");
    let layers = Layers::new(4).unwrap();
    let pace = pace(1_600_000);
    let mut carousel = Carousel::layered(release.open().unwrap(), layers, Phase(0), 64);
    let mut feed = Feed::new(&mut carousel, pace, None, notices(pace, layers), None);
    let sent = run(&mut feed, SECOND * 60);
    let notices: Vec<_> = sent.iter().filter(|sent| sent.is_notice()).collect();
    assert!(notices.len() > 30 && notices.iter().all(|sent| sent.layer == 0 && sent.header().layer == 0));
    for layer in 0..4 {
        let own: Vec<_> = sent.iter().filter(|sent| sent.layer == usize::from(layer)).collect();
        for (count, sent) in (0..).zip(&own) {
            assert_eq!((sent.header().layer, sent.header().count), (layer, count));
        }
        let part = 1_600_000 / u64::from(layers.rate() / layer_rate(layer)) / 8;
        // In any five seconds, and a packet more.
        for start in (0..55).map(|second| SECOND * second) {
            let window = own.iter().filter(|sent| (start..start + SECOND * 5).contains(&sent.at));
            let octets = window.map(|sent| sent.packet.len() as u64).sum::<u64>();
            assert!(octets <= part * 5 + 2 * 1232, "layer {layer}: {octets} octets from {start:?}");
        }
    }
}

#[test]
fn a_beacon_as_long_as_any_link_takes_has_its_turn_on_a_carousel_of_short_packets() {
    let release = Release::of("ok-mixed-geometry");
    let mut carousel = Carousel::new(release.open().unwrap(), Phase(0), 64);
    let own = carousel.source().max_packet();
    let pace = pace(500_000);
    let mut feed = Feed::new(&mut carousel, pace, None, notices(pace, Layers::ONE), None);
    assert!(feed.longest() >= 1232 && own <= feed.longest());
    let longest = feed.longest();
    feed.set_beacon(Some(vec![0x83; longest - 20]), SECOND);
    let sent = run(&mut feed, SECOND * 20);
    let beacons = sent.iter().filter(|sent| matches!(sent.statement(), Some((StatementKind::Beacon, _))));
    assert!(beacons.filter(|sent| sent.packet.len() == longest).count() >= 4);
}

#[test]
fn falling_behind_the_clock_by_them_is_no_matter_to_tell() {
    let release = Release::of("ok-two-blocks");
    let pace = pace(1_000_000);
    for (clock_is_set, told) in [(false, 0), (true, 1)] {
        let mut carousel = Carousel::new(release.open().unwrap(), Phase(0), 64);
        let clock = Clock::new(carousel.load(), pace, Phase(0)).unwrap();
        carousel.lock(clock, Duration::ZERO);
        let mut feed = Feed::new(&mut carousel, pace, None, notices(pace, Layers::ONE), None);
        let mut batches = [Batch::default()];
        let (mut now, mut jumps) = (Duration::ZERO, 0);
        while now < SECOND * 200 {
            // An eighth of a cycle, more or less.
            let off = if clock_is_set && now > SECOND * 100 { SECOND } else { Duration::ZERO };
            jumps += u32::from(feed.fill(now, now + off, 128 << 10, &mut batches).unwrap());
            batches[0].clear();
            now = feed.next_send().max(now + Duration::from_nanos(1));
        }
        assert_eq!(jumps, told);
    }
}

#[test]
fn another_release_takes_over_between_two_cells_and_the_rate_stays() {
    for (layers, notices) in [(Layers::ONE, true), (Layers::new(4).unwrap(), true), (Layers::ONE, false)] {
        let (old, new) = (Release::of("ok-two-blocks"), Release::of("ok-three-components"));
        let pace = pace(1_600_000);
        let carousel = |release: &Release| Carousel::layered(release.open().unwrap(), layers, Phase(3 << 29), 64);
        let mut first = carousel(&old);
        let before = first.source().release().manifest().tsi();
        let statements = if notices { self::notices(pace, layers) } else { none(pace) };
        let mut feed = Feed::new(&mut first, pace, None, statements, None);
        let mut sent = run(&mut feed, SECOND * 3);
        feed.set_next(carousel(&new));
        assert!(feed.has_next());
        let later = run(&mut feed, SECOND * 20);
        assert!(!feed.has_next());
        sent.extend(later);
        let after = feed.carousel().source().release().manifest().tsi();
        let is_new: Vec<_> = sent.iter().map(|sent| sent.header().tsi == after).collect();
        assert!(is_new.is_sorted() && sent.iter().all(|sent| [before, after].contains(&sent.header().tsi)));
        let first_new = is_new.iter().position(|&is_new| is_new).unwrap();
        assert_eq!(sent[first_new].statement(), Some((StatementKind::Manifest, 0)));
        // On one layer the cell before it is whole: its parity page was its last.
        let last = sent[..first_new].iter().rev().find(|sent| sent.statement().is_none()).unwrap();
        if layers == Layers::ONE {
            assert!(matches!(last.header().object, Object::Page { kind: PageKind::Parity, .. }));
        }
        // Counts of the new session begin anew on each layer; the rate is never exceeded, nor left unused.
        for layer in 0..layers.count() {
            let own = sent[first_new..].iter().filter(|sent| sent.header().layer == layer);
            assert!((0..).zip(own).all(|(count, sent)| sent.header().count == count));
        }
        let octets = sent.iter().map(|sent| sent.packet.len() as u64).sum::<u64>();
        let most = 200_000 * 20;
        assert!(octets <= most + 2 * 1232 && (layers != Layers::ONE || octets > most * 19 / 20), "{octets}");
    }
}

#[test]
fn requests_are_answered_for_the_release_that_is_sent() {
    let pace = pace(1_600_000);
    let [mut first, second] = ["ok-two-blocks", "ok-three-components"]
        .map(|name| Carousel::layered(Release::of(name).open().unwrap(), Layers::ONE, Phase(0), 64));
    let [old, new] = [&first, &second].map(|carousel| {
        let release = release_of(carousel.source().release().manifest().payload_digest());
        encode(&release, &[Entry { component: 0, cell: 0, page: false, slots: 1 }])
    });
    let ask = |answers: &mut Answers, now: Duration| {
        for request in [&old, &new] {
            answers.handle_datagram(now, Ipv4Addr::LOCALHOST.into(), request);
        }
    };
    let counts = |feed: &Feed<'_>| {
        let counts = feed.answers().unwrap().counts();
        (counts.answers, counts.dropped.get("other-release").copied().unwrap_or_default())
    };
    let mut answers = Answers::of(first.source().release(), 50, 7);
    ask(&mut answers, Duration::ZERO);
    let mut feed = Feed::new(&mut first, pace, None, none(pace), Some(answers));
    run(&mut feed, SECOND * 3);
    assert_eq!(counts(&feed), (1, 1));
    feed.set_next(second);
    run(&mut feed, SECOND * 20);
    ask(feed.answers_mut().unwrap(), SECOND * 20);
    run(&mut feed, SECOND * 23);
    assert_eq!(counts(&feed), (2, 2));

    // What was wanted of the release before, and has not gone, is not looked for in this one.
    let mut answers = Answers::of(Release::of("ok-two-blocks").open().unwrap().release(), 50, 7);
    ask(&mut answers, Duration::ZERO);
    answers.take_over(feed.carousel().source().release());
    answers.carousel_sent();
    assert_eq!((answers.counts().requests, answers.next(Duration::ZERO)), (1, None));
}
