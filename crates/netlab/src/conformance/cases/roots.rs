//! Trust roots: keys that are replaced, and who may sign what.

use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_core::trust::{Grant, Root};
use fleetcast_core::wire::StatementKind;

use crate::authority::{role, root, signed_root};
use crate::conformance::device::{Anchor, Device};
use crate::conformance::packets::{release, signed, statement_packet, whole};
use crate::conformance::{Case, Need, Script, Session};
use crate::release::facts;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "rotated-keys",
        about: "The carousel carries roots 2 and 3; a release is signed by the key of root 3.",
        requirements: &["K-6", "K-7", "W-8"],
        needs: &[Need::Roots],
        script: || {
            let release = signed(&["release-3"], &facts(1));
            let session = Session::of(&[step(2), step(3)]).then(&whole(&release));
            made_with_first().installs(&release, session)
        },
    },
    Case {
        name: "roots-in-any-order",
        about: "Roots 4, 3 and 2 come in this order, again and again.",
        requirements: &["K-7"],
        needs: &[Need::Roots],
        script: || {
            let release = signed(&["release-4"], &facts(1));
            let roots = [step(4), step(3), step(2)];
            let session = Session::of(&roots).pause(2).then(&roots).pause(2).then(&roots).then(&whole(&release));
            made_with_first().installs(&release, session)
        },
    },
    Case {
        name: "revoked-key",
        about: "After root 2 a release signed by the key of root 1 is refused, also after the next start.",
        requirements: &["K-7"],
        needs: &[Need::Roots],
        script: || {
            let (thief, genuine) = (signed(&["release-1"], &facts(9)), signed(&["release-2"], &facts(2)));
            let script = made_with_first().keeps(Session::of(&[step(2)]).then(&whole(&thief)));
            script.keeps(Session::of(&whole(&thief))).installs(&genuine, Session::of(&whole(&genuine)))
        },
    },
    Case {
        name: "revoked-midway",
        about: "Root 2 comes in the middle of a release that only the key of root 1 has signed.",
        requirements: &["K-7"],
        needs: &[Need::Roots],
        script: || {
            let (old, genuine) = (signed(&["release-1"], &facts(9)), signed(&["release-2"], &facts(10)));
            let packets = whole(&old);
            let session = Session::of(&packets[..20]).then(&[step(2)]).then(&packets);
            made_with_first().keeps(session).installs(&genuine, Session::of(&whole(&genuine)))
        },
    },
    Case {
        name: "root-of-old-keys-only",
        about: "A root 2 that only the keys of root 1 have signed is not taken.",
        requirements: &["K-6"],
        needs: &[Need::Roots],
        script: || refuses_root(&numbered(2), &["root-1"]),
    },
    Case {
        name: "root-of-new-keys-only",
        about: "A root 2 that only its own keys have signed is not taken.",
        requirements: &["K-6"],
        needs: &[Need::Roots],
        script: || refuses_root(&numbered(2), &["root-2"]),
    },
    Case {
        name: "root-too-high",
        about: "A root 3, signed by the keys of root 1 and by its own, is not taken after root 1.",
        requirements: &["K-6"],
        needs: &[Need::Roots],
        script: || {
            let skipping = Root { version: 3, ..numbered(2) };
            refuses_root(&skipping, &["root-1", "root-2"])
        },
    },
    Case {
        name: "root-of-other-vendor",
        about: "A root 2 of another vendor is not taken.",
        requirements: &["K-6"],
        needs: &[Need::Roots],
        script: || refuses_root(&Root { vendor: Uuid([7; 16]), ..numbered(2) }, &["root-1", "root-2"]),
    },
    Case {
        name: "junk-around-root",
        about: "Before the genuine root its payload comes in useless signatures, from another source.",
        requirements: &["S-10"],
        needs: &[Need::Roots],
        script: || {
            let release = signed(&["release-2"], &facts(1));
            let (genuine, mut junk) = (step(2), step(2));
            // In the last signature.
            *junk.last_mut().unwrap() ^= 1;
            let session = Session::default().from(1, &[junk]).pause(1).then(&[genuine]).then(&whole(&release));
            made_with_first().installs(&release, session)
        },
    },
    Case {
        name: "bare-keys-to-root",
        about: "A device with a bare key takes root 1, signed by it; from then on the bare key counts for nothing.",
        requirements: &["K-8"],
        needs: &[Need::Roots],
        script: || {
            let (bare, genuine) = (release(3), signed(&["release-1"], &facts(2)));
            let first = packet(&numbered(1), &["release", "root-1"]);
            let script = Script::default().keeps(Session::of(&[first]).then(&whole(&bare)));
            script.installs(&genuine, Session::of(&whole(&genuine)))
        },
    },
    Case {
        name: "first-root-of-other-vendor",
        about: "A device with a bare key leaves a root 1 of another vendor, also signed by it.",
        requirements: &["K-8"],
        needs: &[Need::Roots],
        script: || {
            let release = release(3);
            let foreign = Root { vendor: Uuid([7; 16]), ..numbered(1) };
            let session = Session::of(&[packet(&foreign, &["release", "root-1"])]).then(&whole(&release));
            Script::default().installs(&release, session)
        },
    },
    Case {
        name: "two-roles",
        about: "Author and operator must both have signed: releases of one of them are refused.",
        requirements: &["K-3"],
        needs: &[Need::Roots],
        script: || {
            let grant = Grant { operator: Some(role(1, &["operator"])), ..Grant::everything(role(1, &["release-1"])) };
            let script = made_with(&Root { grants: vec![grant], ..numbered(1) });
            let [author, operator] =
                [("release-1", 3), ("operator", 4)].map(|(key, n)| whole(&signed(&[key], &facts(n))));
            let both = signed(&["release-1", "operator"], &facts(5));
            let script = script.keeps(Session::of(&author).pause(1).then(&operator));
            script.installs(&both, Session::of(&whole(&both)))
        },
    },
    Case {
        name: "scope",
        about: "Keys that may sign only for another class or target sign a release; then one that may for these.",
        requirements: &["K-4"],
        needs: &[Need::Roots],
        script: || {
            let everything = |key| Grant::everything(role(1, &[key]));
            let class = Grant { classes: Some(vec![Uuid([7; 16])]), ..everything("for-class") };
            let target = Grant { targets: Some(vec![Token::new("kernel").unwrap()]), ..everything("for-target") };
            let right = Grant { targets: Some(vec![Token::new("slot").unwrap()]), ..everything("release-1") };
            let script = made_with(&Root { grants: vec![class, target, right], ..numbered(1) });
            let [class, target] =
                [("for-class", 3), ("for-target", 4)].map(|(key, n)| whole(&signed(&[key], &facts(n))));
            let right = signed(&["release-1"], &facts(5));
            let script = script.keeps(Session::of(&class).pause(1).then(&target));
            script.installs(&right, Session::of(&whole(&right)))
        },
    },
    Case {
        name: "floors-made-void",
        about: "A thief's release with a very high sequence is installed; after a root without the stolen key a genuine, lower one is taken.",
        requirements: &["K-9"],
        needs: &[Need::Roots],
        script: || {
            let (thief, genuine) = (signed(&["release-1"], &facts(1 << 50)), signed(&["release-2"], &facts(2)));
            let script = made_with_first().installs(&thief, Session::of(&whole(&thief)));
            script.installs(&genuine, Session::of(&[step(2)]).then(&whole(&genuine)))
        },
    },
];

/// Root of this version: `root-VERSION` signs roots, `release-VERSION` releases.
fn numbered(version: u16) -> Root {
    let [roots, releases] = ["root", "release"].map(|role| format!("{role}-{version}"));
    root(version, &[&roots], &[&releases], &[])
}

fn packet(root: &Root, names: &[&str]) -> Vec<u8> {
    statement_packet(StatementKind::Root, root.version, &signed_root(root, names))
}

/// The packet with the root of this version, signed as it must be after the one before.
fn step(version: u16) -> Vec<u8> {
    let [before, own] = [version - 1, version].map(|version| format!("root-{version}"));
    packet(&numbered(version), &[&before, &own])
}

fn made_with(root: &Root) -> Script {
    Script::on(Device { anchor: Anchor::Root(signed_root(root, &["root-1"])), ..Device::default() })
}

fn made_with_first() -> Script {
    made_with(&numbered(1))
}

/// A root that must not be taken: a release of its key is refused, one of the key of root 1 is not.
fn refuses_root(root: &Root, names: &[&str]) -> Script {
    let (wrong, genuine) = (signed(&["release-2"], &facts(3)), signed(&["release-1"], &facts(2)));
    let script = made_with_first().keeps(Session::of(&[packet(root, names)]).then(&whole(&wrong)));
    script.installs(&genuine, Session::of(&whole(&genuine)))
}
