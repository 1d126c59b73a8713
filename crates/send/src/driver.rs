//! Carousel, pacing and socket together.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use fleetcast_net::{SendError, Sender};

use crate::batch::Batch;
use crate::carousel::Carousel;
use crate::pacing::{Pace, Pacer};
use crate::report::{Event, Progress, Sent};
use crate::source::CellError;
use crate::timer::Timer;

/// Octets after which a batch is sent, even if more may go.
const BATCH: usize = 128 << 10;

/// Wait before the system is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Least time between two warnings.
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

/// Sends until `cycles` are complete, or for ever, or until `stop` is ready. Tells events on the way, the last being
/// [`Event::Stopped`].
///
/// # Errors
///
/// Any [`RunError`]. An error that may pass, such as a link that is down, is none: the carousel waits where it is.
pub async fn run(
    carousel: &mut Carousel,
    sender: &mut Sender,
    pace: Pace,
    cycles: Option<u64>,
    stop: impl Future<Output = ()>,
    tell: &mut dyn FnMut(&Event),
) -> Result<End, RunError> {
    let origin = Instant::now();
    let mut drive = Drive { carousel, sender, pace, cycles, origin, sent: Sent::default(), warned: None, tell };
    let result = drive.run(stop).await;
    let reason = match &result {
        Ok(End::Cycles) => "cycles",
        Ok(End::Stopped) => "signal",
        Err(error) => error.code(),
    };
    let (cycles, _) = drive.carousel.progress();
    let sent = drive.sent();
    (drive.tell)(&Event::Stopped { reason, cycles, sent });
    result
}

struct Drive<'a> {
    carousel: &'a mut Carousel,
    sender: &'a mut Sender,
    pace: Pace,
    cycles: Option<u64>,
    origin: Instant,
    sent: Sent,
    /// When the last warning was told.
    warned: Option<Instant>,
    tell: &'a mut dyn FnMut(&Event),
}

impl Drive<'_> {
    async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<End, RunError> {
        let mut stop = pin!(stop);
        let timer = Timer::new().map_err(RunError::Timer)?;
        let max_packet = self.carousel.source().max_packet();
        self.check_link(max_packet)?;
        let mut pacer = Pacer::new(self.pace, max_packet, self.origin.elapsed());
        let mut batch = Batch::default();
        let mut meter = Meter { at: Duration::ZERO, octets: 0 };
        let mut complete = 0;
        loop {
            let now = self.origin.elapsed();
            if now >= meter.next() {
                let rate = meter.read(now, self.sent.octets);
                let (cycles, part) = self.carousel.progress();
                let sent = self.sent();
                (self.tell)(&Event::Progress(Progress { cycles, part, rate, sent }));
            }
            if batch.is_empty() {
                batch.clear();
                self.fill(&mut batch, &mut pacer, now)?;
            }
            let work = async {
                if batch.is_empty() {
                    let until = pacer.next_send(self.carousel.next_len()).min(meter.next());
                    timer.sleep(until.saturating_sub(now)).await.map_err(RunError::Timer)
                } else {
                    self.send(&mut batch, &timer).await
                }
            };
            tokio::select! {
                biased;
                result = work => result?,
                () = &mut stop => return Ok(End::Stopped),
            }
            let (cycles, _) = self.carousel.progress();
            if cycles > complete && batch.is_empty() {
                complete = cycles;
                let sent = self.sent();
                (self.tell)(&Event::Cycle { cycles, sent });
                if self.is_complete() {
                    return Ok(End::Cycles);
                }
            }
            // A carousel that never has to wait must notice signals all the same.
            tokio::select! {
                biased;
                () = &mut stop => return Ok(End::Stopped),
                () = tokio::task::yield_now() => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.cycles.is_some_and(|cycles| self.carousel.progress().0 >= cycles)
    }

    /// Refuses packets that no receiver would ever get. A link that does not tell its MTU may do so later.
    fn check_link(&self, max_packet: usize) -> Result<(), SendError> {
        match self.sender.max_datagram() {
            Ok(fits) if fits < max_packet => Err(SendError::TooLong { bytes: max_packet, fits }),
            _ => Ok(()),
        }
    }

    /// Adds the packets that may go at `now`.
    fn fill(&mut self, batch: &mut Batch, pacer: &mut Pacer, now: Duration) -> Result<(), CellError> {
        loop {
            let octets = self.carousel.next_len();
            if batch.octets() >= BATCH || self.is_complete() || !pacer.may_send(now, octets) {
                return Ok(());
            }
            self.carousel.next_packet(batch)?;
            pacer.sent(octets);
        }
    }

    /// Sends a batch. If the system cannot for now, what is left of it stays and the call returns after a while.
    async fn send(&mut self, batch: &mut Batch, timer: &Timer) -> Result<(), RunError> {
        while let Some((datagrams, segment)) = batch.first_run() {
            match self.sender.send(datagrams, segment).await {
                Ok(()) => {
                    self.sent.packets += datagrams.len().div_ceil(segment.max(1)) as u64;
                    self.sent.octets += datagrams.len() as u64;
                    batch.take_run();
                }
                Err(SendError::Transient(error)) => {
                    self.failed(&error);
                    return timer.sleep(RETRY).await.map_err(RunError::Timer);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &io::Error) {
        self.sent.failed += 1;
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            let reason = format!("cannot send now, trying on ({} times so far): {error}", self.sent.failed);
            (self.tell)(&Event::Warning { code: "send-transient", reason });
        }
    }

    fn sent(&self) -> Sent {
        Sent { seconds: self.origin.elapsed().as_secs_f64(), ..self.sent }
    }
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
