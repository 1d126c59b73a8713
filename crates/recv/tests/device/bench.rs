//! A simulated device to feed and look at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetcast_core::manifest::{Manifest, Share, Token};
use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_core::trust::{Verified, verify};
use fleetcast_install::faulty::Faulty;
use fleetcast_install::sim::SimDisk;
use fleetcast_install::{Backend, Disk, DiskFile as _, durable};
use fleetcast_netlab::release::{CLASS, Facts, Release, VENDOR, facts, trust};
use fleetcast_netlab::sim::{Carousel, Channel, Losses};
use fleetcast_recv::config::{Config, Confine, Freshness, Hooks, Install, TargetPlace, TrialCare};
use fleetcast_recv::device::{Device, DeviceError, Outcome};
use fleetcast_recv::events::Event;
use rustix::io::Errno;

pub(crate) const STATE: &str = "/state/fleetcast";
/// Targets by name, with what is there before.
pub(crate) const TARGETS: [(&str, &str, Option<&[u8]>); 4] = [
    ("rootfs", "/data/rootfs.img", Some(b"the old root file system")),
    ("slot", "/data/slot.img", Some(b"the old slot")),
    ("kernel", "/boot/kernel.img", Some(b"the old kernel")),
    ("boot", "/boot/boot.img", None),
];

/// A release, and which image goes where.
pub(crate) struct Job {
    /// The release file.
    pub(crate) file: Vec<u8>,
    pub(crate) carousel: Carousel,
    /// Target path and image.
    pub(crate) images: BTreeMap<PathBuf, Vec<u8>>,
}

impl Job {
    /// A release of the vectors.
    pub(crate) fn vector(name: &str) -> Self {
        let release = Release::of_vector(name);
        let manifest: Verified<Manifest> = verify(release.carousel.statement(), &trust()).unwrap();
        let places = manifest.components.iter().map(|c| path_of(c.target.as_str()));
        let images = places.zip(release.images).collect();
        Self { file: release.file, carousel: release.carousel, images }
    }

    /// A release made here: chunks of 64 octets, cells of 8, as many repair chunks as source chunks.
    pub(crate) fn made(sequence: u64, images: &[(&str, Vec<u8>)]) -> Self {
        Self::of(&facts(sequence), images)
    }

    /// The same, in waves of so many in 1,000 devices from a Unix time on.
    pub(crate) fn in_waves(sequence: u64, images: &[(&str, Vec<u8>)], waves: &[(u16, u64)]) -> Self {
        let waves = waves.iter().map(|&(share, time)| Share { share, time }).collect();
        Self::of(&Facts { waves, ..facts(sequence) }, images)
    }

    /// The same, signed by the test keys of these names.
    pub(crate) fn in_waves_by(names: &[&str], sequence: u64, images: &[(&str, Vec<u8>)], waves: &[(u16, u64)]) -> Self {
        let waves = waves.iter().map(|&(share, time)| Share { share, time }).collect();
        Self::of_signers(names, &Facts { waves, ..facts(sequence) }, images)
    }

    /// The same, for some hardware revisions.
    pub(crate) fn for_hardware(sequence: u64, images: &[(&str, Vec<u8>)], range: (u64, u64)) -> Self {
        Self::of(&Facts { hardware: Some(range), ..facts(sequence) }, images)
    }

    /// The same, signed by the test keys of these names.
    pub(crate) fn signed_by(names: &[&str], sequence: u64, images: &[(&str, Vec<u8>)]) -> Self {
        Self::of_signers(names, &facts(sequence), images)
    }

    fn of(facts: &Facts, images: &[(&str, Vec<u8>)]) -> Self {
        Self::of_signers(&["release"], facts, images)
    }

    fn of_signers(names: &[&str], facts: &Facts, images: &[(&str, Vec<u8>)]) -> Self {
        let cut = |&(target, ref image): &(_, Vec<u8>)| {
            let size = image.len() as u64;
            let parameters = Parameters { size, chunk: 64, cell: 8, repair: 100, digest: 16, cap_len: 16 };
            (target, image.clone(), Geometry::new(&parameters).unwrap())
        };
        let release = Release::signed_by(names, facts, images.iter().map(cut).collect());
        let places = images.iter().map(|(target, _)| path_of(target));
        Self { file: release.file, carousel: release.carousel, images: places.zip(release.images).collect() }
    }

    /// `count` packets from a slot on, the first having the count 0.
    pub(crate) fn packets(&self, start: u64) -> impl Iterator<Item = Vec<u8>> {
        let mut count = 0;
        (start..).filter_map(move |slot| {
            let mut packet = Vec::new();
            let sent = self.carousel.packet(slot, count, &mut packet);
            count += u32::from(sent);
            sent.then_some(packet)
        })
    }

    /// The packets of one cycle.
    pub(crate) fn cycle(&self, start: u64) -> Vec<Vec<u8>> {
        let mut packet = Vec::new();
        let slots = (start..start + self.carousel.schedule().cycle())
            .filter(|&slot| self.carousel.packet(slot, 0, &mut packet));
        let count = slots.count();
        self.packets(start).take(count).collect()
    }

    /// Packets from a random place on, of which a share is lost; five cycles of them.
    pub(crate) fn lossy(&self, loss: f64, seed: u64) -> impl Iterator<Item = Vec<u8>> {
        self.lossy_cycles(5, loss, seed)
    }

    /// As [`Job::lossy`], so many cycles.
    pub(crate) fn lossy_cycles(&self, cycles: u64, loss: f64, seed: u64) -> impl Iterator<Item = Vec<u8>> {
        let mut losses = Losses::new(Channel::Independent(loss), seed);
        let cycle = self.carousel.schedule().cycle();
        let count = usize::try_from(cycles * cycle).unwrap();
        self.packets(mix(seed) % cycle).take(count).filter(move |_| !losses.loses())
    }

    /// The content of each target is old or that of this release; all of them new if `all_new`.
    #[track_caller]
    pub(crate) fn check_targets(&self, disk: &SimDisk, all_new: bool) {
        let files = disk.files();
        for (_, path, old) in TARGETS {
            let found = files.get(Path::new(path)).map(|(_, bytes)| bytes.as_slice());
            let new = self.images.get(Path::new(path)).map(Vec::as_slice);
            let is_old = found == old && !(all_new && new.is_some());
            assert!(is_old || found.is_some() && found == new, "{path} is neither old nor new (all new: {all_new})");
        }
    }

    /// The release is installed, and nothing is left over.
    #[track_caller]
    pub(crate) fn check_installed(&self, disk: &SimDisk) {
        self.check_targets(disk, true);
        let mut expected: Vec<_> = self.images.keys().cloned().collect();
        expected.extend(TARGETS.iter().filter(|(.., old)| old.is_some()).map(|(_, path, _)| PathBuf::from(path)));
        expected.extend(["lock", "record"].map(|name| Path::new(STATE).join(name)));
        expected.sort();
        expected.dedup();
        assert_eq!(disk.files().into_keys().collect::<Vec<_>>(), expected, "nothing is left over");
    }
}

fn path_of(target: &str) -> PathBuf {
    TARGETS.iter().find(|(name, ..)| *name == target).unwrap().1.into()
}

/// A disk with the old images.
pub(crate) fn disk() -> SimDisk {
    let disk = SimDisk::default();
    for folder in ["/data", "/boot", "/state"] {
        durable::create_dir(&disk, Path::new(folder)).unwrap();
    }
    for (_, path, old) in TARGETS {
        if let Some(old) = old {
            durable::replace(&disk, Path::new(path), old).unwrap();
        }
    }
    disk
}

pub(crate) fn config() -> Config {
    let target = |(name, path, _): (&str, &str, _)| TargetPlace {
        name: Token::new(name).unwrap(),
        path: path.into(),
        slot_b: None,
        max_size: u64::MAX,
    };
    Config {
        trust: trust(),
        built: 0,
        freshness: Freshness::default(),
        vendor: VENDOR,
        classes: vec![CLASS],
        hardware: None,
        wave: None,
        ignore_waves: false,
        interfaces: vec!["lo".into()],
        feeds: vec![],
        discover: None,
        targets: TARGETS.map(target).to_vec(),
        install: Install::File,
        trial: TrialCare {
            health_check: None,
            interval: Duration::from_secs(10),
            deadline: Duration::from_mins(10),
            restart: None,
        },
        hooks: Hooks::default(),
        seeds: vec![],
        runtime: None,
        page: None,
        state: STATE.into(),
        receive_buffer: 1,
        max_packet: 1500,
        layers: 1,
        staging: 1024,
        progress: Duration::from_secs(1),
        metrics: fleetcast_recv::metrics::Settings::default(),
        nack: None,
        repair: None,
        report: None,
        confine: Confine::default(),
    }
}

/// A device that is running.
pub(crate) struct Running<D: Disk + 'static> {
    pub(crate) device: Device<D>,
    pub(crate) events: Vec<Event>,
    pub(crate) outcome: Outcome,
    pub(crate) now: u64,
}

impl<D: Disk + 'static> Running<D> {
    pub(crate) fn start(disk: &D) -> Result<Self, DeviceError> {
        Self::start_as(disk, &config())
    }

    pub(crate) fn start_as(disk: &D, config: &Config) -> Result<Self, DeviceError> {
        Self::start_with(disk, config.install.backend(disk, &config.targets), config)
    }

    pub(crate) fn start_with(disk: &D, backend: Box<dyn Backend<D>>, config: &Config) -> Result<Self, DeviceError> {
        let mut events = Vec::new();
        let (device, outcome) = Device::open(disk, backend, config, [7; 16], &mut |event| events.push(event))?;
        Ok(Self { device, events, outcome, now: 0 })
    }

    /// Feeds packets until a release is, or turns out to be, installed, or they end.
    pub(crate) fn feed(&mut self, packets: impl IntoIterator<Item = Vec<u8>>) -> Result<Outcome, DeviceError> {
        for packet in packets {
            if self.outcome != Outcome::Going {
                break;
            }
            self.now += 800;
            let now = Instant::from_micros(self.now);
            self.outcome = self.device.handle(now, 1, &packet, &mut |event| self.events.push(event))?;
        }
        Ok(self.outcome)
    }

    /// How often a release was refused, or warned about, by this word.
    pub(crate) fn told(&self, word: &str) -> usize {
        let is_it = |event: &&Event| match event {
            Event::Refused { code, .. } | Event::Warning { code, .. } | Event::Alarm { code, .. } => *code == word,
            _ => false,
        };
        self.events.iter().filter(is_it).count()
    }

    /// What was found to be there at the start.
    pub(crate) fn resumed(&self) -> Option<u64> {
        self.events.iter().find_map(|event| match event {
            Event::Resumed(chunks) => Some(chunks.have),
            _ => None,
        })
    }
}

/// Starts and feeds.
pub(crate) fn run<D: Disk + 'static>(
    disk: &D,
    packets: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Outcome, DeviceError> {
    let mut running = Running::start(disk)?;
    running.feed(packets)
}

/// The disk after `act` on one whose operations `fail` fail; and how many operations there were.
pub(crate) fn failing(
    disk: SimDisk,
    fail: std::ops::Range<u64>,
    error: Errno,
    act: impl FnOnce(&Faulty<SimDisk>),
) -> (SimDisk, u64) {
    let kept = disk.clone();
    let faulty = Faulty::new(disk, fail, error);
    act(&faulty);
    (kept, faulty.operations())
}

/// Changes octets of a file behind the device's back.
pub(crate) fn damage(disk: &SimDisk, path: &Path, offset: u64, bytes: &[u8]) {
    disk.open_read(path).unwrap().write_at(offset, bytes).unwrap();
}

/// Files whose path contains `part`.
pub(crate) fn files(disk: &SimDisk, part: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = disk.files().into_iter().map(|(path, (_, bytes))| (path, bytes));
    files.filter(|(path, _)| path.to_str().unwrap().contains(part)).collect()
}

/// The seed of this run, printed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("FLEETCAST_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("FLEETCAST_SEED={seed} replays this");
    seed
}

/// Subsets of unflushed changes tried for each cut, besides all and none.
const SUBSETS: u64 = 4;

/// Ways a power cut or a kill can leave the disk.
pub(crate) fn reboots(disk: &SimDisk, seed: u64) -> Vec<SimDisk> {
    let some = (0..SUBSETS).map(|subset| disk.reboot(|change| mix(seed ^ mix(subset << 32 | change as u64)) & 1 == 1));
    some.chain([disk.reboot(|_| true), disk.reboot(|_| false), disk.fork()]).collect()
}

/// The finaliser of `SplitMix64`.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// A disk with a device on it that has the first 150 packets of a release, flushed and off, and its verified chunks.
pub(crate) fn half(job: &Job) -> (SimDisk, u64) {
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    running.feed(job.packets(0).take(150)).unwrap();
    running.device.flush().unwrap();
    let had = running.device.chunks().unwrap().have;
    drop(running);
    (disk, had)
}

/// A reproducible image.
pub(crate) fn image(seed: u64, size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}
