//! Roots, beacons and clocks: whom a device trusts, and whether what it knows is current.
//!
//! Root n is signed by the keys `root-(n-1)` and `root-n`; by it `author-n` signs releases and `beacon-n` beacons.

mod clock;
mod power_cut;
mod roots;
mod theft;

use fleetcast_core::beacon::{Beacon, Current};
use fleetcast_core::freshness::Freshness;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Root, Trust, parse_unverified};
use fleetcast_core::wire::{Header, Object, StatementKind, Tsi};
use fleetcast_install::Disk;
use fleetcast_netlab::authority::{self, signed_root};
use fleetcast_netlab::release::{CLASS, VENDOR};
use fleetcast_recv::config::Config;
use fleetcast_recv::device::{DeviceError, Outcome};
use fleetcast_recv::events::Event;

use super::bench::{Job, Running, config, image};

/// When root 0 would have been made; root n is n days younger.
const START: u64 = 1_700_000_000;
const DAY: u64 = 24 * 3600;

/// The time of root n.
const fn day(n: u64) -> u64 {
    START + n * DAY
}

fn root(version: u16) -> Root {
    let name = |role| format!("{role}-{version}");
    let root = authority::root(version, &[&name("root")], &[&name("author")], &[&name("beacon")]);
    Root { issued: day(version.into()), ..root }
}

/// The statement of root n.
fn signed(version: u16) -> Vec<u8> {
    signed_root(&root(version), &[&format!("root-{}", version - 1), &format!("root-{version}")])
}

/// A packet with root n.
fn root_packet(version: u16) -> Vec<u8> {
    packet_of(version, &signed(version))
}

fn packet_of(version: u16, root: &[u8]) -> Vec<u8> {
    statement(StatementKind::Root, version, root)
}

fn statement(kind: StatementKind, number: u16, statement: &[u8]) -> Vec<u8> {
    let header = Header { layer: 0, count: 0, tsi: Tsi([3; 4]), object: Object::Statement { kind, number } };
    [&header.encode()[..], statement].concat()
}

/// A packet with a beacon that holds for an hour from `issued` on, by which these releases are current.
fn beacon(root: u16, issued: u64, current: &[&Job]) -> Vec<u8> {
    beacon_by(&format!("beacon-{root}"), root, issued, current)
}

/// The same, signed by the key of this name.
fn beacon_by(name: &str, root: u16, issued: u64, current: &[&Job]) -> Vec<u8> {
    let of = |job: &&Job| {
        let manifest = parse_unverified::<Manifest>(job.carousel.statement()).unwrap();
        Current {
            class: CLASS,
            sequence: manifest.sequence,
            digest: *manifest.payload_digest(),
            security_version: manifest.security_version,
        }
    };
    let current = current.iter().map(of).collect();
    let beacon = Beacon { vendor: VENDOR, issued, until: issued + 3600, root, current };
    let signed = authority::sign(StatementKind::Beacon, &beacon.encode().unwrap(), &[name]);
    statement(StatementKind::Beacon, 0, &signed)
}

/// A release by the author of root n.
fn release(root: u16, sequence: u64) -> Job {
    Job::signed_by(&[&format!("author-{root}")], sequence, &[("rootfs", image(sequence, 64 * 30))])
}

/// Settings with root n.
fn made_with(version: u16) -> Config {
    trusting(&signed(version))
}

fn trusting(root: &[u8]) -> Config {
    Config { trust: Trust::from_root(root).unwrap(), ..config() }
}

/// A root without beacons.
fn quiet(root: Root) -> Root {
    Root { beacon: None, ..root }
}

impl<D: Disk + 'static> Running<D> {
    /// Takes packets, whatever was installed before.
    fn hear(&mut self, packets: impl IntoIterator<Item = Vec<u8>>) -> Result<Outcome, DeviceError> {
        self.outcome = Outcome::Going;
        self.feed(packets)
    }

    /// Lets seconds pass, with a look in each, on a device whose clock says `unix`.
    fn wait(&mut self, seconds: u64, unix: u64) -> Result<Outcome, DeviceError> {
        for _ in 0..seconds {
            self.skip(1, unix)?;
            if self.outcome != Outcome::Going {
                break;
            }
        }
        Ok(self.outcome)
    }

    /// Lets time pass all at once, as while a device is suspended, then looks.
    fn skip(&mut self, seconds: u64, unix: u64) -> Result<Outcome, DeviceError> {
        self.now += seconds * 1_000_000;
        let Self { device, events, now, .. } = self;
        self.outcome = device.look(Instant::from_micros(*now), unix, &mut |event| events.push(event))?;
        Ok(self.outcome)
    }

    /// Hears packets again and again, once in 5 seconds, for so long.
    fn follow(&mut self, seconds: u64, unix: u64, packets: &[Vec<u8>]) -> Result<Outcome, DeviceError> {
        for _ in 0..seconds.div_ceil(5) {
            if self.hear(packets.to_vec())? != Outcome::Going || self.wait(5, unix)? != Outcome::Going {
                break;
            }
        }
        Ok(self.outcome)
    }

    fn version(&self) -> u16 {
        self.device.receiver().trust().version()
    }

    fn dropped(&self, code: &str) -> u64 {
        self.device.counters().dropped_for(code)
    }

    fn freshness(&self) -> Freshness {
        self.device.freshness()
    }

    /// The words for how current things were, in the order in which they were told.
    fn told_freshness(&self) -> Vec<&'static str> {
        let state = |event: &Event| match event {
            Event::Freshness { state, .. } => Some(*state),
            _ => None,
        };
        self.events.iter().filter_map(state).collect()
    }

    /// Why a complete release was not installed yet.
    fn waited_for(&self) -> Vec<&'static str> {
        let code = |event: &Event| match event {
            Event::Waiting { code, .. } => Some(*code),
            _ => None,
        };
        self.events.iter().filter_map(code).collect()
    }

    /// Why a release that was being received was given up.
    fn abandoned(&self) -> Vec<(u64, &'static str)> {
        let why = |event: &Event| match event {
            Event::Abandoned { sequence, code, .. } => Some((*sequence, *code)),
            _ => None,
        };
        self.events.iter().filter_map(why).collect()
    }
}
