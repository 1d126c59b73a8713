//! Releases that the storage cannot take are left alone: nothing else is lost for them.

use std::path::Path;

use fleetcast_install::{Disk as _, Loaded};
use fleetcast_recv::device::Outcome;
use rustix::io::Errno;

use super::bench::{Job, Running, STATE, disk, failing, files, image, run};

#[test]
fn a_release_that_does_not_fit_is_told_once_and_what_is_received_goes_on() {
    let old = Job::made(5, &[("rootfs", image(3, 64 * 300))]);
    let large = Job::made(6, &[("rootfs", image(4, 64 * 2000))]);
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    running.feed(old.packets(0).take(150)).unwrap();
    let had = running.device.chunks().unwrap();
    disk.set_free(0);
    running.feed(large.packets(0).take(500)).unwrap();
    assert_eq!(running.device.chunks(), Some(had));
    assert_eq!(running.told("no-space"), 1);

    // Nothing of it outlives a restart either.
    running.device.flush().unwrap();
    drop(running);
    let mut running = Running::start(&disk).unwrap();
    assert_eq!(running.resumed(), Some(had.have));
    let both = large.packets(200).zip(old.packets(150)).flat_map(|(a, b)| [a, b]);
    assert_eq!(running.feed(both.take(3000)).unwrap(), Outcome::Installed);
    assert_eq!(running.told("no-space"), 1);
    old.check_installed(&disk);

    // With room it is as any other.
    disk.set_free(1 << 30);
    running.outcome = Outcome::Going;
    assert_eq!(running.feed(large.packets(0).take(5000)).unwrap(), Outcome::Installed);
    large.check_installed(&disk);
}

#[test]
fn a_release_that_did_not_fit_is_tried_again_after_a_while() {
    let job = Job::made(6, &[("rootfs", image(4, 64 * 200))]);
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    disk.set_free(0);
    running.feed(job.packets(0).take(1000)).unwrap();
    assert_eq!((running.device.chunks(), running.told("no-space")), (None, 1));
    disk.set_free(1 << 30);
    running.feed(job.packets(0).take(1000)).unwrap();
    assert_eq!(running.device.chunks(), None);
    running.now += 600_000_000;
    assert_eq!(running.feed(job.packets(0).take(1000)).unwrap(), Outcome::Installed);
    job.check_installed(&disk);
}

#[test]
fn a_release_that_fits_no_more_after_a_restart_waits_for_room() {
    let job = Job::made(6, &[("rootfs", image(4, 64 * 200))]);
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    running.feed(job.packets(0).take(100)).unwrap();
    running.device.flush().unwrap();
    drop(running);
    let (part, _) = files(&disk, ".part").pop().unwrap();
    disk.remove(&part).unwrap();
    disk.set_free(0);
    let mut running = Running::start(&disk).unwrap();
    assert_eq!((running.resumed(), running.told("no-space")), (None, 1));
    running.feed(job.packets(0).take(300)).unwrap();
    drop(running);
    disk.set_free(1 << 30);
    assert!(Running::start(&disk).unwrap().resumed().is_some());
    assert_eq!(run(&disk, job.packets(0).take(1000)).unwrap(), Outcome::Installed);
    job.check_installed(&disk);
}

#[test]
fn a_target_that_is_no_file_is_told_and_other_releases_go_on() {
    let good = Job::made(5, &[("rootfs", image(3, 64 * 100))]);
    let other = Job::made(6, &[("rootfs", image(4, 64 * 100)), ("boot", image(5, 64 * 20))]);
    let disk = disk();
    disk.create_dir(Path::new("/boot/boot.img")).unwrap();
    let mut running = Running::start(&disk).unwrap();
    let both = good.packets(0).zip(other.packets(0)).flat_map(|(a, b)| [a, b]);
    assert_eq!(running.feed(both.take(2000)).unwrap(), Outcome::Installed);
    assert_eq!(running.told("not-regular"), 1);
    good.check_installed(&disk);
}

#[test]
fn a_torn_install_is_mended_by_the_same_release_or_a_newer_whole_one_and_others_are_left_alone() {
    let targets = |sequence: u64| [("rootfs", image(sequence, 64 * 60)), ("kernel", image(sequence + 100, 64 * 20))];
    let torn = Job::made(5, &targets(5));
    let partial = Job::made(6, &[("rootfs", image(6, 64 * 60))]);
    let whole = Job::made(7, &targets(7));
    // Killed between the two renames, and the second staged image lost.
    let torn_disk = (0..)
        .find_map(|cut| {
            let act = |disk: &_| drop(run(disk, torn.cycle(0)));
            let (disk, operations) = failing(disk(), cut..u64::MAX, Errno::NOSPC, act);
            assert!(operations > cut, "the install has such a moment");
            let Ok(Loaded::Ok(record)) = fleetcast_install::load(&disk, Path::new(STATE)) else { return None };
            let left = files(&disk, ".part");
            (record.pending().is_some() && left.len() == 1).then(|| {
                disk.remove(&left[0].0).unwrap();
                disk.fork()
            })
        })
        .unwrap();

    for mends in [&torn, &whole] {
        let disk = torn_disk.fork();
        let mut running = Running::start(&disk).unwrap();
        assert_eq!(running.told("install-torn"), 1);
        running.feed(partial.packets(0).take(500)).unwrap();
        // The torn one is still being received.
        assert_eq!((running.told("install-uncovered"), running.device.chunks().unwrap().needed), (1, 80));
        drop(running);
        let mut running = Running::start(&disk).unwrap();
        let both = partial.packets(0).zip(mends.packets(0)).flat_map(|(a, b)| [a, b]);
        assert_eq!(running.feed(both.take(3000)).unwrap(), Outcome::Installed);
        drop(running);
        drop(Running::start(&disk).unwrap());
        mends.check_installed(&disk);
    }
}
