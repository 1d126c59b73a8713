//! A full or failing disk: what can be mended is, all else is a clear fault; nothing that runs is touched, and the next
//! run completes.

use fleetcast_recv::device::{DeviceError, Outcome};
use rustix::io::Errno;

use super::bench::{Job, Running, disk, failing, files, image, run};

#[test]
fn one_failing_operation_is_mended_or_a_clear_fault_and_the_next_run_completes() {
    let job = Job::vector("ok-small");
    // Enough to receive it twice.
    let packets: Vec<_> = job.lossy_cycles(12, 0.2, 1).collect();
    let first = disk();
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        run(disk, packets.clone()).unwrap();
    });
    let mut all_faults = Vec::new();
    for (error, code) in [(Errno::NOSPC, "no-space"), (Errno::IO, "io")] {
        let mut faults = 0;
        for nth in 0..operations {
            let mut result = Ok(Outcome::Going);
            let (after, _) = failing(first.fork(), nth..nth + 1, error, |disk| result = run(disk, packets.clone()));
            match result {
                // Clearing away after the install may fail; the next start does it.
                Ok(outcome) => assert_eq!(outcome, Outcome::Installed, "operation {nth}"),
                Err(DeviceError::Storage(fault)) => {
                    faults += 1;
                    assert!(fault.code() == code && fault.to_string().contains('/'), "operation {nth}: {fault}");
                    job.check_targets(&after, false);
                }
                Err(other) => panic!("operation {nth}: {other}"),
            }
            let outcome = run(&after, packets.clone()).unwrap();
            assert_ne!(outcome, Outcome::Going, "operation {nth}");
            let _ = run(&after, []).unwrap();
            job.check_installed(&after);
        }
        all_faults.push(faults);
    } // A full disk ends a run; what fails while chunks come is mended.
    assert!(all_faults[0] > operations / 2 && all_faults[1] < all_faults[0], "{all_faults:?} of {operations}");
}

#[test]
fn a_disk_that_stays_full_is_told_and_what_came_before_is_kept() {
    let job = Job::vector("ok-three-components");
    let cycle = job.cycle(0);
    let (before, behind) = cycle.split_at(cycle.len() / 3);
    let first = disk();
    let begin = |disk: &_| {
        let mut running = Running::start(disk).unwrap();
        running.feed(before.to_vec()).unwrap();
        running.device.write_out().unwrap();
        running
    };
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::NOSPC, |disk| drop(begin(disk)));
    let (full, _) = failing(first, operations..u64::MAX, Errno::NOSPC, |disk| {
        let Err(error) = begin(disk).feed(behind.to_vec()) else { panic!("no room, and no fault") };
        assert!(error.code() == "no-space" && error.to_string().contains("free some"), "{error}");
    });
    let freed = full.fork();
    job.check_targets(&freed, false);
    let mut running = Running::start(&freed).unwrap();
    assert!(running.resumed().unwrap() > 0);
    running.feed(cycle).unwrap();
    job.check_installed(&freed);
}

#[test]
fn without_room_for_repair_chunks_or_even_pages_the_source_chunks_suffice() {
    let job = Job::made(1, &[("rootfs", image(1, 64 * 200))]);
    for is_page_kept in [true, false] {
        let disk = disk();
        let mut running = Running::start(&disk).unwrap();
        running.feed(job.packets(0).take(1)).unwrap();
        let (scratch, content) = files(&disk, "scratch").pop().unwrap();
        let size = content.len() as u64;
        disk.no_room(&scratch, if is_page_kept { size - 64 * 200 } else { 0 }..size).unwrap();
        assert_eq!(running.feed(job.lossy_cycles(40, 0.3, 2)).unwrap(), Outcome::Installed);
        assert_eq!(running.told("no-space"), 1);
        assert!(running.device.counters().dropped().any(|(code, _)| code == "no-room"));
        job.check_installed(&disk);
    }
}

#[test]
fn repair_chunks_give_way_when_the_image_needs_their_room() {
    let job = Job::made(1, &[("rootfs", image(1, 64 * 200))]);
    let schedule = job.carousel.schedule();
    let is_repair = |slot: &u64| matches!(schedule.at(*slot), Some(fleetcast_core::fec::Slot::Chunk { position, .. }) if position >= 200);
    let start = (0..schedule.cycle()).find(is_repair).unwrap();
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    let mut packets = job.packets(start);
    while running.device.chunks().is_none_or(|chunks| chunks.have < 199) {
        running.feed(packets.next()).unwrap();
    }
    running.device.write_out().unwrap();
    // Room for most of the image, all of whose chunks are repair chunks so far.
    disk.set_capacity(disk.used() + 64 * 190);
    assert_eq!(running.feed(packets.take(1000)).unwrap(), Outcome::Installed);
    assert_eq!(running.told("no-space"), 1);
    job.check_installed(&disk);
}
