//! Two slots and a simulated boot loader: whatever happens, the device starts into the old release or the new one.

pub(crate) mod boot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fleetcast_install::record::Reason;
use fleetcast_install::sim::SimDisk;
use fleetcast_install::{Disk, Loaded, Record, Slot, load};
use fleetcast_recv::device::{DeviceError, Outcome, Standing};
use rustix::io::Errno;

use super::bench::{Job, Running, STATE, config, failing, image, mix, reboots, seed};
use boot::{backend, device, power_on, slot_of};

/// A release on its way to a device, and what that runs before.
struct Case {
    job: Job,
    old: (Slot, BTreeMap<PathBuf, Vec<u8>>),
    /// What is in the other slot, if that could be started.
    older: Option<BTreeMap<PathBuf, Vec<u8>>>,
}

impl Case {
    /// The first release of a device.
    fn first() -> Self {
        Self { job: job(), old: (Slot::A, device::old()), older: None }
    }
}

fn job() -> Job {
    Job::made(1, &[("rootfs", image(1, 64 * 20)), ("kernel", image(2, 64 * 9 + 5))])
}

/// What a device does from a start on: receives and installs, or commits what it was started into.
fn run<D: Disk + 'static>(disk: &D, current: Slot, packets: &[Vec<u8>]) -> Result<Outcome, DeviceError> {
    let mut running = Running::start_with(disk, backend(disk, current), &config())?;
    if running.device.standing() == Standing::Trying {
        running.device.commit(&mut |_| {})?;
        return Ok(Outcome::Installed);
    }
    running.feed(packets.to_vec())
}

fn record(disk: &SimDisk) -> Record {
    match load(disk, Path::new(STATE)).unwrap() {
        Loaded::Ok(record) => *record,
        Loaded::Missing => Record::default(),
        Loaded::Unreadable { reason } => panic!("{reason}"),
    }
}

/// Starts the device; what it starts into is wholly old, or wholly new.
#[track_caller]
fn starts(case: &Case, disk: &SimDisk) -> Slot {
    let spare = case.old.0.other();
    let found = slot_of(disk, spare);
    let is_whole = found == case.job.images || Some(found) == case.older;
    assert!(is_whole || !boot::may_start(disk, spare), "slot {spare} may be started and is half-written");
    let slot = power_on(disk);
    let found = slot_of(disk, slot);
    let is_new = slot != case.old.0 && found == case.job.images;
    assert!(is_new || (slot, found) == case.old, "slot {slot} is neither old nor new");
    slot
}

/// Whatever was interrupted, a few starts later the new release is committed and runs.
#[track_caller]
fn completes(case: &Case, disk: &SimDisk, packets: &[Vec<u8>]) {
    for _ in 0..4 {
        let slot = starts(case, disk);
        run(disk, slot, packets).unwrap();
        let record = record(disk);
        if record.installed.is_some() && record.installed == record.slot(case.old.0.other()).cloned() {
            assert_eq!(starts(case, disk), case.old.0.other());
            return;
        }
    }
    panic!("it never completes: {:?}", record(disk));
}

/// Cuts the power before each operation of a run on `first`, and checks what follows.
fn cut_each(case: &Case, first: &SimDisk, packets: &[Vec<u8>], check: impl Fn(&SimDisk, u64)) {
    let current = power_on(&first.fork());
    let act = |disk: &fleetcast_install::faulty::Faulty<SimDisk>| run(disk, current, packets);
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        act(disk).unwrap();
    });
    let seed = seed();
    let mut states = 0;
    for cut in 0..operations {
        let (cut_off, _) = failing(first.fork(), cut..u64::MAX, Errno::IO, |disk| drop(act(disk)));
        for after in reboots(&cut_off, seed ^ cut) {
            states += 1;
            check(&after, seed ^ cut);
            // Cut a second time, in what the next start does.
            let slot = starts(case, &after);
            let again = mix(seed ^ cut ^ states) % 30;
            let (twice, _) = failing(after.fork(), again..u64::MAX, Errno::IO, |disk| drop(run(disk, slot, packets)));
            completes(case, &twice.reboot(|change| mix(again ^ change as u64) & 1 == 1), packets);
            completes(case, &after, packets);
        }
    }
    println!("{operations} operations, {states} states");
    assert!(operations > 20);
}

#[test]
fn power_is_cut_before_every_operation_of_a_reception_and_an_install() {
    let case = Case::first();
    let packets: Vec<_> = case.job.lossy(0.1, 3).collect();
    cut_each(&case, &device::new(), &packets, |after, _| {
        assert_eq!(record(after).installed, None, "the floors rise at the commit");
    });
}

#[test]
fn power_is_cut_before_every_operation_of_a_resumed_install() {
    let case = Case::first();
    let packets: Vec<_> = case.job.lossy(0.1, 3).collect();
    let disk = device::new();
    let mut running = Running::start_with(&disk, backend(&disk, Slot::A), &config()).unwrap();
    running.feed(packets.iter().take(30).cloned()).unwrap();
    running.device.flush().unwrap();
    drop(running);
    cut_each(&case, &disk, &packets, |after, _| assert_eq!(record(after).installed, None));
}

#[test]
fn power_is_cut_before_every_operation_of_a_commit() {
    let case = Case::first();
    let packets: Vec<_> = case.job.packets(0).take(200).collect();
    let disk = device::new();
    assert_eq!(run(&disk, power_on(&disk), &packets).unwrap(), Outcome::OnTrial);
    assert_eq!(record(&disk).installed, None);
    cut_each(&case, &disk, &packets, |_, _| {});
}

#[test]
fn power_is_cut_before_every_operation_of_a_rollback() {
    let case = Case::first();
    let packets: Vec<_> = case.job.packets(0).take(200).collect();
    let disk = device::new();
    assert_eq!(run(&disk, power_on(&disk), &packets).unwrap(), Outcome::OnTrial);
    assert_eq!(starts(&case, &disk), Slot::B);
    let roll_back = |disk: &fleetcast_install::faulty::Faulty<SimDisk>| {
        let mut running = Running::start_with(disk, backend(disk, Slot::B), &config())?;
        running.device.roll_back(Reason::Asked, &mut |_| {})
    };
    let (_, operations) = failing(disk.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| assert!(roll_back(disk).unwrap()));
    let mut given_up = 0;
    for cut in 0..=operations {
        let (cut_off, _) = failing(disk.fork(), cut..u64::MAX, Errno::IO, |disk| drop(roll_back(disk)));
        for after in reboots(&cut_off, cut) {
            let slot = starts(&case, &after);
            let mut running = Running::start_with(&after, backend(&after, slot), &config()).unwrap();
            if running.device.standing() == Standing::Trying {
                // The cut came before anything was decided.
                running.device.roll_back(Reason::Asked, &mut |_| {}).unwrap();
            }
            drop(running);
            assert_eq!(starts(&case, &after), Slot::A);
            assert_eq!(record(&after).failed.unwrap().reason, Reason::Asked);
            given_up += 1;
            let mut running = Running::start_with(&after, backend(&after, Slot::A), &config()).unwrap();
            running.feed(packets.clone()).unwrap();
            assert_eq!(running.told("rolled-back"), 1, "{:?}", running.events);
            assert_eq!(slot_of(&after, Slot::A), device::old());
        }
    }
    assert!(given_up > operations);
}

#[test]
fn power_is_cut_before_every_operation_of_an_install_over_a_release_that_could_be_started() {
    let first = Case::first();
    let packets: Vec<_> = first.job.packets(0).take(200).collect();
    let disk = device::new();
    completes(&first, &disk, &packets);
    let job = Job::made(2, &[("rootfs", image(3, 64 * 20)), ("kernel", image(4, 64 * 9))]);
    let packets: Vec<_> = job.lossy(0.1, 3).collect();
    // Slot a was never given up: the boot loader would start it.
    let case = Case { job, old: (Slot::B, first.job.images), older: Some(device::old()) };
    cut_each(&case, &disk, &packets, |after, _| {
        assert_eq!(record(after).installed.map(|release| release.sequence), Some(1));
    });
}

#[test]
fn a_release_that_never_comes_up_is_given_up_and_not_installed_again_but_a_newer_one_is() {
    let job = job();
    let packets: Vec<_> = job.packets(0).take(200).collect();
    let disk = device::new();
    assert_eq!(run(&disk, power_on(&disk), &packets).unwrap(), Outcome::OnTrial);
    for _ in 0..boot::ATTEMPTS {
        assert_eq!(power_on(&disk), Slot::B, "it hangs before the daemon starts");
    }
    assert_eq!(power_on(&disk), Slot::A);
    let mut running = Running::start_with(&disk, backend(&disk, Slot::A), &config()).unwrap();
    assert_eq!(record(&disk).failed.map(|failed| failed.reason), Some(Reason::FellBack));
    running.feed(packets).unwrap();
    assert_eq!(running.told("rolled-back"), 1);
    let newer = Job::made(2, &[("rootfs", image(3, 64 * 20)), ("kernel", image(4, 64 * 9))]);
    assert_eq!(running.feed(newer.packets(0).take(200)).unwrap(), Outcome::OnTrial);
    drop(running);
    assert_eq!(run(&disk, power_on(&disk), &[]).unwrap(), Outcome::Installed);
    assert_eq!((record(&disk).installed.unwrap().sequence, slot_of(&disk, Slot::B) == newer.images), (2, true));
}

#[test]
fn a_device_that_went_back_from_a_committed_release_says_so_and_takes_the_next() {
    let job = job();
    let disk = device::new();
    assert_eq!(run(&disk, power_on(&disk), &job.packets(0).take(200).collect::<Vec<_>>()).unwrap(), Outcome::OnTrial);
    assert_eq!(run(&disk, power_on(&disk), &[]).unwrap(), Outcome::Installed);
    boot::set(&disk, *b"akk");
    let mut running = Running::start_with(&disk, backend(&disk, Slot::A), &config()).unwrap();
    assert_eq!(running.told("other-slot"), 1);
    let newer = Job::made(2, &[("rootfs", image(3, 64 * 20)), ("kernel", image(4, 64 * 9))]);
    assert_eq!(running.feed(newer.packets(0).take(200)).unwrap(), Outcome::OnTrial);
    assert!(slot_of(&disk, Slot::B) == newer.images);
}

#[test]
fn while_a_release_is_on_trial_nothing_else_is_taken() {
    let job = job();
    let disk = device::new();
    assert_eq!(run(&disk, power_on(&disk), &job.packets(0).take(200).collect::<Vec<_>>()).unwrap(), Outcome::OnTrial);
    let newer = Job::made(2, &[("rootfs", image(3, 64 * 20)), ("kernel", image(4, 64 * 9))]);
    for slot in [Slot::A, Slot::B] {
        let before = disk.files();
        let mut running = Running::start_with(&disk, backend(&disk, slot), &config()).unwrap();
        running.feed(newer.packets(0).take(200)).unwrap();
        assert_eq!(running.told("trial"), 1);
        assert_eq!(disk.files(), before, "no octet is written");
    }
    // Committed, the next one is taken at once.
    assert_eq!(power_on(&disk), Slot::B);
    let mut running = Running::start_with(&disk, backend(&disk, Slot::B), &config()).unwrap();
    running.feed(newer.packets(0).take(50)).unwrap();
    running.device.commit(&mut |_| {}).unwrap();
    assert_eq!(running.feed(newer.packets(50).take(200)).unwrap(), Outcome::OnTrial);
    assert!(slot_of(&disk, Slot::A) == newer.images);
}

#[test]
fn a_flipped_bit_in_the_slot_is_found_before_the_switch() {
    let job = job();
    let disk = device::new();
    let mut running = Running::start_with(&disk, backend(&disk, Slot::A), &config()).unwrap();
    let mut packets = job.packets(0).take(2000);
    while running.device.chunks().is_none_or(|chunks| chunks.have + 1 < chunks.needed) {
        running.feed(packets.next()).unwrap();
    }
    running.device.write_out().unwrap();
    super::bench::damage(&disk, Path::new("/data/rootfs.img.b"), 64 * 3, b"x");
    assert_eq!(running.feed(packets).unwrap(), Outcome::OnTrial);
    let found = |event: &fleetcast_recv::events::Event| format!("{event:?}").contains("ReadbackMismatch");
    assert!(running.events.iter().any(found), "{:?}", running.events);
    drop(running);
    assert_eq!(power_on(&disk), Slot::B);
    assert!(slot_of(&disk, Slot::B) == job.images);
}

#[test]
fn slots_that_cannot_take_a_release_are_told_and_nothing_is_written() {
    let job = job();
    for (spoil, code) in
        [("small", "slot-size"), ("busy", "slot-busy"), ("folder", "not-regular"), ("bad", "restart-first")]
    {
        let disk = device::new();
        let slot = Path::new("/data/rootfs.img.b");
        match spoil {
            "small" => {
                fleetcast_install::durable::replace(&disk, slot, b"too small").unwrap();
                disk.set_block(slot, false).unwrap();
            }
            "busy" => {
                fleetcast_install::durable::replace(&disk, slot, &[0; 4096]).unwrap();
                disk.set_block(slot, true).unwrap();
            }
            "folder" => {
                disk.remove(slot).unwrap();
                disk.create_dir(slot).unwrap();
            }
            _ => boot::set(&disk, *b"b59"),
        }
        let before = slot_of(&disk, Slot::B);
        let mut running = Running::start_with(&disk, backend(&disk, Slot::A), &config()).unwrap();
        running.feed(job.packets(0).take(200)).unwrap();
        assert_eq!(running.told(code), 1, "{spoil}: {:?}", running.events);
        assert_eq!(slot_of(&disk, Slot::B), before);
        assert_eq!(slot_of(&disk, Slot::A), device::old());
    }
}

#[test]
fn block_devices_keep_their_size_and_read_as_zeros_behind_the_image() {
    let job = job();
    let disk = device::new();
    for path in ["/data/rootfs.img.b", "/boot/kernel.img.b"] {
        fleetcast_install::durable::replace(&disk, Path::new(path), &[0xAA; 4096]).unwrap();
        disk.set_block(Path::new(path), false).unwrap();
    }
    let packets: Vec<_> = job.packets(0).take(200).collect();
    assert_eq!(run(&disk, power_on(&disk), &packets).unwrap(), Outcome::OnTrial);
    for (path, image) in &job.images {
        let (_, found) = &disk.files()[&boot::in_slot(path, Slot::B)];
        assert!(found.len() == 4096 && found[..image.len()] == image[..]);
        assert!(found[image.len()..].iter().all(|octet| *octet == 0));
    }
}

#[test]
fn one_failing_operation_is_mended_or_a_clear_fault_and_the_old_release_starts_until_the_next_run_completes() {
    let case = Case::first();
    let packets: Vec<_> = case.job.lossy_cycles(12, 0.1, 3).collect();
    let first = device::new();
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        run(disk, Slot::A, &packets).unwrap();
    });
    let mut faults = 0;
    for error in [Errno::NOSPC, Errno::IO, Errno::ROFS, Errno::NODEV] {
        for nth in 0..operations {
            let mut result = Ok(Outcome::Going);
            let (after, _) = failing(first.fork(), nth..nth + 1, error, |disk| result = run(disk, Slot::A, &packets));
            match result {
                Ok(outcome) => assert!(matches!(outcome, Outcome::OnTrial | Outcome::Going), "operation {nth}"),
                Err(DeviceError::Storage(fault)) => {
                    faults += 1;
                    assert!(fault.to_string().contains('/'), "operation {nth}: {fault}");
                }
                Err(other) => panic!("operation {nth}: {other}"),
            }
            completes(&case, &after, &packets);
        }
    }
    println!("{operations} operations, {faults} faults");
    assert!(faults > operations);
}
