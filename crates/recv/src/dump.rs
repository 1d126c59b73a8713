//! What is on the air, or in a capture of it: who sends what, how fast, and what of it verifies.
//!
//! ```text
//! capture -> frame -+-> Dump { flow, judge { session } } -> report -> text
//! live -------------+
//! ```
//!
//! Everything here may be forged, so that all of it is bounded: senders, sessions, roots and beacons that find no place are
//! counted. Nothing is stored, and nothing a device keeps is looked at.

mod capture;
mod flow;
mod frame;
mod judge;
mod live;
mod report;
mod session;
mod text;

use std::io::Read;
use std::net::SocketAddr;

use fleetcast_cli::CommandError;
use fleetcast_core::nack;
use fleetcast_core::trust::Trust;
use fleetcast_core::wire::{HEADER_LEN, Packet};

use capture::Capture;
pub(crate) use capture::CaptureError;
use flow::Flow;
use frame::{Datagram, Found};
use judge::Judge;

pub(crate) use live::listen;
pub(crate) use report::{PacketLine, Report};

/// Groups with their senders that are told apart.
const MAX_FLOWS: usize = 256;

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Manifest,
    Root,
    Beacon,
    Page,
    ParityPage,
    SourceChunk,
    RepairChunk,
    /// A chunk of a release whose manifest has not come.
    Chunk,
    /// No packet of this protocol.
    Malformed,
}

impl Kind {
    /// The word for it.
    const fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Root => "root",
            Self::Beacon => "beacon",
            Self::Page => "page",
            Self::ParityPage => "parity-page",
            Self::SourceChunk => "source-chunk",
            Self::RepairChunk => "repair-chunk",
            Self::Chunk => "chunk",
            Self::Malformed => "malformed",
        }
    }
}

/// What is to be said of a packet; codes are those of spec §12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It is genuine: those trusted stand behind it.
    Verified,
    /// It agrees with a statement that nobody vouches for.
    Claimed,
    /// What it is to be judged by has not come, or was not captured.
    Unjudged(&'static str),
    /// A device drops it.
    Dropped(&'static str),
}

impl Verdict {
    /// The word for it.
    const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Claimed => "claimed",
            Self::Unjudged(_) => "unjudged",
            Self::Dropped(_) => "dropped",
        }
    }

    /// Why.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Verified | Self::Claimed => None,
            Self::Unjudged(code) | Self::Dropped(code) => Some(code),
        }
    }
}

/// What was seen beside packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Others {
    /// Frames that are no UDP.
    no_udp: u64,
    /// Parts of UDP datagrams that IP cut up.
    fragments: u64,
    /// Datagrams of something else, or to groups that were not asked for.
    datagrams: u64,
    /// Requests of receivers (spec §16).
    requests: u64,
    /// Packets of senders for which there was no place.
    untold: u64,
    /// What came faster than it was taken.
    kernel_drops: u64,
}

/// Takes packets, and has a report at the end.
#[derive(Debug)]
pub(crate) struct Dump {
    judge: Judge,
    flows: Vec<Flow>,
    /// Groups that are looked at; all if there are none.
    groups: Vec<SocketAddr>,
    others: Others,
    frames: u64,
    /// Time of what came last, in microseconds of Unix time.
    now: u64,
}

impl Dump {
    /// With `groups`, every datagram to one of them counts as meant to be a packet; without, what looks like one and what else
    /// its sender sends there.
    pub(crate) fn new(trust: Option<Trust>, groups: Vec<SocketAddr>) -> Self {
        Self { judge: Judge::new(trust), flows: Vec::new(), groups, others: Others::default(), frames: 0, now: 0 }
    }

    /// Takes a frame of a capture, and tells a packet in it.
    fn take_frame(&mut self, link: u32, octets: &[u8]) -> Option<PacketLine> {
        self.frames += 1;
        match frame::find(link, octets) {
            Found::Udp(datagram) => self.take(datagram),
            Found::Fragment => {
                self.others.fragments += 1;
                None
            }
            Found::Other => {
                self.others.no_udp += 1;
                None
            }
        }
    }

    /// Takes a datagram that came now, and tells it if it is a packet.
    fn take(&mut self, datagram: Datagram<'_>) -> Option<PacketLine> {
        let Datagram { source, group, octets, payload } = datagram;
        let is_asked_for = self.groups.contains(&group);
        if !is_asked_for && !self.groups.is_empty() {
            self.others.datagrams += 1;
            return None;
        }
        if nack::Request::decode(payload).is_ok() {
            self.others.requests += 1;
            return None;
        }
        let decoded = Packet::decode(payload);
        let known = self.flows.iter().position(|flow| (flow.group, flow.source) == (group, source));
        let index = match known {
            Some(index) => index,
            None if decoded.is_err() && !is_asked_for => {
                self.others.datagrams += 1;
                return None;
            }
            // Addresses are easily made up: one from which nothing right has come gives way.
            None if self.flows.len() >= MAX_FLOWS => {
                let strangers = self.flows.iter_mut().enumerate().filter(|(_, flow)| !flow.is_heard());
                let Some((index, flow)) = strangers.min_by_key(|(_, flow)| flow.span.packets) else {
                    self.others.untold += 1;
                    return None;
                };
                self.others.untold += flow.span.packets;
                flow.give_way(group, source);
                index
            }
            None => {
                self.flows.push(Flow::new(group, source));
                self.flows.len() - 1
            }
        };
        let flow = self.flows.get_mut(index)?;
        let is_whole = payload.len() == octets;
        let header = decoded.as_ref().ok().map(|packet| packet.header);
        let found = match decoded {
            Ok(packet) if is_whole => {
                self.judge.judge(packet, self.now, octets, &mut |cost| flow.afford(self.now, cost))
            }
            Ok(packet) => self.judge.cut(&packet.header),
            // Of a header that was captured in part nothing is wrong.
            Err(_) if !is_whole && payload.len() <= HEADER_LEN => (Kind::Malformed, Verdict::Unjudged("truncated")),
            Err(error) => (Kind::Malformed, Verdict::Dropped(error.code())),
        };
        flow.note(self.now, octets, header.as_ref(), found);
        Some(PacketLine::new(self.now, &datagram, header, found))
    }

    /// What came of it all.
    pub(crate) fn report(&self) -> Report {
        Report::new(self)
    }
}

/// From then on the process can open nothing, as far as the kernel sees to that: all it needs is open.
pub(crate) fn confine() {
    let _ = crate::confine::confine(&crate::confine::Rules::default());
}

/// Reads a capture to its end, or to where it cannot be read any further, which is given back.
///
/// # Errors
///
/// What `tell` says.
pub(crate) fn read(
    capture: impl Read,
    dump: &mut Dump,
    tell: &mut dyn FnMut(&PacketLine) -> Result<(), CommandError>,
) -> Result<Result<(), CaptureError>, CommandError> {
    let mut capture = match Capture::open(capture) {
        Ok(capture) => capture,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        match capture.next_frame() {
            Ok(Some(frame)) => {
                dump.now = frame.time.unwrap_or(dump.now);
                if let Some(line) = dump.take_frame(frame.link, frame.octets) {
                    tell(&line)?;
                }
            }
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests;
