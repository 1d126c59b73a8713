//! Killed or cut off at any moment, and started again.

use fleetcast_install::sim::SimDisk;
use fleetcast_recv::device::{Outcome, recover};
use rustix::io::Errno;

use super::bench::{Job, Running, config, disk, failing, mix, run, seed};

/// Feeds packets, and after every `every` of them kills the device and starts it on what `survives`.
fn with_restarts(job: &Job, every: usize, loss: f64, seed: u64, mut survives: impl FnMut(&SimDisk) -> SimDisk) {
    let mut disk = disk();
    let mut packets = job.lossy_cycles(40, loss, seed).peekable();
    while packets.peek().is_some() {
        let mut running = Running::start(&disk).unwrap();
        running.feed(packets.by_ref().take(every - every / 4)).unwrap();
        // What a second makes of packets is written out, what came since is lost.
        running.device.write_out().unwrap();
        let outcome = running.feed(packets.by_ref().take(every / 4)).unwrap();
        job.check_targets(&disk, outcome == Outcome::Installed);
        if outcome == Outcome::Installed {
            drop(running);
            job.check_installed(&disk);
            return;
        }
        let next = survives(&disk);
        // The killed process flushes nothing, whatever its destructors do.
        drop(running);
        disk = next;
        job.check_targets(&disk, false);
    }
    panic!("not installed, killed every {every} packets");
}

#[test]
fn killed_after_every_kth_packet_it_completes() {
    let seed = seed();
    let job = Job::vector("ok-three-components");
    for every in [23, 50, 100, 333, 700] {
        with_restarts(&job, every, 0.1, mix(seed ^ every as u64), SimDisk::fork);
    }
    let job = Job::vector("ok-two-blocks");
    with_restarts(&job, 1500, 0.2, seed, SimDisk::fork);
}

#[test]
fn cut_off_after_every_kth_packet_it_completes_with_whatever_subset_of_writes_survived() {
    let seed = seed();
    let job = Job::vector("ok-three-components");
    for every in [150, 300, 600] {
        for keep in [4, 7, 10] {
            let mut cut = seed;
            with_restarts(&job, every, 0.05, mix(seed ^ every as u64), |disk| {
                cut = mix(cut);
                let cut = cut;
                disk.reboot(|change| mix(cut ^ change as u64) % 10 < keep)
            });
        }
    }
}

#[test]
fn a_flushed_stop_costs_nothing() {
    let job = Job::vector("ok-two-blocks");
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    running.feed(job.lossy(0.2, 3).take(3000)).unwrap();
    let had = running.device.chunks().unwrap().have;
    running.device.flush().unwrap();
    assert!(had > 1500, "{had}");
    let after = disk.reboot(|_| false);
    drop(running);
    let mut running = Running::start(&after).unwrap();
    assert_eq!(running.resumed(), Some(had));
    running.feed(job.lossy(0.2, 4)).unwrap();
    job.check_installed(&after);
}

#[test]
fn a_power_cut_costs_at_most_ten_seconds() {
    // So many seconds without much coming.
    let job = Job::vector("ok-two-blocks");
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    running.feed(job.lossy(0.2, 3).take(1000)).unwrap();
    let had = running.device.chunks().unwrap().have;
    (0..10).for_each(|_| running.device.write_out().unwrap());
    running.feed(job.lossy(0.2, 3).skip(1000).take(500)).unwrap();
    let after = disk.reboot(|_| false);
    drop(running);
    assert_eq!(Running::start(&after).unwrap().resumed(), Some(had));
}

#[test]
fn pages_that_follow_only_from_parity_pages_are_found_again() {
    let job = Job::vector("ok-two-blocks");
    for lost_run in [1, 2, 3] {
        // Pages come in runs of which some are lost, here the first after the start and those near its wrap too.
        let is_lost = |packet: &[u8]| {
            let cell = u32::from_be_bytes(*packet[16..].first_chunk().unwrap());
            packet[3] == 1 && cell % 4 < lost_run
        };
        let disk = disk();
        let mut running = Running::start(&disk).unwrap();
        let cycle = job.cycle(0);
        // All but the last fifth: not yet complete.
        let most = cycle.len() * 2 / 5;
        running.feed(cycle.into_iter().take(most).filter(|packet| !is_lost(packet))).unwrap();
        let had = running.device.chunks().unwrap().have;
        running.device.write_out().unwrap();
        let after = disk.fork();
        drop(running);
        let running = Running::start(&after).unwrap();
        assert_eq!(running.resumed(), Some(had), "{lost_run} of 4 pages lost");
    }
}

#[test]
fn a_release_that_was_complete_is_installed_at_the_next_start() {
    let job = Job::vector("ok-small");
    let disk = disk();
    // A cycle without its last necessary chunk, then that chunk alone: killed before it was acted on.
    let packets = job.cycle(0);
    for upto in 1..packets.len() {
        let disk = disk.fork();
        let mut running = Running::start(&disk).unwrap();
        if running.feed(packets.iter().take(upto).cloned()).unwrap() == Outcome::Installed {
            return;
        }
        running.device.write_out().unwrap();
        let fork = disk.fork();
        drop(running);
        // Started again it has all it had.
        let mut again = Running::start(&fork).unwrap();
        if again.outcome != Outcome::Installed {
            again.feed(packets.iter().skip(upto).cloned()).unwrap();
        }
        drop(again);
        job.check_installed(&fork);
    }
    panic!("never installed");
}

#[test]
fn a_device_that_cannot_listen_still_completes_an_interrupted_install() {
    let job = Job::vector("ok-three-components");
    let packets: Vec<_> = job.lossy(0.0, 1).collect();
    let (_, operations) = failing(disk(), u64::MAX..u64::MAX, Errno::IO, |disk| drop(run(disk, packets.clone())));
    // The install is among the last of the operations.
    let completes = |cut: &u64| {
        let (after, _) = failing(disk(), *cut..u64::MAX, Errno::IO, |disk| drop(run(disk, packets.clone())));
        let outcome = recover(&after, config().install.backend(&after, &[]), &config(), [7; 16], &mut |_| {}).unwrap();
        job.check_targets(&after, outcome == Outcome::Installed);
        outcome == Outcome::Installed
    };
    assert!((operations - 30..operations).filter(completes).count() > 3);
}
