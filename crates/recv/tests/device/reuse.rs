//! Chunks that are there already need not come.

use std::path::Path;

use fleetcast_core::time::Instant;
use fleetcast_install::sim::SimDisk;
use fleetcast_install::{Disk, durable};
use fleetcast_recv::config::Config;
use fleetcast_recv::device::{DeviceError, Outcome};
use fleetcast_recv::events::Event;
use rustix::io::Errno;

use super::bench::{Job, Running, config, disk, failing, files, image, mix, seed};

const T: usize = 64;

/// Feeds packets one by one, and looks through old images between them.
fn try_feed<D: Disk + 'static>(
    running: &mut Running<D>,
    packets: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Outcome, DeviceError> {
    for packet in packets {
        running.feed([packet])?;
        search(running)?;
        if running.outcome != Outcome::Going {
            break;
        }
    }
    Ok(running.outcome)
}

fn search<D: Disk + 'static>(running: &mut Running<D>) -> Result<(), DeviceError> {
    while running.outcome == Outcome::Going && running.device.can_reuse() {
        let Running { device, events, now, .. } = running;
        running.outcome = device.reuse(Instant::from_micros(*now), &mut |event| events.push(event))?;
    }
    Ok(())
}

fn feed(running: &mut Running<SimDisk>, packets: impl IntoIterator<Item = Vec<u8>>) -> Outcome {
    try_feed(running, packets).unwrap()
}

/// A disk where the old root file system is this.
fn disk_with(old: &[u8]) -> SimDisk {
    let disk = disk();
    durable::replace(&disk, Path::new("/data/rootfs.img"), old).unwrap();
    disk
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
        assert_eq!(running.told("seed"), 1, "told once");
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

#[test]
fn only_pages_and_what_changed_must_come_and_the_rest_is_counted_right() {
    let (old, old_kernel) = (image(7, T * 200 + 13), image(6, T * 64));
    // Moved by three chunks, with ten new ones in the middle; and two single chunks changed.
    let new = [&image(8, T * 3)[..], &old[..T * 100], &image(9, T * 10), &old[T * 100..]].concat();
    let mut kernel = old_kernel.clone();
    kernel[T * 9] ^= 1;
    kernel[T * 63] ^= 1;
    let job = Job::made(1, &[("rootfs", new), ("kernel", kernel)]);
    let disk = disk_with(&old);
    durable::replace(&disk, Path::new("/boot/kernel.img"), &old_kernel).unwrap();
    let mut running = Running::start(&disk).unwrap();
    let (pages, chunks): (Vec<_>, Vec<_>) = job.cycle(0).into_iter().partition(|packet| is_page(packet));
    assert_eq!(feed(&mut running, pages), Outcome::Going);
    // All but 15 chunks are there; any that come, repair chunks too, stand for those.
    let first = chunks.len() / 2;
    assert_eq!(feed(&mut running, chunks.into_iter().skip(first)), Outcome::Installed);
    assert!(running.device.counters().chunks < 60, "{}", running.device.counters().chunks);
    job.check_installed(&disk);
    let reused: Vec<_> = running.events.iter().filter(|event| matches!(event, Event::Reused { .. })).collect();
    // The last chunk has 13 octets.
    assert_eq!(reused, [&Event::Reused { chunks: 201 + 62, octets: (262 * T + 13) as u64 }]);
    let at = |is_it: fn(&Event) -> bool| running.events.iter().position(is_it);
    assert!(at(|event| matches!(event, Event::Reused { .. })) < at(|event| matches!(event, Event::Complete(_))));
}

#[test]
fn runs_in_a_seed_that_is_larger_than_the_index_are_found_from_any_of_their_chunks() {
    let old = image(7, T * 800);
    let new = [&image(8, T * 5)[..], &old[..T * 300], &old[T * 310..]].concat();
    let job = Job::made(1, &[("rootfs", new)]);
    let disk = disk_with(&old);
    let mut running = Running::start(&disk).unwrap();
    // Every twentieth chunk, where cells have eight.
    running.device.limit_index(41);
    let (pages, chunks): (Vec<_>, Vec<_>) = job.cycle(0).into_iter().partition(|packet| is_page(packet));
    feed(&mut running, pages);
    feed(&mut running, chunks.into_iter().take(1));
    let have = running.device.chunks().unwrap().have;
    assert!((790 - 2 * 20..=791).contains(&have), "{have} of 790 that are there");
    feed(&mut running, job.cycle(0));
    job.check_installed(&disk);
}

#[test]
fn cells_whose_page_follows_only_from_parity_pages_are_searched_too() {
    let old = image(7, T * 200);
    let job = Job::made(1, &[("rootfs", [&image(8, T)[..], &old].concat())]);
    // One of two pages in a row is lost, whether the search begins before they come or after.
    let is_lost = |packet: &[u8]| {
        let cell = u32::from_be_bytes(*packet[16..].first_chunk().unwrap());
        packet[3] == 1 && cell % 2 == 1
    };
    let cycle = job.cycle(0).into_iter().filter(|packet| !is_lost(packet));
    let (pages, chunks): (Vec<_>, Vec<_>) = cycle.partition(|packet| is_page(packet));
    for early in [false, true] {
        let disk = disk_with(&old);
        let mut running = Running::start(&disk).unwrap();
        let first = &chunks[..1];
        if early {
            // The manifest and the first pages, the chunk, the other pages.
            feed(&mut running, pages[..6].to_vec());
            feed(&mut running, first.to_vec());
        }
        feed(&mut running, pages.clone());
        feed(&mut running, first.to_vec());
        assert_eq!(running.outcome, Outcome::Installed, "early {early}: {:?}", running.device.chunks());
        job.check_installed(&disk);
    }
}

#[test]
fn a_seed_that_cannot_be_read_to_its_end_is_left_out() {
    let old = image(7, T * 100);
    let job = Job::made(1, &[("rootfs", old.clone())]);
    for heals in [false, true] {
        let disk = disk_with(&old);
        disk.spoil(Path::new("/data/rootfs.img"), 64 * 50..64 * 51, heals).unwrap();
        let mut running = Running::start(&disk).unwrap();
        assert_eq!(feed(&mut running, job.cycle(0)), Outcome::Installed);
        assert_eq!((running.told("seed"), reused(&running)), (1, 0));
        job.check_installed(&disk);
    }
}

#[test]
fn a_release_that_waits_to_be_installed_is_not_searched_for() {
    let old = image(7, T * 100);
    let job = Job::in_waves(3, &[("rootfs", old.clone())], &[(1000, 2000)]);
    let mut running = Running::start(&disk_with(&old)).unwrap();
    let look = |running: &mut Running<_>, now, unix| {
        let Running { device, events, .. } = running;
        device.look(Instant::from_micros(now), unix, &mut |event| events.push(event)).unwrap()
    };
    look(&mut running, 1, 1000);
    // Complete before the search has begun, and in the midst of it.
    running.feed(job.cycle(0)).unwrap();
    assert!(!running.device.can_reuse());
    assert_eq!(look(&mut running, 10_000_000, 2000), Outcome::Installed);

    let mut running = Running::start(&disk_with(&old)).unwrap();
    look(&mut running, 1, 1000);
    feed(&mut running, job.cycle(0));
    assert!(running.outcome == Outcome::Going && !running.device.can_reuse(), "{:?}", running.events);
    assert_eq!(look(&mut running, 10_000_000, 2000), Outcome::Installed);
    assert!(reused(&running) > 50 && !running.device.can_reuse());
}

#[test]
fn what_fails_and_is_received_anew_is_found_in_old_images_again() {
    let old = image(7, T * 100);
    let job = Job::made(1, &[("rootfs", [&old[..T * 90], &image(8, T * 10)].concat())]);
    let disk = disk_with(&old);
    let mut running = Running::start(&disk).unwrap();
    let (pages, chunks): (Vec<_>, Vec<_>) = job.cycle(0).into_iter().partition(|packet| is_page(packet));
    feed(&mut running, pages.clone());
    feed(&mut running, chunks.iter().take(1).cloned());
    let had = running.device.chunks().unwrap().have;
    assert!(had >= 90, "{had}");
    let (part, _) = files(&disk, ".part").remove(0);
    disk.spoil(&part, 0..u64::MAX, false).unwrap();
    // One of those that are missing, which cannot be written.
    feed(&mut running, chunks.iter().skip(94).take(1).cloned());
    running.device.write_out().unwrap();
    feed(&mut running, pages);
    assert_eq!(running.told("io"), 1, "{:?}", running.events);
    feed(&mut running, chunks.iter().take(1).cloned());
    assert!(running.device.chunks().unwrap().have >= 90, "{:?}", running.device.chunks());
    feed(&mut running, job.cycle(0));
    job.check_installed(&disk);
}

#[test]
fn cut_before_every_operation_of_a_reception_that_reuses_it_completes() {
    let seed = seed();
    let old = image(7, T * 40);
    let job = Job::made(1, &[("rootfs", [&image(8, T)[..], &old].concat()), ("kernel", image(9, T * 5))]);
    let first = disk_with(&old);
    let packets = job.cycle(0);
    let run = |disk: &_| try_feed(&mut Running::start(disk)?, packets.clone());
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        assert_eq!(run(disk).unwrap(), Outcome::Installed);
    });
    println!("{operations} operations");
    for cut in 0..operations {
        let (cut_off, _) = failing(first.fork(), cut..u64::MAX, Errno::IO, |disk| drop(run(disk)));
        for after in [
            cut_off.reboot(|change| mix(seed ^ mix(cut << 32 | change as u64)) & 1 == 1),
            cut_off.reboot(|_| false),
            cut_off.fork(),
        ] {
            let found = &after.files()[Path::new("/data/rootfs.img")].1;
            assert!(*found == old || *found == job.images[Path::new("/data/rootfs.img")], "cut {cut}");
            let mut running = Running::start(&after).unwrap();
            assert_ne!(feed(&mut running, packets.clone()), Outcome::Going, "cut {cut}");
            drop(running);
            // A start that only finished the install may leave its scratch to the next.
            drop(Running::start(&after).unwrap());
            job.check_installed(&after);
        }
    }
}
