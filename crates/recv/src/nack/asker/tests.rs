use fleetcast_core::tree::Parameters;

use super::*;

const RELEASE: Release = [7; 16];
const PACE: Pace = Pace { window: Duration::from_secs(1), hold: Duration::from_secs(2), per_minute: 12 };

/// A reception that lacks some chunks of one image.
struct Reception {
    geometry: Geometry,
    lacks: Vec<u32>,
    needs: u16,
    pages: bool,
    came: (u64, u64),
}

impl Reception {
    fn new(lacks: &[u32]) -> Self {
        let p = Parameters { size: 640 * 64, chunk: 64, cell: 64, repair: 20, digest: 16, cap_len: 16 };
        let needs = u16::try_from(lacks.len()).unwrap();
        Self { geometry: Geometry::new(&p).unwrap(), lacks: lacks.into(), needs, pages: true, came: (0, 0) }
    }
}

impl Lack for Reception {
    fn release(&self) -> Option<Release> {
        (self.needs > 0).then_some(RELEASE)
    }

    fn geometry(&self, component: u8) -> Option<&Geometry> {
        (component == 0).then_some(&self.geometry)
    }

    fn missing(&self, _: u8, _: u16) -> u16 {
        self.needs
    }

    fn wants(&self, _: u8, position: u32) -> bool {
        self.needs > 0 && self.lacks.contains(&position)
    }

    fn lacks_page(&self, _: u8, _: u32) -> bool {
        !self.pages
    }

    fn came(&self) -> (u64, u64) {
        self.came
    }
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

/// Runs until `until` milliseconds and gives the requests with their times. Each look finds so much known come.
fn run(asker: &mut Asker, reception: &mut Reception, until: u64, known: u64) -> Vec<(Instant, Vec<Entry>)> {
    let mut sent = Vec::new();
    while asker.next_timeout() < at(until) {
        let now = asker.next_timeout();
        reception.came.1 += known;
        if let Some(datagram) = asker.handle_timeout(now, reception) {
            sent.push((now, Request::decode(&datagram).unwrap().entries().collect()));
        }
    }
    sent
}

#[test]
fn what_is_missing_is_asked_for_once_little_is_new() {
    let mut asker = Asker::new(PACE, at(0), 1);
    let mut reception = Reception::new(&[3, 64, 65]);
    assert!(run(&mut asker, &mut reception, 10_000, 0).is_empty(), "nothing comes: the sender is silent");
    reception.came.0 += 1000;
    assert!(run(&mut asker, &mut reception, 11_000, 0).is_empty(), "all that comes is new");
    let sent = run(&mut asker, &mut reception, 14_000, 100);
    let entry = |cell, slots| Entry { component: 0, cell, page: false, slots };
    let mut first = sent[0].1.clone();
    first.sort_by_key(|entry| entry.cell);
    assert_eq!(first, [entry(0, 8), entry(1, 3)]);
    assert_eq!(asker.counts().sent, 1);
}

#[test]
fn no_more_is_asked_for_than_the_block_lacks() {
    let mut asker = Asker::new(PACE, at(0), 1);
    let mut reception = Reception::new(&[3, 64, 65, 640, 641]);
    (reception.needs, reception.pages) = (2, false);
    let sent = run(&mut asker, &mut reception, 3_000, 100);
    assert_eq!(sent[0].1.iter().map(|entry| entry.slots.count_ones()).sum::<u32>(), 2);
    assert!(sent[0].1.iter().all(|entry| entry.page));
}

#[test]
fn what_another_asked_for_is_not_asked_for_while_it_may_be_on_its_way() {
    let mut asker = Asker::new(PACE, at(0), 1);
    let mut reception = Reception::new(&[3, 64, 65]);
    reception.came.1 = 1;
    while asker.state == State::Resting(asker.next_timeout()) {
        reception.came.1 += 100;
        let now = asker.next_timeout();
        assert!(asker.handle_timeout(now, &reception).is_none());
    }
    let now = asker.next_timeout();
    let other = encode(&RELEASE, &[Entry { component: 0, cell: 1, page: false, slots: u64::MAX }]);
    asker.handle_datagram(now, &other);
    assert_eq!((asker.counts().heard, asker.counts().suppressed), (1, 1));
    assert_eq!(asker.next_timeout(), now.after(PACE.hold), "it rests while the answer is on its way");
    // Heard again while it rests, so that this is still on its way when it asks.
    asker.handle_datagram(now.after(PACE.hold), &other);
    let until = 1000 + u64::try_from(asker.next_timeout().since(at(0)).as_millis()).unwrap();
    let sent = run(&mut asker, &mut reception, until, 100);
    assert_eq!(sent[0].1, [Entry { component: 0, cell: 0, page: false, slots: 8 }]);
}

#[test]
fn chunks_on_their_way_count_for_the_block() {
    let mut asker = Asker::new(PACE, at(0), 1);
    let mut reception = Reception::new(&[3, 64, 65]);
    reception.needs = 2;
    asker.release = Some(RELEASE);
    asker.claim(at(0), [Entry { component: 0, cell: 1, page: false, slots: 3 }].into_iter());
    assert!(asker.wanted(at(1), &reception).is_empty(), "two are on their way, and two are enough");
    assert_eq!(asker.wanted(at(2_001), &reception).len(), 2);
}

#[test]
fn requests_are_no_more_than_allowed_and_end_when_nobody_answers() {
    let pace = Pace { per_minute: 2, ..PACE };
    let mut asker = Asker::new(pace, at(0), 1);
    let mut reception = Reception::new(&[3]);
    let sent = run(&mut asker, &mut reception, 600_000, 100);
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert!(sent[2].0.since(sent[0].0) >= Duration::from_mins(1));
    assert!(asker.is_silent() && asker.counts().unanswered == 3);
}

#[test]
fn datagrams_that_are_no_request_for_this_release_are_counted_and_change_nothing() {
    let mut asker = Asker::new(PACE, at(0), 1);
    asker.release = Some(RELEASE);
    let entry = Entry { component: 0, cell: 1, page: false, slots: 1 };
    asker.handle_datagram(at(0), &encode(&[8; 16], &[entry]));
    asker.handle_datagram(at(0), b"FCN");
    assert_eq!(
        asker.counts().dropped.iter().map(|(code, n)| (*code, *n)).collect::<Vec<_>>(),
        [("other-release", 1), ("truncated", 1)]
    );
    assert!(asker.claims.is_empty() && asker.counts().heard == 0);
}

#[test]
fn a_flood_of_requests_takes_bounded_memory() {
    let mut asker = Asker::new(PACE, at(0), 1);
    asker.release = Some(RELEASE);
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..10_000 {
        let entries: Vec<_> = (0..MAX_ENTRIES)
            .map(|_| Entry { component: rng.u8(..8), cell: rng.u32(..), page: false, slots: rng.u64(1..) })
            .collect();
        asker.handle_datagram(at(0), &encode(&RELEASE, &entries));
    }
    assert_eq!((asker.claims.len(), asker.counts().heard), (MAX_CLAIMS, 10_000));
}
