//! What is sent, clock and socket together.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fleetcast_cli::CommandError;
use fleetcast_core::nack::MAX_LEN;
use fleetcast_net::{FeedbackError, FeedbackReceiver, Interface, SendError, Sender};

use crate::batch::Batch;
use crate::carousel::Carousel;
use crate::feed::Feed;
use crate::nack::Answers;
use crate::notices::Notices;
use crate::pacing::Pace;
use crate::report::{Beside, Event, LayerSent, Progress, Sent};
use crate::source::{CellError, Source};
use crate::statements::Statements;
use crate::timer::Timer;

/// Octets after which batches are sent, even if more may go.
const BATCH: usize = 128 << 10;

/// Wait before the system is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Time between two looks at the carrier.
const LOOK: Duration = Duration::from_secs(1);

/// Failures in a row for this long make it look for the interface anew.
const REOPEN: Duration = Duration::from_secs(2);

/// Least time between two warnings of a kind.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Time between two progress events.
const TICK: Duration = Duration::from_secs(1);

/// Why the carousel ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All cycles asked for are sent.
    Cycles,
    /// It was told to stop.
    Stopped,
}

/// Why the carousel broke off. What was sent until then was right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Release or images are not what they were.
    #[error("the carousel stopped before it sent anything wrong")]
    Source(#[from] CellError),
    /// The network refuses the packets.
    #[error("cannot send")]
    Send(#[from] SendError),
    /// The system has no timer.
    #[error("cannot wait")]
    Timer(#[source] io::Error),
}

impl RunError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(error) => error.code(),
            Self::Send(error) => error.code(),
            Self::Timer(_) => "timer",
        }
    }
}

/// Where receivers ask for what they lack, and how much is answered.
#[derive(Debug)]
pub struct Desk {
    at: SocketAddr,
    net: FeedbackReceiver,
    share: u8,
    seed: u64,
}

impl Desk {
    /// Hears requests to the group `at` on `interface`, or to the address `at` of this host; of all packets at most `share` percent
    /// are answers.
    ///
    /// # Errors
    ///
    /// [`FeedbackError`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn open(at: SocketAddr, interface: &Interface, share: u8, seed: u64) -> Result<Self, FeedbackError> {
        Ok(Self { at, net: FeedbackReceiver::open(at, interface, MAX_LEN)?, share, seed })
    }

    /// Where requests go.
    #[must_use]
    pub const fn at(&self) -> SocketAddr {
        self.at
    }
}

/// What is sent, and for how long.
#[derive(Debug)]
pub struct Plan {
    /// How fast, all of it together.
    pub pace: Pace,
    /// How often the whole carousel; `None` for ever.
    pub cycles: Option<u64>,
    /// Where requests are heard and answered, if they are.
    pub desk: Option<Desk>,
    /// Roots and beacon, if there are some.
    pub notices: Option<Notices>,
    /// Where releases come from that take over, if any do.
    pub next: Option<Next>,
}

/// Releases that take over from the one that is sent.
pub struct Next {
    /// They come here, checked.
    pub sources: Receiver<Source>,
    /// Makes the carousel of one; `None` if it cannot be sent so.
    pub carousel: Box<dyn Fn(Source) -> Option<Carousel>>,
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("sources", &self.sources).finish_non_exhaustive()
    }
}

/// Sends until `plan.cycles` are complete, or for ever, or until `stop` is ready. Tells events on the way, the last being
/// [`Event::Stopped`].
///
/// # Errors
///
/// Any [`RunError`]. An error that may pass is none: while the link is down or has no carrier, or the interface is gone, the
/// carousel waits where it is.
pub async fn run(
    carousel: &mut Carousel,
    sender: &mut Sender,
    plan: Plan,
    stop: impl Future<Output = ()>,
    tell: &mut dyn FnMut(&Event),
) -> Result<End, RunError> {
    let Plan { pace, cycles, desk, notices, next } = plan;
    let origin = Instant::now();
    let (sent, link) = (Sent::default(), Link { has_carrier: true, ..Link::default() });
    let layers = vec![LayerSent::default(); carousel.layers().count().into()];
    let release = carousel.source().release();
    let (net, answers) = desk.map(|Desk { net, share, seed, .. }| (net, Answers::of(release, share, seed))).unzip();
    let statements = statements(pace.part(carousel.layers().rate()), notices.as_ref());
    let feed = Feed::new(carousel, pace, cycles, statements, answers);
    let mut drive = Drive { feed, notices, next, sender, origin, sent, layers, link, told_clock: None, tell };
    let result = drive.run(net, stop).await;
    let reason = match &result {
        Ok(End::Cycles) => "cycles",
        Ok(End::Stopped) => "signal",
        Err(error) => error.code(),
    };
    let (cycles, _) = drive.feed.carousel().progress();
    let (sent, layers, beside) = (drive.sent(), drive.layers(), drive.beside());
    (drive.tell)(&Event::Stopped { reason, cycles, sent, layers, beside });
    result
}

fn statements(pace: Pace, notices: Option<&Notices>) -> Statements {
    let roots = notices.map(|notices| notices.chain().roots().to_vec()).unwrap_or_default();
    let beacon = notices.and_then(Notices::beacon).map(|beacon| beacon.statement().to_vec());
    Statements::new(pace, roots, beacon)
}

struct Drive<'a> {
    feed: Feed<'a>,
    notices: Option<Notices>,
    next: Option<Next>,
    sender: &'a mut Sender,
    origin: Instant,
    sent: Sent,
    /// What of it went on each layer.
    layers: Vec<LayerSent>,
    link: Link,
    /// When it was last told that the clock was followed.
    told_clock: Option<Instant>,
    tell: &'a mut dyn FnMut(&Event),
}

/// What is known of the way out.
#[derive(Default)]
struct Link {
    has_carrier: bool,
    /// When the carrier was last looked at.
    looked: Option<Instant>,
    /// When the failures in a row began, or the interface was last looked for since.
    failing: Option<Instant>,
    /// When it was last told that it cannot send.
    warned: Option<Instant>,
    /// When it was last told that the interface is not found.
    warned_lost: Option<Instant>,
}

impl Drive<'_> {
    async fn run(
        &mut self,
        mut net: Option<FeedbackReceiver>,
        stop: impl Future<Output = ()>,
    ) -> Result<End, RunError> {
        let mut stop = pin!(stop);
        let timer = Timer::new().map_err(RunError::Timer)?;
        self.check_link(self.feed.carousel().source())?;
        let mut batches: Vec<_> = self.layers.iter().map(|_| Batch::default()).collect();
        let mut requests: Vec<(IpAddr, Vec<u8>)> = Vec::new();
        let mut meter = Meter { at: Duration::ZERO, octets: 0 };
        let mut complete = 0;
        loop {
            let now = self.origin.elapsed();
            if now >= meter.next() {
                let rate = meter.read(now, self.sent.octets);
                let (cycles, part) = self.feed.carousel().progress();
                let (sent, layers, beside) = (self.sent(), self.layers(), self.beside());
                (self.tell)(&Event::Progress(Progress { cycles, part, rate, sent, layers, beside }));
                self.look_at_notices();
                self.look_at_next();
            }
            if let Some(answers) = self.feed.answers_mut() {
                for (from, datagram) in requests.drain(..) {
                    answers.handle_datagram(now, from, &datagram);
                }
            }
            if batches.iter().all(Batch::is_empty) {
                batches.iter_mut().for_each(Batch::clear);
                self.fill(&mut batches, now)?;
            }
            let is_idle = batches.iter().all(Batch::is_empty);
            let work = async {
                if is_idle {
                    let until = self.feed.next_send().min(meter.next());
                    timer.sleep(until.saturating_sub(now)).await.map_err(RunError::Timer)
                } else {
                    self.send(&mut batches, &timer).await
                }
            };
            tokio::select! {
                biased;
                result = work => result?,
                () = &mut stop => return Ok(End::Stopped),
                // Not while something is being sent: that must not be broken off.
                () = hear(&mut net, &mut requests), if is_idle => continue,
            }
            let (cycles, _) = self.feed.carousel().progress();
            complete = complete.min(cycles);
            if cycles > complete && batches.iter().all(Batch::is_empty) {
                complete = cycles;
                let sent = self.sent();
                (self.tell)(&Event::Cycle { cycles, sent });
                if self.feed.is_complete() {
                    return Ok(End::Cycles);
                }
            }
            // A carousel that never has to wait must notice signals and requests all the same.
            tokio::select! {
                biased;
                () = &mut stop => return Ok(End::Stopped),
                () = hear(&mut net, &mut requests) => {}
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// Refuses packets that no receiver would ever get. A link that does not tell its MTU may do so later.
    fn check_link(&self, source: &Source) -> Result<(), SendError> {
        let max_packet = source.max_packet().max(self.feed.statements().longest());
        match self.sender.max_datagram() {
            Ok(fits) if fits < max_packet => Err(SendError::TooLong { bytes: max_packet, fits }),
            _ => Ok(()),
        }
    }

    /// Adds the packets that may go at `now` to the batch of their layer.
    fn fill(&mut self, batches: &mut [Batch], now: Duration) -> Result<(), CellError> {
        let waits = self.feed.has_next();
        if self.feed.fill(now, unix_now(), BATCH, batches)? && is_due(&mut self.told_clock, WARN_EVERY) {
            let reason = "the place in the cycle was not the clock's and is set anew: the clock was set, or this sender \
                          was slower than its rate";
            (self.tell)(&Event::Warning { code: "clock", reason: reason.into() });
        }
        if waits && !self.feed.has_next() {
            self.tell_switched();
        }
        Ok(())
    }

    /// Takes a release that is to take over, if one has come.
    fn look_at_next(&mut self) {
        let Some(next) = &self.next else { return };
        let Some(source) = next.sources.try_iter().last() else { return };
        let fits = self.check_link(&source);
        let manifest = source.release().manifest();
        let name = format!("release {} (sequence {})", manifest.version, manifest.sequence);
        let reason = match fits {
            Ok(()) => match (next.carousel)(source) {
                Some(carousel) => return self.feed.set_next(carousel),
                None => "at this rate a cycle of it has no length for `sender`".into(),
            },
            Err(error) => CommandError::failed(error).to_string(),
        };
        let reason = format!("{name} is not sent, the one before it is sent on: {reason}");
        (self.tell)(&Event::Warning { code: "not-sent", reason });
    }

    /// Tells that another release is sent, and what is odd about its beacon.
    fn tell_switched(&mut self) {
        let source = self.feed.carousel().source();
        let release = source.release();
        let manifest = release.manifest();
        (self.tell)(&Event::Switched {
            version: manifest.version.to_string(),
            sequence: manifest.sequence,
            tsi: manifest.tsi().to_string(),
            cycle_packets: source.volume().packets,
            cycle_octets: source.volume().octets,
        });
        let Some(notices) = &mut self.notices else { return };
        for concern in notices.concerns(release, unix_now()) {
            (self.tell)(&concern);
        }
    }

    /// Takes another beacon or more roots if there are some, and tells what is new about them.
    fn look_at_notices(&mut self) {
        let Some(notices) = &mut self.notices else { return };
        let room = self.sender.max_datagram().unwrap_or_else(|_| self.feed.fits_anywhere());
        let (changed, events) = notices.look(self.feed.carousel().source().release(), unix_now(), room);
        let now = self.origin.elapsed();
        if changed.roots {
            self.feed.set_roots(notices.chain().roots().to_vec(), now);
        }
        if changed.beacon {
            self.feed.set_beacon(notices.beacon().map(|beacon| beacon.statement().to_vec()), now);
        }
        for event in &events {
            (self.tell)(event);
        }
    }

    /// Sends batches, one for each layer. If the system cannot for now, what is left of them stays and the call returns
    /// after a while.
    async fn send(&mut self, batches: &mut [Batch], timer: &Timer) -> Result<(), RunError> {
        for (layer, batch) in batches.iter_mut().enumerate() {
            while let Some((datagrams, segment)) = batch.first_run() {
                match self.attempt(layer, datagrams, segment).await {
                    Ok(()) => {
                        if self.link.failing.take().is_some() {
                            // What waited goes at once; what the pacer gathered meanwhile must not go with it.
                            self.feed.empty(self.origin.elapsed());
                        }
                        let packets = datagrams.len().div_ceil(segment.max(1)) as u64;
                        self.note(layer, packets, datagrams.len() as u64);
                        batch.take_run();
                    }
                    Err(SendError::Transient(error)) => {
                        self.failed(&error);
                        return timer.sleep(RETRY).await.map_err(RunError::Timer);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, layer: usize, packets: u64, octets: u64) {
        self.sent.packets += packets;
        self.sent.octets += octets;
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.packets += packets;
            layer.octets += octets;
        }
    }

    /// Sends, if there is a carrier: without, the system would take the packets and drop them.
    async fn attempt(&mut self, layer: usize, datagrams: &[u8], segment: usize) -> Result<(), SendError> {
        let interface = self.sender.interface();
        if is_due(&mut self.link.looked, LOOK) {
            self.link.has_carrier = interface.is_running().unwrap_or(true);
        }
        if self.link.has_carrier {
            return self.sender.send_on(layer, datagrams, segment).await;
        }
        let reason = format!("interface {} is down or has no carrier", interface.name());
        Err(SendError::Transient(io::Error::new(io::ErrorKind::NetworkDown, reason)))
    }

    fn failed(&mut self, error: &io::Error) {
        self.sent.failed += 1;
        if is_due(&mut self.link.warned, WARN_EVERY) {
            let reason = format!("cannot send now, trying on ({} times so far): {error}", self.sent.failed);
            (self.tell)(&Event::Warning { code: "send-transient", reason });
        }
        let since = self.link.failing.get_or_insert_with(Instant::now);
        if since.elapsed() >= REOPEN {
            *since = Instant::now();
            self.reopen();
        }
    }

    /// Looks for the interface anew; it may have been removed and made again, or have another address.
    fn reopen(&mut self) {
        match self.sender.reopen() {
            Ok(true) => {
                self.link.looked = None;
                let interface = self.sender.interface().name().to_owned();
                let source = self.sender.local_addr().map(|address| address.to_string()).unwrap_or_default();
                (self.tell)(&Event::Reopened { interface, source });
            }
            Err(error) if is_due(&mut self.link.warned_lost, WARN_EVERY) => {
                let (code, reason) = (error.code(), CommandError::failed(error).to_string());
                (self.tell)(&Event::Warning { code, reason });
            }
            Ok(false) | Err(_) => {}
        }
    }

    fn beside(&self) -> Beside {
        Beside {
            statements: self.feed.statements().counts(),
            nack: self.feed.answers().map(|answers| answers.counts().clone()),
        }
    }

    fn sent(&self) -> Sent {
        Sent { seconds: self.origin.elapsed().as_secs_f64(), ..self.sent }
    }

    /// What went on each layer; of a single one there is nothing to tell that is not told.
    fn layers(&self) -> Vec<LayerSent> {
        if self.layers.len() > 1 { self.layers.clone() } else { Vec::new() }
    }
}

/// Time since the beginning of 1970, by the system's clock; a clock before that stands still.
#[must_use]
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Waits for requests and takes them, with the addresses they come from; for ever if none are heard.
async fn hear(net: &mut Option<FeedbackReceiver>, requests: &mut Vec<(IpAddr, Vec<u8>)>) {
    let Some(net) = net else { return std::future::pending().await };
    if net.receive(|from, datagram| requests.push((from.ip(), datagram.to_vec()))).await.is_err() {
        // Not to spin on a socket that has failed.
        tokio::time::sleep(TICK).await;
    }
}

/// Whether `last` is at least `every` ago or never was; if so, it is at this moment.
fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|at| at.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// Measures the rate between two progress events.
struct Meter {
    at: Duration,
    octets: u64,
}

impl Meter {
    fn next(&self) -> Duration {
        self.at + TICK
    }

    /// Bits per second since the last reading.
    fn read(&mut self, now: Duration, octets: u64) -> u64 {
        let micros = u64::try_from(now.saturating_sub(self.at).as_micros()).unwrap_or(u64::MAX).max(1);
        let rate = u128::from(octets - self.octets) * 8_000_000 / u128::from(micros);
        *self = Self { at: now, octets };
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}
