//! The receiver on an emulated board: the datagrams of the file `session` in, what became of them out, and the image in the file `image` once it is complete.
//!
//! A record of the file is the time in milliseconds (32 bits), the address of the sender (32 bits), the number of octets (16 bits) and the datagram. In a
//! record without a datagram the second field says which write or erasure from there on is the last, and stops halfway: power fails; 0 stands for at once. All that the program prints is `key value` in lines; the last one is `PASS` or `FAIL`.
#![no_std]
#![no_main]

extern crate alloc;

mod board;

use core::fmt::Write as _;

use alloc::vec;

use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_core::session::{Policy, Target, Wave};
use fleetcast_core::trust::{PublicKey, Trust, TrustedKeys};
use fleetcast_mcu::{Config, Layout, Outcome, Receiver, Region};
use semihosting::process::ExitCode;
use sha2::{Digest as _, Sha256};

use board::{Nor, Record, Session, Tally, discharge, memory};

/// The key of releases. A product has its own, and not this one: everyone has its private half.
const UNSAFE_TEST_KEY: [u8; 32] = [
    0x21, 0xe1, 0xe5, 0x45, 0x9f, 0x29, 0x88, 0xa3, 0x3b, 0xb3, 0x52, 0x6b, 0xeb, 0x95, 0x4a, 0xb0, 0xe5, 0xce, 0x33,
    0xa7, 0xf7, 0xe2, 0xfe, 0x1c, 0x86, 0x97, 0x3f, 0x32, 0xec, 0x42, 0xcd, 0xf5,
];
const VENDOR: Uuid = Uuid(*b"\xbc\xc1\x69\x65\x6f\x3a\x53\x38\x9d\x83\xd8\xb5\x65\xc6\x3b\xc7");
const CLASS: Uuid = Uuid(*b"\xbe\xeb\x81\x2d\xff\x36\x5b\x67\x83\x7e\xf9\x54\xc8\x59\xed\x52");

/// Octets of the largest datagram.
const MAX_PACKET: usize = 1232;

/// A slot of 512 KiB, pages for that, and the record.
const LAYOUT: Layout =
    Layout { record: 0, pages: Region { start: 0x2000, len: 0x8000 }, slot: Region { start: 0xA000, len: 0x8_0000 } };

#[cortex_m_rt::entry]
fn main() -> ! {
    memory::start();
    let is_right = play().is_some();
    let mut out = board::stdout();
    let _ = memory::report(&mut out);
    let _ = writeln!(out, "{}", if is_right { "PASS" } else { "FAIL" });
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }.exit_process()
}

/// Plays the session to its end; `None` unless a release is complete then, and has read back.
fn play() -> Option<()> {
    let mut session = Session::open()?;
    let mut tally = Tally::new();
    let mut receiver = start()?;
    let mut buf = [0; MAX_PACKET];
    let (mut packets, mut starts, mut complete) = (0_u32, 1_u32, None);
    while let Some(record) = session.next(&mut buf) {
        let (time, source, bytes) = match record {
            Record::Datagram { time, source, bytes } => (time, source, bytes),
            Record::PowerCut { at: 0 } => {
                drop(receiver);
                receiver = start()?;
                starts += 1;
                continue;
            }
            Record::PowerCut { at } => {
                discharge(at);
                continue;
            }
        };
        packets += 1;
        let Ok(outcome) = receiver.handle_datagram(time, source, bytes) else {
            // All that is not in flash is gone.
            drop(receiver);
            receiver = start()?;
            starts += 1;
            continue;
        };
        if outcome == Outcome::Complete && complete.is_none() {
            complete = Some(packets);
        }
        tally.count(outcome);
    }
    let mut out = board::stdout();
    writeln!(out, "starts {starts}\npackets {packets}").ok()?;
    tally.report(&mut out).ok()?;
    let manifest = receiver.release().filter(|_| receiver.is_complete())?;
    writeln!(out, "complete-after {}\nsequence {}", complete?, manifest.sequence).ok()?;
    let size = manifest.components.first()?.geometry.size();
    let image = receiver.flash().image(LAYOUT.slot.start, size)?;
    semihosting::fs::write(c"image", image).ok()?;
    let digest: [u8; 32] = Sha256::digest(image).into();
    write!(out, "size {size}\nsha256 ").ok()?;
    digest.iter().try_for_each(|octet| write!(out, "{octet:02x}")).ok()?;
    writeln!(out).ok()
}

fn start() -> Option<Receiver<Nor>> {
    let keys = TrustedKeys::new(vec![PublicKey::from_bytes(UNSAFE_TEST_KEY).ok()?], 1).ok()?;
    let policy = Policy {
        vendor: VENDOR,
        classes: vec![CLASS],
        targets: vec![Target { name: Token::new("slot")?, max_size: LAYOUT.slot.len.into() }],
        // A product has this of its boot loader.
        installed: None,
        trial: None,
        failed: None,
        has_floors: true,
        seen: None,
        hardware: None,
        wave: Wave::Fixed(0),
        max_packet: MAX_PACKET,
        built: 0,
    };
    Receiver::new(Config { trust: Trust::from(keys), policy, layout: LAYOUT }, Nor::new()).ok()
}
