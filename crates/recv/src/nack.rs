//! Asking for what is missing, and hearing what others ask for (spec §16). Off unless the settings say where to.

mod asker;
mod backoff;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fleetcast_core::nack::{MAX_LEN, Release, release_of};
use fleetcast_core::session::Receiver;
use fleetcast_core::time::Instant;
use fleetcast_core::tree::Geometry;
use fleetcast_net::{FeedbackError, FeedbackReceiver, FeedbackSender, Interface};
use serde::Serialize;

pub use asker::{Asker, Lack};

/// Where to ask, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The feedback group, or a sender's address for requests.
    pub to: SocketAddr,
    /// TTL or hop limit of requests to a group.
    pub hops: u8,
    /// When.
    pub pace: Pace,
}

/// When to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Longest random wait before a request \[N-8\].
    pub window: Duration,
    /// How long what somebody has asked for counts as on its way \[N-9\].
    pub hold: Duration,
    /// Most requests a minute.
    pub per_minute: u8,
}

/// What was asked and heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests sent.
    pub sent: u64,
    /// Requests of others for this release.
    pub heard: u64,
    /// Own requests given up, as somebody else had asked.
    pub suppressed: u64,
    /// Own requests that brought nothing.
    pub unanswered: u64,
    /// Datagrams that are no request, or for another release, by code.
    pub dropped: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn drop(&mut self, code: &'static str) {
        *self.dropped.entry(code).or_default() += 1;
    }
}

impl Lack for Receiver {
    fn release(&self) -> Option<Release> {
        let manifest = self.manifest().filter(|_| !self.is_complete())?;
        Some(release_of(manifest.payload_digest()))
    }

    fn geometry(&self, component: u8) -> Option<&Geometry> {
        Self::geometry(self, component)
    }

    fn missing(&self, component: u8, block: u16) -> u16 {
        Self::missing(self, component, block)
    }

    fn wants(&self, component: u8, position: u32) -> bool {
        Self::wants(self, component, position)
    }

    fn lacks_page(&self, component: u8, cell: u32) -> bool {
        Self::lacks_page(self, component, cell)
    }

    fn came(&self) -> (u64, u64) {
        (self.counters().chunks, self.counters().duplicates)
    }
}

/// An [`Asker`] with its sockets.
#[derive(Debug)]
pub(crate) struct Nack {
    settings: Settings,
    asker: Asker,
    /// None while the interface is gone.
    sockets: Option<Sockets>,
    /// That nobody answers was told.
    told_silent: bool,
}

#[derive(Debug)]
struct Sockets {
    sends: FeedbackSender,
    /// Where requests go to one host, others are not heard.
    hears: Option<FeedbackReceiver>,
}

impl Nack {
    /// One that asks nobody until [`Nack::open`].
    pub(crate) fn new(settings: Settings, now: Instant, seed: u64) -> Self {
        Self { settings, asker: Asker::new(settings.pace, now, seed), sockets: None, told_silent: false }
    }

    /// Opens its sockets, or opens them anew, on the first of these interfaces that is there.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub(crate) fn open(&mut self, interfaces: &[String]) -> Result<(), FeedbackError> {
        self.sockets = None;
        let Some(interface) = interfaces.iter().find_map(|name| Interface::find(name).ok()) else { return Ok(()) };
        let Settings { to, hops, .. } = self.settings;
        let is_group = to.ip().is_multicast();
        let hears = is_group.then(|| FeedbackReceiver::open(to, &interface, MAX_LEN)).transpose()?;
        self.sockets = Some(Sockets { sends: FeedbackSender::open(to, &interface, hops)?, hears });
        Ok(())
    }

    /// Waits until it is time for [`Nack::ask`], or some requests of others were heard: after these, what is received has its
    /// turn, however many there are. Cancel-safe.
    pub(crate) async fn wait(&mut self, clock: impl Fn() -> Instant) {
        let due = tokio::time::sleep(self.asker.next_timeout().since(clock()));
        let Self { asker, sockets, .. } = self;
        let Some(Sockets { sends, hears: Some(hears) }) = sockets else { return due.await };
        tokio::pin!(due);
        tokio::select! {
            () = &mut due => return,
            result = hears.receive(|from, datagram| {
                if !sends.is_own(from) {
                    asker.handle_datagram(clock(), datagram);
                }
            }) => if result.is_ok() { return },
        }
        // Not to spin on a socket that has failed; it is opened anew with the interface.
        due.await;
    }

    /// Asks, if something is missing. A request that cannot be sent is as good as one that is lost.
    pub(crate) async fn ask(&mut self, now: Instant, lack: &impl Lack) {
        if let Some(request) = self.asker.handle_timeout(now, lack)
            && let Some(Sockets { sends, .. }) = &mut self.sockets
        {
            let _ = sends.send(&request).await;
        }
    }

    /// Whether it has fallen silent, for nobody answers: once each time.
    pub(crate) fn fell_silent(&mut self) -> bool {
        let is_silent = self.asker.is_silent();
        let was_silent = std::mem::replace(&mut self.told_silent, is_silent);
        is_silent && !was_silent
    }

    pub(crate) const fn counts(&self) -> &Counts {
        self.asker.counts()
    }
}
