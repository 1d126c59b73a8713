//! Sockets, relay and pacing together.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use fleetcast_net::SendError;

use super::Relay;
use super::downstream::Downstream;
use super::report::{Event, Progress, Totals};
use super::upstream::Upstream;
use crate::batch::Batch;
use crate::pacing::Pacer;
use crate::timer::Timer;

/// Octets after which a batch is sent, even if more may go.
const BATCH: usize = 128 << 10;

/// Time between two progress events.
const TICK: Duration = Duration::from_secs(1);

/// Time without a verified packet until it is told, once.
const QUIET: Duration = Duration::from_secs(10);

/// Why the relay broke off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// A socket cannot be read.
    #[error("cannot receive")]
    Receive(#[source] io::Error),
    /// The network refuses the packets.
    #[error("cannot send")]
    Send(#[from] SendError),
    /// The system has no timer.
    #[error("cannot wait")]
    Timer(#[source] io::Error),
}

impl RelayError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Receive(_) => "receive",
            Self::Send(error) => error.code(),
            Self::Timer(_) => "timer",
        }
    }
}

/// Passes packets on until `stop` is ready. Tells events on the way, the last being [`Event::Stopped`].
///
/// # Errors
///
/// Any [`RelayError`]. An error that may pass is none: what comes meanwhile is lost, and counted.
pub async fn run(
    relay: &mut Relay,
    upstream: &mut Upstream,
    downstream: &mut Downstream,
    pacer: Pacer,
    stop: impl Future<Output = ()>,
    tell: &mut dyn FnMut(&Event),
) -> Result<(), RelayError> {
    let origin = Instant::now();
    let watch = Watch {
        next: TICK,
        octets: 0,
        verified: 0,
        since: Duration::ZERO,
        is_told: false,
        known: Vec::new(),
        root: relay.trust().version(),
    };
    let mut drive = Drive { relay, upstream, downstream, pacer, origin, watch, tell };
    let result = drive.run(stop).await;
    let reason = result.as_ref().map_or_else(RelayError::code, |()| "signal");
    let totals = drive.totals();
    (drive.tell)(&Event::Stopped { reason, totals });
    result
}

struct Drive<'a> {
    relay: &'a mut Relay,
    upstream: &'a mut Upstream,
    downstream: &'a mut Downstream,
    pacer: Pacer,
    origin: Instant,
    watch: Watch,
    tell: &'a mut dyn FnMut(&Event),
}

/// What was told, and when there is more to tell.
struct Watch {
    /// When the next progress event is due.
    next: Duration,
    /// Octets sent until the last.
    octets: u64,
    /// Packets verified, and since when no more.
    verified: u64,
    since: Duration,
    is_told: bool,
    /// Payload digests of the releases that were told.
    known: Vec<[u8; 32]>,
    /// Version of the root that was told.
    root: u16,
}

impl Drive<'_> {
    async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), RelayError> {
        let mut stop = pin!(stop);
        let timer = Timer::new().map_err(RelayError::Timer)?;
        let mut batch = Batch::default();
        loop {
            let now = self.origin.elapsed();
            if now >= self.watch.next {
                self.look(now);
            }
            batch.clear();
            let waiting = self.fill(&mut batch, now);
            self.downstream.send(&batch, self.tell).await?;
            let until = waiting.map_or(self.watch.next, |octets| self.pacer.next_send(octets).min(self.watch.next));
            let (relay, origin) = (&mut *self.relay, self.origin);
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                result = self.upstream.receive(|source, datagram| {
                    relay.handle_datagram(origin.elapsed(), source, datagram);
                }) => result.map_err(RelayError::Receive)?,
                result = timer.sleep(until.saturating_sub(self.origin.elapsed())) => result.map_err(RelayError::Timer)?,
            }
            // Sockets that are never empty must not keep signals from being noticed.
            tokio::task::yield_now().await;
        }
    }

    /// Adds the packets that may go at `now`; gives the octets of the first that may not.
    fn fill(&mut self, batch: &mut Batch, now: Duration) -> Option<usize> {
        loop {
            let octets = self.relay.next_len(now)?;
            if batch.octets() >= BATCH || !self.pacer.may_send(now, octets) {
                return Some(octets);
            }
            self.relay.next_packet(batch);
            self.pacer.sent(octets);
        }
    }

    /// What is done once a second.
    fn look(&mut self, now: Duration) {
        let interval = (now + TICK).saturating_sub(self.watch.next);
        self.watch.next = now + TICK;
        if let Some(event) = self.upstream.follow_interface() {
            (self.tell)(&event);
        }
        let root = self.relay.trust().version();
        if root != self.watch.root {
            self.watch.root = root;
            (self.tell)(&Event::Root { version: root });
        }
        self.tell_releases();
        self.tell_quiet(now);
        let totals = self.totals();
        let micros = interval.as_micros().max(1);
        let rate = u128::from(totals.octets - self.watch.octets) * 8_000_000 / micros;
        self.watch.octets = totals.octets;
        let releases = self.relay.manifests().map(|manifest| manifest.sequence).collect();
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        (self.tell)(&Event::Progress(Progress { rate, releases, root, totals }));
    }

    fn tell_releases(&mut self) {
        let known = std::mem::take(&mut self.watch.known);
        for manifest in self.relay.manifests() {
            if !known.contains(manifest.payload_digest()) {
                (self.tell)(&Event::Release {
                    version: manifest.version.to_string(),
                    sequence: manifest.sequence,
                    tsi: manifest.tsi().to_string(),
                });
            }
            self.watch.known.push(*manifest.payload_digest());
        }
    }

    fn tell_quiet(&mut self, now: Duration) {
        // Duplicates are of what verified a moment ago.
        let duplicates = self.relay.dropped().get("duplicate").copied().unwrap_or_default();
        let verified = self.relay.counters().verified + duplicates;
        let watch = &mut self.watch;
        if verified != watch.verified {
            (watch.verified, watch.since, watch.is_told) = (verified, now, false);
        }
        let quiet = now.saturating_sub(watch.since);
        if quiet >= QUIET && !watch.is_told {
            watch.is_told = true;
            let reason = self.reason();
            (self.tell)(&Event::Quiet { seconds: quiet.as_secs(), reason });
        }
    }

    /// What is known about why nothing verifies.
    fn reason(&self) -> String {
        let dropped = self.relay.dropped();
        match dropped.iter().max_by_key(|(_, count)| **count) {
            _ if self.relay.counters().received == 0 => {
                "no packet comes at all: see that the sender runs, that addresses and \
                 interface are right, and that no firewall or switch (IGMP snooping) is in between"
                    .into()
            }
            _ if dropped.contains_key("root-version") && self.relay.manifests().next().is_none() => format!(
                "roots come, but not the one that follows root {}: have the sender send all of them, or start the relay from a \
                 later one",
                self.relay.trust().version()
            ),
            Some((code, count)) => format!("of all packets so far most were dropped for {code} ({count})"),
            None => "no packet comes any more".into(),
        }
    }

    fn totals(&self) -> Totals {
        let (counters, sent, lost) = (self.relay.counters(), self.downstream.sent(), self.upstream.lost());
        let mut dropped = self.relay.dropped();
        if lost.overlong > 0 {
            dropped.insert("overlong", lost.overlong);
        }
        Totals {
            received: counters.received,
            verified: counters.verified,
            roots: counters.roots,
            beacons: counters.beacons,
            packets: sent.packets,
            octets: sent.octets,
            failed: sent.failed,
            dropped,
            kernel_drops: lost.by_kernel,
            seconds: self.origin.elapsed().as_secs_f64(),
        }
    }
}
