//! What is on disk is never believed.

use std::path::Path;

use fleetcast_recv::device::{DeviceError, Outcome};
use fleetcast_recv::events::Event;

use super::bench::{Job, Running, STATE, damage, disk, files, half, image};

#[test]
fn damage_between_two_runs_costs_only_what_was_damaged() {
    let job = Job::made(1, &[("rootfs", image(1, 64 * 200 + 5))]);
    let (disk, had) = half(&job);
    let (part, _) = files(&disk, ".part").pop().unwrap();
    let mut scratch: Vec<_> = files(&disk, "scratch");
    assert_eq!(scratch.len(), 1);
    let (scratch, content) = scratch.pop().unwrap();

    let one_chunk = disk.fork();
    damage(&one_chunk, &part, 64 * 20 + 3, b"x");
    assert_eq!(Running::start(&one_chunk).unwrap().resumed(), Some(had - 1));

    let three_chunks = disk.fork();
    damage(&three_chunks, &part, 64 * 20, &[0xEE; 129]);
    assert_eq!(Running::start(&three_chunks).unwrap().resumed(), Some(had - 3));

    // What a damaged page has proven cannot be proven again: one cell.
    let page = disk.fork();
    damage(&page, &scratch, 10, b"damaged");
    assert_eq!(Running::start(&page).unwrap().resumed(), Some(had - 8));

    for (fork, what) in [(one_chunk, "chunk"), (three_chunks, "chunks"), (page, "page")] {
        let mut running = Running::start(&fork).unwrap();
        assert_eq!(running.feed(job.packets(100).take(2000)).unwrap(), Outcome::Installed, "{what}");
        job.check_installed(&fork);
    }
    for (fill, octets) in [(0, content.len()), (0xFF, content.len()), (0x55, content.len() / 2)] {
        let fork = disk.fork();
        damage(&fork, &scratch, 0, &vec![fill; octets]);
        let mut running = Running::start(&fork).unwrap();
        assert!(running.resumed().unwrap() <= had);
        assert_eq!(running.feed(job.packets(100).take(2000)).unwrap(), Outcome::Installed, "all {fill}");
        job.check_installed(&fork);
    }
}

#[test]
fn files_cut_short_or_gone_are_received_again() {
    use fleetcast_install::{Disk as _, DiskFile as _};
    let job = Job::made(1, &[("rootfs", image(1, 64 * 200))]);
    let (disk, had) = half(&job);
    for (path, _) in files(&disk, ".part").into_iter().chain(files(&disk, "scratch")) {
        for size in [None, Some(0), Some(1000), Some(1 << 20)] {
            let fork = disk.fork();
            match size {
                None => fork.remove(&path).unwrap(),
                Some(size) => fork.open_read(&path).unwrap().set_size(size).unwrap(),
            }
            let mut running = Running::start(&fork).unwrap();
            assert!(running.resumed().unwrap() <= had, "{path:?} {size:?}");
            assert_eq!(running.feed(job.packets(100).take(2000)).unwrap(), Outcome::Installed, "{path:?} {size:?}");
            job.check_installed(&fork);
        }
    }
}

#[test]
fn a_damaged_statement_is_forgotten_with_what_belongs_to_it() {
    let job = Job::made(1, &[("rootfs", image(1, 64 * 200))]);
    let (disk, _) = half(&job);
    let statement = Path::new(STATE).join("statement");
    for (offset, bytes) in [(0, &b"x"[..]), (30, b"x"), (100, &[0; 9000])] {
        let fork = disk.fork();
        damage(&fork, &statement, offset, bytes);
        let mut running = Running::start(&fork).unwrap();
        assert!(running.resumed().is_none());
        assert!(files(&fork, ".part").is_empty() && files(&fork, "scratch").is_empty());
        assert_eq!(running.feed(job.packets(0).take(2000)).unwrap(), Outcome::Installed);
        job.check_installed(&fork);
    }
}

#[test]
fn a_bit_that_flips_before_the_read_back_is_found_and_received_again() {
    let job = Job::made(1, &[("rootfs", image(1, 64 * 200))]);
    for is_last_packet_source in [true, false] {
        let disk = disk();
        let mut running = Running::start(&disk).unwrap();
        // Source chunks only, in order, but for the last one; or some lost, and repair chunks for them.
        let packets: Vec<_> = job.packets(0).take(1000).collect();
        let is_fed = |nth: usize| is_last_packet_source || nth % 7 != 3;
        let mut fed = packets.iter().enumerate().filter(|(nth, _)| is_fed(*nth)).map(|(_, packet)| packet.clone());
        while running.device.chunks().is_none_or(|chunks| chunks.have < 199) {
            running.feed(fed.next()).unwrap();
        }
        running.device.write_out().unwrap();
        let (part, content) = files(&disk, ".part").pop().unwrap();
        damage(&disk, &part, 64 * 20 + 9, &[content[64 * 20 + 9] ^ 0x10]);
        assert_eq!(running.feed(fed).unwrap(), Outcome::Installed);
        let mismatches = running
            .events
            .iter()
            .filter(|event| matches!(event, Event::ReadbackMismatch { components, times: 1 } if components == &[0]));
        assert_eq!(mismatches.count(), 1, "{:?}", running.events);
        job.check_installed(&disk);
    }
}

#[test]
fn a_storage_that_reads_back_wrong_three_times_is_given_up() {
    let job = Job::made(1, &[("rootfs", image(1, 64 * 50))]);
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    let mut failed = None;
    let mut damaged = 0;
    for packet in job.packets(0).take(3000) {
        if let Err(error) = running.feed([packet]) {
            failed = Some(error);
            break;
        }
        // Each time all but one chunk is there, another one that is there is damaged.
        let chunks = running.device.chunks().unwrap();
        let times = running.events.iter().filter(|event| matches!(event, Event::ReadbackMismatch { .. })).count();
        if chunks.have + 1 == chunks.needed && damaged == times {
            damaged += 1;
            running.device.write_out().unwrap();
            let (part, content) = files(&disk, ".part").pop().unwrap();
            let at = 64 * damaged;
            damage(&disk, &part, at as u64, &[!content[at]]);
        }
    }
    let Some(DeviceError::Readback { times: 3, .. }) = failed else { panic!("{failed:?} {:?}", running.events) };
    drop(running);
    job.check_targets(&disk, false);
    // On a storage that is well again the next start goes on.
    let mut running = Running::start(&disk).unwrap();
    assert_eq!(running.feed(job.packets(0).take(1000)).unwrap(), Outcome::Installed);
    job.check_installed(&disk);
}
