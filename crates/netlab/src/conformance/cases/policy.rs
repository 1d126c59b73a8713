//! Genuine releases that are not for this device.

use fleetcast_core::manifest::{Share, Uuid};

use super::refuses;
use crate::conformance::device::Device;
use crate::conformance::packets::{CUT, Cut, image, release, shaped, stated, whole};
use crate::conformance::{Case, Need, Script, Session};
use crate::release::{CLASS, Facts, Release, facts};

/// A vendor or class that the device is not of.
const OTHER: Uuid = Uuid([7; 16]);

pub(super) const CASES: &[Case] = &[
    Case {
        name: "other-class",
        about: "A release for another class of devices, and one for this one among others.",
        requirements: &["M-4"],
        needs: &[],
        script: || {
            let [other, among] =
                [(3, vec![OTHER]), (6, vec![OTHER, CLASS])].map(|(n, classes)| stated(&Facts { classes, ..facts(n) }));
            refuses(Session::of(&whole(&other))).installs(&among, Session::of(&whole(&among)))
        },
    },
    Case {
        name: "other-vendor",
        about: "A release of another vendor.",
        requirements: &["M-4"],
        needs: &[],
        script: || refuses(Session::of(&whole(&stated(&Facts { vendor: OTHER, ..facts(3) })))),
    },
    Case {
        name: "other-target",
        about: "A release for a target that the device does not have.",
        requirements: &["M-4"],
        needs: &[],
        script: || {
            let release = Release::made(3, vec![("kernel", image(3, 5000), CUT.of(5000))]);
            refuses(Session::of(&whole(&release)))
        },
    },
    Case {
        name: "too-large",
        about: "A release whose image is larger than its target takes.",
        requirements: &["M-4"],
        needs: &[],
        script: || {
            let most = usize::try_from(Device::default().max_size).unwrap();
            let cut = Cut { repair: 0, cell: 64, ..CUT };
            let [large, right] = [(3, most + 1), (5, most)].map(|(sequence, size)| shaped(sequence, size, cut));
            let script = Script::default().keeps(Session::of(&whole(&large)));
            script.installs(&right, Session::of(&whole(&right)))
        },
    },
    Case {
        name: "hardware",
        about: "Releases for other hardware revisions, then one for this one.",
        requirements: &["M-4"],
        needs: &[Need::Hardware],
        script: || {
            let [low, high, right] = [(3, (0, 6)), (4, (8, 9)), (5, (7, 7))]
                .map(|(n, range)| stated(&Facts { hardware: Some(range), ..facts(n) }));
            let script = Script::on(Device { hardware: Some(7), ..Device::default() });
            let script = script.keeps(Session::of(&whole(&low)).pause(1).then(&whole(&high)));
            script.installs(&right, Session::of(&whole(&right)))
        },
    },
    Case {
        name: "hardware-unknown",
        about: "A release for some hardware revisions, to a device that does not know its own.",
        requirements: &["M-9"],
        needs: &[],
        script: || refuses(Session::of(&whole(&stated(&Facts { hardware: Some((0, u64::MAX >> 1)), ..facts(3) })))),
    },
    Case {
        name: "not-yet",
        about: "A release that nobody may install before the year 19391, then one that everybody may since 2001.",
        requirements: &["M-10"],
        needs: &[Need::Time],
        script: || {
            let [later, since] = [(3, 1 << 39), (5, 1_000_000_000)]
                .map(|(n, time)| stated(&Facts { waves: vec![Share { share: 1000, time }], ..facts(n) }));
            let script = Script::default().keeps(Session::of(&whole(&later)));
            script.installs(&since, Session::of(&whole(&since)))
        },
    },
    Case {
        name: "from",
        about: "Releases for devices that run other sequences, then one for those that run this one.",
        requirements: &["M-4"],
        needs: &[Need::Installed],
        script: || {
            let first = release(2);
            let [low, high, right] = [(3, (0, 1)), (4, (3, 9)), (5, (2, 2))]
                .map(|(n, range)| stated(&Facts { from: Some(range), ..facts(n) }));
            let script = Script::default().installs(&first, Session::of(&whole(&first)));
            let script = script.keeps(Session::of(&whole(&low)).pause(1).then(&whole(&high)));
            script.installs(&right, Session::of(&whole(&right)))
        },
    },
    Case {
        name: "from-nothing",
        about: "To a device that has installed nothing, a release for those that run sequence 1 or later, then one for those that run 0.",
        requirements: &["M-4"],
        needs: &[],
        script: || {
            let [later, right] =
                [(3, (1, 9)), (5, (0, 0))].map(|(n, range)| stated(&Facts { from: Some(range), ..facts(n) }));
            let script = Script::default().keeps(Session::of(&whole(&later)));
            script.installs(&right, Session::of(&whole(&right)))
        },
    },
    Case {
        name: "security-version",
        about: "A newer release of a lower security version than the installed one.",
        requirements: &["M-4", "I-4"],
        needs: &[Need::Installed],
        script: || {
            let [first, lower, same] =
                [(1, 4), (3, 3), (5, 4)].map(|(n, security_version)| stated(&Facts { security_version, ..facts(n) }));
            let script = Script::default().installs(&first, Session::of(&whole(&first)));
            script.keeps(Session::of(&whole(&lower))).installs(&same, Session::of(&whole(&same)))
        },
    },
    Case {
        name: "far-jump",
        about: "A release more than 2^32 above the installed one, then one as far as is allowed.",
        requirements: &["M-4"],
        needs: &[Need::Installed],
        script: || {
            let [first, far, right] = [1, (1 << 32) + 2, (1 << 32) + 1].map(release);
            let script = Script::default().installs(&first, Session::of(&whole(&first)));
            script.keeps(Session::of(&whole(&far))).installs(&right, Session::of(&whole(&right)))
        },
    },
    Case {
        name: "older",
        about: "After an install an older release comes whole, also after the next start.",
        requirements: &["M-4"],
        needs: &[],
        script: || {
            let (new, old, next) = (release(5), release(3), release(6));
            let script = Script::default().installs(&new, Session::of(&whole(&new)).then(&whole(&old)));
            script.keeps(Session::of(&whole(&old))).installs(&next, Session::of(&whole(&next)))
        },
    },
    Case {
        name: "same-sequence",
        about: "After an install another release of the same sequence comes whole.",
        requirements: &["M-4", "M-5"],
        needs: &[],
        script: || {
            let (first, other, next) = (release(5), shaped(5, 20_000, CUT), release(6));
            let script = Script::default().installs(&first, Session::of(&whole(&first)).then(&whole(&other)));
            script.keeps(Session::of(&whole(&other))).installs(&next, Session::of(&whole(&next)))
        },
    },
];
