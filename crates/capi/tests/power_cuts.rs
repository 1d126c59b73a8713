//! A storage whose every call fails once, or after which power is cut: what is kept is right in every case.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fleetcast::device::{Device, Error, Phase, Settings};
use fleetcast::storage::{Area, Event, Fault, Item, Room, Storage};
use fleetcast_core::manifest::{Manifest, Token};
use fleetcast_core::session::Target;
use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_core::trust::parse_unverified;
use fleetcast_core::wire::{Header, Object, Packet, StatementKind, Tsi};
use fleetcast_netlab::authority::{beacon, root, signed_root, trust};
use fleetcast_netlab::release::{CLASS, Release, VENDOR, facts};

const SIZE: usize = 5000;
/// A clock that counts.
const UNIX: u64 = 1_700_001_000;
const INSTALLED: u64 = 3;

/// What becomes of the call that is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// It does nothing, and says that it failed.
    Undone,
    /// It says so although it is done.
    Done,
    /// Power is cut before it: what was written since the last flush is there, in part, or not.
    Cut,
}

/// An area, and what was written to it since the last flush.
#[derive(Debug, Default)]
struct Written {
    durable: Vec<u8>,
    since: Vec<(usize, Vec<u8>)>,
}

impl Written {
    fn apply(&mut self, keep: impl Fn(usize) -> usize) {
        for (offset, bytes) in std::mem::take(&mut self.since) {
            let len = keep(bytes.len());
            self.durable[offset..offset + len].copy_from_slice(&bytes[..len]);
        }
    }

    fn now(&self) -> Vec<u8> {
        let mut now = Self { durable: self.durable.clone(), since: self.since.clone() };
        now.apply(|len| len);
        now.durable
    }
}

#[derive(Debug, Default)]
struct Disk {
    items: HashMap<Item, Vec<u8>>,
    areas: HashMap<(Area, u32), Written>,
    calls: u64,
    /// Which calls fail, and how.
    failing: Vec<(u64, Failure)>,
    has_failed: bool,
    is_cut: bool,
    random: fastrand::Rng,
}

impl Disk {
    fn call<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<T, Fault> {
        assert!(!self.has_failed, "a device that was told of a failure calls on");
        self.calls += 1;
        let failure = self.failing.iter().find(|(call, _)| *call == self.calls).map(|(_, failure)| *failure);
        self.has_failed = failure.is_some();
        self.is_cut = failure == Some(Failure::Cut);
        match failure {
            None => Ok(work(self)),
            Some(Failure::Done) => {
                work(self);
                Err(Fault(5))
            }
            Some(Failure::Undone | Failure::Cut) => Err(Fault(5)),
        }
    }

    /// After which a device is made anew.
    fn restart(&mut self) {
        if std::mem::take(&mut self.is_cut) {
            let random = RefCell::new(self.random.clone());
            for area in self.areas.values_mut() {
                area.apply(|len| [0, len / 2, len][random.borrow_mut().usize(..3)]);
            }
        }
        self.has_failed = false;
    }
}

#[derive(Clone, Debug, Default)]
struct Shared(Rc<RefCell<Disk>>);

impl Storage for Shared {
    fn load(&mut self, item: Item, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        let kept = self.0.borrow_mut().call(|disk| disk.items.get(&item).cloned())?;
        assert!(kept.as_ref().is_none_or(|kept| kept.len() <= most));
        Ok(kept)
    }

    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), Fault> {
        self.0.borrow_mut().call(|disk| match bytes {
            [] => drop(disk.items.remove(&item)),
            _ => drop(disk.items.insert(item, bytes.to_vec())),
        })
    }

    fn prepare(&mut self, rooms: &[Room], is_resumed: bool) -> Result<bool, Fault> {
        self.0.borrow_mut().call(|disk| {
            for room in rooms {
                for (area, size) in [(Area::Image, room.image), (Area::Scratch, room.scratch)] {
                    let one = disk.areas.entry((area, room.target)).or_default();
                    if !is_resumed {
                        *one = Written::default();
                    }
                    one.durable.resize(usize::try_from(size).unwrap(), 0xEE);
                }
            }
            true
        })
    }

    fn read(&mut self, area: Area, target: u32, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        let now = self.0.borrow_mut().call(|disk| disk.areas[&(area, target)].now())?;
        let offset = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&now[offset..offset + buf.len()]);
        Ok(())
    }

    fn write(&mut self, area: Area, target: u32, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.0.borrow_mut().call(|disk| {
            let (one, offset) = (disk.areas.get_mut(&(area, target)).unwrap(), usize::try_from(offset).unwrap());
            assert!(offset + bytes.len() <= one.durable.len());
            one.since.push((offset, bytes.to_vec()));
        })
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.0.borrow_mut().call(|disk| disk.areas.values_mut().for_each(|area| area.apply(|len| len)))
    }

    fn tell(&mut self, _: Event) {}
}

/// What is on the air, and the image of the newest release.
struct Air {
    packets: Vec<Vec<u8>>,
    /// Of the release before it.
    older: Vec<Vec<u8>>,
    image: Vec<u8>,
}

fn air() -> Air {
    let parameters = Parameters { size: SIZE as u64, chunk: 128, cell: 8, repair: 50, digest: 16, cap_len: 16 };
    let release = |sequence: u64| {
        let image = (0..SIZE as u64).map(|i| u8::try_from((i * i + i + sequence) % 251).unwrap()).collect();
        let images = vec![("rootfs", image, Geometry::new(&parameters).unwrap())];
        Release::signed_by(&["release-2"], &facts(sequence), images)
    };
    let packets = |release: &Release| {
        let (mut packet, cycle) = (Vec::new(), release.carousel.schedule().cycle());
        // A fifth is lost.
        let slots = (0..2 * cycle).filter(|slot| *slot == 0 || slot % 5 != 1);
        let mut taken = Vec::new();
        for slot in slots {
            if release.carousel.packet(slot, 0, &mut packet) {
                taken.push(packet.clone());
            }
        }
        taken
    };
    let (newest, older) = (release(INSTALLED), release(INSTALLED - 1));
    let statement = |kind, number, statement: &[u8]| {
        let header = Header { layer: 0, count: 0, tsi: Tsi([7; 4]), object: Object::Statement { kind, number } };
        [&header.encode()[..], statement].concat()
    };
    let first = packets(&newest).remove(0);
    let digest = *parse_unverified::<Manifest>(Packet::decode(&first).unwrap().payload).unwrap().payload_digest();
    let next = signed_root(&root(2, &["root"], &["release-2"], &["beacon"]), &["root"]);
    let current = beacon(2, UNIX - 9, (INSTALLED, digest), &["beacon"]);
    let said = [statement(StatementKind::Root, 2, &next), statement(StatementKind::Beacon, 0, &current)];
    Air {
        packets: said.into_iter().chain(packets(&newest)).collect(),
        older: packets(&older),
        image: newest.images[0].clone(),
    }
}

fn open(disk: &Shared) -> Result<Device<Shared>, Error> {
    let name = Token::new("rootfs").unwrap();
    let settings = Settings {
        trust: trust(&root(1, &["root"], &["release"], &["beacon"]), &["root"]),
        vendor: VENDOR,
        classes: vec![CLASS],
        targets: vec![Target { name, max_size: 1 << 20 }],
        max_scratch: vec![1 << 20],
        hardware: None,
        wave: Some(0),
        max_packet: 1472,
        staging: 256,
        built: 0,
        installed: None,
        random: [7; 32],
        ignores_waves: false,
        trusts_clock: true,
        installs_stale: false,
    };
    Device::open(settings, disk.clone())
}

/// What the caller knows for sure of what has happened: what was answered with success, once.
#[derive(Clone, Copy, Debug, Default)]
struct Sure {
    on_trial: bool,
    decided: bool,
}

/// One life of a caller: until the release is decided on, or the storage fails.
fn live(disk: &Shared, air: &Air, is_given_up: bool, sure: &mut Sure) -> Result<(), Error> {
    let mut device = open(disk)?;
    let now = |seconds: usize| Instant::from_micros(seconds as u64 * 1_000_000);
    let decided = |device: &Device<Shared>| {
        let record = device.record();
        let release = if is_given_up { record.failed } else { record.installed };
        release.is_some_and(|known| known.mark.sequence == INSTALLED)
    };
    assert!(!sure.decided || decided(&device), "what was decided is forgotten");
    assert!(!sure.on_trial || decided(&device) || device.phase() == Phase::Trial, "the trial is forgotten");
    if !decided(&device) && device.phase() != Phase::Trial {
        for (at, packet) in air.packets.iter().enumerate() {
            device.handle_datagram(now(at), 1, packet)?;
            device.tick(now(at), Some(UNIX))?;
        }
        assert_eq!(device.root(), 2);
        assert_eq!(device.phase(), Phase::Complete);
        device.prove(now(air.packets.len()), Some(UNIX))?;
        let image = disk.0.borrow().areas[&(Area::Image, 0)].now();
        assert!(image == air.image, "proven and not the image");
        let durable = disk.0.borrow().areas[&(Area::Image, 0)].durable.clone();
        assert!(durable == air.image, "proven and not flushed");
        device.start_trial()?;
        sure.on_trial = true;
    }
    if device.phase() == Phase::Trial {
        if is_given_up { device.give_up() } else { device.commit() }?;
    }
    sure.decided = true;
    assert!(decided(&device));
    // Neither what is decided on nor what is older is taken again, and nothing is left of it.
    for (at, packet) in air.packets.iter().chain(if is_given_up { &[][..] } else { &air.older }).enumerate() {
        device.handle_datagram(now(at + 1000), 1, packet)?;
        assert_eq!(device.phase(), Phase::Idle);
    }
    device.flush()?;
    assert!(!disk.0.borrow().items.contains_key(&Item::Statement));
    Ok(())
}

/// Lives until one ends well.
fn all_lives(air: &Air, is_given_up: bool, failing: &[(u64, Failure)]) {
    let disk = Shared::default();
    disk.0.borrow_mut().failing = failing.to_vec();
    disk.0.borrow_mut().random = fastrand::Rng::with_seed(failing[0].0);
    let mut sure = Sure::default();
    while let Err(error) = live(&disk, air, is_given_up, &mut sure) {
        assert_eq!(error, Error::Storage(Fault(5)), "{failing:?}");
        disk.0.borrow_mut().restart();
    }
    // And so it stays.
    disk.0.borrow_mut().failing.clear();
    assert_eq!(live(&disk, air, is_given_up, &mut sure), Ok(()), "{failing:?}");
}

#[test]
fn every_storage_call_may_fail_or_be_the_last_before_a_power_cut() {
    let (air, mut random) = (air(), fastrand::Rng::with_seed(1));
    for is_given_up in [false, true] {
        let counted = Shared::default();
        live(&counted, &air, is_given_up, &mut Sure::default()).unwrap();
        let calls = counted.0.borrow().calls;
        assert!(calls > 100, "{calls}");
        for call in 1..=calls {
            for failure in [Failure::Undone, Failure::Done, Failure::Cut] {
                all_lives(&air, is_given_up, &[(call, failure)]);
                // Once more while that is mended, or after it.
                all_lives(&air, is_given_up, &[(call, failure), (call + random.u64(1..calls), Failure::Cut)]);
            }
        }
    }
}
