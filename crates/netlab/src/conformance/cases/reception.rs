//! What every network does to packets, and every shape of a release.

use fleetcast_core::wire::{Object, PageKind};

use crate::conformance::packets::{
    CUT, Cut, Packets, SIZE, cycle, each, image, is_chunk, object, only, release, shaped, source_number, whole,
};
use crate::conformance::{Case, Need, Script, Session, device::Device};
use crate::release::Release;
use crate::sim::{Channel, Losses};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "clean",
        about: "A release, whole and in order; then a newer one.",
        requirements: &["S-5", "T-1", "T-2", "T-3", "T-6", "T-8"],
        needs: &[],
        script: || {
            let (first, second) = (release(1), release(2));
            let script = Script::default().installs(&first, Session::of(&whole(&first)));
            script.installs(&second, Session::of(&whole(&second)))
        },
    },
    Case {
        name: "joined-midway",
        about: "The receiver joins in the middle of a cycle.",
        requirements: &["W-12"],
        needs: &[],
        script: || {
            let release = release(1);
            let packets = cycle(&release);
            let tail = &packets[packets.len() / 2..];
            Script::default().installs(&release, Session::of(tail).then(&packets).then(&packets))
        },
    },
    Case {
        name: "reordered",
        about: "Five cycles, each in an order of its own.",
        requirements: &["W-12"],
        needs: &[],
        script: || {
            let release = release(1);
            let mut random = fastrand::Rng::with_seed(1);
            let mut session = Session::default();
            for _ in 0..5 {
                let mut packets = cycle(&release);
                random.shuffle(&mut packets);
                session = session.then(&packets);
            }
            Script::default().installs(&release, session)
        },
    },
    Case {
        name: "repeated",
        about: "Each packet three times.",
        requirements: &["W-12"],
        needs: &[],
        script: || {
            let release = release(1);
            let packets: Packets = cycle(&release).into_iter().flat_map(|packet| vec![packet; 3]).collect();
            Script::default().installs(&release, Session::of(&packets))
        },
    },
    Case {
        name: "two-senders",
        about: "Two senders, half a cycle apart: one sends every second packet only, the other the rest, all with the count 0.",
        requirements: &["W-5", "W-12"],
        needs: &[],
        script: || {
            let release = shaped(1, SIZE, Cut { repair: 0, ..CUT });
            let packets = cycle(&release);
            let half = packets.len() / 2;
            let mut session = Session::of(&packets[..1]);
            for number in (0..4 * packets.len()).map(|number| number % packets.len()) {
                let other = (number + half) % packets.len();
                session = session.from(0, packets.get(number).filter(|_| number % 2 == 0));
                let mut theirs = packets[other].clone();
                theirs[4..8].fill(0);
                session = session.from(1, Some(&theirs).filter(|_| other % 2 == 1));
            }
            Script::default().installs(&release, session)
        },
    },
    Case {
        name: "lossy",
        about: "Eight cycles of source chunks alone, of which 10 % of the packets are lost.",
        requirements: &["W-12", "G-4"],
        needs: &[],
        script: || {
            let release = shaped(1, 60_000, Cut { repair: 0, ..CUT });
            Script::default().installs(&release, Session::of(&lossy(&release, 8, Channel::Independent(0.1))))
        },
    },
    Case {
        name: "loss-20",
        about: "Three cycles, of which 20 % of the packets are lost in bursts.",
        requirements: &["W-12", "F-4"],
        needs: &[Need::Repair, Need::EarlyChunks],
        script: || {
            let release = release(1);
            Script::default().installs(&release, Session::of(&lossy(&release, 3, Channel::Bursts(0.2))))
        },
    },
    Case {
        name: "loss-40",
        about: "Five cycles, of which 40 % of the packets are lost.",
        requirements: &["W-12", "F-4"],
        needs: &[Need::Repair, Need::EarlyChunks],
        script: || {
            let release = release(1);
            Script::default().installs(&release, Session::of(&lossy(&release, 5, Channel::Independent(0.4))))
        },
    },
    Case {
        name: "repair",
        about: "Every third source chunk never comes.",
        requirements: &["F-1", "F-2", "F-3", "F-4", "G-4"],
        needs: &[Need::Repair],
        script: || {
            let release = release(1);
            let comes = |packet: &[u8]| source_number(&release, packet).is_none_or(|number| number % 3 != 1);
            Script::default().installs(&release, Session::of(&only(&whole(&release), comes)))
        },
    },
    Case {
        name: "repair-alone",
        about: "No source chunk comes, but every repair chunk.",
        requirements: &["F-1", "F-2", "F-3", "F-4", "G-4"],
        needs: &[Need::Repair],
        script: || {
            let release = release(1);
            let comes = |packet: &[u8]| source_number(&release, packet).is_none();
            Script::default().installs(&release, Session::of(&only(&whole(&release), comes)))
        },
    },
    Case {
        name: "blocks",
        about: "Two blocks of chunks of 64 octets; of each of them one chunk never comes.",
        requirements: &["G-3", "G-4", "G-5", "F-3"],
        needs: &[Need::Repair],
        script: || {
            let release = shaped(1, 4100 * 64, Cut { chunk: 64, cell: 64, repair: 1, ..CUT });
            let comes = |packet: &[u8]| !matches!(object(packet), Object::Chunk { esi: 77, .. });
            Script::default().installs(&release, Session::of(&only(&whole(&release), comes)))
        },
    },
    Case {
        name: "parity",
        about: "The pages of two cells never come, but all parity pages.",
        requirements: &["T-4", "T-7"],
        needs: &[Need::Parity],
        script: || parity(SIZE, |cell| cell != 1 && cell != 2),
    },
    Case {
        name: "parity-of-few-cells",
        about: "Of a release of two cells no page comes, but both parity pages.",
        requirements: &["T-4", "T-7"],
        needs: &[Need::Parity],
        script: || parity(12_000, |_| false),
    },
    Case {
        name: "early-chunks",
        about: "One cycle in which each page follows its chunks.",
        requirements: &["T-11"],
        needs: &[Need::EarlyChunks],
        script: || {
            let release = release(1);
            let (chunks, others): (Packets, Packets) = cycle(&release).into_iter().partition(|p| is_chunk(p));
            let session = Session::of(&others[..1]).then(&chunks).then(&others[1..]);
            Script::default().installs(&release, session)
        },
    },
    Case {
        name: "components",
        about: "Two components; one chunk of the second comes only after the restart, and until then neither is installed.",
        requirements: &["I-2", "W-7"],
        needs: &[Need::Components],
        script: || {
            let (one, two) = (image(11, 20_000), image(12, 9_000));
            let cut = Cut { repair: 0, ..CUT };
            let images = vec![("boot", one, cut.of(20_000)), ("slot", two, cut.of(9_000))];
            let release = Release::made(1, images);
            let comes = |packet: &[u8]| !matches!(object(packet), Object::Chunk { component: 1, esi: 3, .. });
            let script = Script::on(Device { targets: vec!["boot", "slot"], ..Device::default() });
            let script = script.keeps(Session::of(&only(&whole(&release), comes)));
            script.installs(&release, Session::of(&whole(&release)))
        },
    },
    Case {
        name: "sizes",
        about: "Images of one octet, of one chunk, and of one octet less and more than two chunks.",
        requirements: &["G-2"],
        needs: &[],
        script: || {
            let sizes = [1, 1024, 2047, 2049];
            (1..).zip(sizes).fold(Script::default(), |script, (sequence, size)| {
                let release = shaped(sequence, size, CUT);
                script.installs(&release, Session::of(&whole(&release)))
            })
        },
    },
    Case {
        name: "shapes",
        about: "Chunks of 64 and 512 octets, cells of 8, 16 and 64, caps of one and several nodes.",
        requirements: &["G-1", "G-6", "T-3", "T-5", "T-6"],
        needs: &[],
        script: || {
            let shapes = [
                Cut { chunk: 64, cell: 64, cap: 1, ..CUT },
                Cut { chunk: 512, cell: 16, repair: 10, cap: 2, ..CUT },
                Cut { chunk: 1024, cell: 64, repair: 7, ..CUT },
            ];
            (1..).zip(shapes).fold(Script::default(), |script, (sequence, cut)| {
                let release = shaped(sequence, 9_999, cut);
                script.installs(&release, Session::of(&whole(&release)))
            })
        },
    },
    Case {
        name: "long-digests",
        about: "Digests of 32 octets.",
        requirements: &["T-2"],
        needs: &[],
        script: || {
            let release = shaped(1, SIZE, Cut { digest: 32, ..CUT });
            Script::default().installs(&release, Session::of(&whole(&release)))
        },
    },
    Case {
        name: "header-says-nothing",
        about: "Packet counts and layers are random, the bits for closing session and object are set.",
        requirements: &["W-2", "W-5", "W-11"],
        needs: &[],
        script: || {
            let release = release(1);
            let random = std::cell::RefCell::new(fastrand::Rng::with_seed(9));
            let packets = each(&whole(&release), |packet| {
                random.borrow_mut().fill(&mut packet[4..8]);
                packet[1] |= random.borrow_mut().u8(..4);
            });
            Script::default().installs(&release, Session::of(&packets))
        },
    },
];

fn lossy(release: &Release, cycles: usize, channel: Channel) -> Packets {
    let mut losses = Losses::new(channel, 3);
    let packets = cycle(release);
    let all = std::iter::repeat_n(packets, cycles).flatten();
    all.filter(|_| !losses.loses()).collect()
}

/// A release without repair chunks, of which only those pages come that are said to, but all parity pages.
fn parity(size: usize, comes: impl Fn(u32) -> bool) -> Script {
    let release = shaped(1, size, Cut { repair: 0, ..CUT });
    let comes = |packet: &[u8]| match object(packet) {
        Object::Page { kind: PageKind::Page, cell, .. } => comes(cell),
        _ => true,
    };
    Script::default().installs(&release, Session::of(&only(&whole(&release), comes)))
}
