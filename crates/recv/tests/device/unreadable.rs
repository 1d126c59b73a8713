//! Sectors that cannot be read, or not even written.

use fleetcast_recv::device::{DeviceError, Outcome};

use super::bench::{Job, Running, disk, files, half, image};

#[test]
fn what_cannot_be_read_at_the_start_is_received_again_into_other_files_if_need_be() {
    let job = Job::made(1, &[("rootfs", image(1, 64 * 200))]);
    let (disk, had) = half(&job);
    for (what, cost) in [(".part", 8), ("scratch", had)] {
        let (path, _) = files(&disk, what).pop().unwrap();
        for heals in [true, false] {
            let disk = disk.fork();
            disk.spoil(&path, 64 * 20..64 * 20 + 1, heals).unwrap();
            let mut running = Running::start(&disk).unwrap();
            let resumed = running.resumed().unwrap();
            assert!((had - cost..=had).contains(&resumed), "{what}: {resumed} of {had}");
            assert_eq!(running.feed(job.packets(0).take(2000)).unwrap(), Outcome::Installed, "{what}, heals {heals}");
            job.check_installed(&disk);
        }
    }
}

#[test]
fn what_cannot_be_read_back_is_received_again_into_other_files_if_need_be() {
    let job = Job::made(1, &[("rootfs", image(1, 64 * 200))]);
    for heals in [true, false] {
        let disk = disk();
        let mut running = Running::start(&disk).unwrap();
        let mut packets = job.packets(0).take(3000);
        while running.device.chunks().is_none_or(|chunks| chunks.have < 199) {
            running.feed(packets.next()).unwrap();
        }
        running.device.write_out().unwrap();
        let (part, _) = files(&disk, ".part").pop().unwrap();
        disk.spoil(&part, 64 * 20..64 * 21, heals).unwrap();
        assert_eq!(running.feed(packets).unwrap(), Outcome::Installed);
        assert_eq!(running.told("io"), if heals { 1 } else { 2 });
        job.check_installed(&disk);
    }
}

#[test]
fn a_storage_whose_other_files_fail_too_is_given_up() {
    let job = Job::made(1, &[("rootfs", image(1, 64 * 200))]);
    let (disk, _) = half(&job);
    let mut running = Running::start(&disk).unwrap();
    let mut spoilt = 0;
    let mut failed = None;
    for packet in job.packets(100).take(3000) {
        let (part, _) = files(&disk, ".part").pop().unwrap();
        let warned = running.told("io");
        if spoilt == warned {
            spoilt += 1;
            disk.spoil(&part, 0..64 * 200, false).unwrap();
        }
        let fed = running.feed([packet]).and_then(|_| running.device.write_out());
        if let Err(error) = fed {
            failed = Some(error);
            break;
        }
    }
    let Some(DeviceError::Storage(fault)) = failed else { panic!("{failed:?} {:?}", running.events) };
    assert_eq!((fault.code(), running.told("io")), ("io", 1));
    drop(running);
    job.check_targets(&disk, false);
    drop(Running::start(&disk).unwrap());
}
