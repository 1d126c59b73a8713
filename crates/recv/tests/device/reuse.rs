//! Chunks that are there already need not come.

use std::path::Path;

use fleetcast_install::sim::SimDisk;
use fleetcast_install::{Disk as _, durable};
use fleetcast_recv::config::Config;
use fleetcast_recv::device::Outcome;
use fleetcast_recv::events::Event;

use super::bench::{Job, Running, config, disk, image};

const T: usize = 64;

/// Feeds packets one by one, and looks through old images between them.
fn feed(running: &mut Running<SimDisk>, packets: impl IntoIterator<Item = Vec<u8>>) -> Outcome {
    for packet in packets {
        let mut outcome = running.feed([packet]).unwrap();
        while outcome == Outcome::Going && running.device.can_reuse() {
            let Running { device, events, .. } = running;
            outcome = device.reuse(&mut |event| events.push(event)).unwrap();
            running.outcome = outcome;
        }
        if outcome != Outcome::Going {
            return outcome;
        }
    }
    Outcome::Going
}

fn reused(running: &Running<SimDisk>) -> u64 {
    let count = |event: &Event| if let Event::Reused { chunks, .. } = event { Some(*chunks) } else { None };
    running.events.iter().filter_map(count).max().unwrap_or(0)
}

/// Pages of the images and of what differs the chunks: the least that must come.
fn is_page(packet: &[u8]) -> bool {
    packet[3] < 3
}

#[test]
fn an_image_that_shares_most_chunks_with_the_old_one_needs_its_pages_and_what_is_new() {
    let old = image(7, T * 200 + 13);
    // Moved by three chunks, with ten new ones in the middle.
    let new = [&image(8, T * 3)[..], &old[..T * 100], &image(9, T * 10), &old[T * 100..]].concat();
    let job = Job::made(1, &[("rootfs", new)]);
    let disk = disk();
    durable::replace(&disk, Path::new("/data/rootfs.img"), &old).unwrap();
    let mut running = Running::start(&disk).unwrap();
    // All pages, and the chunks of every twelfth packet.
    let cycle = job.cycle(0);
    let sparse = cycle.iter().enumerate().filter(|(nth, packet)| is_page(packet) || nth % 12 == 1);
    assert_eq!(
        feed(&mut running, sparse.map(|(_, packet)| packet.clone())),
        Outcome::Installed,
        "{:?}",
        running.device.chunks()
    );
    assert!((150..=201).contains(&reused(&running)), "{}", reused(&running));
    job.check_installed(&disk);
}

#[test]
fn nothing_is_reused_before_a_chunk_has_come() {
    let old = image(7, T * 50);
    let job = Job::made(1, &[("rootfs", old.clone())]);
    let disk = disk();
    durable::replace(&disk, Path::new("/data/rootfs.img"), &old).unwrap();
    let mut running = Running::start(&disk).unwrap();
    let (pages, chunks): (Vec<_>, Vec<_>) = job.cycle(0).into_iter().partition(|packet| is_page(packet));
    assert_eq!(feed(&mut running, pages), Outcome::Going);
    assert_eq!((running.device.can_reuse(), running.device.chunks().unwrap().have), (false, 0));
    // One chunk, and all the rest is there.
    assert_eq!(feed(&mut running, chunks.into_iter().take(1)), Outcome::Installed);
    job.check_installed(&disk);
}

#[test]
fn a_named_seed_serves_all_targets_and_a_damaged_or_missing_one_costs_nothing() {
    let (rootfs, kernel) = (image(1, T * 60 + 5), image(2, T * 30));
    let job = Job::made(1, &[("rootfs", rootfs.clone()), ("kernel", kernel.clone())]);
    for damage in [false, true] {
        let disk = disk();
        let mut seed = [&image(3, T * 7)[..], &kernel, &rootfs].concat();
        if damage {
            // One octet of every chunk.
            (0..seed.len()).step_by(T).for_each(|at| seed[at] ^= 1);
        }
        durable::replace(&disk, Path::new("/data/seed"), &seed).unwrap();
        let config = Config { seeds: vec!["/data/seed".into(), "/data/none".into()], ..config() };
        let mut running = Running::start_as(&disk, &config).unwrap();
        assert_eq!(feed(&mut running, job.cycle(0)), Outcome::Installed);
        assert_eq!(running.told("seed"), 2, "told once a component");
        if damage {
            assert_eq!(reused(&running), 0);
        } else {
            assert!(running.device.counters().chunks < 45, "{}", running.device.counters().chunks);
        }
        disk.remove(Path::new("/data/seed")).unwrap();
        job.check_installed(&disk);
    }
}

#[test]
fn what_was_reused_survives_a_power_cut_like_the_rest() {
    let old = image(7, T * 100);
    let new = [&old[..T * 80], &image(8, T * 20)[..]].concat();
    let job = Job::made(1, &[("rootfs", new)]);
    let disk = disk();
    durable::replace(&disk, Path::new("/data/rootfs.img"), &old).unwrap();
    let mut running = Running::start(&disk).unwrap();
    let cycle = job.cycle(0);
    feed(&mut running, cycle.iter().take(30).cloned());
    running.device.flush().unwrap();
    let had = running.device.chunks().unwrap().have;
    let after = disk.reboot(|_| false);
    drop(running);
    let mut running = Running::start(&after).unwrap();
    assert_eq!(running.resumed(), Some(had));
    assert_eq!(feed(&mut running, cycle), Outcome::Installed);
    job.check_installed(&after);
}
