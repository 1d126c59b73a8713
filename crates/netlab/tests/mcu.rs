//! The receiver for microcontrollers of `examples/mcu` on an emulated Cortex-M4: bit-exact, unharmed by forgers, and small.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::path::Path;

use fleetcast_core::manifest::{Manifest, Share, Token, Uuid};
use fleetcast_core::trust::verify;
use fleetcast_core::wire::{HEADER_LEN, Object, Packet};
use fleetcast_netlab::authority::public;
use fleetcast_netlab::board;
use fleetcast_netlab::bogus::Bogus;
use fleetcast_netlab::command_line::{Done, Folder};
use fleetcast_netlab::release::{CLASS, Facts, Release, facts, trust};
use fleetcast_netlab::sim::{Channel, Losses};
use fleetcast_netlab::vectors::unhex;
use fleetcast_sign::release::{Coding, Wanted, plan};
use sha2::{Digest as _, Sha256};

/// Octets of the largest datagram.
const MAX_PACKET: usize = 1232;
/// Addresses of the senders: all genuine packets come from the first.
const GENUINE: u32 = 0x0A00_0001;
const FORGER: u32 = 0x0A00_0002;

/// Octets of the image; the last chunk is not full.
const IMAGE: usize = 500_001;
/// Cycles of the carousel until each chunk has come at 5 % loss and after each restart, without the erasure code.
const CYCLES: usize = 4;
/// Before which packets of the second release which write or erasure is made the last one: in the record of the release, among the erasures of the
/// first release, and later in writes of chunks.
const POWER_CUTS: [(usize, u32); 4] = [(0, 1), (100, 9), (600, 3), (900, 1)];
/// What datagrams of the session come to.
const OUTCOMES: [&str; 29] = [
    "manifest",
    "page",
    "chunk",
    "complete",
    "duplicate",
    "unused",
    "truncated",
    "version",
    "flags",
    "header-length",
    "codepoint",
    "toi",
    "template",
    "tsi",
    "threshold",
    "refused-before",
    "budget",
    "class",
    "size",
    "no-room",
    "rollback",
    "equivocation",
    "outnumbered",
    "other-session",
    "no-page",
    "range",
    "length",
    "page-digest",
    "chunk-digest",
];

/// What the program may take, in octets.
const MAX_RAM: u64 = 32 << 10;
const MAX_FLASH: u64 = 64 << 10;

/// Datagrams as the program reads them.
#[derive(Default)]
struct Session {
    file: Vec<u8>,
    datagrams: u64,
}

impl Session {
    /// Each datagram two milliseconds after the one before.
    fn push(&mut self, source: u32, datagram: &[u8]) {
        self.datagrams += 1;
        self.file.extend_from_slice(&u32::try_from(2 * self.datagrams).unwrap().to_be_bytes());
        self.file.extend_from_slice(&source.to_be_bytes());
        self.file.extend_from_slice(&u16::try_from(datagram.len()).unwrap().to_be_bytes());
        self.file.extend_from_slice(datagram);
    }

    /// Power fails in the middle of the write or erasure of this number from here on.
    fn lose_power(&mut self, at: u32) {
        self.file.extend_from_slice(&[0; 4]);
        self.file.extend_from_slice(&at.to_be_bytes());
        self.file.extend_from_slice(&[0; 2]);
    }

    /// Plays it, and gives what the program printed.
    fn play(&self, board: &Path) -> BTreeMap<String, String> {
        let folder = Folder::default();
        folder.write("session", &self.file);
        let machine = "300 qemu-system-arm -M mps2-an386 -nographic -nic none -semihosting-config enable=on,target=native -kernel";
        let mut command = folder.command("timeout", &machine.split(' ').collect::<Vec<_>>());
        let printed = Done::run(command.arg(board)).ok().stdout;
        println!("{printed}");
        assert!(printed.ends_with("PASS\n"));
        let pair = |line: &str| line.split_once(' ').map(|(key, value)| (key.to_owned(), value.to_owned()));
        printed.lines().filter_map(pair).collect()
    }
}

/// A release of one image for the slot, signed by the test key of this name.
fn release(key: &str, facts: &Facts, size: usize) -> Release {
    let slot = Token::new("slot").unwrap();
    let coding = Coding { chunk: 1024, repair: 10, digest: 16 };
    let wanted = Wanted { name: slot.clone(), target: slot, size: size as u64, coding };
    let geometry = *plan(facts, &[wanted], 1, MAX_PACKET).unwrap().first().unwrap();
    let mut image = vec![0; size];
    fastrand::Rng::with_seed(facts.sequence).fill(&mut image);
    Release::signed_by(&[key], facts, vec![("slot", image, geometry)])
}

/// A release that says as much as the device takes.
fn wordy(sequence: u64, size: usize) -> Release {
    release("release", &words(sequence), size)
}

/// Facts that take many octets.
fn words(sequence: u64) -> Facts {
    let classes = (0..7).map(|i| Uuid([i; 16])).chain([CLASS]).collect();
    let waves = (1..=8).map(|i| Share { share: 125 * i, time: (1 << 39) + u64::from(i) }).collect();
    let version = Token::new(&format!("{sequence:032}")).unwrap();
    let all = Some((0, u64::MAX >> 1));
    Facts { classes, version, from: all, waves, ..facts(sequence) }
}

/// All packets of one cycle.
fn cycle(release: &Release) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for slot in 0..release.carousel.schedule().cycle() {
        let mut datagram = Vec::new();
        if release.carousel.packet(slot, packets.len().try_into().unwrap(), &mut datagram) {
            packets.push(datagram);
        }
    }
    packets
}

fn flipped(packet: &[u8], at: usize, bit: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[at] ^= 1 << bit;
    packet
}

/// Sends what is forged, and what is genuine but of no use here.
struct Forger {
    random: fastrand::Rng,
    bogus: Bogus,
    last_bogus: Vec<u8>,
    packets: Vec<Vec<u8>>,
    /// How many of them are sent from the start on. The others would keep out a lower release of which no chunk has come, as they may \[M-6\].
    early: usize,
    next: usize,
}

impl Forger {
    fn new(of: &Release) -> Self {
        let statement = of.carousel.statement();
        let payload = verify::<Manifest>(statement, &trust()).unwrap().encode().unwrap();
        let bogus = Bogus::around(&payload, Object::MANIFEST, public("release").key_id(), 1);
        let class = Facts { classes: vec![Uuid([7; 16])], ..facts(3) };
        let useless = [
            release("other", &facts(3), 5000),
            release("release", &class, 5000),
            release("release", &facts(3), 600_000),
            release("release", &facts(2), 5000),
            release("release", &facts(1), 5000),
            release("release", &Facts { hardware: Some((0, u64::MAX >> 1)), ..words(3) }, 5000),
        ];
        // Never a chunk: with one, the release of the same number would be as good as the one that is sent.
        let heads = |release: &Release| {
            cycle(release).into_iter().filter(|packet| !is_chunk(packet)).take(6).collect::<Vec<_>>()
        };
        let mut packets: Vec<_> = useless.iter().flat_map(heads).collect();
        packets.push([&cycle(of)[0][..], &[0]].concat());
        let early = packets.len();
        // More releases than can be considered, each of them above the one that is sent.
        packets.extend((20..32).flat_map(|sequence| heads(&wordy(sequence, IMAGE))));
        Self { random: fastrand::Rng::with_seed(5), bogus, last_bogus: vec![0], packets, early, next: 0 }
    }

    /// A packet and where it comes from: bogus statements from one address, so that others have shares left.
    fn packet(&mut self, genuine: &[u8], is_late: bool) -> (u32, Vec<u8>) {
        let random = &mut self.random;
        let packet = match random.u8(..8) {
            0 => {
                let mut noise = vec![0; random.usize(1..MAX_PACKET)];
                random.fill(&mut noise);
                noise
            }
            1 => genuine[..random.usize(1..genuine.len())].to_vec(),
            2 => flipped(genuine, random.usize(..HEADER_LEN), random.u8(..8)),
            3 => flipped(genuine, random.usize(HEADER_LEN..genuine.len()), random.u8(..8)),
            4 => {
                if random.bool() {
                    self.last_bogus = self.bogus.next_packet().to_vec();
                }
                return (FORGER, self.last_bogus.clone());
            }
            5 => {
                let packet = &self.packets[random.usize(..self.packets.len())];
                flipped(packet, random.usize(HEADER_LEN..packet.len()), random.u8(..8))
            }
            _ => {
                self.next += 1;
                self.packets[self.next % if is_late { self.packets.len() } else { self.early }].clone()
            }
        };
        (FORGER + random.u32(1..7), packet)
    }
}

fn is_chunk(packet: &[u8]) -> bool {
    matches!(Packet::decode(packet).unwrap().header.object, Object::Chunk { .. })
}

#[test]
fn a_microcontroller_receives_a_release_through_loss_forgers_and_power_cuts_in_little_memory() {
    let Some(board) = board::program() else { return };
    let (old, new) = (release("release", &facts(1), 200_000), wordy(2, IMAGE));
    let (old_packets, new_packets) = (cycle(&old), cycle(&new));
    let mut forger = Forger::new(&new);
    let mut losses = Losses::new(Channel::Independent(0.05), 1);
    let mut session = Session::default();
    // Half of a release, until another one is sent in its place.
    for packet in old_packets.iter().take(old_packets.len() / 2).filter(|_| !losses.loses()) {
        session.push(GENUINE, packet);
    }
    for (number, packet) in new_packets.iter().cycle().take(CYCLES * new_packets.len()).enumerate() {
        if let Some((_, at)) = POWER_CUTS.iter().find(|(packet, _)| *packet == number) {
            session.lose_power(*at);
        }
        let (source, other) = forger.packet(packet, number > 500);
        session.push(source, &other);
        if !losses.loses() {
            session.push(GENUINE, packet);
        }
    }
    let printed = session.play(&board);
    let number = |key: &str| printed.get(key).map_or(0, |value| value.parse::<u64>().unwrap());
    assert_eq!(unhex(&printed["sha256"]), Sha256::digest(&new.images[0])[..]);
    assert_eq!((number("sequence"), number("starts")), (2, 1 + POWER_CUTS.len() as u64));
    assert_eq!(number("packets"), session.datagrams);
    let counted = printed.keys().filter(|key| key.starts_with("of-")).map(|key| number(key)).sum::<u64>();
    // Each failure of power takes a datagram with it.
    assert_eq!(counted + number("starts") - 1, session.datagrams);
    for outcome in OUTCOMES {
        assert!(number(&format!("of-{outcome}")) > 0, "{outcome}");
    }
    assert!(number("ram") <= MAX_RAM, "{} octets of memory", number("ram"));
    assert!(number("flash") <= MAX_FLASH, "{} octets of code", number("flash"));
}
