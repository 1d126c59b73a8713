//! Sessions that are cut off, and several releases at once.

use fleetcast_core::wire::HEADER_LEN;

use crate::conformance::packets::{
    CUT, Cut, Packets, SIZE, cycle, is_chunk, only, release, shaped, signed, source_number, stated, whole,
};
use crate::conformance::{Case, Need, Script, Session};
use crate::release::{Facts, Release, facts};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "restarted",
        about: "The receiver ends in the middle of a release, and starts again for the whole of it.",
        requirements: &["M-7"],
        needs: &[],
        script: || {
            let release = release(1);
            let script = Script::default().keeps(Session::of(&source_half(&release, 0)));
            script.installs(&release, Session::of(&whole(&release)))
        },
    },
    Case {
        name: "resumed",
        about: "One half of the chunks comes, and after the next start the other.",
        requirements: &["W-12"],
        needs: &[Need::Resume],
        script: || resumed([0, 1]),
    },
    Case {
        name: "resumed-swapped",
        about: "The same, the second half first.",
        requirements: &["W-12"],
        needs: &[Need::Resume],
        script: || resumed([1, 0]),
    },
    Case {
        name: "lower-after-restart",
        about: "After a chunk of release 9 and a start, release 8 comes whole; then the rest of release 9.",
        requirements: &["M-7"],
        needs: &[],
        script: || {
            let (nine, eight) = (release(9), release(8));
            let script = Script::default().keeps(Session::of(&source_half(&nine, 0)));
            script.keeps(Session::of(&whole(&eight))).installs(&nine, Session::of(&whole(&nine)))
        },
    },
    Case {
        name: "same-sequence-midway",
        about: "After a chunk of release 9, another release of sequence 9 comes whole.",
        requirements: &["M-5"],
        needs: &[],
        script: || {
            let (nine, other) = (release(9), shaped(9, 20_000, CUT));
            let first = Session::of(&source_half(&nine, 0)).then(&whole(&other));
            let script = Script::default().keeps(first).keeps(Session::of(&whole(&other)));
            script.installs(&nine, Session::of(&whole(&nine)))
        },
    },
    Case {
        name: "floors-of-half-a-release",
        about: "Half of a release of security version 9 comes, and then a newer one of security version 1, for devices that run what this one does.",
        requirements: &["I-4"],
        needs: &[Need::Installed],
        script: || {
            let first = release(1);
            let half = stated(&Facts { security_version: 9, ..facts(5) });
            let next = stated(&Facts { from: Some((1, 1)), ..facts(6) });
            let script = Script::default().installs(&first, Session::of(&whole(&first)));
            script.keeps(Session::of(&source_half(&half, 0))).installs(&next, Session::of(&whole(&next)))
        },
    },
    Case {
        name: "newer-takes-over",
        about: "In the middle of a release a newer one is sent in its place.",
        requirements: &["M-6"],
        needs: &[],
        script: || {
            let (old, new) = (release(2), release(3));
            let session = Session::of(&source_half(&old, 0)).then(&whole(&new));
            Script::default().installs(&new, session)
        },
    },
    Case {
        name: "newer-without-data",
        about: "In the middle of a release come manifest and pages of a newer one, but no chunk; then the rest of the first.",
        requirements: &["M-6"],
        needs: &[],
        script: || {
            let (old, new) = (bare(2), bare(3));
            let session = Session::of(&source_half(&old, 0)).then(&only(&whole(&new), |packet| !is_chunk(packet)));
            Script::default().installs(&old, session.then(&source_half(&old, 1)))
        },
    },
    Case {
        name: "newer-with-forged-data",
        about: "The same, with forged chunks of the newer release.",
        requirements: &["M-6", "T-10"],
        needs: &[],
        script: || {
            let (old, new) = (bare(2), bare(3));
            let mut forged = whole(&new);
            for packet in forged.iter_mut().filter(|packet| is_chunk(packet)) {
                packet[HEADER_LEN] ^= 1;
            }
            let session = Session::of(&source_half(&old, 0)).from(1, &forged);
            Script::default().installs(&old, session.then(&source_half(&old, 1)))
        },
    },
    Case {
        name: "seven-without-data",
        about: "Before a release come manifests of seven higher ones, of which nothing else ever comes.",
        requirements: &["M-6"],
        needs: &[],
        script: || {
            let session = (11..=17).fold(Session::default(), |session, sequence| {
                // Each from where there are signatures left to be verified.
                session.from(u8::try_from(sequence - 10).unwrap(), &cycle(&release(sequence))[..1])
            });
            let release = bare(10);
            Script::default().installs(&release, session.pause(2).then(&whole(&release)))
        },
    },
    Case {
        name: "other-key-high",
        about: "A release of a key that is not trusted, of a high sequence, comes whole; it leaves nothing behind that keeps out a lower one.",
        requirements: &["M-7"],
        needs: &[],
        script: || {
            let (thief, genuine) = (signed(&["other"], &facts(99)), release(2));
            Script::default().installs(&genuine, Session::of(&whole(&thief)).then(&whole(&genuine)))
        },
    },
];

/// Without repair chunks.
fn bare(sequence: u64) -> Release {
    shaped(sequence, SIZE, Cut { repair: 0, ..CUT })
}

/// One cycle of all that is no chunk, and of the lower or upper half of the source chunks.
fn source_half(release: &Release, half: u32) -> Packets {
    let count = release.manifest().components[0].geometry.source_chunks().div_ceil(2);
    only(&cycle(release), |packet| {
        !is_chunk(packet) || source_number(release, packet).is_some_and(|number| number / count == half)
    })
}

fn resumed([first, second]: [u32; 2]) -> Script {
    let release = bare(1);
    let script = Script::default().keeps(Session::of(&source_half(&release, first)));
    script.installs(&release, Session::of(&source_half(&release, second)))
}
