//! Manifests that are not signed as they must be, or not written so.

use fleetcast_core::wire::{Object, StatementKind};

use super::refuses;
use crate::authority;
use crate::bogus::Bogus;
use crate::conformance::device::{Anchor, Device};
use crate::conformance::packets::{
    each, is_statement, payload, release, repaid, restated, signed, signed_as, whole, with_signature,
};
use crate::conformance::{Case, Need, Script, Session};
use crate::release::facts;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "other-key",
        about: "A release signed by a key that the device does not trust.",
        requirements: &["S-7"],
        needs: &[],
        script: || refuses(Session::of(&whole(&signed(&["other"], &facts(3))))),
    },
    Case {
        name: "wrong-signature",
        about: "A release with a wrong bit in one half of the signature, and one in the other.",
        requirements: &["S-7"],
        needs: &[],
        script: || {
            let release = release(3);
            let flip = |back: usize| {
                each(&whole(&release), |packet| {
                    if is_statement(packet) {
                        let at = packet.len() - back;
                        packet[at] ^= 1;
                    }
                })
            };
            refuses(Session::of(&flip(1)).pause(2).then(&flip(40)))
        },
    },
    Case {
        name: "others-kid",
        about: "A release signed by a key that is not trusted, under the kid of one that is.",
        requirements: &["S-7"],
        needs: &[],
        script: || {
            let release = release(3);
            let payload = payload(&release);
            let foreign = signed_as(StatementKind::Manifest, &payload, &["other"]);
            let signature = *foreign.last_chunk().unwrap();
            let statement = with_signature(StatementKind::Manifest, &payload, "release", signature);
            refuses(Session::of(&restated(&whole(&release), &statement, &payload)))
        },
    },
    Case {
        name: "signed-as-other-kind",
        about: "A manifest whose signature is by the right key, but over a beacon or root.",
        requirements: &["S-5"],
        needs: &[],
        script: || {
            let release = release(3);
            let payload = payload(&release);
            let [beacon, root] = [StatementKind::Beacon, StatementKind::Root]
                .map(|kind| restated(&whole(&release), &signed_as(kind, &payload, &["release"]), &payload));
            refuses(Session::of(&beacon).pause(2).then(&root))
        },
    },
    Case {
        name: "trailing-octet",
        about: "A release with an octet behind its manifest statement.",
        requirements: &["S-2"],
        needs: &[],
        script: || {
            let packets = each(&whole(&release(3)), |packet| {
                if is_statement(packet) {
                    packet.push(0);
                }
            });
            refuses(Session::of(&packets))
        },
    },
    Case {
        name: "threshold",
        about: "Two keys must have signed: releases signed by one of them, and by the same one twice, are refused.",
        requirements: &["S-7"],
        needs: &[Need::Keys],
        script: || {
            let device = Device { anchor: Anchor::Keys(2, vec!["release", "second"]), ..Device::default() };
            let (one, both) = (release(3), signed(&["release", "second"], &facts(5)));
            let payload = payload(&one);
            let twice = signed_as(StatementKind::Manifest, &payload, &["release", "release"]);
            let twice = restated(&whole(&one), &twice, &payload);
            let script = Script::on(device).keeps(Session::of(&whole(&one)).pause(2).then(&twice));
            script.installs(&both, Session::of(&whole(&both)))
        },
    },
    Case {
        name: "long-integer",
        about: "A genuinely signed manifest with an integer that is not in its shortest form.",
        requirements: &["S-9"],
        needs: &[],
        // The map's head, 00 01, then 01 and the sequence, 3.
        script: || refuses(Session::of(&repaid(3, |payload| drop(payload.splice(4..5, [0x18, 0x03]))))),
    },
    Case {
        name: "unknown-key",
        about: "A genuinely signed manifest with a key that this version does not know.",
        requirements: &["S-9"],
        needs: &[],
        script: || {
            refuses(Session::of(&repaid(3, |payload| {
                payload[0] += 1;
                payload.extend_from_slice(&[0x18, 0x63, 0x00]);
            })))
        },
    },
    Case {
        name: "trailing-item",
        about: "A genuinely signed manifest with a CBOR item behind it.",
        requirements: &["S-9"],
        needs: &[],
        script: || refuses(Session::of(&repaid(3, |payload| payload.push(0)))),
    },
    Case {
        name: "structure-version",
        about: "A genuinely signed manifest of structure version 2.",
        requirements: &["M-1"],
        needs: &[],
        script: || refuses(Session::of(&repaid(3, |payload| payload[2] = 2))),
    },
    Case {
        name: "junk-signatures",
        about: "Before the genuine manifest comes its payload in useless signatures under the right kid, from another source.",
        requirements: &["S-10"],
        needs: &[],
        script: || {
            let release = release(1);
            let mut bogus = bogus(1);
            let junk: Vec<_> = (0..2).map(|_| bogus.next_packet().to_vec()).collect();
            let session = Session::default().from(1, &junk).pause(1).then(&whole(&release));
            Script::default().installs(&release, session)
        },
    },
    Case {
        name: "flood",
        about: "From one source come 20 statements with useless signatures for each packet that comes from another.",
        requirements: &["S-11"],
        needs: &[],
        script: || {
            let release = release(1);
            let mut bogus = bogus(1);
            let mut session = Session::default();
            for packet in whole(&release) {
                let junk: Vec<_> = (0..20).map(|_| bogus.next_packet().to_vec()).collect();
                session = session.from(1, &junk).from(0, [&packet]);
            }
            Script::default().installs(&release, session)
        },
    },
];

/// Useless statements around the manifest of [`release`] of this number.
fn bogus(sequence: u64) -> Bogus {
    let payload = payload(&release(sequence));
    Bogus::around(&payload, Object::MANIFEST, authority::public("release").key_id(), 1)
}
