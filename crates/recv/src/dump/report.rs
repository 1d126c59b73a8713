//! The report, as programs read it; [`super::text`] is for people.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fleetcast_cli::hex;
use fleetcast_core::beacon::Beacon;
use fleetcast_core::manifest::Component;
use fleetcast_core::trust::{Envelope, Root};
use fleetcast_core::wire::{Header, Object, StatementKind};
use serde::Serialize;

use super::flow::{Flow, Span};
use super::judge::{Judge, Notice};
use super::session::{Session, Standing};
use super::{Datagram, Dump, Kind, Verdict};
use crate::trusted::RootFacts;

/// Source chunks are not quite all it takes: pages come with them, and some chunks are of no use. Measured over random joins:
/// 1.035 without loss, 1.094 with 5 %, of which nineteen in twenty come (`cargo run --example reception_cost`).
const TO_COMPLETE: f64 = 1.04;

/// All that was seen. Times are microseconds of Unix time, octets those of UDP payload, rates those of a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    v: u8,
    event: &'static str,
    /// Frames of the capture; 0 if there was none.
    pub(super) frames: u64,
    /// Packets of this protocol, or meant to be.
    pub(super) packets: u64,
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
    pub(super) others: OthersFacts,
    /// Who is trusted; null if nobody was named, and then nothing is verified.
    pub(super) trust: Option<RootFacts>,
    /// By group, then sender.
    pub(super) senders: Vec<SenderFacts>,
    /// Those that verified first.
    pub(super) sessions: Vec<SessionFacts>,
    pub(super) roots: Vec<RootNotice>,
    pub(super) beacons: Vec<BeaconNotice>,
}

/// What was not told, in frames or packets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct OthersFacts {
    pub(super) no_udp: u64,
    pub(super) fragments: u64,
    pub(super) datagrams: u64,
    pub(super) requests: u64,
    /// Packets of senders for which there was no place.
    pub(super) untold_packets: u64,
    /// Sessions, roots and beacons for which there was none.
    pub(super) untold_statements: u64,
    /// Packets that came faster than they were taken.
    pub(super) kernel_drops: u64,
}

/// What a sender sends to a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SenderFacts {
    pub(super) group: SocketAddr,
    pub(super) source: SocketAddr,
    #[serde(flatten)]
    pub(super) amount: Amount,
    pub(super) loss: Loss,
    pub(super) layers: Vec<LayerFacts>,
    /// Packets by what they carry.
    pub(super) kinds: BTreeMap<&'static str, u64>,
    pub(super) verdicts: Verdicts,
    /// Packets by session, but for what was dropped.
    pub(super) sessions: BTreeMap<String, u64>,
}

/// How much, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Amount {
    pub(super) packets: u64,
    pub(super) octets: u64,
    pub(super) seconds: f64,
    /// Null where no time has gone by.
    pub(super) packets_per_second: Option<f64>,
    pub(super) octets_per_second: Option<f64>,
}

/// Loss by the counts of packets: an estimate, for anyone can send under any address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Loss {
    pub(super) sent: u64,
    pub(super) lost: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LayerFacts {
    pub(super) layer: u8,
    #[serde(flatten)]
    pub(super) amount: Amount,
    pub(super) loss: Loss,
}

/// Packets by verdict, and by code.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Verdicts {
    pub(super) verified: u64,
    pub(super) claimed: u64,
    pub(super) unjudged: BTreeMap<&'static str, u64>,
    pub(super) dropped: BTreeMap<&'static str, u64>,
}

/// Who stands behind what a statement says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Vouched {
    /// If false, anyone can have sent what follows.
    pub(super) verified: bool,
    /// Why it is refused by who is trusted.
    pub(super) refused: Option<&'static str>,
    /// Ids of the trusted keys that signed; if it is not verified, ids that it names, which proves nothing.
    pub(super) signed_by: Vec<String>,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SessionFacts {
    pub(super) session: String,
    #[serde(flatten)]
    pub(super) vouched: Vouched,
    pub(super) sequence: u64,
    pub(super) security_version: u32,
    pub(super) version: String,
    pub(super) vendor: String,
    pub(super) classes: Vec<String>,
    pub(super) manifest_digest: String,
    pub(super) components: Vec<ComponentFacts>,
    /// Of all senders and layers that were heard.
    pub(super) heard: Amount,
    /// Chunks that agree with the manifest.
    pub(super) chunks: u64,
    pub(super) cycle: Cycle,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ComponentFacts {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    /// Octets of a chunk.
    pub(super) chunk: usize,
    pub(super) source_chunks: u32,
    pub(super) repair_chunks: u32,
    pub(super) cells: u32,
}

/// The carousel, without manifests, roots and beacons.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Cycle {
    pub(super) packets: u64,
    pub(super) octets: u64,
    /// How long it takes at the rate at which it came.
    pub(super) seconds: Option<f64>,
    /// How long a device takes that joins and hears the same: an estimate.
    pub(super) seconds_to_complete: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RootNotice {
    pub(super) packets: u64,
    #[serde(flatten)]
    pub(super) vouched: Vouched,
    #[serde(flatten)]
    pub(super) root: RootFacts,
    pub(super) issued: u64,
    pub(super) vendor: String,
}

/// Times are in seconds of Unix time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct BeaconNotice {
    pub(super) packets: u64,
    #[serde(flatten)]
    pub(super) vouched: Vouched,
    pub(super) issued: u64,
    pub(super) until: u64,
    /// By the time of what came last: `good`, `expired`, or `behind` if it names a root above the one that is trusted.
    pub(super) state: &'static str,
    pub(super) root: u16,
    pub(super) vendor: String,
    pub(super) current: Vec<Current>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Current {
    pub(super) class: String,
    pub(super) sequence: u64,
    pub(super) security_version: u32,
}

impl Report {
    pub(super) fn new(dump: &Dump) -> Self {
        let Dump { judge, flows, others, frames, now, .. } = dump;
        let times = || flows.iter().filter_map(|flow| flow.span.times());
        let mut senders: Vec<_> = flows.iter().map(SenderFacts::new).collect();
        senders.sort_by_key(|sender| (sender.group, sender.source));
        let mut sessions: Vec<_> = judge.sessions.iter().map(SessionFacts::new).collect();
        sessions.sort_by_key(|session| !session.vouched.verified);
        Self {
            v: 1,
            event: "report",
            frames: *frames,
            packets: flows.iter().map(|flow| flow.span.packets).sum(),
            first: times().map(|(first, _)| first).min(),
            last: times().map(|(_, last)| last).max(),
            others: OthersFacts {
                no_udp: others.no_udp,
                fragments: others.fragments,
                datagrams: others.datagrams,
                requests: others.requests,
                untold_packets: others.untold,
                untold_statements: judge.untold,
                kernel_drops: others.kernel_drops,
            },
            trust: judge.trust().map(RootFacts::from),
            senders,
            sessions,
            roots: judge.roots.iter().map(RootNotice::new).collect(),
            beacons: judge.beacons.iter().map(|beacon| BeaconNotice::new(beacon, judge, now / 1_000_000)).collect(),
        }
    }

    /// Whether anything of this protocol came.
    pub(crate) fn is_empty(&self) -> bool {
        !self.senders.iter().any(|sender| sender.kinds.keys().any(|kind| *kind != Kind::Malformed.word()))
    }

    /// Whether a release is on the air that those trusted stand behind: its manifest, and chunks of it.
    pub(crate) fn is_any_verified(&self) -> bool {
        self.sessions.iter().any(|session| session.vouched.verified && session.chunks > 0)
    }
}

impl SenderFacts {
    fn new(flow: &Flow) -> Self {
        let mut verdicts = Verdicts::default();
        for (verdict, packets) in &flow.verdicts {
            match verdict {
                Verdict::Verified => verdicts.verified = *packets,
                Verdict::Claimed => verdicts.claimed = *packets,
                Verdict::Unjudged(code) => drop(verdicts.unjudged.insert(code, *packets)),
                Verdict::Dropped(code) => drop(verdicts.dropped.insert(code, *packets)),
            }
        }
        let loss = |sent: u64, came: u64| Loss { sent, lost: sent.saturating_sub(came) };
        let layer = |(layer, facts): (&u8, &super::flow::Layer)| LayerFacts {
            layer: *layer,
            amount: Amount::of(&facts.span),
            loss: loss(facts.sent, facts.came),
        };
        let layers: Vec<_> = flow.layers.iter().map(layer).collect();
        let sum = |part: fn(&Loss) -> u64| layers.iter().map(|layer| part(&layer.loss)).sum();
        Self {
            group: flow.group,
            source: flow.source,
            amount: Amount::of(&flow.span),
            loss: Loss { sent: sum(|loss| loss.sent), lost: sum(|loss| loss.lost) },
            layers,
            kinds: flow.kinds.iter().map(|(kind, packets)| (kind.word(), *packets)).collect(),
            verdicts,
            sessions: flow.sessions.iter().map(|(tsi, packets)| (tsi.to_string(), *packets)).collect(),
        }
    }
}

impl Amount {
    #[expect(clippy::cast_precision_loss, reason = "for show")]
    fn of(span: &Span) -> Self {
        let (packets_per_second, octets_per_second) = span.rates().unzip();
        let seconds = span.micros() as f64 / 1e6;
        Self { packets: span.packets, octets: span.octets, seconds, packets_per_second, octets_per_second }
    }
}

impl Vouched {
    fn new(standing: &Standing, statement: &[u8]) -> Self {
        let named = || {
            let envelope = Envelope::parse(statement);
            envelope.map(|e| e.signatures().map(|s| s.kid.to_string()).collect()).unwrap_or_default()
        };
        match standing {
            Standing::Verified(keys) => {
                Self { verified: true, refused: None, signed_by: keys.iter().map(ToString::to_string).collect() }
            }
            Standing::Refused(code) => Self { verified: false, refused: Some(code), signed_by: named() },
            Standing::Unverified => Self { verified: false, refused: None, signed_by: named() },
        }
    }
}

impl SessionFacts {
    #[expect(clippy::cast_precision_loss, reason = "for show")]
    fn new(session: &Session) -> Self {
        let manifest = &session.manifest;
        let (heard, cycle) = (Amount::of(&session.span), session.cycle());
        let to_complete =
            if session.has_repair() { TO_COMPLETE * session.source_chunks() as f64 } else { cycle.packets as f64 };
        Self {
            session: session.tsi.to_string(),
            vouched: Vouched::new(&session.standing, &session.statement),
            sequence: manifest.sequence,
            security_version: manifest.security_version,
            version: manifest.version.to_string(),
            vendor: manifest.vendor.to_string(),
            classes: manifest.classes.iter().map(ToString::to_string).collect(),
            manifest_digest: hex(&session.payload_digest),
            components: manifest.components.iter().map(ComponentFacts::new).collect(),
            heard,
            chunks: session.chunks,
            cycle: Cycle {
                packets: cycle.packets,
                octets: cycle.octets,
                seconds: heard.octets_per_second.map(|rate| cycle.octets as f64 / rate),
                seconds_to_complete: heard.packets_per_second.map(|rate| to_complete / rate),
            },
        }
    }
}

impl ComponentFacts {
    fn new(component: &Component) -> Self {
        let g = &component.geometry;
        Self {
            name: component.name.to_string(),
            target: component.target.to_string(),
            size: g.size(),
            sha256: hex(&component.sha256),
            chunk: g.chunk_len(),
            source_chunks: g.source_chunks(),
            repair_chunks: g.repair_chunks(),
            cells: g.cells(),
        }
    }
}

impl RootNotice {
    fn new(notice: &Notice<Root>) -> Self {
        Self {
            packets: notice.packets,
            vouched: Vouched::new(&notice.standing, &notice.statement),
            root: RootFacts::of(&notice.value),
            issued: notice.value.issued,
            vendor: notice.value.vendor.to_string(),
        }
    }
}

impl BeaconNotice {
    fn new(notice: &Notice<Beacon>, judge: &Judge, now: u64) -> Self {
        let beacon = &notice.value;
        let is_behind = judge.trust().is_some_and(|trust| trust.version() < beacon.root);
        let current = |current: &fleetcast_core::beacon::Current| Current {
            class: current.class.to_string(),
            sequence: current.sequence,
            security_version: current.security_version,
        };
        Self {
            packets: notice.packets,
            vouched: Vouched::new(&notice.standing, &notice.statement),
            issued: beacon.issued,
            until: beacon.until,
            state: if is_behind {
                "behind"
            } else if now > beacon.until {
                "expired"
            } else {
                "good"
            },
            root: beacon.root,
            vendor: beacon.vendor.to_string(),
            current: beacon.current.iter().map(current).collect(),
        }
    }
}

/// One packet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PacketLine {
    v: u8,
    event: &'static str,
    /// Microseconds of Unix time.
    pub(super) time: u64,
    pub(super) source: SocketAddr,
    pub(super) group: SocketAddr,
    pub(super) octets: usize,
    pub(super) kind: &'static str,
    #[serde(flatten)]
    pub(super) fields: Option<Fields>,
    pub(super) verdict: &'static str,
    pub(super) code: Option<&'static str>,
}

/// What the header says; nothing of it is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fields {
    #[serde(serialize_with = "as_text")]
    pub(super) session: fleetcast_core::wire::Tsi,
    pub(super) layer: u8,
    pub(super) count: u32,
    #[serde(flatten)]
    pub(super) place: Place,
}

/// Which of its kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Place {
    None {},
    Root { version: u16 },
    Page { component: u8, cell: u32 },
    Chunk { component: u8, block: u16, symbol: u16 },
}

fn as_text<S: serde::Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

impl PacketLine {
    pub(super) fn new(
        time: u64,
        datagram: &Datagram<'_>,
        header: Option<Header>,
        (kind, verdict): (Kind, Verdict),
    ) -> Self {
        let fields = |header: Header| Fields {
            session: header.tsi,
            layer: header.layer,
            count: header.count,
            place: match header.object {
                Object::Statement { kind: StatementKind::Root, number } => Place::Root { version: number },
                Object::Statement { .. } => Place::None {},
                Object::Page { component, cell, .. } => Place::Page { component, cell },
                Object::Chunk { component, sbn, esi } => Place::Chunk { component, block: sbn, symbol: esi },
            },
        };
        Self {
            v: 1,
            event: "packet",
            time,
            source: datagram.source,
            group: datagram.group,
            octets: datagram.octets,
            kind: kind.word(),
            fields: header.map(fields),
            verdict: verdict.word(),
            code: verdict.code(),
        }
    }
}
