//! Beacons: which releases are current, and until when that is known.

use fleetcast_core::beacon::{Beacon, Current};
use fleetcast_core::manifest::Uuid;
use fleetcast_core::wire::StatementKind;
use sha2::{Digest as _, Sha256};

use crate::authority::{root, signed_root};
use crate::conformance::device::{Anchor, Device};
use crate::conformance::packets::{CUT, SIZE, beacon_packet, image, payload, signed, statement_packet, whole};
use crate::conformance::pcap::START;
use crate::conformance::{Case, Need, Script, Session};
use crate::release::{CLASS, Facts, Release, VENDOR, facts};

/// Seconds that a device waits for a later beacon, and some more \[B-7\].
const WAIT: u64 = 11;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "beacon",
        about: "A complete release waits until a beacon has come, and ten seconds more.",
        requirements: &["B-8"],
        needs: &[Need::Beacons],
        script: || {
            let release = genuine(3);
            let script = device().keeps(Session::of(&whole(&release)));
            script.installs(&release, heard(&current(0, &[&release])).then(&whole(&release)))
        },
    },
    Case {
        name: "superseded",
        about: "A beacon names release 5 as the current one; release 3 comes whole, and then 5.",
        requirements: &["B-4"],
        needs: &[Need::Beacons],
        script: || {
            let (old, new) = (genuine(3), genuine(5));
            let beacon = current(0, &[&new]);
            let script = device().keeps(heard(&beacon).then(&whole(&old)));
            script.installs(&new, heard(&beacon).then(&whole(&new)))
        },
    },
    Case {
        name: "above-the-beacon",
        about: "A release above the one that the beacon names is taken.",
        requirements: &["B-4"],
        needs: &[Need::Beacons],
        script: || {
            let (named, newer) = (genuine(5), genuine(6));
            device().installs(&newer, heard(&current(0, &[&named])).then(&whole(&newer)))
        },
    },
    Case {
        name: "other-digest",
        about: "A release of the sequence that a beacon names, but not the one that it names.",
        requirements: &["B-4"],
        needs: &[Need::Beacons],
        script: || {
            let named = genuine(5);
            let images = vec![("slot", image(55, SIZE), CUT.of(SIZE))];
            let other = Release::signed_by(&["release-1"], &facts(5), images);
            let beacon = current(0, &[&named]);
            let script = device().keeps(heard(&beacon).then(&whole(&other)));
            script.installs(&named, heard(&beacon).then(&whole(&named)))
        },
    },
    Case {
        name: "beacon-security-version",
        about: "A beacon asks for security version 4: a newer release of version 3 is refused.",
        requirements: &["B-4"],
        needs: &[Need::Beacons],
        script: || {
            let secure =
                |sequence, security_version| signed(&["release-1"], &Facts { security_version, ..facts(sequence) });
            let (named, low, high) = (secure(5, 4), secure(6, 3), secure(7, 4));
            let mut beacon = current(0, &[&named]);
            beacon.current[0].security_version = 4;
            let script = device().keeps(heard(&beacon).then(&whole(&low)));
            script.installs(&high, heard(&beacon).then(&whole(&high)))
        },
    },
    Case {
        name: "older-beacon",
        about: "After a beacon that names release 5 an older one comes that names 3, and release 3, after the next start too.",
        requirements: &["B-3", "B-9"],
        needs: &[Need::Beacons],
        script: || {
            let (old, new) = (genuine(3), genuine(5));
            let (older, newer) = (current(0, &[&old]), current(5, &[&new]));
            let replay = heard(&older).then(&whole(&old));
            let first = heard(&newer).then(&[packet(&older)]).then(&whole(&old));
            let script = device().keeps(first).keeps(replay);
            script.installs(&new, heard(&newer).then(&whole(&new)))
        },
    },
    Case {
        name: "beacon-of-release-key",
        about: "A beacon that the release key has signed, and one of another vendor, let nothing in.",
        requirements: &["K-5"],
        needs: &[Need::Beacons],
        script: || {
            let release = genuine(3);
            let beacon = current(0, &[&release]);
            let foreign = Beacon { vendor: Uuid([7; 16]), ..beacon.clone() };
            let session = Session::of(&[beacon_packet(&beacon, &["release-1"]), packet(&foreign)]);
            let script = device().keeps(session.pause(WAIT).then(&whole(&release)));
            script.installs(&release, heard(&beacon).then(&whole(&release)))
        },
    },
    Case {
        name: "behind",
        about: "The beacon names root 2: nothing is installed until it has come.",
        requirements: &["B-7", "B-8"],
        needs: &[Need::Beacons],
        script: || {
            let release = signed(&["release-1", "release-2"], &facts(3));
            let beacon = Beacon { root: 2, ..current(0, &[&release]) };
            let second = root(2, &["root-2"], &["release-2"], &["beacon"]);
            let statement = signed_root(&second, &["root-1", "root-2"]);
            let second = statement_packet(StatementKind::Root, 2, &statement);
            let script = device().keeps(heard(&beacon).then(&whole(&release)));
            script
                .installs(&release, Session::of(&[second]).then(&[packet(&beacon)]).pause(WAIT).then(&whole(&release)))
        },
    },
    Case {
        name: "stale",
        about: "An hour after what a beacon says has run out, a release is complete; it waits for a later beacon.",
        requirements: &["B-6", "B-7", "B-8", "B-10"],
        needs: &[Need::Beacons, Need::Leaps],
        script: || {
            let release = genuine(3);
            let (first, later) = (current(0, &[&release]), current(7200, &[&release]));
            let waiting = heard(&first).pause(7200).then(&whole(&release));
            let session = heard(&later).then(&whole(&release));
            device().keeps(waiting).installs(&release, session)
        },
    },
];

/// A device made with a root that has a beacon role.
fn device() -> Script {
    let root = root(1, &["root-1"], &["release-1"], &["beacon"]);
    Script::on(Device { anchor: Anchor::Root(signed_root(&root, &["root-1"])), ..Device::default() })
}

fn genuine(sequence: u64) -> Release {
    signed(&["release-1"], &facts(sequence))
}

/// A beacon by which these releases are current for an hour, issued so many seconds after the start of the case.
fn current(after: u64, releases: &[&Release]) -> Beacon {
    let entry = |release: &&Release| Current {
        class: CLASS,
        sequence: release.manifest().sequence,
        digest: Sha256::digest(payload(release)).into(),
        security_version: 0,
    };
    let issued = START + after;
    let current = releases.iter().map(entry).collect();
    Beacon { vendor: VENDOR, issued, until: issued + 3600, root: 1, current }
}

fn packet(beacon: &Beacon) -> Vec<u8> {
    beacon_packet(beacon, &["beacon"])
}

/// The beacon, and the time after which a device goes by it.
fn heard(beacon: &Beacon) -> Session {
    Session::of(&[packet(beacon)]).pause(WAIT)
}
