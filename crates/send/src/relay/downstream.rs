//! Where a relay sends to: a local group, listed hosts, or both.

use std::io;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use fleetcast_cli::CommandError;
use fleetcast_net::{SendError, Sender, UnicastSender};

use super::report::Event;
use crate::batch::Batch;

/// Failures in a row for this long make it look for the interface anew.
const REOPEN: Duration = Duration::from_secs(2);

/// Least time between two warnings of a kind.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Least and most octets of a send buffer.
const MIN_BUFFER: usize = 32 << 10;
const MAX_BUFFER: usize = 4 << 20;

/// The sockets that send.
///
/// What comes is of the moment: a packet that cannot be sent at once is lost \[C-13\], and no destination waits for another.
#[derive(Debug)]
pub struct Downstream {
    group: Option<Sender>,
    hosts: Vec<UnicastSender>,
    sent: Sent,
    /// When the failures in a row of the group began, or its interface was last looked for since.
    failing: Option<Instant>,
    warned: Option<Instant>,
}

/// What was handed to the system, to all destinations together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// Octets of UDP payload.
    pub octets: u64,
    /// Packets that the system did not take.
    pub failed: u64,
}

impl Downstream {
    /// Sends each packet to the group and to every host.
    #[must_use]
    pub fn new(group: Option<Sender>, hosts: Vec<UnicastSender>) -> Self {
        Self { group, hosts, sent: Sent::default(), failing: None, warned: None }
    }

    /// Sends a batch to all, and tells what is wrong.
    ///
    /// # Errors
    ///
    /// [`SendError::Fatal`] of the group's socket.
    pub async fn send(&mut self, batch: &Batch, tell: &mut dyn FnMut(&Event)) -> Result<(), SendError> {
        for (datagrams, segment) in batch.runs() {
            if let Some(group) = &mut self.group {
                let packets = datagrams.len().div_ceil(segment.max(1)) as u64;
                match at_once(group, datagrams, segment).await {
                    Ok(()) => {
                        self.failing = None;
                        self.sent.packets += packets;
                        self.sent.octets += datagrams.len() as u64;
                    }
                    Err(error @ SendError::Fatal(_)) => return Err(error),
                    Err(error) => {
                        let is_transient = matches!(error, SendError::Transient(_));
                        self.failed(packets, error, "the group", tell);
                        if is_transient {
                            self.reopen(tell);
                        }
                    }
                }
            }
            for at in 0..self.hosts.len() {
                for datagram in datagrams.chunks(segment.max(1)) {
                    let Some(host) = self.hosts.get(at) else { continue };
                    match host.send(datagram) {
                        Ok(()) => {
                            self.sent.packets += 1;
                            self.sent.octets += datagram.len() as u64;
                        }
                        Err(error) => self.failed(1, error, &host.to().to_string(), tell),
                    }
                }
            }
        }
        Ok(())
    }

    /// What was sent so far.
    #[must_use]
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    fn failed(&mut self, packets: u64, error: SendError, to: &str, tell: &mut dyn FnMut(&Event)) {
        self.sent.failed += packets;
        if is_due(&mut self.warned, WARN_EVERY) {
            let (code, error) = (error.code(), CommandError::failed(error));
            let reason = format!("cannot send to {to}: {error} ({} packets lost here so far)", self.sent.failed);
            tell(&Event::Warning { code, reason });
        }
    }

    /// Looks for the interface of the group anew, if it has failed for a while; it may have been removed and made again, or have
    /// another address.
    fn reopen(&mut self, tell: &mut dyn FnMut(&Event)) {
        let since = self.failing.get_or_insert_with(Instant::now);
        if since.elapsed() < REOPEN {
            return;
        }
        *since = Instant::now();
        // Why it is not found, the failure told already says.
        if let Some(group) = &mut self.group
            && group.reopen().is_ok_and(|is_other| is_other)
        {
            tell(&Event::Reopened { interface: group.interface().name().to_owned() });
        }
    }
}

/// Sends what the socket takes without a wait: what waited here would be too old when it goes.
async fn at_once(group: &mut Sender, datagrams: &[u8], segment: usize) -> Result<(), SendError> {
    tokio::select! {
        biased;
        result = group.send(datagrams, segment) => result,
        () = std::future::ready(()) => Err(SendError::Transient(io::ErrorKind::WouldBlock.into())),
    }
}

/// Octets of send buffer: what goes at this rate, in bits a second, in 50 ms. More would keep packets for too long on a link that is slower.
#[must_use]
pub fn send_buffer(rate: NonZeroU64) -> usize {
    usize::try_from(rate.get() / 8 / 20).unwrap_or(usize::MAX).clamp(MIN_BUFFER, MAX_BUFFER)
}

/// Whether `last` is at least `every` ago or never was; if so, it is at this moment.
fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|at| at.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}
