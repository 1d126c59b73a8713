//! Packets that are not of the release, or not as the specification has them.

use fleetcast_core::wire::HEADER_LEN;

use super::refuses;
use crate::conformance::packets::{
    CUT, Cut, Packets, SIZE, cycle, each, is_chunk, is_statement, misnamed, only, release, shaped, source_number, twice,
};
use crate::conformance::{Case, Need, Script, Session};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "version",
        about: "A release all of whose packets have another LCT version.",
        requirements: &["W-1"],
        needs: &[],
        script: || deviating(|_| true, |packet| packet[0] = 0x20),
    },
    Case {
        name: "flags",
        about: "A release all of whose packets have a reserved flag set.",
        requirements: &["W-2"],
        needs: &[],
        script: || deviating(|_| true, |packet| packet[1] |= 0x08),
    },
    Case {
        name: "header-length",
        about: "A release all of whose packets claim a header extension.",
        requirements: &["W-3"],
        needs: &[],
        script: || deviating(|_| true, |packet| packet[2] = 5),
    },
    Case {
        name: "codepoint",
        about: "A release all of whose chunks come under an unknown codepoint.",
        requirements: &["W-4"],
        needs: &[],
        script: || deviating(is_chunk, |packet| packet[3] = 7),
    },
    Case {
        name: "toi",
        about: "A release all of whose chunks come under the TOI of pages.",
        requirements: &["W-7"],
        needs: &[],
        script: || deviating(is_chunk, |packet| packet[15] = 2),
    },
    Case {
        name: "long-chunks",
        about: "A release each of whose chunks has an octet too many.",
        requirements: &["W-10"],
        needs: &[],
        script: || deviating(is_chunk, |packet| packet.push(0)),
    },
    Case {
        name: "long-pages",
        about: "A release each of whose pages and parity pages has an octet too many.",
        requirements: &["W-10"],
        needs: &[],
        script: || deviating(|packet| !is_chunk(packet) && !is_statement(packet), |packet| packet.push(0)),
    },
    Case {
        name: "wrong-pages",
        about: "Before each genuine page and parity page there is one with a wrong bit, and there is one cycle only.",
        requirements: &["T-8"],
        needs: &[],
        script: || preceded(|packet| !is_chunk(packet) && !is_statement(packet)),
    },
    Case {
        name: "wrong-chunks",
        about: "Before each genuine chunk there is one with a wrong bit, and there is one cycle only.",
        requirements: &["T-9", "T-10"],
        needs: &[],
        script: || preceded(is_chunk),
    },
    Case {
        name: "other-image",
        about: "A genuinely signed release all of whose pages and chunks verify, but whose manifest names the SHA-256 of another image.",
        requirements: &["I-1"],
        needs: &[],
        script: || refuses(Session::of(&twice(&misnamed(3)))),
    },
    Case {
        name: "wrong-repair",
        about: "Source chunks are missing; before each genuine repair chunk there is one with a wrong bit.",
        requirements: &["T-9", "T-10"],
        needs: &[Need::Repair],
        script: || {
            let release = release(1);
            let comes = |packet: &[u8]| source_number(&release, packet).is_none_or(|number| number % 2 == 1);
            let mut session = Session::default();
            for packet in only(&cycle(&release), comes) {
                let mut forged = packet.clone();
                *forged.last_mut().unwrap() ^= 1;
                session = session.from(1, Some(&forged).filter(|_| is_chunk(&packet))).from(0, [&packet]);
            }
            Script::default().installs(&release, session)
        },
    },
    Case {
        name: "other-chunks",
        about: "Before each genuine chunk there are one of another release under this one's TSI, and its neighbour's under its number.",
        requirements: &["T-9", "T-10"],
        needs: &[],
        script: || {
            let cut = Cut { repair: 0, ..CUT };
            let (release, other) = (shaped(2, SIZE, cut), shaped(1, SIZE, cut));
            let (packets, others) = (cycle(&release), cycle(&other));
            let mut session = Session::default();
            for number in 0..packets.len() {
                let packet = &packets[number];
                let under_its_head = |payload: &Vec<u8>| [&packet[..HEADER_LEN], &payload[HEADER_LEN..]].concat();
                let forged: Packets =
                    [&others[number], &packets[(number + 1) % packets.len()]].map(under_its_head).into();
                session = session.from(1, forged.iter().filter(|_| is_chunk(packet))).from(0, [packet]);
            }
            Script::default().installs(&release, session)
        },
    },
    Case {
        name: "noise",
        about: "Each genuine packet comes once, among cut ones, such with a wrong bit, and noise, empty datagrams among it.",
        requirements: &["W-9", "W-12", "T-8", "T-9"],
        needs: &[],
        script: || {
            let release = shaped(1, SIZE, Cut { repair: 0, ..CUT });
            let mut random = fastrand::Rng::with_seed(4);
            let mut session = Session::default();
            for packet in cycle(&release) {
                let mut noise = vec![0; random.usize(..1200)];
                random.fill(&mut noise);
                let cut = packet[..random.usize(1..packet.len())].to_vec();
                let mut wrong = packet.clone();
                // Statements are not forged here: a receiver verifies few of them a second.
                let from = if is_statement(&packet) { 0 } else { HEADER_LEN };
                let until = if is_statement(&packet) { 4 } else { packet.len() };
                wrong[random.usize(from..until)] ^= 1 << random.u8(2..8);
                session = session.from(1, [&noise, &cut]).from(2, [&wrong]).from(0, [&packet]);
            }
            Script::default().installs(&release, session)
        },
    },
    Case {
        name: "waiting-flood",
        about: "600 chunks of cells whose page has not come, all of them forged and of one source; then one genuine cycle, each page behind its chunks.",
        requirements: &["T-11"],
        needs: &[Need::EarlyChunks],
        script: || {
            let release = shaped(1, SIZE, Cut { repair: 0, ..CUT });
            let (chunks, others): (Packets, Packets) = cycle(&release).into_iter().partition(|p| is_chunk(p));
            let mut session = Session::of(&others[..1]);
            let mut random = fastrand::Rng::with_seed(6);
            for number in 0..600 {
                let mut forged = chunks[number % chunks.len()].clone();
                random.fill(&mut forged[HEADER_LEN..]);
                session = session.from(1, [&forged]);
            }
            Script::default().installs(&release, session.then(&chunks).then(&others[1..]))
        },
    },
];

/// A release that must not be installed, for of all its packets those that are chosen deviate so.
fn deviating(is_chosen: fn(&[u8]) -> bool, deviate: fn(&mut Vec<u8>)) -> Script {
    let packets = each(&cycle(&release(3)), |packet| {
        if is_chosen(packet) {
            deviate(packet);
        }
    });
    refuses(Session::of(&twice(&packets)))
}

/// One cycle of source chunks; before those packets that are chosen there is one from elsewhere, with a wrong bit.
fn preceded(is_chosen: fn(&[u8]) -> bool) -> Script {
    let release = shaped(1, SIZE, Cut { repair: 0, ..CUT });
    let mut session = Session::default();
    for packet in cycle(&release) {
        let mut forged = packet.clone();
        forged[HEADER_LEN] ^= 1;
        session = session.from(1, Some(&forged).filter(|_| is_chosen(&packet))).from(0, [&packet]);
    }
    Script::default().installs(&release, session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_deviation_it_would_be_installed() {
        let script = deviating(|_| true, |_| ());
        let genuine = twice(&cycle(&release(3)));
        let played: Vec<_> = script.sessions[1].0.sent.iter().map(|sent| sent.datagram.clone()).collect();
        assert_eq!(played, genuine);
    }
}
