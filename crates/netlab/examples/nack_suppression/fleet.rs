//! A carousel, receivers that lose packets and ask, and a sender that answers, on a virtual clock.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use fleetcast_core::fec::{Schedule, Slot};
use fleetcast_core::nack::Release;
use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_recv::nack::{Asker, Lack, Pace};
use fleetcast_send::nack::Answers;

const RELEASE: Release = [7; 16];
/// Time from one packet to the next: 10 Mbit/s of full packets.
const PACKET: Duration = Duration::from_micros(833);
/// Time a request takes to everybody.
const DELAY: Duration = Duration::from_millis(20);
/// The defaults of the settings, but for the requests a minute: so that these are not what bounds them.
const PACE: Pace = Pace { window: Duration::from_millis(500), hold: Duration::from_secs(1), per_minute: 60 };

/// Where requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nobody asks.
    None,
    /// To the sender only.
    Host,
    /// To a group that all hear.
    Group,
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) receivers: usize,
    pub(crate) chunks: u32,
    /// Percent.
    pub(crate) loss: u8,
    pub(crate) seed: u64,
    pub(crate) way: Way,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) answers: u64,
    /// Cycles of the carousel until the last receiver was complete.
    pub(crate) last: f64,
    /// Mean of all receivers.
    pub(crate) mean: f64,
}

impl Way {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::None => "nobody asks",
            Self::Host => "to the sender alone",
            Self::Group => "to a group",
        }
    }
}

/// A receiver: which chunks and pages have come. Chunks without their page are of no use.
struct Reception {
    geometry: Geometry,
    has: Vec<bool>,
    pages: Vec<bool>,
    missing: u16,
    more: u32,
    came: (u64, u64),
}

impl Reception {
    fn new(geometry: Geometry) -> Self {
        let chunks = geometry.source_chunks();
        Self {
            geometry,
            has: vec![false; chunks as usize],
            pages: vec![false; geometry.cells() as usize],
            missing: 0,
            more: chunks,
            came: (0, 0),
        }
    }

    fn take(&mut self, slot: Slot) {
        match slot {
            Slot::Statement => {}
            // A parity page is as good as a second copy here.
            Slot::Page { cell, .. } => self.pages[cell as usize] = true,
            Slot::Chunk { position, .. } => {
                let (cell, _) = self.geometry.slot(position);
                if self.has[position as usize] {
                    self.came.1 += 1;
                } else if self.pages[cell as usize] {
                    self.has[position as usize] = true;
                    self.came.0 += 1;
                    self.more -= 1;
                }
            }
        }
        self.missing = u16::try_from(self.more).unwrap_or(u16::MAX);
    }
}

impl Lack for Reception {
    fn release(&self) -> Option<Release> {
        (self.more > 0).then_some(RELEASE)
    }

    fn geometry(&self, component: u8) -> Option<&Geometry> {
        (component == 0).then_some(&self.geometry)
    }

    // Without repair chunks each block lacks all that is missing, so that more is no wrong answer.
    fn missing(&self, _: u8, _: u16) -> u16 {
        self.missing
    }

    fn wants(&self, _: u8, position: u32) -> bool {
        !self.has[position as usize]
    }

    fn lacks_page(&self, _: u8, cell: u32) -> bool {
        !self.pages[cell as usize]
    }

    fn came(&self) -> (u64, u64) {
        self.came
    }
}

impl Fleet {
    /// Runs until all are complete.
    #[expect(clippy::cast_precision_loss, reason = "counts of packets are small")]
    pub(crate) fn run(self) -> Outcome {
        let Self { receivers, chunks, loss, seed, way } = self;
        let p =
            Parameters { size: u64::from(chunks) * 1024, chunk: 1024, cell: 64, repair: 0, digest: 16, cap_len: 16 };
        let geometry = Geometry::with_cap_level(&p, 0).unwrap();
        let schedule = Schedule::new(vec![geometry], 256);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut answers = Answers::new(RELEASE, vec![geometry], 25, rng.u64(..));
        let mut fleet: Vec<_> = (0..receivers)
            .map(|_| (Reception::new(geometry), Asker::new(PACE, Instant::default(), rng.u64(..))))
            .collect();
        // Requests on their way: when they arrive, and from whom.
        let mut flying: Vec<(Duration, usize, Vec<u8>)> = Vec::new();
        let (mut now, mut slot, mut requests) = (Duration::ZERO, 0, 0);
        let mut complete = vec![None; receivers];
        while complete.iter().any(Option::is_none) {
            let packet = match answers.next(now) {
                Some(packet) => packet,
                None => loop {
                    slot += 1;
                    if let Some(packet) = schedule.at(slot) {
                        answers.carousel_sent();
                        break packet;
                    }
                },
            };
            let at = Instant::default().after(now);
            for (n, (reception, asker)) in fleet.iter_mut().enumerate() {
                if complete[n].is_some() {
                    continue;
                }
                if rng.u8(..100) >= loss {
                    reception.take(packet);
                    if reception.more == 0 {
                        complete[n] = Some(slot);
                    }
                }
                if way != Way::None
                    && asker.next_timeout() <= at
                    && let Some(request) = asker.handle_timeout(at, reception)
                {
                    flying.push((now + DELAY, n, request));
                }
            }
            now += PACKET;
            while flying.first().is_some_and(|(arrives, ..)| *arrives <= now) {
                let (_, from, request) = flying.remove(0);
                requests += 1;
                let source = Ipv4Addr::from(u32::try_from(from).unwrap());
                answers.handle_datagram(now, IpAddr::V4(source), &request);
                if way == Way::Group {
                    let others = fleet.iter_mut().enumerate().filter(|(n, _)| *n != from);
                    others.for_each(|(_, (_, asker))| asker.handle_datagram(Instant::default().after(now), &request));
                }
            }
        }
        let cycles: Vec<_> = complete.iter().flatten().map(|&slot| slot as f64 / schedule.cycle() as f64).collect();
        Outcome {
            requests,
            answers: answers.counts().answers,
            last: cycles.iter().copied().fold(0.0, f64::max),
            mean: cycles.iter().sum::<f64>() / receivers as f64,
        }
    }
}
