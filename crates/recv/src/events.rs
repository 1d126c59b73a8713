//! What the daemon tells: one enum for people and for programs.
//!
//! As JSON each is one line with `"v": 1` and `"event"` first; fields are only ever added within a version.

use std::collections::BTreeMap;
use std::fmt;

use fleetcast_cli::journal::Priority;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::Verified;
use fleetcast_install::ReleaseId;
use fleetcast_install::record::Reason;
use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};

use crate::discovery::Place;
use crate::nack;
use crate::repair::Counts;
use crate::trusted::RootFacts;

/// Version of the JSON form.
const VERSION: u8 = 1;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, IntoStaticStr, VariantNames)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The groups are joined.
    Ready {
        /// Groups and ports.
        groups: Vec<String>,
        /// Name of the interface; names of several, separated by commas.
        interface: String,
        /// Octets of receive buffer that the kernel granted to each socket; 0 if there is none yet.
        receive_buffer: usize,
        /// How far the process is confined: `full`, `partial`, `none`, or `off` if it need not be.
        confined: &'static str,
        /// The installed release, if any.
        installed: Option<Release>,
    },
    /// A release is being received from now on.
    Begin {
        /// Which.
        release: Release,
        /// Its TSI, by which packet tools know the session.
        tsi: String,
        /// Chunks needed: the source chunks of all components.
        needed: u64,
        /// Octets of all images.
        octets: u64,
    },
    /// What an earlier run stored was checked.
    Resumed(Chunks),
    /// Chunks of the release were found in images that are there already, and need not come.
    Reused {
        /// How many so far.
        chunks: u64,
        /// Their octets.
        octets: u64,
    },
    /// The first request for what is missing of the release goes to a web server.
    RepairStarted {
        /// Where.
        server: String,
        /// Chunks that are missing.
        missing: u64,
    },
    /// What was fetched of the release from web servers.
    Repaired {
        /// Chunks so far.
        chunks: u64,
        /// Pages so far.
        pages: u64,
        /// Octets that came for both.
        octets: u64,
    },
    /// A web server did not give what it was asked for; told once for each server and cause.
    RepairFailed {
        /// Which.
        server: String,
        /// The word for the cause.
        code: &'static str,
        /// The cause.
        reason: String,
        /// It is asked no more for this release.
        left_alone: bool,
    },
    /// How far it is; each interval while a release is received.
    Progress(Progress),
    /// Nothing that verifies has come for a while.
    Stalled {
        /// Seconds without a verified packet.
        seconds: u64,
        /// What is known about why, and what to do.
        reason: String,
    },
    /// The interface was gone or replaced, and the groups are joined again.
    Rejoined {
        /// Name of the interface.
        interface: String,
    },
    /// Layers were joined or left, or a trial was good and the layer stays.
    Layers {
        /// Layers joined now.
        joined: u8,
        /// The word for why: `trial`, `kept`, `failed`, `silent`, `loss` or `idle`.
        code: &'static str,
        /// Loss of each layer that was joined before, the base layer first, 0.0 to 1.0, in the time that led to it.
        losses: Vec<f64>,
    },
    /// Groups and senders of a domain, which are joined from now on beside those of the settings, and no others.
    Discovered {
        /// The domain.
        domain: String,
        /// `dns`, or `remembered` if DNS has not answered since the start.
        origin: &'static str,
        /// Groups and their senders; none if there are none.
        feeds: Vec<Place>,
    },
    /// Enough chunks are there; what is missing is restored and everything read back.
    Complete(Chunks),
    /// Missing chunks were computed from others.
    Restored {
        /// How many.
        chunks: u64,
    },
    /// The images read back from the storage were not those of the manifest; what differs is received again.
    ReadbackMismatch {
        /// Components, from 0.
        components: Vec<usize>,
        /// How often that has happened to this release.
        times: u32,
    },
    /// A release is installed.
    Installed {
        /// Which.
        release: Release,
        /// It was complete before, and only an interrupted install was finished.
        recovered: bool,
    },
    /// A release is installed on trial: it stays only if it is committed.
    OnTrial {
        /// Which.
        release: Release,
        /// It runs; else it does from the next start of the device on.
        runs: bool,
    },
    /// The release on trial is committed: it stays, and its numbers are the floors.
    Committed {
        /// Which.
        release: Release,
    },
    /// The release on trial is given up, and not installed here again.
    GivenUp {
        /// Which.
        release: Release,
        /// The word for why: `fell-back`, `health` or `asked`.
        code: &'static str,
        /// Why.
        reason: String,
    },
    /// The release is complete, and waits to be installed.
    Waiting {
        /// Seconds until it is tried again.
        seconds: u64,
        /// The word for why: `wave`, `program-later`, or that of [`Event::Freshness`].
        code: &'static str,
    },
    /// The release being received is not acceptable any longer: what came of it is thrown away.
    Abandoned {
        /// Its sequence number.
        sequence: u64,
        /// The word for the cause (spec §12).
        code: &'static str,
        /// The cause.
        reason: String,
    },
    /// A root has followed: everything is verified by it from then on.
    Root {
        /// It.
        #[serde(flatten)]
        root: RootFacts,
        /// The numbers of earlier releases are floors no longer.
        voids_floors: bool,
    },
    /// There is a later beacon; times are in seconds of Unix time.
    Beacon {
        /// When it was made.
        issued: u64,
        /// Until when it holds.
        until: u64,
    },
    /// Whether what the device knows is current has changed.
    Freshness {
        /// `off`, `waiting`, `fresh`, `stale` or `behind`.
        state: &'static str,
        /// Until when the newest beacon holds, in seconds of Unix time; none if there is no beacon.
        until: Option<u64>,
        /// Version of the root that counts here.
        root: u16,
        /// Version of the newest root that is known of.
        newest_root: u16,
    },
    /// The device is being restarted, by the program of the settings.
    Restarting,
    /// A genuine release is not for this device, or not now.
    Refused {
        /// Its sequence number.
        sequence: u64,
        /// The word for the cause (spec §12).
        code: &'static str,
        /// The cause.
        reason: String,
    },
    /// Someone may misuse a signing key.
    Alarm {
        /// Sequence number it is about.
        sequence: u64,
        /// The word for the cause.
        code: &'static str,
        /// What was seen.
        reason: String,
    },
    /// Something is wrong that does not keep the daemon from going on.
    Warning {
        /// The word for it.
        code: &'static str,
        /// What, and what to do.
        reason: String,
    },
    /// The daemon ends; always the last event.
    Stopped {
        /// Whether that is a success: exit code 0.
        ok: bool,
        /// The word for why: `installed`, `already-installed`, `terminated`, `interrupted`, `timeout`, or that of an error.
        code: &'static str,
        /// Why.
        reason: String,
        /// How far the release being received was, if any.
        chunks: Option<Chunks>,
        /// What came, from the start to the end.
        #[serde(flatten)]
        traffic: Traffic,
    },
}

impl Event {
    /// The word for its kind, as in its JSON form.
    pub(crate) fn kind(&self) -> &'static str {
        self.into()
    }

    /// How much it matters to people; none for mere progress, which they are not told in lines.
    #[must_use]
    pub fn priority(&self) -> Option<Priority> {
        Some(match self {
            Self::Progress(_) => return None,
            Self::Alarm { .. } => Priority::Alert,
            Self::Warning { .. }
            | Self::Stalled { .. }
            | Self::Refused { .. }
            | Self::GivenUp { .. }
            | Self::Abandoned { .. }
            | Self::RepairFailed { .. }
            | Self::ReadbackMismatch { .. }
            | Self::Freshness { state: "stale" | "behind", .. } => Priority::Warning,
            Self::Ready { .. }
            | Self::Begin { .. }
            | Self::Installed { .. }
            | Self::OnTrial { .. }
            | Self::Committed { .. }
            | Self::Root { .. }
            | Self::Restarting
            | Self::Stopped { .. } => Priority::Notice,
            Self::Resumed(_)
            | Self::Reused { .. }
            | Self::RepairStarted { .. }
            | Self::Repaired { .. }
            | Self::Rejoined { .. }
            | Self::Layers { .. }
            | Self::Discovered { .. }
            | Self::Complete(_)
            | Self::Restored { .. }
            | Self::Waiting { .. }
            | Self::Beacon { .. }
            | Self::Freshness { .. } => Priority::Info,
        })
    }

    /// A release was given up.
    pub(crate) fn given_up(release: &ReleaseId, reason: Reason) -> Self {
        Self::GivenUp { release: release.into(), code: reason.code(), reason: reason.to_string() }
    }
}

/// A release, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Release {
    /// Sequence number.
    pub sequence: u64,
    /// Its version.
    pub version: String,
}

/// How much of a release is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Chunks {
    /// Chunks verified, of those needed.
    pub have: u64,
    /// Chunks needed.
    pub needed: u64,
}

/// Progress and all counters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// How far it is.
    #[serde(flatten)]
    pub chunks: Chunks,
    /// What came so far.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// What came and what became of it; units are packets unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Traffic {
    /// Share of the packets sent that did not come, 0.0 to 1.0: an estimate.
    pub loss: f64,
    /// Loss of each layer joined, the base layer first, in the last few seconds; missing if there are no layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<f64>>,
    /// All that came.
    pub datagrams: u64,
    /// Chunks that verified and were new.
    pub verified_chunks: u64,
    /// Pages that verified and were new.
    pub verified_pages: u64,
    /// Repeats.
    pub duplicates: u64,
    /// Packets that waited for a manifest or page.
    pub staged: u64,
    /// Packets dropped, by cause (spec §12).
    pub dropped: BTreeMap<&'static str, u64>,
    /// Arrivals that the kernel dropped, mostly for full buffers.
    pub kernel_drops: u64,
    /// Datagrams longer than `max-packet`.
    pub overlong: u64,
    /// Requests for what is missing, if the settings have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nack: Option<nack::Counts>,
    /// What was fetched from web servers, if any may be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<Counts>,
}

/// An event as a line of JSON.
#[derive(Serialize)]
pub struct Line<'a> {
    v: u8,
    #[serde(flatten)]
    event: &'a Event,
}

impl<'a> From<&'a Event> for Line<'a> {
    fn from(event: &'a Event) -> Self {
        Self { v: VERSION, event }
    }
}

impl From<&Verified<Manifest>> for Release {
    fn from(manifest: &Verified<Manifest>) -> Self {
        Self { sequence: manifest.sequence, version: manifest.version.to_string() }
    }
}

impl From<&ReleaseId> for Release {
    fn from(release: &ReleaseId) -> Self {
        Self { sequence: release.sequence, version: release.version.clone() }
    }
}

/// Writes `1.4.0 (sequence 7)`.
impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (sequence {})", self.version, self.sequence)
    }
}

/// Writes `812 of 1024 chunks`.
impl fmt::Display for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} chunks", self.have, self.needed)
    }
}

/// One line for people, without the line's end.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { groups, interface, installed, .. } => {
                let groups = if groups.is_empty() { "what DNS names".into() } else { groups.join(", ") };
                write!(f, "listening to {groups} on {interface}, ")?;
                match installed {
                    Some(release) => write!(f, "installed is {release}"),
                    None => f.write_str("nothing is installed yet"),
                }
            }
            Self::Begin { release, octets, needed, .. } => {
                write!(f, "receiving {release}: {octets} octets in {needed} chunks")
            }
            Self::Resumed(chunks) => write!(f, "resumed: {chunks} are there and verified"),
            Self::Reused { chunks, octets } => write!(f, "{chunks} chunks ({octets} octets) were there in old images"),
            Self::RepairStarted { server, missing } => write!(f, "fetching {missing} missing chunks from {server}"),
            Self::Repaired { chunks, pages, octets } => {
                write!(f, "fetched {chunks} chunks and {pages} pages in {octets} octets")
            }
            Self::RepairFailed { server, reason, left_alone, .. } => {
                let end = if *left_alone { ", and is asked no more for this release" } else { "" };
                write!(f, "{server} does not help: {reason}{end}")
            }
            Self::Progress(Progress { chunks, traffic }) => {
                write!(f, "{chunks}, loss {:.1} %", traffic.loss * 100.0)?;
                match traffic.repair {
                    Some(Counts { octets: octets @ 1.., .. }) => write!(f, ", {octets} octets fetched"),
                    _ => Ok(()),
                }
            }
            Self::Stalled { seconds, reason } => write!(f, "nothing new has verified for {seconds} s: {reason}"),
            Self::Rejoined { interface } => write!(f, "listening again on {interface}, which was gone or replaced"),
            Self::Layers { joined, code, .. } => write!(f, "{joined} layers joined ({code})"),
            Self::Discovered { domain, feeds, .. } if feeds.is_empty() => write!(f, "{domain} has no sender"),
            Self::Discovered { domain, origin, feeds } => {
                write!(f, "discovered for {domain} ({origin}): ")?;
                let all: Vec<_> = feeds.iter().map(Place::to_string).collect();
                f.write_str(&all.join("; "))
            }
            Self::Complete(chunks) => write!(f, "{chunks}: reading everything back"),
            Self::Restored { chunks } => write!(f, "restored {chunks} chunks from repair chunks"),
            Self::ReadbackMismatch { components, times } => {
                write!(f, "components {components:?} read back wrong (time {times}): receiving again what differs")
            }
            Self::Installed { release, recovered: false } => write!(f, "installed {release}"),
            Self::Installed { release, recovered: true } => {
                write!(f, "installed {release}, finishing an interrupted install")
            }
            Self::OnTrial { release, runs: true } => {
                write!(f, "{release} is on trial, and runs: it waits to be committed")
            }
            Self::OnTrial { release, runs: false } => {
                write!(f, "{release} is installed on trial: it runs from the next start of the device on")
            }
            Self::Committed { release } => write!(f, "committed {release}"),
            Self::GivenUp { release, reason, .. } => write!(f, "gave up {release}: {reason}"),
            Self::Abandoned { sequence, reason, .. } => {
                write!(f, "gave up receiving the release with sequence {sequence}: {reason}")
            }
            Self::Root { root, voids_floors } => {
                let floors = if *voids_floors { "; all earlier signatures on releases are void" } else { "" };
                write!(f, "{root}{floors}")
            }
            Self::Beacon { issued, until } => write!(f, "beacon of Unix time {issued}, good until {until}"),
            Self::Freshness { state, until, root, newest_root } => match (*state, until) {
                ("behind", _) => {
                    write!(f, "root {newest_root} is missing, {root} is known: nothing is installed until it comes")
                }
                ("stale", Some(until)) => write!(
                    f,
                    "what is current is not known any longer: the newest beacon held until Unix time {until}, or none comes"
                ),
                ("stale", None) => write!(f, "what is current is not known: no beacon comes"),
                (state, _) => write!(f, "freshness: {state}"),
            },
            Self::Waiting { seconds, code } => write!(f, "not installed yet ({code}), tried again in {seconds} s"),
            Self::Restarting => f.write_str("restarting the device"),
            Self::Refused { sequence, reason, .. } => write!(f, "refused release with sequence {sequence}: {reason}"),
            Self::Alarm { reason, .. } | Self::Warning { reason, .. } | Self::Stopped { reason, chunks: None, .. } => {
                f.write_str(reason)
            }
            Self::Stopped { reason, chunks: Some(chunks), .. } => write!(f, "{reason}, with {chunks}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_those_of_the_json_form() {
        let chunks = Chunks { have: 1, needed: 2 };
        let release = Release { sequence: 1, version: "1".into() };
        for event in [
            Event::Resumed(chunks),
            Event::Progress(Progress { chunks, traffic: Traffic::default() }),
            Event::OnTrial { release: release.clone(), runs: true },
            Event::ReadbackMismatch { components: vec![], times: 1 },
            Event::Installed { release, recovered: false },
            Event::Restarting,
            Event::Alarm { sequence: 1, code: "x", reason: String::new() },
        ] {
            assert_eq!(serde_json::to_value(&event).unwrap()["event"], event.kind());
        }
    }
}
